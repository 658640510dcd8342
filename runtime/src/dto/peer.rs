//! Peers and connectivity as users see them.

use serde::{Deserialize, Serialize};
use transport::wire::{Address, DeviceId, Timestamp};

use crate::peer::Path;

/// A peer that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its peer id, in base58.
    pub id: String,
    /// The identity that it has proven; absent for a stranger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub address: Option<Address>,
    /// The device of this identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub device: Option<DeviceId>,
    /// How it is reached. Never `backbone`.
    pub path: Path,
    /// `tcp`, `quic` or `relay`.
    pub transport: String,
    /// The multiaddr of its end.
    pub remote_address: String,
    /// Whether it has opened the connection.
    pub is_inbound: bool,
    /// Round-trip time, once measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_milliseconds: Option<u64>,
    /// Bytes of streams that came from it.
    pub received: u64,
    /// Bytes of streams that went to it.
    pub sent: u64,
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub connected_at: Timestamp,
}

/// How this node can be reached by peers, and what it uses to reach them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Connectivity {
    /// The peer id of this node, in base58.
    pub id: String,
    /// Multiaddrs at which it listens.
    pub listen: Vec<String>,
    /// Multiaddrs at which others have seen it, or have confirmed to reach it.
    pub observed: Vec<String>,
    /// Multiaddrs that references carry, best first.
    pub addresses: Vec<String>,
    /// `unknown`, `public` or `private`.
    pub nat: String,
    /// Relays that it is configured to use.
    pub relays: Vec<Relay>,
    /// Rendezvous servers that it is configured to use.
    pub rendezvous: Vec<String>,
    /// Whether it finds peers in the local network.
    pub mdns: bool,
    /// Whether it takes part in a distributed hash table.
    pub dht: bool,
    /// Until when it can prove its identity; absent if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub certificate_valid_until: Option<Timestamp>,
    /// Connections to peers.
    pub connections: usize,
}

/// A relay that a node uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Relay {
    /// Its multiaddr.
    pub address: String,
    /// Whether it has granted a reservation, by which others reach this node.
    pub is_reserved: bool,
}
