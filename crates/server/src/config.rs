//! What the operator decides: read from the defaults, a file, the environment and flags, checked as a whole, and
//! handed on as one small struct for each concern.
//!
//! Nothing else in the project reads the environment or a file of configuration. What the keys mean is said in
//! `config.default.toml`, which is compiled in: defaults and manual are one file. How the sources are laid over
//! each other is [`layers`]' business, how a value is checked [`reader`]'s.

use std::{
    ffi::OsString,
    fmt,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use kinora_domain::{Credits, PriceTable};
use kinora_engine::{DashScopeOptions, ExpertName, LoraOptions, Quality, Quantization, VideosApiOptions};
use kinora_media::{compose::Preset, fetch::AllowedHosts, sandbox::SandboxPolicy};
use kinora_store::Database;
use tracing_subscriber::filter::LevelFilter;

use crate::{http::rate::RateSettings, webhooks::WebhookTargets};

mod blobs;
mod hub;
mod layers;
mod prompt;
mod reader;
mod upstreams;

pub use blobs::BlobsConfig;
pub use hub::HubConfig;
use layers::Layers;
pub use layers::{ConfigError, Flag};
pub use prompt::PromptConfig;
use reader::Reader;
pub use upstreams::{EngineSection, RoutesConfig, UpstreamConfig};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const MIB: u64 = 1 << 20;

/// Everything the operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners and their limits.
    pub server: ServerConfig,
    /// Where things are kept, and for how long.
    pub data: DataConfig,
    /// Where the bytes are.
    pub blobs: BlobsConfig,
    /// What a new data directory starts with.
    pub first_start: FirstStartConfig,
    /// How generations wait, run and are tried again.
    pub queue: QueueConfig,
    /// What a second costs.
    pub prices: PriceTable,
    /// Requests per key and minute.
    pub rates: RateSettings,
    /// Life of a signed URL, in milliseconds.
    pub url_life_ms: u64,
    /// Names by which `/v1/videos` takes its model, besides its own.
    pub model_aliases: Vec<String>,
    /// ffmpeg and users' URLs.
    pub media: MediaConfig,
    /// Whom clients may have told what becomes of their generations.
    pub webhooks: WebhooksConfig,
    /// Which engine runs here, and how.
    pub engine: EngineConfig,
    /// Where checkpoints come from, and lie.
    pub hub: HubConfig,
    /// The hosted models, where there is a key for them.
    pub dashscope: Option<UpstreamConfig<DashScopeOptions>>,
    /// A server of videos, where there is one.
    pub videos_api: Option<UpstreamConfig<VideosApiOptions>>,
    /// Who expands prompts.
    pub prompt: PromptConfig,
    /// In which order engines are asked.
    pub routes: RoutesConfig,
    /// What this process does.
    pub role: Role,
    /// What its worker is called; `None` takes the machine's name.
    pub worker_name: Option<String>,
    /// Generations that this process makes at once.
    pub slots: usize,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It serves the API and builds no engine: others work.
    Api,
    /// It makes videos, and answers none but those who look after it.
    Worker,
    /// Both.
    All,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Api, Role::Worker, Role::All];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Api => "api",
            Role::Worker => "worker",
            Role::All => "all",
        }
    }
}

/// Listeners and their limits.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address of the API.
    pub listen: SocketAddr,
    /// What URLs in answers start with, without a slash at the end; `None` takes the address listened on.
    pub public_url: Option<String>,
    /// The address of the metrics, if they are served.
    pub metrics_listen: Option<SocketAddr>,
    /// Connections open at once.
    pub connections_max: usize,
    /// For the head of a request, and for idle connections, in milliseconds.
    pub header_timeout_ms: u64,
    /// For the body of a request, in milliseconds.
    pub body_timeout_ms: u64,
    /// Largest JSON body.
    pub json_bytes_max: u64,
    /// Largest multipart body.
    pub multipart_bytes_max: u64,
    /// Silence on an event stream after which a comment is sent, in milliseconds.
    pub sse_heartbeat_ms: u64,
    /// How long running generations may go on after a signal to stop, in milliseconds.
    pub drain_ms: u64,
}

/// Where things are kept, and for how long.
#[derive(Debug, Clone)]
pub struct DataConfig {
    /// The data directory.
    pub dir: PathBuf,
    /// After which finished generations lose their media, in milliseconds; `None` is never.
    pub retention_ms: Option<u64>,
    /// Age at which unreferenced bytes are swept, in milliseconds.
    pub orphan_grace_ms: u64,
    /// The database, where it is not a file in the data directory.
    pub database: Option<Database>,
    /// Transactions and questions that a database on a server is asked at once.
    pub database_connections: usize,
}

