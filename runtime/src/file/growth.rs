//! The chunks of a content of format `v2` while its blob arrives, before there is a root (specification, section 7.2). Pure: no
//! input, no output.

use std::sync::Arc;

use transport::content::{
    ChunkHash, ChunkPlace, ContentError, ContentKey, HEADER_LENGTH, Header, Layout, Root, SEALED_CHUNK_LENGTH, Tree,
    TreeBuilder,
};
use transport::crypto::SecretKey;

/// A blob that grows. Keeps the chunk that arrives, 32 bytes for each MiB before it, and as much for the tree at the end.
pub(super) struct Growth {
    key: Arc<ContentKey>,
    /// Once the length is known.
    layout: Option<Layout>,
    has_header: bool,
    /// What arrived and was not taken.
    buffer: Vec<u8>,
    /// Bytes of the blob before the buffer.
    taken: u64,
    /// Hashes of the chunks that were taken.
    hashes: TreeBuilder,
}

/// A sealed chunk that is complete.
pub(super) struct SealedChunk {
    key: Arc<ContentKey>,
    place: ChunkPlace,
    sealed: Vec<u8>,
}

impl Growth {
    /// A blob of which nothing has arrived, sealed with this key. Whoever told the length must be authenticated.
    pub(super) fn new(key: &SecretKey, layout: Option<Layout>) -> Self {
        Self {
            key: Arc::new(ContentKey::new(key)),
            layout,
            has_header: false,
            buffer: Vec::new(),
            taken: 0,
            hashes: TreeBuilder::new(),
        }
    }

    /// Bytes of the blob that have arrived.
    pub(super) fn received(&self) -> u64 {
        self.taken + self.buffer.len() as u64
    }

    /// What is known of the length.
    pub(super) fn layout(&self) -> Option<Layout> {
        self.layout
    }

