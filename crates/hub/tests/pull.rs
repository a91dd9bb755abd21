//! Pulling from a Hub that drops, stalls, throttles, corrupts, lies and refuses, into a cache that others use.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

#[expect(dead_code, reason = "shared with tests that ask for other things of it")]
mod hub_server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use hub_server::{Access, COMMIT, Fault, TOKEN, TestHub, git_blob, noise, sha256};
use kinora_hub::{Cache, Choice, Event, Hub, HubError, HubOptions, Reference, Repository, Revision, Token};
use tempfile::TempDir;

const REPOSITORY: &str = "maker/clip";
/// On the store of another host.
const LARGE: &str = "transformer/diffusion_pytorch_model.safetensors";
/// At the Hub itself.
const SMALL: &str = "transformer/config.json";

struct House {
    hub: TestHub,
    folder: TempDir,
    large: Vec<u8>,
    told: Mutex<Vec<String>>,
}

impl House {
    fn new() -> House {
        let hub = TestHub::start();
        let large = noise(300_000, 7);
        let files = [
            ("model_index.json", b"{}".to_vec()),
            ("README.md", b"not needed".to_vec()),
            (SMALL, b"{\"layers\": 2}\n".to_vec()),
            (LARGE, large.clone()),
        ];
        hub.add(REPOSITORY, Access::Public, &files);
        House {
            hub,
            folder: tempfile::tempdir().unwrap(),
            large,
            told: Mutex::default(),
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.folder.path().join("hub"))
    }

    fn client(&self, token: Option<&str>) -> Hub {
        Hub::new(HubOptions {
            endpoint: self.hub.endpoint(),
            token: token.map(|token| Token::new(token.to_owned())),
            silence: Duration::from_millis(400),
            first_wait: Duration::from_millis(1),
        })
        .unwrap()
    }

    fn pull(&self) -> Result<PathBuf, HubError> {
        self.pull_with(None, REPOSITORY, &Choice::Engine)
    }

    fn pull_with(&self, token: Option<&str>, reference: &str, choice: &Choice) -> Result<PathBuf, HubError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let (hub, cache) = (self.client(token), self.cache());
            let reference = Reference::parse(reference).unwrap();
            let plan = hub.plan(&cache, &reference, choice).await?;
            let observe = |event: Event<'_>| {
                if let Event::Again { why, .. } = event {
                    self.told.lock().unwrap().push(why.to_owned());
                }
            };
            hub.pull(&cache, &plan, &observe).await
        })
    }

    /// Whether the repository is in the cache, as everybody of that world expects it there.
    fn assert_sound(&self, snapshot: &Path) {
        let repository = self.folder.path().join("hub/models--maker--clip");
        assert_eq!(snapshot, repository.join("snapshots").join(COMMIT));
        assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
        assert_eq!(fs::read(snapshot.join(LARGE)).unwrap(), self.large);
        let link = fs::read_link(snapshot.join(LARGE)).unwrap();
        assert_eq!(link, Path::new("../../../blobs").join(sha256(&self.large)));
        let link = fs::read_link(snapshot.join("model_index.json")).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(git_blob(b"{}")));
        assert!(!snapshot.join("README.md").exists());
        let blobs = fs::read_dir(repository.join("blobs")).unwrap();
        let names: Vec<String> = blobs
            .map(|blob| blob.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(
            names.iter().all(|name| !name.ends_with(".incomplete")),
            "{names:?}"
        );
    }

    #[track_caller]
    fn check(&self, faults: &[(u32, &str, Fault)]) -> Vec<Option<String>> {
        for (times, file, fault) in faults {
            self.hub.fail(*times, file, fault.clone());
        }
        let snapshot = self.pull().unwrap();
        self.assert_sound(&snapshot);
        assert!(self.hub.has_failed_enough());
        self.hub.asked(LARGE)
    }

    fn incomplete(&self) -> PathBuf {
        let name = format!("{}.incomplete", sha256(&self.large));
        self.folder
            .path()
            .join("hub/models--maker--clip/blobs")
            .join(name)
    }
}

fn from(byte: usize) -> Option<String> {
    Some(format!("bytes={byte}-"))
}

