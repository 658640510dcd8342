//! Which device of a route is asked: the one that made the token, and after it the others that the content of the token names.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;
use transport::crypto::PasswordHash;
use transport::peer::{PeerError, Refusal};

use super::network::PeerNetwork;
use super::{PeerFailure, Route};

/// For how long one device is asked before the next one is asked, too.
const HEAD_START: Duration = Duration::from_millis(500);

impl PeerNetwork {
    /// The first good answer of the devices of a route. Passwords are known to the one only that made the token, so with one nobody else is asked; uses
    /// are counted there, too, and others refuse tokens with terms. If the first one has decided, or nobody answers, the failure is that of the first one.
    pub(super) async fn first_of<'a, T: 'a>(
        &self,
        route: &Route,
        password: Option<&PasswordHash>,
        ask: impl Fn(Route) -> BoxFuture<'a, Result<T, PeerFailure>>,
    ) -> Result<T, PeerFailure> {
        if password.is_some() || route.others().is_empty() {
            return ask(route.clone()).await;
        }
        first_of(self.in_order(route), ask).await
    }

    /// The devices of a route: the one that made the token, because it alone knows whether it was revoked just now, then those to which there is a
    /// connection.
    fn in_order(&self, route: &Route) -> Vec<Route> {
        let mut others: Vec<_> = route.others().iter().map(|other| route.to_other(other)).collect();
        let is_connected = |route: &Route| {
            let best = self.shared().and_then(|shared| shared.connections.best(&route.direct.peer_id));
            best.is_some_and(|entry| entry.channel().is_some())
        };
        others.sort_by_key(|route| !is_connected(route));
        std::iter::once(route.clone()).chain(others).collect()
    }
}

/// The first good answer of devices that are asked in this order, each one [`HEAD_START`] or a failure after the one before. The first one made the
/// token: what it has decided by then holds.
async fn first_of<'a, T: 'a>(
    devices: Vec<Route>,
    ask: impl Fn(Route) -> BoxFuture<'a, Result<T, PeerFailure>>,
) -> Result<T, PeerFailure> {
    let (mut devices, mut asked) = (devices.into_iter().enumerate(), FuturesUnordered::new());
    let mut failure = PeerFailure::Unreachable("no device could be asked".to_owned());
    loop {
        match devices.next() {
            Some((place, route)) => asked.push(ask(route).map(move |answer| (place == 0, answer))),
            None if asked.is_empty() => return Err(failure),
            None => {}
        }
        let patience = if devices.len() == 0 { Duration::MAX } else { HEAD_START };
        match timeout(patience, asked.next()).await {
            Ok(Some((true, Ok(answer)))) => return Ok(answer),
            Ok(Some((false, Ok(answer)))) => return decision_of_maker(&mut asked).map_or(Ok(answer), Err),
            Ok(Some((true, Err(decided)))) if !may_others_have_it(&decided) => return Err(decided),
            Ok(Some((true, Err(of_maker)))) => failure = of_maker,
            Ok(Some((false, Err(error)))) => tracing::debug!(%error, "another device of the identity does not give it"),
            Ok(None) | Err(_) => {}
        }
    }
}

/// What the maker of the token has decided by now, if it has.
fn decision_of_maker<T>(
    asked: &mut FuturesUnordered<impl Future<Output = (bool, Result<T, PeerFailure>)>>,
) -> Option<PeerFailure> {
    while let Some(Some((is_maker, answer))) = asked.next().now_or_never() {
        match answer {
            Err(decided) if is_maker && !may_others_have_it(&decided) => return Some(decided),
            _ => {}
        }
    }
    None
}

