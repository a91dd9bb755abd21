//! The finished clip, read back by an independent reader.

use std::{fs, path::Path, process::Command};

use kinora_media::{
    MediaFailure, Toolbox,
    compose::{
        ClipOptions, EncodedClip, Encoder, FrameFormat, Preset, Sound, poster, thumbnail, transcode_file,
    },
    container,
    frames::{Fit, Fps, decode_image},
};

use crate::media::{Folder, clip, ffprobe, toolbox};

/// Frames of one colour each, chosen by their number.
fn encode(
    toolbox: &Toolbox,
    frames: FrameFormat,
    count: u32,
    clip: ClipOptions,
    output: &Path,
    colour: impl Fn(u32) -> [u8; 3],
) -> EncodedClip {
    let mut encoder = Encoder::start(toolbox, frames, clip, output).unwrap();
    for number in 0..count {
        let frame = colour(number).repeat(frames.width as usize * frames.height as usize);
        encoder.push(&frame).unwrap();
    }
    encoder.finish().unwrap()
}

/// Everything the contract promises about a file.
fn check_contract(path: &Path, width: u32, height: u32, num_frames: u32) {
    let picture = "codec_name,profile,pix_fmt,width,height,sample_aspect_ratio,r_frame_rate,avg_frame_rate,\
                   nb_frames,nb_read_frames,start_time,color_range,color_space,color_transfer,color_primaries";
    let picture = ffprobe(path, "v:0", &format!("stream={picture}"));
    let expected = format!(
        "h264\nHigh\n{width}\n{height}\n1:1\nyuv420p\ntv\nbt709\nbt709\nbt709\n30/1\n30/1\n0.000000\n\
         {num_frames}\n{num_frames}"
    );
    assert_eq!(picture, expected);
    let sound = ffprobe(path, "a:0", "stream=codec_name,sample_rate,channels,start_time");
    assert_eq!(sound, "aac\n48000\n2\n0.000000");
    for stream in ["v:0", "a:0"] {
        // The sound's length is kept in milliseconds.
        let duration: f64 = ffprobe(path, stream, "stream=duration").parse().unwrap();
        assert!(
            (duration - f64::from(num_frames) / 30.0).abs() < 0.001,
            "{stream} {duration}"
        );
    }
    assert_eq!(ffprobe(path, "v:0", "format=nb_streams"), "2");
    assert_eq!(ffprobe(path, "v:0", "format_tags=encoder,title,comment"), "");
    assert!(container::read(path).unwrap().index_first);
}

#[test]
fn a_clip_keeps_the_contract_from_any_frames() {
    let toolbox = toolbox();
    // Frame size and rate, frames pushed, clip size, frames promised.
    let cases = [
        ((1280, 720), Fps::new(30), 60, (1280, 720), 60),
        ((832, 480), Fps::new(16), 33, (1280, 720), 60),
        ((480, 832), Fps::new(16), 20, (720, 1280), 60),
        ((640, 640), Fps::new(24), 100, (1104, 832), 60),
        (
            (321, 241),
            Fps {
                frames: 30_000,
                seconds: 1001,
            },
            7,
            (960, 960),
            60,
        ),
        ((1280, 720), Fps::new(60), 300, (1280, 720), 75),
        ((64, 64), Fps::new(1), 1, (832, 1104), 61),
    ];
    for ((width, height), fps, count, (clip_width, clip_height), num_frames) in cases {
        let folder = Folder::new();
        let output = folder.path("clip.mp4");
        let options = ClipOptions::new(clip_width, clip_height, num_frames);
        let frames = FrameFormat {
            width,
            height,
            fps,
            fit: Fit::Cover,
        };
        let encoded = encode(&toolbox, frames, count, options, &output, |_| [200, 30, 30]);
        assert_eq!(encoded.num_frames, num_frames);
        assert_eq!(encoded.bytes, fs::metadata(&output).unwrap().len());
        check_contract(&output, clip_width, clip_height, num_frames);
    }
}

