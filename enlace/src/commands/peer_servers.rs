//! The relay and the rendezvous server that a backbone offers, for commands that need them at once.

use std::time::Duration;

use runtime::{BackboneConfig, PeerConfig};

use crate::client::Client;
use crate::config::Settings;

/// How long a command waits for a backbone to say what it offers to peers.
const ANSWER: Duration = Duration::from_secs(5);

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
