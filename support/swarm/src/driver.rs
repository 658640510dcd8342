//! The task that owns libp2p's swarm.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use libp2p::core::transport::ListenerId;
use libp2p::core::{ConnectedPoint, Transport as _};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, autonat, dcutr, identify, mdns, relay};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::address::{self, Scope, host, is_quic, is_relayed, without_peer};
use crate::admission::LimitReached;
use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::config::Config;
use crate::connect::CANDIDATES;
use crate::connection::Connection;
use crate::discovery::{self, Searches};
use crate::relays::Relays;
use crate::servers::Server;
use crate::state::State;
use crate::streams::{Moved, Streams};
use crate::traffic;
use crate::transport::{self, Carrier, Gate, NEGOTIATING_STREAMS};
use crate::{ConnectError, Event, PathKind, RelayState, StartError};

/// How long a listener may take to tell its addresses. It is bound before; an interface without addresses tells none.
const LISTEN_TIME: Duration = Duration::from_secs(2);

/// How long it may take after that to tell one that others may know. One that listens on all interfaces tells their addresses in any order, often
/// that of the loopback interface first; a host without a network has no other one.
const TELL_TIME: Duration = Duration::from_millis(200);

/// How long connections may take to close at the end.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// What handles ask for.
pub(crate) enum Command {
    Dial { peer: PeerId, addresses: Vec<Multiaddr>, answer: Answer },
    Find { peer: PeerId, answer: oneshot::Sender<Vec<Multiaddr>> },
    UseRelays { relays: Vec<Server> },
    Shutdown,
}

type Answer = oneshot::Sender<Result<Connection, ConnectError>>;

/// A dial that is not complete, and who waits for it.
struct Dial {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    answers: Vec<Answer>,
}

pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    streams: Arc<Streams>,
    state: Arc<State>,
    commands: mpsc::Receiver<Command>,
    dials: HashMap<ConnectionId, Dial>,
    /// Tells the subnets of this host; none where the system does not permit to watch them.
    watcher: Option<IfWatcher>,
    relays: Relays,
    searches: Searches,
    /// Whether this process relays for others, who then have to know its addresses.
    is_relay: bool,
    /// Peers with a relayed connection to whom both sides dial at an agreed time. Whatever gets through then went through the holes that this makes,
    /// also a dial of before.
    punching: HashSet<PeerId>,
    /// External addresses of the configuration.
    external: Vec<Multiaddr>,
}

impl Driver {
    pub(crate) fn new(
        config: &Config,
        key: &Keypair,
        carrier: Carrier,
        streams: Arc<Streams>,
        state: Arc<State>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, StartError> {
        let relays = Relays::new(&config.discovery.relays, Instant::now())?;
        state.learn(|known| known.relays = relays.states());
        let carrier = match config.services.relay {
            Some(_) => traffic::counted(carrier, Arc::clone(&state.traffic)),
            None => carrier,
        };
        let (carrier, relay_client) = with_relays(config, key, state.local, carrier)?;
        let gate = Gate::new(carrier, Arc::clone(&state.dialable)).boxed();
        let behaviour = Behaviour::new(config, key, relay_client, Arc::clone(&streams), &state)?;
        let settings = libp2p::swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(config.idle_timeout)
            .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS);
        let mut swarm = Swarm::new(gate, behaviour, state.local, settings);
        let external: Vec<_> = config.external.iter().cloned().map(without_peer).collect();
        for address in &external {
            swarm.add_external_address(address.clone());
            state.confirmed(address.clone());
        }
        let watcher =
            IfWatcher::new().inspect_err(|error| tracing::debug!(%error, "cannot watch network interfaces")).ok();
        let (searches, is_relay) = (Searches::default(), config.services.relay.is_some());
        Ok(Self {
            swarm,
            streams,
            state,
            commands,
            dials: HashMap::new(),
            watcher,
            relays,
            searches,
            is_relay,
            punching: HashSet::new(),
            external,
        })
    }

