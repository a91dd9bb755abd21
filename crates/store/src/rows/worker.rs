//! The JSON that rows of workers and offers hold.
//!
//! Programs of several versions read these rows at the same time, while an installation is upgraded: a word that this one
//! does not know is something that this one cannot offer, and no reason to read none of the rest.

use kinora_domain::{
    AnnouncedOffer, AspectRatio, Feature, FeatureOffer, Hardware, Offer, OfferId, Resolution, Start,
};
use serde::{Deserialize, Serialize};

use super::{Problem, from_json, to_json};

/// Offers as the text of a row.
pub(crate) fn offers_to_json(offers: &[AnnouncedOffer]) -> String {
    to_json(&offers.iter().map(OfferRow::from).collect::<Vec<_>>())
}

/// The offers in the text of a row.
pub(crate) fn offers_from_json(text: &str) -> Result<Vec<AnnouncedOffer>, Problem> {
    Ok(from_json::<Vec<OfferRow>>(text)?
        .into_iter()
        .map(OfferRow::into_offer)
        .collect())
}

/// One offer as the text of a row.
pub(crate) fn offer_to_json(offer: &AnnouncedOffer) -> String {
    to_json(&OfferRow::from(offer))
}

/// The offer in the text of a row.
pub(crate) fn offer_from_json(text: &str) -> Result<AnnouncedOffer, Problem> {
    Ok(from_json::<OfferRow>(text)?.into_offer())
}

/// Hardware as the text of a row.
pub(crate) fn hardware_to_json(hardware: &Hardware) -> String {
    let Hardware {
        cores,
        memory_bytes,
        cpu_features,
    } = hardware.clone();
    to_json(&HardwareRow {
        cores,
        memory_bytes,
        cpu_features,
    })
}

/// The hardware in the text of a row.
pub(crate) fn hardware_from_json(text: &str) -> Result<Hardware, Problem> {
    let HardwareRow {
        cores,
        memory_bytes,
        cpu_features,
    } = from_json(text)?;
    Ok(Hardware {
        cores,
        memory_bytes,
        cpu_features,
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct HardwareRow {
    cores: u32,
    memory_bytes: u64,
    cpu_features: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OfferRow {
    id: String,
    section: String,
    about: String,
    features: Vec<FeatureRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FeatureRow {
    feature: String,
    starts: Vec<String>,
    resolutions: Vec<String>,
    aspect_ratios: Vec<String>,
    duration_s_max: u8,
    reference_images_max: usize,
    reference_videos_max: usize,
    references_max: usize,
    audio_input: bool,
}

impl From<&AnnouncedOffer> for OfferRow {
    fn from(announced: &AnnouncedOffer) -> OfferRow {
        let AnnouncedOffer {
            offer: Offer { id, about, features },
            section,
        } = announced;
        OfferRow {
            id: id.0.clone(),
            section: section.clone(),
            about: about.clone(),
            features: features.iter().map(FeatureRow::from).collect(),
        }
    }
}

impl OfferRow {
    fn into_offer(self) -> AnnouncedOffer {
        let OfferRow {
            id,
            section,
            about,
            features,
        } = self;
        AnnouncedOffer {
            offer: Offer {
                id: OfferId(id),
                about,
                features: features
                    .into_iter()
                    .filter_map(FeatureRow::into_feature)
                    .collect(),
            },
            section,
        }
    }
}

impl From<&FeatureOffer> for FeatureRow {
    fn from(offer: &FeatureOffer) -> FeatureRow {
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
        FeatureRow {
            feature: feature.as_str().to_owned(),
            starts: starts.iter().map(|start| start.as_str().to_owned()).collect(),
            resolutions: resolutions
                .iter()
                .map(|resolution| resolution.as_str().to_owned())
                .collect(),
            aspect_ratios: aspect_ratios
                .iter()
                .map(|ratio| ratio.as_str().to_owned())
                .collect(),
            duration_s_max: *duration_s_max,
            reference_images_max: *reference_images_max,
            reference_videos_max: *reference_videos_max,
            references_max: *references_max,
            audio_input: *audio_input,
        }
    }
}

impl FeatureRow {
    fn into_feature(self) -> Option<FeatureOffer> {
        let FeatureRow {
            feature,
            starts,
            resolutions,
            aspect_ratios,
            duration_s_max,
            reference_images_max,
            reference_videos_max,
            references_max,
            audio_input,
        } = self;
        Some(FeatureOffer {
            feature: feature.parse::<Feature>().ok()?,
            starts: known(&Start::ALL, Start::as_str, &starts),
            resolutions: known(&Resolution::ALL, Resolution::as_str, &resolutions),
            aspect_ratios: known(&AspectRatio::ALL, AspectRatio::as_str, &aspect_ratios),
            duration_s_max,
            reference_images_max,
            reference_videos_max,
            references_max,
            audio_input,
        })
    }
}

fn known<T: Copy>(all: &[T], as_str: fn(T) -> &'static str, words: &[String]) -> Vec<T> {
    let value = |word: &String| all.iter().copied().find(|value| as_str(*value) == word);
    words.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(id: &str) -> AnnouncedOffer {
        AnnouncedOffer {
            offer: Offer::unlimited(id, "Of \"everything\"."),
            section: "engine".to_owned(),
        }
    }

    #[test]
    fn offers_and_hardware_read_back() {
        let offers = vec![announced("a"), announced("b")];
        assert_eq!(offers_from_json(&offers_to_json(&offers)), Ok(offers.clone()));
        assert_eq!(offer_from_json(&offer_to_json(&offers[0])), Ok(offers[0].clone()));
        let hardware = Hardware {
            cores: 2,
            memory_bytes: 1 << 40,
            cpu_features: vec!["avx2".to_owned()],
        };
        assert_eq!(hardware_from_json(&hardware_to_json(&hardware)), Ok(hardware));
    }

    #[test]
    fn what_a_later_version_offers_is_left_out_alone() {
        let text = offer_to_json(&announced("a"));
        let later = text
            .replacen("\"edit-video\"", "\"dream\"", 1)
            .replace("first-frame", "smell");
        assert_ne!(text, later);
        let offer = offer_from_json(&later).unwrap().offer;
        assert_eq!(offer.features.len(), 3);
        assert!(!offer.features[0].starts.contains(&Start::FirstFrame));
        assert!(offer.features[0].starts.contains(&Start::Text));
    }
}
