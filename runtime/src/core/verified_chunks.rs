//! Which chunks of the files of tokens of others were verified, whoever has read them, so that it is known when all of them were.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use transport::wire::FileId;

/// Files that are remembered. For one more, the one that was begun first is forgotten.
const MAX_FILES: usize = 256;
/// Places without a gap that are remembered of one file. What would be one more is not remembered.
const MAX_RANGES: usize = 1024;

/// Chunks that were verified since the node has started.
#[derive(Default)]
pub(crate) struct VerifiedChunks(Mutex<VecDeque<(FileId, Vec<Range<u64>>)>>);

impl VerifiedChunks {
    /// Adds chunks of a file. Returns all those without a gap among which they are.
    pub(crate) fn add(&self, file: &FileId, chunks: Range<u64>) -> Range<u64> {
        let mut files = self.files();
        let place = files.iter().position(|(known, _)| known == file).unwrap_or_else(|| {
            if files.len() >= MAX_FILES {
                files.pop_front();
            }
            files.push_back((file.clone(), Vec::new()));
            files.len() - 1
        });
        add(&mut files[place].1, chunks)
    }

    /// Forgets a file, of which nothing more is to be known.
    pub(crate) fn forget(&self, file: &FileId) {
        self.files().retain(|(known, _)| known != file);
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<(FileId, Vec<Range<u64>>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a range to sorted ones that do not touch each other.
fn add(ranges: &mut Vec<Range<u64>>, new: Range<u64>) -> Range<u64> {
    let first = ranges.partition_point(|known| known.end < new.start);
    let behind = first + ranges[first..].partition_point(|known| known.start <= new.end);
    let touched = ranges[first..behind].iter();
    let joined = touched.fold(new, |joined, known| joined.start.min(known.start)..joined.end.max(known.end));
    if first < behind || ranges.len() < MAX_RANGES {
        ranges.splice(first..behind, [joined.clone()]);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: usize) -> FileId {
        format!("FIL{number:017}").parse().unwrap()
    }

    #[test]
    fn chunks_in_any_order_become_one_range() {
        let chunks = VerifiedChunks::default();
        for (new, joined) in [(4..5, 4..5), (0..1, 0..1), (2..3, 2..3), (2..3, 2..3), (3..4, 2..5), (1..2, 0..5)] {
            assert_eq!(chunks.add(&file(1), new.clone()), joined, "{new:?}");
        }
        assert_eq!(chunks.add(&file(2), 1..2), 1..2, "another file");
        chunks.forget(&file(1));
        assert_eq!(chunks.add(&file(1), 1..2), 1..2);
    }

    #[test]
    fn at_its_bounds_it_forgets_and_says_less() {
        let chunks = VerifiedChunks::default();
        for number in 0..=MAX_FILES {
            chunks.add(&file(number), 0..1);
        }
        assert_eq!(chunks.add(&file(1), 1..2), 0..2);
        assert_eq!(chunks.add(&file(0), 1..2), 1..2, "the oldest one has gone");
        let mut ranges = Vec::new();
        for number in 0..=MAX_RANGES as u64 {
            add(&mut ranges, 2 * number..2 * number + 1);
        }
        assert_eq!(ranges.len(), MAX_RANGES);
        let last = 2 * MAX_RANGES as u64;
        assert_eq!(add(&mut ranges, last - 1..last), last - 2..last, "the last one was not remembered");
    }
}
