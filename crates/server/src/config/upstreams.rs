//! Engines that others run, and the order in which engines are asked.

use std::time::Duration;

use kinora_domain::{AnnouncedOffer, Feature, FrameSize, OfferId, Start};
use kinora_engine::{DashScopeOptions, Secret, VideosApi, VideosApiOptions, dashscope::DashScopeModels};

use super::{optional, reader::Reader, to_u32, to_usize, unless_zero};

/// For each workflow, the engines that are asked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutesConfig {
    routes: Vec<(Feature, Vec<RouteEntry>)>,
}

/// All engines of a section, of whatever worker, or the one of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RouteEntry {
    section: EngineSection,
    name: Option<String>,
}

/// A section of the configuration that may describe an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineSection {
    /// `[engine]`: the one that runs here.
    Engine,
    /// `[dashscope]`
    DashScope,
    /// `[videos_upstream]`
    VideosApi,
}

/// An engine that others run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig<O> {
    /// What it is told; whether there is a public URL is not yet known here.
    pub options: O,
    /// How many of its generations run at once.
    pub at_once: usize,
    /// Whether prompts are expanded there; else they are before they are sent.
    pub expands_prompts: bool,
}

impl EngineSection {
    const ALL: [EngineSection; 3] = [
        EngineSection::Engine,
        EngineSection::DashScope,
        EngineSection::VideosApi,
    ];

    /// The section's name.
    pub fn as_str(self) -> &'static str {
        match self {
            EngineSection::Engine => "engine",
            EngineSection::DashScope => "dashscope",
            EngineSection::VideosApi => "videos_upstream",
        }
    }
}

impl RoutesConfig {
    pub(super) fn read(reader: &mut Reader) -> RoutesConfig {
        let mut route = |feature, key| (feature, entries(reader, key));
        RoutesConfig {
            routes: vec![
                route(Feature::TextImage, "routes.text_image"),
                route(Feature::Frames, "routes.frames"),
                route(Feature::Reference, "routes.reference"),
                route(Feature::EditVideo, "routes.edit_video"),
            ],
        }
    }

    /// The offers that are asked for a feature, in order; several of one section in the order in which they are given.
    pub fn order(&self, feature: Feature, offers: &[AnnouncedOffer]) -> Vec<OfferId> {
        let route = self.routes.iter().filter(|(routed, _)| *routed == feature);
        let mut ids: Vec<OfferId> = Vec::new();
        for RouteEntry { section, name } in route.flat_map(|(_, entries)| entries) {
            for AnnouncedOffer { offer, section: of } in offers {
                let is_meant = of == section.as_str() && name.as_ref().is_none_or(|name| *name == offer.id.0);
                if is_meant && !ids.contains(&offer.id) {
                    ids.push(offer.id.clone());
                }
            }
        }
        ids
    }
}

fn entries(reader: &mut Reader, key: &'static str) -> Vec<RouteEntry> {
    let names = EngineSection::ALL.map(|section| format!("{:?}", section.as_str()));
    let takes = format!(
        "{}, or one engine of a section as \"engine:its-name\", each once",
        names.join(", ")
    );
    reader.list(key, &takes, |texts| {
        let mut entries = Vec::new();
        for text in texts {
            let (section, named) = match text.split_once(':') {
                Some((section, named)) => (section, Some(name(named)?)),
                None => (*text, None),
            };
            let section = EngineSection::ALL
                .into_iter()
                .find(|known| known.as_str() == section)?;
            let entry = RouteEntry { section, name: named };
            if entries.contains(&entry) {
                return None;
            }
            entries.push(entry);
        }
        Some(entries)
    })
}

/// `[dashscope]`, where it has a key.
pub(super) fn dashscope(reader: &mut Reader) -> Option<UpstreamConfig<DashScopeOptions>> {
    let key = reader.secret("dashscope.key");
    let options = DashScopeOptions {
        name: reader.text("dashscope.name", NAME, name),
        url: reader.text("dashscope.url", URL, url),
        key: key.clone().unwrap_or_else(|| Secret::new(String::new())),
        models: DashScopeModels {
            text: reader.text("dashscope.text_model", NAME, name),
            image: reader.text("dashscope.image_model", NAME, name),
            reference: reader.text("dashscope.reference_model", NAME, name),
            edit: reader.text("dashscope.edit_model", NAME, name),
        },
        poll: Duration::from_millis(reader.number("dashscope.poll_interval_ms", POLL_MS)),
        timeout: Duration::from_secs(reader.number("dashscope.timeout_s", TIMEOUT_S)),
        is_public: false,
    };
    let at_once = to_usize(reader.number("dashscope.at_once", 1..=64));
    key.map(|_| UpstreamConfig {
        options,
        at_once,
        expands_prompts: true,
    })
}

/// `[videos_upstream]`, where it has an address.
pub(super) fn videos_api(reader: &mut Reader) -> Option<UpstreamConfig<VideosApiOptions>> {
    let address = reader.text("videos_upstream.url", &format!("{URL}, or nothing"), |text| {
        optional(text, url)
    });
    let starts = VideosApi::STARTS.map(|start| format!("{:?}", start.as_str()));
    let options = VideosApiOptions {
        name: reader.text("videos_upstream.name", NAME, name),
        about: reader.text("videos_upstream.about", "a sentence", |text| {
            Some(text.to_owned())
        }),
        url: address.clone().unwrap_or_default(),
        key: reader
            .secret("videos_upstream.key")
            .unwrap_or_else(|| Secret::new(String::new())),
        model: reader.text(
            "videos_upstream.model",
            "the name of a model, or nothing",
            |text| Some(text.to_owned()),
        ),
        starts: reader.list("videos_upstream.starts", &starts.join(", "), |names| {
            let start = |name: &&str| {
                VideosApi::STARTS
                    .into_iter()
                    .find(|start| start.as_str() == *name)
            };
            names.iter().map(start).collect::<Option<Vec<Start>>>()
        }),
        sizes: reader.list("videos_upstream.sizes", "sizes, as \"1280x720\"", |sizes| {
            sizes.iter().map(|text| size(text)).collect()
        }),
        duration_s_max: u8::try_from(reader.number("videos_upstream.duration_s_max", 2..=15)).unwrap_or(15),
        fps: unless_zero(reader.number("videos_upstream.fps", 0..=60)).map(to_u32),
        poll: Duration::from_millis(reader.number("videos_upstream.poll_interval_ms", POLL_MS)),
        timeout: Duration::from_secs(reader.number("videos_upstream.timeout_s", TIMEOUT_S)),
    };
    let at_once = to_usize(reader.number("videos_upstream.at_once", 1..=64));
    let expands_prompts = reader.flag("videos_upstream.expands_prompts");
    address.map(|_| UpstreamConfig {
        options,
        at_once,
        expands_prompts,
    })
}

pub(super) const NAME: &str = "a name of letters, digits and -_./";
pub(super) const URL: &str = "an http:// or https:// URL";
const POLL_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
const TIMEOUT_S: std::ops::RangeInclusive<u64> = 1..=600;

pub(super) fn name(text: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (!text.is_empty() && text.len() <= 100 && text.chars().all(is_name)).then(|| text.to_owned())
}

pub(super) fn url(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let is_plain = !rest.trim_matches('/').is_empty() && !rest.contains([' ', '?', '#', '@', '"']);
    is_plain.then(|| text.to_owned())
}

/// Both sides as video models make them.
fn size(text: &str) -> Option<FrameSize> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| -> Option<u32> { text.parse().ok().filter(|side| (64..=4096).contains(side)) };
    Some(FrameSize {
        width: side(width)?,
        height: side(height)?,
    })
}