/// What a new data directory starts with.
#[derive(Debug, Clone, Copy)]
pub struct FirstStartConfig {
    /// Of the bucket that ends.
    pub subscription: Credits,
    /// Of the bucket that stays.
    pub permanent: Credits,
}

/// How generations wait, run and are tried again.
#[derive(Debug, Clone, Copy)]
pub struct QueueConfig {
    /// A worker's silence after which its generation is another's, in milliseconds.
    pub lease_ms: u64,
    /// Between two signs of life of a worker, and two reports of progress, in milliseconds.
    pub heartbeat_ms: u64,
    /// Attempts at one generation.
    pub attempts_max: u32,
    /// Wait before the second attempt, in milliseconds.
    pub retry_delay_ms: u64,
    /// Of one account, at once.
    pub running_per_account: u32,
    /// Of one account, at once.
    pub queued_per_account: u32,
    /// From submission to failure, in milliseconds.
    pub deadline_ms: u64,
    /// How long what no worker can run any more is offered still, in milliseconds.
    pub offers_ms: u64,
}

/// ffmpeg and users' URLs.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// ffmpeg's path; `None` looks it up.
    pub ffmpeg: Option<PathBuf>,
    /// What happens when the kernel lacks a part of the sandbox.
    pub sandbox: SandboxPolicy,
    /// Address space of a child.
    pub memory_bytes: u64,
    /// Threads of a codec; `None` leaves it to the number of processors.
    pub threads: Option<usize>,
    /// The encoder's bargain between time and size.
    pub preset: Preset,
    /// Hosts that may be reached although they are not public.
    pub allow_hosts: AllowedHosts,
    /// For one medium, in milliseconds.
    pub fetch_timeout_ms: u64,
}

/// Whom clients may have told what becomes of their generations.
#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    /// Which addresses.
    pub targets: WebhookTargets,
    /// How many endpoints an account may have.
    pub endpoints_max: u32,
    /// How long the secret before a rotated one goes on signing, in milliseconds.
    pub secret_overlap_ms: u64,
    /// How long deliveries that have ended stay in the log, in milliseconds.
    pub log_ms: u64,
}

/// Which engine makes the videos, and how. `None` leaves a number to the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineConfig {
    /// Which one.
    pub name: EngineName,
    /// What its offer is called; `None` leaves it to the engine.
    pub offer: Option<String>,
    /// The folder or transformer of a checkpoint, or what it is called on the Hub; none for the one that is part of the program.
    pub checkpoint: Option<PathBuf>,
    /// Changes to merge into its transformers.
    pub loras: Vec<LoraOptions>,
    /// The timesteps of a few-step distilled model; empty for the checkpoint's own.
    pub timesteps: Vec<f64>,
    /// About how much memory weights and frames may take.
    pub memory_bytes: Option<u64>,
    /// Steps of the model for a clip.
    pub steps: Option<usize>,
    /// How far it leans towards the prompt.
    pub guidance: Option<f32>,
    /// What may be left out.
    pub quality: Quality,
    /// How far a step may be off that is carried over instead of computed; none leaves it to the quality.
    pub step_cache: Option<f32>,
    /// What the matrices of its transformers' blocks are multiplied in, and the VAE's convolutions.
    pub quantization: Quantization,
    /// Pixels of a frame that the model makes.
    pub pixels: Option<usize>,
}

/// An engine that can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineName {
    /// The Wan models, run here.
    Wan,
    /// A moving pattern that shows the request and its inputs.
    TestPattern,
    /// None: others make the videos.
    None,
}

impl EngineName {
    /// All of them.
    pub const ALL: [EngineName; 3] = [EngineName::Wan, EngineName::TestPattern, EngineName::None];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            EngineName::Wan => "wan",
            EngineName::TestPattern => "test-pattern",
            EngineName::None => "none",
        }
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// A filter that has been parsed once already.
    pub filter: String,
}

/// Who reads the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// People.
    Text,
    /// Programs.
    Json,
}

