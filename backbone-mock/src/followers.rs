//! Who follows uploads that have not ended, and what wakes them: a commit that changes the upload.
//!
//! A follower holds a connection for as long as the upload goes on, so there are bounds: for one identity, for all guests
//! together, who must not keep others from following, and for all. What a follower is woken for it reads in the records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use listener::turns::TooMany;
use tokio::sync::watch;
use transport::wire::{Address, UploadId};

/// Followers of one identity. Its devices rarely receive more files at the same time.
pub(crate) const MAX_OF_ONE: usize = 8;
/// Followers of all guests together.
pub(crate) const MAX_OF_GUESTS: usize = 64;
/// Followers in total: an eighth of the connections.
pub(crate) const MAX_FOLLOWERS: usize = 128;

/// All followers of this process. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Followers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What wakes the followers of an upload. Has an entry for as long as somebody follows it.
    uploads: HashMap<UploadId, watch::Sender<()>>,
    of_identities: HashMap<Address, usize>,
    of_guests: usize,
    total: usize,
    is_closed: bool,
}

/// One that follows an upload, until it is dropped.
pub(crate) struct Follower {
    followers: Followers,
    upload: UploadId,
    identity: Address,
    is_guest: bool,
    changes: watch::Receiver<()>,
}

impl Followers {
    /// Adds a follower. It sees every change from now on.
    ///
    /// # Errors
    /// [`TooMany`] at a bound.
    pub(crate) fn add(&self, upload: &UploadId, identity: &Address, is_guest: bool) -> Result<Follower, TooMany> {
        let mut state = self.state();
        if state.of_identities.get(identity).is_some_and(|count| *count >= MAX_OF_ONE) {
            return Err(TooMany::OfOne);
        }
        if state.is_closed || state.total >= MAX_FOLLOWERS || (is_guest && state.of_guests >= MAX_OF_GUESTS) {
            return Err(TooMany::InTotal);
        }
        state.total += 1;
        state.of_guests += usize::from(is_guest);
        *state.of_identities.entry(identity.clone()).or_default() += 1;
        let changes = state.uploads.entry(upload.clone()).or_insert_with(|| watch::channel(()).0).subscribe();
        Ok(Follower { followers: self.clone(), upload: upload.clone(), identity: identity.clone(), is_guest, changes })
    }

    /// Wakes the followers of an upload.
    pub(crate) fn wake(&self, upload: &UploadId) {
        if let Some(changes) = self.state().uploads.get(upload) {
            changes.send_replace(());
        }
    }

    /// Ends all followers, and refuses further ones.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.uploads.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// Forgets the changes so far: [`changed`](Self::changed) waits for one behind what is read from now on.
    pub(crate) fn look(&mut self) {
        self.changes.mark_unchanged();
    }

    /// Waits for a change since [`look`](Self::look); `false` if the server stops.
    pub(crate) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.followers.state();
        state.total -= 1;
        state.of_guests -= usize::from(self.is_guest);
        if let Some(count) = state.of_identities.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                state.of_identities.remove(&self.identity);
            }
        }
        // This one's receiver is dropped behind this function.
        if state.uploads.get(&self.upload).is_some_and(|changes| changes.receiver_count() <= 1) {
            state.uploads.remove(&self.upload);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(number: usize) -> Address {
        format!("did:e:localhost:dids:{number:022x}").parse().unwrap()
    }

    fn upload(number: usize) -> UploadId {
        format!("UPL{number:017}").parse().unwrap()
    }

    #[test]
    fn each_bound_holds_and_is_given_back() {
        let followers = Followers::default();
        let add = |identity, is_guest| followers.add(&upload(identity), &address(identity), is_guest);
        let mut own: Vec<_> = (0..MAX_OF_ONE).map(|_| add(0, false).unwrap()).collect();
        assert_eq!(add(0, false).err(), Some(TooMany::OfOne));
        own.pop();
        own.push(add(0, false).unwrap());
        let guests: Vec<_> = (1..=MAX_OF_GUESTS).map(|guest| add(guest, true).unwrap()).collect();
        assert_eq!(add(1000, true).err(), Some(TooMany::InTotal));
        let others: Vec<_> =
            (own.len() + guests.len()..MAX_FOLLOWERS).map(|other| add(1000 + other, false).unwrap()).collect();
        assert_eq!(add(2000, false).err(), Some(TooMany::InTotal));
        drop((own, guests, others));
        let state = followers.state();
        assert_eq!((state.total, state.of_guests, state.of_identities.len(), state.uploads.len()), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn every_follower_of_an_upload_sees_a_change_and_nobody_else() {
        let followers = Followers::default();
        let mut own = [1, 2].map(|identity| followers.add(&upload(1), &address(identity), false).unwrap());
        let mut other = followers.add(&upload(2), &address(1), false).unwrap();
        followers.wake(&upload(1));
        for follower in &mut own {
            assert!(follower.changed().await);
            assert_eq!(follower.changed().now_or_never(), None);
        }
        assert_eq!(other.changed().now_or_never(), None);
        followers.wake(&upload(1));
        own[0].look();
        assert_eq!(own[0].changed().now_or_never(), None, "it looked behind the change");
        followers.close();
        assert!(!own[0].changed().await && !other.changed().await);
        drop((own, other));
        assert_eq!(followers.add(&upload(1), &address(1), false).err(), Some(TooMany::InTotal));
    }
}
