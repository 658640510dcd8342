//! The handler of one connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::StreamProtocol;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::accept::Accept;
use super::rate::Rate;
use super::{InboundStream, Streams};
use crate::OpenError;
use crate::connection::{Connection, HandlerEnd, OPEN_TIME, OpenRequest};
use crate::stream::{Place, Stream};

/// Opens the streams that handles of the connection ask for, and hands out those that the peer opens.
pub(crate) struct Handler {
    connection: Connection,
    end: HandlerEnd,
    streams: Arc<Streams>,
    places: Arc<Semaphore>,
    rate: Rate,
    closing: bool,
}

/// Somebody asked for the connection to be closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedToClose;

impl Handler {
    pub(super) fn new(connection: Connection, end: HandlerEnd, streams: Arc<Streams>) -> Self {
        let limits = streams.limits;
        Self {
            connection,
            end,
            streams,
            places: Arc::new(Semaphore::new(limits.inbound_streams_per_connection.min(Semaphore::MAX_PERMITS))),
            rate: Rate::new(limits.inbound_streams_per_second, Duration::from_secs(1), Instant::now()),
            closing: false,
        }
    }

    /// Hands out a stream, or resets and counts it.
    fn accept(&mut self, stream: libp2p::Stream, agreed: &StreamProtocol) {
        let refused = self.place().and_then(|place| self.hand_out(stream, agreed, place)).is_none();
        if refused {
            self.streams.refusals.stream();
            tracing::debug!(peer = %self.connection.peer(), protocol = %agreed, "refused a stream");
        }
    }

    /// A place for one more stream, if no limit is reached.
    fn place(&mut self) -> Option<Place> {
        let of_connection = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.streams.places).try_acquire_owned().ok()?;
        let of_host = self.streams.hosts.place(&self.connection.address())?;
        let place = Place { _of_connection: of_connection, _of_host: Some(of_host), _of_all: Some(of_all) };
        self.rate.take(Instant::now()).then_some(place)
    }

    /// The channel has room for each stream that has a place, so it refuses only when nobody listens.
    fn hand_out(&self, stream: libp2p::Stream, agreed: &StreamProtocol, place: Place) -> Option<()> {
        let protocol = self.streams.accept.name(agreed)?;
        let stream = Stream::new(stream, Arc::clone(&self.end.traffic), place);
        let inbound = InboundStream { connection: self.connection.clone(), protocol, stream };
        self.streams.inbound.try_send(inbound).ok()
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = AskedToClose;
    type InboundProtocol = Accept;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenRequest;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(self.streams.accept.clone(), ()).with_timeout(OPEN_TIME)
    }

    fn connection_keep_alive(&self) -> bool {
        self.end.control.is_kept()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, OpenRequest, AskedToClose>> {
        self.end.control.register(cx.waker());
        if self.end.control.asks_to_close() && !self.closing {
            self.closing = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(AskedToClose));
        }
        match self.end.poll_request(cx) {
            Some(request) => {
                let upgrade = ReadyUpgrade::new(request.protocol.clone());
                let protocol = SubstreamProtocol::new(upgrade, request).with_timeout(OPEN_TIME);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), OpenRequest>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, agreed), .. }) => {
                self.accept(stream, &agreed);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: request }) => {
                let place = Place { _of_connection: request.place, _of_host: None, _of_all: None };
                let stream = Stream::new(stream, Arc::clone(&self.end.traffic), place);
                // Who asked may have gone: then the stream is dropped, which resets it.
                drop(request.answer.send(Ok(stream)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: request, error }) => {
                drop(request.answer.send(Err(refusal(error))));
            }
            _ => {}
        }
    }
}

fn refusal(error: StreamUpgradeError<Infallible>) -> OpenError {
    match error {
        StreamUpgradeError::Timeout => OpenError::TimedOut,
        StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
        StreamUpgradeError::Io(error) => OpenError::Io(error),
        StreamUpgradeError::Apply(never) => match never {},
    }
}
