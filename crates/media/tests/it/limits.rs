//! Every limit of the table, from both sides.

use kinora_media::{
    Facts, MediaKind,
    limits::MB,
    probe::{AudioFacts, ImageFacts, VideoFacts},
    sniff::Format,
};

fn image(width: u32, height: u32, bytes: u64) -> Facts {
    Facts::Image(ImageFacts {
        format: Format::Png,
        width,
        height,
        bytes,
    })
}

fn video(width: u32, height: u32, duration_ms: u64, bytes: u64) -> Facts {
    Facts::Video(VideoFacts {
        width,
        height,
        duration_ms,
        fps: 30.0,
        has_audio: false,
        bytes,
    })
}

fn audio(duration_ms: u64, bytes: u64) -> Facts {
    Facts::Audio(AudioFacts { duration_ms, bytes })
}

/// `None`: taken. Otherwise the message.
fn check(kind: MediaKind, facts: Facts, expected: Option<&str>) {
    let refusal = kind.check(&facts).err().map(|violation| violation.to_string());
    assert_eq!(refusal.as_deref(), expected, "{kind:?} {facts:?}");
}

#[test]
fn every_limit_from_both_sides() {
    use MediaKind::{Audio, Clip, Image, ReferenceVideo};
    let small = "is 239×300 pixels; 240 to 8000 pixels per side are accepted";
    let cases = [
        (Image, image(240, 240, 1), None),
        (Image, image(239, 300, 1), Some(small)),
        (
            Image,
            image(300, 239, 1),
            Some("is 300×239 pixels; 240 to 8000 pixels per side are accepted"),
        ),
        (Image, image(8000, 8000, 1), None),
        (
            Image,
            image(8001, 8000, 1),
            Some("is 8001×8000 pixels; 240 to 8000 pixels per side are accepted"),
        ),
        (Image, image(1920, 240, 1), None),
        (
            Image,
            image(1921, 240, 1),
            Some("is 1921×240 pixels; ratios of 1:8 to 8:1 are accepted"),
        ),
        (Image, image(240, 1920, 1), None),
        (
            Image,
            image(240, 1921, 1),
            Some("is 240×1921 pixels; ratios of 1:8 to 8:1 are accepted"),
        ),
        (Image, image(300, 300, 20 * MB), None),
        (
            Image,
            image(300, 300, 20 * MB + 1),
            Some("has 20971521 bytes or more; at most 20971520 bytes (20 MB) are accepted"),
        ),
        (Clip, video(240, 240, 2000, 100 * MB), None),
        (
            Clip,
            video(240, 240, 2000, 100 * MB + 1),
            Some("has 104857601 bytes or more; at most 104857600 bytes (100 MB) are accepted"),
        ),
        (
            Clip,
            video(240, 240, 1999, 1),
            Some("is 1.999 s long; 2 to 10 s are accepted"),
        ),
        (
            Clip,
            video(240, 240, 1200, 1),
            Some("is 1.20 s long; 2 to 10 s are accepted"),
        ),
        (Clip, video(240, 240, 10_000, 1), None),
        (
            Clip,
            video(240, 240, 10_001, 1),
            Some("is 10.001 s long; 2 to 10 s are accepted"),
        ),
        (Clip, video(4096, 4096, 3000, 1), None),
        (
            Clip,
            video(4097, 4096, 3000, 1),
            Some("is 4097×4096 pixels; 240 to 4096 pixels per side are accepted"),
        ),
        (
            Clip,
            video(240, 239, 3000, 1),
            Some("is 240×239 pixels; 240 to 4096 pixels per side are accepted"),
        ),
        (ReferenceVideo, video(240, 240, 1000, 1), None),
        (
            ReferenceVideo,
            video(240, 240, 999, 1),
            Some("is 0.999 s long; 1 to 30 s are accepted"),
        ),
        (ReferenceVideo, video(240, 240, 30_000, 1), None),
        (
            ReferenceVideo,
            video(240, 240, 30_001, 1),
            Some("is 30.001 s long; 1 to 30 s are accepted"),
        ),
        (Audio, audio(2000, 15 * MB), None),
        (
            Audio,
            audio(2000, 15 * MB + 1),
            Some("has 15728641 bytes or more; at most 15728640 bytes (15 MB) are accepted"),
        ),
        (
            Audio,
            audio(1999, 1),
            Some("is 1.999 s long; 2 to 30 s are accepted"),
        ),
        (Audio, audio(30_000, 1), None),
        (
            Audio,
            audio(30_010, 1),
            Some("is 30.01 s long; 2 to 30 s are accepted"),
        ),
    ];
    for (kind, facts, expected) in cases {
        check(kind, facts, expected);
    }
}