    /// Binds all addresses, and waits until each tells where it is, and where others reach it.
    pub(crate) async fn listen(&mut self, addresses: Vec<Multiaddr>) -> Result<(), StartError> {
        let mut waiting: HashMap<ListenerId, Multiaddr> = HashMap::new();
        // Before one is bound: a probe of `::` conflicts with an own listener on `0.0.0.0`.
        for address in &addresses {
            not_taken(address).map_err(|error| refused(address, &error))?;
        }
        for address in addresses {
            let id = self.swarm.listen_on(address.clone()).map_err(|error| refused(&address, &error))?;
            waiting.insert(id, address);
        }
        // By QUIC, and by another transport. One that is not told on IPv6 may be on IPv4.
        let on_all_interfaces = waiting.values().filter(|address| address::is_unspecified(address));
        let mut untold: HashSet<bool> = on_all_interfaces.map(is_quic).collect();
        let mut until = Instant::now() + LISTEN_TIME;
        while !(waiting.is_empty() && untold.is_empty()) {
            let Ok(event) = timeout_at(until, self.swarm.select_next_some()).await else { break };
            match &event {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    let is_first = waiting.remove(listener_id).is_some();
                    if is_first && waiting.is_empty() {
                        until = until.min(Instant::now() + TELL_TIME);
                    }
                    if self.state.policy.tells(address) {
                        untold.remove(&is_quic(address));
                    }
                }
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                    if let Some(address) = waiting.get(listener_id) {
                        return Err(refused(address, error));
                    }
                }
                _ => {}
            }
            self.on_event(event);
        }
        // Addresses of other interfaces are told together.
        while let Some(event) = self.swarm.select_next_some().now_or_never() {
            self.on_event(event);
        }
        Ok(())
    }

    /// Runs until it is told to end, or nobody is left who could use the network.
    pub(crate) async fn run(mut self) {
        let streams = Arc::clone(&self.streams);
        let mut without_handles = false;
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.commands.recv(), if !without_handles => match command {
                    Some(Command::Shutdown) => break,
                    Some(Command::Dial { peer, addresses, answer }) => self.dial(peer, addresses, answer),
                    Some(Command::Find { peer, answer }) => self.searches.start(self.swarm.behaviour_mut(), peer, answer),
                    Some(Command::UseRelays { relays }) => self.use_relays(&relays),
                    None => without_handles = true,
                },
                () = streams.unwanted(), if without_handles => break,
                change = next_change(&mut self.watcher) => self.note_subnets(change),
                () = at(self.relays.next()) => self.reserve(),
            }
        }
        self.close().await;
    }

    /// The subnets of this host have changed.
    fn note_subnets(&mut self, change: std::io::Result<IfEvent>) {
        if let Err(error) = &change {
            // It would fail again at once.
            tracing::debug!(%error, "cannot watch network interfaces any more");
            self.watcher = None;
            return;
        }
        let subnets = self.watcher.iter().flat_map(|watcher| watcher.iter().copied());
        self.state.interfaces.replace(subnets.collect());
        if let Ok(IfEvent::Down(gone)) = change {
            self.forget_external();
            self.state.registry.leave(gone.addr());
        }
    }

    /// Forgets how others saw this peer: it may be in another network now.
    fn forget_external(&mut self) {
        let found: Vec<_> = self.swarm.external_addresses().cloned().collect();
        for address in found {
            let bare = without_peer(address.clone());
            if !is_relayed(&address) && !self.external.contains(&bare) && !self.is_relay {
                self.swarm.remove_external_address(&address);
            }
        }
        self.state.forget_observed();
    }

    fn use_relays(&mut self, relays: &[Server]) {
        for listener in self.relays.replace_later(relays, Instant::now()) {
            self.swarm.remove_listener(listener);
        }
        self.state.learn(|known| known.relays = self.relays.states());
    }

    /// Makes the reservations at relays that are due.
    fn reserve(&mut self) {
        for (peer, circuit) in self.relays.due(Instant::now()) {
            match self.swarm.listen_on(circuit) {
                Ok(listener) => self.relays.listens(peer, listener),
                Err(error) => {
                    let state = self.relays.failed(peer, innermost(&error), Instant::now());
                    self.tell_relay(state);
                }
            }
        }
    }

    fn tell_relay(&self, changed: Option<RelayState>) {
        if let Some(state) = changed {
            self.state.learn(|known| known.relays = self.relays.states());
            self.state.tell(Event::Relay(state));
        }
    }

    /// Closes connections in order, so that peers and sockets do not wait for a time-out.
    async fn close(mut self) {
        self.commands.close();
        let open: Vec<_> = self.state.registry.all();
        let mut open: HashSet<_> = open.into_iter().map(|connection| connection.id()).collect();
        open.retain(|id| self.swarm.close_connection(*id));
        let all_closed = async {
            while !open.is_empty() {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::ConnectionClosed { connection_id, .. } = &event {
                    open.remove(connection_id);
                }
                self.on_event(event);
            }
        };
        if tokio::time::timeout(CLOSE_TIME, all_closed).await.is_err() {
            tracing::debug!("connections did not close in time");
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, answer: Answer) {
        let covers =
            |dial: &&mut Dial| dial.peer == peer && addresses.iter().all(|address| dial.addresses.contains(address));
        if let Some(dial) = self.dials.values_mut().find(covers) {
            dial.answers.retain(|answer| !answer.is_closed());
            dial.answers.push(answer);
            return;
        }
        let at_once =
            u8::try_from(CANDIDATES).ok().and_then(std::num::NonZeroU8::new).unwrap_or(std::num::NonZeroU8::MIN);
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses.clone())
            .override_dial_concurrency_factor(at_once)
            .build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(id, Dial { peer, addresses, answers: vec![answer] })),
            Err(error) => drop(answer.send(Err(explain(error)))),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { connection_id, .. } => self.on_established(connection_id),
            SwarmEvent::ConnectionClosed { peer_id, connection_id, endpoint, num_established, .. } => {
                self.check_relay(&endpoint);
                if num_established == 0 {
                    self.state.relayed.left(&peer_id);
                }
                if !self.is_relayed(peer_id) {
                    self.punching.remove(&peer_id);
                }
                self.note_rendezvous(peer_id);
                self.state.tell(Event::Disconnected { connection: connection_id, peer: peer_id });
            }
            // Of a protocol; own dials are not told.
            SwarmEvent::Dialing { peer_id: Some(peer), .. } if self.is_relayed(peer) => {
                self.punching.insert(peer);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                tracing::debug!(%error, "dial failed");
                if let Some(dial) = self.dials.remove(&connection_id) {
                    let error = explain(error);
                    for answer in dial.answers {
                        drop(answer.send(Err(error.clone())));
                    }
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                let address = without_peer(address);
                if self.is_relay && self.state.policy.tells(&address) && !is_relayed(&address) {
                    self.swarm.add_external_address(address.clone());
                }
                self.state.listens(address.clone());
                self.state.tell(Event::Listening(address));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_not_listening(address, None),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                let error = reason.err().map(|error| innermost(&error));
                for address in addresses {
                    self.on_not_listening(address, error.clone());
                }
                let relay = self.relays.closed(listener_id, error, Instant::now());
                self.tell_relay(relay);
            }
            SwarmEvent::ExternalAddrConfirmed { address } => self.state.confirmed(without_peer(address)),
            SwarmEvent::ExternalAddrExpired { address } => self.state.expired(&without_peer(address)),
            _ => {}
        }
    }

    /// A connection has ended. If it went through a relay, that one may be gone.
    fn check_relay(&self, endpoint: &ConnectedPoint) {
        let address = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address,
            ConnectedPoint::Listener { local_addr, .. } => local_addr,
        };
        if let Some(relay) = address::relay(address) {
            self.state.registry.check_relay(relay);
        }
    }

    fn on_not_listening(&mut self, address: Multiaddr, error: Option<String>) {
        let address = without_peer(address);
        if self.is_relay {
            self.swarm.remove_external_address(&address);
        }
        self.state.listens_no_longer(&address);
        self.state.tell(Event::NotListening { address, error });
    }

    fn on_established(&mut self, id: ConnectionId) {
        let Some(connection) = self.state.registry.get(id) else { return };
        if connection.path() == PathKind::Direct && self.punching.contains(&connection.peer()) {
            connection.set_path(PathKind::Punched);
        }
        self.note_rendezvous(connection.peer());
        self.share_hole(connection.peer());
        self.state.tell(Event::Connected(connection.clone()));
        for answer in self.dials.remove(&id).map(|dial| dial.answers).unwrap_or_default() {
            drop(answer.send(Ok(connection.clone())));
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(event) => self.state.pinged(&event),
            BehaviourEvent::Identify(identify::Event::Received { connection_id, peer_id, info }) => {
                self.on_identified(connection_id, peer_id, info)
            }
            BehaviourEvent::Mdns(event) | BehaviourEvent::MdnsIpv6(event) => match event {
                mdns::Event::Discovered(found) => discovery::found_locally(&self.state, found),
                mdns::Event::Expired(lost) => discovery::lost_locally(&self.state, lost),
            },
            BehaviourEvent::Dht(event) => self.searches.progress(&self.state, event),
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
                let changed = self.relays.reserved(relay_peer_id);
                self.tell_relay(changed);
            }
            BehaviourEvent::RelayServer(event) => self.state.relayed.count(&event),
            BehaviourEvent::RendezvousServer(event) => self.state.registered.count(event),
            BehaviourEvent::AutonatClient(event) => self.on_tested(&event),
            BehaviourEvent::HolePunching(dcutr::Event { result: Ok(id), .. }) => self.on_punched(id),
            BehaviourEvent::Streams(Moved(connection)) => self.state.tell(Event::PathChanged(connection)),
            BehaviourEvent::Identify(_)
            | BehaviourEvent::RelayClient(_)
            | BehaviourEvent::AutonatServer(_)
            | BehaviourEvent::HolePunching(_) => {}
        }
    }

    fn on_identified(&mut self, id: ConnectionId, peer: PeerId, mut info: identify::Info) {
        let observed = std::mem::replace(&mut info.observed_addr, Multiaddr::empty());
        // Over a relay the other side sees the relay.
        if !is_relayed(&observed) && Scope::of(&observed) != Scope::Unusable {
            let host = self.state.registry.get(id).and_then(|connection| host(&connection.address()));
            self.state.observed(without_peer(observed), peer, host);
        }
        discovery::join(self.swarm.behaviour_mut(), &self.state, peer, info);
    }

    /// Another peer has tried whether an address of this one can be reached.
    fn on_tested(&self, event: &autonat::v2::client::Event) {
        let (address, was_reached) = (&event.tested_addr, event.result.is_ok());
        self.state.learn(|known| known.nat = known.nat.after(address, was_reached));
    }

    /// Whether there is a relayed connection to a peer.
    fn is_relayed(&self, peer: PeerId) -> bool {
        let connections = self.state.registry.all();
        connections.iter().any(|connection| connection.peer() == peer && connection.path() == PathKind::Relayed)
    }

    fn on_punched(&self, id: ConnectionId) {
        if let Some(connection) = self.state.registry.get(id)
            && connection.set_path(PathKind::Punched)
        {
            self.state.tell(Event::PathChanged(connection.clone()));
            self.share_hole(connection.peer());
        }
    }

    /// A dial of the address to which a hole is punched gets through it, too, however it was begun.
    fn share_hole(&self, peer: PeerId) {
        let to_peer: Vec<_> =
            self.state.registry.all().into_iter().filter(|connection| connection.peer() == peer).collect();
        let is_punched = |connection: &Connection| connection.path() == PathKind::Punched;
        for connection in to_peer.iter().filter(|connection| connection.path() == PathKind::Direct) {
            let same_hole = |punched: &&Connection| is_punched(punched) && punched.address() == connection.address();
            if to_peer.iter().any(|other| same_hole(&other)) && connection.set_path(PathKind::Punched) {
                self.state.tell(Event::PathChanged(connection.clone()));
            }
        }
    }

    /// Notes whether there is a connection to a rendezvous server.
    fn note_rendezvous(&self, peer: PeerId) {
        self.state.learn(|known| {
            if let Some(server) = known.rendezvous.iter_mut().find(|server| server.peer == peer) {
                server.connected = self.state.registry.all().iter().any(|connection| connection.peer() == peer);
            }
        });
    }
}

