//! The settings of the network, made of those of the node.

use std::time::Duration;

use swarm::{AddressPolicy, Dht, Discovery, Limits, Multiaddr, Seed, Transports};
use transport::peer::{
    CODE_PROTOCOL, Direct, FILE_PROTOCOL, FILE_PROTOCOL_V2, IDENTITY_PROTOCOL, INBOX_PROTOCOL, MultiaddrText, PeerKey,
    TOKEN_PROTOCOL, TOKEN_PROTOCOL_V2,
};

use crate::config::{PeerConfig, PeerLimits};
use crate::error::ConfigError;

/// How long a connection without streams stays open: longer than a receiver pauses between two requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams that a connection may open in a second beside twice its requests. What is beyond requests is refused with an answer; only
/// what is beyond streams is reset without one.
const MORE_STREAMS: u32 = 16;

/// The protocols that a node answers.
const ACCEPTED: [&str; 7] = [
    IDENTITY_PROTOCOL,
    FILE_PROTOCOL,
    FILE_PROTOCOL_V2,
    TOKEN_PROTOCOL,
    TOKEN_PROTOCOL_V2,
    INBOX_PROTOCOL,
    CODE_PROTOCOL,
];

/// The settings of the network of a node.
///
/// # Errors
/// [`ConfigError::PeerAddress`] for an address that is none.
pub(super) fn of_network(config: &PeerConfig, key: &PeerKey) -> Result<swarm::Config, ConfigError> {
    let listen = addresses("listen", &config.listen)?;
    let has_memory = listen.iter().any(|address| address.to_string().starts_with("/memory/"));
    Ok(swarm::Config {
        transports: Transports { memory: has_memory, ..Transports::default() },
        listen,
        accept: ACCEPTED.to_vec(),
        discovery: discovery(config)?,
        addresses: address_policy(config),
        limits: limits(&config.limits),
        idle_timeout: IDLE_TIMEOUT,
        ..swarm::Config::new(Seed::new(*key.expose_seed()))
    })
}

/// What of the addresses of another device this node may tell.
pub(crate) fn tellable(config: &PeerConfig, mut direct: Direct) -> Direct {
    let policy = address_policy(config);
    let tells = |text: &MultiaddrText| text.as_str().parse().is_ok_and(|address| policy.tells(&address));
    direct.addresses.retain(tells);
    direct.relays.retain(|relay| config.relaying && tells(relay));
    direct
}

fn address_policy(config: &PeerConfig) -> AddressPolicy {
    AddressPolicy { private: config.private_addresses, loopback: config.loopback_addresses, dns: false }
}

fn discovery(config: &PeerConfig) -> Result<Discovery, ConfigError> {
    let relays = if config.relaying { addresses("relays", &config.relays)? } else { Vec::new() };
    let dht = match &config.dht {
        Some(dht) => {
            let bootstrap = addresses("dht.bootstrap", &dht.bootstrap)?;
            Some(Dht { protocol: dht.protocol.clone(), bootstrap, server: !config.listen.is_empty() })
        }
        None => None,
    };
    Ok(Discovery {
        mdns: config.mdns,
        dht,
        rendezvous: addresses("rendezvous", &config.rendezvous)?,
        relays,
        servers_later: config.backbone_services,
        through_relays: config.relaying,
        hole_punching: config.relaying,
    })
}

fn limits(limits: &PeerLimits) -> Limits {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        connections: count(limits.connections),
        connections_per_peer: count(limits.connections_per_peer),
        inbound_streams_per_connection: count(limits.streams_per_connection),
        inbound_streams_per_second: limits.requests_per_second.saturating_mul(2).saturating_add(MORE_STREAMS),
        inbound_streams: count(limits.streams),
        ..Limits::default()
    }
}

fn addresses(setting: &'static str, texts: &[String]) -> Result<Vec<Multiaddr>, ConfigError> {
    let address = |text: &String| text.parse().map_err(|_| ConfigError::PeerAddress { setting, text: text.clone() });
    texts.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DhtConfig;
    use crate::peer::testing::Person;

    fn network(config: &PeerConfig) -> Result<swarm::Config, ConfigError> {
        of_network(config, &PeerKey::derive(&Person::new(1).device_key))
    }

    #[test]
    fn each_switch_turns_off_one_thing() {
        let relay = "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".to_owned();
        let on = PeerConfig { relays: vec![relay.clone()], rendezvous: vec![relay], ..PeerConfig::default() };
        let discovery = |config: &PeerConfig| network(config).unwrap().discovery;
        assert!(discovery(&on).mdns && discovery(&on).hole_punching && discovery(&on).dht.is_none());
        assert_eq!((discovery(&on).relays.len(), discovery(&on).rendezvous.len()), (1, 1));
        assert!(!discovery(&PeerConfig { mdns: false, ..on.clone() }).mdns);
        let without_relays = discovery(&PeerConfig { relaying: false, ..on.clone() });
        assert!(without_relays.relays.is_empty() && without_relays.mdns);
        assert!(!without_relays.hole_punching && !without_relays.through_relays);
        assert!(discovery(&on).servers_later);
        assert!(!discovery(&PeerConfig { backbone_services: false, ..on.clone() }).servers_later);
        let dht = DhtConfig { protocol: "/x/1".to_owned(), bootstrap: Vec::new() };
        assert!(discovery(&PeerConfig { dht: Some(dht), ..on }).dht.unwrap().server);
    }

    #[test]
    fn texts_that_are_no_addresses_are_named_with_their_setting() {
        let config = PeerConfig { listen: vec!["192.0.2.1:80".to_owned()], ..PeerConfig::default() };
        let error = network(&config).err().unwrap().to_string();
        assert!(error.contains("listen") && error.contains("192.0.2.1:80"), "{error}");
    }
}
