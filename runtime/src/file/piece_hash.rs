//! The SHA-512 of a blob that is made piece by piece. It takes longer than sealing, so it is computed on another thread while the next piece is
//! read and sealed.

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};
use transport::crypto::hash::{Sha512Hash, Sha512Stream};

use crate::blocking::joined;

/// The hash of the pieces so far.
#[derive(Default)]
pub(super) struct PieceHash {
    hash: Sha512Stream,
    /// The hash with the last piece, while that is added.
    adding: Option<JoinHandle<Sha512Stream>>,
}

impl PieceHash {
    /// Begins to add a piece as soon as those before are added. Cancel-safe: dropped before it returns, nothing is added.
    pub(super) async fn add(&mut self, piece: Bytes) {
        self.added().await;
        let mut hash = std::mem::take(&mut self.hash);
        self.adding = Some(spawn_blocking(move || {
            hash.update(&piece);
            hash
        }));
    }

    /// The hash of all pieces. Starts anew.
    pub(super) async fn finish(&mut self) -> Sha512Hash {
        self.added().await;
        std::mem::take(&mut self.hash).finish_hash()
    }

    async fn added(&mut self) {
        if let Some(adding) = &mut self.adding {
            self.hash = joined(adding).await;
            self.adding = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_are_hashed_in_their_order() {
        let mut hash = PieceHash::default();
        assert_eq!(hash.finish().await, Sha512Hash::of(b""));
        for piece in [&b"some"[..], b"", b" pieces", b"."] {
            hash.add(Bytes::from_static(piece)).await;
        }
        assert_eq!(hash.finish().await, Sha512Hash::of(b"some pieces."));
    }
}
