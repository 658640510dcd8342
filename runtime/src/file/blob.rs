//! Seals a content of format `v2` whose length is not known while it is read: chunk by chunk, in constant memory, several chunks
//! at the same time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;
use transport::content::{
    CHUNK_LENGTH, ChunkHash, ChunkPlace, ContentError, ContentKey, HASH_LENGTH, Layout, MAX_CONTENT_LENGTH, Root,
    SEALED_CHUNK_LENGTH, Tree, TreeBuilder,
};
use transport::crypto::SecretKey;
use transport::crypto::hash::Sha512Hash;
use zeroize::Zeroizing;

use super::piece_hash::PieceHash;
use super::several::WrongLength;
use super::{Observer, Phase, Progress};
use crate::blocking::joined;
use crate::chunk_buffers::ChunkBuffers;
use crate::content_store::Keeping;
use crate::source::SourceError;
use crate::{Error, Result};

/// Chunks that are handed out together.
const CHUNKS_OF_PIECE: usize = 4;
/// Chunks that are sealed at the same time.
const SEALED_AT_ONCE: usize = 2;

/// A chunk on another thread.
type Sealing = JoinHandle<Result<(Vec<u8>, ChunkHash), ContentError>>;

/// A content that is being sealed. Each chunk is sealed once.
pub(super) struct BlobSealer {
    source: Pin<Box<dyn AsyncRead + Send>>,
    key: Arc<ContentKey>,
    /// The plaintext of the chunk that was read last: whether another one follows is not known yet.
    ahead: Option<Zeroizing<Vec<u8>>>,
    sealing: VecDeque<Sealing>,
    state: State,
    tree: TreeBuilder,
    /// Hashes of the first chunks, which were sealed before: they may have left already, so they must be the same again.
    known: Vec<u8>,
    /// Hashes of the chunks behind them that were handed out since they were [taken](Self::take_fresh).
    fresh: Vec<u8>,
    /// None if nobody asks for the blob and its hash.
    cipher_hash: Option<PieceHash>,
    buffers: ChunkBuffers,
    /// Chunks that were given to other threads.
    chunks: u64,
    /// Chunks in pieces.
    handed_out: u64,
    /// Bytes read.
    length: u64,
    limit: Limit,
    observer: Option<Observer>,
    /// Takes the sealed chunks, if they are kept here too.
    pub(super) keeping: Option<Keeping>,
    /// The tree, once there is one.
    pub(super) built: Option<Tree>,
    has_changed: bool,
}

/// What is known of a sealed content.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealedBlob {
    pub(super) length: u64,
    pub(super) root: Root,
    /// Of the blob, or of its root from a sealer that is [unhashed](BlobSealer::unhashed).
    pub(super) cipher_hash: Sha512Hash,
}

/// The most bytes that a content may have, and who says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    content: u64,
    blob: u64,
}

enum State {
    Header,
    Chunks,
    Ended(SealedBlob),
}

impl Limit {
    /// For a backbone that takes so many bytes.
    pub(super) fn of_blob(blob: u64) -> Self {
        Self { content: largest_content(blob), blob }
    }

    /// Checks that a content may have so many bytes.
    pub(super) fn check(self, length: u64) -> Result<()> {
        if length > self.content { Err(self.exceeded()) } else { Ok(()) }
    }

    fn exceeded(self) -> Error {
        Error::InvalidPropertyValue(format!(
            "'content' is too large: the backbone takes files of at most {} bytes, which are {} with their seals",
            self.content, self.blob
        ))
    }
}

/// The longest content whose blob has at most so many bytes.
fn largest_content(blob: u64) -> u64 {
    let fits = |length: u64| Layout::of(length).is_ok_and(|layout| layout.blob_length() <= blob);
    let (mut fitting, mut beyond) = (0, MAX_CONTENT_LENGTH + 1);
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) { fitting = middle } else { beyond = middle }
    }
    fitting
}

