//! The memory for request bodies, by kind of request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use listener::Source;
use listener::budget::{BodyBudget, BudgetLimits, Held};

use crate::caller::{Caller, Sender};
use crate::config::Limits;

/// Maximum bytes of a body, unless its route needs more.
pub(crate) const SMALL_BODY: u64 = 64 * 1024;
/// Maximum bytes of a body without a login: identities, tokens without content, logins.
pub(crate) const ANONYMOUS_BODY: u64 = 16 * 1024;

/// Bytes of all small bodies of logged-in callers.
const SMALL_POOL: usize = 8 * 1024 * 1024;
/// Bytes of all bodies without a login. One source may use half of it, twice what its connections can hold unless it is
/// loopback.
const ANONYMOUS_POOL: usize = 8 * 1024 * 1024;
/// How long a body without a login may be incomplete while others wait. Logins arrive in one piece.
const ANONYMOUS_HOLD: Duration = Duration::from_secs(2);
/// Bytes of all large bodies. With the reserve for the largest body and the other pools the total is 64 MiB.
const LARGE_POOL: usize = 28 * 1024 * 1024;
/// How long a body may be incomplete while others wait: enough for the largest one at 1 MiB per second.
const HOLD: Duration = Duration::from_secs(20);
/// How long a body waits for memory. Official clients give up after 60 seconds.
const WAIT: Duration = Duration::from_secs(40);

/// The budgets of all bodies.
pub(crate) struct Bodies {
    anonymous: BodyBudget<Sender>,
    small: BodyBudget<Sender>,
    large: BodyBudget<Sender>,
}

/// The memory that one body holds.
pub(crate) type Room = Held<Sender>;

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        let largest = usize::try_from(limits.max_body_bytes).unwrap_or(usize::MAX);
        let small = usize::try_from(SMALL_BODY).unwrap_or(usize::MAX);
        let budget = |pool: usize, of_one: usize, reserve: usize, hold: Duration| {
            BodyBudget::new(BudgetLimits { pool, of_one, reserve, hold, wait: WAIT })
        };
        Self {
            anonymous: budget(ANONYMOUS_POOL, ANONYMOUS_POOL / 2, small, ANONYMOUS_HOLD),
            small: budget(SMALL_POOL, SMALL_POOL / 2, small, HOLD),
            large: budget(LARGE_POOL, largest.min(LARGE_POOL), largest, HOLD),
        }
    }

    /// Registers a body of at most `limit` bytes, none of which has arrived yet.
    pub(crate) fn open(&self, source: Source, caller: Option<&Caller>, limit: u64) -> Room {
        let sender = Sender::of(source, caller);
        match caller {
            None => self.anonymous.open(sender),
            Some(_) if limit <= SMALL_BODY => self.small.open(sender),
            Some(_) => self.large.open(sender),
        }
    }
}

/// An extension of each request: holds the memory of its body until it is answered, because the decoded body exists until
/// then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Room>>>);

impl Kept {
    /// Holds the memory of a body.
    pub(crate) fn keep(&self, room: Room) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::Ipv4Addr;

    use axum::body::Body;
    use bytes::{Bytes, BytesMut};
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;
    use crate::config::Config;
    use crate::core::Core;
    use crate::web::body::receive;
    use crate::web::problem::Problem;

    fn caller(number: u8) -> Caller {
        Caller {
            address: format!("did:e:localhost:dids:c5b454f4a8133c3d2cf2e{number}").parse().unwrap(),
            device: "DVCaaaaaaaaaaaaaaaa1".parse().unwrap(),
        }
    }

    #[test]
    fn all_pools_and_reserves_together_are_64_mebibytes() {
        let largest = usize::try_from(Limits::default().max_body_bytes).unwrap();
        let reserves = largest + 2 * usize::try_from(SMALL_BODY).unwrap();
        assert_eq!((SMALL_POOL + ANONYMOUS_POOL + LARGE_POOL + reserves) / (1024 * 1024), 64);
    }

    #[tokio::test]
    async fn bodies_without_a_login_of_one_source_leave_memory_for_others() {
        let bodies = Bodies::new(&Limits::default());
        let open = |last| bodies.open(Source::V4(Ipv4Addr::new(192, 0, 2, last)), None, SMALL_BODY);
        let (first, second) = (open(1), open(1));
        first.add(ANONYMOUS_POOL / 2).await.unwrap();
        second.add(1).await.unwrap();
        assert!(open(1).add(1).now_or_never().is_none(), "another one waits until the second is done");
        open(2).add(ANONYMOUS_POOL / 2).await.unwrap();
    }

    #[test]
    fn identities_have_digests_of_their_own() {
        assert_ne!(caller(1).digest(), caller(2).digest());
        assert_eq!(caller(1).digest(), caller(1).digest());
    }

    const MEBIBYTE: usize = 1024 * 1024;

    async fn core() -> (tempfile::TempDir, Core) {
        let dir = tempfile::tempdir().unwrap();
        let core = Core::open(Config::new(dir.path())).await.unwrap();
        (dir, core)
    }

    /// Receives a body that goes on for `pieces` pieces and is never finished.
    async fn receive_unfinished(
        core: &Core,
        caller: Option<Caller>,
        piece: usize,
        pieces: usize,
    ) -> Result<BytesMut, Problem> {
        let sent = stream::iter(vec![Ok::<_, Infallible>(Bytes::from(vec![b' '; piece])); pieces]);
        let body = Body::from_stream(sent.chain(stream::pending()));
        let (parts, ()) = http::Request::new(()).into_parts();
        receive(core, &parts, caller.as_ref(), body, core.config.limits.max_body_bytes).await
    }

    #[tokio::test]
    async fn unfinished_bodies_without_a_login_do_not_take_more_than_their_share() {
        let (_dir, core) = core().await;
        let size = usize::try_from(ANONYMOUS_BODY).unwrap();
        let mut bodies: Vec<_> = (0..300).map(|_| Box::pin(receive_unfinished(&core, None, size, 1))).collect();
        for _ in 0..2 {
            let outcomes: Vec<_> = bodies.iter_mut().map(|body| body.now_or_never()).collect();
            assert!(outcomes.iter().all(Option::is_none), "all of them wait");
        }
        assert_eq!(core.bodies.anonymous.used(), ANONYMOUS_POOL / 2 + size, "its share, and one from the reserve");
        drop(bodies);
        assert_eq!(core.bodies.anonymous.used(), 0);
    }

    #[tokio::test]
    async fn unfinished_bodies_of_callers_do_not_take_more_than_the_pool_and_the_reserve() {
        let (_dir, core) = core().await;
        let unfinished = |number| receive_unfinished(&core, Some(caller(number)), MEBIBYTE, 20);
        let mut bodies: Vec<_> = (0..60).map(|number| Box::pin(unfinished(number % 4))).collect();
        let outcomes: Vec<_> = bodies.iter_mut().map(|body| body.now_or_never()).collect();
        assert!(outcomes.iter().all(Option::is_none), "all of them wait");
        // The first one that waited was made the finisher, and takes the rest of its body from the reserve.
        let _ = bodies.iter_mut().map(|body| body.now_or_never()).collect::<Vec<_>>();
        let used = core.bodies.large.used();
        assert!((LARGE_POOL + 1..=LARGE_POOL + 20 * MEBIBYTE).contains(&used), "{used}");
        drop(bodies);
        assert_eq!(core.bodies.large.used(), 0);
    }
}
