//! Changes that other devices have not seen yet, in the order in which they were made.

use transport::crypto::SecretKey;

use super::state::InFlight;
use crate::store::Store;
use crate::{Error, Result};

/// Most modifications in one push.
const MAX_COUNT: usize = 500;
/// Approximate maximum of sealed payload bytes in one push; the backbone accepts bodies of 20 MiB.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Seals the oldest changes for the indices from `first_index` on; none if there are none.
pub(super) fn seal_next(store: &Store, key: &SecretKey, first_index: u64) -> Result<Option<InFlight>> {
    let mut modifications = Vec::new();
    let mut journal_end = None;
    let mut bytes = 0;
    for (index, (sequence, change)) in (first_index..).zip(store.unpushed(MAX_COUNT)?) {
        let sealed = change.seal(key, index).map_err(|error| Error::Unknown(error.to_string()))?;
        bytes += sealed.encrypted_payload.as_ref().map_or(0, |payload| payload.0.len() * 4 / 3);
        if bytes > MAX_BYTES && !modifications.is_empty() {
            break;
        }
        modifications.push(sealed);
        journal_end = Some(sequence);
    }
    Ok(journal_end.map(|journal_end| InFlight { first_index, modifications, journal_end }))
}
