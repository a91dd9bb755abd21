//! The embedded back end does what every back end must do, on a real file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod conformance;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use kinora_store::{
    Store, Submission,
    sqlite::{SqliteOptions, SqliteStore},
};
use tempfile::TempDir;

use conformance::world::World;

/// Opens a store of its own for each call; their folders go when this does.
#[derive(Default)]
struct Folders(Mutex<Vec<TempDir>>);

impl Folders {
    fn store(&self) -> Arc<dyn Store> {
        open(&self.path())
    }

    /// A file that is not there yet.
    fn path(&self) -> PathBuf {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kinora.db");
        self.0.lock().unwrap().push(folder);
        path
    }
}

fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, SqliteOptions::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let folders = Folders::default();
    conformance::conformance(|| folders.store()).await;
}

#[test]
fn survives_random_interleavings() {
    let folders = Folders::default();
    conformance::random_interleavings(|| folders.store(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_file() {
    let folders = Folders::default();
    conformance::two_processes(|| {
        let path = folders.path();
        [open(&path), open(&path)]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_start_on_an_empty_folder() {
    let folders = Folders::default();
    let path = folders.path();
    conformance::many_starts(move || open(&path)).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/kinora.db");
    let world = World::new(open(&path));
    let account = world.rich_account("alice").await;
    let claimed = world.running(account).await.generation;
    drop(world);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["kinora.db"], "the log is folded into the file");
    let world = World::new(open(&path));
    assert_eq!(world.generation(claimed.id).await, claimed);
    world.assert_sound("opening again").await;
}

/// Breaks the books by hand and shows that the audit says so, by which invariant.
#[tokio::test]
async fn the_audit_finds_what_is_wrong() {
    let check = async |damage: &str, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kinora.db");
        let world = World::new(open(&path));
        books(&world).await;
        world.assert_sound("the story").await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(UNGUARDED).unwrap();
        let damaged = connection.execute(damage, []).unwrap();
        assert!(damaged > 0, "{damage}: nothing was damaged");
        let findings = world.store.audit().await.unwrap();
        let found = findings
            .iter()
            .any(|finding| finding.invariant.starts_with(expected));
        assert!(found, "{damage}: {findings:#?}");
    };
    let one_hold = "a generation has exactly one hold";
    check("DELETE FROM ledger_entries WHERE type = 'hold'", one_hold).await;
    check(
        "UPDATE generations SET held_permanent = held_permanent + 1",
        one_hold,
    )
    .await;
    check(
        "DELETE FROM ledger_lines WHERE entry IN (SELECT position FROM ledger_entries WHERE type = 'hold')",
        one_hold,
    )
    .await;
    let one_end = "a terminal generation has exactly one capture or release";
    check("DELETE FROM ledger_entries WHERE type = 'capture'", one_end).await;
    check(
        "UPDATE ledger_entries SET type = 'capture' WHERE type = 'release'",
        one_end,
    )
    .await;
    check(
        "UPDATE ledger_entries SET type = 'release' WHERE type = 'capture'",
        one_end,
    )
    .await;
    check("UPDATE generations SET status = 'canceled', charged_permanent = 0, result = NULL WHERE status = 'succeeded'", one_end).await;
    check(
        "UPDATE generations SET status = 'queued', finished_at = NULL WHERE status = 'canceled'",
        one_end,
    )
    .await;
    let of_type = |amount: &str, kind: &str| {
        format!(
            "UPDATE ledger_lines SET amount = {amount} WHERE entry IN (SELECT position FROM ledger_entries WHERE type = '{kind}')"
        )
    };
    check(&of_type("amount - 1", "release"), "a release gives back").await;
    check(&of_type("amount + 1", "capture"), "a capture leaves").await;
    check(
        "UPDATE generations SET charged_permanent = charged_permanent + 1 WHERE status = 'succeeded'",
        "a capture leaves",
    )
    .await;
    check(&of_type("-amount", "hold"), "a hold only takes").await;
    check(&of_type("-amount", "grant"), "a hold only takes").await;
    check(&of_type("amount + 1", "grant"), "a grant's balance").await;
    check("UPDATE grants SET available = available + 1", "a grant's balance").await;
    check("UPDATE ledger_entries SET account = (SELECT id FROM accounts WHERE name = 'bob') WHERE type = 'hold'", "an entry moves").await;
    check(
        "UPDATE ledger_entries SET type = 'expire' WHERE type = 'grant'",
        "a grant is given",
    )
    .await;
    check("UPDATE grants SET given = given + 1", "a grant is given").await;
    check("UPDATE grants SET entry = 'ent_x'", "a grant is given").await;
    for counter in ["queued", "running", "held_subscription", "held_permanent"] {
        check(
            &format!("UPDATE accounts SET {counter} = {counter} + 1"),
            "an account counts",
        )
        .await;
    }
    check("UPDATE lanes SET queued = queued + 1", "a lane counts").await;
    check(
        "UPDATE generations SET claimable = 0 WHERE claimable = 1",
        "a lane counts",
    )
    .await;
    check("DELETE FROM lanes", "a lane counts").await;
    check("UPDATE lanes SET turn = 1000", "a lane counts").await;
    let events = "events lead from acceptance";
    check("DELETE FROM status_events WHERE seq = 1", events).await;
    check("DELETE FROM status_events WHERE phase = 'succeeded'", events).await;
    check("UPDATE status_events SET phase = 'queued' WHERE seq = 2", events).await;
    check("UPDATE status_events SET fraction = 0.9 WHERE seq = 1", events).await;
    check("UPDATE generations SET event_seq = 1", events).await;
    check("DELETE FROM blob_refs", "a generation says whether it has media").await;
    check(
        "UPDATE generations SET has_media = 0 WHERE has_media = 1",
        "a generation says whether it has media",
    )
    .await;
    check(
        "UPDATE idempotency SET account = (SELECT id FROM accounts WHERE name = 'bob')",
        "an idempotency key",
    )
    .await;
}

const UNGUARDED: &str = "
    PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
    DROP TRIGGER ledger_entries_stay; DROP TRIGGER ledger_entries_remain;
    DROP TRIGGER ledger_lines_stay; DROP TRIGGER ledger_lines_remain;";

/// One generation in each status, and a grant.
async fn books(world: &World) {
    let account = world.rich_account("alice").await;
    world.account("bob").await;
    let submission = Submission {
        idempotency: conformance::world::idempotency("POST /x", "key", 1),
        ..world.submission(account)
    };
    world.submit(submission).await;
    let lease = world.claim().await.lease;
    world.finish(lease, conformance::world::succeeded(1, 40)).await;
    let canceled = world.submit_one(account).await.id;
    world.store.cancel(account, canceled, world.now()).await.unwrap();
    world.running(account).await;
    world.submit_one(account).await;
}

/// What the tables themselves refuse, whoever writes.
#[tokio::test]
async fn the_tables_guard_the_books() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinora.db");
    let world = World::new(open(&path));
    books(&world).await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    for refused in [
        "UPDATE ledger_entries SET note = 'other'",
        "DELETE FROM ledger_entries",
        "UPDATE ledger_lines SET amount = 0",
        "DELETE FROM ledger_lines",
        "UPDATE grants SET available = -1",
        "UPDATE accounts SET queued = -1",
        "UPDATE generations SET status = 'succeeded' WHERE status = 'canceled'",
        "UPDATE generations SET status = 'lost'",
        "UPDATE generations SET fraction = 1.5",
        "UPDATE generations SET lease_worker = NULL WHERE status = 'running'",
        "UPDATE generations SET charged_permanent = held_permanent + 1 WHERE status = 'succeeded'",
        "INSERT INTO ledger_entries (id, account, type, generation, created_at)
         SELECT 'ent_x', account, 'hold', generation, 0 FROM ledger_entries WHERE type = 'hold'",
        "INSERT INTO ledger_entries (id, account, type, generation, created_at)
         SELECT 'ent_x', account, 'release', generation, 0 FROM ledger_entries WHERE type = 'capture'",
    ] {
        let error = connection.execute(refused, []).expect_err(refused);
        let constraint = Some(rusqlite::ErrorCode::ConstraintViolation);
        assert_eq!(error.sqlite_error_code(), constraint, "{refused}: {error}");
    }
    world.assert_sound("what was refused").await;
}
