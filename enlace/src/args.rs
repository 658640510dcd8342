//! Options that several commands have.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{ArgAction, Args, ValueEnum};
use serde_json::{Value, json};

use crate::client::Client;
use crate::listen_address::ListenAddress;
use crate::port;

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory for identity, keys and files (default: the platform's data directory)
    #[arg(long, global = true, env = "ENLACE_DATA_DIR", value_name = "DIR", help_heading = "General")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write results and errors as JSON, one value per line
    #[arg(long, global = true, help_heading = "General")]
    pub(crate) json: bool,
    /// Log more; repeat up to three times for more detail
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "General")]
    pub(crate) verbose: u8,
    /// Format of the logs on standard error (default: json with --json, otherwise text)
    #[arg(long, global = true, value_enum, help_heading = "General")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Form of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which configuration, and which backbone.
#[derive(Debug, Default, Args)]
pub(crate) struct NodeOptions {
    /// Configuration file in JSON; no other file is read
    #[arg(long, value_name = "FILE", env = "CUSTOM_CONFIG_LOCATION", help_heading = "Node")]
    pub(crate) config: Option<PathBuf>,
    /// URL of the backbone to use instead of an embedded one; an identity stays at the backbone where it was created
    #[arg(long, value_name = "URL", env = "ENLACE_BACKBONE", help_heading = "Node")]
    pub(crate) backbone: Option<String>,
    /// OAuth client at the backbone
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    /// Address of the embedded backbone, as 127.0.0.1:PORT; port 0 picks a free port
    #[arg(long, value_name = "ADDR", value_parser = port::parse_address, help_heading = "Node")]
    pub(crate) backbone_listen: Option<SocketAddr>,
    /// Allow http to a backbone on another machine
    #[arg(long, help_heading = "Node")]
    pub(crate) allow_plain_http: bool,
    /// Log in at the given backbone although the identity was created at another one, and use it from now on
    // An option only: neither a file nor the environment may confirm what they ask for.
    #[arg(long, help_heading = "Node")]
    pub(crate) change_backbone: bool,
}

/// The OAuth client at a backbone.
#[derive(Debug, Default, Args)]
pub(crate) struct ClientOptions {
    /// OAuth client at the backbone; other users of this machine can see it, so prefer --client-file
    #[arg(
        long,
        value_name = "ID:SECRET",
        env = "ENLACE_CLIENT",
        hide_env_values = true,
        conflicts_with = "client_file",
        help_heading = "Node"
    )]
    pub(crate) client: Option<String>,
    /// File with ID:SECRET of the OAuth client at the backbone in its first line
    #[arg(long, value_name = "FILE", help_heading = "Node")]
    pub(crate) client_file: Option<PathBuf>,
    /// The client, once it was read: a pipe can be read only once.
    #[arg(skip)]
    pub(crate) read: OnceLock<Client>,
}

/// How a node serves.
#[derive(Debug, Default, Args)]
pub(crate) struct ServerOptions {
    /// Address of the REST API, as IP:PORT; port 0 picks a free port
    #[arg(long, value_name = "ADDR", value_parser = port::parse_address, help_heading = "Server")]
    pub(crate) listen: Option<SocketAddr>,
    /// File with the API key, created at the first start (default: api-key in the data directory)
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) api_key_file: Option<PathBuf>,
}

/// How a node reaches peers, and how they reach it.
#[derive(Debug, Default, Args)]
pub(crate) struct PeerOptions {
    /// Address where peers connect, as multiaddr: /ip4/IP/tcp/PORT, /ip4/IP/udp/PORT/quic-v1, or the same with ip6; can be
    /// given several times; port 0 picks a free port
    ///
    /// By default, `share` and `serve` listen on all interfaces, at the ports of their last start if these are free, and
    /// `receive` does not listen.
    #[arg(
        long,
        value_name = "MULTIADDR",
        value_parser = ListenAddress::parse,
        conflicts_with = "no_direct",
        help_heading = "Peers"
    )]
    pub(crate) peer_listen: Vec<ListenAddress>,
    /// Do not look for peers in the local network, and do not answer those who do
    #[arg(long, help_heading = "Peers")]
    pub(crate) no_mdns: bool,
    /// Do not take part in a distributed hash table, even if one is configured
    #[arg(long, help_heading = "Peers")]
    pub(crate) no_dht: bool,
    /// Do not use relays or hole punching
    #[arg(long, help_heading = "Peers")]
    pub(crate) no_relay: bool,
    /// Do not connect to peers at all; everything goes through the backbone
    #[arg(long, help_heading = "Peers")]
    pub(crate) no_direct: bool,
}

impl PeerOptions {
    /// The settings that the options stand for, with the option of each.
    pub(crate) fn settings(&self) -> Vec<(&'static str, Value, &'static str)> {
        let listen: Vec<String> = self.peer_listen.iter().map(ToString::to_string).collect();
        let settings = [
            (!listen.is_empty(), "enlace.peers.enabled", json!(true), "--peer-listen"),
            (!listen.is_empty(), "enlace.peers.listen", json!(listen), "--peer-listen"),
            (self.no_mdns, "enlace.peers.mdns", json!(false), "--no-mdns"),
            // Which nodes are in it does not matter then.
            (self.no_dht, "enlace.peers.dht.protocol", json!(""), "--no-dht"),
            (self.no_relay, "enlace.peers.relaying", json!(false), "--no-relay"),
            (self.no_direct, "enlace.peers.enabled", json!(false), "--no-direct"),
        ];
        let given = settings.into_iter().filter(|(is_given, ..)| *is_given);
        given.map(|(_, key, value, option)| (key, value, option)).collect()
    }
}

/// Takes settings of the form `--a:b=c` out of the arguments; clap sees the rest.
pub(crate) fn split_overrides(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<(String, String)>) {
    let mut rest = Vec::new();
    let mut overrides = Vec::new();
    let mut only_words = false;
    for argument in arguments {
        only_words |= argument == "--";
        match argument.to_str().filter(|_| !only_words).and_then(setting) {
            Some(setting) => overrides.push(setting),
            None => rest.push(argument),
        }
    }
    (rest, overrides)
}

fn setting(argument: &str) -> Option<(String, String)> {
    let (name, value) = argument.strip_prefix("--")?.split_once('=')?;
    name.contains(':').then(|| (name.to_owned(), value.to_owned()))
}

/// The environment as text; variables that are not text cannot be ours.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_levels_are_taken_out_up_to_a_double_dash() {
        let words = ["enlace", "serve", "--a:b=c=d", "--json", "--listen=127.0.0.1:0", "--", "--x:y=z"];
        let (rest, overrides) = split_overrides(words.iter().map(OsString::from));
        assert_eq!(overrides, [("a:b".to_owned(), "c=d".to_owned())]);
        assert_eq!(rest, ["enlace", "serve", "--json", "--listen=127.0.0.1:0", "--", "--x:y=z"]);
    }
}
