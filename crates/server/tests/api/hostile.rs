//! Input that means harm. Each case gets the documented error, disturbs nothing else, and leaves the server's memory
//! where it was.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use reqwest::{
    Body, Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::{
    house::{Answer, House},
    media::Media,
};

const CREATE: &str = "/generation/wan/wan-v2.7-video";
const MB: usize = 1 << 20;

/// The documented error: its status and, for bad input, the fields it names.
fn assert_error(case: &str, answer: &Answer, status: u16, field: Option<&str>) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text);
    assert!(
        answer.body["code"].is_string() && answer.body["message"].is_string(),
        "{case}: {}",
        answer.text
    );
    let message = answer.body["message"].as_str().unwrap_or_default();
    if status == 400 || status == 422 {
        assert!(message.contains("validation"), "{case}: {message}");
    }
    if let Some(field) = field {
        let fields: Vec<&str> = answer.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["field"].as_str())
            .collect();
        assert_eq!(fields, [field], "{case}: {message}");
    }
    for word in ["/tmp", "/home", "panicked", "ffmpeg", "sqlite"] {
        assert!(
            !message.to_lowercase().contains(word),
            "{case} tells too much: {message}"
        );
    }
}

async fn assert_undisturbed(house: &House) {
    assert_eq!(house.get("//readyz").await.status, 200);
    let memory = house.resident_mb();
    assert!(memory < 250, "{memory} MB");
    house.sound().await;
}

#[tokio::test]
async fn bodies() {
    let house = House::start().await;
    let nested = format!("{{\"prompt\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("nothing", b"".to_vec(), 400),
        ("cut off", b"{\"prompt\": \"a".to_vec(), 400),
        ("two values", b"{}{}".to_vec(), 400),
        ("deep nesting", nested.into_bytes(), 400),
        ("no UTF-8", b"{\"prompt\": \"\xff\xfe\"}".to_vec(), 400),
        (
            "half a surrogate pair",
            b"{\"prompt\": \"\\ud800\"}".to_vec(),
            400,
        ),
        (
            "a number beyond all bounds",
            b"{\"prompt\":\"a\",\"seed\":1e999}".to_vec(),
            400,
        ),
        (
            "a seed of 40 digits",
            format!("{{\"prompt\":\"a\",\"seed\":{}}}", "9".repeat(40)).into_bytes(),
            400,
        ),
        ("NaN", b"{\"prompt\":\"a\",\"seed\":NaN}".to_vec(), 400),
        ("a comment", b"{\"prompt\":\"a\"/**/}".to_vec(), 400),
        ("a trailing comma", b"{\"prompt\":\"a\",}".to_vec(), 400),
        ("single quotes", b"{'prompt':'a'}".to_vec(), 400),
        ("XML", b"<prompt>a</prompt>".to_vec(), 400),
        (
            "33 MB",
            [b"{\"prompt\":\"".to_vec(), vec![b'a'; 33 * MB], b"\"}".to_vec()].concat(),
            413,
        ),
    ];
    for (case, body, status) in cases {
        let request = house
            .request(Method::POST, CREATE)
            .header("content-type", "application/json")
            .body(body);
        let answer = Answer::to(request).await;
        // A seed that no integer type holds may be called mistyped or out of range.
        let status = if case.contains("40 digits") && answer.status == 422 {
            422
        } else {
            status
        };
        assert_error(case, &answer, status, None);
    }
    for content_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "",
        "multipart/mixed",
    ] {
        let request = house
            .request(Method::POST, CREATE)
            .header("content-type", content_type)
            .body("{}");
        assert_error(content_type, &Answer::to(request).await, 415, None);
    }
    let request = house
        .request(Method::POST, CREATE)
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(vec![0x1f, 0x8b, 8, 0]);
    let answer = Answer::to(request).await;
    assert!(
        matches!(answer.status, 400 | 415),
        "compressed bodies are not inflated: {}",
        answer.text
    );
    // A client that never says how much it sends is stopped at the same limit.
    let endless = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; MB])));
    let request = house
        .request(Method::POST, CREATE)
        .header("content-type", "application/json");
    if let Ok(response) = request.body(Body::wrap_stream(endless)).send().await {
        assert_eq!(response.status().as_u16(), 413);
    }
    assert_undisturbed(&house).await;
}

