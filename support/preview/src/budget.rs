//! The bytes of all encoded previews that exist at once: those that are kept, and those that somebody has not finished reading.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Preview, PreviewError};

/// Bytes of encoded previews, of which [strangers](crate::Pool::for_strangers) have a share.
pub(crate) struct Budget {
    /// In bytes.
    all: Arc<Semaphore>,
    /// In bytes: what strangers may have of them.
    strangers: Arc<Semaphore>,
}

/// Bytes for one preview, taken before it is rendered.
pub(crate) struct Reservation {
    all: OwnedSemaphorePermit,
    strangers: Option<OwnedSemaphorePermit>,
}

/// A preview that counts in a [`Budget`] until nobody has its bytes any more, whole or in part. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CountedPreview(Arc<Counted>);

struct Counted {
    preview: Preview,
    _all: OwnedSemaphorePermit,
    /// Once a stranger has it, and until nobody has.
    strangers: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Budget {
    /// So many bytes for everybody together, and for strangers.
    pub(crate) fn new(all: u64, strangers: u64) -> Self {
        let semaphore = |bytes| Arc::new(Semaphore::new(permits(bytes) as usize));
        Self { all: semaphore(all), strangers: semaphore(strangers.min(all)) }
    }

    /// Waits until there are so many bytes.
    ///
    /// # Errors
    /// None while the budget exists; it is never closed.
    pub(crate) async fn reserve(&self, bytes: u64, is_for_strangers: bool) -> Result<Reservation, PreviewError> {
        let take = async |semaphore: &Arc<Semaphore>| {
            semaphore.clone().acquire_many_owned(permits(bytes)).await.map_err(|_| PreviewError::Busy)
        };
        // In this order: a stranger who waits for other strangers is not before anybody else.
        let strangers = if is_for_strangers { Some(take(&self.strangers).await?) } else { None };
        Ok(Reservation { all: take(&self.all).await?, strangers })
    }

    /// Counts a preview as one that strangers have, if it does not count as such already.
    ///
    /// # Errors
    /// [`PreviewError::Busy`] if there are not so many bytes.
    pub(crate) fn hand_to_strangers(&self, preview: &CountedPreview) -> Result<(), PreviewError> {
        let mut counted = preview.0.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_none() {
            let taken = self.strangers.clone().try_acquire_many_owned(permits(preview.as_ref().len() as u64));
            *counted = Some(taken.map_err(|_| PreviewError::Busy)?);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> (usize, usize) {
        (self.all.available_permits(), self.strangers.available_permits())
    }
}

impl Reservation {
    /// Gives back what the preview does not need. It must not have more bytes than are reserved.
    pub(crate) fn spend(self, preview: Preview) -> CountedPreview {
        let bytes = preview.bytes.len();
        let strangers = self.strangers.map(|permit| shrunk(permit, bytes));
        let counted = Counted { preview, _all: shrunk(self.all, bytes), strangers: Mutex::new(strangers) };
        CountedPreview(Arc::new(counted))
    }
}

impl CountedPreview {
    /// What somebody gets: it counts for as long as a part of its bytes exists.
    pub(crate) fn preview(&self) -> Preview {
        Preview { bytes: Bytes::from_owner(self.clone()), media_type: self.0.preview.media_type }
    }
}

impl AsRef<[u8]> for CountedPreview {
    fn as_ref(&self) -> &[u8] {
        &self.0.preview.bytes
    }
}

fn shrunk(mut permit: OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
    let surplus = permit.num_permits().saturating_sub(bytes);
    drop(permit.split(surplus));
    permit
}

/// Semaphores count to 2^32 at the most, or less on small machines.
fn permits(bytes: u64) -> u32 {
    let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(bytes).unwrap_or(most).min(most)
}
