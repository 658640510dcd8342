//! Checksums of the bytes of one request.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Every server has to know it. It finds accidents; who seeks protection uses another one.
    Sha1,
    Sha256,
    Sha512,
    /// Not among those that the protocol names, and several times as fast as they are.
    Blake3,
}

/// The checksum that bytes shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) expected: Vec<u8>,
}

/// Computes a checksum.
pub(super) enum Computing {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Algorithm {
    /// The names of all, as they are told.
    pub(crate) const NAMES: &'static str = "blake3,sha1,sha256,sha512";

    /// The algorithm with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            "blake3" => Some(Self::Blake3),
            _ => None,
        }
    }
}

impl Checksum {
    pub(super) fn begin(&self) -> Computing {
        match self.algorithm {
            Algorithm::Sha1 => Computing::Sha1(Sha1::new()),
            Algorithm::Sha256 => Computing::Sha256(Sha256::new()),
            Algorithm::Sha512 => Computing::Sha512(Sha512::new()),
            Algorithm::Blake3 => Computing::Blake3(Box::default()),
        }
    }

    /// Whether this was computed.
    pub(super) fn is(&self, computed: Computing) -> bool {
        self.expected == computed.finish()
    }
}

impl Computing {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
            Self::Blake3(hash) => {
                hash.update(bytes);
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
            Self::Blake3(hash) => hash.finalize().as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_algorithm_is_known_and_computes_its_own() {
        let lengths = Algorithm::NAMES.split(',').map(|name| {
            let checksum = Checksum { algorithm: Algorithm::named(name).unwrap(), expected: Vec::new() };
            let mut computing = checksum.begin();
            computing.add(b"abc");
            computing.finish().len()
        });
        assert_eq!(lengths.collect::<Vec<_>>(), [32, 20, 32, 64]);
        assert_eq!(Algorithm::named("md5"), None);
    }
}
