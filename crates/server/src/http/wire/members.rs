//! The members of a create body: what they are called and which types they take.
//!
//! [`read_draft`] is the only list of names. It asks a [`Members`] for one after the other; the two forms of a body
//! answer each in its own way and keep a list of everything that has the wrong type.

use kinora_domain::{BlobHash, Draft, Feature, Member, Model, Origin, Source, StoredInput};

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
    /// Several media; `member` makes the member of each out of its index.
    fn media(&mut self, member: fn(usize) -> Member) -> Vec<Source>;
}

/// A body's members as a draft, and the URL the client wants to be told at.
pub(super) fn read_draft(model: Model, members: &mut impl Members) -> (Draft, Option<String>) {
    match model {
        Model::WanVideo => read_video(members),
        Model::WanEdit => read_edit(members),
    }
}

fn read_video(members: &mut impl Members) -> (Draft, Option<String>) {
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
    (draft, webhook_url(members))
}

fn read_edit(members: &mut impl Members) -> (Draft, Option<String>) {
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
    (draft, webhook_url(members))
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
