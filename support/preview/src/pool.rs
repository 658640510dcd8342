//! Many renders: how many at once, how many wait, how long, in how much memory; results that are kept, and those that are still read.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::budget::{Budget, CountedPreview, Reservation};
use crate::cache::Cache;
use crate::icon;
use crate::render::{measure, render_until};
use crate::stop::Stop;
use crate::{BoxError, Icon, Limits, Parameters, Preview, PreviewError};

/// Renders at the same time.
pub const PLACES: usize = 2;
/// Renders that wait for a place.
pub const WAITING: usize = 32;
/// How many of the places where renders wait are kept from [strangers](Pool::for_strangers).
pub const KEPT_FROM_STRANGERS: usize = 8;
/// How long a render waits for a place and for room for its result.
pub const WAIT: Duration = Duration::from_secs(20);
/// How long a render takes at the most, with loading its content and waiting for memory.
pub const TIME: Duration = Duration::from_secs(30);
/// Bytes of previews that are kept.
pub const CACHE_BYTES: u64 = 32 << 20;
/// Bytes of all previews that exist at once: those that are kept, and those that somebody still reads, however slowly. Beside the share of
/// strangers and what is kept there is room for a result in each place.
pub const RESULT_BYTES: u64 = 192 << 20;
/// The share that [strangers](Pool::for_strangers) have of these.
pub const STRANGERS_RESULT_BYTES: u64 = RESULT_BYTES / 2;
/// Bytes of memory for renders that [strangers](Pool::for_strangers) cannot have, beside what one render may take
/// ([`MEMORY`](crate::limits::MEMORY)): enough for usual previews of images of 12 megapixels, as most cameras of phones make.
pub const KEPT_MEMORY: u64 = 128 << 20;
/// The unit in which memory is handed out, since semaphores count to 2^32 at the most.
const MEMORY_UNIT: u64 = 64 << 10;

/// The hash of a content. It is what makes a preview that is kept never stale, so it has to resist collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// How much a pool does at once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bounds of one image. `limits.memory` and [`kept_memory`](Self::kept_memory) bound all renders at the same time together; beside them
    /// there are the contents that are rendered: at most twice `limits.input_bytes` for each place.
    pub limits: Limits,
    /// Bytes of memory that [strangers](Pool::for_strangers) cannot have, who have `limits.memory` together.
    pub kept_memory: u64,
    /// Renders at the same time; at least one. With two or more, one is kept from [strangers](Pool::for_strangers).
    pub places: usize,
    /// Renders that wait for a place.
    pub waiting: usize,
    /// How many of these [strangers](Pool::for_strangers) cannot have.
    pub kept_from_strangers: usize,
    /// How long a render waits for a place and for room for its result.
    pub wait: Duration,
    /// How long a render takes at the most.
    pub time: Duration,
    /// Bytes of previews that are kept.
    pub cache_bytes: u64,
    /// Bytes of all previews that exist at once, until nobody has a part of [`Preview::bytes`] any more; at most 2^32. Each render reserves
    /// `limits.output_bytes` of them.
    pub result_bytes: u64,
    /// What [strangers](Pool::for_strangers) may have of these. A single preview never has more bytes than that.
    pub strangers_result_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            kept_memory: KEPT_MEMORY,
            places: PLACES,
            waiting: WAITING,
            kept_from_strangers: KEPT_FROM_STRANGERS,
            wait: WAIT,
            time: TIME,
            cache_bytes: CACHE_BYTES,
            result_bytes: RESULT_BYTES,
            strangers_result_bytes: STRANGERS_RESULT_BYTES,
        }
    }
}

/// A preview, and whether it was kept from before.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The preview.
    pub preview: Preview,
    /// Whether it was there already.
    pub cached: bool,
}

/// Renders previews on threads of their own, within bounds, and keeps results. Cheap to clone.
///
/// What is asked for twice at the same time is rendered once, or twice if [strangers](Pool::for_strangers) began. A render ends when nobody
/// waits for it any more: at once while it waits or loads, and behind its current step when it has begun; until then it keeps its place and its
/// memory.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
    is_for_strangers: bool,
}

struct Inner {
    settings: Settings,
    /// Places and waiting places together.
    admitted: Arc<Semaphore>,
    /// Those of them that strangers may have.
    admitted_strangers: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Those of them that strangers may have, who wait for these first and so are never a queue before others.
    places_strangers: Arc<Semaphore>,
    /// In units of [`MEMORY_UNIT`].
    memory: Arc<Semaphore>,
    /// What strangers may have of it, who wait for this first.
    memory_strangers: Arc<Semaphore>,
    results: Budget,
    state: Mutex<State>,
}

struct State {
    cache: Cache<Key, CountedPreview>,
    /// What is being rendered. Entries go when their render ends or is given up.
    flights: HashMap<FlightKey, (u64, WeakShared<Flight>), RandomState>,
    /// Numbers flights, so that one that ends late does not remove its successor.
    next: u64,
}

type Flight = BoxFuture<'static, Result<CountedPreview, PreviewError>>;

