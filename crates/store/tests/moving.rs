//! An installation moves between real databases: nothing is lost, whatever goes on meanwhile and whoever is interrupted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod schemas;
#[allow(dead_code, reason = "shared with the conformance suite, which uses all of it")]
#[path = "conformance/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use kinora_domain::{
    AccountId, AnnouncedOffer, Announcement, Bucket, Credits, EndpointId, GenerationId, GrantId, Hardware,
    KeyId, Offer, OfferId, Phase, Stage, WorkerId, WorkerState, ledger::EntryType,
};
use kinora_store::{
    Database, Endpoint, EndpointChange, GenerationPage, Key, NewGrant, Note, Outcome, Relocation, Scope,
    Secrets, Store, StoreError, Submission, Submitted, Try, TryOutcome, Verdict,
    moving::{self, Move, MoveError, Moved, Progress, Step},
};
use tempfile::TempDir;

use schemas::Schemas;
use world::{LEASE_MS, START, World, failed, idempotency, succeeded, upload};

/// A folder with the file of an installation that has lived.
struct Source {
    folder: TempDir,
    path: PathBuf,
}

impl Source {
    async fn with_a_life() -> Source {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kinora.db");
        let world = World::new(open(&file(&path)));
        live(&world).await;
        world.assert_sound("a life").await;
        Source { folder, path }
    }

    fn database(&self) -> Database {
        file(&self.path)
    }
}

fn file(path: &Path) -> Database {
    Database::Sqlite(path.to_owned())
}

/// A new, empty database on a server.
fn server() -> Database {
    Database::Postgres(Schemas::default().fresh())
}

fn open(database: &Database) -> Arc<dyn Store> {
    database.open(4).unwrap()
}

/// What a server's life leaves: something in every table, and every status, phase and kind of entry.
async fn live(world: &World) {
    let store = &world.store;
    store.secret("file URLs", [9; 32]).await.unwrap();
    let alice = world.rich_account("alice").await;
    let bob = world.account_with_cap("Bob \u{1F426} \"quoted\"", Some(1)).await;
    for (account, credits, bucket, entry_type, expires_at) in [
        (
            alice,
            500,
            Bucket::Subscription,
            EntryType::Grant,
            Some(world.now().plus_ms(1000)),
        ),
        (bob, 5000, Bucket::Subscription, EntryType::Grant, None),
        (bob, 70, Bucket::Permanent, EntryType::Purchase, None),
        (bob, 7, Bucket::Permanent, EntryType::Adjust, None),
    ] {
        let grant = NewGrant {
            account,
            id: GrantId::new(world.now(), world.draw()),
            entry_type,
            bucket,
            credits: Credits(credits),
            expires_at,
            note: Some("für den Anfang\n".to_owned()),
        };
        store.grant(grant, world.now()).await.unwrap();
    }
    for n in 1..=2 {
        let key = Key {
            id: KeyId::new(world.now(), n.into()),
            account: alice,
            name: format!("key {n}"),
            hash: [n; 32],
            scope: if n == 1 { Scope::Full } else { Scope::Read },
            created_at: world.now(),
            revoked_at: None,
        };
        store.create_key(key).await.unwrap();
    }
    store
        .revoke_key(KeyId::new(world.now(), 2), world.now())
        .await
        .unwrap();
    endpoints(world, alice).await;
    // The worker itself stays behind; what it offered is remembered.
    let worker = Announcement {
        id: WorkerId::new(world.now(), world.draw()),
        name: "left".to_owned(),
        version: "1.2.3".to_owned(),
        offers: vec![AnnouncedOffer {
            offer: Offer::unlimited("wan", "Für \"alles\"."),
            section: "engine".to_owned(),
        }],
        slots: 1,
        hardware: Hardware {
            cores: 8,
            memory_bytes: 1 << 34,
            cpu_features: Vec::new(),
        },
        started_at: world.now(),
    };
    store
        .announce(worker, WorkerState::Working, world.now())
        .await
        .unwrap();

    // Of each kind of end, and of each kind of life.
    let success = world.running(alice).await;
    world.finish(success.lease, succeeded(1, 40)).await;
    let removed = world.running(alice).await;
    let removed = world.finish(removed.lease, succeeded(3, 50)).await.id;
    store.remove_media(alice, removed, world.now()).await.unwrap();
    let broken = world.running(alice).await;
    world.finish(broken.lease, failed(None)).await;
    let canceled = world.submit_one(bob).await.id;
    store.cancel(bob, canceled, world.now()).await.unwrap();
    let retried = world.running(alice).await;
    let note = Note {
        clip: 0,
        text: "task 17".to_owned(),
    };
    store.note(retried.lease, note, world.now()).await.unwrap();
    world
        .finish(retried.lease, failed(Some(world.now().plus_ms(60_000))))
        .await;
    let passed_on = world.running(bob).await;
    let kinora_store::Outcome::Failed { failure, .. } = failed(None) else {
        unreachable!("it failed")
    };
    let outcome = Outcome::PassedOn {
        failure,
        retry_at: world.now(),
        offer: OfferId("other".to_owned()),
    };
    world.finish(passed_on.lease, outcome).await;
    world.wait_ms(2000);
    let running = world.running(alice).await;
    world.heartbeat(running.lease, Stage::Denoising, 0.3).await;
    let stopping = world.running(bob).await;
    store
        .cancel(bob, stopping.generation.id, world.now())
        .await
        .unwrap();
    for (account, priority) in [(alice, 0), (alice, 5), (bob, 0)] {
        let input = upload(7);
        let submission = Submission {
            spec: world::spec(kinora_domain::Workflow::Image {
                image: input,
                audio: None,
            }),
            priority,
            idempotency: idempotency("POST /x", &format!("key {priority}"), 1),
            ..world.submission(account)
        };
        world.submit(submission).await;
    }
    store.expire_grants(world.now()).await.unwrap();
    deliver_some(world).await;
}