impl Config {
    /// Lays `flags` over the environment over `file` over the defaults, and checks the whole.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Config, ConfigError> {
        let environment: Vec<_> = environment.into_iter().collect();
        let mut reader = Reader::new(Layers::load(file, environment.iter().cloned(), flags)?);
        let config = Config::read(&mut reader, &environment);
        reader.finish()?;
        Ok(config)
    }

    fn read(reader: &mut Reader, environment: &[(OsString, OsString)]) -> Config {
        let data = DataConfig::read(reader);
        Config {
            server: ServerConfig::read(reader),
            blobs: BlobsConfig::read(reader, environment, data.orphan_grace_ms),
            hub: HubConfig::read(environment, &data.dir),
            data,
            first_start: FirstStartConfig {
                subscription: Credits(reader.number("first_start.subscription_credits", 0..=CREDITS_MAX)),
                permanent: Credits(reader.number("first_start.permanent_credits", 0..=CREDITS_MAX)),
            },
            queue: QueueConfig::read(reader),
            prices: read_prices(reader),
            rates: RateSettings {
                create_per_minute: per_minute(reader, "rate_limits.create_per_minute"),
                get_per_minute: per_minute(reader, "rate_limits.get_per_minute"),
                read_per_minute: per_minute(reader, "rate_limits.read_per_minute"),
            },
            url_life_ms: reader.number("urls.life_hours", 1..=24 * 365) * HOUR_MS,
            model_aliases: reader.list("videos_api.model_aliases", "names of models", |names| {
                let fits = |name: &&str| !name.is_empty() && name.len() <= 100;
                names
                    .iter()
                    .all(fits)
                    .then(|| names.iter().map(|name| (*name).to_owned()).collect())
            }),
            media: MediaConfig::read(reader),
            webhooks: WebhooksConfig::read(reader),
            engine: EngineConfig::read(reader),
            dashscope: upstreams::dashscope(reader),
            videos_api: upstreams::videos_api(reader),
            prompt: PromptConfig::read(reader),
            routes: RoutesConfig::read(reader),
            role: {
                let names = Role::ALL.map(|role| format!("{:?}", role.as_str()));
                reader.text("server.role", &names.join(", "), |text| {
                    Role::ALL.into_iter().find(|role| role.as_str() == text)
                })
            },
            worker_name: reader.text(
                "worker.name",
                "1 to 100 letters, digits and -_./, or nothing",
                |text| optional(text, upstreams::name),
            ),
            slots: to_usize(reader.number("worker.slots", 0..=64)),
            log: LogConfig::read(reader),
        }
    }
}

/// The variables of this process's environment.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// The key with which commands ask a server, where the person has put it into `KINORA_API_KEY`.
pub fn api_key_of_environment() -> Option<String> {
    std::env::var("KINORA_API_KEY").ok().filter(|key| !key.is_empty())
}

/// The server that commands ask, where the person has put it into `KINORA_URL`.
pub fn server_url_of_environment() -> Option<String> {
    std::env::var("KINORA_URL").ok().filter(|url| !url.is_empty())
}

/// Far above what anyone grants, far below what sums could overflow at.
const CREDITS_MAX: u64 = 1_000_000_000_000;

impl ServerConfig {
    fn read(reader: &mut Reader) -> ServerConfig {
        const ADDRESS: &str = "an address with a port, such as 127.0.0.1:8080 or [::]:8080";
        ServerConfig {
            listen: reader.text("server.listen", ADDRESS, |text| text.parse().ok()),
            public_url: reader.text(
                "server.public_url",
                "an http:// or https:// URL, or nothing",
                public_url,
            ),
            metrics_listen: reader.text(
                "server.metrics_listen",
                &format!("{ADDRESS}, or nothing"),
                |text| optional(text, |text| text.parse().ok()),
            ),
            connections_max: to_usize(reader.number("server.connections_max", 10..=1_000_000)),
            header_timeout_ms: reader.number("server.header_timeout_s", 1..=3600) * 1000,
            body_timeout_ms: reader.number("server.body_timeout_s", 1..=24 * 3600) * 1000,
            json_bytes_max: reader.number("server.json_body_max_mib", 1..=1024) * MIB,
            multipart_bytes_max: reader.number("server.multipart_body_max_mib", 1..=1024 * 1024) * MIB,
            sse_heartbeat_ms: reader.number("server.sse_heartbeat_s", 1..=100) * 1000,
            drain_ms: reader.number("server.drain_s", 0..=24 * 3600) * 1000,
        }
    }
}

const DATABASE: &str = "postgres://user:password@host:port/database, sqlite:path, or nothing";

