//! What the hosted models can do, as the service publishes and checks it.

use kinora_domain::{Feature, FeatureOffer, Offer, OfferId, Start};

/// The most references of both kinds together.
const REFERENCES_MAX: usize = 5;

/// The offer. Without a public URL there are neither clips nor sounds in it.
pub(super) fn offer(name: &str, is_public: bool) -> Offer {
    let limits = |feature| {
        let documented = FeatureOffer::documented(feature);
        let references = documented.reference_images_max.min(REFERENCES_MAX);
        let videos = documented.reference_videos_max.min(REFERENCES_MAX);
        let mut starts = documented.starts.clone();
        if !is_public {
            starts.retain(|start| !shows_clip(*start));
        }
        FeatureOffer {
            starts,
            reference_images_max: references,
            reference_videos_max: if is_public { videos } else { 0 },
            references_max: references.max(videos),
            audio_input: documented.audio_input && is_public,
            ..documented
        }
    };
    Offer {
        id: OfferId(name.to_owned()),
        about:
            "The hosted Wan 2.7 models: all four workflows, with sound. Prompts and inputs leave this server."
                .to_owned(),
        features: Feature::ALL
            .into_iter()
            .map(limits)
            .filter(|limits| !limits.starts.is_empty())
            .collect(),
    }
}

/// Whether it needs the service to fetch a clip.
fn shows_clip(start: Start) -> bool {
    match start {
        Start::Clip | Start::ClipAndLastFrame | Start::ClipToEdit => true,
        Start::Text | Start::FirstFrame | Start::FirstAndLastFrame | Start::References => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_and_sounds_need_a_public_url() {
        let check = |is_public, feature, expected: Option<(usize, [usize; 3], bool)>| {
            let offer = offer("wan-2.7", is_public);
            let found = offer.feature(feature).map(|limits| {
                let references = [
                    limits.reference_images_max,
                    limits.reference_videos_max,
                    limits.references_max,
                ];
                (limits.starts.len(), references, limits.audio_input)
            });
            assert_eq!(found, expected, "{feature}, {is_public}");
        };
        check(true, Feature::TextImage, Some((5, [0, 0, 0], true)));
        check(true, Feature::Frames, Some((4, [0, 0, 0], true)));
        check(true, Feature::Reference, Some((1, [5, 5, 5], false)));
        check(true, Feature::EditVideo, Some((1, [1, 0, 1], false)));
        check(false, Feature::TextImage, Some((3, [0, 0, 0], false)));
        check(false, Feature::Frames, Some((2, [0, 0, 0], false)));
        check(false, Feature::Reference, Some((1, [5, 0, 5], false)));
        check(false, Feature::EditVideo, None);
    }
}
