//! `kinora generate`, here and on a server: the file it leaves, the refusals it prints, and Ctrl-C.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use kinora_media::{
    Toolbox, ToolboxOptions,
    probe::{VideoFacts, probe_video},
    sandbox::Launcher,
};

use crate::house::{House, Said, kinora, names, picture};

/// The program in a folder of its own, with the test engine.
fn local(house: &House, arguments: &[&str]) -> Command {
    let mut command = kinora();
    command
        .current_dir(house.folder.path())
        .args(["generate", "--engine", "test-pattern"])
        .args(arguments);
    command
}

fn said(mut command: Command) -> Said {
    command.output().unwrap().into()
}

fn facts(path: &Path) -> VideoFacts {
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_kinora"));
    let toolbox = Toolbox::find(ToolboxOptions::new(launcher)).unwrap();
    probe_video(&toolbox, path).unwrap()
}

#[track_caller]
fn check_clip(path: &Path, size: (u32, u32), seconds: u64) {
    let VideoFacts {
        width,
        height,
        duration_ms,
        fps,
        has_audio,
        bytes,
    } = facts(path);
    assert_eq!((width, height), size);
    assert!(duration_ms.abs_diff(seconds * 1000) <= 40, "{duration_ms} ms");
    assert!((fps - 30.0).abs() < 0.01, "{fps}");
    assert!(has_audio && bytes > 10_000, "{bytes} bytes");
}

#[test]
fn from_words() {
    let house = House::new();
    let done = said(local(
        &house,
        &[
            "a paper boat",
            "--resolution",
            "720p",
            "--duration",
            "2",
            "-o",
            "clip.mp4",
        ],
    ));
    let done = done.expect(0, "finishing");
    assert_eq!(done.out, "clip.mp4\n");
    assert_eq!(names(house.folder.path()), ["clip.mp4"]);
    check_clip(&house.folder.path().join("clip.mp4"), (1280, 720), 2);
}

/// Without --output the file is named after the seed, and an older one is left alone.
#[test]
fn from_an_image_twice() {
    let house = House::new();
    picture(&house.folder.path().join("first.png"), "400x600");
    let arguments = [
        "--image",
        "first.png",
        "--resolution",
        "720p",
        "--duration",
        "2",
        "--seed",
        "7",
    ];
    assert_eq!(
        said(local(&house, &arguments)).expect(0, "").out,
        "kinora-7.mp4\n"
    );
    assert_eq!(
        said(local(&house, &arguments)).expect(0, "").out,
        "kinora-7-2.mp4\n"
    );
    assert_eq!(
        names(house.folder.path()),
        ["first.png", "kinora-7-2.mp4", "kinora-7.mp4"]
    );
    // The image's ratio, 2:3, at the tier's area.
    check_clip(&house.folder.path().join("kinora-7.mp4"), (784, 1168), 2);
}

#[test]
fn refusals_name_flag_and_member() {
    let house = House::new();
    picture(&house.folder.path().join("small.png"), "100x100");
    picture(&house.folder.path().join("fits.png"), "300x300");
    let check = |arguments: &[&str], expected: &str| {
        said(local(&house, arguments)).expect(2, expected);
        assert_eq!(
            names(house.folder.path()),
            ["fits.png", "small.png"],
            "{arguments:?}"
        );
    };
    check(&[], "PROMPT (prompt) is required");
    check(
        &["x", "--duration", "99"],
        "--duration (duration) 99 is out of range; text-image takes 2 to 15",
    );
    check(
        &["x", "--duration", "-1"],
        "--duration (duration) -1 is out of range",
    );
    check(&["x", "--duration", "two"], "invalid value 'two' for '--duration");
    check(
        &["x", "--resolution", "4k"],
        "--resolution (resolution) \"4k\" is not one of 720p, 1080p",
    );
    check(&["x", "--seed", "-1"], "--seed (seed) -1 is out of range");
    check(
        &["x", "--end-image", "fits.png"],
        "--end-image (end_image_url) needs image_url or video_url",
    );
    check(
        &["x", "--multi-shots"],
        "--multi-shots (multi_shots) true is for reference only",
    );
    check(
        &["x", "--feature", "reference"],
        "--reference-image (reference_image_urls) or video_refs is required",
    );
    check(&["--image", "small.png"], "--image (image_url) is 100×100 pixels");
    check(
        &["--image", "nowhere.png"],
        "--image (image_url) \"nowhere.png\" is neither a file nor",
    );
    check(&["--video", "fits.png"], "--video (video_url) is not");
    check(
        &[
            "x",
            "--reference-image",
            "fits.png",
            "--reference-image",
            "small.png",
        ],
        "(reference_image_urls[1]) is 100×100",
    );
    check(
        &["--image", "http://127.0.0.1:1/x.png"],
        "--image (image_url) \"http://127.0.0.1:1/x.png\" does not point to a public address",
    );
    check(
        &["x", "-o", "missing/clip.mp4"],
        "--output missing/clip.mp4 names no file in a folder that exists",
    );
    check(&["x", "--api-key", "k"], "--api-key is for --server");
    // All of it at once.
    let all = said(local(&house, &["--duration", "99", "--resolution", "4k"])).expect(2, "PROMPT");
    assert_eq!(all.err.lines().count(), 3, "{}", all.err);
}

