//! Fetching from servers that behave, and from servers that do not.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use kinora_media::fetch::{AllowedHosts, FetchError, FetchPolicy, Fetched, Fetcher};

use crate::media::Folder;

/// Serves every connection with `answer`, which sees the request's path.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1)
                {
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                answer(request.split(' ').nth(1).unwrap_or(""), &mut stream);
            });
        }
    });
    port
}

fn fetch(policy: FetchPolicy, url: &str, max_bytes: u64, into: &Path) -> Result<Fetched, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { Fetcher::new(policy)?.fetch(url, max_bytes, into).await })
}

fn allow(port: u16) -> FetchPolicy {
    FetchPolicy {
        allow_hosts: AllowedHosts::parse([format!("127.0.0.1:{port}"), format!("localhost:{port}")]).unwrap(),
        timeout: Duration::from_secs(3),
        max_redirects: 5,
    }
}

fn body(stream: &mut TcpStream, headers: &str, body: &[u8]) {
    let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n").as_bytes());
    let _ = stream.write_all(body);
}

fn redirect(stream: &mut TcpStream, status: u16, to: &str) {
    let head = format!(
        "HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
}

#[test]
fn servers_good_and_bad() {
    // A second server, which is not on the operator's list: whoever reaches it got past the guard.
    let forbidden = serve(|_, stream| body(stream, "", b"the metadata"));
    let port = serve(move |path, stream| {
        let hops = path
            .strip_prefix("/hops/")
            .and_then(|hops| hops.parse::<u32>().ok());
        match path {
            "/whole" => body(stream, "Content-Length: 5\r\n", b"whole"),
            "/chunked" => body(
                stream,
                "Transfer-Encoding: chunked\r\n",
                b"3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n",
            ),
            "/until_close" => body(stream, "", b"whole"),
            // A gzip stream that would unpack to more; it must stay as it is.
            "/gzip" => body(
                stream,
                "Content-Encoding: gzip\r\nContent-Length: 5\r\n",
                b"\x1F\x8B\x08\0\0",
            ),
            "/short" => body(stream, "Content-Length: 500\r\n", b"short"),
            "/broken_chunks" => body(stream, "Transfer-Encoding: chunked\r\n", b"zz\r\n"),
            "/claims_much" => body(stream, "Content-Length: 99999999999\r\n", b""),
            "/endless" => {
                body(stream, "", b"");
                while stream.write_all(&[0; 65536]).is_ok() {}
            }
            "/slow" => {
                body(stream, "Content-Length: 500\r\n", b"");
                while stream.write_all(b".").is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            }
            "/silent" => thread::sleep(Duration::from_secs(10)),
            "/missing" => drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
            "/not_http" => drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")),
            "/huge_head" => {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
                while stream
                    .write_all(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
                    .is_ok()
                {}
            }
            "/relative" => redirect(stream, 302, "/whole"),
            "/loop" => redirect(stream, 302, "/loop"),
            "/to_loopback" => redirect(stream, 302, &format!("http://127.0.0.1:{forbidden}/")),
            "/to_decimal" => redirect(stream, 307, &format!("http://2130706433:{forbidden}/")),
            "/to_mapped" => redirect(stream, 308, &format!("http://[::ffff:127.0.0.1]:{forbidden}/")),
            "/to_name" => redirect(stream, 301, &format!("http://localhost:{forbidden}/")),
            "/to_metadata" => redirect(stream, 302, "http://169.254.169.254/latest/"),
            "/to_file" => redirect(stream, 302, "file:///etc/passwd"),
            "/to_user" => redirect(stream, 302, "http://user@example.com/"),
            "/nowhere" => drop(stream.write_all(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")),
            _ => match hops {
                Some(0) => redirect(stream, 303, "/whole"),
                Some(hops) => redirect(stream, 302, &format!("/hops/{}", hops - 1)),
                None => panic!("{path}"),
            },
        }
    });
    let whole = Ok("whole");
    let refused = Err("does not point to a public address");
    let cases = [
        ("/whole", whole),
        ("/chunked", whole),
        ("/until_close", whole),
        ("/gzip", Ok("\u{1F}\u{FFFD}\u{8}\0\0")),
        ("/relative", whole),
        ("/hops/4", whole),
        ("/hops/5", Err("redirects more than 5 times")),
        ("/loop", Err("redirects more than 5 times")),
        ("/short", Err("broke off before its end")),
        ("/broken_chunks", Err("broke off before its end")),
        ("/claims_much", Err("has more than 1048576 bytes (1 MB)")),
        ("/endless", Err("has more than 1048576 bytes (1 MB)")),
        ("/slow", Err("could not be fetched within 3 s")),
        ("/silent", Err("could not be fetched within 3 s")),
        ("/missing", Err("answered with status 404")),
        ("/not_http", Err("could not be reached")),
        ("/huge_head", Err("could not be reached")),
        ("/to_loopback", refused),
        ("/to_decimal", refused),
        ("/to_mapped", refused),
        ("/to_name", refused),
        ("/to_metadata", refused),
        ("/to_file", Err("is not an absolute http or https URL")),
        ("/to_user", Err("contains user information")),
        ("/nowhere", Err("is not a valid URL")),
    ];
    for (path, expected) in cases {
        let folder = Folder::new();
        let into = folder.path("fetched");
        let begun = Instant::now();
        let outcome = fetch(
            allow(port),
            &format!("http://127.0.0.1:{port}{path}"),
            1 << 20,
            &into,
        );
        assert!(begun.elapsed() < Duration::from_secs(5), "{path}");
        let found = outcome.map(|fetched| {
            let bytes = std::fs::read(&into).unwrap();
            assert_eq!(fetched.bytes, bytes.len() as u64, "{path}");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{path}");
        assert_eq!(into.exists(), expected.is_ok(), "{path}: the file");
    }
}

#[test]
fn nothing_inside_is_reached_without_permission() {
    let port = serve(|_, stream| body(stream, "", b"inside"));
    let refused = "does not point to a public address";
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.0.0.1.",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::1]",
    ];
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    // A name that the system resolves to an address inside, and one that does not exist, are told apart by nobody.
    let names = [hostname.trim(), "ip6-loopback", "does-not-exist.invalid"];
    for host in hosts.into_iter().chain(names).filter(|host| !host.is_empty()) {
        let folder = Folder::new();
        let policy = FetchPolicy {
            timeout: Duration::from_secs(20),
            ..FetchPolicy::default()
        };
        let error = fetch(
            policy,
            &format!("http://{host}:{port}/"),
            100,
            &folder.path("fetched"),
        )
        .unwrap_err();
        assert_eq!(error.to_string(), refused, "{host}");
    }
}

#[test]
fn the_hash_is_of_the_bytes() {
    let port = serve(|_, stream| body(stream, "Content-Length: 3\r\n", b"abc"));
    let folder = Folder::new();
    let fetched = fetch(
        allow(port),
        &format!("http://localhost:{port}/"),
        3,
        &folder.path("fetched"),
    )
    .unwrap();
    let hex: String = fetched.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
