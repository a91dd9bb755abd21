//! What this server offers, as published: models, their features and limits, prices, and how busy their engines are.

use kinora_domain::{
    AspectRatio, Catalog, Feature, FeatureOffer, Model, Offer, OfferFigures, OfferId, PriceTable, Resolution,
    Start,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::schema;
use crate::http::queue::Figures;

/// The models.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelsView {
    /// One entry a model.
    pub data: Vec<ModelView>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelView {
    /// Provider and model, as they stand in paths.
    #[schema(example = "wan/wan-v2.7-video")]
    pub id: &'static str,
    /// Where to post to.
    pub endpoint: String,
    /// Where to post to for a stream of events.
    pub sse_endpoint: String,
    /// The engines that make its videos, in order of preference.
    pub engines: Vec<EngineView>,
    /// What it can do here, and its limits.
    pub features: Vec<FeatureView>,
    /// What it costs.
    pub prices: Vec<PriceView>,
}

/// An engine that makes videos.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EngineView {
    /// Its name.
    #[schema(example = "wan-mini")]
    pub id: String,
    /// What it is good for.
    pub about: String,
    /// For which workflows it is asked.
    #[schema(schema_with = schema::feature_list)]
    pub features: Vec<&'static str>,
    /// How busy it is, a few seconds ago at most; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub queue: Option<EngineQueueView>,
}

/// How busy an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct EngineQueueView {
    /// Workers that take work for it. 0: what is created waits for one to come.
    #[schema(minimum = 0, value_type = i64)]
    pub workers: u64,
    /// Generations that wait for it.
    #[schema(minimum = 0, value_type = i64)]
    pub queued: u64,
    /// Generations that it makes.
    #[schema(minimum = 0, value_type = i64)]
    pub running: u64,
    /// About how long one slot would need for what waits, in seconds.
    #[schema(minimum = 0)]
    pub queue_seconds: f64,
}

/// The limits of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FeatureView {
    /// Which feature.
    #[schema(schema_with = schema::features)]
    pub feature: &'static str,
    /// What a clip can start from.
    #[schema(schema_with = schema::start_list)]
    pub starts: Vec<&'static str>,
    /// Resolutions.
    #[schema(schema_with = schema::resolution_list)]
    pub resolutions: Vec<&'static str>,
    /// Aspect ratios.
    #[schema(schema_with = schema::aspect_ratio_list)]
    pub aspect_ratios: Vec<&'static str>,
    /// Seconds.
    pub duration: DurationView,
    /// The most reference images.
    #[schema(minimum = 0, maximum = 8, value_type = i32)]
    pub max_reference_images: usize,
    /// The most reference videos.
    #[schema(minimum = 0, maximum = 8, value_type = i32)]
    pub max_reference_videos: usize,
    /// The most references of both kinds together.
    #[schema(minimum = 0, maximum = 16, value_type = i32)]
    pub max_references: usize,
    /// Whether `audio_url` is taken.
    pub audio_input: bool,
}

/// The durations that a feature takes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct DurationView {
    /// The shortest; 0 keeps the length of the clip that is edited, and 1 is never taken.
    #[schema(minimum = 0, maximum = 15, value_type = i32)]
    pub min: u8,
    /// The longest.
    #[schema(minimum = 0, maximum = 15, value_type = i32)]
    pub max: u8,
    /// Taken when none is sent.
    #[schema(minimum = 0, maximum = 15, value_type = i32)]
    pub default: u8,
}

/// The price of one feature at one resolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PriceView {
    /// Which resolution.
    #[schema(schema_with = schema::resolutions)]
    pub resolution: &'static str,
    /// Which feature.
    #[schema(schema_with = schema::features)]
    pub feature: &'static str,
    /// Credits for each second.
    #[schema(minimum = 0, value_type = i64)]
    pub credits_per_second: u64,
    /// Whether seconds of input clips count too.
    pub bills_input: bool,
}

impl ModelsView {
    /// What the offers of an installation can do together, and how busy they are.
    pub fn new(catalog: &Catalog, prices: &PriceTable, figures: Option<&Figures>) -> ModelsView {
        let model = |model: Model| {
            let limits = features_of(model)
                .iter()
                .filter_map(|feature| together(*feature, catalog));
            let limits: Vec<FeatureOffer> = limits.collect();
            ModelView {
                engines: engines(model, catalog, figures),
                id: model.as_str(),
                endpoint: format!("/api/v1/generation/{model}"),
                sse_endpoint: format!("/api/v1/generation/sse/{model}"),
                prices: limits.iter().flat_map(|offer| prices_of(offer, prices)).collect(),
                features: limits.iter().map(FeatureView::new).collect(),
            }
        };
        ModelsView {
            data: Model::ALL.map(model).into(),
        }
    }
}

