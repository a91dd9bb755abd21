//! The members of a create body: what they are called and which types they take.
//!
//! [`read_members`] is the only list of names. It asks a [`Members`] for one after the other; the two forms of a body
//! answer each in its own way and keep a list of everything that has the wrong type.

use kinora_domain::{AspectRatio, BlobHash, Draft, Feature, Member, Origin, Resolution, Source, StoredInput};

use super::{request::Endpoint, video::sizes};

/// A body that can be asked for its members. `None` and an empty list stand for absent, null and wrongly typed.
pub(super) trait Members {
    /// A text.
    fn text(&mut self, name: &'static str) -> Option<String>;
    /// A truth value.
    fn flag(&mut self, name: &'static str) -> Option<bool>;
    /// A whole number.
    fn integer(&mut self, name: &'static str) -> Option<i64>;
    /// A whole number that may also be sent as a text of decimal digits.
    fn integer_or_digits(&mut self, name: &'static str) -> Option<i64>;
    /// One medium.
    fn medium(&mut self, member: Member) -> Option<Source>;
    /// One medium of the layer that sends it as a file, or as an object of `image_url`.
    fn reference(&mut self, name: &'static str, member: Member) -> Option<Source>;
    /// Several media; `member` makes the member of each out of its index.
    fn media(&mut self, member: fn(usize) -> Member) -> Vec<Source>;
    /// Notes that a member is not taken. Of each member only the first thing is told.
    fn refuse(&mut self, name: &str, message: String);
}

/// What a body's members say.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// What is to be made.
    pub(super) draft: Draft,
    /// The URL the client wants to be told at.
    pub(super) webhook_url: Option<String>,
    /// The model, on the endpoint whose path does not name it.
    pub(super) model_name: Option<String>,
}

/// The name under which `/v1/videos` takes its first frame.
pub(super) const INPUT_REFERENCE: &str = "input_reference";

/// Asks for every member that the endpoint has.
pub(super) fn read_members(endpoint: Endpoint, members: &mut impl Members) -> Read {
    match endpoint {
        Endpoint::WanVideo => read_video(members),
        Endpoint::WanEdit => read_edit(members),
        Endpoint::OpenAiVideos => read_openai_video(members),
    }
}

fn read_video(members: &mut impl Members) -> Read {
    let draft = Draft {
        feature: members.text("feature"),
        prompt: members.text("prompt"),
        negative_prompt: members.text("negative_prompt"),
        image: members.medium(Member::Image),
        end_image: members.medium(Member::EndImage),
        video: members.medium(Member::Video),
        reference_images: members.media(Member::ReferenceImages),
        reference_image: members.medium(Member::ReferenceImage),
        video_refs: members.media(Member::VideoRefs),
        audio: members.medium(Member::Audio),
        aspect_ratio: members.text("aspect_ratio"),
        resolution: members.text("resolution"),
        duration: members.integer_or_digits("duration"),
        prompt_expansion: members.flag("enable_prompt_expansion"),
        multi_shots: members.flag("multi_shots"),
        audio_setting: members.text("audio_setting"),
        seed: members.integer("seed"),
        n: None,
    };
    Read {
        draft,
        webhook_url: webhook_url(members),
        model_name: None,
    }
}

fn read_edit(members: &mut impl Members) -> Read {
    let draft = Draft {
        feature: Some(Feature::EditVideo.as_str().to_owned()),
        prompt: members.text("prompt"),
        video: members.medium(Member::Video),
        reference_image: members.medium(Member::ReferenceImage),
        aspect_ratio: members.text("aspect_ratio"),
        resolution: members.text("resolution"),
        duration: members.integer_or_digits("duration"),
        audio_setting: members.text("audio_setting"),
        seed: members.integer("seed"),
        n: members.integer("n"),
        ..Draft::default()
    };
    Read {
        draft,
        webhook_url: webhook_url(members),
        model_name: None,
    }
}

/// The members of `/v1/videos`. A prompt is required there, and the size is always known.
fn read_openai_video(members: &mut impl Members) -> Read {
    let prompt = members.text("prompt");
    // An empty text is too short, which is for the domain to say; one of white space counts as absent.
    if prompt
        .as_deref()
        .is_none_or(|text| !text.is_empty() && text.trim().is_empty())
    {
        members.refuse("prompt", "is required".to_owned());
    }
    let (resolution, aspect) = match members.text("size").filter(|size| !size.is_empty()) {
        Some(given) => named_size(&given).unwrap_or_else(|| {
            let taken: Vec<String> = sizes().map(|(name, ..)| name).collect();
            let shown: String = given.chars().take(40).collect();
            members.refuse("size", format!("{shown:?} is not one of {}", taken.join(", ")));
            DEFAULT_SIZE
        }),
        None => DEFAULT_SIZE,
    };
    Read {
        draft: Draft {
            prompt,
            negative_prompt: members.text("negative_prompt"),
            image: members.reference(INPUT_REFERENCE, Member::Image),
            aspect_ratio: Some(aspect.as_str().to_owned()),
            resolution: Some(resolution.as_str().to_owned()),
            duration: members.integer_or_digits("seconds"),
            seed: members.integer("seed"),
            ..Draft::default()
        },
        webhook_url: None,
        model_name: members.text("model").filter(|name| !name.is_empty()),
    }
}

/// 1280x720
const DEFAULT_SIZE: (Resolution, AspectRatio) = (Resolution::P720, AspectRatio::Wide);

fn named_size(given: &str) -> Option<(Resolution, AspectRatio)> {
    sizes().find_map(|(name, resolution, aspect)| (name == given).then_some((resolution, aspect)))
}

fn webhook_url(members: &mut impl Members) -> Option<String> {
    members.text("webhook_url").filter(|url| !url.is_empty())
}

/// The source that stands for an upload until it is measured.
pub(super) fn uploaded(blob: BlobHash, file_name: String) -> Source {
    Source::Stored(StoredInput {
        blob,
        origin: Origin::Upload { file_name },
        duration_ms: None,
    })
}

/// The whole number that a text of decimal digits stands for. Beyond 64 bits it stays beyond every limit.
pub(super) fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(beyond))
}

/// Notes the names it is asked for; what a test holds against the schema.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Names(pub(super) Vec<&'static str>);

#[cfg(test)]
impl Members for Names {
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.0.push(name);
        None
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.0.push(name);
        None
    }

    fn integer(&mut self, name: &'static str) -> Option<i64> {
        self.0.push(name);
        None
    }

    fn integer_or_digits(&mut self, name: &'static str) -> Option<i64> {
        self.0.push(name);
        None
    }

    fn medium(&mut self, member: Member) -> Option<Source> {
        self.0.push(member.name());
        None
    }

    fn media(&mut self, member: fn(usize) -> Member) -> Vec<Source> {
        self.0.push(member(0).name());
        Vec::new()
    }

    fn reference(&mut self, name: &'static str, _: Member) -> Option<Source> {
        self.0.push(name);
        None
    }

    fn refuse(&mut self, _: &str, _: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_texts() {
        let check = |text, expected| assert_eq!(decimal(text), expected, "{text:?}");
        check("5", Some(5));
        check("-5", Some(-5));
        check("007", Some(7));
        check("0", Some(0));
        check("99999999999999999999", Some(i64::MAX));
        check("-99999999999999999999", Some(i64::MIN));
        for text in [
            "", "-", "5s", "5.0", "5.5", "1e3", "+5", " 5", "5 ", "٥", "0x5", "--5", "five",
        ] {
            check(text, None);
        }
    }
}
