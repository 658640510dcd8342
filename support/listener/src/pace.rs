//! How long a request body may take. A sender that is slower than that keeps a connection, and what was read of the body,
//! for nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::BoxError;
use crate::registry::RequestHandle;

/// What a sender may take its time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceLimits {
    /// The whole body, while its sender is not authenticated.
    pub anonymous: Duration,
    /// Between two pieces, and in total beyond what the rate allows.
    pub timeout: Duration,
    /// Bytes in a second; more than 0.
    pub rate: u64,
}

impl Default for PaceLimits {
    /// 30 seconds for strangers. Otherwise 60 seconds of silence, and 16 KiB a second: a mobile connection that hardly
    /// works is as fast.
    fn default() -> Self {
        Self { anonymous: Duration::from_secs(30), timeout: Duration::from_secs(60), rate: 16 * 1024 }
    }
}

/// Counts the bytes of a body, and the time that its reader spent waiting for them. No I/O and no clock.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    limits: PaceLimits,
    received: u64,
    waited: Duration,
}

impl Pace {
    /// Nothing arrived yet.
    #[must_use]
    pub fn new(limits: PaceLimits) -> Self {
        Self { limits, received: 0, waited: Duration::ZERO }
    }

    /// Notes that so many bytes came after so long.
    pub fn arrived(&mut self, bytes: u64, after: Duration) {
        self.received = self.received.saturating_add(bytes);
        self.waited = self.waited.saturating_add(after);
    }

    /// How long the next piece may take.
    #[must_use]
    pub fn allowance(&self, is_authenticated: bool) -> Duration {
        let explained = Duration::from_millis(self.received.saturating_mul(1000) / self.limits.rate.max(1));
        let in_total = self.limits.timeout.saturating_add(explained);
        let in_total = if is_authenticated { in_total } else { in_total.min(self.limits.anonymous) };
        in_total.saturating_sub(self.waited).min(self.limits.timeout)
    }
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacedError {
    /// Its sender took too long; the answer is 408.
    #[error("the request body arrives too slowly")]
    TooSlow,
    /// The connection broke, or the framing of the body did.
    #[error("the request body broke off")]
    Broken(#[source] BoxError),
}

/// Whether an error, or what caused it, is that a body came too slowly.
#[must_use]
pub fn is_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(PacedError::TooSlow) = error.downcast_ref() {
        return true;
    }
    // An I/O error does not count what it wraps as its source, only the source of that.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => is_too_slow(wrapped),
        None => error.source().is_some_and(is_too_slow),
    }
}

/// A body that ends with [`PacedError::TooSlow`] when its sender takes too long. Time in which nobody reads it is not the
/// sender's.
#[derive(Debug)]
pub struct Paced<B> {
    body: B,
    pace: Pace,
    handle: RequestHandle,
    waiting: Option<Waiting>,
    is_over: bool,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<B> Paced<B> {
    pub(crate) fn new(body: B, limits: PaceLimits, handle: RequestHandle) -> Self {
        Self { body, pace: Pace::new(limits), handle, waiting: None, is_over: false }
    }

    fn arrived(&mut self, bytes: usize) {
        let waited = self.waiting.take().map_or(Duration::ZERO, |waiting| waiting.since.elapsed());
        self.pace.arrived(bytes as u64, waited);
    }

    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let allowance = self.pace.allowance(self.handle.is_authenticated());
        let waiting = self.waiting.get_or_insert_with(|| {
            let since = Instant::now();
            Waiting { since, timer: Box::pin(tokio::time::sleep_until(since + allowance)) }
        });
        let deadline = waiting.since + allowance;
        if waiting.timer.deadline() != deadline {
            waiting.timer.as_mut().reset(deadline);
        }
        waiting.timer.as_mut().poll(context).is_ready()
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = PacedError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PacedError>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.arrived(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.is_over = true;
                Poll::Ready(Some(Err(PacedError::Broken(error.into()))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.is_too_slow(context) => {
                this.is_over = true;
                Poll::Ready(Some(Err(PacedError::TooSlow)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::channel::Sender;
    use http_body_util::{BodyExt, Channel};

    use super::*;
    use crate::Source;
    use crate::admission::Places;
    use crate::registry::Registry;

    const LIMITS: PaceLimits =
        PaceLimits { anonymous: Duration::from_secs(30), timeout: Duration::from_secs(60), rate: 1000 };

    fn paced() -> (Sender<Bytes>, Paced<Channel<Bytes, Infallible>>, RequestHandle) {
        let place = Registry::new(Places::of(1)).admit(Source::Loopback).unwrap();
        let (handle, _) = place.begin();
        let (sender, body) = Channel::new(1);
        (sender, Paced::new(body, LIMITS, handle.clone()), handle)
    }

    /// Sends a byte every so often until the body gives up; returns how long that took.
    async fn drip(handle: impl FnOnce(&RequestHandle), every: Duration, bytes: usize) -> Duration {
        let (mut sender, mut body, request) = paced();
        handle(&request);
        let dripping = tokio::spawn(async move {
            while sender.send_data(vec![0; bytes].into()).await.is_ok() {
                tokio::time::sleep(every).await;
            }
        });
        let started = Instant::now();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(is_too_slow(&error));
        assert!(body.frame().await.is_none(), "a body that was given up is over");
        dripping.abort();
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_so_long_for_the_whole_body() {
        let taken = drip(|_| {}, Duration::from_secs(1), 1).await;
        assert!(taken.abs_diff(LIMITS.anonymous) < Duration::from_secs(1), "{taken:?}");
        let fast_enough_for_others = drip(|_| {}, Duration::from_secs(1), 2000).await;
        assert!(fast_enough_for_others.abs_diff(LIMITS.anonymous) < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_known_has_the_time_that_the_rate_gives() {
        let taken = drip(RequestHandle::authenticated, Duration::from_secs(1), 1).await;
        assert!(taken.abs_diff(LIMITS.timeout) < Duration::from_secs(2), "{taken:?}");
        let half_the_rate = drip(RequestHandle::authenticated, Duration::from_secs(1), 500).await;
        assert!(half_the_rate.abs_diff(2 * LIMITS.timeout) < Duration::from_secs(2), "{half_the_rate:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_made_good_by_earlier_speed() {
        let (mut sender, mut body, handle) = paced();
        handle.authenticated();
        sender.send_data(vec![0; 1_000_000].into()).await.unwrap();
        body.frame().await.unwrap().unwrap();
        let started = Instant::now();
        assert!(is_too_slow(&body.frame().await.unwrap().unwrap_err()));
        assert!(started.elapsed().abs_diff(LIMITS.timeout) < Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_readers_own_time_is_not_the_senders() {
        let (mut sender, mut body, _) = paced();
        for _ in 0..10 {
            sender.send_data(vec![0].into()).await.unwrap();
            tokio::time::sleep(LIMITS.timeout).await;
            body.frame().await.unwrap().unwrap();
        }
        drop(sender);
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn an_error_in_between_does_not_hide_the_cause() {
        let wrapped = std::io::Error::other(PacedError::TooSlow);
        assert!(is_too_slow(&wrapped));
        assert!(!is_too_slow(&std::io::Error::other("other")));
        assert!(!is_too_slow(&PacedError::Broken("x".into())));
    }
}