#[test]
fn as_the_cache_is_laid_out() {
    let house = House::new();
    assert_eq!(house.check(&[]), [None]);
    house.hub.seen();
    // The second time nothing is fetched.
    house.check(&[]);
    let gets = house.hub.seen();
    assert!(
        gets.iter()
            .all(|seen| seen.method == "HEAD" || seen.path.starts_with("/api/")),
        "{gets:?}"
    );
}

#[test]
fn goes_on_where_the_connection_ended() {
    let house = House::new();
    let faults = [
        (1, LARGE, Fault::Cut(100_000)),
        (1, LARGE, Fault::Cut(50_000)),
        (1, SMALL, Fault::Cut(3)),
    ];
    assert_eq!(house.check(&faults), [None, from(100_000), from(150_000)]);
}

#[test]
fn goes_on_where_the_last_process_ended() {
    let house = House::new();
    fs::create_dir_all(house.incomplete().parent().unwrap()).unwrap();
    fs::write(house.incomplete(), &house.large[..123_456]).unwrap();
    assert_eq!(house.check(&[]), [from(123_456)]);
}

#[test]
fn takes_a_silent_connection_for_dead() {
    let house = House::new();
    assert_eq!(
        house.check(&[(1, LARGE, Fault::Stall(70_000))]),
        [None, from(70_000)]
    );
    assert_eq!(
        *house.told.lock().unwrap(),
        [format!("{}: it has been silent for too long", house.hub.store)]
    );
}

#[test]
fn has_patience_with_a_slow_connection() {
    let house = House::new();
    // Longer in all than any silence that is borne.
    let slow = Fault::Slow(20_000, Duration::from_millis(50));
    let began = Instant::now();
    assert_eq!(house.check(&[(1, LARGE, slow)]), [None]);
    assert!(began.elapsed() > Duration::from_millis(600));
}

#[test]
fn fetches_again_what_arrived_damaged() {
    let house = House::new();
    assert_eq!(
        house.check(&[(2, LARGE, Fault::Flip(5)), (1, SMALL, Fault::Flip(5))]),
        [None, None, None]
    );
    // And what lay about damaged.
    let house = House::new();
    fs::create_dir_all(house.incomplete().parent().unwrap()).unwrap();
    fs::write(house.incomplete(), vec![0; 1000]).unwrap();
    assert_eq!(house.check(&[]), [from(1000), None]);
}

#[test]
fn gives_up_what_always_arrives_damaged() {
    let house = House::new();
    house.hub.fail(9, LARGE, Fault::Flip(299_999));
    let error = house.pull().unwrap_err();
    assert!(matches!(&error, HubError::Damaged { times: 3, .. }), "{error:?}");
    assert!(error.to_string().contains(&sha256(&house.large)), "{error}");
    assert!(!house.incomplete().exists());
    assert_eq!(house.cache().find(&Reference::parse(REPOSITORY).unwrap()), None);
}

