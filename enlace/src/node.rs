//! A node in this process: settings in, a running [`Runtime`] out, with an embedded backbone if none is configured.

mod plan;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use backbone_mock::{Backbone, Limits};
use runtime::{BackboneConfig, Config, ConfigError, Error, Runtime};

pub(crate) use plan::{Plan, WhichBackbone, configuration};

use crate::client::{self, Client, GUEST_ID};
use crate::code::Kind;
use crate::config::Settings;
use crate::data_dir::{DataDir, Held};
use crate::failure::Failure;
use crate::home::Home;
use crate::limits::BackboneLimits;
use crate::listen_address;
use crate::memory::{self, Memory};
use crate::port::{self, BackboneNames};

/// Where the embedded backbone keeps its data, in the data directory.
const BACKBONE_DIR: &str = "backbone";

const NAMES: BackboneNames = BackboneNames {
    backbone: "embedded backbone",
    listen: "--backbone-listen",
    metrics_listen: "--metrics-listen",
    peer_listen: "enlace.backbone.peerListen",
    peer_announce: "enlace.backbone.peerAnnounce",
};

/// A running node.
pub(crate) struct Node {
    /// Its facades.
    pub(crate) runtime: Runtime,
    /// Its backbone.
    pub(crate) backbone_url: String,
    /// The embedded one.
    pub(crate) backbone: Option<Backbone>,
    /// What others may do there.
    pub(crate) limits: BackboneLimits,
    held: Held,
}

impl Node {
    /// Holds the data directory, starts the embedded backbone if there is no other, and starts the node.
    ///
    /// # Errors
    /// A failure that names the next step; everything that was started is stopped again.
    pub(crate) async fn start(plan: Plan) -> Result<Self, Failure> {
        let held = plan.dir.hold()?;
        Self::start_in(held, plan).await
    }

    /// The same in a data directory that is held already.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub(crate) async fn start_in(held: Held, plan: Plan) -> Result<Self, Failure> {
        plan.check_encryption()?;
        plan.is_first_start()?;
        let home = Home::of_held(&held, &plan.settings.store_key)?;
        plan.stays_at(home.as_ref())?;
        let mut memory = Memory::recall(&plan.dir)?;
        let client = plan.client()?;
        let backbone = match &plan.backbone {
            WhichBackbone::At(_) => None,
            WhichBackbone::Embedded { listen, guests } => {
                Some(start_backbone(&plan, *listen, *guests, &client, &mut memory).await?)
            }
        };
        let backbone_url = match (&backbone, &plan.backbone) {
            (None, WhichBackbone::At(url)) => url.clone(),
            (Some(backbone), _) => backbone.url(),
            (None, WhichBackbone::Embedded { .. }) => unreachable!("an embedded backbone was just started"),
        };
        let is_begun = home.is_none();
        if is_begun {
            let home = backbone.as_ref().map(|backbone| Home::Embedded(backbone.local_addr().port()));
            home.unwrap_or_else(|| Home::At(backbone_url.clone())).begin(&plan.dir)?;
        }
        // The socket, not the name: other processes may listen on other addresses of that name.
        let backbone_address = backbone.as_ref().map(|backbone| backbone.local_addr().ip());
        let config = runtime_config(&plan, &memory, &backbone_url, backbone_address, &client);
        match start_runtime(&plan, &held, config).await {
            Ok(runtime) => {
                let limits = plan.settings.backbone_limits.clone();
                let node = Self { runtime, backbone_url, backbone, limits, held };
                if let Err(failure) = remember(&plan, home.as_ref(), memory, &client, &node.runtime).await {
                    if let Err(error) = node.stop().await {
                        tracing::error!(%error, "the node did not stop cleanly");
                    }
                    return Err(failure);
                }
                Ok(node)
            }
            Err(failure) => {
                // If no identity was created, another backbone may be asked next time; the next start looks again.
                if is_begun && let Err(error) = Home::of_held(&held, &plan.settings.store_key) {
                    tracing::warn!(%error, "whether an identity was created is not known");
                }
                stop_backbone(backbone).await;
                Err(failure)
            }
        }
    }

    /// The data directory.
    pub(crate) fn dir(&self) -> &DataDir {
        self.held.dir()
    }

    /// How far in the future new tokens and files may expire, if the backbone says so in time. An embedded backbone does not
    /// limit its owner.
    pub(crate) async fn max_lifetime(&self) -> Option<Duration> {
        if self.backbone.is_some() {
            return None;
        }
        self.runtime.account().max_lifetime().await
    }

    /// Stops the node, then its backbone, then lets go of the data directory.
    ///
    /// # Errors
    /// A failure if the last flush of the store failed.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let result = self.runtime.shutdown().await.map_err(Failure::from);
        stop_backbone(self.backbone).await;
        drop(self.held);
        result
    }
}

