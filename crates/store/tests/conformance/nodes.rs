//! Several processes on one database.

use std::{collections::HashSet, pin::Pin, sync::Arc, thread, time::Duration};

use kinora_domain::{AccountId, Bucket, Phase};
use kinora_store::{Account, GenerationPage, Store, Submitted};
use tokio::{task::JoinSet, time::timeout};

use super::{
    crowd::one_key_makes_one_generation,
    world::{ATTEMPTS_MAX, LEASE_MS, START, World, succeeded},
};

/// Far longer than any commit takes.
const SOON: Duration = Duration::from_secs(10);

/// How many processes start at once.
const STARTS: usize = 12;

type Scenario = fn([Arc<World>; 2]) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |worlds| Box::pin($name(worlds)))),*]
    };
}

pub(super) const SCENARIOS: &[(&str, Scenario)] = scenarios![
    another_process_is_heard,
    two_processes_share_one_balance,
    two_processes_share_one_queue,
    one_key_makes_one_generation_on_whatever_process,
    what_a_dead_process_held_goes_to_the_other,
];

async fn another_process_is_heard([here, there]: [Arc<World>; 2]) {
    let account = here.rich_account("alice").await;
    let id = here.submit_one(account).await.id;
    let bell = here.store.queue_bell();
    let mut watcher = here.store.watch(id);
    // What this process has done itself, and what it takes for news at its start.
    timeout(SOON, bell.notified()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    watcher.mark_unchanged();

    let lease = there.claim().await.lease;
    timeout(SOON, watcher.changed())
        .await
        .expect("it is told soon")
        .unwrap();
    assert_eq!(here.generation(id).await.phase(), Phase::Running);
    timeout(SOON, bell.notified())
        .await
        .expect("something may be claimable");
    here.finish(lease, succeeded(1, 50)).await;
    assert_eq!(there.generation(id).await.phase(), Phase::Succeeded);
}

async fn two_processes_share_one_balance(worlds: [Arc<World>; 2]) {
    let account = worlds[0].account("alice").await;
    worlds[0].grant(account, Bucket::Permanent, 2000, None).await;
    let mut clients = JoinSet::new();
    for client in 0..32 {
        let world = Arc::clone(&worlds[client % 2]);
        clients.spawn(async move {
            let mut created = 0;
            for _ in 0..2 {
                created += u32::from(matches!(
                    world.try_submit(world.submission(account)).await,
                    Submitted::Created(_)
                ));
            }
            created
        });
    }
    assert_eq!(
        clients.join_all().await.into_iter().sum::<u32>(),
        40,
        "2,000 credits are 40 generations"
    );
    assert_eq!(worlds[1].balance(account).await, [0, 0, 0, 2000]);
}

/// Both claim out of two lanes, finish and submit anew at the same time.
async fn two_processes_share_one_queue(worlds: [Arc<World>; 2]) {
    let accounts = [
        worlds[0].rich_account("alice").await,
        worlds[1].rich_account("bob").await,
    ];
    for _ in 0..40 {
        for (world, account) in worlds.iter().zip(accounts) {
            world.submit_one(account).await;
        }
    }
    let mut workers = JoinSet::new();
    for worker in 0..16 {
        let world = Arc::clone(&worlds[worker % 2]);
        workers.spawn(async move {
            let mut made = Vec::new();
            while let Some(claimed) = world.try_claim(&["wan"], 1000).await {
                if made.len() < 2 {
                    world.submit_one(claimed.generation.account).await;
                }
                made.push(world.finish(claimed.lease, succeeded(1, 40)).await.id);
            }
            made
        });
    }
    let made: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = made.iter().collect();
    assert_eq!(made.len(), distinct.len(), "each was made once");
    assert!(made.len() >= 80, "{} were made", made.len());
    for account in accounts {
        let page = GenerationPage {
            limit: 1000,
            ..GenerationPage::default()
        };
        let generations = worlds[0].store.generations(account, page).await.unwrap().items;
        assert!(
            generations
                .iter()
                .all(|generation| generation.phase() == Phase::Succeeded)
        );
    }
}

async fn one_key_makes_one_generation_on_whatever_process(worlds: [Arc<World>; 2]) {
    one_key_makes_one_generation(&worlds).await;
}

async fn what_a_dead_process_held_goes_to_the_other([dead, alive]: [Arc<World>; 2]) {
    let account = dead.rich_account("alice").await;
    let lost = dead.running(account).await.lease;
    let late = START.plus_ms(LEASE_MS + 1);
    // Both look after what was left, as two servers do.
    let found = [&dead, &alive].map(|world| world.store.recover(ATTEMPTS_MAX, late));
    let found = futures_util::future::join_all(found).await;
    let requeued: usize = found
        .iter()
        .map(|found| found.as_ref().unwrap().requeued.len())
        .sum();
    assert_eq!(requeued, 1, "one of them puts it back");
    alive.wait_ms(LEASE_MS + 1);
    let taken = alive.claim().await;
    assert_eq!((taken.lease.generation, taken.attempts), (lost.generation, 2));
    let told = dead.store.finish(lost, succeeded(1, 40), late).await.unwrap();
    assert!(matches!(told, kinora_store::Finished::LeaseLost), "{told:?}");
    alive.finish(taken.lease, succeeded(1, 40)).await;
}

/// Opens one empty database by many threads at the same moment, as many machines would after a deployment.
pub(crate) async fn many_starts(open: impl Fn() -> Arc<dyn Store> + Clone + Send + 'static) {
    let barrier = Arc::new(std::sync::Barrier::new(STARTS));
    let starts: Vec<_> = (0..STARTS)
        .map(|_| {
            let (open, barrier) = (open.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                open()
            })
        })
        .collect();
    let opened = tokio::task::spawn_blocking(move || {
        let opened = starts.into_iter().map(|start| start.join().unwrap());
        opened.collect::<Vec<_>>()
    });
    let stores = opened.await.unwrap();
    // Tables that two had made would not fit what they say to each other from here on.
    let mut secrets = HashSet::new();
    for (n, store) in stores.iter().enumerate() {
        secrets.insert(store.secret("shared", [n as u8; 32]).await.unwrap());
        let account = Account {
            id: AccountId::new(START, n as u128),
            name: format!("node {n}"),
            running_max: None,
            created_at: START,
        };
        store.create_account(account).await.unwrap();
    }
    assert_eq!(secrets.len(), 1);
    for store in &stores {
        assert_eq!(store.accounts().await.unwrap().len(), STARTS);
        assert_eq!(store.audit().await.unwrap(), []);
    }
}