async fn endpoints(world: &World, account: AccountId) {
    let store = &world.store;
    for n in 1..=3u8 {
        let endpoint = Endpoint {
            id: EndpointId::new(world.now(), n.into()),
            account,
            url: format!("https://hooks.example/{n}"),
            events: if n == 2 {
                vec![Phase::Succeeded]
            } else {
                Vec::new()
            },
            // PostgreSQL keeps no U+0000.
            description: format!("number\0{n}"),
            enabled: true,
            gone: false,
            secrets: Secrets {
                current: [n; 32],
                previous: None,
            },
            created_at: world.now(),
        };
        store.create_endpoint(endpoint, 9).await.unwrap();
    }
    let change = EndpointChange {
        secret: Some(([77; 32], world.now().plus_ms(5000))),
        ..EndpointChange::default()
    };
    let id = |n: u8| EndpointId::new(world.now(), n.into());
    store.change_endpoint(account, id(1), change).await.unwrap();
    store.test_endpoint(account, id(3), world.now()).await.unwrap();
    store.remove_endpoint(account, id(3), world.now()).await.unwrap();
}

/// Some deliveries are made, some fail, some are under way, and some wait.
async fn deliver_some(world: &World) {
    let due = world
        .store
        .claim_deliveries(12, LEASE_MS, world.now())
        .await
        .unwrap();
    assert!(due.len() >= 6, "{due:#?}");
    for (n, delivery) in due.iter().enumerate() {
        let verdict = match n % 4 {
            0 => Verdict::Delivered,
            1 => Verdict::Again(world.now().plus_ms(5000)),
            2 => Verdict::GivenUp,
            _ => continue,
        };
        let outcome = TryOutcome {
            tried: Try {
                at: world.now(),
                latency_ms: 12,
                status: (n % 4 == 0).then_some(200),
                answer: "thanks\0".to_owned(),
                error: (n % 4 != 0).then(|| "It cannot be reached.".to_owned()),
                next_try_at: None,
            },
            verdict,
            hold_until: None,
        };
        let recorded = world
            .store
            .record_try(delivery.id, delivery.token, outcome, world.now());
        assert!(recorded.await.unwrap());
    }
}

/// Moves on a thread of its own, as the program does: whoever moves blocks.
async fn moved(from: &Database, to: &Database) -> Result<Moved, MoveError> {
    moved_with(from, to, |_| ()).await
}

async fn moved_with(
    from: &Database,
    to: &Database,
    progress: impl Fn(Progress) + Send + 'static,
) -> Result<Moved, MoveError> {
    let (from, to) = (from.clone(), to.clone());
    let moving = thread::spawn(move || {
        let moving = Move::begin(&from, &to)?;
        moving.copy(&progress)?;
        moving.finish(&progress, &|_| Ok(()))
    });
    tokio::task::spawn_blocking(|| moving.join())
        .await
        .unwrap()
        .unwrap()
}

