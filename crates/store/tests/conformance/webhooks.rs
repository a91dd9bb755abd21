//! Endpoints, and what they are told.

use std::{collections::BTreeMap, sync::Arc};

use kinora_domain::{AccountId, DeliveryId, EndpointId, GenerationId, Phase, Timestamp};
use kinora_store::{
    Delivery, DeliveryStatus, DueDelivery, Endpoint, EndpointChange, Secrets, Submission, Try, TryOutcome,
    Verdict,
};

use super::world::{LEASE_MS, World, succeeded};

const URL: &str = "https://example.com/endpoint";

impl World {
    async fn endpoint(&self, account: AccountId, events: &[Phase]) -> Endpoint {
        let endpoint = Endpoint {
            id: EndpointId::new(self.now(), self.draw()),
            account,
            url: URL.to_owned(),
            events: events.to_vec(),
            description: "the shop".to_owned(),
            enabled: true,
            gone: false,
            secrets: Secrets {
                current: [7; 32],
                previous: None,
            },
            created_at: self.now(),
        };
        assert!(self.store.create_endpoint(endpoint.clone(), 100).await.unwrap());
        endpoint
    }

    /// A submission that names no URL of its own.
    async fn submit_quietly(&self, account: AccountId) -> GenerationId {
        let submission = Submission {
            webhook_url: None,
            ..self.submission(account)
        };
        self.submit(submission).await.id
    }

    async fn due(&self) -> Vec<DueDelivery> {
        self.store
            .claim_deliveries(100, LEASE_MS, self.now())
            .await
            .unwrap()
    }

    async fn one_due(&self) -> DueDelivery {
        let mut due = self.due().await;
        assert_eq!(due.len(), 1, "{due:#?}");
        due.remove(0)
    }

    async fn record(&self, delivery: &DueDelivery, verdict: Verdict) -> bool {
        self.record_and_hold(delivery, verdict, None).await
    }

    async fn record_and_hold(
        &self,
        delivery: &DueDelivery,
        verdict: Verdict,
        hold_until: Option<Timestamp>,
    ) -> bool {
        let outcome = TryOutcome {
            tried: Try {
                at: self.now(),
                latency_ms: 12,
                status: Some(200),
                answer: "thanks".to_owned(),
                error: None,
                next_try_at: None,
            },
            verdict,
            hold_until,
        };
        self.store
            .record_try(delivery.id, delivery.token, outcome, self.now())
            .await
            .unwrap()
    }

    /// Delivers everything that is due, in rounds; what was told, in order.
    async fn deliver_all(&self) -> Vec<(Option<GenerationId>, Option<Phase>)> {
        let mut told = Vec::new();
        loop {
            let due = self.due().await;
            if due.is_empty() {
                return told;
            }
            for delivery in due {
                told.push(what(&delivery));
                assert!(self.record(&delivery, Verdict::Delivered).await);
            }
        }
    }

    async fn log(&self, account: AccountId, endpoint: EndpointId) -> Vec<Delivery> {
        let page = self.store.deliveries(account, endpoint, 100, None).await.unwrap();
        page.expect("the endpoint is there").items
    }
}

fn what(delivery: &DueDelivery) -> (Option<GenerationId>, Option<Phase>) {
    let event = delivery.event.as_ref();
    (
        event.map(|(generation, _)| generation.id),
        event.map(|(_, phase)| *phase),
    )
}

