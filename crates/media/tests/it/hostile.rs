//! Media made to hurt: each gets its message, soon, and the sandbox's limits hold.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kinora_media::{MediaKind, inspect};

use crate::media::{Folder, clip, ffmpeg, toolbox};

const NOT_IMAGE: &str = "is not a JPEG, PNG, BMP or WEBP image";
const NOT_VIDEO: &str = "is not an MP4 or MOV video";
const NOT_AUDIO: &str = "is not a WAV or MP3 file";
const CUT: &str = "is truncated or damaged";
const UNDECODABLE: &str = "cannot be decoded";

fn check(kind: MediaKind, what: &str, path: &Path, expected: &str) {
    let begun = Instant::now();
    let refusal = inspect(&toolbox(), kind, path)
        .err()
        .map(|problem| (problem.defect().is_some(), problem.to_string()));
    assert_eq!(refusal, Some((true, expected.to_owned())), "{what}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{what} took {:?}",
        begun.elapsed()
    );
}

/// Bytes that look random and are the same on every run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn be32(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&be32(body.len() as u32 + 8)[..], kind, body].concat()
}

fn png_of(width: u32, height: u32) -> Vec<u8> {
    let header = [&b"IHDR"[..], &be32(width), &be32(height), &[8, 6, 0, 0, 0]].concat();
    [
        &b"\x89PNG\r\n\x1A\n"[..],
        &be32(13),
        &header,
        &[0; 4],
        &be32(0),
        b"IEND",
        &[0; 4],
    ]
    .concat()
}

/// Replaces the bytes behind the first `kind` in a file of boxes.
fn patched(file: &[u8], kind: &[u8; 4], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = file.windows(4).position(|window| window == kind).unwrap() + 4 + offset;
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn what_is_no_medium_at_all() {
    let folder = Folder::new();
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='500' height='500'><image href='file:///etc/passwd'/></svg>";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("noise", noise(100_000)),
        ("zeros", vec![0; 100_000]),
        ("one byte", vec![0xFF]),
        ("html", b"<!DOCTYPE html><html><body>404</body></html>".to_vec()),
        ("json", b"{\"error\":\"not found\"}".to_vec()),
        ("hls", playlist.into()),
        ("hls with a mark", format!("\u{FEFF}{playlist}").into()),
        ("concat", b"ffconcat version 1.0\nfile '/etc/passwd'\n".to_vec()),
        ("svg", svg.into()),
        (
            "sdp",
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n".to_vec(),
        ),
        (
            "dash",
            b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>".to_vec(),
        ),
        (
            "mvg",
            b"push graphic-context\nfill 'url(https://127.0.0.1/)'\npop graphic-context".to_vec(),
        ),
        ("postscript", b"%!PS\n(/etc/passwd) (r) file".to_vec()),
        ("pdf", b"%PDF-1.7\n".to_vec()),
        ("elf", fs::read("/bin/true").unwrap()),
        ("gif", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec()),
        ("tiff", b"II*\0\x08\0\0\0".to_vec()),
        ("heic", [&be32(24)[..], b"ftypheic", &[0; 12]].concat()),
        ("avif", [&be32(24)[..], b"ftypavif", &[0; 12]].concat()),
        ("ogg", b"OggS\0\x02".to_vec()),
        ("matroska", b"\x1A\x45\xDF\xA3".to_vec()),
        ("avi", b"RIFF\x10\0\0\0AVI LIST".to_vec()),
        ("gzip", b"\x1F\x8B\x08\0\0\0\0\0\0\x03".to_vec()),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec()),
        (
            "text that begins like a bitmap",
            b"BMW is a maker of cars and motor cycles in Munich".to_vec(),
        ),
        (
            "text that begins like a tag",
            b"ID3 is a way to label sound, and this is no sound".to_vec(),
        ),
    ];
    for (what, bytes) in cases {
        let path = folder.write("file", bytes);
        check(MediaKind::Image, what, &path, NOT_IMAGE);
        check(MediaKind::Clip, what, &path, NOT_VIDEO);
        check(MediaKind::Audio, what, &path, NOT_AUDIO);
    }
    for kind in MediaKind::ALL {
        check(kind, "nothing", &folder.write("file", ""), "is empty");
    }
}

