//! The rules V-01 to V-28 that a request is judged by before anything is kept (V-25 and V-27 need the media and
//! the network guard, so the caller adds them; V-21 is applied here as far as lengths are known).
//!
//! One function a subject; each reports what it finds and returns what it could read, so that a request with
//! five mistakes hears of all five.

use crate::{
    catalog::{FeatureOffer, REFERENCES_MAX, Start},
    feature::{Feature, Present, infer},
    frame_size::{AspectRatio, Resolution},
    input::Source,
};

use super::{AudioSetting, Draft, GenerationSpec, Seed, SpecRules, Violation, Workflow};

/// The longest prompt, in Unicode scalar values.
pub const PROMPT_CHARS_MAX: usize = 5000;
/// The longest negative prompt, in Unicode scalar values.
pub const NEGATIVE_PROMPT_CHARS_MAX: usize = 500;
/// The longest URL, in Unicode scalar values.
pub const URL_CHARS_MAX: usize = 8192;
/// The largest seed.
pub const SEED_MAX: u32 = i32::MAX as u32;
/// The most clips one generation makes.
const CLIPS_MAX: i64 = 4;

pub(super) fn parse(mut draft: Draft, rules: &SpecRules<'_>) -> Result<GenerationSpec, Vec<Violation>> {
    drop_empty(&mut draft);
    let mut found = Violations::default();

    check_urls(&mut draft, rules, &mut found);
    let feature = read_feature(&draft, &mut found);
    let offer = (rules.offer)(feature).unwrap_or_else(|| FeatureOffer::documented(feature));

    let prompt = read_prompt(&draft, feature, &mut found);
    check_negative_prompt(&draft, &mut found);
    check_members(&draft, feature, &mut found);
    check_references(&draft, feature, &offer, &mut found);
    check_audio_input(&draft, &offer, &mut found);
    check_start(&draft, &offer, &mut found);

    let aspect_ratio = read_aspect_ratio(&draft, &offer, &mut found);
    let resolution = read_resolution(&draft, &offer, &mut found);
    let duration_s = read_duration(&draft, feature, &offer, &mut found);
    check_clip_is_shorter(&draft, feature, duration_s, &mut found);
    let multi_shots = read_multi_shots(&draft, feature, &mut found);
    let audio_setting = read_audio_setting(&draft, feature, &mut found);
    let seed = read_seed(&draft, rules.drawn_seed, &mut found);
    let n = read_n(&draft, &mut found);

    if !found.0.is_empty() {
        return Err(found.0);
    }
    let negative_prompt = draft.negative_prompt.take();
    let prompt_expansion = draft.prompt_expansion.unwrap_or(true);
    let workflow = workflow(draft, feature, multi_shots, audio_setting).ok_or_else(|| {
        // The checks above leave no such case; a request that finds one is refused, not crashed on.
        vec![violation(
            "V-05",
            "prompt",
            "is required where there is neither an image nor a clip",
        )]
    })?;
    let aspect_ratio = aspect_ratio.or(match workflow {
        Workflow::Text { .. } | Workflow::Reference { .. } => Some(AspectRatio::Wide),
        Workflow::Image { .. }
        | Workflow::FirstLast { .. }
        | Workflow::Continuation { .. }
        | Workflow::Edit { .. } => None,
    });
    Ok(GenerationSpec {
        feature,
        workflow,
        prompt,
        negative_prompt,
        aspect_ratio,
        resolution,
        duration_s,
        prompt_expansion,
        seed,
        n,
    })
}

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, rule: &'static str, field: &str, message: impl Into<String>) {
        self.0.push(violation(rule, field, message));
    }
}

fn violation(rule: &'static str, field: &str, message: impl Into<String>) -> Violation {
    Violation {
        rule,
        field: field.to_owned(),
        message: message.into(),
    }
}

/// Forms send every key: an empty URL or negative prompt means absent, and so does a prompt of white space.
fn drop_empty(draft: &mut Draft) {
    let full = |source: &Source| !matches!(source, Source::Url(url) if url.is_empty());
    for slot in [
        &mut draft.image,
        &mut draft.end_image,
        &mut draft.video,
        &mut draft.reference_image,
        &mut draft.audio,
    ] {
        slot.take_if(|source| !full(source));
    }
    draft.reference_images.retain(full);
    draft.video_refs.retain(full);
    draft.negative_prompt.take_if(|text| text.is_empty());
    draft
        .prompt
        .take_if(|text| !text.is_empty() && text.trim().is_empty());
}