#[test]
fn asks_again_when_it_is_asked_to() {
    let house = House::new();
    let began = Instant::now();
    let faults = [
        (2, LARGE, Fault::Status(503, None)),
        (1, LARGE, Fault::Status(429, Some("1".to_owned()))),
        (1, SMALL, Fault::Status(500, None)),
        (2, "list", Fault::Status(502, None)),
    ];
    house.check(&faults);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn waits_neither_for_hours_nor_for_ever() {
    let house = House::new();
    house
        .hub
        .fail(1, LARGE, Fault::Status(429, Some("7200".to_owned())));
    let error = house.pull().unwrap_err().to_string();
    assert!(
        error.contains("wants to be asked again in 7200 s only"),
        "{error}"
    );
    house.hub.fail(99, LARGE, Fault::Status(503, None));
    let error = house.pull().unwrap_err().to_string();
    assert!(error.contains("503 Service Unavailable"), "{error}");
}

/// An address that was signed is refused once it is old: the Hub signs another.
#[test]
fn asks_the_hub_for_another_address() {
    let house = House::new();
    house.check(&[(1, LARGE, Fault::Cut(1000)), (1, LARGE, Fault::Status(403, None))]);
    let seen = house.hub.seen();
    let signed = seen
        .iter()
        .filter(|seen| seen.at_home && seen.method == "GET" && seen.path.ends_with(LARGE));
    assert_eq!(signed.count(), 3);
}

#[test]
fn bears_servers_without_ranges() {
    let house = House::new();
    let faults = [(1, LARGE, Fault::Cut(100_000)), (1, LARGE, Fault::NoRanges)];
    assert_eq!(house.check(&faults), [None, from(100_000)]);
    let house = House::new();
    let faults = [(1, LARGE, Fault::Cut(100_000)), (1, LARGE, Fault::OtherRange)];
    assert_eq!(house.check(&faults), [None, from(100_000), None]);
}

#[test]
fn bears_wrong_lengths_of_answers() {
    for by in [-1000, 1000] {
        House::new().check(&[(1, LARGE, Fault::WrongLength(by))]);
    }
}

#[test]
fn refuses_wrong_lengths_of_files() {
    for (bytes, words) in [
        (299_000, "longer than it is said to be"),
        (301_000, "shorter than it is said to be"),
    ] {
        let house = House::new();
        house.hub.lie(LARGE, bytes);
        let error = house.pull().unwrap_err().to_string();
        assert!(error.contains("cannot be had"), "{error}");
        assert!(
            house.told.lock().unwrap().iter().any(|told| told.contains(words)),
            "{:?}",
            house.told
        );
    }
}

#[test]
fn takes_the_file_that_is_there_now() {
    let mut house = House::new();
    let others = noise(250_000, 8);
    // The first question is answered with half of what was there, the second one sees another file.
    house.hub.fail(1, LARGE, Fault::Becomes(others.clone()));
    let old = house.incomplete();
    house.large = others;
    let snapshot = house.pull().unwrap();
    assert_eq!(fs::read(snapshot.join(LARGE)).unwrap(), house.large);
    assert!(old.exists(), "what was there may come back");
    assert_eq!(
        *house.told.lock().unwrap().last().unwrap(),
        "it has become another file on the Hub"
    );
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let house = House::new();
    house.pull_with(Some(TOKEN), REPOSITORY, &Choice::Engine).unwrap();
    let seen = house.hub.seen();
    assert!(
        seen.iter().any(|seen| !seen.at_home),
        "the large file lies elsewhere"
    );
    for seen in seen {
        assert_eq!(seen.token.is_some(), seen.at_home, "{seen:?}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    let house = House::new();
    let files = [("model_index.json", b"{}".to_vec()), (SMALL, b"{}".to_vec())];
    house.hub.add("maker/secret", Access::Private, &files);
    house.hub.add("maker/gated", Access::Gated, &files);
    let check = |token: Option<&str>, reference: &str, parts: &[&str]| {
        let error = house.pull_with(token, reference, &Choice::Engine).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, HubError::Refused { .. }), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert!(token.is_none_or(|token| !said.contains(token)), "{said}");
    };
    check(
        None,
        "maker/secret",
        &[
            "Repository not found (401)",
            "set HF_TOKEN to a token that may read it",
        ],
    );
    check(
        Some("hf_wrong"),
        "maker/secret",
        &[
            "Repository not found (401)",
            "may not read it, or is no longer good",
        ],
    );
    check(
        None,
        "maker/nothing",
        &[
            "refuses maker/nothing@main",
            "If there is such a repository it is private",
        ],
    );
    check(None, "maker/clip@v9", &["Invalid rev id: v9 (404)"]);
    check(
        None,
        "maker/gated",
        &["is restricted", "/maker/gated, and set HF_TOKEN"],
    );
    check(
        Some("hf_wrong"),
        "maker/gated",
        &["is restricted", "with the account of the token"],
    );
    for reference in ["maker/secret", "maker/gated"] {
        house.pull_with(Some(TOKEN), reference, &Choice::Engine).unwrap();
    }
}

#[test]
fn refuses_what_the_disk_has_no_room_for() {
    let house = House::new();
    house.hub.lie(LARGE, 1 << 60);
    let error = house.pull().unwrap_err();
    assert!(matches!(error, HubError::NoRoom { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("1152921504.61 GB are to be fetched, and "),
        "{error}"
    );
    assert!(!house.incomplete().exists());
}

#[test]
fn two_at_once_fetch_it_once() {
    let house = House::new();
    house
        .hub
        .fail(1, LARGE, Fault::Slow(30_000, Duration::from_millis(60)));
    std::thread::scope(|scope| {
        let one = scope.spawn(|| house.pull().unwrap());
        let other = scope.spawn(|| house.pull().unwrap());
        assert_eq!(one.join().unwrap(), other.join().unwrap());
    });
    house.assert_sound(
        &house
            .cache()
            .find(&Reference::parse(REPOSITORY).unwrap())
            .unwrap(),
    );
    assert_eq!(house.hub.asked(LARGE), [None]);
}

#[test]
fn single_files_by_name() {
    let house = House::new();
    let named = |file: &str| Choice::Named {
        files: vec![file.to_owned()],
        patterns: Vec::new(),
    };
    let snapshot = house.pull_with(None, REPOSITORY, &named("README.md")).unwrap();
    assert!(snapshot.join("README.md").exists() && !snapshot.join(LARGE).exists());
    let error = house
        .pull_with(None, REPOSITORY, &named("../README.md"))
        .unwrap_err();
    assert!(matches!(error, HubError::Choose(_)), "{error:?}");
    // A path behind the name is a file of it.
    let snapshot = house
        .pull_with(None, "maker/clip@v1/transformer/config.json", &Choice::Engine)
        .unwrap();
    assert!(snapshot.join(SMALL).exists());
    let there = Reference::parse("maker/clip@v1/transformer/config.json").unwrap();
    assert_eq!(house.cache().find(&there), Some(snapshot.join(SMALL)));
}

#[test]
fn names_that_lead_elsewhere_are_not_taken() {
    let house = House::new();
    let files = [
        ("model_index.json", b"{}".to_vec()),
        (SMALL, b"{}".to_vec()),
        ("vae/../../../../escaped", b"x".to_vec()),
        ("/escaped", b"x".to_vec()),
    ];
    house.hub.add("maker/evil", Access::Public, &files);
    let all = Choice::Named {
        files: Vec::new(),
        patterns: vec![glob::Pattern::new("*").unwrap()],
    };
    let snapshot = house.pull_with(None, "maker/evil", &all).unwrap();
    let mut names: Vec<_> = fs::read_dir(snapshot)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["model_index.json", "transformer"]);
}

#[test]
fn removal_leaves_what_others_use() {
    let house = House::new();
    house.pull().unwrap();
    let (cache, repository) = (house.cache(), Repository::parse(REPOSITORY).unwrap());
    // A second commit, which has the large file in common with the first.
    let other = "89abcdef0123456789abcdef0123456789abcdef";
    let root = house.folder.path().join("hub/models--maker--clip");
    fs::create_dir_all(root.join("snapshots").join(other).join("transformer")).unwrap();
    let own = root.join("blobs/own");
    fs::write(&own, vec![0; 5000]).unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, root.join("snapshots").join(other).join(name)).unwrap();
    };
    link(&format!("../../../blobs/{}", sha256(&house.large)), LARGE);
    link("../../blobs/own", "model_index.json");
    fs::write(root.join("refs/old"), other).unwrap();

    let cached = cache.repositories().unwrap();
    let [cached] = &cached[..] else {
        panic!("{cached:?}")
    };
    let names = |index: usize| cached.snapshots[index].reference(&repository).to_string();
    assert_eq!(
        (names(0), names(1)),
        (REPOSITORY.to_owned(), "maker/clip@old".to_owned())
    );

    let removal = cache
        .removal(&repository, Revision::parse("old").as_ref())
        .unwrap();
    assert_eq!((removal.bytes, removal.is_whole), (5000, false));
    cache.remove(&removal).unwrap();
    assert!(!own.exists() && !root.join("refs/old").exists() && !root.join("snapshots").join(other).exists());
    house.assert_sound(&cache.find(&Reference::parse(REPOSITORY).unwrap()).unwrap());

    let error = cache
        .removal(&repository, Revision::parse("old").as_ref())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("maker/clip@old is not in the cache"), "{error}");
    let removal = cache.removal(&repository, None).unwrap();
    assert_eq!(removal.bytes, 300_000 + 2 + 14);
    cache.remove(&removal).unwrap();
    assert!(!root.exists());
    assert_eq!(cache.repositories().unwrap(), []);
}

#[test]
fn nothing_is_removed_under_somebody_who_fetches_it() {
    let house = House::new();
    house
        .hub
        .fail(1, LARGE, Fault::Slow(10_000, Duration::from_millis(50)));
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| house.pull().unwrap());
        while !house.incomplete().exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let error = house
            .cache()
            .removal(&Repository::parse(REPOSITORY).unwrap(), None)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "maker/clip is being fetched by another process"
        );
        pulling.join().unwrap();
    });
}
