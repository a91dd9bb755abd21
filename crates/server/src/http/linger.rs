//! Hears a refused request out, within bounds.
//!
//! A server that answers a large upload early and closes the connection makes most clients see a broken pipe instead
//! of the answer. So what is still coming is read and thrown away first: not for long, and not for ever. A client that
//! asked whether it should send at all (`Expect: 100-continue`) and was not told to is answered at once.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use futures_util::future::poll_fn;
use hyper::body::{Frame, SizeHint};

/// The most that is thrown away.
const BYTES_MAX: u64 = 256 << 20;
/// The longest that is spent on it.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest silence: who has stopped sending is not interrupted by the answer.
const SILENCE: Duration = Duration::from_secs(1);

/// Lets the request through; reads the rest of its body if the answer is a refusal.
pub async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let asked_first = parts.headers.contains_key(header::EXPECT);
    let shared = Shared(Arc::new(Mutex::new(Inner { body, touched: false })));
    let response = next
        .run(Request::from_parts(parts, Body::new(shared.clone())))
        .await;
    if response.status().is_client_error() && (shared.touched() || !asked_first) {
        // Whether it ends, fails or takes too long: the answer is the same.
        let _ = tokio::time::timeout(LONGEST, shared.throw_away()).await;
    }
    response
}

/// A body that two can read: the handler, and whoever hears out what it left.
#[derive(Clone)]
struct Shared(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    touched: bool,
}

impl Shared {
    fn touched(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).touched
    }

    async fn throw_away(&self) {
        let mut thrown = 0;
        while thrown < BYTES_MAX {
            let frame = poll_fn(|context| Pin::new(&mut self.clone()).poll_frame(context));
            match tokio::time::timeout(SILENCE, frame).await {
                Ok(Some(Ok(frame))) => thrown += frame.data_ref().map_or(0, |data| data.len() as u64),
                Ok(Some(Err(_)) | None) | Err(_) => return,
            }
        }
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.touched = true;
        Pin::new(&mut inner.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .body
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .body
            .size_hint()
    }
}