/// What determines a result.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    subject: Subject,
    parameters: String,
}

/// A result, and for whom it was asked first: strangers wait longer, so nobody else waits for what they have begun.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    key: Key,
    is_for_strangers: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Content(ContentHash),
    Icon(Icon),
}

/// What a render has to do.
enum Job {
    Content(Bytes),
    Icon(Icon),
}

/// What a render holds for as long as its thread works.
struct Held {
    _admitted: [Option<OwnedSemaphorePermit>; 2],
    _places: [Option<OwnedSemaphorePermit>; 2],
}

impl Pool {
    /// A pool that has rendered nothing yet.
    pub fn new(mut settings: Settings) -> Self {
        let places = settings.places.clamp(1, Semaphore::MAX_PERMITS / 2);
        let places_strangers = (places - 1).max(1);
        let waiting = settings.waiting.min(Semaphore::MAX_PERMITS / 2);
        let waiting_strangers = waiting.saturating_sub(settings.kept_from_strangers);
        let memory = |bytes| Arc::new(Semaphore::new(units(bytes) as usize));
        let results = Budget::new(settings.result_bytes, settings.strangers_result_bytes);
        let largest = settings.result_bytes.min(settings.strangers_result_bytes);
        settings.limits.output_bytes = settings.limits.output_bytes.min(largest);
        let state = State { cache: Cache::new(settings.cache_bytes), flights: HashMap::default(), next: 0 };
        let inner = Inner {
            memory: memory(settings.limits.memory.saturating_add(settings.kept_memory)),
            memory_strangers: memory(settings.limits.memory),
            settings,
            admitted: Arc::new(Semaphore::new(places + waiting)),
            admitted_strangers: Arc::new(Semaphore::new(places_strangers + waiting_strangers)),
            places: Arc::new(Semaphore::new(places)),
            places_strangers: Arc::new(Semaphore::new(places_strangers)),
            results,
            state: Mutex::new(state),
        };
        Self { inner: Arc::new(inner), is_for_strangers: false }
    }

    /// The same pool for callers of whom there may be any number. What they ask for leaves others a place to render, places to wait, and memory for
    /// renders and results, and they wait for each other only. What somebody else is having rendered, or was, they get without a place; others do not wait for
    /// what they are having rendered.
    #[must_use]
    pub fn for_strangers(&self) -> Self {
        Self { inner: self.inner.clone(), is_for_strangers: true }
    }

    /// The bounds of one image.
    pub fn limits(&self) -> &Limits {
        &self.inner.settings.limits
    }

