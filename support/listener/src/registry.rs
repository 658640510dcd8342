//! The places of a running server: [`Admission`] behind a lock, and how its decisions reach connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::admission::{Admission, Decision, Id, Phase, Places};
use crate::source::Source;

/// All connections of a server.
#[derive(Debug, Clone)]
pub(crate) struct Registry(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    admission: Admission,
    evictions: HashMap<Id, Arc<Notify>>,
}

impl Registry {
    pub(crate) fn new(places: Places) -> Self {
        Self(Arc::new(Mutex::new(Inner { admission: Admission::new(places), evictions: HashMap::new() })))
    }

    /// A place for a new connection, if there is one.
    ///
    /// # Errors
    /// [`NoPlace`], with the time to wait if there will be one.
    pub(crate) fn admit(&self, source: Source) -> Result<Place, NoPlace> {
        let mut inner = self.lock();
        let (id, evicted) = match inner.admission.admit(source, Instant::now()) {
            Decision::Admitted { id, evicted } => (id, evicted),
            Decision::Later(wait) => return Err(NoPlace::For(wait)),
            Decision::Refused => return Err(NoPlace::Now),
        };
        if let Some(eviction) = evicted.and_then(|evicted| inner.evictions.remove(&evicted)) {
            eviction.notify_one();
        }
        let eviction = Arc::new(Notify::new());
        inner.evictions.insert(id, eviction.clone());
        Ok(Place { registry: self.clone(), id, eviction })
    }

    /// Closes the connection that has been idle the longest, if one is idle.
    pub(crate) fn evict_one(&self) {
        let mut inner = self.lock();
        let evicted = inner.admission.evict_idle();
        if let Some(eviction) = evicted.and_then(|evicted| inner.evictions.remove(&evicted)) {
            eviction.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a connection has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// There may be one after this time.
    For(Duration),
    /// It has to be refused.
    Now,
}

/// The place of a connection; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Registry,
    id: Id,
    eviction: Arc<Notify>,
}

impl Place {
    /// Returns when the connection has to give way. Cancel-safe.
    pub(crate) async fn evicted(&self) {
        self.eviction.notified().await;
    }

    /// Says that a request begins. It ends with the last clone of the handle's [`Working`].
    pub(crate) fn begin(&self) -> (RequestHandle, Working) {
        self.registry.lock().admission.enter_phase(self.id, Phase::Anonymous, Instant::now());
        let request = Arc::new(Request {
            registry: self.registry.clone(),
            id: self.id,
            is_authenticated: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        (RequestHandle(request.clone()), Working(request))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.admission.close(self.id);
        inner.evictions.remove(&self.id);
    }
}

#[derive(Debug)]
struct Request {
    registry: Registry,
    id: Id,
    is_authenticated: AtomicBool,
    is_over: AtomicBool,
}

/// An extension of each request: how a handler says who sent it.
#[derive(Debug, Clone)]
pub struct RequestHandle(Arc<Request>);

impl RequestHandle {
    /// Says that the sender is known. From now on the body may take as long as its size explains, and the connection keeps
    /// its place.
    pub fn authenticated(&self) {
        self.know(None);
    }

    /// The same, and who the sender is, by a digest: when there are too few places, those of whoever has the most are given up
    /// first.
    pub fn authenticated_as(&self, sender: u64) {
        self.know(Some(sender));
    }

    fn know(&self, sender: Option<u64>) {
        let request = &self.0;
        if request.is_authenticated.swap(true, Ordering::AcqRel) {
            return;
        }
        // Under the lock: the connection may be waiting for its next request by now.
        let mut inner = request.registry.lock();
        if !request.is_over.load(Ordering::Acquire) {
            inner.admission.enter_phase(request.id, Phase::Authenticated, Instant::now());
            if let Some(sender) = sender {
                inner.admission.note_sender(request.id, sender);
            }
        }
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.0.is_authenticated.load(Ordering::Acquire)
    }
}

/// Until this is dropped, the request is being worked on.
#[derive(Debug)]
pub(crate) struct Working(Arc<Request>);

impl Drop for Working {
    fn drop(&mut self) {
        let mut inner = self.0.registry.lock();
        self.0.is_over.store(true, Ordering::Release);
        let phase = if self.0.is_authenticated.load(Ordering::Acquire) { Phase::Returning } else { Phase::Idle };
        inner.admission.enter_phase(self.0.id, phase, Instant::now());
    }
}