    /// Adds the bytes that come next.
    ///
    /// # Errors
    /// [`ContentError::Length`] if there are more than the layout says.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        let end = self.received() + bytes.len() as u64;
        if self.layout.is_some_and(|layout| end > layout.blob_length()) {
            return Err(ContentError::Length);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The upload has ended: what arrived is the blob of a content with this layout.
    ///
    /// # Errors
    /// [`ContentError::Length`] if it is not as long, or the sender said another length before.
    pub(super) fn end(&mut self, layout: Layout) -> Result<(), ContentError> {
        let fits = self.layout.is_none_or(|told| told == layout) && layout.blob_length() == self.received();
        self.layout = fits.then_some(layout);
        if fits { Ok(()) } else { Err(ContentError::Length) }
    }

    /// Takes the next chunk, as soon as it is complete and known to be the last or not.
    ///
    /// # Errors
    /// Those of [`Header::parse`] and [`ContentKey::check`], before the first chunk.
    pub(super) fn next(&mut self) -> Result<Option<SealedChunk>, ContentError> {
        if !self.has_header {
            if self.buffer.len() < HEADER_LENGTH {
                return Ok(None);
            }
            let header = self.take(HEADER_LENGTH);
            self.key.check(&Header::parse(&header)?)?;
            self.has_header = true;
        }
        let Some((place, length)) = self.complete_chunk() else { return Ok(None) };
        let sealed = self.take(length);
        self.hashes.push(&ChunkHash::of(&sealed));
        Ok(Some(SealedChunk { key: self.key.clone(), place, sealed }))
    }

    fn complete_chunk(&self) -> Option<(ChunkPlace, usize)> {
        let index = self.hashes.count();
        let Some(layout) = self.layout else {
            let is_complete = index < Layout::chunks_within(self.received());
            return is_complete.then_some((ChunkPlace { index, is_last: false }, SEALED_CHUNK_LENGTH as usize));
        };
        let range = layout.sealed_chunk(index).ok()?;
        let length = usize::try_from(range.end - range.start).ok()?;
        (range.end <= self.received()).then_some((layout.place(index).ok()?, length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        self.taken += length as u64;
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Verifies everything that arrived against the root, once all chunks were taken.
    ///
    /// # Errors
    /// [`ContentError::Root`] and [`ContentError::Tree`] if it has another one, [`ContentError::Length`] if there is less.
    pub(super) fn verify(&self, root: &Root) -> Result<(), ContentError> {
        let layout = self.layout.filter(|layout| layout.blob_length() == self.received());
        let layout = layout.ok_or(ContentError::Length)?;
        let made = self.hashes.clone().finish(self.key.header(), &layout)?;
        if made.root() != root {
            return Err(ContentError::Root);
        }
        Tree::verify(root, &layout, self.key.header(), &self.buffer).map(drop)
    }
}

impl SealedChunk {
    /// Its plaintext.
    ///
    /// # Errors
    /// [`ContentError::Decryption`] if it is not that chunk of the content.
    pub(super) fn open(self) -> Result<Vec<u8>, ContentError> {
        let Self { key, place, mut sealed } = self;
        key.open_chunk(place, &mut sealed)?;
        Ok(sealed)
    }
}

/// The most bytes that a blob may have whose content has at most so many.
pub(super) fn longest_blob(content: u64) -> u64 {
    Layout::of(content).map_or(u64::MAX, |layout| layout.blob_length())
}

#[cfg(test)]
mod tests {
    use transport::content::{CHUNK_LENGTH, Sealer};

    use super::*;

    const CHUNK: usize = CHUNK_LENGTH as usize;

    fn sealed(key: &SecretKey, plaintext: &[u8]) -> (Vec<u8>, Root) {
        let mut blob = Vec::new();
        let mut sealer = Sealer::new(key, &mut blob);
        sealer.push(plaintext, &mut blob).unwrap();
        let root = *sealer.finish(&mut blob).unwrap().root();
        (blob, root)
    }

    fn plaintext(length: usize) -> Vec<u8> {
        (0..length).map(|place| (place % 251) as u8).collect()
    }

    /// Takes all chunks that are complete.
    fn drain(growth: &mut Growth, out: &mut Vec<u8>) -> Result<(), ContentError> {
        while let Some(chunk) = growth.next()? {
            out.extend(chunk.open()?);
        }
        Ok(())
    }

    #[test]
    fn contents_of_every_length_arrive_in_pieces_of_every_length() {
        let key = SecretKey::generate();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let (all, layout) = (plaintext(length), Layout::of(length as u64).unwrap());
            let (blob, root) = sealed(&key, &all);
            for (told, piece) in
                [(None, 48), (None, CHUNK + 16), (None, 700_001), (Some(layout), 1_000_003), (Some(layout), blob.len())]
            {
                let (mut growth, mut out) = (Growth::new(&key, told), Vec::new());
                for part in blob.chunks(piece.max(1000)) {
                    growth.push(part).unwrap();
                    drain(&mut growth, &mut out).unwrap();
                    assert!(all.starts_with(&out));
                }
                assert!(told.is_none() || out == all);
                growth.end(layout).unwrap();
                drain(&mut growth, &mut out).unwrap();
                assert!(out == all, "{length}");
                growth.verify(&root).unwrap();
            }
        }
    }

    #[test]
    fn a_chunk_is_handed_out_with_the_first_byte_that_shows_that_it_is_not_the_last() {
        let key = SecretKey::generate();
        let (blob, _) = sealed(&key, &plaintext(3 * CHUNK));
        let certain = longest_blob(CHUNK_LENGTH) as usize + 1;
        let mut growth = Growth::new(&key, None);
        growth.push(&blob[..certain - 1]).unwrap();
        assert!(growth.next().unwrap().is_none());
        growth.push(&blob[certain - 1..certain]).unwrap();
        assert_eq!(growth.next().unwrap().unwrap().open().unwrap(), plaintext(CHUNK));
        // With a length each chunk is handed out with its last byte.
        let end = HEADER_LENGTH + SEALED_CHUNK_LENGTH as usize;
        let mut growth = Growth::new(&key, Some(Layout::of(3 * CHUNK_LENGTH).unwrap()));
        growth.push(&blob[..end - 1]).unwrap();
        assert!(growth.next().unwrap().is_none());
        growth.push(&blob[end - 1..end]).unwrap();
        assert!(growth.next().unwrap().is_some());
    }

    #[test]
    fn a_content_that_is_cut_at_a_chunk_does_not_open_to_its_end() {
        let key = SecretKey::generate();
        let (blob, root) = sealed(&key, &plaintext(2 * CHUNK));
        // What a backbone can make of it: one chunk, and a tree that fits.
        let short = Layout::of(CHUNK_LENGTH).unwrap();
        let mut cut = blob[..short.tree().start as usize].to_vec();
        let hash = ChunkHash::of(&cut[HEADER_LENGTH..]);
        cut.extend_from_slice(hash.as_bytes());
        let mut growth = Growth::new(&key, None);
        growth.push(&cut).unwrap();
        growth.end(short).unwrap();
        let last = growth.next().unwrap().unwrap();
        assert_eq!(last.open().unwrap_err(), ContentError::Decryption { index: 0 });
        assert_eq!(growth.verify(&root).unwrap_err(), ContentError::Root);
    }

    #[test]
    fn altered_bytes_are_found_wherever_they_are() {
        let key = SecretKey::generate();
        let (blob, root) = sealed(&key, &plaintext(CHUNK + 9));
        let layout = Layout::of(CHUNK_LENGTH + 9).unwrap();
        for place in [0, 20, 48, 1000, 48 + CHUNK, 48 + CHUNK + 20, blob.len() - 64, blob.len() - 1] {
            for told in [None, Some(layout)] {
                let (mut altered, mut out) = (blob.clone(), Vec::new());
                altered[place] ^= 1;
                let mut growth = Growth::new(&key, told);
                let outcome = growth
                    .push(&altered)
                    .and_then(|()| drain(&mut growth, &mut out))
                    .and_then(|()| growth.end(layout))
                    .and_then(|()| drain(&mut growth, &mut out))
                    .and_then(|()| growth.verify(&root));
                assert!(outcome.is_err(), "{place}");
                assert!(plaintext(CHUNK + 9).starts_with(&out));
            }
        }
        let mut growth = Growth::new(&SecretKey::generate(), None);
        growth.push(&blob).unwrap();
        assert!(matches!(growth.next().map(drop), Err(ContentError::WrongKey)));
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let key = SecretKey::generate();
        let (blob, root) = sealed(&key, &plaintext(100));
        let [layout, other] = [100, 101].map(|length| Layout::of(length).unwrap());
        let mut growth = Growth::new(&key, Some(layout));
        growth.push(&blob).unwrap();
        assert_eq!(growth.push(&[0]), Err(ContentError::Length));
        assert_eq!(growth.end(other), Err(ContentError::Length));
        let mut growth = Growth::new(&key, None);
        growth.push(&blob[..blob.len() - 1]).unwrap();
        assert_eq!(growth.end(layout), Err(ContentError::Length));
        assert_eq!(growth.verify(&root), Err(ContentError::Length));
    }
}
