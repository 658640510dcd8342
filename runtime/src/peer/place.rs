//! How many contents are served at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use transport::peer::{PeerId, Refusal};

/// Contents that are served at a time. Each holds some pieces in memory.
pub(super) const MAX_CONTENTS: usize = 32;

/// Contents that are served to one peer at a time: enough to load ranges side by side.
pub(super) const MAX_CONTENTS_PER_PEER: usize = 8;

/// Counts the contents that are served.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<PeerId, usize>>>);

/// The place of one content, until it is dropped.
pub(super) struct Place {
    places: Places,
    peer: PeerId,
}

impl Places {
    /// Takes a place for a peer.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if there is none.
    pub(super) fn take(&self, peer: PeerId) -> Result<Place, Refusal> {
        let mut taken = self.taken();
        let of_peer = taken.get(&peer).copied().unwrap_or_default();
        if of_peer >= MAX_CONTENTS_PER_PEER || taken.values().sum::<usize>() >= MAX_CONTENTS {
            return Err(Refusal::Busy);
        }
        taken.insert(peer, of_peer + 1);
        Ok(Place { places: self.clone(), peer })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<PeerId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::Person;

    #[test]
    fn there_are_as_many_places_as_the_bounds_say_and_dropped_ones_are_free_again() {
        let (places, mut taken) = (Places::default(), Vec::new());
        let peers: Vec<_> = (1..=5).map(|number| Person::new(number).peer_id()).collect();
        for peer in &peers[..MAX_CONTENTS / MAX_CONTENTS_PER_PEER] {
            taken.extend((0..MAX_CONTENTS_PER_PEER).map(|_| places.take(*peer).unwrap()));
            assert_eq!(places.take(*peer).err(), Some(Refusal::Busy));
        }
        assert_eq!((taken.len(), places.take(peers[4]).err()), (MAX_CONTENTS, Some(Refusal::Busy)));
        taken.pop();
        assert!(places.take(peers[4]).is_ok());
        taken.clear();
        assert!(places.taken().is_empty());
    }
}