pub(super) async fn endpoints_are_kept_changed_and_removed(world: Arc<World>) {
    let (alice, bob) = (world.account("alice").await, world.account("bob").await);
    let first = world.endpoint(alice, &[]).await;
    let second = world.endpoint(alice, &[Phase::Succeeded, Phase::Failed]).await;
    let store = &world.store;
    assert_eq!(
        store.endpoints(alice).await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(store.endpoints(bob).await.unwrap(), []);
    assert_eq!(store.endpoint(bob, first.id).await.unwrap(), None);
    let third = Endpoint {
        id: EndpointId::new(world.now(), world.draw()),
        ..first.clone()
    };
    assert!(
        !store.create_endpoint(third, 2).await.unwrap(),
        "two are the most"
    );

    let until = world.now().plus_ms(1000);
    let change = EndpointChange {
        url: Some("https://example.com/other".to_owned()),
        events: Some(vec![Phase::Canceled]),
        description: Some(String::new()),
        enabled: Some(false),
        secret: Some(([8; 32], until)),
    };
    assert_eq!(
        store
            .change_endpoint(bob, first.id, change.clone())
            .await
            .unwrap(),
        None
    );
    let changed = store
        .change_endpoint(alice, first.id, change)
        .await
        .unwrap()
        .unwrap();
    let expected = Endpoint {
        url: "https://example.com/other".to_owned(),
        events: vec![Phase::Canceled],
        description: String::new(),
        enabled: false,
        secrets: Secrets {
            current: [8; 32],
            previous: Some(([7; 32], until)),
        },
        ..first.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(store.endpoint(alice, first.id).await.unwrap(), Some(expected));
    let nothing = EndpointChange::default();
    let unchanged = store.change_endpoint(alice, second.id, nothing).await.unwrap();
    assert_eq!(unchanged, Some(second.clone()));

    assert!(!store.remove_endpoint(bob, first.id, world.now()).await.unwrap());
    assert!(store.remove_endpoint(alice, first.id, world.now()).await.unwrap());
    assert!(!store.remove_endpoint(alice, first.id, world.now()).await.unwrap());
    assert_eq!(store.endpoints(alice).await.unwrap(), [second]);
    assert_eq!(store.deliveries(alice, first.id, 1, None).await.unwrap(), None);
}

/// The endpoint and the request's own URL are told the same, each in the order in which it happened, and a retry of
/// the generation is no news.
pub(super) async fn every_phase_is_told_once_and_in_order(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let endpoint = world.endpoint(account, &[]).await;
    let claimed = world.running(account).await;
    let id = claimed.generation.id;
    let retry = super::world::failed(Some(world.now()));
    world.finish(claimed.lease, retry).await;
    world.recover().await;
    let again = world.claim().await;
    world.finish(again.lease, succeeded(1, 40)).await;

    let mut rounds = Vec::new();
    loop {
        let due = world.due().await;
        if due.is_empty() {
            break;
        }
        assert_eq!(
            due.len(),
            2,
            "one event of the generation at a time, to each of the two"
        );
        for delivery in &due {
            let (generation, _) = delivery.event.as_ref().expect("no test was asked for");
            assert_eq!(
                generation.phase(),
                Phase::Succeeded,
                "the generation as it is now"
            );
            let by_request = delivery.url == "https://example.com/hook";
            assert_eq!(delivery.secrets.is_none(), by_request);
            assert_eq!(
                (delivery.endpoint == endpoint.id, delivery.account),
                (!by_request, account)
            );
        }
        rounds.push(what(&due[0]));
        assert_eq!(what(&due[0]), what(&due[1]));
        for delivery in &due {
            assert!(world.record(delivery, Verdict::Delivered).await);
        }
    }
    let phases = [Phase::Queued, Phase::Running, Phase::Succeeded];
    assert_eq!(rounds, phases.map(|phase| (Some(id), Some(phase))));
    let log = world.log(account, endpoint.id).await;
    assert_eq!(log.len(), 3);
    for delivery in &log {
        assert_eq!(
            (delivery.status, delivery.next_try_at),
            (DeliveryStatus::Delivered, None)
        );
        let tries: Vec<_> = delivery
            .tries
            .iter()
            .map(|tried| (tried.status, tried.answer.as_str()))
            .collect();
        assert_eq!(tries, [(Some(200), "thanks")]);
    }
    assert_eq!(
        log[0].event,
        Some((id, Phase::Succeeded)),
        "the newest comes first"
    );
    assert_eq!(world.store.next_delivery_at().await.unwrap(), None);
}

pub(super) async fn endpoints_hear_what_they_asked_for(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let all = world.endpoint(alice, &[]).await;
    let ends = world
        .endpoint(alice, &[Phase::Succeeded, Phase::Failed, Phase::Canceled])
        .await;
    let nothing_yet = world.endpoint(alice, &[Phase::Failed]).await;
    let id = world.submit_quietly(alice).await;
    world.submit_quietly(bob).await;
    world.store.cancel(alice, id, world.now()).await.unwrap();
    world.deliver_all().await;
    let mut told = BTreeMap::new();
    for endpoint in [&all, &ends, &nothing_yet] {
        let log = world.log(alice, endpoint.id).await;
        let events: Vec<_> = log.iter().rev().map(|delivery| delivery.event.unwrap()).collect();
        told.insert(endpoint.id, events);
    }
    assert_eq!(told[&all.id], [(id, Phase::Queued), (id, Phase::Canceled)]);
    assert_eq!(told[&ends.id], [(id, Phase::Canceled)]);
    assert_eq!(told[&nothing_yet.id], []);
}

/// After its first try an event holds up the next one no longer.
pub(super) async fn a_failed_try_is_made_again(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let endpoint = world.endpoint(account, &[]).await;
    let id = world.submit_quietly(account).await;
    world.claim().await;
    let first = world.one_due().await;
    assert_eq!((what(&first), first.failed), ((Some(id), Some(Phase::Queued)), 0));
    let later = world.now().plus_ms(5000);
    assert!(world.record(&first, Verdict::Again(later)).await);
    let second = world.one_due().await;
    assert_eq!(what(&second), (Some(id), Some(Phase::Running)));
    assert!(world.record(&second, Verdict::Delivered).await);
    assert_eq!(world.store.next_delivery_at().await.unwrap(), Some(later));
    assert!(world.due().await.is_empty());

    world.wait_ms(5000);
    let again = world.one_due().await;
    assert_eq!((again.id, again.failed), (first.id, 1));
    assert!(world.record(&again, Verdict::GivenUp).await);
    let log = world.log(account, endpoint.id).await;
    let given_up = log.iter().find(|delivery| delivery.id == first.id).unwrap();
    assert_eq!(given_up.status, DeliveryStatus::GivenUp);
    let next: Vec<_> = given_up.tries.iter().map(|tried| tried.next_try_at).collect();
    assert_eq!(next, [Some(later), None]);
}

pub(super) async fn a_lost_lease_says_nothing(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let endpoint = world.endpoint(account, &[]).await;
    world.submit_quietly(account).await;
    let first = world.one_due().await;
    assert_eq!(
        world.store.next_delivery_at().await.unwrap(),
        Some(world.now().plus_ms(LEASE_MS))
    );
    assert!(world.due().await.is_empty(), "somebody is at it");
    world.wait_ms(LEASE_MS);
    let second = world.one_due().await;
    assert_eq!((second.id, second.failed), (first.id, 0));
    assert!(!world.record(&first, Verdict::Gone).await);
    let unknown = DueDelivery {
        id: DeliveryId::new(world.now(), world.draw()),
        ..second.clone()
    };
    assert!(!world.record(&unknown, Verdict::Delivered).await);
    assert!(world.record(&second, Verdict::Delivered).await);
    assert!(!world.record(&second, Verdict::Delivered).await, "said once");
    let log = world.log(account, endpoint.id).await;
    assert_eq!(
        (log[0].status, log[0].tries.len()),
        (DeliveryStatus::Delivered, 1)
    );
}

/// 410 disables an endpoint, and ends what waits for it; a request's own URL is only told nothing of what waited.
pub(super) async fn an_endpoint_that_is_gone_is_told_no_more(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let endpoint = world.endpoint(account, &[]).await;
    let id = world.submit_one(account).await.id;
    world.claim().await;
    for delivery in world.due().await {
        assert!(world.record(&delivery, Verdict::Gone).await);
    }
    assert!(world.due().await.is_empty());
    let gone = world.store.endpoint(account, endpoint.id).await.unwrap().unwrap();
    assert!(gone.gone && !gone.enabled);
    let statuses: Vec<_> = world
        .log(account, endpoint.id)
        .await
        .iter()
        .map(|d| d.status)
        .collect();
    assert_eq!(statuses, [DeliveryStatus::Dropped; 2]);

    // The URL of the request is told what happens from now on; the endpoint is not, until it is enabled again.
    world.store.cancel(account, id, world.now()).await.unwrap();
    let quiet = world.submit_one(account).await.id;
    let told = world.deliver_all().await;
    assert_eq!(told, [(Some(quiet), Some(Phase::Queued))]);
    let enable = EndpointChange {
        enabled: Some(true),
        ..EndpointChange::default()
    };
    let enabled = world
        .store
        .change_endpoint(account, endpoint.id, enable)
        .await
        .unwrap()
        .unwrap();
    assert!(enabled.enabled && !enabled.gone);
    world.submit_quietly(account).await;
    assert_eq!(world.deliver_all().await.len(), 1);
}

pub(super) async fn a_disabled_endpoint_is_told_later(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let endpoint = world.endpoint(account, &[]).await;
    let before = world.submit_quietly(account).await;
    let set = |enabled| EndpointChange {
        enabled: Some(enabled),
        ..EndpointChange::default()
    };
    let change = |change| world.store.change_endpoint(account, endpoint.id, change);
    change(set(false)).await.unwrap();
    world.submit_quietly(account).await;
    assert!(world.due().await.is_empty());
    assert_eq!(world.store.next_delivery_at().await.unwrap(), None);
    change(set(true)).await.unwrap();
    assert_eq!(
        world.deliver_all().await,
        [(Some(before), Some(Phase::Queued))],
        "what happened meanwhile is not told"
    );
    world.submit_quietly(account).await;
    assert!(
        world
            .store
            .remove_endpoint(account, endpoint.id, world.now())
            .await
            .unwrap()
    );
    assert!(world.due().await.is_empty());
}

pub(super) async fn an_endpoint_that_asks_for_less_is_left_alone(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    world.endpoint(account, &[]).await;
    world.submit_quietly(account).await;
    let due = world.one_due().await;
    let until = world.now().plus_ms(30_000);
    assert!(
        world
            .record_and_hold(&due, Verdict::Again(world.now().plus_ms(5000)), Some(until))
            .await
    );
    world.submit_quietly(account).await;
    world.wait_ms(29_999);
    assert!(world.due().await.is_empty());
    assert_eq!(world.store.next_delivery_at().await.unwrap(), Some(until));
    world.wait_ms(1);
    assert_eq!(world.due().await.len(), 2);
}

/// Few are tried at once to one endpoint, and the others have their turn.
pub(super) async fn a_silent_endpoint_holds_up_nobody(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let silent = world.endpoint(alice, &[]).await;
    for _ in 0..50 {
        world.submit_quietly(alice).await;
    }
    let of_silent = world
        .store
        .claim_deliveries(5, LEASE_MS, world.now())
        .await
        .unwrap();
    assert_eq!(of_silent.len(), 4);
    world.endpoint(bob, &[]).await;
    world.submit_quietly(bob).await;
    let of_bob = world.one_due().await;
    assert_eq!(of_bob.account, bob);
    assert!(world.record(&of_silent[0], Verdict::Delivered).await);
    assert_eq!(world.one_due().await.endpoint, silent.id);
    world.record(&of_bob, Verdict::Delivered).await;
    // Leases that ran out are taken again before what was never tried.
    world.wait_ms(LEASE_MS);
    let again: Vec<_> = world.due().await.iter().map(|delivery| delivery.id).collect();
    assert_eq!(again.len(), 4);
    assert!(
        of_silent[1..]
            .iter()
            .all(|delivery| !again.is_empty() && delivery.account == alice)
    );
}

pub(super) async fn tests_and_replays(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.account("bob").await);
    let endpoint = world.endpoint(alice, &[Phase::Failed]).await;
    let store = &world.store;
    assert_eq!(
        store.test_endpoint(bob, endpoint.id, world.now()).await.unwrap(),
        None
    );
    let id = store
        .test_endpoint(alice, endpoint.id, world.now())
        .await
        .unwrap()
        .unwrap();
    let due = world.one_due().await;
    assert_eq!((due.id, what(&due)), (id, (None, None)));
    assert!(world.record(&due, Verdict::GivenUp).await);

    let replay = |account, delivery| store.replay_delivery(account, endpoint.id, delivery, world.now());
    assert!(!replay(bob, id).await.unwrap());
    assert!(
        !replay(alice, DeliveryId::new(world.now(), world.draw()))
            .await
            .unwrap()
    );
    assert!(replay(alice, id).await.unwrap());
    let again = world.one_due().await;
    assert_eq!((again.id, again.failed), (id, 0));
    // A replay while it is being tried takes the right to speak away.
    assert!(replay(alice, id).await.unwrap());
    assert!(!world.record(&again, Verdict::GivenUp).await);
    let last = world.one_due().await;
    assert!(world.record(&last, Verdict::Delivered).await);
    let log = world.log(alice, endpoint.id).await;
    assert_eq!(
        (log.len(), log[0].status, log[0].tries.len()),
        (1, DeliveryStatus::Delivered, 2)
    );
    let page = store
        .deliveries(alice, endpoint.id, 0, None)
        .await
        .unwrap()
        .unwrap();
    assert!(page.has_more && page.items.is_empty());
    let behind = store
        .deliveries(alice, endpoint.id, 9, Some(log[0].position))
        .await;
    assert!(behind.unwrap().unwrap().items.is_empty());
}

pub(super) async fn old_deliveries_are_forgotten(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let endpoint = world.endpoint(account, &[]).await;
    let removed = world.endpoint(account, &[]).await;
    world.submit_one(account).await;
    world.deliver_all().await;
    let store = &world.store;
    assert!(
        store
            .remove_endpoint(account, removed.id, world.now())
            .await
            .unwrap()
    );
    world.wait_ms(1000);
    let old = world.now();
    world.wait_ms(1000);
    world.submit_quietly(account).await;
    assert_eq!(
        store.forget_deliveries(old).await.unwrap(),
        5,
        "three deliveries and two endpoints that nobody sees"
    );
    assert_eq!(store.forget_deliveries(old).await.unwrap(), 0);
    let log = world.log(account, endpoint.id).await;
    assert_eq!(
        (log.len(), log[0].status),
        (1, DeliveryStatus::Pending),
        "what waits is kept"
    );
    assert_eq!(world.deliver_all().await.len(), 1);
}