impl BlobSealer {
    /// Starts with a key that was made for this content.
    pub(super) fn new(
        source: Pin<Box<dyn AsyncRead + Send>>,
        key: &SecretKey,
        limit: Limit,
        observer: Option<Observer>,
    ) -> Self {
        Self {
            source,
            key: Arc::new(ContentKey::new(key)),
            ahead: None,
            sealing: VecDeque::new(),
            state: State::Header,
            tree: TreeBuilder::new(),
            known: Vec::new(),
            fresh: Vec::new(),
            cipher_hash: Some(PieceHash::default()),
            buffers: ChunkBuffers::default(),
            chunks: 0,
            handed_out: 0,
            length: 0,
            limit,
            observer,
            keeping: None,
            built: None,
            has_changed: false,
        }
    }

    /// Seals for the root only: pieces are empty. The SHA-512 of the blob takes three times as long as sealing it, and only backbones compare it. The root
    /// covers the blob, so the hash of the root is in its place.
    pub(super) fn unhashed(self) -> Self {
        Self { cipher_hash: None, ..self }
    }

    /// Takes another key, with which the first chunks have been sealed before: these are their hashes. Nothing may have been sealed
    /// with the first one.
    pub(super) fn go_on_with(&mut self, key: &SecretKey, known: Vec<u8>) {
        self.key = Arc::new(ContentKey::new(key));
        self.known = known;
    }

    /// Whether the content is another one than that of which hashes are known. Then sealing it has failed.
    pub(super) fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// The hashes that were not known of the chunks in the pieces since the last call, and the number of the first of them.
    pub(super) fn take_fresh(&mut self) -> (u64, Vec<u8>) {
        let hashes = std::mem::take(&mut self.fresh);
        (self.handed_out - hashes.len() as u64 / HASH_LENGTH, hashes)
    }

    /// What was sealed, once all pieces were handed out.
    pub(super) fn sealed(&self) -> Result<SealedBlob> {
        match self.state {
            State::Ended(sealed) => Ok(sealed),
            State::Header | State::Chunks => Err(Error::Unknown("the content is not sealed to its end".to_owned())),
        }
    }

