//! Offers: what an engine can do, and its limits, as published and as checked before money is held.

use std::{cell::RefCell, fmt, str::FromStr};

use crate::{
    feature::Feature,
    frame_size::{AspectRatio, Resolution},
    spec::{Draft, GenerationSpec, Member, Seed, SpecRules, Violation, Workflow},
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

/// The offers of an installation, and for each feature the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    offers: Vec<Offer>,
    routes: Vec<(Feature, Vec<OfferId>)>,
}

/// Where a generation goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextOffer {
    /// The offer.
    pub id: OfferId,
    /// Whether the order has come to its end and begins again.
    pub is_again: bool,
}

impl Catalog {
    /// Offers that are asked in this order, whatever the feature.
    pub fn new(offers: Vec<Offer>) -> Catalog {
        let order: Vec<OfferId> = offers.iter().map(|offer| offer.id.clone()).collect();
        Catalog::with_routes(offers, |_| order.clone())
    }

    /// Offers that are asked in the order that `route` gives for each feature. Names without an offer are passed over,
    /// and so is an offer without the feature.
    pub fn with_routes(offers: Vec<Offer>, route: impl Fn(Feature) -> Vec<OfferId>) -> Catalog {
        let routes = Feature::ALL.map(|feature| (feature, route(feature))).into();
        Catalog { offers, routes }
    }

    /// All of them.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// Who may run a feature, in order, and its limits there.
    pub fn of(&self, feature: Feature) -> impl Iterator<Item = (&OfferId, &FeatureOffer)> {
        let route = self.routes.iter().filter(move |(routed, _)| *routed == feature);
        route.flat_map(|(_, ids)| ids).filter_map(move |id| {
            let offer = self.offers.iter().find(|offer| offer.id == *id)?;
            Some((&offer.id, offer.feature(feature)?))
        })
    }

    /// The spec of a draft, judged by the limits of the offers in their order until it lies within some, and the first
    /// offer within whose limits it does: none where nobody has the feature, which is then judged by what is documented.
    ///
    /// Where it lies within none, what is told is what the nearest one lacks: that which refuses the fewest members, and
    /// of several the first.
    pub fn judge(
        &self,
        draft: &Draft,
        url_problem: &dyn Fn(&str) -> Option<String>,
        drawn_seed: Seed,
    ) -> Result<(GenerationSpec, Option<OfferId>), Vec<Violation>> {
        let mut nearest: Option<Vec<Violation>> = None;
        let mut index = 0;
        loop {
            let asked = RefCell::new(None);
            let rules = SpecRules {
                offer: &|feature| {
                    let (id, limits) = self.of(feature).nth(index)?;
                    *asked.borrow_mut() = Some(id.clone());
                    Some(limits.clone())
                },
                url_problem,
                drawn_seed,
            };
            let judged = GenerationSpec::parse(draft.clone(), &rules);
            match (judged, asked.into_inner()) {
                (Ok(spec), Some(id)) => return Ok((spec, Some(id))),
                // The order is at its end; nobody has the feature if that is its beginning, too.
                (judged, None) => return nearest.map_or(judged.map(|spec| (spec, None)), Err),
                (Err(found), Some(_)) => {
                    if nearest.as_ref().is_none_or(|nearest| found.len() < nearest.len()) {
                        nearest = Some(found);
                    }
                }
            }
            index += 1;
        }
    }

    /// Who takes over a generation that `current` could not begin: the next that can make it, and after the last the first.
    pub fn after(&self, spec: &GenerationSpec, current: &OfferId) -> Option<NextOffer> {
        let able: Vec<&OfferId> = self
            .of(spec.feature)
            .filter(|(id, limits)| *id == current || limits.takes(spec))
            .map(|(id, _)| id)
            .collect();
        let index = able.iter().position(|id| *id == current)?;
        let next = able.get(index + 1).or_else(|| able.first())?;
        (*next != current).then(|| NextOffer {
            id: (*next).clone(),
            is_again: index + 1 == able.len(),
        })
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

    /// What a workflow starts from.
    pub fn of(workflow: &Workflow) -> Start {
        match workflow {
            Workflow::Text { .. } => Start::Text,
            Workflow::Image { .. } => Start::FirstFrame,
            Workflow::FirstLast { .. } => Start::FirstAndLastFrame,
            Workflow::Continuation { last: None, .. } => Start::Clip,
            Workflow::Continuation { last: Some(_), .. } => Start::ClipAndLastFrame,
            Workflow::Reference { .. } => Start::References,
            Workflow::Edit { .. } => Start::ClipToEdit,
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

impl FeatureOffer {
    /// Whether a spec lies within these limits. Judging a draft says more: what is beyond them, member by member.
    pub fn takes(&self, spec: &GenerationSpec) -> bool {
        let has_audio = spec
            .workflow
            .sources()
            .iter()
            .any(|(member, _)| *member == Member::Audio);
        let (images, videos) = match &spec.workflow {
            Workflow::Reference { images, videos, .. } => (images.len(), videos.len()),
            Workflow::Edit { image, .. } => (usize::from(image.is_some()), 0),
            Workflow::Text { .. }
            | Workflow::Image { .. }
            | Workflow::FirstLast { .. }
            | Workflow::Continuation { .. } => (0, 0),
        };
        self.feature == spec.feature
            && self.starts.contains(&Start::of(&spec.workflow))
            && self.resolutions.contains(&spec.resolution)
            && spec
                .aspect_ratio
                .is_none_or(|ratio| self.aspect_ratios.contains(&ratio))
            && spec.duration_s <= self.duration_s_max
            && images <= self.reference_images_max
            && videos <= self.reference_videos_max
            && images + videos <= self.references_max
            && (self.audio_input || !has_audio)
    }
}

/// The most items an array of references takes.
pub const REFERENCES_MAX: usize = 8;
