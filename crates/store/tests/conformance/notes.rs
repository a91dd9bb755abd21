//! What attempts leave behind for each other, and what becomes of a generation that goes on to another offer.

use std::sync::Arc;

use kinora_domain::{Failure, FailureCode, OfferId, Status};
use kinora_store::{LeaseKey, Note, Noted, Outcome};

use super::world::{LEASE_MS, World, failed, succeeded};

fn note(clip: u8, text: &str) -> Note {
    Note {
        clip,
        text: text.to_owned(),
    }
}

async fn write(world: &World, lease: LeaseKey, word: Note) -> Noted {
    world.store.note(lease, word, world.now()).await.unwrap()
}

pub(crate) async fn a_note_is_found_by_the_next_attempt(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let first = world.running(account).await;
    assert_eq!(first.notes, []);
    let about_the_second_clip = note(1, "task 2");
    for word in [
        note(0, "sending"),
        about_the_second_clip.clone(),
        note(0, "task 1, ünïcode"),
    ] {
        assert_eq!(write(&world, first.lease, word).await, Noted::Kept);
    }
    let expected = [note(0, "task 1, ünïcode"), about_the_second_clip];

    // A worker that died, one that gave back, one that failed: the notes stay.
    world.wait_ms(LEASE_MS);
    world.recover().await;
    let second = world.claim().await;
    assert_eq!(second.notes, expected);
    world.finish(second.lease, Outcome::GivenBack).await;
    let third = world.claim().await;
    assert_eq!(third.notes, expected);
    world.finish(third.lease, failed(Some(world.now()))).await;
    assert_eq!(world.claim().await.notes, expected);

    let other = world.running(account).await;
    assert_eq!(other.notes, [], "another generation");
}

pub(crate) async fn a_note_needs_the_lease(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let old = world.running(account).await;
    let strange = LeaseKey {
        token: old.lease.token + 1,
        ..old.lease
    };
    assert_eq!(write(&world, strange, note(0, "strange")).await, Noted::LeaseLost);
    world.wait_ms(LEASE_MS);
    world.recover().await;
    assert_eq!(
        write(&world, old.lease, note(0, "while it waits")).await,
        Noted::LeaseLost
    );
    let new = world.claim().await;
    assert_eq!(new.notes, []);
    assert_eq!(write(&world, old.lease, note(0, "late")).await, Noted::LeaseLost);
    world.finish(new.lease, succeeded(1, 50)).await;
    assert_eq!(
        write(&world, new.lease, note(0, "too late")).await,
        Noted::LeaseLost
    );
}

pub(crate) async fn what_is_passed_on_waits_for_the_other_offer(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let claimed = world.running(account).await;
    write(&world, claimed.lease, note(0, "of wan")).await;
    let pass_on = |offer: &str, retry_at| Outcome::PassedOn {
        failure: Failure {
            code: FailureCode::ProviderUnavailable,
            message: "It is away.".to_owned(),
        },
        retry_at,
        offer: OfferId(offer.to_owned()),
    };
    let passed = world.finish(claimed.lease, pass_on("other", world.now())).await;
    assert_eq!(passed.offer.0, "other");
    assert!(matches!(passed.status, Status::Queued { attempts: 1, .. }));
    assert!(world.try_claim(&["wan"], 1000).await.is_none());
    world.assert_sound("passing on").await;

    let other = world.try_claim(&["other"], 1000).await.expect("it waits there");
    assert_eq!(
        (other.attempts, other.notes.len()),
        (2, 0),
        "notes are an offer's own"
    );
    let back = world
        .finish(other.lease, pass_on("wan", world.now().plus_ms(10)))
        .await;
    assert_eq!(back.offer.0, "wan");
    world.wait_ms(10);
    world.recover().await;
    let third = world.claim().await;
    assert_eq!(third.notes, [note(0, "of wan")]);
    world.finish(third.lease, succeeded(1, 50)).await;
    // One hold, one charge, whatever it went through.
    let entries: Vec<_> = world
        .entries(account)
        .await
        .into_iter()
        .map(|entry| entry.0)
        .collect();
    assert_eq!(entries, ["grant", "hold", "capture"]);
}
