//! What the protocols of libp2p learn of this peer, and how often others may use them.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::FromSwarm;
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, NetworkBehaviour, SubstreamProtocol,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::AddressPolicy;
use crate::limits::Refusals;
use crate::streams::rate::Rate;

/// Addresses that others claim to see this peer at, which protocols are told: this many at once,
const CANDIDATES: u32 = 64;
/// and as many again in this time. Protocols remember each for ever.
const CANDIDATES_PERIOD: Duration = Duration::from_secs(60 * 60);

/// How many inbound streams of a protocol one connection may open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// This many at once,
    pub(crate) streams: u32,
    /// and as many again in this time.
    pub(crate) period: Duration,
}

impl Allowance {
    /// For protocols that keep nothing of a stream.
    pub(crate) const USUAL: Self = Self { streams: 64, period: Duration::from_secs(4) };
    /// For services that do more: that of rendezvous keeps a timer for each registration until it would have expired, also if it was replaced, and
    /// AutoNAT dials.
    pub(crate) const RARE: Self = Self { streams: 120, period: Duration::from_secs(60) };
}

/// A behaviour that learns only those of the own addresses that others may be told, and that peers use at a bounded rate.
pub(crate) struct Guarded<B> {
    pub(crate) inner: B,
    policy: AddressPolicy,
    allowance: Allowance,
    candidates: Rate,
    refusals: Arc<Refusals>,
}

impl<B> Guarded<B> {
    pub(crate) fn new(inner: B, policy: AddressPolicy, allowance: Allowance, refusals: &Arc<Refusals>) -> Self {
        let candidates = Rate::new(CANDIDATES, CANDIDATES_PERIOD, Instant::now());
        Self { inner, policy, allowance, candidates, refusals: Arc::clone(refusals) }
    }

    fn guard<H>(&self, inner: H) -> Handler<H> {
        let rate = Rate::new(self.allowance.streams, self.allowance.period, Instant::now());
        Handler { inner, rate, refusals: Arc::clone(&self.refusals) }
    }

    /// Whether the behaviour learns of an event.
    fn passes(&mut self, event: &FromSwarm<'_>) -> bool {
        match event {
            FromSwarm::NewListenAddr(event) => self.policy.tells(event.addr),
            FromSwarm::ExternalAddrConfirmed(event) => self.policy.tells(event.addr),
            FromSwarm::NewExternalAddrCandidate(event) => {
                self.policy.tells(event.addr) && self.candidates.take(Instant::now())
            }
            _ => true,
        }
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Guarded<B> {
    type ConnectionHandler = Handler<B::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(id, peer, local, remote).map(|handler| self.guard(handler))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        Ok(self.guard(handler))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if self.passes(&event) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

/// A handler that resets streams of the peer beyond the allowance.
pub(crate) struct Handler<H> {
    inner: H,
    rate: Rate,
    refusals: Arc<Refusals>,
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        self.inner.poll(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        let inbound = matches!(event, ConnectionEvent::FullyNegotiatedInbound(_));
        if inbound && !self.rate.take(Instant::now()) {
            self.refusals.stream();
            return;
        }
        self.inner.on_connection_event(event);
    }
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::behaviour::{ExternalAddrConfirmed, NewExternalAddrCandidate, NewListenAddr};
    use libp2p::swarm::dummy;

    use super::*;

    fn guarded(policy: AddressPolicy) -> Guarded<dummy::Behaviour> {
        Guarded::new(dummy::Behaviour, policy, Allowance::USUAL, &Arc::default())
    }

    #[tokio::test]
    async fn protocols_learn_only_of_addresses_that_are_told() {
        let private: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let public: Multiaddr = "/ip4/203.0.113.1/tcp/1".parse().unwrap();
        let listener_id = libp2p::core::transport::ListenerId::next();
        let all_pass = |policy: AddressPolicy, addr: &Multiaddr| {
            let mut guarded = guarded(policy);
            let listens = guarded.passes(&FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
            let confirmed = guarded.passes(&FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr }));
            let candidate = guarded.passes(&FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr }));
            assert!(listens == confirmed && confirmed == candidate);
            listens
        };
        let strict = AddressPolicy::default();
        assert!(all_pass(strict, &public) && !all_pass(strict, &private));
        assert!(all_pass(AddressPolicy { private: true, ..strict }, &private));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_others_claim_come_at_a_bounded_rate() {
        let mut guarded = guarded(AddressPolicy::default());
        let mut claim = |port: u32| {
            let addr: Multiaddr = format!("/ip4/203.0.113.1/tcp/{port}").parse().unwrap();
            guarded.passes(&FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: &addr }))
        };
        assert!((0..CANDIDATES).all(&mut claim));
        assert!(!claim(CANDIDATES));
        tokio::time::advance(CANDIDATES_PERIOD / CANDIDATES + Duration::from_millis(1)).await;
        assert!(claim(CANDIDATES) && !claim(CANDIDATES + 1));
    }
}
