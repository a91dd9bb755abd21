//! How a server of S3, or the way to it, can fail.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
};
use s3s::{Body, HttpResponse, service::S3Service};

/// What happens to a request instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An answer with this status, at once.
    Status(u16),
    /// The connection is cut after so many bytes of the request's body.
    CutRequest(usize),
    /// What is asked for is done, but the connection is cut before the answer.
    LostAnswer,
    /// The connection is cut after so many bytes of the answer's body.
    CutAnswer(usize),
    /// A bit of the answer's body is wrong.
    WrongBytes,
    /// The answer comes late.
    Slow(Duration),
}

/// Which requests a fault strikes, and how often.
#[derive(Debug, Clone)]
pub struct Rule {
    /// How the method and path of a request begin, as `PUT /kinora/blobs/`.
    begins: String,
    /// What else is in that line.
    has: String,
    skipped: u32,
    times: u32,
    fault: Fault,
}

/// A connection that is cut.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut off")
    }
}

impl Error for Cut {}

impl Rule {
    /// Strikes the next request that begins like this.
    pub fn once(begins: &str, fault: Fault) -> Rule {
        Rule::times(1, begins, fault)
    }

    /// Strikes the next so many requests that begin like this.
    pub fn times(times: u32, begins: &str, fault: Fault) -> Rule {
        Rule {
            begins: begins.to_owned(),
            has: String::new(),
            skipped: 0,
            times,
            fault,
        }
    }

    /// Only those that have this in their line, too.
    pub fn with(mut self, has: &str) -> Rule {
        self.has = has.to_owned();
        self
    }

    /// Lets so many pass first.
    pub fn after(mut self, skipped: u32) -> Rule {
        self.skipped = skipped;
        self
    }

    pub(crate) fn is_over(&self) -> bool {
        self.times == 0
    }

    pub(crate) fn strikes(&mut self, line: &str) -> Option<Fault> {
        if self.is_over() || !line.starts_with(&self.begins) || !line.contains(&self.has) {
            return None;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.fault)
    }
}

pub(crate) async fn answer(
    service: &S3Service,
    request: Request<Incoming>,
    fault: Option<Fault>,
) -> Result<HttpResponse, Cut> {
    match fault {
        Some(Fault::Status(status)) => {
            let body = "<?xml version=\"1.0\"?><Error><Code>Told</Code><Message>It was told to fail.</Message></Error>";
            let response = Response::builder().status(status);
            return Ok(response.body(body.to_owned().into()).expect("a status"));
        }
        Some(Fault::CutRequest(bytes)) => {
            let mut body = request.into_body();
            let mut taken = 0;
            while let Some(Ok(frame)) = body.frame().await {
                taken += frame.data_ref().map_or(0, Bytes::len);
                if taken >= bytes {
                    break;
                }
            }
            return Err(Cut);
        }
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::LostAnswer | Fault::CutAnswer(_) | Fault::WrongBytes) | None => {}
    }
    let mut response = service.call(request.map(Body::from)).await.map_err(|_| Cut)?;
    match fault {
        Some(Fault::LostAnswer) => {
            // An answer may do its work only while it is read.
            let _ = response.into_body().collect().await;
            Err(Cut)
        }
        Some(Fault::CutAnswer(bytes)) => {
            let whole = collected(response.body_mut()).await?;
            let first = whole.slice(..bytes.min(whole.len()));
            let frames = [Ok(Frame::data(first)), Err(std::io::Error::other("cut off"))];
            Ok(response.map(|_| Body::http_body_unsync(StreamBody::new(futures_util::stream::iter(frames)))))
        }
        Some(Fault::WrongBytes) => {
            let mut whole = collected(response.body_mut()).await?.to_vec();
            if let Some(byte) = whole.last_mut() {
                *byte ^= 1;
            }
            Ok(response.map(|_| Body::from(Bytes::from(whole))))
        }
        Some(Fault::Status(_) | Fault::CutRequest(_) | Fault::Slow(_)) | None => Ok(response),
    }
}

async fn collected(body: &mut Body) -> Result<Bytes, Cut> {
    let taken = std::mem::replace(body, Body::empty());
    Ok(taken.collect().await.map_err(|_| Cut)?.to_bytes())
}
