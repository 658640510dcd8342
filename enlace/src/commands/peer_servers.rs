//! The relay and the rendezvous server that a backbone offers, for commands that need them at once.

use std::time::Duration;

use runtime::dto::Connectivity;
use runtime::{BackboneConfig, PeerConfig};

use crate::client::Client;
use crate::code::Kind;
use crate::config::Settings;
use crate::failure::Failure;
use crate::node::Node;

/// How long a command waits for a backbone to say what it offers to peers.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a command waits for a server by which others reach or find this node.
const RESERVATION: Duration = Duration::from_secs(3);
/// Time between two looks at whether there is one.
const PAUSE: Duration = Duration::from_millis(50);

/// The settings with the servers of a backbone. If it does not answer they are the same: peers may be found without it.
pub(super) async fn with_servers_of(url: &str, config: PeerConfig, settings: &Settings) -> PeerConfig {
    match servers_of(url, config.clone(), settings).await {
        Ok(config) => config,
        Err(failure) => {
            tracing::warn!(%failure, "the backbone does not say where peers can be found");
            config
        }
    }
}

/// The settings with the servers of a backbone.
///
/// # Errors
/// A failure if it does not answer in time, or refuses to.
pub(super) async fn servers_of(url: &str, config: PeerConfig, settings: &Settings) -> Result<PeerConfig, Failure> {
    // Anybody may ask.
    let Client { id, secret } = Client::guest();
    let mut backbone = BackboneConfig::new(url, &id, secret);
    backbone.timeout = settings.timeout;
    backbone.max_redirects = settings.max_redirects;
    backbone.allow_plain_http = settings.allow_plain_http;
    match tokio::time::timeout(ANSWER, config.with_services_of(&backbone)).await {
        Ok(answered) => answered.map_err(|error| {
            let failure = Failure::from(error);
            match failure.kind {
                Kind::Network => failure.hint(format!(
                    "check that there is a backbone at {url}, or omit --backbone to look in the local network only"
                )),
                _ => failure,
            }
        }),
        Err(_) => {
            let seconds = ANSWER.as_secs();
            Err(Failure::new(
                Kind::Network,
                format!("{url} did not say within {seconds} seconds where peers are found"),
            )
            .hint("check that the backbone is running and that its URL is right"))
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
        until(|| config.relays.is_empty() || has_relay(node)).await;
    };
    if tokio::time::timeout(RESERVATION, waiting).await.is_err() {
        tracing::info!("no relay connects others with this node yet");
    }
}

/// How peers reach and find a node. If neither multicast DNS nor a server is known by which they find it, its backbone has a moment to say
/// that it has one.
pub(super) async fn found_by(node: &Node) -> Option<Connectivity> {
    let connectivity = || node.runtime.peers().connectivity();
    let is_found = || connectivity().is_none_or(|peer| peer.mdns || !peer.rendezvous.is_empty());
    if node.backbone.is_none() {
        // What is known in the end is what counts.
        let _ = tokio::time::timeout(RESERVATION, until(is_found)).await;
    }
    connectivity()
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(PAUSE).await;
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
        let failure = servers_of(&url, PeerConfig::default(), &settings).await.unwrap_err();
        assert!(failure.kind == Kind::Network && failure.message.contains(&url), "{failure}");
    }
}