    /// The next bytes of the blob, none of them if it is [unhashed](Self::unhashed); nothing at the end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>> {
        let mut piece = Vec::new();
        match self.state {
            State::Ended(_) => return Ok(None),
            State::Header => {
                self.ahead = Some(self.read_chunk().await?);
                self.state = State::Chunks;
                self.gather(self.key.header().as_bytes(), &mut piece);
            }
            State::Chunks => {}
        }
        if self.is_gathered() && self.ahead.as_ref().is_some_and(|chunk| chunk.len() as u64 == CHUNK_LENGTH) {
            piece.reserve_exact(CHUNKS_OF_PIECE * SEALED_CHUNK_LENGTH as usize);
        }
        for _ in 0..CHUNKS_OF_PIECE {
            self.start().await?;
            let Some(mut sealing) = self.sealing.pop_front() else { break };
            let sealed = joined(&mut sealing).await;
            self.has_changed |= matches!(sealed, Err(ContentError::SourceChanged { .. }));
            let (chunk, hash) = sealed.map_err(refused)?;
            self.gather(&chunk, &mut piece);
            match &self.keeping {
                Some(keeping) => keeping.chunk(self.tree.count(), chunk, &hash).await,
                None => self.buffers.give_back(chunk),
            }
            self.tree.push(&hash);
            if self.expected(self.handed_out).is_none() {
                self.fresh.extend_from_slice(hash.as_bytes());
            }
            self.handed_out += 1;
        }
        let has_ended = self.sealing.is_empty() && self.ahead.is_none();
        self.hand_out(piece, has_ended).await.map(Some)
    }

    /// Whether the bytes of the blob are wanted, and not its root only.
    fn is_gathered(&self) -> bool {
        self.cipher_hash.is_some()
    }

    fn gather(&self, bytes: &[u8], piece: &mut Vec<u8>) {
        if self.is_gathered() {
            piece.extend_from_slice(bytes);
        }
    }

    /// Hashes a piece, and ends the blob behind the last chunk.
    async fn hand_out(&mut self, mut piece: Vec<u8>, has_ended: bool) -> Result<Bytes> {
        let mut tree = None;
        if has_ended {
            let layout = Layout::of(self.length).map_err(refused)?;
            let built = std::mem::take(&mut self.tree).finish(self.key.header(), &layout).map_err(refused)?;
            self.gather(built.as_bytes(), &mut piece);
            tree = Some(built);
        }
        let piece = Bytes::from(piece);
        if let Some(hash) = &mut self.cipher_hash {
            hash.add(piece.clone()).await;
        }
        if let Some(tree) = tree {
            let cipher_hash = match &mut self.cipher_hash {
                Some(hash) => hash.finish().await,
                None => Sha512Hash::of(tree.root().as_bytes()),
            };
            self.state = State::Ended(SealedBlob { length: self.length, root: *tree.root(), cipher_hash });
            self.built = Some(tree);
        }
        Ok(piece)
    }

    /// Gives chunks to other threads, as many as may be sealed at the same time.
    async fn start(&mut self) -> Result<()> {
        while self.sealing.len() < SEALED_AT_ONCE {
            let Some(mut chunk) = self.ahead.take() else { return Ok(()) };
            let is_full = chunk.len() as u64 == CHUNK_LENGTH;
            let next = if is_full { Some(self.read_chunk().await?).filter(|next| !next.is_empty()) } else { None };
            let place = ChunkPlace { index: self.chunks, is_last: next.is_none() };
            self.ahead = next;
            self.chunks += 1;
            let (key, expected) = (self.key.clone(), self.expected(place.index));
            self.sealing.push_back(tokio::task::spawn_blocking(move || {
                // From here on the buffer holds ciphertext only; a chunk that is refused is wiped.
                let hash = match expected {
                    Some(expected) => key.seal_again(place, &mut chunk, &expected).map(|()| expected)?,
                    None => key.seal_chunk(place, &mut chunk)?,
                };
                Ok((std::mem::take(&mut *chunk), hash))
            }));
        }
        Ok(())
    }

    /// The hash that a chunk had when it was sealed before.
    fn expected(&self, index: u64) -> Option<ChunkHash> {
        let start = usize::try_from(index.checked_mul(HASH_LENGTH)?).ok()?;
        self.known.get(start..)?.first_chunk().map(|hash| ChunkHash::from_bytes(*hash))
    }

    /// A full chunk, or the rest; empty at the end.
    async fn read_chunk(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let mut chunk = Zeroizing::new(self.buffers.take());
        loop {
            let left = CHUNK_LENGTH - chunk.len() as u64;
            if left == 0 || (&mut self.source).take(left).read_buf(&mut *chunk).await.map_err(unreadable)? == 0 {
                break;
            }
        }
        self.length += chunk.len() as u64;
        self.limit.check(self.length)?;
        if let Some(observer) = &self.observer {
            observer(Progress { phase: Phase::Sealing, bytes: self.length, total: None, resumed: 0, path: None });
        }
        Ok(chunk)
    }
}

/// Why a content cannot be read. That of a source names the file.
pub(crate) fn unreadable(error: std::io::Error) -> Error {
    match error.downcast::<SourceError>() {
        Ok(error) => Error::Source(error),
        Err(error) => match error.downcast::<WrongLength>() {
            Ok(error) => error.into(),
            Err(error) => Error::Unknown(format!("the content cannot be read: {error}")),
        },
    }
}

fn refused(error: ContentError) -> Error {
    Error::Unknown(error.to_string())
}

#[cfg(test)]
mod tests {
    use transport::content::{SEALED_CHUNK_LENGTH, Sealer};

    use super::*;

    const CHUNK: usize = CHUNK_LENGTH as usize;

