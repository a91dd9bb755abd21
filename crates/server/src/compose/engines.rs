//! The engines of an installation, and the order in which they are asked: from the configuration to what a worker builds
//! and what requests are judged by.

use std::{sync::Arc, time::Duration};

use kinora_domain::{AnnouncedOffer, Catalog, Offer, OfferId};
use kinora_engine::{
    Chat, DashScope, DashScopeOptions, Engine, EngineError, Expander, LoraOptions, OpenCheckpointError,
    OpenUpstreamError, TestPattern, TestPatternOptions, VideosApi, WanEngine, WanOptions,
};
use kinora_media::fetch::{FetchError, FetchPolicy, Fetcher};
use kinora_worker::EngineFactory;
use thiserror::Error;

use super::{Located, NotHere, locate, memory::room_for_models};
use crate::config::{
    Config, EngineConfig, EngineName, EngineSection, HubConfig, MediaConfig, PromptConfig, RoutesConfig,
    UpstreamConfig,
};

/// What makes videos here.
#[derive(Clone, Default)]
pub struct Engines {
    /// Builds them.
    pub factories: Vec<EngineFactory>,
}

impl Engines {
    /// What they can do.
    pub fn offers(&self) -> Vec<AnnouncedOffer> {
        let offer = |factory: &EngineFactory| AnnouncedOffer {
            offer: factory.offer.clone(),
            section: factory.section.to_owned(),
        };
        self.factories.iter().map(offer).collect()
    }

    /// What they can do, in the order in which they are asked.
    pub fn catalog(&self, routes: &RoutesConfig) -> Catalog {
        let announced = self.offers();
        let offers = announced
            .iter()
            .map(|announced| announced.offer.clone())
            .collect();
        Catalog::with_routes(offers, |feature| routes.order(feature, &announced))
    }

    /// Their names, for people.
    pub fn names(&self) -> String {
        let names: Vec<String> = self
            .factories
            .iter()
            .map(|factory| factory.offer.id.to_string())
            .collect();
        names.join(", ")
    }
}

