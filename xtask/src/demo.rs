//! `cargo xtask demo`: from a fresh clone to a playable MP4, through the real HTTP API.
//!
//! 1. install what is missing and build the server as it is released
//! 2. start it on empty data with its own small model, wan-mini
//! 3. create a generation, poll it, download its video
//! 4. decode the video from end to end, stop the server, remove its data

use std::fs::{self, File};
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::http;
use crate::run::{cargo, program, read, stop_if_interrupted, succeed, target};
use crate::server::Server;
use crate::setup;

const CREATE: &str = "/api/v1/generation/wan/wan-v2.7-video";
const PATIENCE: Duration = Duration::from_secs(300);
const BETWEEN_POLLS: Duration = Duration::from_millis(300);

/// Makes one video and says where it lies.
pub(crate) fn run() -> Outcome {
    setup::for_demo()?;
    succeed(&mut cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "kinora-server",
        "--bin",
        "kinora",
    ]))?;
    let start = Instant::now();
    let server = Server::start(&target().join("release/kinora"), "wan", &[])?;
    println!("The server answers at {}.", server.url);
    let video = make_video(&server)?;
    println!("{:.1} s from the server's start.", start.elapsed().as_secs_f64());
    if let Some(bytes) = server.peak_bytes() {
        println!("The server held at most {} MB.", bytes / 1_000_000);
    }
    server.stop()?;
    println!("\nA video made by wan-mini, the small model that is part of Kinora:");
    println!("{}", video.display());
    Ok(())
}

fn make_video(server: &Server) -> Outcome<PathBuf> {
    let body = json!({
        "prompt": "a red ball bounces on a green meadow",
        "resolution": "720p",
        "duration": 5,
    });
    println!("POST {CREATE}\n{body}");
    let (status, created) = ask(
        server,
        "POST",
        &format!("{}{CREATE}", server.url),
        Some(&body.to_string()),
    )?;
    let id = created["id"].as_str().filter(|_| status == 202);
    let id = id.ok_or_else(|| format!("the server refused with {status}: {created}"))?;
    println!("{status}: generation {id}");
    let finished = wait(server, id)?;
    let url = finished["data"]["video"]["url"].as_str();
    let url = url.ok_or_else(|| format!("the finished generation names no video: {finished}"))?;
    let path = download(url, id)?;
    check_playable(&path)?;
    Ok(path)
}

/// Polls until the generation has succeeded; a line tells how far it is.
fn wait(server: &Server, id: &str) -> Outcome<Value> {
    let url = format!("{}/api/v1/generation/{id}", server.url);
    let deadline = Instant::now() + PATIENCE;
    let mut line = ProgressLine::default();
    while Instant::now() < deadline {
        stop_if_interrupted()?;
        let (code, generation) = ask(server, "GET", &url, None)?;
        let status = generation["status"].as_str().unwrap_or_default();
        let percent = generation["progress"].as_f64().unwrap_or_default() * 100.0;
        line.show(&format!(
            "{status:<11} {percent:3.0} %  {}",
            generation["stage"].as_str().unwrap_or("")
        ));
        match (code, status) {
            (200, "COMPLETED") => {
                line.end();
                return Ok(generation);
            }
            (200, "IN_QUEUE" | "IN_PROGRESS") => sleep(BETWEEN_POLLS),
            _ => return Err(format!("the generation came to a bad end, {code}: {generation}").into()),
        }
    }
    Err(format!("the generation was not finished after {} s", PATIENCE.as_secs()).into())
}

/// The link is signed: it needs no key.
fn download(url: &str, id: &str) -> Outcome<PathBuf> {
    let folder = target().join("demo");
    let path = folder.join(format!("{id}.mp4"));
    let answer = http::request("GET", url, None, None)?;
    if answer.status != 200 {
        return Err(format!("the video's address answers {}", answer.status).into());
    }
    let file = fs::create_dir_all(&folder).and_then(|()| File::create(&path));
    let mut file = file.map_err(|source| format!("cannot write {}: {source}", path.display()))?;
    let bytes = answer.copy_to(&mut file)?;
    println!("Downloaded {bytes} bytes.");
    Ok(path)
}

/// Decodes every frame and sample; ffmpeg says nothing when nothing is wrong.
fn check_playable(path: &Path) -> Outcome {
    let mut decode = program("ffmpeg");
    decode
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-f", "null", "-"]);
    let said = decode
        .output()
        .map_err(|source| format!("ffmpeg cannot be started: {source}"))?;
    if !said.status.success() || !said.stderr.is_empty() {
        let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(format!("{} is not playable: {complaint}", path.display()).into());
    }
    let mut list = program("ffmpeg");
    list.args(["-hide_banner", "-v", "error", "-i"]).arg(path);
    list.args(["-map", "0:v:0", "-f", "framemd5", "-"]);
    let frames = read(&mut list)?
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    if frames == 0 {
        return Err(format!("{} has no frames", path.display()).into());
    }
    println!("Decoded all of its {frames} frames without a fault.");
    Ok(())
}

fn ask(server: &Server, method: &str, url: &str, body: Option<&str>) -> Outcome<(u16, Value)> {
    let answer = http::request(method, url, Some(&server.api_key), body)?;
    let (status, text) = (answer.status, answer.text()?);
    let value = serde_json::from_str(&text);
    Ok((
        status,
        value.map_err(|_| format!("{method} {url} answered {status} with no JSON: {text}"))?,
    ))
}

/// One line that changes in place on a terminal; elsewhere every change is a line of its own.
#[derive(Default)]
struct ProgressLine {
    shown: String,
}

impl ProgressLine {
    fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        self.shown = text.to_owned();
        if stdout().is_terminal() {
            print!("\r\x1b[K{text}");
            // A line that stays in the buffer is late, not lost.
            let _ = stdout().flush();
        } else {
            println!("{text}");
        }
    }

    fn end(&self) {
        if stdout().is_terminal() {
            println!();
        }
    }
}