/// Moves until it has said `dies_at` times how far it is. Then it hangs for ever with all that it has open, of which a dead
/// process is the harmless case.
async fn moved_until(from: &Database, to: &Database, dies_at: u32) {
    let (from, to) = (from.clone(), to.clone());
    let (dies, mut died) = tokio::sync::mpsc::unbounded_channel();
    thread::spawn(move || {
        let said = AtomicU32::new(0);
        let progress = |_| {
            if said.fetch_add(1, Ordering::Relaxed) == dies_at {
                dies.send(()).unwrap();
                loop {
                    thread::park();
                }
            }
        };
        let moving = Move::begin(&from, &to).unwrap();
        moving.copy(&progress).unwrap();
        moving.finish(&progress, &|_| Ok(())).unwrap();
    });
    died.recv().await.expect("it gets that far");
}

/// Every row of every table, as text.
fn dump(path: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = rusqlite::Connection::open(path).unwrap();
    // Of the moment, and of the database itself: not moved.
    let mut names = connection
        .prepare(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT IN ('relocation', 'workers', 'rates', 'previews') ORDER BY name",
        )
        .unwrap();
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut tables = BTreeMap::new();
    for name in names {
        let mut select = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let mut line = String::new();
            for column in 0..columns {
                write!(line, "{:?} ", row.get_ref(column).unwrap()).unwrap();
            }
            lines.push(line);
        }
        lines.sort();
        tables.insert(name, lines);
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back_every_row_is_the_same() {
    let source = Source::with_a_life().await;
    let before = dump(&source.path);
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "the life leaves nothing in {table}");
    }
    let there = server();
    let moved_there = moved(&source.database(), &there).await.unwrap();
    assert_eq!(moved_there.caught_up, 0, "nobody wrote meanwhile");
    assert_eq!(moved_there.books.accounts.len(), 4);
    let rows = |name: &str| before[name].len() as u64;
    for table in &moved_there.books.tables {
        assert_eq!(table.rows, rows(table.table), "{}", table.table);
    }

    let back = source.folder.path().join("back.db");
    let moved_back = moved(&there, &file(&back)).await.unwrap();
    assert_eq!(moved_back.books, moved_there.books);
    let mut expected = before;
    for line in expected.values_mut().flatten() {
        // The one thing that PostgreSQL cannot keep: a U+0000 is the sign for what cannot be shown.
        *line = line.replace(
            "110, 117, 109, 98, 101, 114, 0, ",
            "110, 117, 109, 98, 101, 114, 239, 191, 189, ",
        );
        *line = line.replace("107, 115, 0]", "107, 115, 239, 191, 189]");
    }
    for lines in expected.values_mut() {
        lines.sort();
    }
    assert_eq!(dump(&back), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_goes_on_where_it_stopped() {
    let source = Source::with_a_life().await;
    let there = server();
    let old = open(&source.database());
    moved(&source.database(), &there).await.unwrap();
    // What still has the old database open is told, reading and writing.
    for error in [
        old.accounts().await.unwrap_err(),
        old.ping().await.unwrap_err(),
        old.secret("another", [0; 32]).await.unwrap_err(),
    ] {
        assert!(error.is_absence(), "{error:?}");
        assert!(
            matches!(&error, StoreError::Relocated { relocation: Relocation::Left(to), .. } if to.contains("postgres")),
            "{error:?}"
        );
    }
    let refused = source.database().open(1).map(|_| ()).unwrap_err();
    assert!(
        refused.to_string().contains("has moved to postgres://"),
        "{refused}"
    );

    let world = World::at(open(&there), START.plus_ms(10_000));
    let alice = world.store.account_by_name("alice").await.unwrap().unwrap().id;
    let before = world.store.entries(alice, 1, None).await.unwrap().items[0].position;
    // The retry comes due, what is in the queue is claimed in its order, and new numbers lie behind the old ones.
    world.wait_ms(3_600_000 - 20_000);
    world.recover().await;
    let first = world.try_claim(&["wan"], 1000).await.expect("somebody waits");
    assert_eq!(first.generation.account, alice, "priority 5 is hers");
    world.finish(first.lease, succeeded(11, 50)).await;
    let mut notes = Vec::new();
    while let Some(claimed) = world.try_claim(&["wan", "other"], 1000).await {
        notes.extend(claimed.notes.iter().map(|note| note.text.clone()));
        world.finish(claimed.lease, succeeded(13, 10)).await;
    }
    assert_eq!(
        notes,
        ["task 17"],
        "the next attempt finds what the last one has left"
    );
    let replayed = world
        .try_submit(Submission {
            idempotency: idempotency("POST /x", "key 5", 1),
            ..world.submission(alice)
        })
        .await;
    assert!(matches!(replayed, Submitted::Replayed(_)), "{replayed:?}");
    let made = world.submit_one(alice).await;
    assert_eq!(world.generation(made.id).await, made);
    let after = world.store.entries(alice, 1, None).await.unwrap().items[0].position;
    assert!(after > before, "{after} follows {before}");
    while let Some(due) = world.store.next_delivery_at().await.unwrap() {
        let due = world
            .store
            .claim_deliveries(50, 1, due.max(world.now()))
            .await
            .unwrap();
        if due.is_empty() {
            break;
        }
        for delivery in due {
            let outcome = TryOutcome {
                tried: Try {
                    at: world.now(),
                    latency_ms: 1,
                    status: Some(204),
                    answer: String::new(),
                    error: None,
                    next_try_at: None,
                },
                verdict: Verdict::Delivered,
                hold_until: None,
            };
            let recorded = world
                .store
                .record_try(delivery.id, delivery.token, outcome, world.now());
            recorded.await.unwrap();
        }
    }
    assert_eq!(world.store.secret("file URLs", [0; 32]).await.unwrap(), [9; 32]);
    world.assert_sound("a second life").await;
}

/// Clients submit, cancel and are served all the while. What was answered is at the target, once and as it was answered.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost() {
    for to_a_file in [false, true] {
        let source = Source::with_a_life().await;
        let to = match to_a_file {
            true => file(&source.folder.path().join("other.db")),
            false => server(),
        };
        let store = open(&source.database());
        let account = store.account_by_name("alice").await.unwrap().unwrap().id;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..4u64 {
            let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
            clients.spawn(async move {
                let world = World::at(store, START.plus_ms(20_000 + client));
                let mut told: BTreeMap<GenerationId, Phase> = BTreeMap::new();
                let mut refusals = 0u32;
                while !is_over.load(Ordering::Relaxed) {
                    let submission = world.submission(account);
                    match world.store.submit(submission, world.now()).await {
                        Ok(Submitted::Created(generation)) => {
                            told.insert(generation.id, generation.phase());
                            // Some are changed after they were copied.
                            let old = *told.keys().nth(told.len() / 2).unwrap();
                            if told[&old] == Phase::Queued
                                && let Ok(Some(_)) = world.store.cancel(account, old, world.now()).await
                            {
                                told.insert(old, Phase::Canceled);
                            }
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => {
                            assert!(error.is_absence(), "{error:?}");
                            refusals += 1;
                        }
                    }
                    // As many as a service has, so that the copy does come to an end.
                    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
                }
                (told, refusals)
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let moved = moved(&source.database(), &to).await.unwrap();
        is_over.store(true, Ordering::Relaxed);
        let world = World::new(open(&to));
        let mut acknowledged = 0;
        for (told, refusals) in clients.join_all().await {
            assert!(refusals > 0, "the end of it is refused");
            for (id, phase) in told {
                acknowledged += 1;
                assert_eq!(world.generation(id).await.phase(), phase);
            }
        }
        assert!(acknowledged > 20, "{acknowledged} were answered");
        assert!(moved.caught_up > 0, "some while it was copied");
        let page = GenerationPage {
            limit: 100_000,
            ..GenerationPage::default()
        };
        let all = world.store.generations(account, page).await.unwrap().items;
        let distinct: BTreeSet<_> = all.iter().map(|generation| generation.id).collect();
        assert_eq!(all.len(), distinct.len());
        world.assert_sound("a move while clients wrote").await;
    }
}

/// The process that moves dies at one place after another. The next one ends what it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_dies_is_begun_again() {
    let source = Source::with_a_life().await;
    let before = dump(&source.path);
    let there = server();
    // Each table is told of once: 15 times while all is copied, while the rest is, and while both are compared.
    for dies_at in [0, 4, 14, 15, 22, 29, 31, 44] {
        moved_until(&source.database(), &there, dies_at).await;
        // Nobody starts on half of it.
        let half = there.open(1).map(|_| ()).unwrap_err();
        assert!(
            matches!(
                &half,
                StoreError::Relocated {
                    relocation: Relocation::Arriving(_),
                    ..
                }
            ),
            "{half:?}"
        );
        if dies_at == 22 {
            // After the seal. Who goes back on it can be written to again, and begins anew.
            let sealed = source.database().open(1).map(|_| ()).unwrap_err();
            assert!(
                matches!(
                    &sealed,
                    StoreError::Relocated {
                        relocation: Relocation::Leaving(_),
                        ..
                    }
                ),
                "{sealed:?}"
            );
            let from = source.database();
            thread::spawn(move || moving::give_up(&from))
                .join()
                .unwrap()
                .unwrap();
            let world = World::at(open(&source.database()), START.plus_ms(50_000));
            let alice = world.store.account_by_name("alice").await.unwrap().unwrap().id;
            world.submit_one(alice).await;
        }
    }
    let moved = moved(&source.database(), &there).await.unwrap();
    let rows = |table: &str| {
        let tables = &moved.books.tables;
        tables.iter().find(|rows| rows.table == table).unwrap().rows
    };
    for (table, more) in [
        ("generations", 1),
        ("ledger_entries", 1),
        ("keys", 0),
        ("status_events", 1),
    ] {
        assert_eq!(rows(table), before[table].len() as u64 + more, "{table}");
    }
    World::new(open(&there)).assert_sound("all of that").await;
    let from = source.database();
    let late = thread::spawn(move || moving::give_up(&from)).join().unwrap();
    assert!(
        matches!(late, Err(MoveError::Elsewhere { .. })),
        "it has moved: {late:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_somebody_opened_is_not_built_upon() {
    let source = Source::with_a_life().await;
    let there = server();
    let (from, here) = (source.database(), source.database());
    let opened = AtomicBool::new(false);
    let moved = moved_with(&here, &there, move |progress| {
        if progress.step == Step::Compare && !opened.swap(true, Ordering::Relaxed) {
            let from = from.clone();
            thread::spawn(move || moving::give_up(&from))
                .join()
                .unwrap()
                .unwrap();
        }
    });
    let moved = moved.await;
    assert!(matches!(moved, Err(MoveError::Interfered(_))), "{moved:?}");
    World::at(open(&source.database()), START.plus_ms(60_000))
        .rich_account("carol")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_before_anything_is_changed() {
    let source = Source::with_a_life().await;
    let before = dump(&source.path);
    let from = source.database();
    let nothing = file(&source.folder.path().join("nothing.db"));
    assert!(matches!(
        moved(&nothing, &server()).await,
        Err(MoveError::NothingThere(_))
    ));
    assert!(!source.folder.path().join("nothing.db").exists());
    assert!(matches!(
        moved(&server(), &nothing).await,
        Err(MoveError::NothingThere(_))
    ));
    assert!(matches!(moved(&from, &from).await, Err(MoveError::Same(_))));

    let full = server();
    World::new(open(&full)).rich_account("of its own").await;
    let refused = moved(&from, &full).await;
    assert!(
        matches!(
            &refused,
            Err(MoveError::NotEmpty {
                table: "accounts",
                ..
            })
        ),
        "{refused:?}"
    );

    let schemas = Schemas::default();
    let of_another_version = Database::Postgres(schemas.fresh());
    drop(open(&of_another_version));
    schemas::execute(&schemas.newest(), "UPDATE schema_version SET version = 99");
    assert!(matches!(
        moved(&from, &of_another_version).await,
        Err(MoveError::OtherVersion { found: 99, .. })
    ));
    let newer = moved(&of_another_version, &nothing).await;
    assert!(
        matches!(&newer, Err(MoveError::Store(StoreError::TooNew { .. }))),
        "{newer:?}"
    );

    // Something else is half-way to the target.
    let other = Source::with_a_life().await;
    let taken = server();
    moved_until(&other.database(), &taken, 3).await;
    assert!(matches!(
        moved(&from, &taken).await,
        Err(MoveError::Elsewhere { .. })
    ));
    assert_eq!(dump(&source.path), before);

    // Books that contradict themselves stay where they are.
    let connection = rusqlite::Connection::open(&source.path).unwrap();
    connection
        .execute("UPDATE grants SET available = available + 1", [])
        .unwrap();
    assert!(matches!(
        moved(&from, &server()).await,
        Err(MoveError::Unsound { .. })
    ));
    // And a last look that finds something lets the installation live on.
    connection
        .execute("UPDATE grants SET available = available - 1", [])
        .unwrap();
    let (here, there) = (from.clone(), server());
    let refused = thread::spawn(move || {
        let moving = Move::begin(&here, &there)?;
        moving.finish(&|_| (), &|moving| {
            let blobs = moving.blobs(None, 2).map_err(|error| error.to_string())?;
            let behind = moving
                .blobs(blobs.last().copied(), 100)
                .map_err(|error| error.to_string())?;
            Err(format!("{} and {} are missing", blobs.len(), behind.len()))
        })
    });
    let refused = refused.join().unwrap().unwrap_err().to_string();
    assert_eq!(refused, "2 and 1 are missing");
    World::at(open(&from), START.plus_ms(70_000))
        .rich_account("carol")
        .await;
}