#[test]
fn one_kind_in_place_of_another() {
    let folder = Folder::new();
    let image = folder.make("a.png", "-f lavfi -i testsrc2=s=320x256 -frames:v 1");
    let video = clip(&folder, "a.mp4", "320x240", 30, 2.0);
    let sound = folder.make("a.wav", "-f lavfi -i sine=d=3");
    let only_sound = folder.make("sound.mp4", "-f lavfi -i sine=d=3 -c:a aac");
    let avi = folder.make("a.avi", "-f lavfi -i testsrc2=s=320x240:d=2 -c:v mpeg4");
    check(MediaKind::Image, "a clip", &video, NOT_IMAGE);
    check(MediaKind::Clip, "a still", &image, NOT_VIDEO);
    check(MediaKind::ReferenceVideo, "a sound", &sound, NOT_VIDEO);
    check(MediaKind::Audio, "a clip", &video, NOT_AUDIO);
    check(
        MediaKind::Clip,
        "sound without picture",
        &only_sound,
        "has no picture",
    );
    check(MediaKind::Clip, "avi", &avi, NOT_VIDEO);
}

#[test]
fn stills_that_lie() {
    let folder = Folder::new();
    let make =
        |name: &str| fs::read(folder.make(name, "-f lavfi -i testsrc2=s=320x256 -frames:v 1")).unwrap();
    let (jpeg, png, bmp, webp) = (make("a.jpg"), make("a.png"), make("a.bmp"), make("a.webp"));
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let mut garbled = png.clone();
    let middle = garbled.len() / 2;
    garbled[60..middle].fill(0x55);
    let mut garbled_pixels = png.clone();
    let pixels = garbled_pixels
        .windows(4)
        .position(|window| window == b"IDAT")
        .unwrap()
        + 4;
    garbled_pixels[pixels..pixels + 200].fill(0x55);
    let mut wide_bmp = bmp.clone();
    wide_bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    let mut tall_bmp = bmp.clone();
    tall_bmp[22..26].copy_from_slice(&7999u32.to_le_bytes());
    let mut wide_jpeg = jpeg.clone();
    let frame = wide_jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    wide_jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    let bomb = "is 60000×60000 pixels; 240 to 8000 pixels per side are accepted";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("half a jpeg", half(&jpeg), CUT),
        ("half a png", half(&png), CUT),
        ("half a bmp", half(&bmp), CUT),
        ("half a webp", half(&webp), CUT),
        ("a jpeg's first bytes", jpeg[..4].to_vec(), CUT),
        ("a png's first bytes", png[..20].to_vec(), CUT),
        ("a bmp's first bytes", bmp[..20].to_vec(), CUT),
        ("a webp's first bytes", webp[..14].to_vec(), CUT),
        ("a png of 60000×60000", png_of(60_000, 60_000), bomb),
        ("a png of no size", png_of(0, 300), CUT),
        ("a png without a picture", png_of(300, 300), UNDECODABLE),
        ("a png of nonsense", garbled, CUT),
        ("a png of nonsense pixels", garbled_pixels, UNDECODABLE),
        (
            "a bmp of 60000×256",
            wide_bmp,
            "is 60000×256 pixels; 240 to 8000 pixels per side are accepted",
        ),
        ("a bmp of more rows than bytes", tall_bmp, CUT),
        (
            "a jpeg of 65535×65535",
            wide_jpeg,
            "is 65535×65535 pixels; 240 to 8000 pixels per side are accepted",
        ),
        (
            "jpeg, then nonsense",
            [b"\xFF\xD8\xFF".to_vec(), noise(5000)].concat(),
            CUT,
        ),
    ];
    for (what, bytes, expected) in cases {
        check(MediaKind::Image, what, &folder.write("file", bytes), expected);
    }
    let large = folder.path("large.png");
    File::create(&large).unwrap().set_len(20 * 1_048_576 + 1).unwrap();
    let too_large = "has 20971521 bytes or more; at most 20971520 bytes (20 MB) are accepted";
    check(MediaKind::Image, "a large file", &large, too_large);
    // Sixty-four million pixels in a few kilobytes: within the limits, so it must simply work.
    let dense = folder.make(
        "dense.png",
        "-f lavfi -i color=s=8000x8000 -frames:v 1 -pix_fmt monob",
    );
    assert!(fs::metadata(&dense).unwrap().len() < 200_000);
    assert!(inspect(&toolbox(), MediaKind::Image, &dense).is_ok());
}

