use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::tests::png;

type Loaded = Result<Bytes, BoxError>;

fn small(settings: Settings) -> Pool {
    Pool::new(Settings { places: 1, waiting: 1, kept_from_strangers: 0, ..settings })
}

fn hash(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

fn photo() -> Bytes {
    png(8, 6).into()
}

async fn at_once(pool: &Pool, number: u8) -> Result<Answer, PreviewError> {
    pool.image(hash(number), &Parameters::default(), || async { Loaded::Ok(photo()) }).await
}

/// A render that has its place and loads until it is told the content. Answers when it has its place.
async fn begin(
    pool: &Pool,
    number: u8,
) -> (tokio::task::JoinHandle<Result<Answer, PreviewError>>, oneshot::Sender<Bytes>) {
    let (content, loaded) = oneshot::channel();
    let (begun, has_begun) = oneshot::channel();
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let load = move || async move {
            let _ = begun.send(());
            loaded.await
        };
        pool.image(hash(number), &Parameters::default(), load).await
    });
    has_begun.await.unwrap();
    (task, content)
}

#[tokio::test]
async fn a_result_is_kept_by_content_and_parameters() {
    let pool = Pool::default();
    let first = at_once(&pool, 1).await.unwrap();
    assert!(!first.cached);
    let again = at_once(&pool, 1).await.unwrap();
    assert!(again.cached);
    assert_eq!(first.preview, again.preview);
    assert!(!at_once(&pool, 2).await.unwrap().cached);

    let other = Parameters::parse([("width", "3")]).unwrap();
    let answer = pool.image(hash(1), &other, || async { Loaded::Ok(photo()) }).await.unwrap();
    assert!(!answer.cached);
    let same = Parameters::parse([("width", "3"), ("rotation", "360")]).unwrap();
    let answer = pool.image(hash(1), &same, || async { Loaded::Err("loaded".into()) }).await.unwrap();
    assert!(answer.cached);
}

#[tokio::test]
async fn icons_are_kept_too() {
    let pool = Pool::default();
    assert!(!pool.icon(Icon::File, &Parameters::default()).await.unwrap().cached);
    assert!(pool.icon(Icon::File, &Parameters::default()).await.unwrap().cached);
    assert!(!pool.icon(Icon::Video, &Parameters::default()).await.unwrap().cached);
}

