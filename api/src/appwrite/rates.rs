//! How often guests may write. Whoever presents a key may as often as it likes, and is told the limit all the same, as clients know it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::Method;
use http::request::Parts;
use listener::{Peer, Source};
use runtime::Timestamp;
use runtime::storage::PartRange;
use tokio::time::Instant;

use crate::allowance::Allowance;
use crate::auth::Sender;
use crate::face::Matched;

/// In which a limit counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Allowances that are remembered, some 2 MB. A source at a URL has the one that a keyed hash names: with more of them than this some
/// share one, and nobody can choose with whom.
const MAX_ALLOWANCES: u64 = 1 << 16;
/// Parts of a file that have allowances of their own; those behind share one.
const MAX_PARTS: u64 = 1 << 10;

/// The writes of guests, by source and URL. Each part of a file counts for itself, so a large file is not refused for its size.
pub(super) struct Rates {
    limit: NonZeroU32,
    limiter: RateLimiter<u64, HashMapStateStore<u64>, Monotonic, StateInformationMiddleware>,
    hasher: RandomState,
    clock: Monotonic,
}

impl Rates {
    /// So many writes in a minute, all at once or one after the other.
    pub(super) fn new(limit: NonZeroU32) -> Self {
        let clock = Monotonic(Instant::now());
        let interval = (WINDOW / limit.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).expect("the period is not zero").allow_burst(limit);
        let limiter = RateLimiter::hashmap_with_clock(quota, clock).with_middleware();
        Self { limit, limiter, hasher: RandomState::new(), clock }
    }

    /// Counts a request. None for reads, which have no limit.
    pub(super) fn count(
        &self,
        parts: &Parts,
        sender: Sender<'_>,
        matched: &Matched<'_>,
        now: Timestamp,
    ) -> Option<Allowance> {
        if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return None;
        }
        let (remaining, wait) = match sender.has_key {
            true => (self.limit.get(), None),
            false => self.take(self.allowance_of(parts, matched)),
        };
        let limit = self.limit.get();
        let until_all = WINDOW.mul_f64(f64::from(limit - remaining.min(limit)) / f64::from(limit));
        let reset = u64::try_from(now.as_unix_milliseconds()).unwrap_or_default() / 1000 + seconds(until_all);
        let wait = wait.map(|wait| u32::try_from(seconds(wait)).unwrap_or(u32::MAX));
        Some(Allowance { limit, remaining, reset, wait })
    }

    fn take(&self, allowance: u64) -> (u32, Option<Duration>) {
        match self.limiter.check_key(&allowance) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(refused) => (0, Some(refused.wait_time_from(self.clock.now()))),
        }
    }

    /// By what the path means, since it can be written in many ways.
    fn allowance_of(&self, parts: &Parts, matched: &Matched<'_>) -> u64 {
        let source = parts.extensions.get::<Peer>().map_or(Source::Loopback, Peer::source);
        let url = (&parts.method, matched.path, &matched.parameters);
        self.hasher.hash_one((source, url, part(parts))) % MAX_ALLOWANCES
    }
}

/// The number of the part that a request carries.
fn part(parts: &Parts) -> u64 {
    let range = parts.headers.get(http::header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| PartRange::parse(range).ok()).map_or(0, |part| part.index().min(MAX_PARTS))
}

