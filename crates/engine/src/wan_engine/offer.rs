//! What a checkpoint can do, as the service publishes and checks it.

use kinora_domain::{
    AspectRatio, Feature, FeatureOffer, Offer, OfferId, Resolution, Start, catalog::REFERENCES_MAX,
};
use kinora_wan::{Capabilities, capabilities::Family};

/// The offer of a checkpoint. Features of which it does nothing are left out.
pub(super) fn offer(name: &str, capabilities: &Capabilities) -> Offer {
    let about = capabilities
        .about
        .clone()
        .unwrap_or_else(|| format!("A Wan checkpoint: {}.", capabilities.conditionings.join(", ")));
    Offer {
        id: OfferId(name.to_owned()),
        about,
        features: Feature::ALL
            .into_iter()
            .filter_map(|feature| feature_offer(feature, capabilities))
            .collect(),
    }
}

fn feature_offer(feature: Feature, capabilities: &Capabilities) -> Option<FeatureOffer> {
    let documented = FeatureOffer::documented(feature);
    let starts: Vec<Start> = Start::of_feature(feature)
        .iter()
        .copied()
        .filter(|start| can_start(*start, capabilities))
        .collect();
    let seconds = longest_s(feature, capabilities).min(documented.duration_s_max);
    if starts.is_empty() || seconds < 2 {
        return None;
    }
    let images = reference_images(feature, capabilities);
    let videos = match feature {
        Feature::Reference if capabilities.takes_reference_videos => images,
        Feature::TextImage | Feature::Frames | Feature::Reference | Feature::EditVideo => 0,
    };
    Some(FeatureOffer {
        feature,
        starts,
        resolutions: Resolution::ALL.into(),
        aspect_ratios: AspectRatio::ALL.into(),
        duration_s_max: seconds,
        reference_images_max: images,
        reference_videos_max: videos,
        references_max: images,
        audio_input: documented.audio_input,
    })
}

fn can_start(start: Start, capabilities: &Capabilities) -> bool {
    let does = |conditioning| capabilities.conditionings.contains(&conditioning);
    match start {
        Start::Text => does("text"),
        Start::FirstFrame => does("first frame"),
        Start::FirstAndLastFrame => does("first and last frame"),
        Start::Clip => does("continuation"),
        Start::ClipAndLastFrame => capabilities.family == Family::Vace,
        Start::References => does("references"),
        Start::ClipToEdit => does("edit"),
    }
}

/// Whole seconds. What can go on from its own end has no longest clip of its own.
fn longest_s(feature: Feature, capabilities: &Capabilities) -> u8 {
    let goes_on = capabilities.conditionings.contains(&"continuation");
    let has_segments = match feature {
        Feature::TextImage | Feature::Frames | Feature::Reference => goes_on,
        // Each part of the clip is changed by itself.
        Feature::EditVideo => true,
    };
    let defaults = &capabilities.defaults;
    let at_once = (defaults.num_frames.saturating_sub(1)) / defaults.fps.max(1);
    if has_segments {
        u8::MAX
    } else {
        u8::try_from(at_once).unwrap_or(u8::MAX)
    }
}

fn reference_images(feature: Feature, capabilities: &Capabilities) -> usize {
    let most = capabilities.defaults.references.min(REFERENCES_MAX);
    match (feature, capabilities.family) {
        (Feature::Reference, _) => most,
        // A source model was tuned for pictures beside the clip; VACE was not.
        (Feature::EditVideo, Family::Sources) => 1,
        (Feature::EditVideo, _) | (Feature::TextImage | Feature::Frames, _) => 0,
    }
}
