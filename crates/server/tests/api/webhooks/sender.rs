//! The sender on a clock of its own: days pass as fast as tries are made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use kinora_domain::{
    AccountId, Bucket, Credits, EndpointId, Feature, GenerationId, GenerationSpec, GrantId, Model, OfferId,
    Resolution, Seed, Timestamp, Workflow, ledger::EntryType,
};
use kinora_media::fetch::{AllowedHosts, GuardedClient};
use kinora_server::{
    http::files::Signer,
    webhooks::{Sender, SenderParts, WebhookTargets},
};
use kinora_store::{
    Account, Delivery, DeliveryStatus, Endpoint, NewGrant, Secrets, Store, Submission, Submitted,
    sqlite::{SqliteOptions, SqliteStore},
};
use standardwebhooks::Webhook;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::receiver::{Reaction, Receiver, Seen};

const START: i64 = 1_795_348_800_000;
const HOUR_MS: i64 = 3_600_000;

/// A store, a clock, and senders.
struct World {
    store: Arc<dyn Store>,
    account: AccountId,
    now: Arc<AtomicI64>,
    targets: WebhookTargets,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// Receivers on this machine may be told.
    async fn new() -> World {
        World::with(WebhookTargets {
            allow_hosts: AllowedHosts::parse(["127.0.0.1"]).unwrap(),
            allow_http: false,
        })
        .await
    }

