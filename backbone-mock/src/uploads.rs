//! Bytes of unfinished uploads: they count towards quotas before they are committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bytes of unfinished uploads, by account. Has at most two entries for each upload.
#[derive(Clone, Default)]
pub(crate) struct Uploads(Arc<Mutex<HashMap<String, u64>>>);

/// A reservation for one upload, which ends when it is dropped.
#[must_use]
pub(crate) struct Reservation {
    uploads: Uploads,
    names: [String; 2],
    bytes: u64,
}

impl Uploads {
    /// Reserves bytes for two accounts. Returns how many bytes each of them has reserved now.
    pub(crate) fn reserve(&self, names: [String; 2], bytes: u64) -> (Reservation, [u64; 2]) {
        let mut under_way = self.under_way();
        let sums = names.each_ref().map(|name| {
            let sum = under_way.entry(name.clone()).or_insert(0);
            *sum = sum.saturating_add(bytes);
            *sum
        });
        (Reservation { uploads: self.clone(), names, bytes }, sums)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut under_way = self.uploads.under_way();
        for name in &self.names {
            if let Some(sum) = under_way.get_mut(name) {
                *sum = sum.saturating_sub(self.bytes);
                if *sum == 0 {
                    under_way.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_reserved_until_the_upload_ends() {
        let uploads = Uploads::default();
        let names = |name: &str| [name.to_owned(), "client".to_owned()];
        let (first, sums) = uploads.reserve(names("a"), 5);
        assert_eq!(sums, [5, 5]);
        let (second, sums) = uploads.reserve(names("b"), 7);
        assert_eq!(sums, [7, 12]);
        drop(first);
        assert_eq!(uploads.under_way().len(), 2);
        drop(second);
        assert!(uploads.under_way().is_empty());
    }
}