/// Engines that cannot be used.
#[derive(Debug, Error)]
pub enum OpenEnginesError {
    /// The model's files.
    #[error(transparent)]
    Checkpoint(#[from] OpenCheckpointError),
    /// The model has no files here.
    #[error(transparent)]
    NotHere(#[from] NotHere),
    /// A server that others run.
    #[error("the engine of [{section}] cannot be used")]
    Upstream {
        /// Which.
        section: &'static str,
        /// Why.
        #[source]
        source: OpenUpstreamError,
    },
    /// The chat model that expands prompts.
    #[error("the chat model of [prompt] cannot be used")]
    Chat(#[source] OpenUpstreamError),
    /// The client for results.
    #[error(transparent)]
    Fetcher(#[from] FetchError),
    /// Two of one name: nobody could tell whose a generation is.
    #[error("two engines are called {name}; set the name of one in its section")]
    SameName {
        /// The name.
        name: String,
    },
}

/// How long the copy of a result may take. It is ours by then, and paid for.
const RESULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Checks and describes every engine that is configured. Blocks: a checkpoint is checked, tensor by tensor.
///
/// `is_served` tells that a server gives out inputs at the public URL, where one is configured.
pub fn open_engines(config: &Config, is_served: bool) -> Result<Engines, OpenEnginesError> {
    let expander = open_expander(&config.prompt)?;
    let mut opened = Vec::new();
    opened.extend(local(config, expander.as_ref())?);
    let fetcher = || result_fetcher(&config.media);
    let mut add = |factory: EngineFactory, expands_prompts: bool| {
        let expander = expander.clone().filter(|_| !expands_prompts);
        opened.push(factory.with_expander(expander));
    };
    if let Some(UpstreamConfig {
        options,
        at_once,
        expands_prompts,
    }) = &config.dashscope
    {
        let options = DashScopeOptions {
            is_public: is_served && config.server.public_url.is_some(),
            ..options.clone()
        };
        let fetcher = fetcher()?;
        let open = move || DashScope::open(options.clone(), fetcher.clone());
        let section = EngineSection::DashScope;
        add(upstream(section, *at_once, open)?, *expands_prompts);
    }
    if let Some(UpstreamConfig {
        options,
        at_once,
        expands_prompts,
    }) = &config.videos_api
    {
        let (options, fetcher) = (options.clone(), fetcher()?);
        let open = move || VideosApi::open(options.clone(), fetcher.clone());
        let section = EngineSection::VideosApi;
        add(upstream(section, *at_once, open)?, *expands_prompts);
    }
    let ids: Vec<&OfferId> = opened.iter().map(|factory| &factory.offer.id).collect();
    for (index, id) in ids.iter().enumerate() {
        if ids[..index].contains(id) {
            let name = id.0.clone();
            return Err(OpenEnginesError::SameName { name });
        }
    }
    Ok(Engines { factories: opened })
}

/// Who expands prompts, for the engines that want it.
fn open_expander(config: &PromptConfig) -> Result<Option<Arc<Expander>>, OpenEnginesError> {
    let expander = match config {
        PromptConfig::Off => return Ok(None),
        PromptConfig::Template => Expander::Template,
        PromptConfig::Chat(options) => Expander::Chat(Box::new(
            Chat::open(options.clone()).map_err(OpenEnginesError::Chat)?,
        )),
    };
    Ok(Some(Arc::new(expander)))
}

fn local(
    config: &Config,
    expander: Option<&Arc<Expander>>,
) -> Result<Option<EngineFactory>, OpenEnginesError> {
    match config.engine.name {
        EngineName::Wan => {
            let options = wan_options(&config.engine, &config.hub)?;
            let opened = WanEngine::open(options.clone())?;
            let expander = expander.filter(|_| opened.takes_expanded()).cloned();
            let factory = EngineFactory::new(named(opened.offer().clone(), &config.engine), move || {
                let engine = WanEngine::open(options.clone()).map_err(|error| unavailable(&error))?;
                Ok(Box::new(engine))
            });
            Ok(Some(factory.with_expander(expander)))
        }
        EngineName::TestPattern => {
            let offer = TestPattern::new(TestPatternOptions::default()).offer().clone();
            Ok(Some(EngineFactory::new(named(offer, &config.engine), || {
                Ok(Box::new(TestPattern::new(TestPatternOptions::default())))
            })))
        }
        EngineName::None => Ok(None),
    }
}

/// By the name that the configuration gives it: what two machines do differently must not share one.
fn named(offer: Offer, config: &EngineConfig) -> Offer {
    match &config.offer {
        Some(name) => Offer {
            id: OfferId(name.clone()),
            ..offer
        },
        None => offer,
    }
}

fn upstream<E: Engine + 'static>(
    section: EngineSection,
    at_once: usize,
    open: impl Fn() -> Result<E, OpenUpstreamError> + Send + Sync + 'static,
) -> Result<EngineFactory, OpenEnginesError> {
    let section = section.as_str();
    let opened = open().map_err(|source| OpenEnginesError::Upstream { section, source })?;
    let factory = EngineFactory::new(opened.offer().clone(), move || {
        Ok(Box::new(open().map_err(|error| unavailable(&error))?))
    });
    Ok(factory.with_own_slots(at_once).in_section(section))
}

fn unavailable(error: &dyn std::error::Error) -> EngineError {
    EngineError::Unavailable {
        detail: kinora_media::chain(error).to_string(),
    }
}

/// Results lie where an upstream says, so that they are fetched as carefully as what users name.
fn result_fetcher(config: &MediaConfig) -> Result<Fetcher, FetchError> {
    Fetcher::new(FetchPolicy {
        allow_hosts: config.allow_hosts.clone(),
        timeout: RESULT_TIMEOUT,
        ..FetchPolicy::default()
    })
}

/// What our own engine is told, and where its files are.
pub fn wan_options(config: &EngineConfig, hub: &HubConfig) -> Result<WanOptions, NotHere> {
    let EngineConfig {
        name: _,
        offer: _,
        checkpoint,
        loras,
        timesteps,
        memory_bytes,
        steps,
        guidance,
        quality,
        step_cache,
        quantization,
        pixels,
    } = config.clone();
    let checkpoint = checkpoint.map(|named| locate(hub, &named)).transpose()?;
    let (checkpoint, name) = checkpoint.map_or((None, None), |Located { path, name }| (Some(path), name));
    let here = |lora: LoraOptions| -> Result<LoraOptions, NotHere> {
        Ok(LoraOptions {
            path: locate(hub, &lora.path)?.path,
            ..lora
        })
    };
    Ok(WanOptions {
        checkpoint,
        name,
        loras: loras.into_iter().map(here).collect::<Result<_, _>>()?,
        timesteps,
        memory_budget: memory_bytes.or_else(room_for_models),
        steps,
        guidance,
        quality,
        step_cache,
        quantization,
        area: pixels,
    })
}