#[test]
fn interrupted_it_leaves_nothing() {
    let house = House::new();
    let out = tempfile::tempdir().unwrap();
    let mut command = kinora();
    command.current_dir(out.path()).stdin(Stdio::null());
    command.args([
        "generate",
        "a long one",
        "--engine",
        "test-pattern",
        "--duration",
        "15",
        "-o",
        "clip.mp4",
    ]);
    let mut running = house.start(command);
    running.wait_until("frames are made", |process| process.err().contains("decoding"));
    assert_eq!(names(out.path()).len(), 1, "the folder of files on the way");
    running.signal("INT");
    assert_eq!(running.end().code(), Some(130), "{}", running.err());
    assert!(running.err().ends_with("kinora: canceled\n"), "{}", running.err());
    assert_eq!(names(out.path()), [""; 0]);
}

#[test]
fn on_a_server() {
    let house = House::new();
    let server = house.serve(&[]);
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("first.png"), "600x400");
    let key = server.key();
    let ask = |arguments: &[&str]| -> Said {
        let mut command = kinora();
        command.current_dir(folder.path()).env("KINORA_API_KEY", &key);
        command
            .args(["generate", "--server", &server.url])
            .args(arguments)
            .output()
            .unwrap()
            .into()
    };
    let small = ["--resolution", "720p", "--duration", "2"];
    let words = ask(&[&["words", "-o", "words.mp4"][..], &small].concat());
    assert_eq!(words.expect(0, "").out, "words.mp4\n");
    check_clip(&folder.path().join("words.mp4"), (1280, 720), 2);
    let image = ask(&[&["--image", "first.png", "-o", "image.mp4"][..], &small].concat());
    assert_eq!(image.expect(0, "").out, "image.mp4\n");
    check_clip(&folder.path().join("image.mp4"), (1168, 784), 2);
    let spent = house.get(&server, "/credits", &key).1["total"].as_i64();
    assert_eq!(spent, Some(11_000 - 40));

    ask(&["x", "--duration", "99"]).expect(2, "--duration (duration) 99 is out of range");
    ask(&["--image", "first.png", "--aspect-ratio", "2:1"])
        .expect(2, "--aspect-ratio (aspect_ratio) \"2:1\" is not");
    ask(&["x", "--api-key", "wrong"]).expect(2, "The API key is unknown or revoked");
    let mut keyless = kinora();
    keyless
        .current_dir(folder.path())
        .args(["generate", "x", "--server", &server.url]);
    said(keyless).expect(2, "--server needs a key");
    ask(&["x", "--server", "http://127.0.0.1:1"]).expect(2, "cannot be used multiple times");
    assert_eq!(names(folder.path()), ["first.png", "image.mp4", "words.mp4"]);
}

#[test]
fn interrupted_it_cancels_on_the_server() {
    let house = House::new();
    let server = house.serve(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = kinora();
    command
        .current_dir(folder.path())
        .env("KINORA_API_KEY", server.key());
    command.args([
        "generate",
        "a long one",
        "--server",
        &server.url,
        "--duration",
        "15",
    ]);
    let mut running = house.start(command);
    running.wait_until("it runs", |process| process.err().contains("decoding"));
    running.signal("INT");
    assert_eq!(running.end().code(), Some(130), "{}", running.err());
    assert!(running.err().contains("is canceled"), "{}", running.err());
    let (_, list) = house.get(&server, "/generations", &server.key());
    assert_eq!(list["data"][0]["status"], "CANCELED");
    assert_eq!(house.get(&server, "/credits", &server.key()).1["total"], 11_000);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_server_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = kinora();
    command.current_dir(folder.path());
    command.args([
        "generate",
        "x",
        "--server",
        "http://127.0.0.1:1",
        "--api-key",
        "k",
    ]);
    said(command).expect(1, "the server could not be asked");
}
