//! The cache is shared with Python's `huggingface_hub`: what one has fetched the other finds.
//!
//! `cargo xtask test` brings a Python with the package; alone: `HF_PYTHON=python3 cargo nextest run -p kinora-hub --test python`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

#[expect(dead_code, reason = "shared with tests that ask for other things of it")]
mod hub_server;

use std::{path::Path, process::Command, time::Duration};

use hub_server::{Access, TestHub, noise};
use kinora_hub::{Cache, Choice, Hub, HubOptions, Reference};

const FILES: [&str; 3] = [
    "model_index.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
];

/// The Python to ask, where there is one.
fn python() -> Option<String> {
    let python = std::env::var("HF_PYTHON").ok();
    if python.is_none() {
        println!("skipped: HF_PYTHON names no Python that has huggingface_hub");
    }
    python
}

fn hub() -> TestHub {
    let hub = TestHub::start();
    let contents = [b"{}".to_vec(), b"{\"layers\": 2}".to_vec(), noise(200_000, 3)];
    let files: Vec<(&str, Vec<u8>)> = FILES.into_iter().zip(contents).collect();
    hub.add("maker/clip", Access::Public, &files);
    hub
}

fn pull(hub: &TestHub, cache: &Path) -> std::path::PathBuf {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Hub::new(HubOptions {
            endpoint: hub.endpoint(),
            token: None,
            silence: Duration::from_secs(5),
            first_wait: Duration::from_millis(1),
        });
        let (client, cache) = (client.unwrap(), Cache::new(cache.to_owned()));
        let reference = Reference::parse("maker/clip").unwrap();
        let plan = client.plan(&cache, &reference, &Choice::Engine).await.unwrap();
        client.pull(&cache, &plan, &|_| {}).await.unwrap()
    })
}

/// Runs a program that prints the paths of all files, a line each.
fn ask(python: &str, hub: &TestHub, cache: &Path, offline: &str, program: &str) -> Vec<String> {
    let output = Command::new(python)
        .args(["-c", program])
        .args(FILES)
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HUB_CACHE", cache)
        .env("HF_HUB_OFFLINE", offline)
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

const DOWNLOAD: &str = "
import sys
from huggingface_hub import hf_hub_download
for name in sys.argv[1:]:
    print(hf_hub_download('maker/clip', name))
";

#[test]
fn python_finds_what_we_fetched() {
    let Some(python) = python() else { return };
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    let snapshot = pull(&hub, folder.path());
    let expected = FILES.map(|name| snapshot.join(name).to_str().unwrap().to_owned());
    assert_eq!(ask(&python, &hub, folder.path(), "1", DOWNLOAD), expected);
    let scan = "
from huggingface_hub import scan_cache_dir
found = scan_cache_dir()
assert not found.warnings, found.warnings
[repo] = found.repos
[revision] = repo.revisions
print(repo.repo_id, len(revision.files), *revision.refs)
";
    assert_eq!(
        ask(&python, &hub, folder.path(), "1", scan),
        ["maker/clip 3 main"]
    );
}

#[test]
fn we_find_what_python_fetched() {
    let Some(python) = python() else { return };
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    let found = ask(&python, &hub, folder.path(), "0", DOWNLOAD);
    hub.seen();
    let snapshot = pull(&hub, folder.path());
    assert_eq!(
        found,
        FILES.map(|name| snapshot.join(name).to_str().unwrap().to_owned())
    );
    for name in FILES {
        assert_eq!(hub.asked(name), [], "{name}");
    }
}
