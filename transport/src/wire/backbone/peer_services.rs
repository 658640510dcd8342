//! `/api/enlace/v1/PeerServices`: what the process of a backbone does for peers, and where its peer is. Needs no login.
//!
//! The server says with [`EXTENSION`] in the header [`ENLACE_EXTENSION`](super::uploads::header::ENLACE_EXTENSION) of
//! `OPTIONS /api/enlace/v1/Uploads` that it has them.

use serde::{Deserialize, Serialize};

/// The name of the extension.
pub const EXTENSION: &str = "peers";
/// Where the services are described, below the base URL of the backbone.
pub const PATH: &str = "/api/enlace/v1/PeerServices";
/// Addresses that a reader takes; further ones are left out.
pub const MAX_ADDRESSES: usize = 16;
/// Characters of the longest address.
pub const MAX_ADDRESS_LENGTH: usize = 256;
/// Characters of the longest peer id.
pub const MAX_PEER_ID_LENGTH: usize = 64;

/// The answer to `GET /PeerServices`.
///
/// Nothing of it is proven: who dials an address learns from the handshake whether the peer has this id. What is read is bounded;
/// addresses that are too long, contain white space, or lead to another peer are left out, so that later versions can write others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Received")]
pub struct PeerServices {
    /// The peer id, in base58.
    pub peer_id: String,
    /// Multiaddrs of the peer, the best one first. Each ends in `/p2p/` and the peer id.
    pub addresses: Vec<String>,
    /// Whether it relays connections between peers (circuit relay v2).
    pub relay: bool,
    /// Whether it keeps registrations, by which peers find each other (rendezvous).
    pub rendezvous: bool,
}

/// The same before it is checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    peer_id: String,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    relay: bool,
    #[serde(default)]
    rendezvous: bool,
}

/// A text that is no peer id.
#[derive(Debug, thiserror::Error)]
#[error("the peer id is invalid")]
struct InvalidPeerId;

impl TryFrom<Received> for PeerServices {
    type Error = InvalidPeerId;

    fn try_from(received: Received) -> Result<Self, InvalidPeerId> {
        let Received { peer_id, mut addresses, relay, rendezvous } = received;
        let is_base58 = peer_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_base58 || !(1..=MAX_PEER_ID_LENGTH).contains(&peer_id.len()) {
            return Err(InvalidPeerId);
        }
        let end = format!("/p2p/{peer_id}");
        addresses.retain(|address| {
            address.starts_with('/')
                && address.ends_with(&end)
                && address.len() <= MAX_ADDRESS_LENGTH
                && address.bytes().all(|byte| byte.is_ascii_graphic())
        });
        addresses.truncate(MAX_ADDRESSES);
        Ok(Self { peer_id, addresses, relay, rendezvous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWGjMCnr8LcUjwmYjKCHNmhLEBmUGmvsxmCoCbVYrNNEwA";

    fn services(addresses: Vec<String>) -> PeerServices {
        PeerServices { peer_id: ID.to_owned(), addresses, relay: true, rendezvous: false }
    }

    fn read_back(services: &PeerServices) -> PeerServices {
        serde_json::from_str(&serde_json::to_string(services).unwrap()).unwrap()
    }

    #[test]
    fn services_have_the_documented_members() {
        let text = format!(
            r#"{{"peerId":"{ID}","addresses":["/dns/relay.example.org/tcp/4712/p2p/{ID}"],"relay":true,"rendezvous":false}}"#
        );
        let services: PeerServices = serde_json::from_str(&text).unwrap();
        assert_eq!(services, self::services(vec![format!("/dns/relay.example.org/tcp/4712/p2p/{ID}")]));
        assert_eq!(serde_json::to_string(&services).unwrap(), text);
    }

    #[test]
    fn what_is_missing_is_not_offered_and_what_is_new_is_ignored() {
        let read: PeerServices = serde_json::from_str(&format!(r#"{{"peerId":"{ID}","later":[1]}}"#)).unwrap();
        assert_eq!((read.addresses.len(), read.relay, read.rendezvous), (0, false, false));
    }

    #[test]
    fn addresses_are_bounded_in_number_and_length() {
        let address = |filler: usize| format!("/dns/{}/tcp/1/p2p/{ID}", "a".repeat(filler));
        let most = vec![address(1); MAX_ADDRESSES];
        assert_eq!(read_back(&services(most.clone())).addresses, most);
        assert_eq!(read_back(&services([most.clone(), vec![address(2)]].concat())).addresses, most);
        let longest = address(MAX_ADDRESS_LENGTH - address(0).len());
        assert_eq!(longest.len(), MAX_ADDRESS_LENGTH);
        assert_eq!(read_back(&services(vec![longest.clone()])).addresses, [longest]);
        assert!(read_back(&services(vec![address(MAX_ADDRESS_LENGTH - address(0).len() + 1)])).addresses.is_empty());
    }

    #[test]
    fn addresses_of_other_peers_and_what_cannot_be_shown_are_left_out() {
        for address in [
            "/ip4/127.0.0.1/tcp/1".to_owned(),
            format!("/ip4/127.0.0.1/tcp/1/p2p/{ID}x"),
            format!("/ip4/127.0.0.1/tcp/1 /p2p/{ID}"),
            format!("/ip4/127.0.0.1\u{1b}[2J/tcp/1/p2p/{ID}"),
            format!("ip4/127.0.0.1/tcp/1/p2p/{ID}"),
        ] {
            assert!(read_back(&services(vec![address.clone()])).addresses.is_empty(), "{address:?}");
        }
    }

    #[test]
    fn a_peer_id_is_bounded() {
        let read = |id: &str| serde_json::from_value::<PeerServices>(serde_json::json!({ "peerId": id }));
        assert!(read(&"1".repeat(MAX_PEER_ID_LENGTH)).is_ok());
        for id in ["", "a/b", "a b", &"1".repeat(MAX_PEER_ID_LENGTH + 1)] {
            assert!(read(id).is_err(), "{id:?}");
        }
    }
}
