//! Media to send, made once by ffmpeg: plain colours that can be found again in the result, and a tone.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use tempfile::TempDir;

/// A medium on disk.
pub(crate) struct Fixture {
    pub(crate) path: PathBuf,
    pub(crate) duration_ms: Option<u64>,
}

/// Everything there is to send.
pub(crate) struct Fixtures {
    pub(crate) folder: TempDir,
    /// 640×480, red.
    pub(crate) red: Fixture,
    /// 700×300, blue.
    pub(crate) blue: Fixture,
    /// 100×100, too small.
    pub(crate) small: Fixture,
    /// 480×640, green, 2.5 s, with a tone.
    pub(crate) green_clip: Fixture,
    /// 640×360, yellow, 2 s, without sound.
    pub(crate) silent_clip: Fixture,
    /// 2.2 s of a tone.
    pub(crate) tone: Fixture,
}

pub(crate) static FIXTURES: LazyLock<Fixtures> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, duration_ms: Option<u64>, args: &str| {
        let path = folder.path().join(name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg
            .args(["-nostdin", "-loglevel", "error", "-y"])
            .args(args.split(' '))
            .arg(&path);
        assert!(
            ffmpeg.status().expect("these tests need ffmpeg").success(),
            "{args}"
        );
        Fixture { path, duration_ms }
    };
    let fast = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    Fixtures {
        red: make("red.png", None, "-f lavfi -i color=red:s=640x480 -frames:v 1"),
        blue: make("blue.jpg", None, "-f lavfi -i color=blue:s=700x300 -frames:v 1"),
        small: make("small.png", None, "-f lavfi -i color=red:s=100x100 -frames:v 1"),
        green_clip: make(
            "green.mp4",
            Some(2_500),
            &format!(
                "-f lavfi -i color=lime:s=480x640:r=24:d=2.5 -f lavfi -i sine=440:d=2.5 {fast} -c:a aac"
            ),
        ),
        silent_clip: make(
            "yellow.mov",
            Some(2_000),
            &format!("-f lavfi -i color=yellow:s=640x360:r=30:d=2 {fast}"),
        ),
        tone: make("tone.wav", Some(2_200), "-f lavfi -i sine=440:d=2.2"),
        folder,
    }
});
