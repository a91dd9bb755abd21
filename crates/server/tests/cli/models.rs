//! `kinora models pull`, `list` and `remove`, and what can be run in between: against a Hub on this machine, in processes that are
//! interrupted and killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    house::{House, Said, kinora, names},
    hub_server::{COMMIT, Fault, TestHub, sha256},
};

/// wan-mini, laid out as diffusers does it.
const MINI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../checkpoints/mini/model");
const REPOSITORY: &str = "maker/mini";
const TRANSFORMER: &str = "transformer/diffusion_pytorch_model.safetensors";

struct World {
    hub: TestHub,
    house: House,
}

impl World {
    fn new() -> World {
        let hub = TestHub::start();
        hub.add_folder(REPOSITORY, Path::new(MINI));
        World {
            hub,
            house: House::new(),
        }
    }

    fn home(&self) -> PathBuf {
        self.house.folder.path().join("hf")
    }

    fn snapshot(&self) -> PathBuf {
        let repository = self.home().join("hub/models--maker--mini");
        repository.join("snapshots").join(COMMIT)
    }

    /// The program, with this Hub and a cache of its own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = kinora();
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HF_") || name == "HUGGINGFACE_HUB_CACHE" {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.house.folder.path())
            .env("HF_ENDPOINT", self.hub.endpoint())
            .env("HF_HOME", self.home())
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    fn pull(&self) -> Command {
        self.command(&["models", "pull", REPOSITORY])
    }

    /// How much of the transformer there is while it is on its way.
    fn arrived(&self) -> u64 {
        let bytes = fs::read(Path::new(MINI).join(TRANSFORMER)).unwrap();
        let blobs = self.home().join("hub/models--maker--mini/blobs");
        let part = blobs.join(format!("{}.incomplete", sha256(&bytes)));
        part.metadata().map_or(0, |part| part.len())
    }

    #[track_caller]
    fn assert_whole(&self) {
        for name in ["transformer", "vae", "text_encoder"] {
            let here = self.snapshot().join(name).join("config.json");
            assert_eq!(
                fs::read(here).unwrap(),
                fs::read(Path::new(MINI).join(name).join("config.json")).unwrap()
            );
        }
        let same = fs::read(self.snapshot().join(TRANSFORMER)).unwrap()
            == fs::read(Path::new(MINI).join(TRANSFORMER)).unwrap();
        assert!(same);
    }
}

/// From nothing to a video, and back to nothing.
#[test]
fn pulled_listed_run_removed() {
    let world = World::new();
    let make = |quality: &str| {
        world.run(&[
            "generate",
            "a red ball rises",
            "--checkpoint",
            REPOSITORY,
            "--resolution",
            "720p",
            "--duration",
            "2",
            "--steps",
            "4",
            "--quality",
            quality,
            "--no-prompt-expansion",
            "--stats",
            "--json",
            "-o",
            "clip.mp4",
        ])
    };
    make("exact")
        .expect(1, "in the cache")
        .expect(1, "`kinora models pull maker/mini` fetches it");

    let pulled = world.run(&["models", "pull", REPOSITORY]);
    let pulled = pulled.expect(0, "kinora: maker/mini, commit 01234567: 10 files, ");
    assert_eq!(pulled.out.trim_end(), world.snapshot().to_str().unwrap());
    let pulled = pulled
        .expect(0, "\n100 % of ")
        .expect(0, "wan-mini is sound: every tensor is there");
    pulled.expect(0, "--checkpoint maker/mini\n");
    world.assert_whole();

    let listed = world.run(&["models", "list"]).expect(0, "");
    let line = listed.out.lines().find(|line| line.contains(REPOSITORY)).unwrap();
    assert!(
        line.starts_with("wan-mini  maker/mini") && line.contains("first frame"),
        "{line}"
    );
    let shown = world
        .run(&["models", "show", REPOSITORY, "--quality", "balanced"])
        .expect(0, "")
        .out;
    assert!(
        shown.contains("quality      balanced: steps within 0.1 of the last one"),
        "{shown}"
    );

    let made = make("fast").expect(0, "").json();
    assert_eq!(made["video"], "clip.mp4");
    let stats = &made["stats"];
    let stages = stats["stages"].as_array().unwrap();
    let names_of_stages: Vec<&str> = stages
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    let expected = [
        "loading",
        "text encoder",
        "VAE, encoding",
        "transformer",
        "VAE, decoding",
        "everything else",
    ];
    assert_eq!(names_of_stages, expected, "{stats}");
    assert_eq!(stages[3]["steps"], 4, "{stats}");
    let sum: f64 = stages
        .iter()
        .map(|stage| stage["seconds"].as_f64().unwrap())
        .sum();
    assert!((sum - stats["seconds"].as_f64().unwrap()).abs() < 0.01, "{stats}");
    assert!(stats["peak_bytes"].as_u64().unwrap() > 20 << 20, "{stats}");
    assert!(
        names_of_stages.contains(&stats["peak_stage"].as_str().unwrap()),
        "{stats}"
    );

    world
        .run(&["models", "remove", REPOSITORY])
        .expect(2, "nobody can be asked here: give --yes");
    world
        .run(&["models", "remove", "maker/mini/vae", "--yes"])
        .expect(2, "not single files");
    let mut configured = world.command(&["models", "remove", REPOSITORY, "--yes"]);
    let configured: Said = configured
        .env("KINORA_ENGINE__CHECKPOINT", REPOSITORY)
        .output()
        .unwrap()
        .into();
    configured.expect(2, "engine.checkpoint names it (maker/mini)");
    world.assert_whole();
    let removed = world
        .run(&["models", "remove", "maker/mini@main", "--yes"])
        .expect(0, "one commit in ");
    assert!(removed.out.ends_with(" are free again\n"), "{}", removed.out);
    assert_eq!(names(&world.home().join("hub")), [".locks"]);
    world
        .run(&["models", "remove", REPOSITORY, "--yes"])
        .expect(2, "maker/mini is not in the cache");
}