#[test]
fn clips_that_lie() {
    let folder = Folder::new();
    let source = clip(&folder, "source.mp4", "320x240", 30, 3.0);
    let honest = fs::read(&source).unwrap();
    let index_first = folder.path("first.mp4");
    ffmpeg(
        &[
            "-i",
            source.to_str().unwrap(),
            "-c",
            "copy",
            "-movflags",
            "faststart",
        ],
        &index_first,
    );
    let index_first = fs::read(&index_first).unwrap();
    let data = honest.windows(4).position(|window| window == b"mdat").unwrap();
    let index = honest.windows(4).position(|window| window == b"moov").unwrap();
    let mut no_picture_data = honest.clone();
    no_picture_data[data + 4..index - 4].copy_from_slice(&noise(index - data - 8));
    let references = honest.windows(4).position(|window| window == b"url ").unwrap();
    let mut external = honest.clone();
    external[references + 7] = 0;
    let compressed = [
        atom(b"ftyp", b"qt  \0\0\0\0"),
        atom(b"mdat", &[0; 64]),
        atom(b"moov", &atom(b"cmov", &[0; 64])),
    ];
    let empty_boxes = [atom(b"ftyp", b"isom\0\0\0\0"), atom(b"free", b"").repeat(100_000)].concat();
    let deep = (0..50).fold(Vec::new(), |inside, _| atom(b"trak", &inside));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("half of it", honest[..honest.len() / 2].to_vec(), CUT),
        (
            "half of it, index first",
            index_first[..index_first.len() / 2].to_vec(),
            CUT,
        ),
        ("its first bytes", honest[..16].to_vec(), CUT),
        ("only its type", atom(b"ftyp", b"isom\0\0\0\0isom"), CUT),
        (
            "a type and a playlist",
            [
                atom(b"ftyp", b"isom\0\0\0\0"),
                b"#EXTM3U\nfile:///etc/passwd\n".to_vec(),
            ]
            .concat(),
            CUT,
        ),
        ("noise for pictures", no_picture_data, UNDECODABLE),
        ("data elsewhere", external, "refers to data outside the file"),
        (
            "a compressed index",
            compressed.concat(),
            "uses a compressed movie header, which is not supported",
        ),
        (
            "a hundred thousand boxes",
            empty_boxes,
            "takes too much time or memory to decode",
        ),
        (
            "tracks in tracks",
            [
                atom(b"ftyp", b"isom\0\0\0\0"),
                atom(b"mdat", b""),
                atom(b"moov", &deep),
            ]
            .concat(),
            CUT,
        ),
        (
            "a box larger than the file",
            [
                atom(b"ftyp", b"isom\0\0\0\0"),
                be32(u32::MAX).to_vec(),
                b"moov".to_vec(),
            ]
            .concat(),
            CUT,
        ),
        (
            "an index without tracks",
            [
                atom(b"ftyp", b"isom\0\0\0\0"),
                atom(b"mdat", b"x"),
                atom(b"moov", b""),
            ]
            .concat(),
            "has no picture",
        ),
    ];
    for (what, bytes, expected) in cases {
        check(MediaKind::Clip, what, &folder.write("file", bytes), expected);
    }
    // What the headers claim about the length changes nothing: three seconds of pictures are three seconds.
    for (what, kind, offset) in [
        ("movie", b"mvhd", 16),
        ("track", b"tkhd", 20),
        ("media", b"mdhd", 16),
    ] {
        for claim in [be32(1), be32(5_000_000), be32(u32::MAX)] {
            let path = folder.write("file", patched(&honest, kind, offset, &claim));
            let facts = inspect(&toolbox(), MediaKind::Clip, &path)
                .unwrap_or_else(|e| panic!("{what} {claim:?}: {e:?}"));
            assert_eq!(facts.duration_ms(), Some(3000), "{what} {claim:?}");
        }
    }
    // Pictures that are said to last for hours.
    let slow = folder.write("file", patched(&honest, b"stts", 12, &be32(900_000)));
    let refusal = inspect(&toolbox(), MediaKind::Clip, &slow).unwrap_err();
    assert!(
        refusal.to_string().ends_with("s long; 2 to 10 s are accepted"),
        "{refusal}"
    );
    // A million samples in the table, without data.
    let many = folder.write("file", patched(&honest, b"stsz", 8, &be32(1_000_000)));
    assert!(
        inspect(&toolbox(), MediaKind::Clip, &many)
            .unwrap_err()
            .defect()
            .is_some()
    );
}

