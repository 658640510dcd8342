//! BLAKE3 in its key derivation mode: one context per purpose, so that no hash or key serves two.
//!
//! For own formats only; what other clients read has the hashes that their protocol prescribes.

/// What a hash is of. The contexts are part of the format `v2` (`docs/content-v2.md`, section 2) and of the protocols between
/// peers (`docs/peer-protocols.md`, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashContext {
    /// A sealed chunk.
    Chunk,
    /// A node of the tree: hashes of chunks or nodes.
    Node,
    /// The root of the tree.
    Root,
    /// The key that seals chunks.
    #[cfg(feature = "client")]
    ChunkKey,
    /// The commitment to the key.
    #[cfg(feature = "client")]
    KeyCommitment,
    /// A channel between two peers: who they are, and their nonces.
    #[cfg(feature = "client")]
    Channel,
    /// The proof that a peer knows the password of a token.
    #[cfg(feature = "client")]
    PasswordProof,
    /// The proof that the receiver of a code knows it.
    #[cfg(feature = "client")]
    CodeConfirmation,
    /// The key that seals the reference behind a code.
    #[cfg(feature = "client")]
    CodeReference,
    /// What two persons compare after a code was used.
    #[cfg(feature = "client")]
    CodeFingerprint,
}

impl HashContext {
    fn text(self) -> &'static str {
        match self {
            Self::Chunk => "enlace content v2 2026-11-29 chunk",
            Self::Node => "enlace content v2 2026-11-29 node",
            Self::Root => "enlace content v2 2026-11-29 root",
            #[cfg(feature = "client")]
            Self::ChunkKey => "enlace content v2 2026-11-29 chunk key",
            #[cfg(feature = "client")]
            Self::KeyCommitment => "enlace content v2 2026-11-29 key commitment",
            #[cfg(feature = "client")]
            Self::Channel => "enlace peer 1 2026-11-29 channel",
            #[cfg(feature = "client")]
            Self::PasswordProof => "enlace peer 1 2026-11-29 password proof",
            #[cfg(feature = "client")]
            Self::CodeConfirmation => "enlace peer 1 2026-11-29 code confirmation",
            #[cfg(feature = "client")]
            Self::CodeReference => "enlace peer 1 2026-11-29 code reference",
            #[cfg(feature = "client")]
            Self::CodeFingerprint => "enlace peer 1 2026-11-29 code fingerprint",
        }
    }
}

/// A hash over bytes that arrive piece by piece.
pub(crate) struct ContextHash(blake3::Hasher);

impl ContextHash {
    /// `BLAKE3` of no bytes yet, in the mode `derive_key` under a context.
    pub(crate) fn new(context: HashContext) -> Self {
        Self(blake3::Hasher::new_derive_key(context.text()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// `BLAKE3-derive_key(context, key)`. Wipes what it computes with.
#[cfg(feature = "client")]
pub(crate) fn derive(context: HashContext, key: &super::SecretKey) -> [u8; 32] {
    use zeroize::Zeroize as _;

    let mut hasher = blake3::Hasher::new_derive_key(context.text());
    hasher.update(key.expose());
    let mut output = hasher.finalize();
    let derived = output.into();
    output.zeroize();
    hasher.zeroize();
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_blake3_in_its_key_derivation_mode() {
        let mut hash = ContextHash::new(HashContext::Chunk);
        hash.update(b"a");
        hash.update(b"bc");
        assert_eq!(hash.finish(), blake3::derive_key(HashContext::Chunk.text(), b"abc"));
    }

    #[test]
    fn each_purpose_has_a_context_of_its_own() {
        let contexts = [
            HashContext::Chunk,
            HashContext::Node,
            HashContext::Root,
            #[cfg(feature = "client")]
            HashContext::ChunkKey,
            #[cfg(feature = "client")]
            HashContext::KeyCommitment,
            #[cfg(feature = "client")]
            HashContext::Channel,
            #[cfg(feature = "client")]
            HashContext::PasswordProof,
            #[cfg(feature = "client")]
            HashContext::CodeConfirmation,
            #[cfg(feature = "client")]
            HashContext::CodeReference,
            #[cfg(feature = "client")]
            HashContext::CodeFingerprint,
        ];
        let texts: std::collections::BTreeSet<_> = contexts.iter().map(|context| context.text()).collect();
        assert_eq!(texts.len(), contexts.len());
    }
}
