//! Listens, and keeps strangers from holding on to what they do not use.
//!
//! Connections are limited in number, in total and per source, requests in the time their headers and bodies may take,
//! header blocks in size. The crate `listener` does it; here are the settings.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use listener::admission::Places;
use listener::pace::PaceLimits;
use listener::{ListenError, Listener, RequestBody, Settings};
use runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::config::ApiConfig;
use crate::router::router;

/// What one listener allows.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once. When all are taken, a newcomer takes the place of one that waits for its next request, see
    /// [`listener::admission`]; [`Places::of`] says how the total is shared.
    pub max_connections: usize,
    /// Longest time the header block of a request may take, and a connection may be idle.
    pub header_timeout: Duration,
    /// Longest time a client may take none of what is written to it.
    pub stall_timeout: Duration,
    /// How long request bodies may take.
    pub pace: PaceLimits,
    /// Largest header block in bytes; at least 8 KiB.
    pub max_header_bytes: usize,
    /// How long running requests may take after the server was told to stop.
    pub shutdown_grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            header_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            pace: PaceLimits::default(),
            max_header_bytes: 64 * 1024,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

impl ServerLimits {
    fn settings(&self) -> Settings {
        Settings {
            places: Places::of(self.max_connections),
            head_timeout: self.header_timeout,
            idle_timeout: self.header_timeout,
            stall_timeout: self.stall_timeout,
            max_head_bytes: self.max_header_bytes,
            pace: self.pace,
            grace: self.shutdown_grace,
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
        let socket = Listener::bind(listen).await?;
        let local_addr = socket.local_addr().map_err(|source| ServerError::Listen { address: listen, source })?;
        let (stop, stopped) = watch::channel(false);
        let router = router(runtime, config);
        let answer = move |request: http::Request<RequestBody>| {
            let router: Router = router.clone();
            router.oneshot(request.map(Body::new))
        };
        let task = tokio::spawn(listener::serve(socket, limits.settings(), answer, stopped));
        Ok(Self { local_addr, stop, task: Some(task) })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// `http://<address>`.
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
