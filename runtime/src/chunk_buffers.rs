//! Buffers of chunks that are used again. Memory of that size comes from the kernel, page by page, each time it is allocated.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use transport::content::{SEALED_CHUNK_LENGTH, chunk_buffer};

/// Buffers that are kept while nobody uses them: as many as one transfer fills at a time.
const KEPT: usize = 4;

/// The buffers of one transfer, which all clones share. They are freed with the last clone.
#[derive(Clone, Default)]
pub(crate) struct ChunkBuffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl ChunkBuffers {
    /// An empty buffer that takes any chunk, sealed or not.
    pub(crate) fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(chunk_buffer)
    }

    /// Takes a buffer back. One of another size is freed.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() as u64 == SEALED_CHUNK_LENGTH && kept.len() < KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }

    /// Bytes whose buffer is taken back when nobody has them any more.
    pub(crate) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: ChunkBuffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_one_has_read_it() {
        let buffers = ChunkBuffers::default();
        let mut buffer = buffers.take();
        let place = buffer.as_ptr();
        buffer.extend_from_slice(b"bytes");
        let lent = buffers.lend(buffer);
        let part = lent.slice(1..3);
        drop(lent);
        let other = buffers.take();
        assert_ne!(other.as_ptr(), place);
        assert_eq!(&part[..], b"yt");
        drop(part);
        let again = buffers.take();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn few_buffers_are_kept_and_none_of_another_size() {
        let buffers = ChunkBuffers::default();
        buffers.give_back(vec![0; 5]);
        assert!(buffers.0.lock().unwrap().is_empty());
        for _ in 0..=KEPT {
            buffers.give_back(chunk_buffer());
        }
        assert_eq!(buffers.0.lock().unwrap().len(), KEPT);
    }
}
