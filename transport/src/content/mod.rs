//! The content format `v2`: chunks that are sealed, verified, read and resumed one by one. `docs/content-v2.md` is its
//! specification, and says why it is as it is; the modules follow its sections.
//!
//! ```text
//! blob = header ‖ chunk 0 ‖ tag 0 ‖ chunk 1 ‖ tag 1 ‖ … ‖ tree of hashes over the sealed chunks
//! root = hash of header, length and top of the tree; part of the sealed metadata
//! ```
//!
//! Whoever has the [`Root`] and the length can verify any chunk: [`Verifier`], which needs no key and is all that a server gets, beside
//! [`ReceivingBlob`] for whole blobs as they arrive. Whoever
//! has the key of the file too can open it: [`Opener`]. [`ContentKey`] seals chunks, [`Sealer`] whole contents, and
//! [`Layout`] says where everything is. Nothing here does any input or output.
//!
//! ```
//! # #[cfg(feature = "client")] {
//! use transport::content::{Layout, Opener, Sealer, Verifier};
//! use transport::crypto::SecretKey;
//!
//! // the sender; its key is used for one content
//! let (key, mut blob) = (SecretKey::generate(), Vec::new());
//! let mut sealer = Sealer::new(&key, &mut blob);
//! sealer.push(&vec![7; 3_000_000], &mut blob)?;
//! let root = *sealer.finish(&mut blob)?.root();
//!
//! // a receiver that wants some bytes in the middle; `part` stands for requests with ranges
//! let part = |range: std::ops::Range<u64>| blob[range.start as usize..range.end as usize].to_vec();
//! let layout = Layout::of(3_000_000)?;
//! let verifier = Verifier::new(&root, layout, &part(0..48), &part(layout.top()))?;
//! let mut opener = Opener::new(&key, verifier)?;
//!
//! let (wanted, mut plaintext) = (1_048_000..1_049_000, Vec::new());
//! let chunks = layout.chunks_with(&wanted)?;
//! for missing in opener.verifier().missing(&chunks)? {
//!     opener.verifier_mut().add(&missing, &part(missing.blob.clone()))?;
//! }
//! for index in chunks {
//!     let mut chunk = part(layout.sealed_chunk(index)?);
//!     opener.open_chunk(index, &mut chunk)?;
//!     plaintext.extend_from_slice(&chunk[layout.part_of_chunk(index, &wanted)]);
//! }
//! assert_eq!(plaintext, [7; 1000]);
//! # }
//! # Ok::<(), transport::content::ContentError>(())
//! ```

mod error;
mod header;
mod layout;
mod receive;
mod tree;
mod verify;

#[cfg(feature = "client")]
mod key;
#[cfg(feature = "client")]
pub mod manifest;
#[cfg(feature = "client")]
mod open;
#[cfg(feature = "client")]
mod seal;

pub use error::ContentError;
pub use header::{HEADER_LENGTH, Header};
#[cfg(feature = "client")]
pub use key::{ContentKey, chunk_buffer};
pub use layout::{
    BlobPart, CHUNK_LENGTH, ChunkPlace, HASH_LENGTH, Layout, MAX_CHUNKS, MAX_CONTENT_LENGTH, NODE_HASHES,
    SEALED_CHUNK_LENGTH, TreePart,
};
#[cfg(feature = "client")]
pub use open::Opener;
pub use receive::ReceivingBlob;
#[cfg(feature = "client")]
pub use seal::Sealer;
pub use tree::{ChunkHash, Root, Tree, TreeBuilder};
pub use verify::{MAX_KEPT_NODES, VerifiedChunk, Verifier};
