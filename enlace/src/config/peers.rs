//! How peers are reached, as a configuration says it.

use runtime::{DhtConfig, PeerConfig, PeerDisclosure, PeerLimits};
use serde::Deserialize;

use super::settings::{Problem, Problems, problem};
use crate::listen_address::{self, ListenAddress, PeerPorts};

/// Longest text of a multiaddr in bytes; longer ones are in no reference.
const MAX_ADDRESS_LENGTH: usize = 512;

/// How peers are reached, and how they reach this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    /// Where peers connect; at all interfaces if nothing is said.
    listen: Option<Vec<ListenAddress>>,
    /// Whether loopback addresses are told and dialled, if that is said.
    loopback_addresses: Option<bool>,
    /// Everything else.
    rest: PeerConfig,
}

impl PeerSettings {
    /// For commands that reach others for a moment and share nothing: they listen nowhere, and nobody finds them.
    pub(crate) fn dials_only(&mut self) {
        self.listen = Some(Vec::new());
        self.rest.mdns = false;
    }

    /// For `receive`: it listens only where an option or a variable says so. It dials what a reference names, which whoever
    /// runs it has chosen, on this machine too.
    pub(crate) fn receives(&mut self) {
        self.listen.get_or_insert_default();
        self.loopback_addresses.get_or_insert(true);
        self.rest.mdns = false;
    }

    /// For a moment in which a sender is looked for by a code: others are found by every way that is on, and nobody connects.
    pub(crate) fn for_code(&self) -> PeerConfig {
        PeerConfig { listen: Vec::new(), loopback_addresses: true, ..self.rest.clone() }
    }

    /// Keeps to this machine: other machines neither reach this node nor hear of it.
    pub(crate) fn stays_local(&mut self) {
        self.listen = Some(ListenAddress::loopback());
        self.loopback_addresses = Some(true);
        self.rest = PeerConfig {
            mdns: false,
            dht: None,
            relays: Vec::new(),
            rendezvous: Vec::new(),
            backbone_services: false,
            relaying: false,
            private_addresses: false,
            stand_in: false,
            name_others: false,
            ..self.rest.clone()
        };
    }

    /// Whether other machines can connect, as far as the settings say.
    pub(crate) fn is_for_this_machine(&self) -> bool {
        self.listen.as_ref().is_some_and(|listen| !listen.is_empty() && listen.iter().all(ListenAddress::is_loopback))
    }

    /// The settings of a start. `remembered` are the ports of the last one.
    pub(crate) fn config(&self, remembered: &PeerPorts) -> PeerConfig {
        let listen = match &self.listen {
            // Addresses of a kind that this machine does not have are no reason not to start, unless they were asked for.
            None => listen_address::available(&ListenAddress::everywhere(), remembered),
            Some(listen) if *listen == ListenAddress::loopback() => listen_address::available(listen, remembered),
            Some(listen) => listen.clone(),
        };
        PeerConfig {
            listen: listen.iter().map(ToString::to_string).collect(),
            loopback_addresses: self.loopback_addresses.unwrap_or_else(|| self.is_for_this_machine()),
            ..self.rest.clone()
        }
    }
}

/// The keys below `enlace.peers`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeersTree {
    enabled: bool,
    listen: Option<Vec<String>>,
    mdns: bool,
    dht: DhtTree,
    relays: Vec<String>,
    rendezvous: Vec<String>,
    backbone_services: bool,
    relaying: bool,
    private_addresses: bool,
    loopback_addresses: Option<bool>,
    stand_in: bool,
    disclosure: String,
    limits: LimitsTree,
}