impl Plan {
    /// Whether nothing was started in the data directory before. The caller holds it.
    ///
    /// # Errors
    /// A failure that names what to restore if something is missing that was there: nothing is made in its place.
    pub(crate) fn is_first_start(&self) -> Result<bool, Failure> {
        let is_first = Runtime::is_first_start(self.dir.path(), &self.settings.store_key, &self.written_after_start())?;
        let backbone = self.dir.join(BACKBONE_DIR);
        if matches!(self.backbone, WhichBackbone::Embedded { .. })
            && Memory::recall(&self.dir)?.lives_at_embedded_backbone()
            && !self.has_embedded_backbone()
        {
            let evidence = self.dir.join(memory::FILE);
            return Err(durable::Error::StoreLost { store: backbone, evidence }.into());
        }
        Ok(is_first)
    }

    /// Whether there are records of an embedded backbone.
    fn has_embedded_backbone(&self) -> bool {
        std::fs::read_dir(self.dir.join(BACKBONE_DIR)).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Files that are there only if a start succeeded: the store was on disk before them. The API key is not one of them,
    /// people may put it there beforehand.
    fn written_after_start(&self) -> Vec<PathBuf> {
        [memory::FILE, client::FILE].map(|name| self.dir.join(name)).into()
    }
}

async fn stop_backbone(backbone: Option<Backbone>) {
    if let Some(backbone) = backbone
        && let Err(error) = backbone.shutdown().await
    {
        tracing::error!(error = %crate::wording::with_sources(&error), "the embedded backbone did not stop cleanly");
    }
}

async fn start_backbone(
    plan: &Plan,
    asked: Option<SocketAddr>,
    guests: bool,
    client: &Client,
    memory: &mut Memory,
) -> Result<Backbone, Failure> {
    let asked = embedded_address(asked)?;
    let mut result = Err(Failure::general("no address to listen on"));
    for listen in port::candidates(asked, memory.backbone_port, port::BACKBONE) {
        result =
            Backbone::start(backbone_config(plan, listen, guests, client)).await.map_err(|error| NAMES.failure(error));
        if !result.as_ref().is_err_and(|failure| failure.kind == Kind::Network) {
            break;
        }
    }
    let backbone = result?;
    memory.backbone_port = Some(backbone.local_addr().port());
    Ok(backbone)
}

/// The address that was asked for the embedded backbone.
///
/// # Errors
/// A failure if it is not a loopback address: references name it `localhost`, which stands for these two and no other.
pub(crate) fn embedded_address(asked: Option<SocketAddr>) -> Result<Option<SocketAddr>, Failure> {
    if asked.is_some_and(|address| !listener::is_localhost(address.ip())) {
        return Err(Failure::usage("the embedded backbone listens on this machine only, at 127.0.0.1 or [::1]")
            .hint("run `enlace backbone --listen ADDR …` for other machines, and give its URL with --backbone URL"));
    }
    Ok(asked)
}

fn backbone_config(plan: &Plan, listen: SocketAddr, guests: bool, client: &Client) -> backbone_mock::Config {
    let mut config = backbone_mock::Config::new(plan.dir.join(BACKBONE_DIR));
    config.listen = listen;
    config.limits = Limits::for_files_of(plan.settings.max_file_size);
    let limits = &plan.settings.backbone_limits;
    limits.apply(&mut config.limits);
    let peers = &plan.settings.backbone_peers;
    config.peers = (!peers.listen.is_empty()).then(|| limits.peer_services(peers));
    config.clients.push(limits.client(&client.id, client.secret.expose()));
    if guests && client.id != GUEST_ID {
        config.clients.push(limits.guest());
    }
    config
}

async fn start_runtime(plan: &Plan, held: &Held, config: Config) -> Result<Runtime, Failure> {
    let builder = Runtime::builder(config).lock(held.lock());
    builder.written_after_start(plan.written_after_start()).start().await.map_err(|error| {
        if let Error::Config(ConfigError::PeerListen { address, reason }) = &error {
            return Failure::new(Kind::Network, format!("cannot listen on {address} for peers: {reason}"))
                .hint("stop the other program, or choose another port with --peer-listen (0 picks a free port)");
        }
        let failure = Failure::from(error);
        match (failure.kind, &plan.backbone) {
            (Kind::Network, WhichBackbone::At(url)) if failure.hint.is_none() => {
                failure.hint(format!("is there a backbone at {url}?"))
            }
            _ => failure,
        }
    })
}

fn runtime_config(
    plan: &Plan,
    memory: &Memory,
    backbone_url: &str,
    backbone_address: Option<IpAddr>,
    client: &Client,
) -> Config {
    let settings: &Settings = &plan.settings;
    let mut backbone = BackboneConfig::new(backbone_url, &client.id, client.secret.clone());
    backbone.address_hostname.clone_from(&settings.address_hostname);
    backbone.host_address = backbone_address;
    backbone.timeout = settings.timeout;
    backbone.max_redirects = settings.max_redirects;
    backbone.allow_plain_http = settings.allow_plain_http;
    backbone.max_token_content = settings.max_token_content;
    let mut config = Config::new(plan.dir.path(), backbone);
    config.store_key = settings.store_key.clone();
    config.allow_identity_creation = settings.allow_identity_creation;
    config.max_file_size = settings.max_file_size;
    config.max_received_file_size = settings.max_received_file_size;
    config.datawallet_enabled = settings.datawallet_enabled;
    config.content_store = settings.content_store;
    config.storage = settings.storage;
    config.token_interval = settings.token_interval;
    if let Some(appwrite) = &settings.appwrite {
        config.storage.token_retention = appwrite.token_retention;
        config.storage.access_granularity = appwrite.access_granularity;
        config.storage.max_total = appwrite.max_total;
    }
    config.peers = settings.peers.as_ref().map(|peers| peers.config(&memory.peer_ports));
    config
}

/// Keeps what the next start needs, now that this one is known to work.
async fn remember(
    plan: &Plan,
    home: Option<&Home>,
    mut memory: Memory,
    client: &Client,
    runtime: &Runtime,
) -> Result<(), Failure> {
    // A backbone that does not know the identity is not its home, and what works there stays remembered.
    if (plan.is_leaving() || home == Some(&Home::Unknown)) && !runtime.account().health().await.backbone_authentication
    {
        return Ok(());
    }
    memory.backbone_url = match &plan.backbone {
        WhichBackbone::At(url) => Some(url.clone()),
        WhichBackbone::Embedded { .. } => None,
    };
    if let Some(connectivity) = runtime.peers().connectivity() {
        memory.peer_ports.extend(listen_address::ports(&connectivity.listen));
    }
    client.keep(&plan.dir)?;
    if memory != Memory::recall(&plan.dir)? {
        memory.keep(&plan.dir)?;
    }
    Home::settle(&plan.dir);
    Ok(())
}