#[tokio::test]
async fn multipart_bodies() {
    let house = House::start().await;
    let raw = async |content_type: &str, body: &str| {
        let request = house
            .request(Method::POST, CREATE)
            .header("content-type", content_type.to_owned());
        Answer::to(request.body(body.replace('\n', "\r\n"))).await
    };
    let part = "--x\nContent-Disposition: form-data; name=\"prompt\"\n\na boat\n";
    let typed = "multipart/form-data; boundary=x";
    for (case, content_type, body, status) in [
        (
            "no boundary",
            "multipart/form-data",
            format!("{part}--x--\n"),
            400,
        ),
        (
            "an empty boundary",
            "multipart/form-data; boundary=",
            format!("{part}--x--\n"),
            400,
        ),
        (
            "another boundary",
            "multipart/form-data; boundary=y",
            format!("{part}--x--\n"),
            400,
        ),
        ("no end", typed, part.to_owned(), 400),
        (
            "no name",
            typed,
            "--x\nContent-Disposition: form-data\n\na\n--x--\n".to_owned(),
            400,
        ),
        ("no disposition", typed, "--x\n\na\n--x--\n".to_owned(), 400),
        ("nothing", typed, String::new(), 400),
        ("JSON", typed, "{\"prompt\":\"a\"}".to_owned(), 400),
    ] {
        assert_error(case, &raw(content_type, &body).await, status, None);
    }
    let post = async |form: Form| Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
    let file = |bytes: usize| Part::bytes(vec![0; bytes]).file_name("a.bin");
    let mut many = Form::new().text("prompt", "a");
    for i in 0..70 {
        many = many.text(format!("unknown{i}"), "x");
    }
    assert_error("70 parts", &post(many).await, 413, None);
    let long = Form::new().text("prompt", "a".repeat(65 * 1024));
    assert_error("a text part over 64 KiB", &post(long).await, 413, None);
    assert_error(
        "a file as prompt",
        &post(Form::new().part("prompt", file(10))).await,
        400,
        Some("prompt"),
    );
    assert_error(
        "a text as number",
        &post(Form::new().text("prompt", "a").text("seed", "x")).await,
        400,
        Some("seed"),
    );
    assert_error(
        "a text as truth",
        &post(Form::new().text("prompt", "a").text("multi_shots", "yes")).await,
        400,
        Some("multi_shots"),
    );
    assert_error(
        "an image over 20 MB",
        &post(Form::new().part("image_url", file(21 * MB))).await,
        413,
        None,
    );
    let sound = Form::new().text("prompt", "a").part("audio_url", file(16 * MB));
    assert_error("a sound over 15 MB", &post(sound).await, 413, None);
    assert_error(
        "a clip over 100 MB",
        &post(Form::new().part("video_url", file(101 * MB))).await,
        413,
        None,
    );
    assert_undisturbed(&house).await;
}