#[test]
fn a_clip_that_is_also_a_playlist_is_only_a_clip() {
    let folder = Folder::new();
    let secret = clip(&folder, "secret.mp4", "640x480", 30, 4.0);
    let mut file = fs::read(clip(&folder, "a.mp4", "320x240", 30, 2.0)).unwrap();
    let mut playlist = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:9\n");
    let _ = write!(
        playlist,
        "#EXTINF:4,\nfile://{}\n#EXT-X-ENDLIST\n",
        secret.display()
    );
    file.extend(atom(b"free", playlist.as_bytes()));
    let facts = inspect(&toolbox(), MediaKind::Clip, &folder.write("file.m3u8", file)).unwrap();
    assert_eq!(
        (facts.size(), facts.duration_ms()),
        (Some((320, 240)), Some(2000))
    );
}

#[test]
fn a_million_tiny_pictures() {
    let folder = Folder::new();
    let small = folder.make(
        "small.mp4",
        "-f lavfi -i color=s=256x256:r=5000:d=4 -c:v libx264 -preset ultrafast -video_track_timescale 5000",
    );
    check(
        MediaKind::Clip,
        "pictures without number",
        &small,
        "takes too much time or memory to decode",
    );
    let long = folder.make(
        "long.mp4",
        "-f lavfi -i color=s=256x256:r=20:d=1000 -c:v libx264 -preset ultrafast",
    );
    let refusal = inspect(&toolbox(), MediaKind::Clip, &long)
        .unwrap_err()
        .to_string();
    assert!(refusal.ends_with("s long; 2 to 10 s are accepted"), "{refusal}");
}

#[test]
fn sounds_that_lie() {
    let folder = Folder::new();
    let wav = fs::read(folder.make("a.wav", "-f lavfi -i sine=d=3 -bitexact")).unwrap();
    let mp3 = fs::read(folder.make("a.mp3", "-f lavfi -i sine=d=3")).unwrap();
    let check_short = |what: &str, bytes: Vec<u8>| {
        let refusal = inspect(&toolbox(), MediaKind::Audio, &folder.write("file", bytes)).unwrap_err();
        let text = refusal.to_string();
        assert!(
            refusal.defect().is_some() && text.ends_with("s long; 2 to 30 s are accepted"),
            "{what}: {text}"
        );
    };
    check_short("a third of a wav", wav[..wav.len() / 3].to_vec());
    check_short(
        "a third of an mp3 that claims three seconds",
        mp3[..mp3.len() / 3].to_vec(),
    );
    let mut claims = wav[..wav.len() / 3].to_vec();
    claims[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    check_short("a wav that claims four gigabytes", claims);
    check(
        MediaKind::Audio,
        "a wav's first bytes",
        &folder.write("file", &wav[..20]),
        UNDECODABLE,
    );
    let mut channels = wav.clone();
    channels[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    check(
        MediaKind::Audio,
        "65535 channels",
        &folder.write("file", channels),
        UNDECODABLE,
    );
    let tag = [b"ID3\x04\0\0\x7F\x7F\x7F\x7F".to_vec(), noise(5000)].concat();
    check(
        MediaKind::Audio,
        "a tag of 256 MB",
        &folder.write("file", tag),
        NOT_AUDIO,
    );
    let long: PathBuf = folder.make("long.mp3", "-f lavfi -i anullsrc=r=8000:cl=mono -t 7200 -b:a 8k");
    check(
        MediaKind::Audio,
        "two hours",
        &long,
        "is 300.00 s long; 2 to 30 s are accepted",
    );
}
