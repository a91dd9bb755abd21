//! What travels: requests as they are read, answers as they are written, and the schemas that describe both.
//!
//! Wire types know the words of the contract; the domain does not. A request is read into a
//! [`Draft`](kinora_domain::Draft), right in its types and not yet judged; an answer is built from domain values by
//! a pure constructor. In reading order:
//!
//! - [`request`]: a body of either form into a draft · [`members`]: what the members are called and which types
//!   they take · [`json`] and [`multipart`]: the two forms · [`payload`]: the identity of a payload
//! - [`inputs`]: uploads and [`data_url`]s measured and kept
//! - [`status`], [`echo`], [`response`], [`account`], [`keys`], [`catalog`]: the answers · [`webhook`]: endpoints, and what
//!   they are told · [`video`]: what the OpenAI-Videos layer is sent and answers
//! - [`queue`]: what operators' programs are told
//! - [`schema`]: the schemas of the create bodies

pub mod request;

mod json;
mod members;
mod multipart;
mod payload;

mod data_url;
pub mod inputs;

pub mod video;

mod account;
mod catalog;
mod echo;
mod keys;
mod queue;
mod response;
mod status;
mod webhook;

pub mod schema;

pub use account::{Amount, CreditsView, EntryList, EntryView, Usage};
pub use catalog::{DurationView, EngineQueueView, EngineView, FeatureView, ModelView, ModelsView, PriceView};
pub use echo::Input;
pub(in crate::http) use keys::new_key;
pub use keys::{KeyList, KeyView, NewKey};
pub use queue::{OfferView, QueueView, WorkerView};
pub use request::{FieldError, WireError};
pub use response::{
    Breakdown, CreatedGeneration, ErrorBody, EventData, FileKind, GenerationList, GenerationView, Links,
    QuoteView, RunningItem, Urls, VideoData, VideoFile, WarningView,
};
pub use status::{CreatedStatus, PredictionStatus, QueueState};
pub(in crate::http) use webhook::endpoint_change;
pub use webhook::{
    ChangedEndpoint, DeliveryList, DeliveryView, EndpointList, EndpointView, NewEndpoint, QueuedDelivery,
    SigningSecretView, TryView, webhook_payload,
};
