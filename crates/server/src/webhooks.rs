//! Tells clients what becomes of their generations: the loop that takes what is due out of the store's outbox, sends
//! it and writes down what came of it.
//!
//! What is told is queued by the store, in the transaction that made it true; how it reads is
//! [`wire`](crate::http::wire)'s business, whether an address may be asked the media crate's. Any number of nodes may
//! send: a delivery is tried under a lease, and one whose sender died is made again.

use std::{sync::Arc, time::Duration};

use kinora_domain::Timestamp;
use kinora_media::{
    chain,
    fetch::{AllowedHosts, GuardedClient, check_url_syntax},
};
use kinora_store::{DueDelivery, Store};
use kinora_worker::Clock;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::http::{files::Signer, wire::Links};

mod attempt;
mod signature;

pub use signature::sign;

/// Tries of one process that run at once.
const AT_ONCE_MAX: u32 = 64;
/// For one try, from the look-up of the name to the end of the answer.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than a try takes, so that a lease runs out only when its sender has died.
const LEASE_MS: u64 = 60_000;
/// How often the outbox is looked at although no bell has rung: the safety net, and the pulse of other nodes' work.
const POLL: Duration = Duration::from_secs(2);
/// How long tries that run may go on when the server stops; what they leave undone is made again.
const PARTING: Duration = Duration::from_secs(3);

/// Which addresses may be told anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookTargets {
    /// Hosts the operator allowed by name although they are not public.
    pub allow_hosts: AllowedHosts,
    /// Whether plain http is spoken to hosts that the operator did not name.
    pub allow_http: bool,
}

impl WebhookTargets {
    /// What is wrong with a URL as a target, as the rest of a sentence that starts with the member.
    pub fn problem(&self, url: &str) -> Option<String> {
        let WebhookTargets {
            allow_hosts,
            allow_http,
        } = self;
        if let Err(problem) = check_url_syntax(url, allow_hosts) {
            return Some(problem.to_string());
        }
        let is_https = url
            .get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        let is_taken = is_https || *allow_http || allow_hosts.has(url);
        (!is_taken).then(|| "uses plain http; https is taken".to_owned())
    }
}

/// What sends. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<SenderParts>);

/// What a sender works with.
pub struct SenderParts {
    /// Where the outbox is.
    pub store: Arc<dyn Store>,
    /// Asks addresses that may be asked.
    pub client: GuardedClient,
    /// Which those are.
    pub targets: WebhookTargets,
    /// What URLs in payloads start with.
    pub public_url: String,
    /// Signs the URLs of files.
    pub signer: Signer,
    /// How long those are good for, in milliseconds.
    pub url_life_ms: u64,
    /// How long one try may take; [`TRY_TIMEOUT`] but in tests.
    pub timeout: Duration,
    /// Tells the time.
    pub clock: Clock,
}

impl Sender {
    /// A sender.
    pub fn new(parts: SenderParts) -> Sender {
        Sender(Arc::new(parts))
    }

    /// Sends what is due until the wish to shut down.
    pub async fn run(&self, shutdown: CancellationToken) {
        let bell = self.0.store.delivery_bell();
        let mut tries = JoinSet::new();
        while !shutdown.is_cancelled() {
            let room = AT_ONCE_MAX.saturating_sub(u32::try_from(tries.len()).unwrap_or(u32::MAX));
            let wait = match self.take(room).await {
                Ok((due, wait)) => {
                    for delivery in due {
                        let sender = self.clone();
                        tries.spawn(async move { sender.deliver(delivery).await });
                    }
                    wait
                }
                Err(error) => {
                    tracing::warn!("The outbox of webhooks cannot be read: {}", chain(&error));
                    POLL
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = bell.notified(), if room > 0 => {}
                () = sleep(wait), if room > 0 => {}
                Some(ended) = tries.join_next() => log_panic(ended),
            }
        }
        let parting = async { while tries.join_next().await.is_some() {} };
        if tokio::time::timeout(PARTING, parting).await.is_err() {
            tracing::info!("Webhooks that were not answered in time are sent again");
        }
    }

    /// What is due, and how long to sleep unless a bell rings.
    async fn take(&self, room: u32) -> kinora_store::Result<(Vec<DueDelivery>, Duration)> {
        let SenderParts { store, clock, .. } = &*self.0;
        // Asked first, because asking is cheap and taking is a write.
        let due = store.next_delivery_at().await?.is_some_and(|at| at <= clock());
        let taken = match due && room > 0 {
            true => store.claim_deliveries(room, LEASE_MS, clock()).await?,
            false => Vec::new(),
        };
        let wait = match store.next_delivery_at().await? {
            Some(next) => Duration::from_millis(next.ms_since(clock()).max(20)).min(POLL),
            None => POLL,
        };
        Ok((taken, wait))
    }

    async fn deliver(&self, delivery: DueDelivery) {
        let outcome = match self.attempt(&delivery).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // Nothing was sent; the lease runs out, and it is tried again.
                tracing::warn!("The webhook {} cannot be sent: {}", delivery.id, chain(&error));
                return;
            }
        };
        let label = match outcome.tried.error {
            None => "delivered",
            Some(_) => "failed",
        };
        metrics::counter!("kinora_webhook_tries_total", "outcome" => label).increment(1);
        tracing::debug!(
            "The webhook {} to {} {label}: {:?}",
            delivery.id,
            delivery.endpoint,
            outcome.verdict
        );
        let now = (self.0.clock)();
        let kept = self
            .0
            .store
            .record_try(delivery.id, delivery.token, outcome, now)
            .await;
        if let Err(error) = kept {
            tracing::warn!(
                "What came of the webhook {} cannot be kept: {}",
                delivery.id,
                chain(&error)
            );
        }
    }

    fn links(&self, now: Timestamp) -> Links<'_> {
        let SenderParts {
            public_url,
            signer,
            url_life_ms,
            ..
        } = &*self.0;
        Links {
            public_url,
            signer,
            expires: now.plus_ms(*url_life_ms),
        }
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("Sending a webhook ended badly: {error}");
    }
}

/// Why an address is not asked, in the log of a delivery.
fn refusal(problem: impl std::fmt::Display) -> String {
    format!("The URL {problem}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_judged() {
        let strict = WebhookTargets::default();
        let open = WebhookTargets {
            allow_hosts: AllowedHosts::parse(["127.0.0.1:9000"]).unwrap(),
            allow_http: false,
        };
        let plain = WebhookTargets {
            allow_http: true,
            ..WebhookTargets::default()
        };
        let check = |targets: &WebhookTargets, url: &str, taken: bool| {
            let problem = targets.problem(url);
            assert_eq!(problem.is_none(), taken, "{url}: {problem:?}");
        };
        check(&strict, "https://example.com/hook", true);
        check(&strict, "HTTPS://example.com/hook", true);
        check(&strict, "http://example.com/hook", false);
        check(&strict, "https://127.0.0.1:9000/hook", false);
        check(&strict, "ftp://example.com", false);
        check(&strict, "hook", false);
        check(&open, "http://127.0.0.1:9000/hook", true);
        check(&open, "http://127.0.0.1:9001/hook", false);
        check(&open, "http://example.com/hook", false);
        check(&plain, "http://example.com/hook", true);
        check(&plain, "http://127.0.0.1/hook", false);
    }
}