    async fn with(targets: WebhookTargets) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("kinora.db"), SqliteOptions::default()).unwrap();
        let account = AccountId::new(Timestamp(START), 1);
        store
            .create_account(Account {
                id: account,
                name: "alice".to_owned(),
                running_max: None,
                created_at: Timestamp(START),
            })
            .await
            .unwrap();
        let grant = NewGrant {
            account,
            id: GrantId::new(Timestamp(START), 1),
            entry_type: EntryType::Grant,
            bucket: Bucket::Permanent,
            credits: Credits(1_000_000),
            expires_at: None,
            note: None,
        };
        store.grant(grant, Timestamp(START)).await.unwrap();
        World {
            store: Arc::new(store),
            account,
            now: Arc::new(AtomicI64::new(START)),
            targets,
            stop: CancellationToken::new(),
            _folder: folder,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    /// Sets the clock; never back.
    fn wait_until(&self, at: Timestamp) {
        self.now.fetch_max(at.0, Ordering::SeqCst);
        self.store.delivery_bell().notify_waiters();
        self.store.delivery_bell().notify_one();
    }

    /// A sender that gives a try 300 ms.
    fn send(&self) -> tokio::task::JoinHandle<()> {
        let now = Arc::clone(&self.now);
        let sender = Sender::new(SenderParts {
            store: Arc::clone(&self.store),
            client: GuardedClient::new(self.targets.allow_hosts.clone()).unwrap(),
            targets: self.targets.clone(),
            public_url: "https://kinora.example".to_owned(),
            signer: Signer::new([9; 32]),
            url_life_ms: 1000,
            timeout: Duration::from_millis(300),
            clock: Arc::new(move || Timestamp(now.load(Ordering::SeqCst))),
        });
        let stop = self.stop.clone();
        tokio::spawn(async move { sender.run(stop).await })
    }

    async fn endpoint(&self, url: &str) -> EndpointId {
        let id = EndpointId::new(self.now(), rand::random());
        let endpoint = Endpoint {
            id,
            account: self.account,
            url: url.to_owned(),
            events: Vec::new(),
            description: String::new(),
            enabled: true,
            gone: false,
            secrets: Secrets {
                current: [7; 32],
                previous: None,
            },
            created_at: self.now(),
        };
        assert!(self.store.create_endpoint(endpoint, 100).await.unwrap());
        id
    }

    async fn submit(&self) -> GenerationId {
        let id = GenerationId::new(self.now(), rand::random());
        let submission = Submission {
            id,
            account: self.account,
            model: Model::WanVideo,
            offer: OfferId("wan".to_owned()),
            spec: GenerationSpec {
                feature: Feature::TextImage,
                workflow: Workflow::Text { audio: None },
                prompt: Some("Fog over a harbour".to_owned()),
                negative_prompt: None,
                aspect_ratio: None,
                resolution: Resolution::P720,
                duration_s: 5,
                prompt_expansion: true,
                seed: Seed::from_entropy(7),
                n: 1,
            },
            price: Credits(50),
            priority: 0,
            deadline: self.now().plus_ms(1000 * HOUR_MS as u64),
            queued_max: 1000,
            idempotency: None,
            webhook_url: None,
        };
        let submitted = self.store.submit(submission, self.now()).await.unwrap();
        assert!(matches!(submitted, Submitted::Created(_)));
        id
    }

    async fn log(&self, endpoint: EndpointId) -> Vec<Delivery> {
        let page = self
            .store
            .deliveries(self.account, endpoint, 100, None)
            .await
            .unwrap();
        page.unwrap().items
    }

    /// The only delivery, once it was tried so often.
    async fn tried(&self, endpoint: EndpointId, times: usize) -> Delivery {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let mut log = self.log(endpoint).await;
            assert_eq!(log.len(), 1);
            if log[0].tries.len() >= times {
                return log.remove(0);
            }
            assert!(Instant::now() < give_up, "{log:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// At the time of the try, which is not this machine's.
fn verify(seen: &Seen) {
    let webhook = Webhook::from_bytes(vec![7; 32]).unwrap();
    let at = seen.headers["webhook-timestamp"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let expected = webhook.sign(&seen.id(), at, &seen.body).unwrap();
    assert_eq!(seen.headers["webhook-signature"], expected.as_str());
}

/// The receiver is away for a day and a half, and then takes what it missed: once, under the same id.
#[tokio::test]
async fn a_receiver_that_was_away_is_told_when_it_is_back() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let port = receiver.port();
    let endpoint = world.endpoint(&receiver.url).await;
    drop(receiver);
    world.submit().await;
    world.send();
    let mut times = 1;
    loop {
        let delivery = world.tried(endpoint, times).await;
        let last = delivery.tries.last().unwrap();
        assert_eq!((delivery.status, last.status), (DeliveryStatus::Pending, None));
        assert_eq!(last.error.as_deref(), Some("It cannot be reached."));
        assert_eq!(last.next_try_at, delivery.next_try_at);
        if delivery.next_try_at.unwrap().0 > START + 36 * HOUR_MS {
            break;
        }
        world.wait_until(delivery.next_try_at.unwrap());
        times += 1;
    }
    assert_eq!(
        times, 8,
        "the ninth try is more than a day and a half after the first"
    );
    let back = Receiver::start_at(port).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(back.seen().is_empty(), "not before its time");
    let next = world.log(endpoint).await[0].next_try_at.unwrap();
    world.wait_until(next);
    let delivery = world.tried(endpoint, 9).await;
    assert_eq!(delivery.status, DeliveryStatus::Delivered);
    let seen = back.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].id(), delivery.id.to_string());
    verify(&seen[0]);
}

/// 500, silence, a redirect, a flood of an answer: each is what it is, and the next try is made in time.
#[tokio::test]
async fn a_bad_day() {
    let world = World::new().await;
    let forbidden = Receiver::start().await;
    let receiver = Receiver::start().await;
    receiver.react([
        Reaction::Status(500),
        Reaction::Stall,
        Reaction::Redirect(forbidden.url.clone()),
        Reaction::Status(404),
        Reaction::Flood,
    ]);
    let endpoint = world.endpoint(&receiver.url).await;
    world.submit().await;
    world.send();
    for times in 1..5 {
        let delivery = world.tried(endpoint, times).await;
        world.wait_until(delivery.next_try_at.unwrap());
    }
    let delivery = world.tried(endpoint, 5).await;
    assert_eq!(delivery.status, DeliveryStatus::Delivered);
    let errors: Vec<_> = delivery
        .tries
        .iter()
        .map(|tried| tried.error.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(
        errors,
        [
            "It answered 500.",
            "There was no answer within 0.3 s.",
            "It answered 302; redirects are not followed.",
            "It answered 404.",
            "",
        ]
    );
    assert_eq!(
        delivery.tries[4].answer.len(),
        1024,
        "only the beginning of an answer is kept"
    );
    assert!(forbidden.seen().is_empty());
    let seen = receiver.seen();
    assert_eq!(seen.len(), 5);
    for seen in &seen {
        verify(seen);
        assert_eq!(seen.id(), delivery.id.to_string(), "the same over all tries");
    }
}

#[tokio::test]
async fn ten_tries_and_no_more() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.react(vec![Reaction::Status(500); 20]);
    let endpoint = world.endpoint(&receiver.url).await;
    world.submit().await;
    world.send();
    for times in 1..10 {
        let delivery = world.tried(endpoint, times).await;
        world.wait_until(delivery.next_try_at.unwrap());
    }
    let delivery = world.tried(endpoint, 10).await;
    assert_eq!(
        (delivery.status, delivery.next_try_at),
        (DeliveryStatus::GivenUp, None)
    );
    let hours = (world.now().0 - START) as f64 / HOUR_MS as f64;
    assert!((68.0..84.0).contains(&hours), "{hours}");
    world.wait_until(Timestamp(START + 1000 * HOUR_MS));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(receiver.seen().len(), 10);
}

#[tokio::test]
async fn gone_is_gone() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.react([Reaction::Status(410)]);
    let endpoint = world.endpoint(&receiver.url).await;
    world.submit().await;
    world.send();
    let delivery = world.tried(endpoint, 1).await;
    assert_eq!(delivery.status, DeliveryStatus::Dropped);
    let kept = world
        .store
        .endpoint(world.account, endpoint)
        .await
        .unwrap()
        .unwrap();
    assert!(kept.gone && !kept.enabled);
    world.submit().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(receiver.seen().len(), 1);
}

