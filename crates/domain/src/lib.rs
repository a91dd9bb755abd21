//! What a generation, a credit and an offer are, and which changes to them are legal.
//!
//! Everything here is pure: no clock, no randomness, no SQL, no HTTP and no serialisation. Time, seeds and
//! ids come in as arguments, so that every rule can be tested without a runtime. How a value travels (JSON
//! members, database columns) is the business of the crates that carry it.

pub mod ids;
pub mod time;

pub mod feature;
pub mod input;
pub mod spec;

pub mod catalog;
pub mod credits;
pub mod frame_size;
pub mod price;

pub mod generation;
pub mod ledger;
pub mod webhook;
pub mod worker;

pub use catalog::{Catalog, FeatureOffer, Model, NextOffer, Offer, OfferId, Start};
pub use credits::{Bucket, Credits, Split};
pub use feature::Feature;
pub use frame_size::{AspectRatio, FrameSize, Resolution};
pub use generation::{
    Artifact, Effect, Event, Failure, FailureCode, Generation, IllegalTransition, Lease, OUTPUT_FPS, Phase,
    Progress, Stage, Status, Success, Warning,
};
pub use ids::{
    AccountId, DeliveryId, EndpointId, EntryId, GenerationId, GrantId, KeyId, ParseIdError, WorkerId,
};
pub use input::{BlobHash, Origin, Source, StoredInput};
pub use price::{Billable, ClipLengths, PriceTable};
pub use spec::{AudioSetting, Draft, GenerationSpec, Member, Seed, SpecRules, Violation, Workflow};
pub use time::Timestamp;
pub use worker::{
    AnnouncedOffer, Announcement, Hardware, OfferFigures, Published, SeenOffer, SeenWorker, Silence,
    WorkerState,
};
