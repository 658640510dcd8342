//! Paths that some file system takes for one, or that are a file and a folder at once (specification, section 9.3).

use super::{Entry, EntryKind, ManifestError};

/// Checks entries that have different paths.
///
/// In the order of the folded paths, name by name, whatever collides stands side by side, so one pass over the neighbours finds it.
pub(super) fn check(entries: &[Entry]) -> Result<(), ManifestError> {
    let mut sorted: Vec<(String, &Entry)> = entries.iter().map(|entry| (entry.path.folded(), entry)).collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
    sorted.windows(2).try_for_each(|pair| check_neighbours(&pair[0], &pair[1]))
}

fn check_neighbours(
    (one_folded, one): &(String, &Entry),
    (other_folded, other): &(String, &Entry),
) -> Result<(), ManifestError> {
    let shared = one_folded.split('/').zip(other_folded.split('/')).take_while(|(one, other)| one == other).count();
    let differ = one.path.names().zip(other.path.names()).take(shared).any(|(one, other)| one != other);
    if differ {
        return Err(ManifestError::Collision { first: one.path.clone(), second: other.path.clone() });
    }
    // Their paths differ, so the other one is longer if all names of this one are shared.
    let contains = one_folded.split('/').count() == shared;
    match one.kind {
        EntryKind::File { .. } if contains => Err(ManifestError::FileAsFolder { path: one.path.clone() }),
        _ => Ok(()),
    }
}