#[test]
fn every_preset_gives_the_same_profile() {
    let toolbox = toolbox();
    for preset in [Preset::Superfast, Preset::Veryfast, Preset::Medium] {
        let folder = Folder::new();
        let output = folder.path("clip.mp4");
        let options = ClipOptions {
            preset,
            ..ClipOptions::new(320, 240, 30)
        };
        let frames = FrameFormat {
            width: 320,
            height: 240,
            fps: Fps::new(30),
            fit: Fit::Cover,
        };
        encode(&toolbox, frames, 30, options, &output, |number| {
            [number as u8 * 8, 0, 0]
        });
        check_contract(&output, 320, 240, 30);
    }
}

#[test]
fn frames_are_retimed_held_and_cut() {
    let toolbox = toolbox();
    let folder = Folder::new();
    let output = folder.path("clip.mp4");
    // Two seconds at 16 frames a second, one of them red, the other blue, held for a third second.
    let frames = FrameFormat {
        width: 64,
        height: 64,
        fps: Fps::new(16),
        fit: Fit::Cover,
    };
    let red_then_blue = |number: u32| if number < 16 { [255, 0, 0] } else { [0, 0, 255] };
    encode(
        &toolbox,
        frames,
        32,
        ClipOptions::new(64, 64, 90),
        &output,
        red_then_blue,
    );
    let colours = pixels(&output);
    assert_eq!(colours.len(), 90);
    let first_blue = colours.iter().position(|[red, _, blue]| blue > red).unwrap();
    assert!((29..=31).contains(&first_blue), "{first_blue}");
    assert!(colours[first_blue..].iter().all(|[red, _, blue]| blue > red));
}

#[test]
fn colours_survive() {
    let toolbox = toolbox();
    let colours = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 255],
        [0, 0, 0],
        [120, 90, 200],
        [250, 200, 30],
    ];
    for (frame_size, clip_size) in [(64, 64), (48, 64)] {
        for colour in colours {
            let folder = Folder::new();
            let output = folder.path("clip.mp4");
            let frames = FrameFormat {
                width: frame_size,
                height: frame_size,
                fps: Fps::new(30),
                fit: Fit::Cover,
            };
            encode(
                &toolbox,
                frames,
                3,
                ClipOptions::new(clip_size, clip_size, 3),
                &output,
                |_| colour,
            );
            let poster_path = folder.path("poster.jpg");
            poster(&toolbox, &output, &poster_path).unwrap();
            let shown = pixels(&poster_path)[0];
            for (what, seen) in [("clip", pixels(&output)[1]), ("poster", shown)] {
                let far = seen.iter().zip(colour).any(|(&a, b)| a.abs_diff(b) > 6);
                assert!(
                    !far,
                    "{what} from {frame_size} to {clip_size}: {seen:?} instead of {colour:?}"
                );
            }
        }
    }
}

/// The middle pixel of each frame, converted by the tags in the file.
fn pixels(path: &Path) -> Vec<[u8; 3]> {
    raw(path, "crop=2:2")
        .chunks_exact(12)
        .map(|four| [four[0], four[1], four[2]])
        .collect()
}

/// What is seen behind a filter, converted by the tags in the file.
fn raw(path: &Path, filter: &str) -> Vec<u8> {
    let filter = format!(
        "{filter},scale=in_color_matrix=auto:in_range=auto:flags=accurate_rnd+full_chroma_int,format=rgb24"
    );
    let args = [
        "-v",
        "error",
        "-i",
        path.to_str().unwrap(),
        "-vf",
        &filter,
        "-f",
        "rawvideo",
        "-",
    ];
    Command::new("ffmpeg").args(args).output().unwrap().stdout
}

