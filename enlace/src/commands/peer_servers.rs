//! The relay and the rendezvous server that a backbone offers, for commands that need them at once.

use std::time::Duration;

use runtime::{BackboneConfig, PeerConfig};

use crate::client::Client;
use crate::config::Settings;
use crate::node::Node;

/// How long a command waits for a backbone to say what it offers to peers.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a command waits for a relay by which others reach this node.
const RESERVATION: Duration = Duration::from_secs(3);
/// Time between two looks at whether there is one.
const PAUSE: Duration = Duration::from_millis(50);

/// The settings with the servers of a backbone. If it does not answer in time they are the same: peers may be found without it.
pub(super) async fn with_servers_of(url: &str, config: PeerConfig, settings: &Settings) -> PeerConfig {
    // Anybody may ask.
    let Client { id, secret } = Client::guest();
    let mut backbone = BackboneConfig::new(url, &id, secret);
    backbone.timeout = settings.timeout;
    backbone.max_redirects = settings.max_redirects;
    backbone.allow_plain_http = settings.allow_plain_http;
    match tokio::time::timeout(ANSWER, config.clone().with_services_of(&backbone)).await {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the backbone does not say where peers can be found");
            config
        }
        Err(_) => {
            tracing::warn!("the backbone does not say in time where peers can be found");
            config
        }
    }
}

/// Waits a moment until a relay has promised to connect others with a node, if there is a relay to expect. A reference that is
/// made before does not name the relay.
pub(super) async fn wait_for_relay(node: &Node, settings: &Settings) {
    let Some(peers) = &settings.peers else { return };
    // The node itself does not use a relay of another machine at an address of this one.
    let mut config = PeerConfig { loopback_addresses: false, ..peers.for_code() };
    if !config.relaying {
        return;
    }
    let waiting = async {
        // The embedded backbone is where this node is: nobody needs its relay.
        if config.relays.is_empty() && node.backbone.is_none() {
            config = with_servers_of(&node.backbone_url, config, settings).await;
        }
        while !config.relays.is_empty() && !has_relay(node) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    if tokio::time::timeout(RESERVATION, waiting).await.is_err() {
        tracing::info!("no relay connects others with this node yet");
    }
}

fn has_relay(node: &Node) -> bool {
    let connectivity = node.runtime.peers().connectivity();
    connectivity.is_none_or(|connectivity| connectivity.relays.iter().any(|relay| relay.is_reserved))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::config::Configuration;

    #[tokio::test(start_paused = true)]
    async fn a_backbone_that_does_not_answer_is_waited_for_a_moment() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let settings = Configuration::merge(&[]).unwrap().settings;
        let began = Instant::now();
        let config = with_servers_of(&url, PeerConfig::default(), &settings).await;
        assert_eq!((config, began.elapsed().as_secs()), (PeerConfig::default(), ANSWER.as_secs()));
    }
}