impl DataConfig {
    fn read(reader: &mut Reader) -> DataConfig {
        DataConfig {
            dir: reader.text("data.dir", "the path of a directory", |text| {
                (!text.is_empty()).then(|| PathBuf::from(text))
            }),
            retention_ms: unless_zero(reader.number("data.retention_days", 0..=36_500))
                .map(|days| days * DAY_MS),
            orphan_grace_ms: reader.number("data.orphan_grace_minutes", 1..=60 * 24 * 365) * 60_000,
            database: reader.unseen("data.database", DATABASE, |text| {
                optional(text, |text| text.parse().ok())
            }),
            database_connections: to_usize(reader.number("data.database_connections", 1..=1000)),
        }
    }
}

impl QueueConfig {
    fn read(reader: &mut Reader) -> QueueConfig {
        QueueConfig {
            lease_ms: reader.number("queue.lease_ms", 2000..=HOUR_MS),
            heartbeat_ms: reader.number("queue.heartbeat_ms", 50..=HOUR_MS),
            attempts_max: to_u32(reader.number("queue.attempts_max", 1..=100)),
            retry_delay_ms: reader.number("queue.retry_delay_ms", 0..=HOUR_MS),
            running_per_account: to_u32(reader.number("queue.running_per_account", 1..=100_000)),
            queued_per_account: to_u32(reader.number("queue.queued_per_account", 1..=10_000_000)),
            deadline_ms: reader.number("queue.deadline_s", 1..=30 * 24 * 3600) * 1000,
            offers_ms: reader.number("queue.offers_minutes", 0..=366 * 24 * 60) * 60_000,
        }
    }
}

impl MediaConfig {
    fn read(reader: &mut Reader) -> MediaConfig {
        MediaConfig {
            ffmpeg: reader.text("media.ffmpeg", "the path of ffmpeg, or nothing", |text| {
                optional(text, |text| Some(PathBuf::from(text)))
            }),
            sandbox: reader.text(
                "media.sandbox",
                "\"required\" or \"best-effort\"",
                |text| match text {
                    "required" => Some(SandboxPolicy::Required),
                    "best-effort" => Some(SandboxPolicy::BestEffort),
                    _ => None,
                },
            ),
            memory_bytes: reader.number("media.memory_mib", 256..=1024 * 1024) * MIB,
            threads: unless_zero(reader.number("media.threads", 0..=256)).map(to_usize),
            preset: reader.text(
                "media.encoder_preset",
                "\"superfast\", \"veryfast\" or \"medium\"",
                |text| match text {
                    "superfast" => Some(Preset::Superfast),
                    "veryfast" => Some(Preset::Veryfast),
                    "medium" => Some(Preset::Medium),
                    _ => None,
                },
            ),
            allow_hosts: allow_hosts(reader, "media.allow_hosts"),
            fetch_timeout_ms: reader.number("media.fetch_timeout_s", 1..=3600) * 1000,
        }
    }
}

impl WebhooksConfig {
    fn read(reader: &mut Reader) -> WebhooksConfig {
        WebhooksConfig {
            targets: WebhookTargets {
                allow_hosts: allow_hosts(reader, "webhooks.allow_hosts"),
                allow_http: reader.flag("webhooks.allow_http"),
            },
            endpoints_max: to_u32(reader.number("webhooks.endpoints_per_account", 0..=10_000)),
            secret_overlap_ms: reader.number("webhooks.secret_overlap_hours", 0..=24 * 365) * HOUR_MS,
            log_ms: reader.number("webhooks.log_days", 1..=36_500) * DAY_MS,
        }
    }
}

fn allow_hosts(reader: &mut Reader, key: &'static str) -> AllowedHosts {
    reader.list(key, "hosts, as \"host\" or \"host:port\"", |hosts| {
        AllowedHosts::parse(hosts).ok()
    })
}