#[test]
fn a_poster_has_the_clips_pixels() {
    let toolbox = toolbox();
    for (width, height) in [(1280, 720), (832, 1104), (246, 250)] {
        let folder = Folder::new();
        let source = clip(&folder, "clip.mp4", &format!("{width}x{height}"), 30, 0.2);
        let output = folder.path("poster.jpg");
        poster(&toolbox, &source, &output).unwrap();
        assert_eq!(
            ffprobe(&output, "v:0", "stream=codec_name,width,height"),
            format!("mjpeg\n{width}\n{height}")
        );
    }
}

#[test]
fn thumbnails_are_small_and_as_they_were_coloured() {
    let toolbox = toolbox();
    let folder = Folder::new();
    let path = folder.path("small.jpg");
    for (width, height, expected) in [
        (1280, 720, "320\n180"),
        (720, 1280, "180\n320"),
        (832, 480, "320\n185"),
        (161, 93, "161\n93"),
        (4000, 1, "320\n1"),
    ] {
        let rgb = [200, 40, 90].repeat((width * height) as usize);
        let jpeg = thumbnail(&toolbox, width, height, rgb, 320).unwrap();
        fs::write(&path, jpeg).unwrap();
        assert_eq!(
            ffprobe(&path, "v:0", "stream=width,height"),
            expected,
            "{width}x{height}"
        );
        let seen = raw(&path, "scale=2:2");
        let far = seen[..3]
            .iter()
            .zip([200, 40, 90])
            .any(|(&a, b)| a.abs_diff(b) > 6);
        assert!(!far, "{width}x{height}: {:?}", &seen[..3]);
    }
    let short = thumbnail(&toolbox, 4, 4, vec![0; 47], 320);
    assert!(matches!(short, Err(MediaFailure::Usage { .. })), "{short:?}");
}

#[test]
fn sound_and_picture_stay_together() {
    let toolbox = toolbox();
    let folder = Folder::new();
    // White and a tone from the first second on, in each container that can carry the sound.
    let flash = "-f lavfi -i color=black:s=320x240:r=30:d=3,drawbox=c=white:t=fill:enable='gte(t,1)' \
                 -f lavfi -i aevalsrc=sin(2000*PI*t)*gte(t\\,1):d=3:s=44100";
    let mp4 = folder.make("a.mp4", &format!("{flash} -c:v libx264 -bf 3 -c:a aac"));
    let mov = folder.make("a.mov", &format!("{flash} -c:v mjpeg -c:a pcm_s16le"));
    let wav = folder.make("a.wav", &format!("{flash} -map 1"));
    let mp3 = folder.make("a.mp3", &format!("{flash} -map 1 -b:a 128k"));
    for source in [&mp4, &mov, &wav, &mp3] {
        let output = folder.path("out.mp4");
        let sound = Sound::From {
            path: source.clone(),
            start_ms: 0,
        };
        let options = ClipOptions {
            sound,
            ..ClipOptions::new(320, 240, 90)
        };
        let frames = FrameFormat {
            width: 320,
            height: 240,
            fps: Fps::new(30),
            fit: Fit::Cover,
        };
        encode(&toolbox, frames, 90, options, &output, |number| {
            if number < 30 { [0; 3] } else { [255; 3] }
        });
        check_contract(&output, 320, 240, 90);
        let begins = sound_begins_s(&output);
        // Frame 30 is shown at 1.000 s; a fortieth of a second is what ear and eye forgive at best.
        assert!((begins - 1.0).abs() < 0.012, "{}: {begins}", source.display());
    }
    // The same through a whole file, and from its middle.
    let output = folder.path("out.mp4");
    let sound = Sound::From {
        path: mp4.clone(),
        start_ms: 0,
    };
    transcode_file(
        &toolbox,
        &mp4,
        ClipOptions {
            sound,
            ..ClipOptions::new(640, 360, 90)
        },
        &output,
    )
    .unwrap();
    check_contract(&output, 640, 360, 90);
    let first_white = pixels(&output).iter().position(|pixel| pixel[0] > 128).unwrap();
    assert_eq!(first_white, 30);
    assert!((sound_begins_s(&output) - 1.0).abs() < 0.012);
    let sound = Sound::From {
        path: mp4.clone(),
        start_ms: 500,
    };
    transcode_file(
        &toolbox,
        &mp4,
        ClipOptions {
            sound,
            ..ClipOptions::new(640, 360, 90)
        },
        &output,
    )
    .unwrap();
    assert!(
        (sound_begins_s(&output) - 0.5).abs() < 0.012,
        "{}",
        sound_begins_s(&output)
    );
}

