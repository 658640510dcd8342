//! The protocols that a network speaks, as one behaviour. The code that libp2p derives for it takes long to compile, so it is alone here.

use std::sync::Arc;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{identify, ping};

use crate::admission;
use crate::config::Config;
use crate::state::State;
use crate::streams::{self, Streams};
use crate::told::Told;

/// Time between two measurements of the latency.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// All protocols. The order matters: what refuses connections comes first, and what knows the connections that were not refused last.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    admission: admission::Behaviour,
    ping: ping::Behaviour,
    identify: Told<identify::Behaviour>,
    streams: streams::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(config: &Config, key: &Keypair, streams: Arc<Streams>, state: &State) -> Self {
        let identify = identify::Config::new_with_signed_peer_record("enlace/1".into(), key)
            .with_agent_version(config.agent.clone())
            .with_cache_size(0);
        Self {
            admission: admission::Behaviour::new(config.limits, Arc::clone(&state.refusals)),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
            identify: Told::new(identify::Behaviour::new(identify), config.addresses),
            streams: streams::Behaviour::new(streams, Arc::clone(&state.registry), state.interfaces.clone()),
        }
    }
}
