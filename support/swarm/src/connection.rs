//! A connection to a peer.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::OpenError;
use crate::address;
use crate::path::{Path, PathKind};
use crate::stream::{Stream, Traffic};

/// How long opening a stream may take.
pub(crate) const OPEN_TIME: Duration = Duration::from_secs(10);

/// Streams that this side has open on one connection at a time; more wait for their turn within [`OPEN_TIME`]. The other side would end a connection
/// with many more.
pub(crate) const OUTGOING_STREAMS: usize = 64;

/// How long the peer may take to answer [`Connection::check`]. Long enough for a packet that is lost twice on a slow line.
pub const CHECK_TIME: Duration = Duration::from_secs(3);

/// How long the peer may take to answer when nobody waits for it: nothing is known of the connection itself, and it may be busy.
pub(crate) const PATIENT_CHECK_TIME: Duration = Duration::from_secs(20);

/// What [`Connection::check`] asks for. Nobody speaks it: the refusal is the answer.
const CHECK_PROTOCOL: StreamProtocol = StreamProtocol::new("/enlace/check/1");

/// Checks of one connection that wait for their answers; one of each kind runs at a time, and those before it were given up.
const CHECKS: usize = 4;

/// A connection to a peer. All clones are the same connection; holding one does not keep it open.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    id: ConnectionId,
    peer: PeerId,
    role: Role,
    transport: TransportKind,
    path: Path,
    address: RwLock<Multiaddr>,
    /// The address of this side, if the peer opened the connection: of those that this side opens, libp2p does not tell it.
    local: Option<IpAddr>,
    /// Microseconds, 0 for unknown.
    latency: AtomicU64,
    traffic: Arc<Traffic>,
    control: Arc<Control>,
    outgoing: Arc<Semaphore>,
    /// Places of streams for checks, which are not among those of the application.
    checks: Arc<Semaphore>,
    checking: Mutex<()>,
    checking_patiently: Mutex<()>,
    requests: mpsc::Sender<OpenRequest>,
    /// Closed when the handler of the connection is gone.
    open: watch::Receiver<()>,
}

/// Which side opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This peer.
    Dialer,
    /// The other one.
    Listener,
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// TCP with TLS or Noise, and yamux.
    Tcp,
    /// QUIC.
    Quic,
    /// A channel within this process.
    Memory,
    /// A stream through a relay, with TLS or Noise, and yamux, end to end.
    Relay,
}

impl Role {
    /// The role of who dialled. For a hole punch one side dials in the role of a listener, which QUIC in libp2p ignores unless it may not use its port
    /// again: without this both ends of such a connection would be listeners.
    pub(crate) fn of_dial(role: Endpoint, port: PortUse, transport: TransportKind) -> Self {
        match (role, port, transport) {
            (Endpoint::Listener, PortUse::Reuse, TransportKind::Quic) | (Endpoint::Dialer, ..) => Self::Dialer,
            (Endpoint::Listener, ..) => Self::Listener,
        }
    }
}

impl TransportKind {
    pub(crate) fn of(address: &Multiaddr) -> Self {
        if address::is_relayed(address) {
            return Self::Relay;
        }
        let quic = address.iter().any(|part| matches!(part, Protocol::QuicV1 | Protocol::Quic));
        match address.iter().next() {
            Some(Protocol::Memory(_)) => Self::Memory,
            _ if quic => Self::Quic,
            _ => Self::Tcp,
        }
    }

    /// The word for it in interfaces: `tcp`, `quic`, `memory`, `relay`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Memory => "memory",
            Self::Relay => "relay",
        }
    }
}

/// Keeps a connection open although it has no streams, until it is dropped. It does not outlive a connection that breaks.
#[must_use = "the connection is kept only as long as this is held"]
pub struct KeepAlive(Arc<Control>);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(1, Ordering::AcqRel);
        // The handler starts the idle time.
        self.0.waker.wake();
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive").finish_non_exhaustive()
    }
}

/// What handles ask of the handler of their connection.
#[derive(Debug, Default)]
pub(crate) struct Control {
    kept: AtomicUsize,
    close: AtomicBool,
    waker: AtomicWaker,
}

impl Control {
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire) > 0
    }

    pub(crate) fn asks_to_close(&self) -> bool {
        self.close.load(Ordering::Acquire)
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

/// Bytes that streams of connections received and sent, up to now.
pub(crate) struct Carried(HashMap<ConnectionId, (u64, u64)>);

impl Carried {
    pub(crate) fn by<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Self {
        let counted = |counted: &Connection| (counted.id(), (counted.received(), counted.sent()));
        Self(connections.into_iter().map(counted).collect())
    }

    /// Whether one of them has carried something since, or has begun. That one is gone is no sign of life.
    fn has_more_than(&self, before: &Self) -> bool {
        self.0.iter().any(|(id, bytes)| before.0.get(id) != Some(bytes))
    }
}

/// A stream that somebody wants on a connection.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) protocol: StreamProtocol,
    pub(crate) answer: oneshot::Sender<Result<Stream, OpenError>>,
    /// Its place among those that this side may have open.
    pub(crate) place: OwnedSemaphorePermit,
}