    /// The preview of an image. `load` is called only if it has to be rendered and there is a place for it, so contents do not pile up; it must answer
    /// the content with this hash.
    ///
    /// Dropping the future gives up this wait, and the render if nobody else waits for it.
    ///
    /// # Errors
    /// As [`crate::render()`]; there is no place or no room for the result, or not in time; the render takes too long; the content cannot be loaded.
    pub async fn image<L, F, E>(
        &self,
        content: ContentHash,
        parameters: &Parameters,
        load: L,
    ) -> Result<Answer, PreviewError>
    where
        L: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.answer(Subject::Content(content), parameters, async move {
            let loaded = load().await.map_err(|error| PreviewError::Load(Arc::from(error.into())))?;
            Ok(Job::Content(loaded))
        })
        .await
    }

    /// An icon; see [`Icon::instead_of`].
    ///
    /// # Errors
    /// As for [`Pool::image`].
    pub async fn icon(&self, icon: Icon, parameters: &Parameters) -> Result<Answer, PreviewError> {
        self.answer(Subject::Icon(icon), parameters, async move { Ok(Job::Icon(icon)) }).await
    }

    async fn answer(
        &self,
        subject: Subject,
        parameters: &Parameters,
        load: impl Future<Output = Result<Job, PreviewError>> + Send + 'static,
    ) -> Result<Answer, PreviewError> {
        let key = Key { subject, parameters: parameters.canonical() };
        let flight = {
            let mut state = self.inner.state();
            if let Some(preview) = state.cache.find(&key) {
                return self.hand_out(&preview, true);
            }
            let joined = state.join(&key, self.is_for_strangers);
            joined.unwrap_or_else(|| self.start(&mut state, key, parameters.clone(), load))
        };
        self.hand_out(&flight.await?, false)
    }

    fn hand_out(&self, preview: &CountedPreview, cached: bool) -> Result<Answer, PreviewError> {
        if self.is_for_strangers {
            self.inner.results.hand_to_strangers(preview)?;
        }
        Ok(Answer { preview: preview.preview(), cached })
    }

    /// Makes a flight, which goes on while somebody waits for it.
    fn start(
        &self,
        state: &mut State,
        key: Key,
        parameters: Parameters,
        load: impl Future<Output = Result<Job, PreviewError>> + Send + 'static,
    ) -> Shared<Flight> {
        let number = state.next;
        state.next += 1;
        let key = FlightKey { key, is_for_strangers: self.is_for_strangers };
        let landing = Landing { pool: self.inner.clone(), key: key.clone(), number };
        let flight = async move {
            let result = landing.pool.render(landing.key.is_for_strangers, parameters, load).await;
            if let Ok(preview) = &result {
                landing.pool.state().cache.keep(landing.key.key.clone(), preview.clone());
            }
            drop(landing);
            result
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            state.flights.insert(key, (number, weak));
        }
        flight
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Inner {
    /// No code panics while it holds the lock, so the state is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn render(
        &self,
        is_for_strangers: bool,
        parameters: Parameters,
        load: impl Future<Output = Result<Job, PreviewError>>,
    ) -> Result<CountedPreview, PreviewError> {
        let strangers = is_for_strangers.then_some(&self.admitted_strangers);
        let admit = |semaphore: &Arc<Semaphore>| semaphore.clone().try_acquire_owned().map_err(|_| PreviewError::Busy);
        let admitted = [strangers.map(admit).transpose()?, Some(admit(&self.admitted)?)];
        let take =
            async |semaphore: &Arc<Semaphore>| semaphore.clone().acquire_owned().await.map_err(|_| PreviewError::Busy);
        let begin = async {
            let of_strangers = if is_for_strangers { Some(take(&self.places_strangers).await?) } else { None };
            let places = [of_strangers, Some(take(&self.places).await?)];
            let result = self.results.reserve(self.settings.limits.output_bytes, is_for_strangers).await?;
            Ok((places, result))
        };
        let (places, result) = timeout(self.settings.wait, begin).await.unwrap_or(Err(PreviewError::Busy))?;
        let held = Arc::new(Held { _admitted: admitted, _places: places });
        let work = async { self.work(is_for_strangers, load.await?, parameters, held, result).await };
        let seconds = self.settings.time.as_secs();
        timeout(self.settings.time, work).await.unwrap_or(Err(PreviewError::TimeExceeded { seconds }))
    }

    /// Measures, waits for memory, and renders.
    async fn work(
        &self,
        is_for_strangers: bool,
        job: Job,
        parameters: Parameters,
        held: Arc<Held>,
        result: Reservation,
    ) -> Result<CountedPreview, PreviewError> {
        let stop = Stop::default();
        // Nobody waits if this future is dropped, or timed out.
        let _nobody_waits = stop.on_drop();
        let limits = self.settings.limits.clone();
        let job = Arc::new(job);
        let needed = on_thread(held.clone(), {
            let (job, parameters, limits) = (job.clone(), parameters.clone(), limits.clone());
            move || job.measure(&parameters, &limits)
        })
        .await?;
        let take = async |semaphore: &Arc<Semaphore>| {
            semaphore.clone().acquire_many_owned(units(needed)).await.map_err(|_| PreviewError::Busy)
        };
        // In this order, so that what others can have is not held while a stranger waits for strangers.
        let of_strangers = if is_for_strangers { Some(take(&self.memory_strangers).await?) } else { None };
        let memory = [of_strangers, Some(take(&self.memory).await?)];
        // The thread has the reservation, too, so that nothing is encoded that does not count.
        on_thread((held, memory), move || Ok(result.spend(job.render(&parameters, &limits, &stop)?))).await
    }
}

impl State {
    /// The flight that renders this already, unless it was given up. Strangers join each other's, too.
    fn join(&self, key: &Key, is_for_strangers: bool) -> Option<Shared<Flight>> {
        let flight = |is_for_strangers| {
            let (_, flight) = self.flights.get(&FlightKey { key: key.clone(), is_for_strangers })?;
            flight.upgrade()
        };
        flight(false).or_else(|| if is_for_strangers { flight(true) } else { None })
    }
}

impl Job {
    fn measure(&self, parameters: &Parameters, limits: &Limits) -> Result<u64, PreviewError> {
        match self {
            Self::Content(bytes) => measure(bytes, parameters, limits),
            Self::Icon(_) => icon::measure(parameters, limits),
        }
    }

    fn render(&self, parameters: &Parameters, limits: &Limits, stop: &Stop) -> Result<Preview, PreviewError> {
        match self {
            Self::Content(bytes) => render_until(bytes, parameters, limits, stop),
            Self::Icon(icon) => icon::render_icon_until(*icon, parameters, limits, stop),
        }
    }
}

/// Removes a flight from the list when it ends or is dropped.
struct Landing {
    pool: Arc<Inner>,
    key: FlightKey,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if state.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            state.flights.remove(&self.key);
        }
    }
}

/// Works on a thread for blocking work, which keeps `held` until it ends, whoever waits. A panic there ends this render only.
async fn on_thread<T: Send + 'static>(
    held: impl Send + 'static,
    work: impl FnOnce() -> Result<T, PreviewError> + Send + 'static,
) -> Result<T, PreviewError> {
    let thread = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(held);
        result
    });
    thread.await.unwrap_or(Err(PreviewError::Failed))
}

/// At most what a render is allowed to take, so that it never asks for more than there is.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32)
}

#[cfg(test)]
mod tests;
