//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;

use listener::{Listener, is_localhost};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::config::Config;
use crate::core::Core;
use crate::domain::address::is_domain_name;
use crate::error::Error;
use crate::{routes, server, sweep};

/// A running backbone. Dropping it stops it too, only without waiting for requests that are under way.
pub struct Backbone {
    pub(crate) core: Arc<Core>,
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Backbone {
    /// Opens the data directory and listens, on loopback at both of its addresses.
    ///
    /// # Errors
    /// [`Error::DataDir`] if another process works on the data directory, [`Error::Listen`] if the address is taken,
    /// [`Error::Config`] for settings that make no sense, and the errors of an unusable data directory.
    pub async fn start(config: Config) -> Result<Self, Error> {
        check(&config)?;
        let listener = Listener::bind(config.listen).await?;
        let local_addr = listener.local_addr().map_err(|source| Error::Listen { address: config.listen, source })?;
        let core = Arc::new(Core::open(config).await?);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let served = routes::served(core.clone());
        tasks.spawn(server::serve(listener, core.clone(), served, stopped.clone()));
        if let Some(interval) = core.config.sweep_interval {
            tasks.spawn(sweep::run(core.clone(), interval, stopped));
        }
        tracing::info!(address = %local_addr, "the backbone serves");
        Ok(Self { core, local_addr, stop, tasks })
    }

    /// The base URL for clients on this machine. Its host is the DID domain where that can work, because clients
    /// recompute addresses with the host name they use.
    #[must_use]
    pub fn url(&self) -> String {
        let port = self.local_addr.port();
        let ip = self.local_addr.ip();
        if is_localhost(ip) && self.core.config.did_domain_name == "localhost" {
            format!("http://localhost:{port}")
        } else {
            format!("http://{}", SocketAddr::new(ip, port))
        }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The operator's functions.
    #[must_use]
    pub fn admin(&self) -> Admin<'_> {
        Admin(self)
    }

    /// Stops: no new connections, requests under way finish, event streams end, everything is on disk, and the data
    /// directory is free again.
    ///
    /// # Errors
    /// [`Error::Store`] if the last writes do not reach the disk.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.core.appending.close();
        self.core.appending.wait().await;
        self.core.store.close().await?;
        tokio::task::spawn_blocking(move || drop(self)).await.expect("closing the store does not panic");
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