impl EngineConfig {
    fn read(reader: &mut Reader) -> EngineConfig {
        let names = EngineName::ALL.map(|name| format!("{:?}", name.as_str()));
        let qualities = Quality::ALL.map(|quality| format!("{:?}", quality.as_str()));
        EngineConfig {
            name: reader.text("engine.name", &names.join(", "), |text| {
                EngineName::ALL.into_iter().find(|name| name.as_str() == text)
            }),
            offer: reader.text("engine.offer", &format!("{}, or nothing", upstreams::NAME), |text| {
                optional(text, upstreams::name)
            }),
            checkpoint: reader.text(
                "engine.checkpoint",
                "the folder or transformer of a checkpoint, its name on the Hub, or nothing",
                |text| optional(text, |text| Some(PathBuf::from(text))),
            ),
            loras: reader.list(
                "engine.loras",
                "LoRAs, as \"path\", \"path:scale\", \"path:scale:high_noise\" or \"path:scale:low_noise\", the scale within ±10",
                |texts| texts.iter().map(|text| lora(text)).collect(),
            ),
            timesteps: reader.falling("engine.timesteps", 1.0..=1000.0),
            memory_bytes: unless_zero(reader.number("engine.memory_mib", 0..=16 * 1024 * 1024))
                .map(|mib| mib * MIB),
            steps: unless_zero(reader.number("engine.steps", 0..=1000)).map(to_usize),
            guidance: reader.text("engine.guidance", "a number from 1 to 30, or nothing", |text| {
                optional(text, |text| {
                    text.parse().ok().filter(|scale| (1.0..=30.0).contains(scale))
                })
            }),
            quality: reader.text("engine.quality", &qualities.join(", "), |text| {
                Quality::ALL.into_iter().find(|quality| quality.as_str() == text)
            }),
            step_cache: reader.text(
                "engine.step_cache",
                "a number from 0.001 to 1, or nothing",
                |text| {
                    optional(text, |text| {
                        text.parse()
                            .ok()
                            .filter(|threshold| (0.001..=1.0).contains(threshold))
                    })
                },
            ),
            quantization: reader.text("engine.quantization", "\"none\", \"bf16\" or \"int8\"", |text| match text {
                "none" => Some(Quantization::None),
                "bf16" => Some(Quantization::Bf16),
                "int8" => Some(Quantization::Int8),
                _ => None,
            }),
            pixels: unless_zero(reader.number("engine.pixels", 0..=4_000_000)).map(to_usize),
        }
    }
}

impl LogConfig {
    fn read(reader: &mut Reader) -> LogConfig {
        LogConfig {
            format: reader.text("log.format", "\"text\" or \"json\"", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            }),
            filter: reader.text(
                "log.level",
                "error, warn, info, debug, trace or off, also by module: \"info,kinora_worker=debug\"",
                |text| is_log_filter(text).then(|| text.to_owned()),
            ),
        }
    }
}

/// Stricter than the filter itself, which takes a misspelt level for the name of a module and then logs nothing.
fn is_log_filter(text: &str) -> bool {
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok() && text.starts_with(char::is_alphabetic);
    let is_module = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    };
    text.split(',').all(|part| match part.split_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(part),
    })
}

fn read_prices(reader: &mut Reader) -> PriceTable {
    PriceTable {
        credits_per_second_720p: reader.number("prices.credits_per_second_720p", 0..=1_000_000),
        credits_per_second_1080p: reader.number("prices.credits_per_second_1080p", 0..=1_000_000),
        billed_input_ms_max: unless_zero(reader.number("prices.billed_input_s_max", 0..=3600))
            .map(|s| s * 1000),
    }
}

fn per_minute(reader: &mut Reader, key: &'static str) -> NonZeroU32 {
    NonZeroU32::new(to_u32(reader.number(key, 1..=100_000_000))).unwrap_or(NonZeroU32::MIN)
}

/// The empty text stands for nothing; TOML has no word for it.
fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() {
        Some(None)
    } else {
        parse(text).map(Some)
    }
}

/// `path[:scale][:expert]`; a path may have colons of its own.
fn lora(text: &str) -> Option<LoraOptions> {
    let (rest, expert) = match text.rsplit_once(':') {
        Some((rest, "high_noise")) => (rest, Some(ExpertName::HighNoise)),
        Some((rest, "low_noise")) => (rest, Some(ExpertName::LowNoise)),
        _ => (text, None),
    };
    let scaled = rest
        .rsplit_once(':')
        .and_then(|(path, scale)| Some((path, scale.parse().ok()?)));
    let (path, scale): (&str, f32) = scaled.unwrap_or((rest, 1.0));
    ((-10.0..=10.0).contains(&scale) && !path.is_empty()).then(|| LoraOptions {
        path: path.into(),
        scale,
        expert,
    })
}

fn public_url(text: &str) -> Option<Option<String>> {
    optional(text, |text| {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let plain = !rest.trim_matches('/').is_empty() && !rest.contains([' ', '?', '#', '@', '"']);
        plain.then(|| text.trim_end_matches('/').to_owned())
    })
}

fn unless_zero(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).expect("the key's range lies within 32 bits")
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("the key's range lies within a usize")
}

#[cfg(test)]
mod tests;
