//! Small media for uploads, made by ffmpeg once for each test that asks.

use std::{path::PathBuf, process::Command};

use reqwest::multipart::Part;

/// A folder with a picture of each kind, a clip with sound, and a sound.
pub(crate) struct Media {
    folder: tempfile::TempDir,
}

impl Media {
    pub(crate) fn make() -> Media {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let media = Media { folder };
        media.ffmpeg("-f lavfi -i testsrc=size=640x360 -frames:v 1", "first.png");
        media.ffmpeg("-f lavfi -i smptebars=size=640x360 -frames:v 1", "last.jpg");
        media.ffmpeg("-f lavfi -i color=red:size=64x64 -frames:v 1", "tiny.png");
        media.ffmpeg("-f lavfi -i sine=frequency=440:duration=3", "sound.wav");
        media.ffmpeg(
            "-f lavfi -i testsrc=size=640x360:rate=24:duration=2 -f lavfi -i sine=frequency=330:duration=2 -pix_fmt \
             yuv420p -shortest",
            "clip.mp4",
        );
        media
    }

    /// Runs ffmpeg to make one more file.
    pub(crate) fn ffmpeg(&self, arguments: &str, name: &str) {
        let status = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-y"])
            .args(arguments.split_whitespace())
            .arg(self.path(name))
            .status()
            .expect("ffmpeg is installed");
        assert!(status.success(), "ffmpeg could not make {name}");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("it was made")
    }

    pub(crate) fn part(&self, name: &str) -> Part {
        Part::bytes(self.bytes(name)).file_name(name.to_owned())
    }
}