#[derive(Deserialize)]
struct DhtTree {
    protocol: Option<String>,
    bootstrap: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LimitsTree {
    connections: u32,
    connections_per_peer: u32,
    streams_per_connection: u32,
    streams: u32,
    requests_per_second: u32,
    wrong_passwords: u32,
}

/// The settings; `None` if peers are switched off. What is wrong is noted in either case.
pub(super) fn read(tree: PeersTree, problems: &mut Problems<'_>) -> Option<PeerSettings> {
    let rest = PeerConfig {
        listen: Vec::new(),
        mdns: tree.mdns,
        dht: problems.note(dht(tree.dht)),
        relays: problems.note(addresses("enlace.peers.relays", tree.relays)),
        rendezvous: problems.note(addresses("enlace.peers.rendezvous", tree.rendezvous)),
        backbone_services: tree.backbone_services,
        relaying: tree.relaying,
        private_addresses: tree.private_addresses,
        loopback_addresses: false,
        patience: PeerConfig::default().patience,
        stand_in: tree.stand_in,
        name_others: true,
        disclosure: problems.note(disclosure(&tree.disclosure)),
        limits: limits(&tree.limits, problems),
    };
    let listen = problems.note(tree.listen.map(listen).transpose());
    tree.enabled.then_some(PeerSettings { listen, loopback_addresses: tree.loopback_addresses, rest })
}

fn listen(given: Vec<String>) -> Result<Vec<ListenAddress>, Problem> {
    let read = given.iter().map(|text| ListenAddress::parse(text));
    read.collect::<Result<_, _>>().map_err(|reason| problem("enlace.peers.listen", reason))
}

/// An empty name switches it off, whichever nodes are in it: options and variables cannot unset a key.
fn dht(tree: DhtTree) -> Result<Option<DhtConfig>, Problem> {
    const PROTOCOL: &str = "enlace.peers.dht.protocol";
    let bootstrap = addresses("enlace.peers.dht.bootstrap", tree.bootstrap)?;
    match tree.protocol {
        Some(protocol) if protocol.is_empty() => Ok(None),
        Some(protocol) if !is_multiaddr(&protocol) => {
            Err(problem(PROTOCOL, format!("{protocol:?} is not the name of a protocol such as /example/kad/1")))
        }
        Some(protocol) => Ok(Some(DhtConfig { protocol, bootstrap })),
        None if bootstrap.is_empty() => Ok(None),
        None => Err(problem("enlace.peers.dht.bootstrap", format!("{PROTOCOL} must be set, too"))),
    }
}

/// Addresses of servers. Their peer ids say whom to trust there.
fn addresses(key: &'static str, given: Vec<String>) -> Result<Vec<String>, Problem> {
    match given.iter().find(|text| !is_multiaddr(text) || !text.contains("/p2p/")) {
        None => Ok(given),
        Some(text) => Err(problem(
            key,
            format!("{text:?} is not a multiaddr such as /dns4/relay.example.org/tcp/4712/p2p/12D3KooW…"),
        )),
    }
}

fn is_multiaddr(text: &str) -> bool {
    text.len() > 1
        && text.len() <= MAX_ADDRESS_LENGTH
        && text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn disclosure(text: &str) -> Result<PeerDisclosure, Problem> {
    match text {
        "identified" => Ok(PeerDisclosure::Identified),
        "everyone" => Ok(PeerDisclosure::Everyone),
        _ => Err(problem("enlace.peers.disclosure", "must be identified or everyone")),
    }
}

fn limits(tree: &LimitsTree, problems: &mut Problems<'_>) -> PeerLimits {
    let mut limit = |name: &str, value: u32| {
        let refused = || Err(problem(format!("enlace.peers.limits.{name}"), "must be at least 1"));
        problems.note(if value == 0 { refused() } else { Ok(value) })
    };
    PeerLimits {
        connections: limit("connections", tree.connections),
        connections_per_peer: limit("connectionsPerPeer", tree.connections_per_peer),
        streams_per_connection: limit("streamsPerConnection", tree.streams_per_connection),
        streams: limit("streams", tree.streams),
        requests_per_second: limit("requestsPerSecond", tree.requests_per_second),
        wrong_passwords: tree.wrong_passwords,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Configuration, Layer, Origin};
    use super::*;

    const RELAY: &str = "/dns4/relay.example.org/tcp/4712/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf";

    fn merged(peers: Value) -> Result<Option<PeerSettings>, String> {
        let layer = Layer::of(Origin::Option("--x".to_owned()), json!({"enlace": {"peers": peers}}));
        match Configuration::merge(&[layer]) {
            Ok(configuration) => Ok(configuration.settings.peers),
            Err(errors) => Err(errors.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    fn peers(values: Value) -> PeerSettings {
        merged(values).unwrap().unwrap()
    }

    fn config(settings: &PeerSettings) -> PeerConfig {
        settings.config(&PeerPorts::new())
    }

    #[test]
    fn the_defaults_are_those_of_the_runtime() {
        let config = config(&peers(json!({})));
        // Which addresses there are depends on the machine.
        assert!(config.listen.iter().all(|address| PeerConfig::default().listen.contains(address)));
        assert_eq!(PeerConfig { listen: PeerConfig::default().listen, ..config }, PeerConfig::default());
    }

    #[test]
    fn everything_can_be_switched_off_singly() {
        assert_eq!(merged(json!({"enabled": false})), Ok(None));
        let without = |values: Value| config(&peers(values));
        assert!(!without(json!({"mdns": false})).mdns && !without(json!({"relaying": false})).relaying);
        assert!(!without(json!({"backboneServices": false})).backbone_services);
        assert!(!without(json!({"privateAddresses": false})).private_addresses);
        assert_eq!(without(json!({"listen": []})).listen, [""; 0]);
        let dht = json!({"protocol": "/example/kad/1", "bootstrap": [RELAY]});
        let expected = DhtConfig { protocol: "/example/kad/1".to_owned(), bootstrap: vec![RELAY.to_owned()] };
        assert_eq!(without(json!({"dht": dht})).dht, Some(expected));
        assert_eq!(without(json!({"dht": {"protocol": "", "bootstrap": [RELAY]}})).dht, None);
        assert!(without(json!({"standIn": true})).stand_in);
        assert_eq!(without(json!({"disclosure": "everyone"})).disclosure, PeerDisclosure::Everyone);
    }

    #[test]
    fn loopback_addresses_are_told_only_by_those_who_listen_nowhere_else() {
        let told = |values: Value| config(&peers(values)).loopback_addresses;
        assert!(!told(json!({})) && !told(json!({"listen": []})));
        assert!(told(json!({"listen": ["/ip4/127.0.0.1/tcp/0"]})));
        assert!(!told(json!({"listen": ["/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0"]})));
        assert!(told(json!({"loopbackAddresses": true})));
        assert!(!told(json!({"loopbackAddresses": false, "listen": ["/ip6/::1/udp/0/quic-v1"]})));
    }

    #[test]
    fn who_shares_nothing_listens_nowhere_unless_asked_to() {
        let mut dialing = peers(json!({"listen": ["/ip4/127.0.0.1/tcp/0"]}));
        dialing.dials_only();
        assert!(config(&dialing).listen.is_empty() && !config(&dialing).mdns);
        let mut receiving = peers(json!({}));
        receiving.receives();
        let found = config(&receiving);
        assert!(found.listen.is_empty() && !found.mdns && found.private_addresses && found.loopback_addresses);
        let mut asked = peers(json!({"listen": ["/ip4/127.0.0.1/tcp/0"], "loopbackAddresses": false}));
        asked.receives();
        assert_eq!(config(&asked).listen, ["/ip4/127.0.0.1/tcp/0"]);
        assert!(!config(&asked).loopback_addresses);
    }

    #[test]
    fn a_share_for_this_machine_uses_nothing_beyond_it() {
        let dht = json!({"protocol": "/example/kad/1", "bootstrap": [RELAY]});
        let mut local = peers(json!({"relays": [RELAY], "rendezvous": [RELAY], "dht": dht, "standIn": true}));
        local.stays_local();
        let found = config(&local);
        assert!(local.is_for_this_machine() && found.loopback_addresses);
        assert!(!found.mdns && !found.relaying && !found.backbone_services && !found.private_addresses);
        assert!(found.dht.is_none() && found.relays.is_empty() && found.rendezvous.is_empty());
        assert!(!found.stand_in && !found.name_others);
        let is_here = |text: &String| text.starts_with("/ip4/127.0.0.1/") || text.starts_with("/ip6/::1/");
        assert!(found.listen.iter().all(is_here), "{:?}", found.listen);
    }

    #[test]
    fn values_that_cannot_be_are_refused_by_key() {
        for (values, key) in [
            (json!({"listen": ["0.0.0.0:80"]}), "enlace.peers.listen"),
            (json!({"relays": ["/dns4/relay.example.org/tcp/4712"]}), "enlace.peers.relays"),
            (json!({"rendezvous": [format!("{RELAY}{}", "x".repeat(MAX_ADDRESS_LENGTH))]}), "enlace.peers.rendezvous"),
            (json!({"dht": {"bootstrap": [RELAY]}}), "enlace.peers.dht.bootstrap"),
            (json!({"dht": {"protocol": "kad"}}), "enlace.peers.dht.protocol"),
            (json!({"disclosure": "nobody"}), "enlace.peers.disclosure"),
            (json!({"limits": {"connections": 0}}), "enlace.peers.limits.connections"),
            (json!({"limits": {"requestsPerSecond": 0}}), "enlace.peers.limits.requestsPerSecond"),
            (json!({"limits": {"streams": -1}}), "enlace.peers.limits.streams"),
            (json!({"mnds": false}), "enlace.peers.mdns"),
            // A switch does not hide what is wrong.
            (json!({"enabled": false, "listen": ["x"]}), "enlace.peers.listen"),
        ] {
            let text = merged(values).unwrap_err();
            assert!(text.contains(key), "{text}");
        }
        let longest = format!("{RELAY}{}", "x".repeat(MAX_ADDRESS_LENGTH - RELAY.len()));
        assert!(merged(json!({"relays": [longest]})).is_ok());
    }
}
