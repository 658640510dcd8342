//! Starting and stopping a backbone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use listener::{Listener, Server, is_localhost};
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::config::Config;
use crate::core::Core;
use crate::domain::counting;
use crate::domain::proof::is_domain_name;
use crate::error::Error;
use crate::peers::PeerServer;
use crate::{metrics, routes, server, sweep};

/// How long a shutdown waits for bytes of uploads that still go to the disk.
const MAX_APPENDING: Duration = Duration::from_secs(10);

/// A running backbone. Dropping it stops it without waiting for requests in progress.
pub struct Backbone {
    pub(crate) core: Arc<Core>,
    server: Server,
    metrics: Option<Server>,
    /// What ends with the server.
    tasks: JoinSet<()>,
}

impl Backbone {
    /// Opens the data directory and listens, on loopback on both addresses.
    ///
    /// # Errors
    /// [`Error::DataDir`] if another process works on the data directory, [`Error::Listen`] and [`Error::PeerListen`] if an address
    /// is taken, [`Error::Config`] for invalid settings, and the errors of an unusable data directory.
    pub async fn start(config: Config) -> Result<Self, Error> {
        check(&config)?;
        let listener = Listener::bind(config.listen).await?;
        let mut core = Core::open(config).await?;
        counting::count_uncounted(&core).await?;
        core.serve_peers().await?;
        let core = Arc::new(core);
        let metrics = match core.config.metrics_listen {
            Some(address) => Some(metrics::start(address, core.clone()).await?),
            None => None,
        };
        let server = server::start(listener, core.clone(), routes::served(core.clone()));
        let mut tasks = JoinSet::new();
        if let Some(interval) = core.config.sweep_interval {
            tasks.spawn(sweep::run(core.clone(), interval, server.stopping()));
        }
        tracing::info!(address = %server.local_addr(), "the backbone listens");
        Ok(Self { core, server, metrics, tasks })
    }

    /// The base URL for clients on this machine. Its host is the DID domain if that is `localhost`, because clients recompute
    /// addresses with the host name they use.
    #[must_use]
    pub fn url(&self) -> String {
        let address = self.local_addr();
        if is_localhost(address.ip()) && self.core.config.did_domain_name == "localhost" {
            format!("http://localhost:{}", address.port())
        } else {
            self.server.url()
        }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The address at which metrics are read, if the settings ask for one.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Server::local_addr)
    }

    /// The relay and the rendezvous server, as clients are told; `None` if the settings ask for neither.
    #[must_use]
    pub fn peer_services(&self) -> Option<transport::wire::backbone::peer_services::PeerServices> {
        self.core.peers.as_ref().map(PeerServer::description)
    }

    /// The operator's functions.
    #[must_use]
    pub fn admin(&self) -> Admin<'_> {
        Admin(&self.core)
    }

    /// Stops the backbone: it accepts no new connections, finishes requests in progress, ends event streams, and closes the
    /// store and the data directory.
    ///
    /// # Errors
    /// [`Error::Store`] if the last writes do not reach the disk.
    pub async fn shutdown(self) -> Result<(), Error> {
        let Self { core, server, metrics, mut tasks } = self;
        server.stop();
        // Copies of uploads may take longer than a shutdown.
        core.appending.close();
        // Event streams are requests that never finish by themselves.
        core.event_streams.close();
        // So may those who follow an upload.
        core.followers.close();
        server.shutdown().await;
        if let Some(metrics) = metrics {
            metrics.shutdown().await;
        }
        if let Some(peers) = &core.peers {
            peers.stop().await;
        }
        while tasks.join_next().await.is_some() {}
        if tokio::time::timeout(MAX_APPENDING, core.appending.wait()).await.is_err() {
            tracing::warn!("uploads are still written; what they do not acknowledge is lost");
        }
        core.store.close().await?;
        tokio::task::spawn_blocking(move || drop(core)).await.expect("closing the store does not panic");
        Ok(())
    }
}

fn check(config: &Config) -> Result<(), Error> {
    let refuse = |setting, problem: &str| Err(Error::Config { setting, problem: problem.to_owned() });
    let domain = &config.did_domain_name;
    if !is_domain_name(domain) && domain.parse::<std::net::IpAddr>().is_err() {
        return refuse("did_domain_name", "must be a host name of 3 to 45 characters, without scheme and port");
    }
    if config.clients.iter().any(|client| client.id.is_empty() || client.id.contains('\0')) {
        return refuse("clients", "an OAuth client needs an id");
    }
    if config.limits.max_connections == 0 {
        return refuse("limits.max_connections", "must be at least 1");
    }
    Ok(())
}