#[tokio::test]
async fn media_that_lie() {
    let house = House::start().await;
    let media = Media::make();
    media.ffmpeg("-f lavfi -i testsrc=size=640x360 -frames:v 1", "a.gif");
    media.ffmpeg("-f lavfi -i testsrc=size=320x240:rate=10:duration=1", "short.mp4");
    media.ffmpeg("-f lavfi -i testsrc=size=320x240:rate=5:duration=11", "long.mp4");
    media.ffmpeg(
        "-f lavfi -i testsrc=size=200x400:rate=10:duration=2",
        "narrow.mp4",
    );
    media.ffmpeg("-f lavfi -i testsrc=size=320x240:rate=10:duration=2", "a.mkv");
    media.ffmpeg("-f lavfi -i sine=duration=1", "short.wav");
    media.ffmpeg("-f lavfi -i sine=duration=31", "long.mp3");
    media.ffmpeg("-f lavfi -i sine=duration=3", "a.flac");
    media.ffmpeg("-f lavfi -i color=blue:size=2400x256 -frames:v 1", "wide.png");
    let png = media.bytes("first.png");
    let mp4 = media.bytes("clip.mp4");
    let mut bomb = png.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let playlist =
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n".to_vec();
    let svg =
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file:///etc/passwd\"/></svg>".to_vec();
    let mut half_wav = media.bytes("sound.wav");
    half_wav.truncate(2000);

    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("no bytes", "image_url", vec![]),
        ("HTML", "image_url", b"<!doctype html><p>hello".to_vec()),
        ("SVG that reads files", "image_url", svg),
        ("GIF", "image_url", media.bytes("a.gif")),
        ("zeros", "image_url", vec![0; 4096]),
        ("a PNG cut off", "image_url", png[..png.len() / 2].to_vec()),
        ("a PNG's signature alone", "image_url", png[..8].to_vec()),
        ("a PNG of 60,000 × 60,000", "image_url", bomb),
        ("too wide", "image_url", media.bytes("wide.png")),
        ("too small", "image_url", media.bytes("tiny.png")),
        ("a clip as image", "image_url", mp4.clone()),
        ("an image as clip", "video_url", png.clone()),
        ("a playlist as clip", "video_url", playlist),
        (
            "a concat script as clip",
            "video_url",
            b"ffconcat version 1.0\nfile /etc/passwd\n".to_vec(),
        ),
        ("a clip cut off", "video_url", mp4[..mp4.len() / 3].to_vec()),
        ("a clip's head alone", "video_url", mp4[..40].to_vec()),
        ("another container", "video_url", media.bytes("a.mkv")),
        ("too short", "video_url", media.bytes("short.mp4")),
        ("too long", "video_url", media.bytes("long.mp4")),
        ("too narrow", "video_url", media.bytes("narrow.mp4")),
        ("a clip as sound", "audio_url", mp4),
        ("FLAC", "audio_url", media.bytes("a.flac")),
        ("a sound too short", "audio_url", media.bytes("short.wav")),
        ("a sound too long", "audio_url", media.bytes("long.mp3")),
        ("a WAV that promises more than it has", "audio_url", half_wav),
        (
            "noise",
            "audio_url",
            (0..9000u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect(),
        ),
    ];
    for (case, member, bytes) in cases {
        let mut form = Form::new().text("prompt", "a").text("resolution", "720p");
        if member == "video_url" {
            form = form.text("duration", "15");
        }
        let form = form.part(member, Part::bytes(bytes.clone()).file_name("a.bin"));
        let answer = Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
        assert_error(case, &answer, 422, Some(member));
    }
    for (case, url) in [
        ("no base64", "data:image/png;base64,§§§"),
        ("not base64 at all", "data:image/png,hello"),
        ("an empty data URL", "data:image/png;base64,"),
        ("no comma", "data:image/png;base64"),
        ("text", "data:text/html;base64,PGI+"),
    ] {
        let answer = house.post(CREATE, &json!({"image_url": url})).await;
        assert_error(case, &answer, 422, Some("image_url"));
    }
    assert_undisturbed(&house).await;
}

#[tokio::test]
async fn urls_to_places_that_are_not_public() {
    let house = House::start().await;
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://127.0.0.1./",
        "http://0.0.0.0/",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[2002:7f00:1::]/",
        "http://localhost/",
        "http://LOCALHOST:8080/",
        "http://a.localhost/",
        "http://localhost./",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://0251.0376.0251.0376/",
        "http://1.1.1.1@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/a.png",
        "javascript:alert(1)",
        "http://",
        "http:///etc/passwd",
        "https://exa mple.com/",
        "http://example.com\\@127.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
    ] {
        let answer = house.post(CREATE, &json!({"image_url": url})).await;
        assert_error(url, &answer, 422, Some("image_url"));
        let answer = house
            .post(CREATE, &json!({"prompt": "a", "webhook_url": url}))
            .await;
        assert_error(url, &answer, 422, Some("webhook_url"));
    }
    assert_undisturbed(&house).await;
}

