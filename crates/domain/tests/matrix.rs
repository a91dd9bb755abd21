//! The validation matrix: every combination of members that a request can have, with every feature named or left to
//! be inferred, against an oracle written straight from the matrix's columns.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use kinora_domain::{
    Draft, Feature, GenerationSpec, Seed, Source, SpecRules, Workflow,
    feature::{Present, infer},
};

const MEMBERS: [&str; 8] = [
    "prompt",
    "image_url",
    "end_image_url",
    "video_url",
    "reference_image_urls",
    "reference_image_url",
    "video_refs",
    "audio_url",
];

/// One column of the matrix: what has to be there, and what may.
struct Column {
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

const TEXT: Column = Column {
    name: "text only",
    required: &["prompt"],
    optional: &["audio_url"],
};
const IMAGE: Column = Column {
    name: "image",
    required: &["image_url"],
    optional: &["prompt", "audio_url"],
};
const FIRST_LAST: Column = Column {
    name: "first + last",
    required: &["image_url", "end_image_url"],
    optional: &["prompt", "audio_url"],
};
const CONTINUATION: Column = Column {
    name: "continuation",
    required: &["video_url"],
    optional: &["prompt"],
};
const CLIP_LAST: Column = Column {
    name: "clip + last",
    required: &["video_url", "end_image_url"],
    optional: &["prompt"],
};
const REFERENCE_IMAGES: Column = Column {
    name: "reference",
    required: &["prompt", "reference_image_urls"],
    optional: &["video_refs"],
};
const REFERENCE_VIDEOS: Column = Column {
    name: "reference",
    required: &["prompt", "video_refs"],
    optional: &["reference_image_urls"],
};
const EDIT: Column = Column {
    name: "edit-video",
    required: &["prompt", "video_url"],
    optional: &["reference_image_urls", "reference_image_url"],
};

/// The columns a feature has. `frames` has no text-only one.
fn columns(feature: Feature) -> &'static [Column] {
    match feature {
        Feature::TextImage => &[TEXT, IMAGE, FIRST_LAST, CONTINUATION, CLIP_LAST],
        Feature::Frames => &[IMAGE, FIRST_LAST, CONTINUATION, CLIP_LAST],
        Feature::Reference => &[REFERENCE_IMAGES, REFERENCE_VIDEOS],
        Feature::EditVideo => &[EDIT],
    }
}

impl Column {
    fn fits(&self, members: &[&str]) -> bool {
        let known = |member: &&str| self.required.contains(member) || self.optional.contains(member);
        self.required.iter().all(|member| members.contains(member)) && members.iter().all(known)
    }
}

fn draft(feature: Option<Feature>, members: &[&str]) -> Draft {
    let url = |member: &str| {
        members
            .contains(&member)
            .then(|| Source::Url("https://media.example/x".to_owned()))
    };
    Draft {
        feature: feature.map(|feature| feature.to_string()),
        prompt: members.contains(&"prompt").then(|| "a boat".to_owned()),
        image: url("image_url"),
        end_image: url("end_image_url"),
        video: url("video_url"),
        reference_images: url("reference_image_urls").into_iter().collect(),
        reference_image: url("reference_image_url"),
        video_refs: url("video_refs").into_iter().collect(),
        audio: url("audio_url"),
        ..Draft::default()
    }
}

fn column_of(spec: &GenerationSpec) -> &'static str {
    match &spec.workflow {
        Workflow::Text { .. } => "text only",
        Workflow::Image { .. } => "image",
        Workflow::FirstLast { .. } => "first + last",
        Workflow::Continuation { last: None, .. } => "continuation",
        Workflow::Continuation { last: Some(_), .. } => "clip + last",
        Workflow::Reference { .. } => "reference",
        Workflow::Edit { .. } => "edit-video",
    }
}

#[test]
fn every_combination_of_members_is_judged_by_the_matrix() {
    let rules = SpecRules {
        offer: &|_| None,
        url_problem: &|_| None,
        drawn_seed: Seed::from_entropy(1),
    };
    let (mut accepted, mut refused) = (0, 0);
    for feature in [None].into_iter().chain(Feature::ALL.map(Some)) {
        for combination in 0..1 << MEMBERS.len() {
            let members: Vec<&str> = (0..MEMBERS.len())
                .filter(|index| combination >> index & 1 == 1)
                .map(|index| MEMBERS[index])
                .collect();
            let has = |member| members.contains(&member);
            let meant = feature.unwrap_or_else(|| {
                infer(Present {
                    video: has("video_url"),
                    end_image: has("end_image_url"),
                    reference_image: has("reference_image_url"),
                    reference_images: has("reference_image_urls"),
                    video_refs: has("video_refs"),
                })
            });
            let expected = columns(meant)
                .iter()
                .find(|column| column.fits(&members))
                .map(|column| column.name);
            let parsed = GenerationSpec::parse(draft(feature, &members), &rules);
            let found = parsed.as_ref().ok().map(column_of);
            assert_eq!(
                found, expected,
                "feature {feature:?} with {members:?}: {parsed:?}"
            );
            if let Err(violations) = parsed {
                assert!(!violations.is_empty());
                let named = |field: &str| MEMBERS.contains(&field);
                assert!(
                    violations.iter().all(|violation| named(&violation.field)),
                    "{violations:?}"
                );
                refused += 1;
            } else {
                accepted += 1;
            }
        }
    }
    assert_eq!(accepted + refused, 5 * 256);
    assert!(
        accepted > 40 && refused > 1000,
        "{accepted} accepted, {refused} refused"
    );
}
