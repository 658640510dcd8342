//! Previews that are kept, of which the one that was used least recently goes first.

use std::collections::hash_map::RandomState;
use std::hash::Hash;

use hashlink::LinkedHashMap;

/// Bytes that an entry is counted with beside its preview.
const ENTRY_BYTES: u64 = 256;
/// A preview with more than this share of the room is not kept, since it would displace too many others.
const LARGEST_SHARE: u64 = 4;

/// Previews within a number of bytes.
pub(crate) struct Cache<K, P> {
    /// From the least to the most recently used.
    entries: LinkedHashMap<K, P, RandomState>,
    /// What all entries are counted with; at most `room`.
    used: u64,
    room: u64,
}

impl<K: Eq + Hash, P: AsRef<[u8]> + Clone> Cache<K, P> {
    pub(crate) fn new(room: u64) -> Self {
        Self { entries: LinkedHashMap::with_hasher(RandomState::new()), used: 0, room }
    }

    /// A preview, which is the most recently used one then.
    pub(crate) fn find(&mut self, key: &K) -> Option<P> {
        self.entries.to_back(key).map(|preview| preview.clone())
    }

    pub(crate) fn keep(&mut self, key: K, preview: P) {
        let size = size(&preview);
        if size > self.room / LARGEST_SHARE {
            return;
        }
        self.used += size;
        if let Some(replaced) = self.entries.insert(key, preview) {
            self.used -= self::size(&replaced);
        }
        while self.used > self.room {
            let Some((_, oldest)) = self.entries.pop_front() else { break };
            self.used -= self::size(&oldest);
        }
    }
}

fn size(preview: &impl AsRef<[u8]>) -> u64 {
    preview.as_ref().len() as u64 + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn preview(bytes: u64) -> Bytes {
        vec![0; usize::try_from(bytes).unwrap()].into()
    }

    #[test]
    fn the_least_recently_used_one_goes_when_the_room_is_full() {
        let each = 1000 + ENTRY_BYTES;
        let mut cache = Cache::new(4 * each);
        for key in 0..4 {
            cache.keep(key, preview(1000));
        }
        assert!(cache.find(&0).is_some());
        assert_eq!(cache.used, cache.room);
        cache.keep(4, preview(1000));
        let kept: Vec<_> = (0..5).filter(|key| cache.find(key).is_some()).collect();
        assert_eq!(kept, [0, 2, 3, 4]);
        assert_eq!(cache.used, cache.room);
    }

    #[test]
    fn a_preview_at_the_largest_share_is_kept_and_a_larger_one_is_not() {
        let mut cache = Cache::new(40_000);
        cache.keep("at", preview(10_000 - ENTRY_BYTES));
        cache.keep("above", preview(10_001 - ENTRY_BYTES));
        assert!(cache.find(&"at").is_some());
        assert!(cache.find(&"above").is_none());
        cache.keep("at", preview(1));
        assert_eq!(cache.used, 1 + ENTRY_BYTES);
    }
}
