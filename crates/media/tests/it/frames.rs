//! Media to frames: what is seen, turned, cut and timed as it should be.

use kinora_media::{
    MediaProblem,
    frames::{Fit, Fps, Frame, FrameReader, ReadOptions, decode_image},
};

use crate::{
    media::{Folder, ffmpeg, toolbox},
    probe::with_exif,
};

fn pixel(frame: &Frame, x: u32, y: u32) -> [u8; 3] {
    let at = (y * frame.width + x) as usize * 3;
    [frame.rgb[at], frame.rgb[at + 1], frame.rgb[at + 2]]
}

fn check_near(what: &str, found: [u8; 3], expected: [u8; 3]) {
    let near = found.iter().zip(expected).all(|(&a, b)| a.abs_diff(b) < 24);
    assert!(near, "{what}: {found:?} instead of {expected:?}");
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const WHITE: [u8; 3] = [255; 3];

/// A red quarter at the upper left of a blue picture.
fn corner(folder: &Folder, name: &str, more: &str) -> std::path::PathBuf {
    let draw = "-f lavfi -i color=blue:s=320x256,format=rgba,drawbox=0:0:160:128:red:t=fill";
    folder.make(name, &format!("{draw} -frames:v 1 {more}"))
}

#[test]
fn orientation_turns_the_picture() {
    let folder = Folder::new();
    let toolbox = toolbox();
    let upright = std::fs::read(corner(&folder, "a.jpg", "-q:v 1")).unwrap();
    // Where the stored upper left corner is seen.
    let seen = [
        (1, (0, 0)),
        (2, (1, 0)),
        (3, (1, 1)),
        (4, (0, 1)),
        (5, (0, 0)),
        (6, (1, 0)),
        (7, (1, 1)),
        (8, (0, 1)),
    ];
    for (orientation, (right, lower)) in seen {
        let path = folder.write("turned.jpg", with_exif(&upright, orientation));
        let (width, height) = if orientation > 4 { (256, 320) } else { (320, 256) };
        let frame = decode_image(&toolbox, &path, width, height, Fit::Cover).unwrap();
        for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let expected = if (x, y) == (right, lower) { RED } else { BLUE };
            let place = pixel(&frame, x * width / 2 + width / 4, y * height / 2 + height / 4);
            check_near(
                &format!("orientation {orientation}, quarter {x} {y}"),
                place,
                expected,
            );
        }
    }
}

#[test]
fn every_format_shows_the_same() {
    let folder = Folder::new();
    let toolbox = toolbox();
    let cases = [
        ("a.png", "-pix_fmt rgba"),
        ("deep.png", "-pix_fmt rgba64be"),
        ("a.bmp", "-pix_fmt bgr24"),
        ("a.webp", "-c:v libwebp -lossless 1"),
        ("animated.webp", "-c:v libwebp_anim -lossless 1"),
        ("a.apng", "-f apng"),
        ("a.jpg", "-q:v 1"),
    ];
    for (name, args) in cases {
        let frame = decode_image(&toolbox, &corner(&folder, name, args), 160, 128, Fit::Cover).unwrap();
        check_near(name, pixel(&frame, 40, 32), RED);
        check_near(name, pixel(&frame, 120, 96), BLUE);
    }
}

#[test]
fn transparency_is_laid_on_white() {
    let folder = Folder::new();
    let toolbox = toolbox();
    for (opacity, expected) in [("0", WHITE), ("0.5", [255, 128, 128]), ("1", RED)] {
        for (name, args) in [
            ("a.png", ""),
            ("a.webp", "-c:v libwebp -lossless 1"),
            ("b.webp", "-c:v libwebp_anim -lossless 1"),
        ] {
            let source = format!("-f lavfi -i color=red@{opacity}:s=320x256,format=rgba -frames:v 1 {args}");
            let frame = decode_image(&toolbox, &folder.make(name, &source), 100, 80, Fit::Cover).unwrap();
            check_near(&format!("{name} {opacity}"), pixel(&frame, 50, 40), expected);
        }
    }
}

#[test]
fn cover_cuts_the_sides_equally_and_stretch_none() {
    let folder = Folder::new();
    let toolbox = toolbox();
    // Blue outside, red the middle half.
    let path = folder.make(
        "a.png",
        "-f lavfi -i color=blue:s=800x400,format=rgb24,drawbox=200:0:400:400:red:t=fill -frames:v 1",
    );
    let cover = decode_image(&toolbox, &path, 240, 240, Fit::Cover).unwrap();
    for x in [2, 120, 237] {
        check_near("cover", pixel(&cover, x, 120), RED);
    }
    let stretch = decode_image(&toolbox, &path, 240, 240, Fit::Stretch).unwrap();
    check_near("stretch", pixel(&stretch, 10, 120), BLUE);
    check_near("stretch", pixel(&stretch, 120, 120), RED);
    assert_eq!(
        (cover.width, cover.height, cover.rgb.len()),
        (240, 240, 240 * 240 * 3)
    );
}

#[test]
fn a_clip_is_read_at_any_rate_from_any_point() {
    let folder = Folder::new();
    let toolbox = toolbox();
    // Red for a second, then blue for two.
    let path = folder.make(
        "a.mp4",
        "-f lavfi -i color=blue:s=320x240:r=30:d=3,format=rgb24,drawbox=t=fill:c=red:enable='lt(t,1)' \
         -c:v libx264 -pix_fmt yuv444p",
    );
    let turned = folder.path("turned.mp4");
    ffmpeg(
        &[
            "-i",
            path.to_str().unwrap(),
            "-c",
            "copy",
            "-metadata:s:v:0",
            "rotate=90",
        ],
        &turned,
    );
    // Rate, start, at most; frames, red ones among them.
    let cases = [
        (Fps::new(30), 0, 1000, 90, 30),
        (Fps::new(16), 0, 1000, 48, 16),
        (Fps::new(16), 0, 20, 20, 16),
        (Fps::new(10), 500, 1000, 25, 5),
        (
            Fps {
                frames: 30_000,
                seconds: 1001,
            },
            0,
            1000,
            90,
            30,
        ),
        (Fps::new(60), 2000, 1000, 60, 0),
    ];
    for file in [&path, &turned] {
        for (fps, start_ms, max_frames, count, red) in cases {
            let options = ReadOptions {
                width: 64,
                height: 64,
                fps,
                start_ms,
                max_frames,
                fit: Fit::Cover,
            };
            let reader = FrameReader::open(&toolbox, file, options).unwrap();
            let frames: Vec<Frame> = reader.collect::<Result<_, MediaProblem>>().unwrap();
            let reds = frames
                .iter()
                .filter(|frame| pixel(frame, 32, 32)[0] > 128)
                .count();
            assert_eq!(frames.len(), count, "{fps} from {start_ms}");
            assert!(reds.abs_diff(red) <= 1, "{fps} from {start_ms}: {reds}");
        }
    }
}

#[test]
fn a_dropped_reader_leaves_no_child() {
    let folder = Folder::new();
    let path = folder.make("a.mp4", "-f lavfi -i testsrc2=s=640x480:r=30:d=5 -c:v libx264");
    let options = ReadOptions {
        width: 640,
        height: 480,
        fps: Fps::new(30),
        start_ms: 0,
        max_frames: 999,
        fit: Fit::Cover,
    };
    let mut reader = FrameReader::open(&toolbox(), &path, options).unwrap();
    reader.next().unwrap().unwrap();
    let running = || {
        let path = path.to_str().unwrap();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(path))
    };
    assert!(running());
    drop(reader);
    assert!(!running());
}