/// What the handler of a connection holds of it.
pub(crate) struct HandlerEnd {
    pub(crate) requests: mpsc::Receiver<OpenRequest>,
    pub(crate) control: Arc<Control>,
    pub(crate) traffic: Arc<Traffic>,
    _open: watch::Sender<()>,
}

impl HandlerEnd {
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) -> Option<OpenRequest> {
        match self.requests.poll_recv(cx) {
            std::task::Poll::Ready(request) => request,
            std::task::Poll::Pending => None,
        }
    }
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        peer: PeerId,
        role: Role,
        address: &Multiaddr,
        local: Option<IpAddr>,
        path: PathKind,
    ) -> (Self, HandlerEnd) {
        let (requests, received) = mpsc::channel(OUTGOING_STREAMS);
        let (still_open, open) = watch::channel(());
        let (control, traffic) = (Arc::<Control>::default(), Arc::<Traffic>::default());
        let end = HandlerEnd {
            requests: received,
            control: Arc::clone(&control),
            traffic: Arc::clone(&traffic),
            _open: still_open,
        };
        let shared = Shared {
            id,
            peer,
            role,
            transport: TransportKind::of(address),
            path: Path::new(path),
            address: RwLock::new(address::without_peer(address.clone())),
            local,
            latency: AtomicU64::new(0),
            traffic,
            control,
            outgoing: Arc::new(Semaphore::new(OUTGOING_STREAMS)),
            checks: Arc::new(Semaphore::new(CHECKS)),
            checking: Mutex::default(),
            checking_patiently: Mutex::default(),
            requests,
            open,
        };
        (Self(Arc::new(shared)), end)
    }

    /// Its number, unique within this process.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// The peer at the other end, as the handshake has authenticated it.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.0.peer
    }

    /// Which side opened it. After a hole punch the sides agree on it too, whoever dialled.
    #[must_use]
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// How it gets to the peer.
    #[must_use]
    pub fn path(&self) -> PathKind {
        self.0.path.kind()
    }

    /// What carries it.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.0.transport
    }

    /// The address of the other end, without `/p2p` at its end; if a relay is in between, that of the relay with `/p2p-circuit`.
    #[must_use]
    pub fn address(&self) -> Multiaddr {
        self.0.address.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The host at the other end, or the relay in between; none within this process. Of an IPv6 address it is the /64 that one host has.
    #[must_use]
    pub fn host(&self) -> Option<IpAddr> {
        address::host(&self.address())
    }

    /// Bytes that streams of [`Connection::open`] and [`crate::Inbound`] received.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.traffic.received()
    }

    /// Bytes that streams of [`Connection::open`] and [`crate::Inbound`] sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.traffic.sent()
    }

    /// When its streams last carried a byte, or it began.
    pub(crate) fn idle_since(&self) -> Instant {
        self.0.traffic.idle_since()
    }

    /// When its peer last gave a sign of life: a byte on one of its streams, or an answer to a ping.
    pub(crate) fn alive_at(&self) -> Instant {
        self.0.traffic.alive_at()
    }

    /// Whether it has streams, or somebody keeps it open.
    pub(crate) fn is_used(&self) -> bool {
        self.0.traffic.open_streams() > 0 || self.0.control.is_kept()
    }

    /// The last measured time for a message there and back.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        match self.0.latency.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Whether it is open, as far as this side knows.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open.has_changed().is_ok() && !self.0.control.asks_to_close()
    }

    /// Waits until it is closed. Cancel-safe.
    pub async fn closed(&self) {
        let mut open = self.0.open.clone();
        while open.changed().await.is_ok() {}
    }

    /// Opens a stream on this connection and agrees with the peer on `protocol`, within 10 seconds. A connection has at most 64 streams of this side; the
    /// next one waits until one of them is dropped.
    ///
    /// Success says that the peer speaks the protocol. A peer that has reached one of its limits resets the stream afterwards, so the first read fails.
    /// Cancel-safe: a stream that nobody waits for any more is reset.
    ///
    /// # Errors
    ///
    /// [`OpenError`], if the connection is closed, the peer does not speak the protocol, or does not answer.
    pub async fn open(&self, protocol: &'static str) -> Result<Stream, OpenError> {
        let protocol = StreamProtocol::try_from_owned(protocol.to_owned()).map_err(|_| OpenError::InvalidProtocol)?;
        tokio::time::timeout(OPEN_TIME, self.request(protocol)).await.unwrap_or(Err(OpenError::TimedOut))
    }

    async fn request(&self, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let place = Arc::clone(&self.0.outgoing).acquire_owned();
        let place = tokio::select! {
            place = place => place.map_err(|_| OpenError::Closed)?,
            () = self.closed() => return Err(OpenError::Closed),
        };
        self.request_at(place, protocol).await
    }

    async fn request_at(&self, place: OwnedSemaphorePermit, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let (answer, answered) = oneshot::channel();
        let request = OpenRequest { protocol, answer, place };
        self.0.requests.send(request).await.map_err(|_| OpenError::Closed)?;
        answered.await.unwrap_or(Err(OpenError::Closed))
    }

    /// Asks the peer for a sign of life, and closes the connection if none comes within [`CHECK_TIME`]. Returns whether it is open.
    ///
    /// A broken path is noticed late by who only reads: TCP waits for ever, and QUIC for its idle time-out. Bytes that the application meanwhile reads of
    /// any stream are a sign of life, too, because an answer waits behind them; so are bytes that it writes and the connection takes, because the question
    /// waits behind those. Who writes to a broken path is therefore told by a later check, when the connection takes no more. Checks of one connection run
    /// one after the other. Cancel-safe.
    pub async fn check(&self) -> bool {
        let _turn = self.0.checking.lock().await;
        self.stays_open(CHECK_TIME, || Carried::by([self])).await
    }

    /// The same within [`PATIENT_CHECK_TIME`], with more traffic as a sign of life. Does nothing if such a check runs.
    pub(crate) async fn check_patiently(&self, traffic: impl Fn() -> Carried) {
        if let Ok(_turn) = self.0.checking_patiently.try_lock() {
            self.stays_open(PATIENT_CHECK_TIME, traffic).await;
        }
    }

    async fn stays_open(&self, time: Duration, traffic: impl Fn() -> Carried) -> bool {
        if !self.is_open() {
            return false;
        }
        let before = traffic();
        let answered = tokio::time::timeout(time, self.ask_for_refusal()).await;
        let is_alive = answered.unwrap_or_else(|_| traffic().has_more_than(&before));
        if !is_alive {
            tracing::debug!(peer = %self.peer(), address = %self.address(), "a connection does not answer any more");
            self.close();
        }
        is_alive
    }

    /// Whether the peer answers at all, however late; that it does not speak the protocol is an answer.
    async fn ask_for_refusal(&self) -> bool {
        loop {
            let Ok(place) = Arc::clone(&self.0.checks).acquire_owned().await else { return false };
            match self.request_at(place, CHECK_PROTOCOL).await {
                // The time of one stream; the check may have more.
                Err(OpenError::TimedOut) => {}
                Err(OpenError::Closed) => return false,
                // A refusal, or a stream that was reset.
                Ok(_) | Err(_) => return self.is_open(),
            }
        }
    }

    /// Keeps the connection open although it has no streams, as long as the result is held.
    pub fn keep_alive(&self) -> KeepAlive {
        self.0.control.kept.fetch_add(1, Ordering::AcqRel);
        self.0.control.waker.wake();
        KeepAlive(Arc::clone(&self.0.control))
    }

    /// Closes the connection, and all streams on it with it.
    pub fn close(&self) {
        self.0.control.close.store(true, Ordering::Release);
        self.0.control.waker.wake();
    }

    /// The address of this side, if it is known.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        self.0.local
    }

    /// The peer has answered a ping after this time.
    pub(crate) fn answered(&self, latency: Duration) {
        self.0.traffic.add_answer();
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        self.0.latency.store(micros, Ordering::Relaxed);
    }

    /// Whether the path was another one before.
    pub(crate) fn set_path(&self, path: PathKind) -> bool {
        self.0.path.change(path)
    }

    pub(crate) fn set_address(&self, address: &Multiaddr) {
        *self.0.address.write().unwrap_or_else(PoisonError::into_inner) = address::without_peer(address.clone());
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Connection {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("role", &self.role())
            .field("path", &self.path())
            .field("address", &self.address())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_punched_connection_have_different_roles() {
        use {Endpoint as E, PortUse as P, TransportKind as T};
        let table = [
            (E::Dialer, P::Reuse, T::Tcp, Role::Dialer),
            (E::Dialer, P::New, T::Quic, Role::Dialer),
            (E::Listener, P::Reuse, T::Tcp, Role::Listener),
            (E::Listener, P::New, T::Tcp, Role::Listener),
            (E::Listener, P::Reuse, T::Quic, Role::Dialer),
            (E::Listener, P::New, T::Quic, Role::Listener),
        ];
        for (role, port, transport, expected) in table {
            assert_eq!(Role::of_dial(role, port, transport), expected, "{role:?} {port:?} {transport:?}");
        }
    }
}
