//! What a start is going to do: options, configuration and memory brought together, before anything is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use runtime::{Runtime, leads_to_this_machine};
use serde_json::Value;

use crate::args::{Global, NodeOptions, PeerOptions, ServerOptions};
use crate::client::{Client, GUEST_ID};
use crate::code::Kind;
use crate::config::{Configuration, Layer, Origin, Settings};
use crate::confirm;
use crate::data_dir::{DataDir, Purpose, default_data_dir};
use crate::failure::Failure;
use crate::home::{Home, same};
use crate::memory::Memory;
use crate::output::Output;

/// Which backbone a node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WhichBackbone {
    /// One in this process.
    Embedded {
        /// The address asked for, if any.
        listen: Option<SocketAddr>,
        /// Whether guests may create identities.
        guests: bool,
    },
    /// One elsewhere.
    At(String),
}

/// Everything a node needs to start.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Settings from all sources.
    pub(crate) settings: Settings,
    /// The configuration file among them.
    pub(crate) configuration_file: Option<PathBuf>,
    /// The data directory.
    pub(crate) dir: DataDir,
    /// Which backbone.
    pub(crate) backbone: WhichBackbone,
    /// Whether the settings of this start name that backbone. If not, it is remembered, or somebody's reference names it,
    /// and the settings' OAuth client is not meant for it.
    pub(crate) backbone_is_configured: bool,
    /// The backbone that the identity may leave for this one.
    leaves: Option<Home>,
}

impl Plan {
    /// From a configuration, for a purpose that decides on the default data directory. `change_backbone` is the consent to
    /// send the identity's login to another backbone than that of its creation; without it a person at a terminal is asked.
    ///
    /// # Errors
    /// A failure if the data directory cannot be used, and one that names both backbones without that consent.
    pub(crate) fn new(configuration: Configuration, purpose: Purpose, change_backbone: bool) -> Result<Self, Failure> {
        let mut plan = Self::without_consent(configuration, purpose)?;
        let home = home(&plan.dir, &plan.settings)?;
        if let Err(refusal) = plan.stays_at(home.as_ref()) {
            let asked = || match (&plan.backbone, &home) {
                (WhichBackbone::At(url), Some(home)) => confirm::confirmed(&home.question(&plan.dir, url)),
                // Nobody has a reason to say yes, except after a wrong yes to another backbone.
                _ => false,
            };
            if !change_backbone && !asked() {
                return Err(refusal);
            }
            plan.leaves = home;
        }
        Ok(plan)
    }

    /// The same for whoever only looks: nobody is asked, and the plan does not start while [`Plan::stays_at`] refuses it.
    ///
    /// # Errors
    /// A failure if the data directory cannot be used.
    pub(crate) fn without_consent(configuration: Configuration, purpose: Purpose) -> Result<Self, Failure> {
        let settings = configuration.settings;
        let path = match &settings.data_dir {
            Some(path) => path.clone(),
            None => default_data_dir(purpose)?,
        };
        let dir = DataDir::open(path)?;
        let home = home(&dir, &settings)?;
        let backbone = WhichBackbone::choose(&settings, home.as_ref());
        Ok(Self {
            backbone_is_configured: settings.backbone_url.is_some(),
            settings,
            configuration_file: configuration.file,
            dir,
            backbone,
            leaves: None,
        })
    }

    /// Refuses a backbone that is not that of the identity, as far as that is known.
    ///
    /// # Errors
    /// A failure that names both backbones, or a file that cannot be read.
    pub(crate) fn check_backbone(&self) -> Result<(), Failure> {
        self.stays_at(home(&self.dir, &self.settings)?.as_ref())
    }

    /// Whether the identity stays at its backbone, or may leave it.
    ///
    /// # Errors
    /// A failure that names both backbones.
    pub(crate) fn stays_at(&self, home: Option<&Home>) -> Result<(), Failure> {
        match (&self.backbone, home) {
            (_, home) if home == self.leaves.as_ref() => Ok(()),
            (WhichBackbone::At(url), Some(home)) if !home.is(url) => Err(home.refusal(&self.dir, url)),
            (WhichBackbone::Embedded { .. }, Some(home @ Home::At(_))) => Err(no_embedded_backbone(&self.dir, home)),
            // With records of an embedded backbone it belongs to that one, unless that one does not know it.
            (WhichBackbone::Embedded { .. }, Some(home @ Home::Unknown)) if !self.has_embedded_backbone() => {
                Err(no_embedded_backbone(&self.dir, home))
            }
            _ => Ok(()),
        }
    }

