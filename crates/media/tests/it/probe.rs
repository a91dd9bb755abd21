//! Measures of honest media: every format, every orientation, both sides of the limits.

use std::path::Path;

use kinora_media::{Facts, MediaKind, inspect, sniff::Format};

use crate::media::{Folder, clip, ffmpeg, toolbox};

/// A quarter-turned JPEG or PNG: its stored size is `width`×`height`, its EXIF orientation `value`.
pub(crate) fn with_exif(jpeg: &[u8], value: u8) -> Vec<u8> {
    let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([value, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

fn image_facts(path: &Path) -> (Format, u32, u32) {
    match inspect(&toolbox(), MediaKind::Image, path) {
        Ok(Facts::Image(facts)) => (facts.format, facts.width, facts.height),
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn stills_of_every_format() {
    let folder = Folder::new();
    let one = "-f lavfi -i testsrc2=s=320x256 -frames:v 1";
    let cases = [
        ("a.jpg", one.to_owned(), Format::Jpeg),
        ("gray.jpg", format!("{one} -pix_fmt gray"), Format::Jpeg),
        (
            "full.jpg",
            format!("{one} -pix_fmt yuvj444p -q:v 1"),
            Format::Jpeg,
        ),
        ("a.png", one.to_owned(), Format::Png),
        ("alpha.png", format!("{one} -pix_fmt rgba"), Format::Png),
        ("deep.png", format!("{one} -pix_fmt rgba64be"), Format::Png),
        ("palette.png", format!("{one} -pix_fmt pal8"), Format::Png),
        ("a.bmp", one.to_owned(), Format::Bmp),
        ("alpha.bmp", format!("{one} -pix_fmt bgra"), Format::Bmp),
        ("lossy.webp", format!("{one} -c:v libwebp"), Format::Webp),
        (
            "lossless.webp",
            format!("{one} -c:v libwebp -lossless 1"),
            Format::Webp,
        ),
        (
            "alpha.webp",
            format!("{one} -pix_fmt yuva420p -c:v libwebp"),
            Format::Webp,
        ),
        (
            "animated.webp",
            "-f lavfi -i testsrc2=s=320x256:r=5:d=1 -c:v libwebp_anim".to_owned(),
            Format::Webp,
        ),
        (
            "animated.apng",
            "-f lavfi -i testsrc2=s=320x256:r=5:d=1 -f apng".to_owned(),
            Format::Png,
        ),
    ];
    for (name, args, format) in cases {
        let path = folder.make(name, &args);
        // The name says nothing.
        let renamed = folder.path("upload.exe");
        std::fs::rename(&path, &renamed).unwrap();
        assert_eq!(image_facts(&renamed), (format, 320, 256), "{name}");
    }
}

#[test]
fn exif_orientation_is_applied_before_measuring() {
    let folder = Folder::new();
    let upright = std::fs::read(folder.make("a.jpg", "-f lavfi -i testsrc2=s=320x256 -frames:v 1")).unwrap();
    for value in 0..=9 {
        let turned = folder.write("turned.jpg", with_exif(&upright, value));
        let expected = if (5..=8).contains(&value) {
            (256, 320)
        } else {
            (320, 256)
        };
        let (_, width, height) = image_facts(&turned);
        assert_eq!((width, height), expected, "orientation {value}");
    }
}

#[test]
fn clips_of_every_container() {
    let folder = Folder::new();
    let toolbox = toolbox();
    let two = "-f lavfi -i testsrc2=s=320x240:r=30:d=3";
    // Name, how it is made, shown size, length, rate, sound.
    let cases = [
        (
            "plain.mp4",
            format!("{two} -c:v libx264"),
            (320, 240),
            3000,
            30.0,
            false,
        ),
        (
            "sound.mp4",
            format!("{two} -f lavfi -i sine=d=3 -c:v libx264 -c:a aac -shortest"),
            (320, 240),
            3000,
            30.0,
            true,
        ),
        (
            "late.mp4",
            format!("{two} -itsoffset 0.5 -f lavfi -i sine=d=2 -c:v libx264 -c:a aac"),
            (320, 240),
            3000,
            30.0,
            true,
        ),
        (
            "film.mov",
            "-f lavfi -i testsrc2=s=320x240:r=24:d=2 -c:v libx264".to_owned(),
            (320, 240),
            2000,
            24.0,
            false,
        ),
        (
            "prores.mov",
            format!("{two} -c:v prores_ks"),
            (320, 240),
            3000,
            30.0,
            false,
        ),
        (
            "hevc.mp4",
            format!("{two} -c:v libx265 -x265-params log-level=none -preset ultrafast"),
            (320, 240),
            3000,
            30.0,
            false,
        ),
        (
            "fragmented.mp4",
            format!("{two} -c:v libx264 -movflags frag_keyframe+empty_moov"),
            (320, 240),
            3000,
            30.0,
            false,
        ),
        (
            "index_first.mp4",
            format!("{two} -c:v libx264 -movflags faststart"),
            (320, 240),
            3000,
            30.0,
            false,
        ),
        (
            "wide_pixels.mp4",
            format!("{two} -c:v libx264 -vf setsar=2/1"),
            (640, 240),
            3000,
            30.0,
            false,
        ),
        (
            "ntsc.mp4",
            "-f lavfi -i testsrc2=s=320x240:r=30000/1001 -frames:v 90 -c:v libx264".to_owned(),
            (320, 240),
            3003,
            29.97,
            false,
        ),
    ];
    for (name, args, size, duration_ms, fps, has_audio) in cases {
        let path = folder.make(name, &args);
        let Ok(Facts::Video(facts)) = inspect(&toolbox, MediaKind::Clip, &path) else {
            panic!("{name}: {:?}", inspect(&toolbox, MediaKind::Clip, &path));
        };
        assert_eq!((facts.width, facts.height), size, "{name}");
        assert_eq!(
            (facts.duration_ms, facts.has_audio),
            (duration_ms, has_audio),
            "{name}"
        );
        assert!((facts.fps - fps).abs() < 0.01, "{name}: {}", facts.fps);
    }
    let turned = folder.path("turned.mp4");
    let plain = folder.path("plain.mp4");
    ffmpeg(
        &[
            "-i",
            plain.to_str().unwrap(),
            "-c",
            "copy",
            "-metadata:s:v:0",
            "rotate=90",
        ],
        &turned,
    );
    let Ok(Facts::Video(facts)) = inspect(&toolbox, MediaKind::Clip, &turned) else {
        panic!()
    };
    assert_eq!((facts.width, facts.height), (240, 320));
}

#[test]
fn sound_of_every_format() {
    let folder = Folder::new();
    let toolbox = toolbox();
    let cases = [
        ("a.wav", "-f lavfi -i sine=d=2", 2000),
        ("deep.wav", "-f lavfi -i sine=d=3:r=96000 -c:a pcm_f32le", 3000),
        ("eight.wav", "-f lavfi -i sine=d=2.5:r=8000 -c:a pcm_u8", 2500),
        ("a.mp3", "-f lavfi -i sine=d=2", 2000),
        ("long.mp3", "-f lavfi -i sine=d=30", 30_000),
        (
            "tagged.mp3",
            "-f lavfi -i sine=d=4 -metadata title=x -id3v2_version 3",
            4000,
        ),
        (
            "untagged.mp3",
            "-f lavfi -i sine=d=4 -id3v2_version 0 -write_xing 1",
            4000,
        ),
    ];
    for (name, args, expected) in cases {
        let path = folder.make(name, args);
        let Ok(Facts::Audio(facts)) = inspect(&toolbox, MediaKind::Audio, &path) else {
            panic!("{name}: {:?}", inspect(&toolbox, MediaKind::Audio, &path));
        };
        assert!(
            facts.duration_ms.abs_diff(expected) <= 1,
            "{name}: {}",
            facts.duration_ms
        );
    }
}

#[test]
fn real_files_at_the_limits() {
    let folder = Folder::new();
    let toolbox = toolbox();
    let check = |kind: MediaKind, path: &Path, expected: Option<&str>| {
        let refusal = inspect(&toolbox, kind, path)
            .err()
            .map(|problem| problem.to_string());
        assert_eq!(refusal.as_deref(), expected, "{}", path.display());
    };
    let still =
        |name: &str, size: &str| folder.make(name, &format!("-f lavfi -i color=s={size} -frames:v 1"));
    check(MediaKind::Image, &still("240.png", "240x240"), None);
    let small = "is 240×238 pixels; 240 to 8000 pixels per side are accepted";
    check(MediaKind::Image, &still("238.png", "240x238"), Some(small));
    let wide = "is 2400×240 pixels; ratios of 1:8 to 8:1 are accepted";
    check(MediaKind::Image, &still("wide.bmp", "2400x240"), Some(wide));
    check(MediaKind::Image, &still("8000.jpg", "8000x1000"), None);
    let long = "is 10.04 s long; 2 to 10 s are accepted";
    let made = clip(&folder, "long.mp4", "320x240", 25, 10.04);
    check(MediaKind::Clip, &made, Some(long));
    check(MediaKind::ReferenceVideo, &made, None);
    check(
        MediaKind::Clip,
        &clip(&folder, "two.mp4", "320x240", 30, 2.0),
        None,
    );
    let short = clip(&folder, "short.mp4", "320x240", 25, 1.2);
    check(
        MediaKind::Clip,
        &short,
        Some("is 1.20 s long; 2 to 10 s are accepted"),
    );
    check(MediaKind::ReferenceVideo, &short, None);
    let huge = folder.make(
        "huge.mp4",
        "-f lavfi -i color=s=4112x4112:r=5:d=2 -c:v libx264 -preset ultrafast",
    );
    check(
        MediaKind::Clip,
        &huge,
        Some("is 4112×4112 pixels; 240 to 4096 pixels per side are accepted"),
    );
    let sound = |name: &str, seconds: &str| folder.make(name, &format!("-f lavfi -i sine=d={seconds}"));
    check(
        MediaKind::Audio,
        &sound("short.wav", "1.5"),
        Some("is 1.50 s long; 2 to 30 s are accepted"),
    );
    check(
        MediaKind::Audio,
        &sound("long.wav", "31"),
        Some("is 31.00 s long; 2 to 30 s are accepted"),
    );
}
