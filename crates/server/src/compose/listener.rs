//! One listening socket: connections accepted, bounded, timed, and closed in good order.
//!
//! A loop of our own over hyper, because a client that sends its request's head byte by byte must not keep a
//! connection for ever. What a request means is the router's business.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::http::first_visit::Peer;

/// The longest head of a request, in bytes; also the most that is buffered for a connection.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long answers may still be sent after the listener has closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// How many at once.
    pub(crate) connections_max: usize,
    /// For the head of a request, and between requests.
    pub(crate) header_timeout: Duration,
}

/// Answers requests until `close` is cancelled and the last answers are sent.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    close: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let open = TaskTracker::new();
    loop {
        let next = async {
            // Taken before accepting: who finds no place waits in the kernel's queue.
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            listener
                .accept()
                .await
                .map(|(stream, peer)| (stream, Peer(peer), place))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = close.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let connection = attend(stream, peer, router.clone(), limits.header_timeout, close.clone());
                open.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    open.close();
    if timeout(CLOSE_PATIENCE, open.wait()).await.is_err() {
        tracing::warn!("{} connections were cut off", open.len());
    }
}

/// One connection to its end. What goes wrong on it is the client's business and nobody else's.
async fn attend(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    header_timeout: Duration,
    close: CancellationToken,
) {
    // Answers are small and clients wait for them; a socket that cannot be told so is slower, no more.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => log_end(ended),
        () = close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            log_end(connection.await);
        }
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!("A connection ended early: {error}");
    }
}

/// A connection that is gone before it was accepted is nothing; too many open files pass.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::error!("A connection could not be accepted: {error}");
        sleep(Duration::from_millis(200)).await;
    }
}
