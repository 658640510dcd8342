//! Bodies of format `v1` that are served to peers. Each is fetched from the backbone as a whole, because nothing less can be read there.
//!
//! One reader, an identity or a peer without one, has one of them at a time. Several made-up peers can still take all places; others are told to come again. Several readers of one file share its body. A body stays
//! when it is not read any more, until another one needs its place: who asks again and again does not have it fetched again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use transport::wire::FileId;

use super::spool::Storage;
use crate::Result;

/// Bodies that are kept at a time, from memory or from temporary files; so the disk has this many of the longest ones of format `v1`.
pub(crate) const MAX_BODIES: usize = 4;

/// The bodies that are there, and those that are being fetched.
#[derive(Default)]
pub(crate) struct Bodies(Mutex<Vec<Kept>>);

/// A body, or a place for it. There are at most [`MAX_BODIES`], the one that was asked for last at the end.
struct Kept {
    file: FileId,
    body: Arc<OnceCell<Body>>,
    /// Those that read it now. One may read it several times.
    readers: Vec<String>,
}

/// A body of format `v1`.
pub(super) struct Body {
    pub(super) storage: Storage,
    pub(super) length: u64,
}

/// A body that somebody reads. Its place is free for others when this is dropped.
pub(super) struct BodyInUse {
    bodies: Arc<Bodies>,
    body: Arc<OnceCell<Body>>,
    reader: String,
}

impl Bodies {
    /// A place for the body of a file, which is in use from now on; nothing if the reader has another one in use, or all are.
    pub(super) fn take(self: &Arc<Self>, file: &FileId, reader: &str) -> Option<BodyInUse> {
        let mut kept = self.kept();
        if kept.iter().any(|other| other.file != *file && other.readers.iter().any(|known| known == reader)) {
            return None;
        }
        let mut place = match kept.iter().position(|known| known.file == *file) {
            Some(place) => kept.remove(place),
            None => {
                if kept.len() >= MAX_BODIES {
                    let unused = kept.iter().position(|other| other.readers.is_empty())?;
                    kept.remove(unused);
                }
                Kept { file: file.clone(), body: Arc::default(), readers: Vec::new() }
            }
        };
        place.readers.push(reader.to_owned());
        let body = place.body.clone();
        kept.push(place);
        Some(BodyInUse { bodies: self.clone(), body, reader: reader.to_owned() })
    }

    fn leave(&self, BodyInUse { body, reader, .. }: &BodyInUse) {
        let mut kept = self.kept();
        let Some(place) = kept.iter().position(|known| Arc::ptr_eq(&known.body, body)) else { return };
        let readers = &mut kept[place].readers;
        if let Some(one) = readers.iter().position(|known| known == reader) {
            readers.swap_remove(one);
        }
        if readers.is_empty() && !body.initialized() {
            kept.remove(place);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyInUse {
    /// The body, which one of those who wait for it fetches if it is not there.
    pub(super) async fn fetched(&self, fetch: impl Future<Output = Result<Body>> + Send) -> Result<&Body> {
        self.body.get_or_try_init(|| fetch).await
    }

    /// The body, if it was fetched.
    pub(super) fn get(&self) -> Option<&Body> {
        self.body.get()
    }
}

impl Drop for BodyInUse {
    fn drop(&mut self) {
        self.bodies.leave(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: usize) -> FileId {
        format!("FILabcdefghijklmno{number:02}").parse().unwrap()
    }

    async fn fetch(place: &BodyInUse, fetches: &std::cell::Cell<usize>) {
        fetches.set(fetches.get() + 1);
        let body = Body { storage: Storage::Memory(vec![]), length: 0 };
        place.fetched(async { Ok(body) }).await.unwrap();
    }

    #[tokio::test]
    async fn as_many_bodies_are_kept_as_the_bound_says_and_the_one_not_used_for_longest_goes() {
        let (bodies, fetches) = (Arc::new(Bodies::default()), std::cell::Cell::new(0));
        for number in 0..=MAX_BODIES {
            let place = bodies.take(&file(number), "a").unwrap();
            assert!(place.get().is_none());
            fetch(&place, &fetches).await;
        }
        assert_eq!(bodies.kept().len(), MAX_BODIES);
        assert!(bodies.take(&file(1), "a").unwrap().get().is_some(), "it was kept");
        assert!(bodies.take(&file(0), "a").unwrap().get().is_none(), "it had to go");
        assert_eq!(bodies.kept().len(), MAX_BODIES - 1, "what was not fetched is not kept");
    }

    #[tokio::test]
    async fn a_reader_has_one_body_at_a_time_and_all_together_as_many_as_there_are_places() {
        let bodies = Arc::new(Bodies::default());
        let readers: Vec<_> = (0..=MAX_BODIES).map(|number| format!("reader {number}")).collect();
        let mut in_use: Vec<_> =
            (0..MAX_BODIES).map(|number| bodies.take(&file(number), &readers[number]).unwrap()).collect();
        assert!(bodies.take(&file(9), &readers[MAX_BODIES]).is_none(), "all places are in use");
        assert!(bodies.take(&file(0), &readers[MAX_BODIES]).is_some(), "one of them may be shared");
        assert!(bodies.take(&file(1), &readers[0]).is_none(), "another file");
        let again = bodies.take(&file(0), &readers[0]);
        assert!(again.is_some(), "the same file");
        in_use.remove(0);
        assert!(bodies.take(&file(9), &readers[0]).is_none(), "the first file is still in use");
        drop(again);
        assert!(bodies.take(&file(9), &readers[0]).is_some());
    }

    #[tokio::test]
    async fn who_waits_for_a_body_fetches_it_if_the_first_one_fails() {
        let (bodies, fetches) = (Arc::new(Bodies::default()), std::cell::Cell::new(0));
        let (first, second) = (bodies.take(&file(0), "a").unwrap(), bodies.take(&file(0), "b").unwrap());
        assert!(first.fetched(async { Err(crate::Error::Stopped) }).await.is_err());
        drop(first);
        fetch(&second, &fetches).await;
        assert!(bodies.take(&file(0), "a").unwrap().get().is_some());
    }
}
