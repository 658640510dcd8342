//! Listens, and keeps strangers from holding on to what they do not use.
//!
//! Connections are limited in number, in total and per source, requests in the time their headers and bodies may take,
//! header blocks in size. The crate `listener` does it.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use listener::{Limits, ListenError, Listener, RequestBody};
use runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::config::ApiConfig;
use crate::router::router_until;

/// A listening REST interface. Dropping it stops it at once; [`Server::shutdown`] lets running requests end.
#[derive(Debug)]
pub struct Server {
    server: listener::Server,
    /// Ends answers that would go on as long as their clients want.
    stopping: CancellationToken,
}

impl Server {
    /// Starts listening, on loopback at both of its addresses. Port 0 means a free one; see [`Server::local_addr`].
    ///
    /// # Errors
    /// [`ListenError`] if the address is taken or not ours.
    pub async fn start(listen: SocketAddr, runtime: Runtime, config: ApiConfig) -> Result<Self, ListenError> {
        Self::start_with_limits(listen, runtime, config, Limits::default()).await
    }

    /// Starts listening with other limits.
    ///
    /// # Errors
    /// [`ListenError`] if the address is taken or not ours.
    pub async fn start_with_limits(
        listen: SocketAddr,
        runtime: Runtime,
        config: ApiConfig,
        limits: Limits,
    ) -> Result<Self, ListenError> {
        let socket = Listener::bind(listen).await?;
        let stopping = CancellationToken::new();
        let router = router_until(runtime, config, stopping.clone());
        let answer = move |request: http::Request<RequestBody>| {
            let router: Router = router.clone();
            router.oneshot(request.map(Body::new))
        };
        Ok(Self { server: listener::Server::start(socket, limits, answer), stopping })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// `http://<address>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Accepts nothing more, lets running requests end for a while, then closes what is left.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.server.shutdown().await;
    }
}
