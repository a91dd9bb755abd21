//! Checkpoints from a Hugging Face Hub: found by name, fetched so that nothing is fetched twice, kept in the cache that every program
//! of that world shares.
//!
//! In reading order: [`name`]: what a person calls a checkpoint · [`cache`]: where it lies · [`choose`]: which of its files an engine
//! needs · [`pull`]: what is missing is fetched · [`client`]: the Hub asked over HTTP · [`download`]: one file, in as many attempts as
//! it takes · [`digest`]: how a file is proven to be the Hub's · [`lock`]: one process at a time for each file.
//!
//! It knows no model: whether what was fetched can be run is for the engine to say. The environment is read elsewhere
//! ([`HubOptions`]).

pub mod cache;
pub mod choose;
pub mod client;
mod digest;
mod download;
pub mod error;
mod lock;
pub mod name;
pub mod pull;

pub use cache::{Cache, CacheError, Removal};
pub use choose::{Choice, ChooseError};
pub use client::{Hub, HubOptions, Token};
pub use error::HubError;
pub use name::{Reference, Repository, Revision};
pub use pull::{Event, Plan, size};
