//! Listens, and keeps strangers from holding on to what they do not use.
//!
//! Connections are limited in number, requests in the time their headers may take, header blocks in size. A connection
//! that waits for its next request is closed after the same time, one whose client stops reading a little later.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use backbone_mock::connection::{Busy, Impatient, ListenError, Listener};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use runtime::Runtime;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::config::ApiConfig;
use crate::router::router;
use crate::service::Peer;
use crate::unread::WatchedBody;

/// Least that the HTTP library takes for a buffer.
const MIN_BUFFER: usize = 8 * 1024;

/// What one listener allows.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Longest time the header block of a request may take, and a connection may be idle.
    pub header_timeout: Duration,
    /// Longest time a client may take none of what is written to it.
    pub stall_timeout: Duration,
    /// Largest header block in bytes; at least 8 KiB.
    pub max_header_bytes: usize,
    /// How long requests may go on after the server was told to stop.
    pub shutdown_grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            header_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            max_header_bytes: 64 * 1024,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Nothing can listen there.
    #[error("cannot listen on {address}: {source}; choose another address, or port 0 for a free one")]
    Listen {
        /// Where it should have listened, or the other loopback address with the same port.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl From<ListenError> for ServerError {
    fn from(ListenError { address, source }: ListenError) -> Self {
        Self::Listen { address, source }
    }
}

/// A listening REST interface. Dropping it stops it at once; [`Server::shutdown`] lets running requests end.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts listening, on loopback at both of its addresses. Port 0 means a free one; see [`Server::local_addr`].
    ///
    /// # Errors
    /// [`ServerError::Listen`] if the address is taken or not ours.
    pub async fn start(listen: SocketAddr, runtime: Runtime, config: ApiConfig) -> Result<Self, ServerError> {
        Self::start_with_limits(listen, runtime, config, ServerLimits::default()).await
    }

    /// Starts listening with other limits.
    ///
    /// # Errors
    /// [`ServerError::Listen`] if the address is taken or not ours.
    pub async fn start_with_limits(
        listen: SocketAddr,
        runtime: Runtime,
        config: ApiConfig,
        limits: ServerLimits,
    ) -> Result<Self, ServerError> {
        let listener = Listener::bind(listen).await?;
        let local_addr = listener.local_addr().map_err(|source| ServerError::Listen { address: listen, source })?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, router(runtime, config), limits, stopped));
        Ok(Self { local_addr, stop, task: Some(task) })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// `http://<address>`, for people and clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.local_addr)
    }

    /// Accepts nothing more, lets running requests end for a while, then closes what is left.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // The task ends by itself within the grace period; that it panicked is logged where it happened.
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn accept(listener: Listener, router: Router, limits: ServerLimits, mut stopped: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    // Owned here, so that aborting this task closes every connection.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = next(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let connection = graceful.watch(serve(stream, peer, router.clone(), limits));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    // When the grace period is over, dropping the set closes what is left.
    let _ = tokio::time::timeout(limits.shutdown_grace, graceful.shutdown()).await;
}

/// The next connection, once there is room for it. Cancel-safe: a connection not accepted yet stays in the backlog.
async fn next(listener: &Listener, slots: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of descriptors, most likely: trying at once again would only burn time.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServerLimits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // Small answers should not wait for more to send; a socket that refuses the option works all the same.
    let _ = stream.set_nodelay(true);
    let busy = Busy::default();
    let stream = Impatient::new(stream, busy.clone(), limits.header_timeout, limits.stall_timeout);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let (head, body) = request.into_parts();
        let (body, progress) = WatchedBody::new(body);
        let answer = router.clone().oneshot(Request::from_parts(head, Body::new(body)));
        let guard = busy.begin();
        async move {
            let mut answer = answer.await?;
            drop(guard);
            progress.announce_close(&mut answer);
            Ok::<_, Infallible>(answer)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .serve_connection(TokioIo::new(stream), service)
}