    #[tokio::test]
    async fn pieces_are_the_blob_that_one_pass_makes() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 5 * CHUNK + 3] {
            let content: Vec<u8> = (0..length).map(|place| (place * 7 % 251) as u8).collect();
            let (key, mut expected) = (SecretKey::generate(), Vec::new());
            let mut sealer = Sealer::new(&key, &mut expected);
            sealer.push(&content, &mut expected).unwrap();
            let root = *sealer.finish(&mut expected).unwrap().root();

            let source = Box::pin(std::io::Cursor::new(content.clone()));
            let mut sealer = BlobSealer::new(source, &key, Limit::of_blob(u64::MAX), None);
            assert!(sealer.sealed().is_err());
            let mut blob = Vec::new();
            while let Some(piece) = sealer.piece().await.unwrap() {
                // Header and tree come with the first and the last chunks.
                assert!(piece.len() <= CHUNKS_OF_PIECE * SEALED_CHUNK_LENGTH as usize + 1000);
                blob.extend_from_slice(&piece);
            }
            assert!(blob == expected, "{length}");
            let sealed = sealer.sealed().unwrap();
            assert_eq!((sealed.length, sealed.root), (length as u64, root));
            assert_eq!(sealed.cipher_hash, Sha512Hash::of(&expected));

            let source = Box::pin(std::io::Cursor::new(content));
            let mut unhashed = BlobSealer::new(source, &key, Limit::of_blob(u64::MAX), None).unhashed();
            while let Some(piece) = unhashed.piece().await.unwrap() {
                assert!(piece.is_empty());
            }
            let sealed = unhashed.sealed().unwrap();
            assert_eq!((sealed.root, sealed.cipher_hash), (root, Sha512Hash::of(root.as_bytes())));
        }
    }

    #[tokio::test]
    async fn a_content_that_is_sealed_again_is_the_same_or_has_changed() {
        let content: Vec<u8> = (0..6 * CHUNK + 5).map(|place| (place * 7 % 251) as u8).collect();
        let key = SecretKey::generate();
        let sealer = |content: &[u8]| {
            let source = Box::pin(std::io::Cursor::new(content.to_vec()));
            BlobSealer::new(source, &key, Limit::of_blob(u64::MAX), None)
        };
        let (mut first, mut blob, mut hashes) = (sealer(&content), Vec::new(), Vec::new());
        while let Some(piece) = first.piece().await.unwrap() {
            blob.push(piece);
            let (start, fresh) = first.take_fresh();
            assert_eq!(start, hashes.len() as u64 / HASH_LENGTH);
            hashes.extend(fresh);
        }
        assert_eq!(hashes.len(), 7 * 32);
        for known in 0..=7 {
            let mut again = sealer(&content);
            again.go_on_with(&key, hashes[..known * 32].to_vec());
            let (mut pieces, mut fresh) = (Vec::new(), Vec::new());
            while let Some(piece) = again.piece().await.unwrap() {
                pieces.push(piece);
                let (start, more) = again.take_fresh();
                assert!(more.is_empty() || start == (known + fresh.len() / 32) as u64);
                fresh.extend(more);
            }
            assert!(pieces == blob && fresh == hashes[known * 32..] && !again.has_changed(), "{known}");
            for chunk in 0..7 {
                let mut other = content.clone();
                other[chunk * CHUNK] ^= 1;
                let mut again = sealer(&other);
                again.go_on_with(&key, hashes[..known * 32].to_vec());
                let outcome = loop {
                    match again.piece().await {
                        Ok(Some(_)) => {}
                        outcome => break outcome,
                    }
                };
                assert_eq!((outcome.is_err(), again.has_changed()), (chunk < known, chunk < known), "{chunk} {known}");
            }
        }
    }

    #[tokio::test]
    async fn a_content_may_be_as_long_as_its_limit_and_not_a_byte_longer() {
        for longest in [0, 5, CHUNK as u64, CHUNK as u64 + 1] {
            let limit = Limit::of_blob(Layout::of(longest).unwrap().blob_length());
            assert_eq!(limit.content, longest);
            for (length, fits) in [(longest, true), (longest + 1, false)] {
                let source = Box::pin(tokio::io::repeat(7).take(length));
                let mut sealer = BlobSealer::new(source, &SecretKey::generate(), limit, None);
                assert_eq!(sealer.piece().await.is_ok(), fits, "{length}");
            }
        }
        assert_eq!(largest_content(u64::MAX), MAX_CONTENT_LENGTH);
    }
}