/// A picture of a few kilobytes takes hundreds of megabytes to decode: many at once wait for each other.
#[tokio::test]
async fn many_large_pictures_are_measured_a_few_at_a_time() {
    let house = House::start().await;
    let media = Media::make();
    media.ffmpeg("-f lavfi -i color=red:size=5000x5000 -frames:v 1", "large.png");
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let send = async |_| {
        let form = Form::new().part("image_url", media.part("large.png"));
        let path = "/generation/quote/wan/wan-v2.7-video";
        Answer::to(house.request(Method::POST, path).multipart(form)).await
    };
    let answers = futures_util::future::join_all((0..3 * at_once + 2).map(send));
    let mut most = 0;
    let watch = async {
        loop {
            most = most.max(house.children());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answers = tokio::select! {
        answers = answers => answers,
        () = watch => unreachable!("it watches for ever"),
    };
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert!((1..=at_once).contains(&most), "{most} children at once");
    assert_undisturbed(&house).await;
}

#[tokio::test]
async fn names_and_paths() {
    let house = House::start().await;
    let media = Media::make();
    let long = "n".repeat(5000);
    for name in [
        "../../../../etc/passwd",
        "/etc/passwd",
        "..",
        &long,
        "C:\\x.png",
        "ü.png",
        "a\"b.png",
    ] {
        let part = Part::bytes(media.bytes("first.png")).file_name(name.to_owned());
        let form = Form::new()
            .text("duration", "2")
            .text("resolution", "720p")
            .part("image_url", part);
        let answer = Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
        assert_eq!(answer.status, 202, "{name:?}: {}", answer.text);
        let echoed = answer.body["input"]["image_url"].as_str().expect("an echo");
        let shown = echoed.strip_prefix("upload://").expect("an upload");
        assert!(
            !shown.contains(['/', '\\']) && shown.len() <= 255,
            "{name:?} became {shown:?}"
        );
        house
            .post(
                &format!(
                    "/generation/{}/cancel",
                    answer.body["id"].as_str().expect("an id")
                ),
                &json!({}),
            )
            .await;
    }
    for path in [
        "/generation/%2e%2e%2fcredits",
        "/generation/%ff",
        "/generation/gen_%00",
        "/generation/gen_' OR 1=1 --",
        "/generation/ü",
        "/generation/gen_0000000000000000000000000O/events",
    ] {
        assert_eq!(house.get(path).await.status, 404, "{path}");
    }
    for path in [
        "//files/..%2f..%2fetc%2fpasswd/x",
        "//files/a/..%2f..%2fkinora.db?exp=99999999999&sig=AAAA",
    ] {
        assert_eq!(house.get(path).await.status, 403, "{path}");
    }
    let answer = house.get("//files/%ff/x").await;
    assert_error("a path that is not UTF-8", &answer, 404, None);
    assert_undisturbed(&house).await;
}

#[tokio::test]
async fn urls_that_turn_out_bad_fail_the_generation_and_cost_nothing() {
    let address = serve_traps();
    let host = address.to_string();
    let house = House::with(&[("MEDIA__ALLOW_HOSTS", &host), ("MEDIA__FETCH_TIMEOUT_S", "2")]).await;
    let before = house.get("/credits").await.body;
    for (case, path) in [
        ("not found", "404"),
        ("a redirect to loopback", "redirect-inside"),
        ("redirects without end", "redirect-loop"),
        ("a body without end", "endless"),
        ("a body that never comes", "silent"),
        ("no image", "text"),
        ("an answer that is no HTTP", "garbage"),
    ] {
        let body = json!({"image_url": format!("http://{host}/{path}"), "duration": 2, "resolution": "720p"});
        let created = house.post(CREATE, &body).await;
        assert_eq!(created.status, 202, "{case}: {}", created.text);
        let end = house.finished(created.body["id"].as_str().expect("an id")).await;
        assert_eq!(end["status"], "FAILED", "{case}");
        assert_eq!(end["code"], "VIDEO_GENERATION_INVALID_INPUT", "{case}: {end}");
        let message = end["message"].as_str().expect("a message");
        assert!(
            message.contains("image_url") && !message.contains("127.0.0.1"),
            "{case}: {message}"
        );
        assert_eq!(end["usage"]["total"], 0, "{case}");
        assert_eq!(end["data"], Value::Null, "{case}");
    }
    assert_eq!(house.get("/credits").await.body, before);
    assert_undisturbed(&house).await;
}

/// A server of traps on loopback, one answer a path.
fn serve_traps() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let length = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let redirect =
                    |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
                let answer = match path {
                    "/404" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    "/redirect-inside" => redirect("http://127.0.0.1:1/a.png"),
                    "/redirect-loop" => redirect("/redirect-loop"),
                    "/text" => "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 5\r\n\r\nhello"
                        .to_owned(),
                    "/garbage" => "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
                    _ => "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(answer.as_bytes());
                match path {
                    "/endless" => while stream.write_all(&[0; 65536]).is_ok() {},
                    "/silent" => std::thread::sleep(Duration::from_secs(20)),
                    _ => {}
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn slow_and_broken_connections() {
    let house = House::with(&[("SERVER__BODY_TIMEOUT_S", "1"), ("SERVER__HEADER_TIMEOUT_S", "1")]).await;
    let address = house.url.strip_prefix("http://").expect("plain HTTP").to_owned();
    let head = |extra: &str| {
        format!(
            "POST /api/v1{CREATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{extra}\r\n",
            house.key
        )
    };
    let json_head = "Content-Type: application/json\r\n";
    // What is sent, and what the answer may start with; "" is a closed connection.
    let cases = [
        (
            "a body that stalls",
            head(&format!("{json_head}Content-Length: 50\r\n")) + "{\"prompt\"",
            "HTTP/1.1 4",
        ),
        (
            "a head that stalls",
            "POST / HTTP/1.1\r\nHost: x\r\n".to_owned(),
            "",
        ),
        (
            "a chunk of no size",
            head(&format!("{json_head}Transfer-Encoding: chunked\r\n")) + "zz\r\n",
            "HTTP/1.1 4",
        ),
        (
            "two lengths",
            head(&format!("{json_head}Content-Length: 5\r\nContent-Length: 6\r\n")) + "{}   ",
            "HTTP/1.1 400",
        ),
        (
            "a negative length",
            head(&format!("{json_head}Content-Length: -1\r\n")),
            "HTTP/1.1 400",
        ),
        (
            "no HTTP",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
            "HTTP/1.1 400",
        ),
        (
            "a head of 2 MB",
            head(&format!("X: {}\r\n", "x".repeat(2 * MB))),
            "HTTP/1.1 4",
        ),
    ];
    for (case, sent, expected) in cases {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("set");
        let started = Instant::now();
        let _ = stream.write_all(sent.as_bytes());
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{case} took {:?}: {answer}",
            started.elapsed()
        );
        // A server that stops reading a head may reset the connection under its own answer.
        assert!(
            answer.starts_with(expected) || ended.is_err(),
            "{case}: {answer:?}"
        );
    }
    for (name, value) in [
        ("prefer", "wait=99999999999999999999999"),
        ("last-event-id", "-1"),
        ("range", "bytes=99999999999999999999999-"),
        ("accept", "application/xml"),
        ("accept-encoding", "identity"),
        ("connection", "close"),
    ] {
        let answer = Answer::to(house.request(Method::GET, "/credits").header(name, value)).await;
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    assert_undisturbed(&house).await;
}