/// The engines that are asked for a model's features: in the order of the first of these, then of the next.
fn engines(model: Model, catalog: &Catalog, figures: Option<&Figures>) -> Vec<EngineView> {
    let mut engines: Vec<EngineView> = Vec::new();
    for feature in features_of(model) {
        for (id, _) in catalog.of(*feature) {
            let known = engines.iter_mut().find(|engine| engine.id == id.0);
            match (known, catalog.offers().iter().find(|offer| offer.id == *id)) {
                (Some(engine), _) => engine.features.push(feature.as_str()),
                (None, Some(offer)) => engines.push(EngineView::new(offer, *feature, figures)),
                (None, None) => {}
            }
        }
    }
    engines
}

/// What can be asked of a feature at all: the widest limits of its engines. Not every combination of them is within one.
fn together(feature: Feature, catalog: &Catalog) -> Option<FeatureOffer> {
    let offers: Vec<&FeatureOffer> = catalog.of(feature).map(|(_, limits)| limits).collect();
    let most = |of: fn(&FeatureOffer) -> usize| offers.iter().map(|offer| of(offer)).max();
    Some(FeatureOffer {
        feature,
        starts: any(&Start::ALL, |start| {
            offers.iter().any(|o| o.starts.contains(start))
        }),
        resolutions: any(&Resolution::ALL, |resolution| {
            offers.iter().any(|o| o.resolutions.contains(resolution))
        }),
        aspect_ratios: any(&AspectRatio::ALL, |ratio| {
            offers.iter().any(|o| o.aspect_ratios.contains(ratio))
        }),
        duration_s_max: offers.iter().map(|offer| offer.duration_s_max).max()?,
        reference_images_max: most(|offer| offer.reference_images_max)?,
        reference_videos_max: most(|offer| offer.reference_videos_max)?,
        references_max: most(|offer| offer.references_max)?,
        audio_input: offers.iter().any(|offer| offer.audio_input),
    })
}

fn any<T: Copy>(all: &[T], wanted: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().copied().filter(wanted).collect()
}

impl EngineView {
    fn new(offer: &Offer, feature: Feature, figures: Option<&Figures>) -> EngineView {
        let Offer {
            id,
            about,
            features: _,
        } = offer;
        EngineView {
            id: id.to_string(),
            about: about.clone(),
            features: vec![feature.as_str()],
            queue: figures.map(|figures| EngineQueueView::new(id, figures)),
        }
    }
}

impl EngineQueueView {
    fn new(id: &OfferId, figures: &Figures) -> EngineQueueView {
        let known = figures.offers.iter().find(|offer| offer.offer == *id);
        let figures_of = known.cloned().unwrap_or_else(|| OfferFigures::none(id.clone()));
        EngineQueueView {
            workers: figures.takers(id).0,
            queued: figures_of.queued,
            running: figures_of.running,
            queue_seconds: figures_of.queue_ms() as f64 / 1000.0,
        }
    }
}

impl FeatureView {
    fn new(offer: &FeatureOffer) -> FeatureView {
        let FeatureOffer {
            feature,
            starts,
            resolutions,
            aspect_ratios,
            duration_s_max,
            reference_images_max,
            reference_videos_max,
            references_max,
            audio_input,
        } = offer;
        let (min, default) = match feature {
            Feature::TextImage | Feature::Frames | Feature::Reference => (2, 5),
            Feature::EditVideo => (0, 0),
        };
        FeatureView {
            feature: feature.as_str(),
            starts: starts.iter().map(|start| start.as_str()).collect(),
            resolutions: resolutions.iter().map(|resolution| resolution.as_str()).collect(),
            aspect_ratios: aspect_ratios.iter().map(|aspect| aspect.as_str()).collect(),
            duration: DurationView {
                min,
                max: *duration_s_max,
                default,
            },
            max_reference_images: *reference_images_max,
            max_reference_videos: *reference_videos_max,
            max_references: *references_max,
            audio_input: *audio_input,
        }
    }
}

fn features_of(model: Model) -> &'static [Feature] {
    match model {
        Model::WanVideo => &Feature::ALL,
        Model::WanEdit => &[Feature::EditVideo],
    }
}

fn prices_of(offer: &FeatureOffer, prices: &PriceTable) -> Vec<PriceView> {
    let bills_input = match offer.feature {
        Feature::TextImage | Feature::Frames => false,
        Feature::Reference | Feature::EditVideo => true,
    };
    let price = |resolution: &kinora_domain::Resolution| PriceView {
        resolution: resolution.as_str(),
        feature: offer.feature.as_str(),
        credits_per_second: prices.rate(*resolution),
        bills_input,
    };
    offer.resolutions.iter().map(price).collect()
}
