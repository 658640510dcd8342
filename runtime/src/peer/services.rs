//! The relay and the rendezvous server that the backbone of the node offers: the node uses them like those of its settings.

use std::sync::Arc;
use std::time::Duration;

use swarm::{AddressPolicy, Event, Multiaddr};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use transport::backbone::{Client, Error};
use transport::wire::backbone::peer_services::PeerServices;

use super::network::{PeerNetwork, Shared};
use crate::config::{BackboneConfig, PeerConfig};
use crate::{Result, account};

/// Time until the backbone is asked again after an answer.
const REFRESH: Duration = Duration::from_secs(60 * 60);
/// Time until it is asked again after a failure, or after its relay was lost; each further time twice as long,
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// up to this.
const LAST_RETRY: Duration = Duration::from_secs(10 * 60);

impl PeerNetwork {
    /// Uses what a backbone offers to peers from now on, if the settings say so. Asks in the background: a backbone that cannot be
    /// reached delays nothing.
    pub(crate) fn follow_backbone(&self, client: Client) {
        if let Some(shared) = self.shared()
            && shared.config.backbone_services
        {
            let following = follow(shared.clone(), client);
            shared.tasks.spawn(following);
        }
    }
}

impl PeerConfig {
    /// The same settings with the relay and the rendezvous server that a backbone offers: for whoever has no node that would find them, as
    /// [`receive_code`](crate::receive_code). They are the same if `backbone_services` is off, or the backbone offers nothing.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings of a backbone that cannot work, and its errors if it does not answer.
    pub async fn with_services_of(mut self, backbone: &BackboneConfig) -> Result<Self> {
        if self.backbone_services {
            let client = account::client(backbone)?;
            let services = client.peer_services().await?;
            let servers = Servers::of(services.as_ref(), &self, client.is_on_this_machine());
            let texts = |addresses: Vec<Multiaddr>| addresses.into_iter().map(|address| address.to_string());
            self.relays.extend(texts(servers.relays));
            self.rendezvous.extend(texts(servers.rendezvous));
        }
        Ok(self)
    }
}

async fn follow(shared: Arc<Shared>, client: Client) {
    let (network, mut schedule) = (&shared.network, Schedule::default());
    let is_local = client.is_on_this_machine();
    loop {
        let asked = client.peer_services().await;
        if let Err(error) = &asked {
            tracing::debug!(%error, "the backbone does not say what it offers to peers");
        }
        let wait = schedule.after(&asked);
        if let Ok(services) = asked {
            let servers = Servers::of(services.as_ref(), &shared.config, is_local);
            let peer = services.as_ref().map(|services| services.peer_id.as_str());
            tracing::debug!(
                peer,
                relays = servers.relays.len(),
                rendezvous = servers.rendezvous.len(),
                "servers of the backbone"
            );
            network.use_servers(servers.relays, servers.rendezvous).await;
        }
        schedule.wait(network, wait).await;
    }
}

/// Addresses of the servers, each with the peer id at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Servers {
    relays: Vec<Multiaddr>,
    rendezvous: Vec<Multiaddr>,
}

impl Servers {
    /// What is used of an answer. Names are looked up, as that of the backbone is. An address of this machine is right only if the backbone is
    /// on it; those of private networks are as private as those of peers.
    fn of(services: Option<&PeerServices>, config: &PeerConfig, is_local: bool) -> Self {
        let Some(services) = services else { return Self::default() };
        let policy = AddressPolicy {
            private: config.private_addresses || is_local,
            loopback: config.loopback_addresses || is_local,
            dns: true,
        };
        let parsed = services.addresses.iter().filter_map(|text| text.parse().ok());
        let addresses: Vec<Multiaddr> = parsed.filter(|address| policy.tells(address)).collect();
        let used = |is_used: bool| if is_used { addresses.clone() } else { Vec::new() };
        Self { relays: used(services.relay && config.relaying), rendezvous: used(services.rendezvous) }
    }
}

/// When the backbone is asked again.
#[derive(Debug, Default)]
struct Schedule {
    failures: u32,
}

impl Schedule {
    /// How long to wait after an answer or a failure.
    fn after(&mut self, asked: &std::result::Result<Option<PeerServices>, Error>) -> Duration {
        match asked {
            Ok(_) => {
                self.failures = 0;
                REFRESH
            }
            Err(_) => self.retry(),
        }
    }

    fn retry(&mut self) -> Duration {
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Waits, less long if a relay is lost meanwhile: the backbone may have started anew at another address.
    async fn wait(&mut self, network: &swarm::Network, wait: Duration) {
        let (mut events, mut until) = (network.subscribe(), Instant::now() + wait);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                event = events.recv() => match event {
                    Ok(Event::Relay(relay)) if !relay.reserved => until = until.min(Instant::now() + FIRST_RETRY),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    // The network ends, and this with it.
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    fn services(hosts: &[&str]) -> PeerServices {
        let addresses = hosts.iter().map(|host| format!("{host}/tcp/4712/p2p/{ID}")).collect();
        PeerServices { peer_id: ID.to_owned(), addresses, relay: true, rendezvous: true }
    }

    fn hosts(addresses: &[Multiaddr]) -> Vec<String> {
        let end = format!("/tcp/4712/p2p/{ID}");
        addresses.iter().map(|address| address.to_string().replace(&end, "")).collect()
    }

    #[test]
    fn addresses_are_used_as_far_as_the_settings_allow_and_the_backbone_is_near() {
        let all = services(&[
            "/dns/relay.example.org",
            "/ip4/203.0.113.1",
            "/ip4/10.0.0.1",
            "/ip4/127.0.0.1",
            "/ip4/0.0.0.0",
            "/x",
        ]);
        let used = |private_addresses, is_local| {
            let config = PeerConfig { private_addresses, ..PeerConfig::default() };
            hosts(&Servers::of(Some(&all), &config, is_local).rendezvous)
        };
        assert_eq!(used(false, false), ["/dns/relay.example.org", "/ip4/203.0.113.1"]);
        assert_eq!(used(true, false), ["/dns/relay.example.org", "/ip4/203.0.113.1", "/ip4/10.0.0.1"]);
        assert_eq!(used(false, true).len(), 4);
    }

    #[test]
    fn only_what_is_offered_and_wanted_is_used() {
        let (offered, config) = (services(&["/ip4/203.0.113.1"]), PeerConfig::default());
        let count = |services: &PeerServices, config: &PeerConfig| {
            let servers = Servers::of(Some(services), config, false);
            (servers.relays.len(), servers.rendezvous.len())
        };
        assert_eq!(count(&offered, &config), (1, 1));
        assert_eq!(count(&PeerServices { relay: false, ..offered.clone() }, &config), (0, 1));
        assert_eq!(count(&PeerServices { rendezvous: false, ..offered.clone() }, &config), (1, 0));
        assert_eq!(count(&offered, &PeerConfig { relaying: false, ..config.clone() }), (0, 1));
        assert_eq!(Servers::of(None, &config, false), Servers::default());
    }

    #[test]
    fn a_backbone_that_does_not_answer_is_asked_less_and_less_often() {
        let mut schedule = Schedule::default();
        let failure = || Err(Error::NotFound { request: String::new() });
        let waits: Vec<_> = (0..11).map(|_| schedule.after(&failure()).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]);
        assert_eq!(schedule.after(&Ok(None)), REFRESH);
        assert_eq!(schedule.after(&failure()), FIRST_RETRY);
    }
}