    /// Refuses http to another machine, unless that is allowed.
    ///
    /// # Errors
    /// A failure that names the option.
    pub(crate) fn check_encryption(&self) -> Result<(), Failure> {
        match &self.backbone {
            WhichBackbone::At(url)
                if url.starts_with("http://") && !self.settings.allow_plain_http && !leads_to_this_machine(url) =>
            {
                Err(Failure::usage(format!("{url} is plain http, which does not encrypt the login"))
                    .hint("use https, or add --allow-plain-http if you trust the network"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the identity leaves the backbone of its creation.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaves.is_some()
    }

    /// As whom to log in: what is configured for this backbone, else what the last start used, else a client of our own at
    /// an embedded backbone and the guest elsewhere.
    ///
    /// # Errors
    /// A failure if the remembered client cannot be read.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let is_embedded = matches!(self.backbone, WhichBackbone::Embedded { .. });
        if is_embedded && self.configured_client().is_some_and(|client| client.id == GUEST_ID) {
            return Err(Failure::usage(format!(
                "{GUEST_ID} is the public client, and cannot be its owner's at an embedded backbone"
            ))
            .hint("leave out the OAuth client; an embedded backbone gets one of its own"));
        }
        if let Some(client) = self.configured_client()
            && (is_embedded || self.backbone_is_configured)
        {
            return Ok(client);
        }
        // The owner's client of an embedded backbone is valid only there, and the public one is no secret.
        let leaves_embedded = matches!(self.leaves, Some(Home::Embedded(_)));
        let is_of_here = |client: &Client| match is_embedded {
            true => !self.is_leaving() && client.id != GUEST_ID,
            false => !leaves_embedded,
        };
        match Client::recall(&self.dir)?.filter(is_of_here) {
            Some(client) => Ok(client),
            None if is_embedded => Client::generate(),
            None => Ok(Client::guest()),
        }
    }

    /// Warns if an OAuth client is configured that this backbone does not get.
    ///
    /// # Errors
    /// As [`Plan::client`].
    pub(crate) fn warn_of_unused_client(&self, output: Output) -> Result<(), Failure> {
        let (WhichBackbone::At(url), Some(configured)) = (&self.backbone, self.configured_client()) else {
            return Ok(());
        };
        let used = self.client()?;
        if used != configured {
            let instead = match used == Client::guest() {
                true => "the public client enlace-guest is used",
                false => "that of the last start is used",
            };
            let message =
                format!("the configured OAuth client is not sent to {url}, because no setting names it; {instead}");
            output.warning(&message, &format!("if the client is for that backbone, add --backbone {url}"));
        }
        Ok(())
    }

    fn configured_client(&self) -> Option<Client> {
        self.settings.client.as_ref().map(|(id, secret)| Client { id: id.clone(), secret: secret.clone() })
    }
}

impl WhichBackbone {
    /// The one that is configured, else the one of the identity, else an embedded one.
    fn choose(settings: &Settings, home: Option<&Home>) -> Self {
        let embedded = Self::Embedded { listen: settings.backbone_listen, guests: settings.backbone_guests };
        match (&settings.backbone_url, home) {
            // As it was spelt at first: references carry it.
            (Some(url), Some(Home::At(home))) if same(url, home) => Self::At(home.clone()),
            // Its own one is started, not asked: another process that has its port meanwhile would get the login.
            (Some(url), Some(home @ Home::Embedded(_))) if home.is(url) => embedded,
            (Some(url), _) => Self::At(url.clone()),
            // The identity was created there; an embedded backbone does not know it.
            (None, Some(Home::At(url))) if settings.backbone_listen.is_none() => Self::At(url.clone()),
            (None, _) => embedded,
        }
    }
}

/// The backbone of the identity. A store has to be opened to tell that only if a first start ended early, or `start.json` is missing;
/// while another process holds the directory, its files have to do.
fn home(dir: &DataDir, settings: &Settings) -> Result<Option<Home>, Failure> {
    let known = Home::of(dir)?;
    let is_used = || Runtime::is_first_start(dir.path(), &settings.store_key, &[]).is_ok_and(|is_first| !is_first);
    if Memory::recall(dir)?.home().is_some() || (known.is_none() && !is_used()) {
        return Ok(known);
    }
    match dir.try_hold() {
        Ok(Ok(held)) => Home::of_held(&held, &settings.store_key).or(Ok(known)),
        _ => Ok(known),
    }
}

fn no_embedded_backbone(dir: &DataDir, home: &Home) -> Failure {
    let (home, dir) = (home.sentence(dir), dir.path().display());
    Failure::new(Kind::Refused, format!("an embedded backbone does not know the identity in {dir}: {home}"))
    .hint(
        "restore start.json from a backup if it is missing; else leave out --backbone-listen, or use another directory with --data-dir DIR; if the identity was created at the \
         embedded backbone and left it by mistake, add --change-backbone",
    )
}

/// Merges options, `--a:b=c` settings, environment and the file that one of the first two names. No other file is read: one
/// in the working directory may be from anyone.
///
/// # Errors
/// A failure that names the wrong key and where it stands.
pub(crate) fn configuration(
    global: &Global,
    node: &NodeOptions,
    server: &ServerOptions,
    peers: &PeerOptions,
    overrides: &[(String, String)],
) -> Result<Configuration, Failure> {
    let mut command_line = Layer::from_command_line(overrides);
    for (key, value, origin) in options_as_settings(global, node, server)? {
        command_line.set(key, value, origin);
    }
    for (key, value, option) in peers.settings() {
        command_line.set(key, value, Origin::Option(option.to_owned()));
    }
    let mut layers = vec![command_line, Layer::from_environment(crate::args::environment())];
    if let Some(path) = &node.config {
        layers.push(Layer::from_file(path)?);
    }
    Ok(Configuration::merge(&layers)?)
}

fn options_as_settings(
    global: &Global,
    node: &NodeOptions,
    server: &ServerOptions,
) -> Result<Vec<(&'static str, Value, Origin)>, Failure> {
    let client = node.client.read()?;
    let client_origin = node.client.origin();
    let option = |name: &str| Origin::Option(name.to_owned());
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let (data_dir, backbone) = (path(&global.data_dir), node.backbone.clone());
    let data_dir_origin = origin("--data-dir", "ENLACE_DATA_DIR", data_dir.as_deref());
    let backbone_origin = origin("--backbone", "ENLACE_BACKBONE", backbone.as_deref());
    let listen = server.listen.map(|address| address.to_string());
    let backbone_listen = node.backbone_listen.map(|address| address.to_string());
    let client_id = client.as_ref().map(|client| client.id.clone());
    let client_secret = client.map(|client| client.secret.expose().to_owned());
    let settings = [
        ("enlace.dataDir", data_dir, data_dir_origin),
        ("enlace.listen", listen, option("--listen")),
        ("enlace.apiKeyFile", path(&server.api_key_file), option("--api-key-file")),
        ("enlace.backbone.listen", backbone_listen, option("--backbone-listen")),
        ("transportLibrary.baseUrl", backbone, backbone_origin),
        ("transportLibrary.platformClientId", client_id, client_origin.clone()),
        ("transportLibrary.platformClientSecret", client_secret, client_origin),
    ];
    let texts = settings.into_iter().filter_map(|(key, text, origin)| Some((key, Value::String(text?), origin)));
    let plain_http = ("enlace.allowPlainHttp", Value::Bool(true), option("--allow-plain-http"));
    Ok(texts.chain(node.allow_plain_http.then_some(plain_http)).collect())
}

/// Whether the value of an option is from its variable: clap does not tell that to the type of the options.
fn origin(option: &str, variable: &str, value: Option<&str>) -> Origin {
    match std::env::var(variable) {
        Ok(text) if Some(text.as_str()) == value => Origin::Variable(variable.to_owned()),
        _ => Origin::Option(option.to_owned()),
    }
}

impl crate::args::ClientOptions {
    /// The client given by either option.
    ///
    /// # Errors
    /// A failure for an unreadable file or a wrong form.
    pub(crate) fn read(&self) -> Result<Option<Client>, Failure> {
        if let Some(known) = self.read.get() {
            return Ok(Some(known.clone()));
        }
        let read = match (&self.client, &self.client_file) {
            (Some(text), _) => Client::parse(text, &self.origin().to_string())?,
            (None, Some(path)) => Client::read(path)?,
            (None, None) => return Ok(None),
        };
        Ok(Some(self.read.get_or_init(|| read).clone()))
    }

    /// Where it is from.
    fn origin(&self) -> Origin {
        match &self.client_file {
            Some(_) if self.client.is_none() => Origin::Option("--client-file".to_owned()),
            _ => origin("--client", "ENLACE_CLIENT", self.client.as_deref()),
        }
    }
}
