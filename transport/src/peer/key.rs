//! The key of a peer: what a device is called in libp2p, and proves in each handshake (specification, section 2.1).

use std::fmt;

use libp2p_identity::{Keypair, PeerId};
use zeroize::Zeroizing;

use crate::crypto::SignatureKeypair;

/// What the seed of the peer key is derived under.
const LABEL: &[u8] = b"enlace libp2p peer key 1";

/// Bytes of the peer id of an Ed25519 key.
pub(super) const PEER_ID_LENGTH: usize = 38;
/// Multihash `identity`, 36 bytes; protobuf: key type Ed25519, 32 bytes of key.
const PEER_ID_HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The key of a device as a peer of libp2p. It signs nothing but the handshakes and records of libp2p, and the device key signs
/// none of these.
pub struct PeerKey(Keypair);

impl PeerKey {
    /// `Ed25519(HKDF-SHA256(no salt, seed of the device key, "enlace libp2p peer key 1"))`. Always the same for a device.
    #[must_use]
    pub fn derive(device_key: &SignatureKeypair) -> Self {
        let mut seed = device_key.derive_seed(LABEL);
        Self(Keypair::ed25519_from_bytes(seed.as_mut_slice()).expect("any 32 bytes are a seed"))
    }

    /// What the peer is called.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.public().to_peer_id()
    }

    /// The key pair, for libp2p's transports.
    #[must_use]
    pub fn expose_keypair(&self) -> &Keypair {
        &self.0
    }

    /// The seed of the key pair, for a network that makes the same key pair of it.
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        let keypair = self.0.clone().try_into_ed25519().expect("the key was made of a seed of Ed25519");
        Zeroizing::new(keypair.secret().as_ref().try_into().expect("a seed of Ed25519 has 32 bytes"))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerKey").field(&self.peer_id()).finish()
    }
}

/// Reads a peer id, which must be that of an Ed25519 key: those of other keys have other lengths, or hash the key.
pub(super) fn peer_id(bytes: &[u8]) -> Option<PeerId> {
    let fits = bytes.len() == PEER_ID_LENGTH && bytes.starts_with(&PEER_ID_HEAD);
    fits.then(|| PeerId::from_bytes(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_key_is_another_one_than_the_device_key_and_always_the_same() {
        let device_key = SignatureKeypair::from_seed(&[7; 32]);
        let key = PeerKey::derive(&device_key);
        assert_eq!(key.peer_id(), PeerKey::derive(&device_key).peer_id());
        assert!(!key.peer_id().to_bytes().ends_with(device_key.public_key().as_raw()));
        assert_eq!(format!("{key:?}"), format!("PeerKey({:?})", key.peer_id()));
        let again = Keypair::ed25519_from_bytes(key.expose_seed().as_mut_slice()).unwrap();
        assert_eq!(again.public().to_peer_id(), key.peer_id());
    }

    #[test]
    fn only_ids_of_ed25519_keys_are_read() {
        let id = PeerKey::derive(&SignatureKeypair::from_seed(&[7; 32])).peer_id();
        assert_eq!(peer_id(&id.to_bytes()), Some(id));
        let hashed = [&[0x12, 0x20][..], &[1; 32]].concat();
        assert!(PeerId::from_bytes(&hashed).is_ok());
        assert_eq!(peer_id(&hashed), None);
        assert_eq!(peer_id(&id.to_bytes()[1..]), None);
    }
}