/// Rounded up: after so many seconds it is so.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Monotonic time, which tests can pause.
#[derive(Debug, Clone, Copy)]
struct Monotonic(Instant);

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use http::Request;
    use runtime::storage::PART_LENGTH;

    use super::super::{AppwriteConfig, GUEST, face};
    use super::*;
    use crate::face::Face;
    use crate::protocol::segments;

    const NOW: i64 = 1_900_000_000_000;

    struct Gate {
        rates: Rates,
        face: Face,
    }

    impl Gate {
        fn new(limit: u32) -> Self {
            Self { rates: Rates::new(limit.try_into().unwrap()), face: face(&AppwriteConfig::default()) }
        }

        fn count(&self, request: Request<()>, has_key: bool) -> Option<Allowance> {
            let (parts, ()) = request.into_parts();
            let matched = self.face.find(&segments(parts.uri.path()), &parts.method).unwrap();
            let now = Timestamp::from_unix_milliseconds(NOW);
            self.rates.count(&parts, Sender { roles: &GUEST, has_key }, &matched, now)
        }

        fn is_admitted(&self, request: Request<()>) -> bool {
            self.count(request, false).unwrap().wait.is_none()
        }
    }

    fn upload(address: u32, bucket: &str) -> Request<()> {
        let mut request = Request::post(format!("/v1/storage/buckets/{bucket}/files")).body(()).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::from((Ipv4Addr::from_bits(address), 1))));
        request
    }

    fn upload_of(range: &str) -> Request<()> {
        let mut part = upload(1, "b");
        part.headers_mut().insert("content-range", range.parse().unwrap());
        part
    }

    #[tokio::test(start_paused = true)]
    async fn the_61st_write_in_a_minute_is_refused_with_the_time_to_wait() {
        let gate = Gate::new(60);
        let second = u64::try_from(NOW).unwrap() / 1000;
        for remaining in (0..60).rev() {
            let reset = second + 60 - u64::from(remaining);
            let told = gate.count(upload(1, "b"), false).unwrap();
            assert_eq!(told, Allowance { limit: 60, remaining, reset, wait: None });
        }
        let told = gate.count(upload(1, "b"), false).unwrap();
        assert_eq!(told, Allowance { limit: 60, remaining: 0, reset: second + 60, wait: Some(1) });
        assert_eq!(told.check().unwrap_err().status(), 429);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(gate.is_admitted(upload(1, "b")));
        assert!(!gate.is_admitted(upload(1, "b")));
        tokio::time::advance(WINDOW).await;
        assert_eq!(gate.count(upload(1, "b"), false).unwrap().remaining, 59);
    }

    #[tokio::test(start_paused = true)]
    async fn other_sources_urls_methods_and_parts_have_allowances_of_their_own() {
        let gate = Gate::new(1);
        assert!(gate.is_admitted(upload(1, "b")));
        assert!(!gate.is_admitted(upload(1, "b")));
        for way in ["/v1/storage/buckets/%62/files", "/v1/storage/buckets/b/files/", "/V1/storage/buckets/b/files?x"] {
            let mut same = upload(1, "b");
            *same.uri_mut() = way.parse().unwrap();
            assert!(!gate.is_admitted(same), "{way}");
        }
        assert!(gate.is_admitted(upload(2, "b")));
        assert!(gate.is_admitted(upload(1, "c")));
        let of_file =
            |method: &str| Request::builder().method(method).uri("/v1/storage/buckets/b/files/f").body(()).unwrap();
        assert!(gate.is_admitted(of_file("PUT")) && gate.is_admitted(of_file("DELETE")));
        assert!(!gate.is_admitted(of_file("DELETE")));
        assert!(gate.is_admitted(upload_of("bytes 5242880-5242880/5242881")));
        assert!(!gate.is_admitted(upload_of("bytes 5242880-5242880/5242881")));
        assert!(!gate.is_admitted(upload_of("bytes 0-5242879/5242881")), "the first part counts as a file");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_told_the_limit_and_never_refused_and_reads_are_not_counted() {
        let gate = Gate::new(1);
        for _ in 0..3 {
            let told = gate.count(upload(1, "b"), true).unwrap();
            assert_eq!((told.limit, told.remaining, told.wait), (1, 1, None));
        }
        let read = || Request::get("/v1/storage/buckets/b/files").body(()).unwrap();
        assert_eq!(gate.count(read(), false), None);
        assert!(gate.is_admitted(upload(1, "b")));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let gate = Gate::new(1);
        let (parts, ()) = upload(1, "b").into_parts();
        let matched = gate.face.find(&segments(parts.uri.path()), &parts.method).unwrap();
        assert!(gate.rates.allowance_of(&parts, &matched) < MAX_ALLOWANCES);
        for (index, counted) in [(MAX_PARTS - 1, MAX_PARTS - 1), (MAX_PARTS, MAX_PARTS), (MAX_PARTS + 1, MAX_PARTS)] {
            let start = index * PART_LENGTH;
            let (parts, ()) = upload_of(&format!("bytes {start}-{start}/{}", start + 1)).into_parts();
            assert_eq!(part(&parts), counted);
        }
    }
}