#[tokio::test]
async fn what_is_asked_for_twice_at_once_is_loaded_and_rendered_once() {
    let pool = Pool::default();
    let loads = Arc::new(AtomicUsize::new(0));
    let (first, content) = begin(&pool, 1).await;
    let parameters = Parameters::default();
    let others = (0..8).map(|_| {
        let loads = loads.clone();
        pool.image(hash(1), &parameters, move || async move {
            loads.fetch_add(1, Ordering::Relaxed);
            Loaded::Ok(photo())
        })
    });
    let mut others = futures_util::future::join_all(others);
    assert!(futures_util::poll!(&mut others).is_pending());
    content.send(photo()).unwrap();
    let first = first.await.unwrap().unwrap();
    for other in others.await {
        let other = other.unwrap();
        assert!(!other.cached);
        assert_eq!(other.preview, first.preview);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert!(pool.inner.state().flights.is_empty());
}

#[tokio::test]
async fn more_than_the_places_and_the_waiting_places_are_refused() {
    let pool = small(Settings::default());
    let (first, content) = begin(&pool, 1).await;
    let mut second = Box::pin(at_once(&pool, 2));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert!(matches!(at_once(&pool, 3).await, Err(PreviewError::Busy)));
    content.send(photo()).unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap();
    at_once(&pool, 3).await.unwrap();
}

#[tokio::test]
async fn strangers_leave_places_where_others_wait() {
    let pool = Pool::new(Settings { places: 1, waiting: 2, kept_from_strangers: 1, ..Settings::default() });
    let strangers = pool.for_strangers();
    let (first, content) = begin(&strangers, 1).await;
    let mut second = Box::pin(at_once(&strangers, 2));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert!(matches!(at_once(&strangers, 3).await, Err(PreviewError::Busy)));
    let mut third = Box::pin(at_once(&pool, 3));
    assert!(futures_util::poll!(&mut third).is_pending());
    let mut joined = Box::pin(at_once(&strangers, 3));
    assert!(futures_util::poll!(&mut joined).is_pending(), "it takes no place of its own");
    content.send(photo()).unwrap();
    first.await.unwrap().unwrap();
    let (second, third, joined) = tokio::join!(second, third, joined);
    second.and(third).and(joined).unwrap();
    assert!(at_once(&strangers, 3).await.unwrap().cached);
}

#[tokio::test]
async fn strangers_leave_a_place_to_render_however_many_of_them_wait() {
    let pool = Pool::default();
    let strangers = pool.for_strangers();
    let (_first, _content) = begin(&strangers, 0).await;
    let most = u8::try_from(PLACES - 1 + WAITING - KEPT_FROM_STRANGERS).unwrap();
    let mut waiting: Vec<_> = (1..most).map(|number| Box::pin(at_once(&strangers, number))).collect();
    for other in &mut waiting {
        assert!(futures_util::poll!(other).is_pending());
    }
    assert!(matches!(at_once(&strangers, most).await, Err(PreviewError::Busy)));
    assert_eq!(pool.inner.places.available_permits(), 1);
    for number in 100..110 {
        at_once(&pool, number).await.unwrap();
    }
    for other in &mut waiting {
        assert!(futures_util::poll!(other).is_pending());
    }
}

#[tokio::test]
async fn nobody_waits_for_what_strangers_are_having_rendered() {
    let pool = Pool::default();
    let strangers = pool.for_strangers();
    let (first, content) = begin(&strangers, 1).await;
    let mut joined = Box::pin(at_once(&strangers, 1));
    assert!(futures_util::poll!(&mut joined).is_pending());
    let other = at_once(&pool, 1).await.unwrap();
    content.send(photo()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().preview, other.preview);
    assert_eq!(joined.await.unwrap().preview, other.preview);
    assert!(pool.inner.state().flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_render_waits_for_a_place_for_some_time_only() {
    let pool = small(Settings { wait: Duration::from_secs(5), time: Duration::from_secs(3600), ..Settings::default() });
    let (first, _content) = begin(&pool, 1).await;
    let began = tokio::time::Instant::now();
    assert!(matches!(at_once(&pool, 2).await, Err(PreviewError::Busy)));
    assert_eq!(began.elapsed().as_secs(), 5);
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn a_render_that_takes_too_long_ends_and_frees_its_place() {
    let pool = small(Settings { time: Duration::from_secs(7), ..Settings::default() });
    let (first, _content) = begin(&pool, 1).await;
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(error, PreviewError::TimeExceeded { seconds: 7 }), "{error}");
    assert_eq!(pool.inner.places.available_permits(), 1);
    assert!(pool.inner.state().flights.is_empty());
}

#[tokio::test]
async fn a_render_that_nobody_waits_for_is_given_up() {
    let pool = small(Settings::default());
    let (first, mut content) = begin(&pool, 1).await;
    first.abort();
    content.closed().await;
    assert!(first.await.unwrap_err().is_cancelled());
    assert!(pool.inner.state().flights.is_empty());
    assert!(!at_once(&pool, 1).await.unwrap().cached);
}

#[tokio::test]
async fn a_render_goes_on_for_those_who_joined_when_the_first_one_leaves() {
    let pool = small(Settings::default());
    let (first, content) = begin(&pool, 1).await;
    let mut joined = Box::pin(at_once(&pool, 1));
    assert!(futures_util::poll!(&mut joined).is_pending());
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    content.send(photo()).unwrap();
    assert!(joined.await.is_ok());
}

#[tokio::test]
async fn renders_take_turns_where_the_memory_is_not_enough_for_both() {
    let pool = Pool::new(Settings { places: 2, ..Settings::default() });
    let all = units(pool.limits().memory + KEPT_MEMORY);
    let memory = pool.inner.memory.clone().acquire_many_owned(all).await.unwrap();
    let mut waits = Box::pin(at_once(&pool, 1));
    // It measures on another thread, so it takes some turns until it waits for memory.
    while pool.inner.memory.available_permits() == 0 && Arc::strong_count(&pool.inner.memory) < 3 {
        assert!(futures_util::poll!(&mut waits).is_pending());
        tokio::task::yield_now().await;
    }
    drop(memory);
    waits.await.unwrap();
    assert_eq!(pool.inner.memory.available_permits(), all as usize);
}

#[tokio::test(start_paused = true)]
async fn strangers_leave_memory_for_renders_of_others() {
    let needed = measure(&photo(), &Parameters::default(), &Limits::default()).unwrap();
    let needed = u64::from(units(needed)) * MEMORY_UNIT;
    for (kept_memory, is_enough) in [(needed, true), (needed - MEMORY_UNIT, false)] {
        let pool = Pool::new(Settings { kept_memory, ..Settings::default() });
        let strangers = pool.for_strangers();
        let all = units(pool.limits().memory);
        let of_strangers = pool.inner.memory_strangers.clone().acquire_many_owned(all).await.unwrap();
        let memory = pool.inner.memory.clone().acquire_many_owned(all).await.unwrap();
        assert!(matches!(at_once(&strangers, 1).await, Err(PreviewError::TimeExceeded { .. })));
        assert_eq!(at_once(&pool, 2).await.is_ok(), is_enough);
        drop((of_strangers, memory));
        assert!(at_once(&strangers, 1).await.is_ok());
        let left = [&pool.inner.memory, &pool.inner.memory_strangers].map(|memory| memory.available_permits() as u64);
        assert_eq!(left, [units(pool.limits().memory + kept_memory), all].map(u64::from));
    }
}

/// A pool in which all previews of [`photo`] together have room for so many, and those of strangers for fewer.
fn with_room(all: u64, strangers: u64, cache_bytes: u64) -> Pool {
    let length = length();
    let limits = Limits { output_bytes: length, ..Limits::default() };
    let (result_bytes, strangers_result_bytes) = (all * length, strangers * length);
    Pool::new(Settings { limits, cache_bytes, result_bytes, strangers_result_bytes, ..Settings::default() })
}

/// The bytes of a preview of [`photo`].
fn length() -> u64 {
    crate::render(&photo(), &Parameters::default(), &Limits::default()).unwrap().bytes.len() as u64
}

#[tokio::test(start_paused = true)]
async fn results_count_until_nobody_has_a_part_of_their_bytes() {
    let pool = with_room(2, 2, 0);
    let first = at_once(&pool, 1).await.unwrap().preview.bytes.slice(1..2);
    let second = at_once(&pool, 2).await.unwrap();
    assert_eq!(pool.inner.results.left().0, 0);
    let began = tokio::time::Instant::now();
    assert!(matches!(at_once(&pool, 3).await, Err(PreviewError::Busy)));
    assert_eq!(began.elapsed(), WAIT);
    assert_eq!(pool.inner.places.available_permits(), PLACES);
    drop(first);
    let third = at_once(&pool, 3).await.unwrap();
    drop((second, third));
    assert_eq!(pool.inner.results.left().0 as u64, 2 * length());
}

#[tokio::test(start_paused = true)]
async fn a_result_counts_what_it_has_and_waits_for_what_it_may_have() {
    let pool = Pool::new(Settings { cache_bytes: 0, result_bytes: 2000, ..Settings::default() });
    assert_eq!(pool.limits().output_bytes, 2000, "no more than there is");
    let first = at_once(&pool, 1).await.unwrap();
    assert_eq!(pool.inner.results.left().0 as u64, 2000 - length());
    assert!(matches!(at_once(&pool, 2).await, Err(PreviewError::Busy)));
    drop(first);
    at_once(&pool, 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn strangers_leave_room_for_results_of_others() {
    let pool = with_room(2, 1, 0);
    let strangers = pool.for_strangers();
    let first = at_once(&strangers, 1).await.unwrap();
    assert!(matches!(at_once(&strangers, 2).await, Err(PreviewError::Busy)));
    at_once(&pool, 2).await.unwrap();
    drop(first);
    at_once(&strangers, 2).await.unwrap();
}

#[tokio::test]
async fn what_strangers_get_of_others_counts_as_theirs_and_once() {
    let pool = with_room(3, 1, CACHE_BYTES);
    let strangers = pool.for_strangers();
    let (first, second) = (at_once(&pool, 1).await.unwrap(), at_once(&pool, 2).await.unwrap());
    for _ in 0..2 {
        assert_eq!(at_once(&strangers, 1).await.unwrap().preview, first.preview);
    }
    assert!(matches!(at_once(&strangers, 2).await, Err(PreviewError::Busy)));
    assert_eq!(at_once(&pool, 2).await.unwrap().preview, second.preview);
}

#[tokio::test]
async fn a_render_that_fails_gives_its_room_back() {
    let pool = Pool::default();
    let load = || async { Loaded::Ok(Bytes::from_static(b"no image")) };
    pool.for_strangers().image(hash(1), &Parameters::default(), load).await.unwrap_err();
    let left = (usize::try_from(RESULT_BYTES).unwrap(), usize::try_from(STRANGERS_RESULT_BYTES).unwrap());
    assert_eq!(pool.inner.results.left(), left);
}

#[test]
fn each_place_has_room_for_a_result_beside_strangers_and_what_is_kept() {
    let others = RESULT_BYTES - STRANGERS_RESULT_BYTES - CACHE_BYTES;
    assert!(others >= PLACES as u64 * crate::limits::OUTPUT_BYTES);
}

#[tokio::test]
async fn errors_reach_all_who_wait_and_are_not_kept() {
    let pool = Pool::default();
    let load = || async { Loaded::Err("the disk is gone".into()) };
    let error = pool.image(hash(1), &Parameters::default(), load).await.unwrap_err();
    assert!(matches!(&error, PreviewError::Load(source) if source.to_string() == "the disk is gone"), "{error}");
    let load = || async { Loaded::Ok(Bytes::from_static(b"no image")) };
    assert!(matches!(pool.image(hash(1), &Parameters::default(), load).await, Err(PreviewError::UnknownFormat)));
    at_once(&pool, 1).await.unwrap();
}

#[tokio::test]
async fn a_panic_of_a_decoder_ends_its_render_only() {
    let failed = on_thread((), || -> Result<(), PreviewError> { panic!("a decoder") }).await;
    assert!(matches!(failed, Err(PreviewError::Failed)));
}