/// Whether what the maker of the token said, or not, leaves it to others.
fn may_others_have_it(failure: &PeerFailure) -> bool {
    matches!(
        failure,
        PeerFailure::Unreachable(_)
            | PeerFailure::Exchange(
                PeerError::Cut | PeerError::TimedOut | PeerError::Refused(Refusal::Busy | Refusal::Unavailable)
            )
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, sleep};
    use transport::peer::Direct;

    use super::*;
    use crate::peer::testing::Person;

    /// What a device answers, and when.
    type Act = (Duration, Result<(), PeerFailure>);

    fn refused(refusal: Refusal) -> Result<(), PeerFailure> {
        Err(PeerError::Refused(refusal).into())
    }

    fn unreachable() -> Result<(), PeerFailure> {
        Err(PeerFailure::Unreachable("it is off".to_owned()))
    }

    /// Asks devices, of which the first one made the token. Returns the place of the one that answered, and who was asked when.
    async fn run(acts: Vec<Act>) -> (Result<usize, PeerFailure>, Vec<(usize, Duration)>) {
        let (begin, asked) = (Instant::now(), Mutex::new(Vec::new()));
        let route = |place: usize| {
            let peer_id = Person::new(u8::try_from(place).unwrap() + 1).peer_id();
            Route::to(Direct { peer_id, addresses: Vec::new(), relays: Vec::new() })
        };
        let devices: Vec<_> = (0..acts.len()).map(route).collect();
        let peers: Vec<_> = devices.iter().map(|route| route.direct.peer_id).collect();
        let ask = |route: Route| {
            let place = peers.iter().position(|peer| *peer == route.direct.peer_id).unwrap();
            asked.lock().unwrap().push((place, begin.elapsed()));
            let (time, answer) = acts[place].clone();
            async move {
                sleep(time).await;
                answer.map(|()| place)
            }
            .boxed()
        };
        let answer = first_of(devices, ask).await;
        (answer, asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_device_is_asked_when_the_one_before_is_away_or_slow() {
        let (none, slow) = (Duration::ZERO, Duration::from_secs(5));
        let (answer, asked) = run(vec![(none, unreachable()), (none, Ok(()))]).await;
        assert_eq!((answer.unwrap(), asked), (1, vec![(0, none), (1, none)]));
        let (answer, asked) = run(vec![(slow, Ok(())), (slow, Ok(())), (none, Ok(()))]).await;
        assert_eq!((answer.unwrap(), asked), (2, vec![(0, none), (1, HEAD_START), (2, 2 * HEAD_START)]));
        let (answer, asked) = run(vec![(HEAD_START / 2, Ok(())), (none, Ok(()))]).await;
        assert_eq!((answer.unwrap(), asked), (0, vec![(0, none)]));
        let (answer, _) = run(vec![(slow, Ok(())), (none, refused(Refusal::NotFound))]).await;
        assert_eq!(answer.unwrap(), 0, "the first one is waited for");
        let none_here = || (none, refused(Refusal::NotFound));
        let (answer, asked) = run(vec![(none, unreachable()), none_here(), (none, Ok(()))]).await;
        assert_eq!((answer.unwrap(), asked.len()), (2, 3), "one that has nothing decides nothing for others");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_maker_decides_holds() {
        let none = Duration::ZERO;
        for refusal in [Refusal::NotFound, Refusal::NoUseLeft, Refusal::Locked, Refusal::OtherPath] {
            let (answer, asked) = run(vec![(none, refused(refusal)), (none, Ok(()))]).await;
            assert!(matches!(answer, Err(PeerFailure::Exchange(PeerError::Refused(said))) if said == refusal));
            assert_eq!(asked.len(), 1, "{refusal:?}");
        }
        for refusal in [Refusal::Busy, Refusal::Unavailable] {
            assert_eq!(run(vec![(none, refused(refusal)), (none, Ok(()))]).await.0.unwrap(), 1);
        }
        let failure = run(vec![(none, unreachable()), (none, refused(Refusal::NotFound))]).await.0.unwrap_err();
        assert!(matches!(failure, PeerFailure::Unreachable(_)), "{failure}");
        // Both answer at the same moment.
        let moment = Duration::from_millis(100);
        let acts = vec![(HEAD_START + moment, refused(Refusal::NotFound)), (moment, Ok(()))];
        let failure = run(acts).await.0.unwrap_err();
        assert!(matches!(failure, PeerFailure::Exchange(PeerError::Refused(Refusal::NotFound))), "{failure}");
    }
}
