//! Bodies of every kind, well-formed, wrong, broken, endless and slow.

use std::time::Duration;

use kinora_domain::{Draft, Origin};
use tempfile::TempDir;

use super::*;
use crate::http::wire::request::{self, BodyLimits};

const MB: usize = 1024 * 1024;

/// Blobs that go away with the test.
struct Disk {
    folder: TempDir,
    blobs: Blobs,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(folder.path()).expect("blobs");
        Disk { folder, blobs }
    }

    /// How many files lie in staging.
    fn staged(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("staging"))
            .expect("staging")
            .count()
    }
}

fn request(body: Body) -> Request {
    Request::builder()
        .header("content-type", "multipart/form-data; boundary=XX")
        .body(body)
        .expect("a request")
}

async fn read_bytes(disk: &Disk, endpoint: Endpoint, body: Vec<u8>) -> Result<ParsedBody, WireError> {
    // In pieces, as a network would bring it.
    let pieces: Vec<_> = body
        .chunks(1000)
        .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let limits = BodyLimits {
        json_bytes_max: MB as u64,
        multipart_bytes_max: 64 * MB as u64,
        timeout: Duration::from_secs(20),
    };
    request::read(endpoint, request(body), &limits, &disk.blobs).await
}

/// A body of parts given by the rest of their Content-Disposition, further headers, and content.
fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, content) in parts {
        body.extend_from_slice(
            format!("--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

async fn draft(disk: &Disk, parts: &[(&str, &[u8])]) -> Draft {
    match read_bytes(disk, Endpoint::WanVideo, body(parts)).await {
        Ok(parsed) => parsed.draft,
        Err(error) => panic!("{parts:?} is refused: {error:?}"),
    }
}

#[tokio::test]
async fn texts_are_read_by_their_member() {
    let disk = Disk::new();
    let parts: &[(&str, &[u8])] = &[
        ("name=\"prompt\"", "Ein Boot, größer".as_bytes()),
        ("name=\"duration\"", b"7"),
        ("name=\"seed\"", b"-3"),
        ("name=\"multi_shots\"", b"true"),
        ("name=\"enable_prompt_expansion\"", b"false"),
        ("name=\"resolution\"", b"720p"),
        ("name=\"video_refs\"", b"https://example.com/a.mp4"),
        ("name=\"video_refs\"", b""),
        ("name=\"video_refs\"", b"https://example.com/b.mp4"),
        ("name=\"aspect_ratio\"", b""),
        ("name=\"negative_prompt\"", b""),
        ("name=\"unknown\"", b"anything"),
    ];
    let url = |text: &str| Source::Url(text.to_owned());
    let expected = Draft {
        prompt: Some("Ein Boot, größer".to_owned()),
        duration: Some(7),
        seed: Some(-3),
        multi_shots: Some(true),
        prompt_expansion: Some(false),
        resolution: Some("720p".to_owned()),
        video_refs: vec![url("https://example.com/a.mp4"), url("https://example.com/b.mp4")],
        ..Draft::default()
    };
    assert_eq!(draft(&disk, parts).await, expected);
}

#[tokio::test]
async fn files_become_blobs_in_their_order() {
    let disk = Disk::new();
    let large = vec![7; 3 * MB];
    let parts: &[(&str, &[u8])] = &[
        ("name=\"video_refs\"; filename=\"a.mp4\"", &large),
        ("name=\"video_refs\"", b"https://example.com/b.mp4"),
        ("name=\"video_refs\"; filename=\"../../etc/c.mp4\"", b"c"),
        ("name=\"prompt\"", b"x"),
    ];
    let parsed = read_bytes(&disk, Endpoint::WanVideo, body(parts))
        .await
        .expect("taken");
    let shown: Vec<String> = parsed
        .draft
        .video_refs
        .iter()
        .map(|source| match source {
            Source::Url(url) => url.clone(),
            Source::Stored(stored) => match &stored.origin {
                Origin::Upload { file_name } => file_name.clone(),
                Origin::Data { .. } => "data".to_owned(),
            },
        })
        .collect();
    assert_eq!(shown, ["a.mp4", "https://example.com/b.mp4", "c.mp4"]);
    let members: Vec<Member> = parsed.uploads.iter().map(|upload| upload.member).collect();
    assert_eq!(members, [Member::VideoRefs(0), Member::VideoRefs(2)]);
    let kept = std::fs::read(disk.blobs.path(parsed.uploads[0].blob)).expect("kept");
    assert!(kept == large);
    assert_eq!(disk.staged(), 0);
}

#[tokio::test]
async fn an_untouched_file_field_is_absent() {
    let disk = Disk::new();
    let untouched = draft(&disk, &[("name=\"image_url\"; filename=\"\"", b"")]).await;
    assert_eq!(untouched, Draft::default());
    let empty = draft(&disk, &[("name=\"image_url\"; filename=\"empty.png\"", b"")]).await;
    assert!(
        matches!(empty.image, Some(Source::Stored(_))),
        "an empty file is a file"
    );
}

#[tokio::test]
async fn a_medium_without_a_file_name_is_a_file() {
    let disk = Disk::new();
    let kind = "name=\"image_url\"\r\nContent-Type: image/png";
    assert!(matches!(
        draft(&disk, &[(kind, b"x")]).await.image,
        Some(Source::Stored(_))
    ));
    let text = "name=\"image_url\"\r\nContent-Type: text/plain; charset=utf-8";
    assert_eq!(
        draft(&disk, &[(text, b"x")]).await.image,
        Some(Source::Url("x".to_owned()))
    );
}

#[tokio::test]
async fn wrong_types_are_reported_together() {
    let disk = Disk::new();
    let check = async |model, parts: &[(&str, &[u8])], expected: &[(&str, &str)]| {
        let Err(WireError::WrongTypes(problems)) = read_bytes(&disk, model, body(parts)).await else {
            panic!("{parts:?} is not refused for its types");
        };
        let found: Vec<(&str, &str)> = problems
            .iter()
            .map(|p| (p.field.as_str(), p.message.as_str()))
            .collect();
        assert_eq!(found, expected);
    };
    check(
        Endpoint::WanVideo,
        &[
            ("name=\"seed\"", b"five"),
            ("name=\"duration\"", b"5.5"),
            ("name=\"multi_shots\"", b"True"),
            ("name=\"prompt\"; filename=\"prompt.txt\"", b"x"),
            ("name=\"resolution\"", b"720p"),
            ("name=\"resolution\"", b"1080p"),
            ("name=\"image_url\"", b"a"),
            ("name=\"image_url\"; filename=\"b.png\"", b"b"),
        ],
        &[
            ("prompt", "is a file; a text part is taken"),
            ("image_url", "is sent 2 times; one part is taken"),
            ("resolution", "is sent 2 times; one part is taken"),
            ("duration", "is the text \"5.5\"; an integer is taken"),
            ("multi_shots", "is the text \"True\"; true or false is taken"),
            ("seed", "is the text \"five\"; an integer is taken"),
        ],
    )
    .await;
    check(
        Endpoint::WanEdit,
        &[("name=\"n\"", b"two")],
        &[("n", "is the text \"two\"; an integer is taken")],
    )
    .await;
    check(
        Endpoint::WanVideo,
        &[("name=\"prompt\"", b"\xff\xfe")],
        &[("prompt", "is not UTF-8 text")],
    )
    .await;
}

#[tokio::test]
async fn files_of_unknown_members_are_ignored() {
    let disk = Disk::new();
    let file: (&str, &[u8]) = ("name=\"image_url\"; filename=\"a.png\"", b"a");
    let parsed = read_bytes(&disk, Endpoint::WanEdit, body(&[file]))
        .await
        .expect("taken");
    assert!(parsed.uploads.is_empty());
    assert_eq!(parsed.draft.image, None);
}

#[tokio::test]
async fn what_is_over_a_limit_is_too_large() {
    let disk = Disk::new();
    let check = async |parts: &[(&str, &[u8])], expected: Option<&str>| {
        match (read_bytes(&disk, Endpoint::WanVideo, body(parts)).await, expected) {
            (Ok(_), None) => {}
            (Err(WireError::TooLarge(message)), Some(word)) => {
                assert!(message.contains(word), "{message}")
            }
            (Ok(_), Some(word)) => panic!("{word} is not refused"),
            (Err(error), _) => panic!("{error:?}, not {expected:?}"),
        }
        assert_eq!(disk.staged(), 0);
    };
    let text = vec![b'x'; TEXT_BYTES_MAX + 1];
    check(&[("name=\"prompt\"", &text[1..])], None).await;
    check(&[("name=\"prompt\"", &text)], Some("prompt")).await;
    check(&[("name=\"unknown\"", &text)], Some("unknown")).await;
    let image = vec![0; 20 * MB + 1];
    check(&[("name=\"image_url\"; filename=\"a.png\"", &image[1..])], None).await;
    check(
        &[
            ("name=\"image_url\"; filename=\"a.png\"", &image),
            ("name=\"seed\"", b"x"),
        ],
        Some("image_url"),
    )
    .await;
    check(
        &[("name=\"audio_url\"; filename=\"a.wav\"", &image)],
        Some("audio_url"),
    )
    .await;
    check(&[("name=\"x\"", b"y".as_slice()); PARTS_MAX], None).await;
    check(
        &[("name=\"x\"", b"y".as_slice()); PARTS_MAX + 1],
        Some("64 parts"),
    )
    .await;
    let much = vec![0; 65 * MB];
    check(
        &[("name=\"video_url\"; filename=\"a.mp4\"", &much)],
        Some("larger than 67108864"),
    )
    .await;
}

#[tokio::test]
async fn endless_headers_are_not_gathered() {
    let disk = Disk::new();
    for start in [
        "",
        "--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\nX-Long: ",
    ] {
        let mut endless = start.as_bytes().to_vec();
        endless.resize(5 * MB, b'x');
        let found = read_bytes(&disk, Endpoint::WanVideo, endless).await.map(|_| ());
        assert!(
            matches!(&found, Err(WireError::TooLarge(message)) if message.contains("headers")),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn broken_bodies_are_malformed() {
    let disk = Disk::new();
    let whole = body(&[
        ("name=\"prompt\"", b"x"),
        ("name=\"image_url\"; filename=\"a\"", b"y"),
    ]);
    let check = async |bytes: Vec<u8>| {
        let found = read_bytes(&disk, Endpoint::WanVideo, bytes.clone())
            .await
            .map(|_| ());
        assert!(
            matches!(found, Err(WireError::Malformed(_))),
            "{}: {found:?}",
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(disk.staged(), 0);
    };
    for length in [0, 1, 4, 10, 60, whole.len() - 20, whole.len() - 8] {
        check(whole[..length].to_vec()).await;
    }
    check(b"not multipart at all".to_vec()).await;
    check(body(&[("filename=\"a\"", b"x")])).await;
    check(b"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n--XX--\r\n".to_vec()).await;
}

#[tokio::test]
async fn a_boundary_is_needed() {
    let disk = Disk::new();
    let mut request = request(Body::empty());
    let kind = "multipart/form-data".parse().expect("a header value");
    request.headers_mut().insert("content-type", kind);
    let found = read(Endpoint::WanVideo, request, 1000, &disk.blobs)
        .await
        .map(|_| ());
    assert!(matches!(found, Err(WireError::Malformed(_))), "{found:?}");
}

#[tokio::test]
async fn slow_bodies_end_in_time() {
    let disk = Disk::new();
    let start = Bytes::from_static(b"--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx");
    let stream = futures_util::StreamExt::chain(
        futures_util::stream::iter([Ok::<_, io::Error>(start)]),
        futures_util::stream::pending(),
    );
    let limits = BodyLimits {
        json_bytes_max: 1,
        multipart_bytes_max: 1000,
        timeout: Duration::from_millis(50),
    };
    let found = request::read(
        Endpoint::WanVideo,
        request(Body::from_stream(stream)),
        &limits,
        &disk.blobs,
    )
    .await;
    assert!(
        matches!(found.map(|_| ()), Err(WireError::Malformed(message)) if message.contains("within 0.05 s"))
    );
}

#[tokio::test]
async fn the_same_parts_are_the_same_payload() {
    let disk = Disk::new();
    let hash = async |parts: &[(&str, &[u8])]| {
        read_bytes(&disk, Endpoint::WanVideo, body(parts))
            .await
            .expect("taken")
            .payload_hash
    };
    let file: (&str, &[u8]) = ("name=\"image_url\"; filename=\"a.png\"", b"a");
    let renamed: (&str, &[u8]) = ("name=\"image_url\"; filename=\"b.png\"", b"a");
    let other: (&str, &[u8]) = ("name=\"image_url\"; filename=\"a.png\"", b"b");
    let text: (&str, &[u8]) = ("name=\"prompt\"", b"p");
    let unknown: (&str, &[u8]) = ("name=\"unknown\"; filename=\"a\"", b"1");
    let unknown_other: (&str, &[u8]) = ("name=\"unknown\"; filename=\"a\"", b"2");
    let first = hash(&[file, text]).await;
    assert_eq!(first, hash(&[text, file]).await);
    assert_eq!(first, hash(&[renamed, text]).await);
    assert_ne!(first, hash(&[other, text]).await);
    assert_ne!(first, hash(&[file]).await);
    assert_ne!(first, hash(&[file, text, unknown]).await);
    assert_ne!(hash(&[unknown]).await, hash(&[unknown_other]).await);
}

#[test]
fn file_names_are_only_names() {
    let check = |given: &str, expected: &str| assert_eq!(clean_file_name(given), expected, "{given:?}");
    check("clip.mp4", "clip.mp4");
    check("größer als 1.mp4", "größer als 1.mp4");
    check("/etc/passwd", "passwd");
    check("..\\..\\boot.ini", "boot.ini");
    check("a\r\nb\0.png", "ab.png");
    check("", "file");
    check("..", "file");
    check("dir/", "file");
    check("  ", "file");
    check(&"x".repeat(300), &"x".repeat(255));
}
