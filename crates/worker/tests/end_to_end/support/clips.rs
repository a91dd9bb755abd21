//! What is in a finished clip, as ffprobe and ffmpeg see it from outside.

use std::{path::Path, process::Command};

/// What every finished clip promises, and what this one has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClipFacts {
    pub(crate) video: String,
    pub(crate) num_frames: u32,
    pub(crate) audio: String,
    pub(crate) index_first: bool,
}

impl ClipFacts {
    pub(crate) fn expected(width: u32, height: u32, num_frames: u32) -> ClipFacts {
        ClipFacts {
            video: format!("h264 High {width}x{height} yuv420p 30/1"),
            num_frames,
            audio: "aac 48000".to_owned(),
            index_first: true,
        }
    }

    pub(crate) fn of(clip: &Path) -> ClipFacts {
        let entry = |stream: &str, name: &str| {
            let wanted = format!("stream={name}");
            let args = [
                "-v",
                "error",
                "-count_frames",
                "-select_streams",
                stream,
                "-show_entries",
                &wanted,
            ];
            let output = Command::new("ffprobe")
                .args(args)
                .args(["-of", "csv=p=0"])
                .arg(clip)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let video = |name| entry("v:0", name);
        let size = video("width,height").replace(',', "x");
        let (codec, profile) = (video("codec_name"), video("profile"));
        ClipFacts {
            video: format!(
                "{codec} {profile} {size} {} {}",
                video("pix_fmt"),
                video("avg_frame_rate")
            ),
            num_frames: video("nb_read_frames").parse().unwrap(),
            audio: entry("a:0", "codec_name,sample_rate").replace(',', " "),
            index_first: index_first(clip),
        }
    }
}

fn index_first(clip: &Path) -> bool {
    let bytes = std::fs::read(clip).unwrap();
    let at = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    at(b"moov") < at(b"mdat")
}

/// The mean colour of a part of one frame; `crop` as ffmpeg writes it.
pub(crate) fn colour(clip: &Path, frame: u32, crop: &str) -> [u8; 3] {
    let filters = format!("select=eq(n\\,{frame}),format=rgb24,crop={crop},scale=1:1:flags=area");
    let args = ["-vf", &filters, "-frames:v", "1", "-f", "rawvideo", "-"];
    let rgb = ffmpeg(clip, &args).0;
    rgb.try_into().unwrap()
}

/// The mean colour of a whole frame.
pub(crate) fn whole_colour(clip: &Path, frame: u32) -> [u8; 3] {
    colour(clip, frame, "iw:ih:0:0")
}

/// Whether two colours are the same but for what encoding does to them.
pub(crate) fn close(one: [u8; 3], other: [u8; 3]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.abs_diff(b) < 24)
}

pub(crate) const RED: [u8; 3] = [254, 0, 0];
pub(crate) const GREEN: [u8; 3] = [0, 255, 0];
pub(crate) const BLUE: [u8; 3] = [0, 0, 254];

/// Whether there is sound between two moments.
pub(crate) fn sounds(clip: &Path, from_s: f64, to_s: f64) -> bool {
    let filters = format!("atrim={from_s}:{to_s},volumedetect");
    let said = ffmpeg(clip, &["-vn", "-af", &filters, "-f", "null", "-"]).1;
    let mean = said.split("mean_volume: ").nth(1).expect("there is a track");
    mean.split(' ').next().unwrap().parse::<f64>().unwrap() > -60.0
}

/// A hash of all frames, decoded.
pub(crate) fn frames_hash(clip: &Path) -> String {
    String::from_utf8(ffmpeg(clip, &["-map", "0:v", "-f", "md5", "-"]).0).unwrap()
}

fn ffmpeg(clip: &Path, args: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-i"])
        .arg(clip)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (output.stdout, said)
}
