//! Offers: what an engine can do, and its limits, as published and as checked before money is held.

use std::{fmt, str::FromStr};

use crate::{
    feature::Feature,
    frame_size::{AspectRatio, Resolution},
};

/// A model of the wire: the resource a request is posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// All four workflows.
    WanVideo,
    /// The edit workflow alone, with fewer members and several results.
    WanEdit,
}

impl Model {
    /// Both.
    pub const ALL: [Model; 2] = [Model::WanVideo, Model::WanEdit];

    /// Provider and model as they stand in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Model::WanVideo => "wan/wan-v2.7-video",
            Model::WanEdit => "wan/wan-v2.7/edit-video",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Model {
    type Err = ();

    fn from_str(text: &str) -> Result<Model, ()> {
        Model::ALL
            .into_iter()
            .find(|model| model.as_str() == text)
            .ok_or(())
    }
}

/// The name of an offer: which engine a generation is queued for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub String);

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one engine can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub id: OfferId,
    /// What it is good for, sentences for people.
    pub about: String,
    /// One entry for each feature it has; a feature that is missing here is refused.
    pub features: Vec<FeatureOffer>,
}

impl Offer {
    /// An offer of everything the contract documents.
    pub fn unlimited(id: &str, about: &str) -> Offer {
        let features = Feature::ALL.into_iter().map(FeatureOffer::documented).collect();
        Offer {
            id: OfferId(id.to_owned()),
            about: about.to_owned(),
            features,
        }
    }

    /// What it can do for `feature`.
    pub fn feature(&self, feature: Feature) -> Option<&FeatureOffer> {
        self.features.iter().find(|offer| offer.feature == feature)
    }
}

/// What a clip starts from: finer than a feature, for not every engine does all of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// The prompt alone.
    Text,
    /// A first frame.
    FirstFrame,
    /// A first and a last frame.
    FirstAndLastFrame,
    /// A clip to go on from.
    Clip,
    /// A clip to go on from, and a last frame.
    ClipAndLastFrame,
    /// References.
    References,
    /// A clip to change.
    ClipToEdit,
}

impl Start {
    /// All of them.
    pub const ALL: [Start; 7] = [
        Start::Text,
        Start::FirstFrame,
        Start::FirstAndLastFrame,
        Start::Clip,
        Start::ClipAndLastFrame,
        Start::References,
        Start::ClipToEdit,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            Start::Text => "text",
            Start::FirstFrame => "first-frame",
            Start::FirstAndLastFrame => "first-and-last-frame",
            Start::Clip => "clip",
            Start::ClipAndLastFrame => "clip-and-last-frame",
            Start::References => "references",
            Start::ClipToEdit => "clip-to-edit",
        }
    }

    /// What a feature starts from by the documentation.
    pub fn of_feature(feature: Feature) -> &'static [Start] {
        match feature {
            Feature::TextImage => &[
                Start::Text,
                Start::FirstFrame,
                Start::FirstAndLastFrame,
                Start::Clip,
                Start::ClipAndLastFrame,
            ],
            Feature::Frames => &[
                Start::FirstFrame,
                Start::FirstAndLastFrame,
                Start::Clip,
                Start::ClipAndLastFrame,
            ],
            Feature::Reference => &[Start::References],
            Feature::EditVideo => &[Start::ClipToEdit],
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The limits of one feature in one offer. They lie within the documented ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureOffer {
    /// Which feature.
    pub feature: Feature,
    /// What it can start from.
    pub starts: Vec<Start>,
    /// Resolutions it can deliver.
    pub resolutions: Vec<Resolution>,
    /// Aspect ratios it can deliver.
    pub aspect_ratios: Vec<AspectRatio>,
    /// The longest clip, in seconds.
    pub duration_s_max: u8,
    /// The most reference images.
    pub reference_images_max: usize,
    /// The most reference videos.
    pub reference_videos_max: usize,
    /// The most references of both kinds together.
    pub references_max: usize,
    /// Whether sound can drive or accompany the clip.
    pub audio_input: bool,
}

impl FeatureOffer {
    /// The documented limits of a feature, which nothing exceeds.
    pub fn documented(feature: Feature) -> FeatureOffer {
        let (images, videos) = match feature {
            Feature::TextImage | Feature::Frames => (0, 0),
            Feature::Reference => (REFERENCES_MAX, REFERENCES_MAX),
            Feature::EditVideo => (1, 0),
        };
        FeatureOffer {
            feature,
            starts: Start::of_feature(feature).to_vec(),
            resolutions: Resolution::ALL.to_vec(),
            aspect_ratios: AspectRatio::ALL.to_vec(),
            duration_s_max: if feature == Feature::EditVideo { 10 } else { 15 },
            reference_images_max: images,
            reference_videos_max: videos,
            references_max: images + videos,
            audio_input: matches!(feature, Feature::TextImage | Feature::Frames),
        }
    }
}

/// The most items an array of references takes.
pub const REFERENCES_MAX: usize = 8;
