//! Pages and replays.

use std::sync::Arc;

use kinora_domain::{GenerationId, Phase};
use kinora_store::{GenerationPage, Order, Outcome, Removed};

use super::world::{World, failed, succeeded};

pub(crate) async fn pages_of_generations_join_up(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let mut newest_first: Vec<(GenerationId, Phase)> = Vec::new();
    let mut submit = async |account, then: Then| {
        world.wait_ms(1);
        let id = world.submit_one(account).await.id;
        match then {
            Then::Waits => {}
            Then::IsCanceled => drop(world.store.cancel(account, id, world.now()).await.unwrap()),
            Then::Runs => drop(world.claim().await),
            Then::Ends(outcome) => drop(world.finish(world.claim().await.lease, outcome).await),
        }
        let phase = world.generation(id).await.phase();
        if account == alice {
            newest_first.insert(0, (id, phase));
        }
    };
    let retry = || failed(Some(world.now().plus_ms(3_000)));
    submit(alice, Then::IsCanceled).await;
    submit(bob, Then::Ends(succeeded(1, 50))).await;
    submit(alice, Then::Ends(retry())).await;
    submit(alice, Then::Ends(succeeded(1, 50))).await;
    submit(alice, Then::Ends(failed(None))).await;
    submit(bob, Then::IsCanceled).await;
    submit(alice, Then::IsCanceled).await;
    submit(alice, Then::Ends(failed(None))).await;
    submit(alice, Then::Runs).await;
    submit(bob, Then::Ends(failed(None))).await;
    submit(alice, Then::Ends(succeeded(1, 50))).await;
    submit(alice, Then::Waits).await;
    submit(alice, Then::Waits).await;

    // One that succeeded and one that was canceled lose their media: listed like any other, unless they are to be left out.
    let removed = [Phase::Succeeded, Phase::Canceled].map(|ended| {
        let found = newest_first.iter().find(|(_, phase)| *phase == ended);
        found.expect("one of each").0
    });
    for id in removed {
        world.store.remove_media(alice, id, world.now()).await.unwrap();
    }

    let check = async |phases: &[Phase], order: Order, left_out: Removed| {
        let mut expected: Vec<GenerationId> = newest_first
            .iter()
            .filter(|(_, phase)| phases.is_empty() || phases.contains(phase))
            .map(|(id, _)| *id)
            .filter(|id| left_out == Removed::Listed || !removed.contains(id))
            .collect();
        if order == Order::OldestFirst {
            expected.reverse();
        }
        for limit in [1, 2, 3, expected.len().max(1), 100] {
            let mut found = Vec::new();
            loop {
                let page = GenerationPage {
                    phases: phases.to_vec(),
                    limit,
                    order,
                    behind: found.last().copied(),
                    removed: left_out,
                };
                let page = world.store.generations(alice, page).await.unwrap();
                assert!(page.items.len() <= limit);
                found.extend(page.items.iter().map(|generation| generation.id));
                if !page.has_more {
                    break;
                }
                assert_eq!(page.items.len(), limit);
            }
            assert_eq!(
                found, expected,
                "{phases:?} {order:?} {left_out:?}, {limit} a page"
            );
        }
    };
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for left_out in [Removed::Listed, Removed::LeftOut] {
            check(&[], order, left_out).await;
            check(&[Phase::Queued, Phase::Running], order, left_out).await;
            check(&[Phase::Failed, Phase::Canceled, Phase::Failed], order, left_out).await;
        }
    }
    for phase in Phase::ALL {
        check(&[phase], Order::NewestFirst, Removed::Listed).await;
    }
    let none = GenerationPage {
        limit: 0,
        ..GenerationPage::default()
    };
    let none = world.store.generations(alice, none).await.unwrap();
    assert_eq!((none.items.len(), none.has_more), (0, true));
}

/// What becomes of a generation that is submitted.
enum Then {
    Waits,
    IsCanceled,
    Runs,
    Ends(Outcome),
}

pub(crate) async fn status_events_are_replayed(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let claimed = world.running(account).await;
    let id = claimed.generation.id;
    world.wait_ms(3);
    world.finish(claimed.lease, failed(Some(world.now()))).await;
    world.store.cancel(account, id, world.now()).await.unwrap();
    let seqs = async |after| {
        let events = world.store.status_events(id, after).await.unwrap();
        events
            .into_iter()
            .map(|event| (event.seq, event.phase))
            .collect::<Vec<_>>()
    };
    let all = [
        (1, Phase::Queued),
        (2, Phase::Running),
        (3, Phase::Running),
        (4, Phase::Canceled),
    ];
    for after in 0..6 {
        assert_eq!(seqs(after).await, all[all.len().min(after as usize)..]);
    }
    assert!(seqs(u64::MAX).await.is_empty());
    let last = world.store.status_events(id, 3).await.unwrap();
    assert_eq!(last[0].at, world.now());
    let nothing = GenerationId::new(world.now(), world.draw());
    assert!(world.store.status_events(nothing, 0).await.unwrap().is_empty());
}