#[test]
fn refusals_say_what_would_be_taken() {
    let world = World::new();
    world
        .run(&["models", "pull", "mini"])
        .expect(2, "nor one of the short names wan2.1-t2v-1.3b, ");
    world
        .run(&["models", "pull", "maker/other"])
        .expect(2, "set HF_TOKEN to a token that may read it");
    world
        .run(&["models", "pull", REPOSITORY, "--file", "vae.pth"])
        .expect(2, "it has no file \"vae.pth\"");
    world
        .run(&["models", "pull", REPOSITORY, "--include", "[x"])
        .expect(2, "--include \"[x\" is no pattern");
    let mut offline = world.command(&["models", "pull", REPOSITORY]);
    Said::from(offline.env("HF_HUB_OFFLINE", "1").output().unwrap()).expect(2, "HF_HUB_OFFLINE is set");
    let mut elsewhere = world.command(&["models", "pull", REPOSITORY]);
    Said::from(elsewhere.env("HF_ENDPOINT", "mirror").output().unwrap())
        .expect(2, "\"mirror\" is no http or https address");
    world.hub.lie(TRANSFORMER, 1 << 60);
    world
        .run(&["models", "pull", REPOSITORY])
        .expect(2, "1152921504.61 GB");
    assert!(!world.home().exists());
}

/// Parts of a checkpoint are fetched, and it is told that they are parts.
#[test]
fn single_files() {
    let world = World::new();
    let said = world.run(&[
        "models",
        "pull",
        REPOSITORY,
        "--include",
        "vae/*",
        "--file",
        "kinora.json",
    ]);
    let said = said
        .expect(0, ": 3 files, ")
        .expect(0, "by themselves these files cannot be run: ");
    assert_eq!(names(Path::new(said.out.trim_end())), ["kinora.json", "vae"]);
}

#[test]
fn killed_or_interrupted_it_goes_on_from_there() {
    let world = World::new();
    let slow = || {
        world
            .hub
            .fail(1, TRANSFORMER, Fault::Slow(200_000, Duration::from_millis(50)))
    };
    let mut before = 0;
    for signal in ["KILL", "INT"] {
        slow();
        let mut pulling = world.house.start(world.pull());
        pulling.wait_until("some of it is here", |_| world.arrived() > before + 400_000);
        pulling.signal(signal);
        let ended = pulling.end();
        before = world.arrived();
        assert!(before > 400_000);
        assert!(!world.snapshot().join(TRANSFORMER).exists());
        if signal == "INT" {
            assert_eq!(ended.code(), Some(130), "{}", pulling.err());
            assert!(
                pulling
                    .err()
                    .contains("`kinora models pull maker/mini` goes on from there"),
                "{}",
                pulling.err()
            );
        }
    }
    Said::from(world.pull().output().unwrap()).expect(0, "wan-mini is sound");
    world.assert_whole();
    let asked = world.hub.asked(TRANSFORMER);
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2], Some(format!("bytes={before}-")));
}

#[test]
fn two_processes_fetch_it_once() {
    let world = World::new();
    let slow = Fault::Slow(100_000, Duration::from_millis(40));
    world.hub.fail(1, TRANSFORMER, slow);
    let mut one = world.house.start(world.pull());
    one.wait_until("the large file is on its way", |_| world.arrived() > 0);
    let mut other = world.house.start(world.pull());
    for process in [&mut one, &mut other] {
        assert_eq!(process.end().code(), Some(0), "{}", process.err());
    }
    world.assert_whole();
    assert_eq!(world.hub.asked(TRANSFORMER), [None]);
    assert!(
        other.err().contains("another process fetches transformer/"),
        "{}",
        other.err()
    );
}
