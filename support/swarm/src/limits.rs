//! Bounds on what peers can make grow, and counts of what was refused because of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds of a network. What exceeds one is refused; nothing waits for a place.
///
/// Memory of a connection over TCP or a relay: each stream buffers up to 256 KiB before the application reads it, and a connection has at most 176 of
/// them, both directions together, or 112 more than `inbound_streams_per_connection` if that is larger than 64. Those that the application has read
/// fast so far buffer more: 8 to 20 MiB on all streams of a connection together, the more the longer the handshake took. That of QUIC is bounded by `quic_window` and `quic_memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total. Of these an eighth is for those that this side opens, so that strangers cannot cut it off.
    pub connections: usize,
    /// Open connections to one peer. When the peer opens one more, one of its own inbound ones is closed for it that has carried nothing for 2 seconds,
    /// because it may be dead without anybody knowing: its end was killed, or is in another network. Those without a sign of life come first, then those
    /// that nobody uses. While they close there are as many again at most; what comes then is refused, as is what comes while all carry something. A relay
    /// always refuses: other peers may use the connection that it would close.
    pub connections_per_peer: usize,
    /// Connections from one IP address (IPv6: one /64), except from this host and over relays.
    pub connections_per_address: usize,
    /// Inbound connections whose handshake is not complete.
    pub pending_inbound: usize,
    /// The same from one IP address (IPv6: one /64), so that one host cannot take all places.
    pub pending_inbound_per_address: usize,
    /// Dials that are not complete.
    pub pending_outbound: usize,
    /// Inbound streams of one connection at a time.
    pub inbound_streams_per_connection: usize,
    /// New inbound streams of one connection per second; the same number may come at once.
    pub inbound_streams_per_second: u32,
    /// Inbound streams of all connections at a time. Connections from one IP address (IPv6: one /64), this host included, have a quarter of them, or
    /// `inbound_streams_per_connection` if that is more; those through a relay count for the address of the relay.
    pub inbound_streams: usize,
    /// Bytes that all streams of a QUIC connection together buffer before the application reads them; one stream buffers a quarter of it.
    pub quic_window: u32,
    /// Bytes that all QUIC connections may buffer together, which bounds how many there are. Of these an eighth is for those that this side opens, and
    /// those from one IP address (IPv6: one /64) have a quarter, except from this host. Who is refused can connect over TCP.
    pub quic_memory: usize,
}

impl Limits {
    /// QUIC connections in total.
    pub(crate) fn quic_connections(&self) -> usize {
        self.quic_memory / usize::try_from(self.quic_window.max(1)).unwrap_or(usize::MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_peer: 4,
            connections_per_address: 64,
            pending_inbound: 64,
            pending_inbound_per_address: 16,
            pending_outbound: 64,
            inbound_streams_per_connection: 16,
            inbound_streams_per_second: 64,
            inbound_streams: 256,
            // One stream carries 70 MB/s over a round trip of 60 ms, and four that nobody reads are needed to stall a connection.
            quic_window: 16 * 1024 * 1024,
            quic_memory: 1024 * 1024 * 1024,
        }
    }
}

/// What was refused, or ended, because of [`Limits`] since the network started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Inbound streams that were reset.
    pub streams: u64,
    /// Connections, both directions.
    pub connections: u64,
    /// Connections that were closed for a newer one of the same peer.
    pub replaced: u64,
}

/// Counts refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    streams: AtomicU64,
    connections: AtomicU64,
    replaced: AtomicU64,
}

impl Refusals {
    pub(crate) fn stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> Refused {
        let [streams, connections, replaced] =
            [&self.streams, &self.connections, &self.replaced].map(|count| count.load(Ordering::Relaxed));
        Refused { streams, connections, replaced }
    }
}