async fn next_change(watcher: &mut Option<IfWatcher>) -> std::io::Result<IfEvent> {
    match watcher {
        Some(watcher) => watcher.select_next_some().await,
        None => std::future::pending().await,
    }
}

/// libp2p shares a TCP port with whoever of the same user listens there already, who then gets half of the connections. This does not.
fn not_taken(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => std::net::IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => std::net::IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => std::net::TcpListener::bind((host, port)).map(drop),
        _ => Ok(()),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Adds connections through relays, if they are used.
fn with_relays(
    config: &Config,
    key: &Keypair,
    local: PeerId,
    carrier: Carrier,
) -> Result<(Carrier, Option<relay::client::Behaviour>), StartError> {
    if !config.discovery.through_relays {
        return Ok((carrier, None));
    }
    let (relayed, behaviour) = relay::client::new(local);
    // First, since it leaves all other addresses to the next one.
    Ok((transport::either(transport::relayed(relayed, key, config)?, carrier), Some(behaviour)))
}

fn refused(address: &Multiaddr, error: &dyn std::error::Error) -> StartError {
    StartError::Listen { address: address.clone(), reason: innermost(error) }
}

/// What the system says; libp2p's own messages around it show types.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn explain(error: DialError) -> ConnectError {
    match error {
        DialError::LocalPeerId { .. } => ConnectError::Myself,
        DialError::NoAddresses => ConnectError::NoAddress { left_out: Vec::new() },
        DialError::WrongPeerId { obtained, address } => {
            ConnectError::WrongPeer { address: without_peer(address), found: obtained }
        }
        DialError::Denied { cause } if cause.downcast_ref::<LimitReached>().is_some() => ConnectError::Limit,
        DialError::Transport(attempts) => {
            let reason = |(address, error): (Multiaddr, libp2p::TransportError<std::io::Error>)| {
                (without_peer(address), innermost(&error))
            };
            ConnectError::Unreachable { attempts: attempts.into_iter().map(reason).collect() }
        }
        DialError::Denied { .. } | DialError::Aborted | DialError::DialPeerConditionFalse(_) => {
            ConnectError::Unreachable { attempts: Vec::new() }
        }
    }
}