fn check_urls(draft: &mut Draft, rules: &SpecRules<'_>, found: &mut Violations) {
    for (member, source) in draft.sources_mut() {
        let Source::Url(url) = source else { continue };
        // An array that is too long is reported as one mistake (V-11), not as a million.
        if member.is_beyond_the_most() {
            continue;
        }
        let problem = if is_data_url(url) {
            Some("takes an http or https URL or an uploaded file; data: URLs are for images".to_owned())
        } else if url.chars().count() > URL_CHARS_MAX {
            Some(format!("is longer than {URL_CHARS_MAX} characters"))
        } else {
            (rules.url_problem)(url).map(|problem| with_url(url, problem))
        };
        if let Some(problem) = problem {
            found.add("V-06", &member.to_string(), problem);
        }
    }
}

/// Whether a URL carries its bytes in itself. These are long, so that this is the better reason to refuse one.
fn is_data_url(url: &str) -> bool {
    url.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// A problem with the URL that has it; one with a password in it is not repeated.
fn with_url(url: &str, problem: String) -> String {
    if url.contains('@') {
        problem
    } else {
        format!("{} {problem}", quoted(url))
    }
}

fn read_feature(draft: &Draft, found: &mut Violations) -> Feature {
    let inferred = infer(Present {
        video: draft.video.is_some(),
        end_image: draft.end_image.is_some(),
        reference_image: draft.reference_image.is_some(),
        reference_images: !draft.reference_images.is_empty(),
        video_refs: !draft.video_refs.is_empty(),
    });
    let Some(given) = &draft.feature else {
        return inferred;
    };
    given.parse().unwrap_or_else(|()| {
        found.add(
            "V-01",
            "feature",
            format!(
                "{} is not one of text-image, frames, reference, edit-video",
                quoted(given)
            ),
        );
        inferred
    })
}

fn read_prompt(draft: &Draft, feature: Feature, found: &mut Violations) -> Option<String> {
    if let Some(prompt) = &draft.prompt {
        let chars = prompt.chars().count();
        if chars == 0 || chars > PROMPT_CHARS_MAX {
            found.add(
                "V-02",
                "prompt",
                format!("has {chars} characters; 1 to {PROMPT_CHARS_MAX} are taken"),
            );
        }
        return Some(prompt.clone());
    }
    match feature {
        Feature::Reference | Feature::EditVideo => {
            found.add("V-04", "prompt", format!("is required for {feature}"));
        }
        Feature::TextImage if draft.image.is_none() && draft.video.is_none() => {
            found.add(
                "V-05",
                "prompt",
                "is required where there is neither image_url nor video_url",
            );
        }
        Feature::TextImage | Feature::Frames => {}
    }
    None
}

fn check_negative_prompt(draft: &Draft, found: &mut Violations) {
    let chars = draft
        .negative_prompt
        .as_ref()
        .map_or(0, |text| text.chars().count());
    if chars > NEGATIVE_PROMPT_CHARS_MAX {
        found.add(
            "V-03",
            "negative_prompt",
            format!("has {chars} characters; at most {NEGATIVE_PROMPT_CHARS_MAX} are taken"),
        );
    }
}

/// Which members go together: V-07 to V-10 and V-12 to V-16.
fn check_members(draft: &Draft, feature: Feature, found: &mut Violations) {
    let (image, end_image) = (draft.image.is_some(), draft.end_image.is_some());
    let (video, audio) = (draft.video.is_some(), draft.audio.is_some());
    let reference_image = draft.reference_image.is_some();
    let (reference_images, video_refs) = (!draft.reference_images.is_empty(), !draft.video_refs.is_empty());

    let mut refuse = |rule, present: bool, field: &str, message: &str| {
        if present {
            found.add(rule, field, message);
        }
    };
    match feature {
        Feature::TextImage | Feature::Frames => {
            refuse(
                "V-07",
                image && video,
                "video_url",
                "cannot be combined with image_url; send one of the two",
            );
            refuse(
                "V-08",
                end_image && !image && !video,
                "end_image_url",
                "needs image_url or video_url beside it",
            );
            refuse(
                "V-09",
                feature == Feature::Frames && !image && !video,
                "image_url",
                "is required for frames, unless video_url is sent to continue a clip",
            );
            let clip_hint = "is for reference; a clip cannot be both continued and referenced: drop video_url, \
                             or send feature explicitly, as reference, and the members it takes";
            let image_hint = "is for edit-video; use reference_image_urls, or add video_url";
            let images_hint = format!(
                "is for reference and edit-video, not for {feature}; send one of these as feature, and the members it takes"
            );
            let videos_hint = format!(
                "is for reference, not for {feature}; send that as feature, and the members it takes"
            );
            refuse("V-15", reference_images, "reference_image_urls", &images_hint);
            refuse(
                "V-15",
                reference_image,
                "reference_image_url",
                if video { &images_hint } else { image_hint },
            );
            refuse(
                "V-15",
                video_refs,
                "video_refs",
                if video { clip_hint } else { &videos_hint },
            );
            refuse(
                "V-16",
                audio && video,
                "audio_url",
                "cannot be combined with video_url; the clip has its own sound",
            );
        }
        Feature::Reference => {
            refuse(
                "V-10",
                !reference_images && !video_refs,
                "reference_image_urls",
                "or video_refs is required for reference: send at least one item",
            );
            for (present, field) in [
                (image, "image_url"),
                (end_image, "end_image_url"),
                (video, "video_url"),
                (reference_image, "reference_image_url"),
                (audio, "audio_url"),
            ] {
                refuse(
                    "V-12",
                    present,
                    field,
                    &format!("has no meaning in reference; drop {field}"),
                );
            }
        }
        Feature::EditVideo => {
            refuse("V-13", !video, "video_url", "is required for edit-video");
            for (present, field) in [
                (image, "image_url"),
                (end_image, "end_image_url"),
                (video_refs, "video_refs"),
                (audio, "audio_url"),
            ] {
                refuse(
                    "V-14",
                    present,
                    field,
                    &format!("has no meaning in edit-video; drop {field}"),
                );
            }
        }
    }
}

/// How many references there may be: by the documentation (V-11) and by the engine (V-26).
fn check_references(draft: &Draft, feature: Feature, offer: &FeatureOffer, found: &mut Violations) {
    let (images, videos) = (draft.reference_images.len(), draft.video_refs.len());
    for (count, field) in [(images, "reference_image_urls"), (videos, "video_refs")] {
        if count > REFERENCES_MAX {
            found.add(
                "V-11",
                field,
                format!("has {count} items; at most {REFERENCES_MAX} are taken"),
            );
        }
    }
    let has_edit_image = draft.reference_image.is_some() || images > 0;
    if feature == Feature::EditVideo && has_edit_image && offer.reference_images_max == 0 {
        let field = if draft.reference_image.is_some() {
            "reference_image_url"
        } else {
            "reference_image_urls"
        };
        found.add(
            "V-26",
            field,
            format!("is not taken by this engine; drop {field}"),
        );
    }
    if feature != Feature::Reference || images > REFERENCES_MAX || videos > REFERENCES_MAX {
        return;
    }
    for (count, limit, field) in [
        (images, offer.reference_images_max, "reference_image_urls"),
        (videos, offer.reference_videos_max, "video_refs"),
    ] {
        if count > limit {
            found.add(
                "V-26",
                field,
                format!("has {count} items; this engine takes at most {limit}"),
            );
            return;
        }
    }
    let limit = offer.references_max;
    if images + videos > limit {
        let field = if videos > 0 {
            "video_refs"
        } else {
            "reference_image_urls"
        };
        found.add(
            "V-26",
            field,
            format!(
                "and images are {} references; this engine takes at most {limit} together",
                images + videos
            ),
        );
    }
}

/// What the clip starts from, where the engine does not do all of a feature.
fn check_start(draft: &Draft, offer: &FeatureOffer, found: &mut Violations) {
    let (image, end_image) = (draft.image.is_some(), draft.end_image.is_some());
    let (start, field) = match (offer.feature, image, draft.video.is_some(), end_image) {
        (Feature::Reference | Feature::EditVideo, ..) => return,
        (_, false, false, _) => (Start::Text, "image_url"),
        (_, true, _, false) => (Start::FirstFrame, "image_url"),
        (_, true, _, true) => (Start::FirstAndLastFrame, "end_image_url"),
        (_, false, true, false) => (Start::Clip, "video_url"),
        (_, false, true, true) => (Start::ClipAndLastFrame, "end_image_url"),
    };
    if offer.starts.contains(&start) || !Start::of_feature(offer.feature).contains(&start) {
        return;
    }
    let starts: Vec<&str> = offer.starts.iter().map(|start| start.as_str()).collect();
    let starts = names(&starts);
    let message = match start {
        Start::Text => format!("is required: this engine starts from {starts}, not from text alone"),
        _ => format!("makes this start from {start}, which is beyond this engine; it starts from {starts}"),
    };
    found.add("V-26", field, message);
}

fn check_audio_input(draft: &Draft, offer: &FeatureOffer, found: &mut Violations) {
    let applies = matches!(offer.feature, Feature::TextImage | Feature::Frames) && draft.video.is_none();
    if applies && draft.audio.is_some() && !offer.audio_input {
        found.add("V-26", "audio_url", "is not taken by this engine; drop audio_url");
    }
}

fn read_aspect_ratio(draft: &Draft, offer: &FeatureOffer, found: &mut Violations) -> Option<AspectRatio> {
    let given = draft.aspect_ratio.as_ref()?;
    let Ok(aspect) = given.parse::<AspectRatio>() else {
        let taken = names(&AspectRatio::ALL.map(AspectRatio::as_str));
        found.add(
            "V-17",
            "aspect_ratio",
            format!("{} is not one of {taken}", quoted(given)),
        );
        return None;
    };
    if !offer.aspect_ratios.contains(&aspect) {
        let taken = names(&offer.aspect_ratios.iter().map(|a| a.as_str()).collect::<Vec<_>>());
        found.add(
            "V-26",
            "aspect_ratio",
            format!("{aspect} is beyond this engine; it takes {taken}"),
        );
    }
    Some(aspect)
}

fn read_resolution(draft: &Draft, offer: &FeatureOffer, found: &mut Violations) -> Resolution {
    let resolution = match &draft.resolution {
        None => Resolution::P1080,
        Some(given) => given.parse().unwrap_or_else(|()| {
            found.add(
                "V-18",
                "resolution",
                format!("{} is not one of 720p, 1080p", quoted(given)),
            );
            Resolution::P1080
        }),
    };
    if !offer.resolutions.contains(&resolution) {
        let taken = names(&offer.resolutions.iter().map(|r| r.as_str()).collect::<Vec<_>>());
        found.add(
            "V-26",
            "resolution",
            format!("{resolution} is beyond this engine; it takes {taken}"),
        );
    }
    resolution
}

/// Seconds within the workflow's range (V-19, V-20) and the engine's (V-26).
fn read_duration(draft: &Draft, feature: Feature, offer: &FeatureOffer, found: &mut Violations) -> u8 {
    let default = if feature == Feature::EditVideo { 0 } else { 5 };
    let given = draft.duration.unwrap_or(default);
    let with_videos = feature == Feature::Reference && !draft.video_refs.is_empty();
    let (fits, range) = match feature {
        Feature::Reference if with_videos => ((2..=15).contains(&given), "2 to 10 with video_refs"),
        Feature::TextImage | Feature::Frames | Feature::Reference => ((2..=15).contains(&given), "2 to 15"),
        Feature::EditVideo => (given == 0 || (2..=10).contains(&given), "0 or 2 to 10"),
    };
    let limit = i64::from(offer.duration_s_max);
    if !fits {
        found.add(
            "V-19",
            "duration",
            format!("{} is out of range; {feature} takes {range}", told(given)),
        );
    } else if with_videos && given > 10 {
        found.add(
            "V-20",
            "duration",
            format!("{given} is out of range; reference with video_refs takes 2 to 10"),
        );
    } else if given > limit {
        found.add(
            "V-26",
            "duration",
            format!("{given} is beyond this engine; it takes at most {limit}"),
        );
    }
    // What is far too long is not called shorter than a clip as well.
    u8::try_from(given.max(0)).unwrap_or(u8::MAX)
}

/// A continuation says how long the whole is, so it has to be longer than the clip it continues (V-21).
fn check_clip_is_shorter(draft: &Draft, feature: Feature, duration_s: u8, found: &mut Violations) {
    if !matches!(feature, Feature::TextImage | Feature::Frames) {
        return;
    }
    let Some(clip_ms) = draft.video.as_ref().and_then(Source::duration_ms) else {
        return;
    };
    if let Some(message) = clip_too_long(clip_ms, duration_s) {
        found.add("V-21", "duration", message);
    }
}

/// Why a clip of `clip_ms` cannot be continued to `duration_s`, or `None` if it can (V-21).
pub fn clip_too_long(clip_ms: u64, duration_s: u8) -> Option<String> {
    (u64::from(duration_s) * 1000 <= clip_ms).then(|| {
        let clip_s = clip_ms as f64 / 1000.0;
        format!(
            "{duration_s} is the length of the whole video and must exceed the clip's {clip_s:.2} s; send at \
             least {}",
            clip_ms / 1000 + 1
        )
    })
}

fn read_multi_shots(draft: &Draft, feature: Feature, found: &mut Violations) -> bool {
    let multi_shots = draft.multi_shots.unwrap_or(false);
    if multi_shots && feature != Feature::Reference {
        found.add(
            "V-22",
            "multi_shots",
            format!("true is for reference only; {feature} takes false"),
        );
    }
    multi_shots
}

fn read_audio_setting(draft: &Draft, feature: Feature, found: &mut Violations) -> AudioSetting {
    let Some(given) = &draft.audio_setting else {
        return AudioSetting::Auto;
    };
    match AudioSetting::ALL
        .into_iter()
        .find(|setting| setting.as_str() == given)
    {
        None => {
            found.add(
                "V-23",
                "audio_setting",
                format!("{} is not one of auto, origin", quoted(given)),
            );
            AudioSetting::Auto
        }
        Some(AudioSetting::Origin) if feature != Feature::EditVideo => {
            found.add(
                "V-23",
                "audio_setting",
                format!(
                    "origin is for edit-video; {feature} takes auto. To edit a clip send feature edit-video"
                ),
            );
            AudioSetting::Origin
        }
        Some(setting) => setting,
    }
}

fn read_seed(draft: &Draft, drawn: Seed, found: &mut Violations) -> Seed {
    let Some(given) = draft.seed else { return drawn };
    Seed::new(given).unwrap_or_else(|| {
        found.add(
            "V-24",
            "seed",
            format!("{} is out of range; 0 to {SEED_MAX} are taken", told(given)),
        );
        drawn
    })
}

fn read_n(draft: &Draft, found: &mut Violations) -> u8 {
    let given = draft.n.unwrap_or(1);
    if !(1..=CLIPS_MAX).contains(&given) {
        found.add(
            "V-28",
            "n",
            format!("{} is out of range; 1 to {CLIPS_MAX} are taken", told(given)),
        );
    }
    u8::try_from(given).unwrap_or(1)
}

/// The case a draft without violations stands for; `None` only if a check above is missing.
fn workflow(draft: Draft, feature: Feature, multi_shots: bool, audio: AudioSetting) -> Option<Workflow> {
    Some(match feature {
        Feature::TextImage | Feature::Frames => match (draft.image, draft.video, draft.end_image) {
            (None, None, _) => Workflow::Text { audio: draft.audio },
            (Some(image), _, None) => Workflow::Image {
                image,
                audio: draft.audio,
            },
            (Some(first), _, Some(last)) => Workflow::FirstLast {
                first,
                last,
                audio: draft.audio,
            },
            (None, Some(clip), last) => Workflow::Continuation { clip, last },
        },
        Feature::Reference => Workflow::Reference {
            images: draft.reference_images,
            videos: draft.video_refs,
            multi_shots,
        },
        Feature::EditVideo => Workflow::Edit {
            clip: draft.video?,
            image: draft
                .reference_image
                .or_else(|| draft.reference_images.into_iter().next()),
            audio,
        },
    })
}

fn names(names: &[&str]) -> String {
    names.join(", ")
}

/// A number for a message. The ends of the range stand for whatever lies beyond them.
fn told(number: i64) -> String {
    match number {
        i64::MIN | i64::MAX => "a number beyond 64 bits".to_owned(),
        _ => number.to_string(),
    }
}

/// A client's text for a message: quoted, its control characters escaped, cut where it grows long.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{:?}{}", short, if short.len() < text.len() { "…" } else { "" })
}
