//! Engines that have somebody else work: what all of them share.
//!
//! The work is a *task* there. It is paid for when it is handed over, has a name, and goes on whatever becomes of us. So
//! one attempt hands it over at most once, and a later one goes on from the name that the first has noted ([`task`] tells
//! the whole story). [`http`]: one question and its bounded answer · [`media`]: inputs in a form that others can read ·
//! [`secret`]: what must not be seen.

pub(crate) mod http;
pub(crate) mod media;
pub mod secret;
pub(crate) mod task;

pub use http::OpenUpstreamError;
pub use secret::Secret;
