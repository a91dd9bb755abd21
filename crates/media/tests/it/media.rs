//! What the tests share: the toolbox under test, and media made by an unconfined ffmpeg.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use kinora_media::{
    ChildLimits, Toolbox, ToolboxOptions,
    sandbox::{Launcher, SandboxPolicy},
};
use tempfile::TempDir;

pub(crate) fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_kinora-media-child"))
}

pub(crate) fn toolbox() -> Toolbox {
    Toolbox::find(ToolboxOptions::new(launcher())).expect("the tests need ffmpeg and a kernel with Landlock")
}

/// A toolbox whose children must answer within this time.
pub(crate) fn hasty_toolbox(wall: Duration) -> Toolbox {
    let limits = ChildLimits {
        wall,
        ..ChildLimits::default()
    };
    let options = ToolboxOptions {
        ffmpeg: None,
        launcher: launcher(),
        limits,
        policy: SandboxPolicy::Required,
    };
    Toolbox::find(options).unwrap()
}

/// A folder for one test's files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Makes a file with ffmpeg: `args` are split at white space.
    pub(crate) fn make(&self, name: &str, args: &str) -> PathBuf {
        let path = self.path(name);
        ffmpeg(&args.split_whitespace().collect::<Vec<_>>(), &path);
        path
    }
}

pub(crate) fn ffmpeg(args: &[&str], output: &Path) {
    let run = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(args)
        .arg(output)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "ffmpeg {args:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
}

/// One value of a stream or of the format, as an independent reader sees it.
pub(crate) fn ffprobe(path: &Path, stream: &str, entry: &str) -> String {
    let count = if entry.contains("nb_read_frames") {
        "-count_frames"
    } else {
        "-hide_banner"
    };
    let run = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, count])
        .args(["-show_entries", entry, "-of", "default=nw=1:nk=1"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

/// A clip of moving test bars with a tone.
pub(crate) fn clip(folder: &Folder, name: &str, size: &str, fps: u32, seconds: f64) -> PathBuf {
    folder.make(
        name,
        &format!(
            "-f lavfi -i testsrc2=s={size}:r={fps}:d={seconds} -f lavfi -i sine=d={seconds} \
             -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -shortest"
        ),
    )
}
