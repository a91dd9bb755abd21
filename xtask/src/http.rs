//! A client for plain HTTP on loopback, just enough for the demo.
//!
//! It speaks HTTP/1.0, where an answer ends with its connection: no chunks, no keep-alive, no dependency that
//! every newcomer would compile. It is no client for any other host.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::failure::{Failure, Outcome};

/// An answer whose body has not been read yet.
pub(crate) struct Answer {
    pub(crate) status: u16,
    length: Option<u64>,
    body: BufReader<TcpStream>,
}

/// One request. `url` starts with `http://`; `key` becomes the bearer token.
pub(crate) fn request(method: &str, url: &str, key: Option<&str>, json: Option<&str>) -> Outcome<Answer> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url} is not a plain HTTP address"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(key) = key {
        head += &format!("Authorization: Bearer {key}\r\n");
    }
    if let Some(json) = json {
        head += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            json.len()
        );
    }
    exchange(host, &format!("{head}\r\n{}", json.unwrap_or_default()))
        .map_err(|source| Failure(format!("{method} {url}: {source}")))
}

impl Answer {
    /// The whole body as text.
    pub(crate) fn text(self) -> Outcome<String> {
        let mut bytes = Vec::new();
        self.copy_to(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| "the answer is not UTF-8".into())
    }

    /// Streams the body; one that ends before its announced length is a failure.
    pub(crate) fn copy_to(mut self, sink: &mut impl Write) -> Outcome<u64> {
        let copied = io::copy(&mut self.body, sink)
            .map_err(|source| format!("the answer's body broke off: {source}"))?;
        match self.length {
            Some(length) if length != copied => {
                Err(format!("the answer broke off after {copied} of {length} bytes").into())
            }
            _ => Ok(copied),
        }
    }
}

fn exchange(host: &str, message: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(message.as_bytes())?;
    read_head(BufReader::new(stream))
}

fn read_head(mut stream: BufReader<TcpStream>) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let status_line = read_line(&mut stream)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| broken("the answer has no status"))?;
    let mut length = None;
    loop {
        let line = read_line(&mut stream)?;
        if line.is_empty() {
            return Ok(Answer {
                status,
                length,
                body: stream,
            });
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| broken("a header line has no colon"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(
                value
                    .trim()
                    .parse()
                    .map_err(|_| broken("the content length is no number"))?,
            );
        }
    }
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    // A head line longer than this is no answer of ours.
    stream.by_ref().take(16 * 1024).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::request;

    /// Answers one request with `raw`, and returns what the client made of it.
    fn check(raw: &'static str, expected: Result<(u16, &str), &str>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/path", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = [0; 1024];
            let read = stream.read(&mut seen).unwrap();
            stream.write_all(raw.as_bytes()).unwrap();
            String::from_utf8_lossy(&seen[..read]).into_owned()
        });
        let answer = request("POST", &url, Some("secret"), Some("{}"));
        let got = answer.and_then(|answer| Ok((answer.status, answer.text()?)));
        match (got, expected) {
            (Ok((status, body)), Ok(expected)) => assert_eq!((status, body.as_str()), expected),
            (Err(failure), Err(part)) => assert!(failure.0.contains(part), "{}", failure.0),
            (got, expected) => panic!("{raw:?}: got {got:?}, expected {expected:?}"),
        }
        let sent = server.join().unwrap();
        assert!(sent.starts_with("POST /path HTTP/1.0\r\n"), "{sent}");
        assert!(sent.contains("Authorization: Bearer secret\r\n"), "{sent}");
        assert!(sent.ends_with("\r\n\r\n{}"), "{sent}");
    }

    #[test]
    fn answers() {
        check("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", Ok((200, "hi")));
        check(
            "HTTP/1.1 404 Not Found\r\n\r\nuntil the end",
            Ok((404, "until the end")),
        );
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhi",
            Err("broke off after 2 of 9"),
        );
        check("HTTP/1.0 200 OK\r\nContent-Le", Err("end of file"));
        check("nonsense\r\n\r\n", Err("no status"));
        check("HTTP/1.0 200 OK\r\nnonsense\r\n\r\n", Err("no colon"));
    }
}