/// While it asks to be left alone nothing is sent to it, not even what is new.
#[tokio::test]
async fn retry_after_is_honoured() {
    for (status, when) in [(429, "120"), (503, "120"), (502, "Sun, 22 Nov 2026 12:02:00 GMT")] {
        let world = World::new().await;
        let receiver = Receiver::start().await;
        receiver.react([Reaction::Later(status, when.to_owned())]);
        let endpoint = world.endpoint(&receiver.url).await;
        world.submit().await;
        world.send();
        let delivery = world.tried(endpoint, 1).await;
        assert_eq!(delivery.next_try_at, Some(Timestamp(START + 120_000)), "{when}");
        world.submit().await;
        world.wait_until(Timestamp(START + 119_999));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(receiver.seen().len(), 1);
        world.wait_until(Timestamp(START + 120_000));
        receiver.wait_for(3).await;
    }
}

/// An address that was allowed when the endpoint was made, and is no longer.
#[tokio::test]
async fn a_forbidden_address_is_never_asked() {
    let receiver = Receiver::start().await;
    for (allow_http, expected) in [
        (true, "The URL does not point to a public address."),
        (false, "The URL does not point to a public address."),
    ] {
        let world = World::with(WebhookTargets {
            allow_hosts: AllowedHosts::default(),
            allow_http,
        })
        .await;
        // By its number, and by a name that leads there.
        for url in [
            receiver.url.clone(),
            receiver.url.replace("127.0.0.1", "localhost"),
        ] {
            let endpoint = world.endpoint(&url).await;
            world
                .store
                .test_endpoint(world.account, endpoint, world.now())
                .await
                .unwrap();
            let sending = world.send();
            let delivery = world.tried(endpoint, 1).await;
            assert_eq!(delivery.tries[0].error.as_deref(), Some(expected), "{url}");
            assert_eq!(delivery.tries[0].status, None);
            sending.abort();
        }
    }
    assert!(receiver.seen().is_empty());
}

/// A sender dies in the middle of a try: another one makes it again when the lease has run out.
#[tokio::test]
async fn a_dead_senders_work_is_done_again() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.react([Reaction::Stall]);
    let endpoint = world.endpoint(&receiver.url).await;
    world.submit().await;
    // Claimed as a sender would, which is then never heard of again.
    let claimed = world
        .store
        .claim_deliveries(1, 60_000, world.now())
        .await
        .unwrap();
    assert_eq!(claimed.len(), 1);
    world.send();
    world.send();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(receiver.seen().is_empty(), "its lease still runs");
    world.wait_until(Timestamp(START + 60_000));
    let delivery = world.tried(endpoint, 1).await;
    world.wait_until(delivery.next_try_at.unwrap());
    let delivery = world.tried(endpoint, 2).await;
    assert_eq!(delivery.status, DeliveryStatus::Delivered);
    assert_eq!(receiver.seen().len(), 2, "two senders, and no try made twice");
}

/// Many generations, several senders, one receiver that stumbles: each generation's events come in their order.
#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_within_a_generation() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let endpoint = world.endpoint(&receiver.url).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        let id = world.submit().await;
        world.store.cancel(world.account, id, world.now()).await.unwrap();
        ids.push(id.to_string());
    }
    for _ in 0..3 {
        world.send();
    }
    let seen = receiver.wait_for(80).await;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seen in &seen {
        told.entry(seen.prediction("id"))
            .or_default()
            .push(seen.text("type"));
    }
    for id in &ids {
        assert_eq!(told[id], ["task.created", "task.canceled"], "{id}");
    }
    let log = world.log(endpoint).await;
    assert!(log.iter().all(|delivery| delivery.tries.len() <= 1));
}