/// When the first loud sample is heard.
fn sound_begins_s(path: &Path) -> f64 {
    let samples = samples(path);
    samples
        .iter()
        .position(|sample| sample.unsigned_abs() > 3000)
        .map_or(f64::NAN, |at| at as f64 / 48_000.0)
}

fn samples(path: &Path) -> Vec<i16> {
    let args = [
        "-v",
        "error",
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0:a",
        "-ac",
        "1",
        "-f",
        "s16le",
        "-",
    ];
    let raw = Command::new("ffmpeg").args(args).output().unwrap().stdout;
    raw.chunks_exact(2)
        .map(|two| i16::from_le_bytes([two[0], two[1]]))
        .collect()
}

#[test]
fn sound_is_cut_filled_or_silent() {
    let toolbox = toolbox();
    let folder = Folder::new();
    let second = |from: &[i16], at: usize| from[at * 48_000 + 5000..(at + 1) * 48_000 - 5000].to_vec();
    let loud = |part: Vec<i16>| part.iter().any(|sample| sample.unsigned_abs() > 1000);
    let short = folder.make("short.wav", "-f lavfi -i sine=d=1");
    let long = folder.make("long.mp3", "-f lavfi -i sine=d=9");
    let mute = folder.make("mute.mp4", "-f lavfi -i testsrc2=s=320x240:d=3 -c:v libx264");
    let image = folder.make("image.png", "-f lavfi -i testsrc2=s=320x240 -frames:v 1");
    let cases = [
        (Sound::Silent, [false, false, false]),
        (
            Sound::From {
                path: short,
                start_ms: 0,
            },
            [true, false, false],
        ),
        (
            Sound::From {
                path: long,
                start_ms: 0,
            },
            [true, true, true],
        ),
        (
            Sound::From {
                path: mute,
                start_ms: 0,
            },
            [false, false, false],
        ),
        (
            Sound::From {
                path: image,
                start_ms: 0,
            },
            [false, false, false],
        ),
    ];
    for (sound, expected) in cases {
        let output = folder.path("out.mp4");
        let options = ClipOptions {
            sound: sound.clone(),
            ..ClipOptions::new(64, 64, 90)
        };
        let frames = FrameFormat {
            width: 64,
            height: 64,
            fps: Fps::new(30),
            fit: Fit::Cover,
        };
        encode(&toolbox, frames, 90, options, &output, |_| [9; 3]);
        check_contract(&output, 64, 64, 90);
        let heard = samples(&output);
        assert_eq!(
            [0, 1, 2].map(|at| loud(second(&heard, at))),
            expected,
            "{sound:?}"
        );
    }
}

#[test]
fn a_foreign_file_is_brought_to_the_contract() {
    let toolbox = toolbox();
    let folder = Folder::new();
    let vertical = clip(&folder, "vertical.mov", "480x854", 24, 2.0);
    let long = clip(&folder, "long.mp4", "1920x1080", 60, 3.0);
    for (source, size, num_frames) in [(vertical, (1280, 720), 90), (long, (960, 960), 60)] {
        let output = folder.path("out.mp4");
        let sound = Sound::From {
            path: source.clone(),
            start_ms: 0,
        };
        let options = ClipOptions {
            sound,
            ..ClipOptions::new(size.0, size.1, num_frames)
        };
        let encoded = transcode_file(&toolbox, &source, options, &output).unwrap();
        assert_eq!(encoded.duration_ms, u64::from(num_frames) * 1000 / 30);
        check_contract(&output, size.0, size.1, num_frames);
    }
}

