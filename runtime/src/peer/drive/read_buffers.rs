//! Buffers for bytes of a content that arrive. They are used again: memory of that size comes from the kernel page by page each time it is
//! allocated, and has to be filled with zeros before anything is read into it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::ahead::READ_AHEAD;

/// Bytes that are read at once, about a frame of yamux.
const LENGTH: usize = 64 * 1024;

/// Buffers that are kept while nobody uses them: those of what is read ahead.
const KEPT: usize = READ_AHEAD / LENGTH;

/// Of a buffer with fewer bytes than these the bytes are copied, so that a peer that sends little at a time does not take a buffer for each of them:
/// the buffers of what has arrived have at most 8 bytes of memory for 7 of it.
const COPIED: usize = LENGTH / 8 * 7;

/// The buffers of one stream.
#[derive(Default)]
pub(super) struct ReadBuffers {
    /// The one that is read into. It is shorter than [`LENGTH`] if its bytes will be copied.
    current: Option<Box<[u8]>>,
    kept: Kept,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Box<[u8]>>>>);

impl ReadBuffers {
    /// Room for bytes to read, at most so many.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        let most = most.min(LENGTH);
        let current = match self.current.take().filter(|current| current.len() >= most) {
            Some(current) => current,
            None if most < COPIED => vec![0; most].into_boxed_slice(),
            None => self.kept.take(),
        };
        &mut self.current.insert(current)[..most]
    }

    /// The bytes that were read into the [room](Self::room).
    pub(super) fn filled(&mut self, length: usize) -> Bytes {
        match self.current.take() {
            Some(current) if length < COPIED => {
                let copy = Bytes::copy_from_slice(&current[..length]);
                self.current = Some(current);
                copy
            }
            Some(current) => Bytes::from_owner(Lent { buffer: current, home: self.kept.clone() }).slice(..length),
            None => Bytes::new(),
        }
    }
}

impl Kept {
    fn take(&self) -> Box<[u8]> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| vec![0; LENGTH].into_boxed_slice())
    }
}

/// A buffer that goes back when nobody has its bytes any more.
struct Lent {
    buffer: Box<[u8]>,
    home: Kept,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffers: &mut ReadBuffers, bytes: &[u8]) -> Bytes {
        buffers.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        buffers.filled(bytes.len())
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_has_its_bytes() {
        let mut buffers = ReadBuffers::default();
        let first = read(&mut buffers, &[1; COPIED]);
        let second = read(&mut buffers, &[2; LENGTH]);
        assert!(first == [1; COPIED][..] && second == [2; LENGTH][..]);
        let (place, part) = (first.as_ptr(), first.slice(5..7));
        drop(first);
        assert_ne!(read(&mut buffers, &[3; COPIED]).as_ptr(), place);
        assert_eq!(part, [1, 1][..]);
        drop(part);
        assert_eq!(read(&mut buffers, &[4; COPIED]).as_ptr(), place);
    }

    #[test]
    fn little_is_copied_and_takes_no_buffer() {
        let mut buffers = ReadBuffers::default();
        let few: Vec<Bytes> = (0..100).map(|number| read(&mut buffers, &[number; COPIED - 1])).collect();
        assert!(few.iter().enumerate().all(|(number, bytes)| *bytes == [number as u8; COPIED - 1][..]));
        drop(few);
        assert_eq!(buffers.current.as_ref().unwrap().len(), COPIED - 1);
        assert!(buffers.kept.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_lent_has_eight_bytes_of_memory_for_seven_at_the_most() {
        let mut buffers = ReadBuffers::default();
        // As few bytes in each buffer as are not copied, although more would have had room.
        let ahead: Vec<Bytes> = (0..READ_AHEAD / COPIED)
            .map(|_| {
                buffers.room(LENGTH);
                buffers.filled(COPIED)
            })
            .collect();
        assert!(buffers.current.is_none(), "they are lent");
        assert!(ahead.len() * LENGTH <= READ_AHEAD / 7 * 8);
        // One byte less is copied, and the buffer stays.
        let place = buffers.room(LENGTH).as_ptr();
        assert_ne!(buffers.filled(COPIED - 1).as_ptr(), place);
        assert_eq!(buffers.current.as_ref().unwrap().len(), LENGTH);
    }

    #[test]
    fn no_more_is_read_than_is_wanted_and_no_more_buffers_are_kept_than_the_bound() {
        let mut buffers = ReadBuffers::default();
        assert_eq!(buffers.room(3).len(), 3);
        assert_eq!(buffers.room(usize::MAX).len(), LENGTH);
        let many: Vec<Bytes> = (0..=KEPT).map(|_| read(&mut buffers, &[0; LENGTH])).collect();
        drop(many);
        assert_eq!(buffers.kept.0.lock().unwrap().len(), KEPT);
    }
}