#[test]
fn misuse_is_told() {
    let toolbox = toolbox();
    let folder = Folder::new();
    let frames = FrameFormat {
        width: 64,
        height: 64,
        fps: Fps::new(30),
        fit: Fit::Cover,
    };
    let start = |clip: ClipOptions| Encoder::start(&toolbox, frames, clip, &folder.path("clip.mp4"));
    assert!(matches!(
        start(ClipOptions::new(63, 64, 30)),
        Err(MediaFailure::Usage { .. })
    ));
    assert!(matches!(
        start(ClipOptions::new(64, 64, 0)),
        Err(MediaFailure::Usage { .. })
    ));
    let mut encoder = start(ClipOptions::new(64, 64, 30)).unwrap();
    assert!(matches!(encoder.push(&[0; 5]), Err(MediaFailure::Usage { .. })));
    assert!(matches!(encoder.finish(), Err(MediaFailure::Usage { .. })));
    let nowhere = Encoder::start(
        &toolbox,
        frames,
        ClipOptions::new(64, 64, 30),
        &folder.path("no/clip.mp4"),
    );
    assert!(matches!(nowhere, Err(MediaFailure::Write { .. })));
}

#[test]
fn a_poster_decodes_to_the_first_frame() {
    let toolbox = toolbox();
    let folder = Folder::new();
    let output = folder.path("clip.mp4");
    let frames = FrameFormat {
        width: 320,
        height: 240,
        fps: Fps::new(30),
        fit: Fit::Cover,
    };
    encode(
        &toolbox,
        frames,
        10,
        ClipOptions::new(320, 240, 10),
        &output,
        |number| [[200, 40, 40], [0; 3]][number.min(1) as usize],
    );
    let poster_path = folder.path("poster.jpg");
    poster(&toolbox, &output, &poster_path).unwrap();
    let frame = decode_image(&toolbox, &poster_path, 320, 240, Fit::Cover).unwrap();
    assert!(
        frame.rgb[0].abs_diff(200) < 8 && frame.rgb[1].abs_diff(40) < 8,
        "{:?}",
        &frame.rgb[..3]
    );
}

#[test]
fn memory_does_not_grow_with_the_clip() {
    let toolbox = toolbox();
    let peak_kb = |num_frames: u32| {
        let folder = Folder::new();
        let output = folder.path("clip.mp4");
        let frames = FrameFormat {
            width: 320,
            height: 240,
            fps: Fps::new(30),
            fit: Fit::Cover,
        };
        let sound = folder.make("sound.wav", "-f lavfi -i sine=d=30");
        let options = ClipOptions {
            sound: Sound::From {
                path: sound,
                start_ms: 0,
            },
            ..ClipOptions::new(320, 240, num_frames)
        };
        let mut encoder = Encoder::start(&toolbox, frames, options, &output).unwrap();
        for number in 0..num_frames {
            encoder.push(&[number as u8; 320 * 240 * 3]).unwrap();
        }
        // Before the input ends the child still runs: its high-water mark so far is the clip's.
        let child = peak_of_process_with(output.to_str().unwrap());
        encoder.finish().unwrap();
        child + peak_kb_of("/proc/self")
    };
    let (short, long) = (peak_kb(90), peak_kb(900));
    assert!(long < short + 16 * 1024, "3 s: {short} kB, 30 s: {long} kB");
}

fn peak_of_process_with(argument: &str) -> u64 {
    let names = |path: &Path| {
        fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(argument))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let process = processes
        .into_iter()
        .find(|path| names(path))
        .expect("the child runs until its input ends");
    peak_kb_of(process.to_str().unwrap())
}

fn peak_kb_of(process: &str) -> u64 {
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
