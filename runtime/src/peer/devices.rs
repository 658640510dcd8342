//! Which device of a route is asked: the one that made the token, and after it the others that the content of the token names; or one of them first
//! while the maker does not answer.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, timeout};
use transport::crypto::PasswordHash;
use transport::peer::{PeerError, PeerId, Refusal};

use super::away::{Away, Instead};
use super::network::PeerNetwork;
use super::{PeerFailure, Route};

/// For how long one device is asked before the next one is asked, too.
const HEAD_START: Duration = Duration::from_millis(500);

/// A device that is asked.
struct Device {
    route: Route,
    /// Whether it made the token.
    is_maker: bool,
}

impl PeerNetwork {
    /// The first good answer of the devices of a route. Passwords are known to the one only that made the token, so with one nobody else is asked; uses
    /// are counted there, too, and others refuse tokens with terms. If the first one has decided, or nobody answers, the failure is that of the first one.
    pub(super) async fn first_of<'a, T: 'a>(
        &self,
        route: &Route,
        password: Option<&PasswordHash>,
        ask: impl Fn(Route) -> BoxFuture<'a, Result<T, PeerFailure>>,
    ) -> Result<T, PeerFailure> {
        match self.shared() {
            Some(shared) if password.is_none() && !route.others().is_empty() => {
                let is_connected =
                    |peer: &PeerId| shared.connections.best(peer).is_some_and(|entry| entry.channel().is_some());
                first_noted(&shared.away, route, is_connected, ask).await
            }
            _ => ask(route.clone()).await,
        }
    }
}

/// The first good answer of the devices of a route, of which it is noted who gave it.
async fn first_noted<'a, T: 'a>(
    away: &Away,
    route: &Route,
    is_connected: impl Fn(&PeerId) -> bool,
    ask: impl Fn(Route) -> BoxFuture<'a, Result<T, PeerFailure>>,
) -> Result<T, PeerFailure> {
    let maker = route.direct.peer_id;
    let devices = in_order(route, away.instead_of(&maker, Instant::now()), is_connected);
    let is_maker_first = devices.first().is_some_and(|device| device.is_maker);
    let answer = first_of(devices, ask).await;
    match &answer {
        Ok((peer, _)) if *peer == maker => away.is_back(&maker),
        Ok((peer, _)) if is_maker_first => away.missed(maker, *peer, Instant::now()),
        Ok((peer, _)) => away.replaced(&maker, *peer),
        Err(decided) if !may_others_have_it(decided) => away.is_back(&maker),
        Err(_) => {}
    }
    answer.map(|(_, answer)| answer)
}

/// The devices of a route: the one that made the token, because it alone knows whether it was revoked just now, then the one that has answered last
/// instead of it, then those to which there is a connection. While the maker is left, because it did not answer lately, and as long as there is no
/// connection to it, the first one of the others comes before it. Those that are [left out](Route::left_out) are not among them.
fn in_order(route: &Route, instead: Option<Instead>, is_connected: impl Fn(&PeerId) -> bool) -> Vec<Device> {
    let mut others: Vec<_> = route.others().iter().map(|other| route.to_other(other)).collect();
    others.sort_by_key(|route| {
        let peer = route.direct.peer_id;
        (instead.is_none_or(|instead| instead.peer != peer), !is_connected(&peer))
    });
    let is_maker_left = instead.is_some_and(|instead| instead.is_first) && !is_connected(&route.direct.peer_id);
    let mut devices: Vec<_> = others.into_iter().map(|route| Device { route, is_maker: false }).collect();
    let place = devices.len().min(usize::from(is_maker_left));
    devices.insert(place, Device { route: route.clone(), is_maker: true });
    devices.retain(|device| !route.left_out.contains(&device.route.direct.peer_id));
    devices
}

/// The first good answer of devices that are asked in this order, each one [`HEAD_START`] or a failure after the one before, and who gave it. One of
/// them made the token: what it has decided by then holds.
async fn first_of<'a, T: 'a>(
    devices: Vec<Device>,
    ask: impl Fn(Route) -> BoxFuture<'a, Result<T, PeerFailure>>,
) -> Result<(PeerId, T), PeerFailure> {
    let (mut devices, mut asked) = (devices.into_iter(), FuturesUnordered::new());
    let mut failure = PeerFailure::Unreachable("no device could be asked".to_owned());
    loop {
        match devices.next() {
            Some(Device { route, is_maker }) => {
                let peer = route.direct.peer_id;
                asked.push(ask(route).map(move |answer| (is_maker, answer.map(|answer| (peer, answer)))));
            }
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

    use tokio::time::{advance, sleep};
    use transport::peer::Direct;

    use super::*;
    use crate::peer::route::pause_after;
    use crate::peer::testing::Person;

    /// What a device answers, and when.
    type Act = (Duration, Result<(), PeerFailure>);

    const NOW: Duration = Duration::ZERO;

    fn refused(refusal: Refusal) -> Result<(), PeerFailure> {
        Err(PeerError::Refused(refusal).into())
    }

    fn unreachable() -> Result<(), PeerFailure> {
        Err(PeerFailure::Unreachable("it is off".to_owned()))
    }

    /// Asks devices, of which the first one made the token. Returns the place of the one that answered, and who was asked when.
    async fn run(acts: Vec<Act>) -> (Result<usize, PeerFailure>, Vec<(usize, Duration)>) {
        run_after(&Away::default(), acts, &[]).await
    }

    /// The same with what was noted before, and with connections to these.
    async fn run_after(
        away: &Away,
        acts: Vec<Act>,
        connected: &[usize],
    ) -> (Result<usize, PeerFailure>, Vec<(usize, Duration)>) {
        let (begin, asked) = (Instant::now(), Mutex::new(Vec::new()));
        let direct = |place: usize| {
            let peer_id = Person::new(u8::try_from(place).unwrap() + 1).peer_id();
            Direct { peer_id, addresses: Vec::new(), relays: Vec::new() }
        };
        let devices: Vec<_> = (0..acts.len()).map(direct).collect();
        let peers: Vec<_> = devices.iter().map(|direct| direct.peer_id).collect();
        let place_of = |peer: &PeerId| peers.iter().position(|known| known == peer).unwrap();
        let ask = |route: Route| {
            let place = place_of(&route.direct.peer_id);
            asked.lock().unwrap().push((place, begin.elapsed()));
            let (time, answer) = acts[place].clone();
            async move {
                sleep(time).await;
                answer.map(|()| place)
            }
            .boxed()
        };
        let route = Route { others: Some(devices[1..].to_vec()), ..Route::to(devices[0].clone()) };
        let answer = first_noted(away, &route, |peer| connected.contains(&place_of(peer)), ask).await;
        (answer, asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn another_device_is_asked_first_while_the_maker_does_not_answer() {
        let (away, slow) = (Away::default(), Duration::from_secs(10));
        let off = || vec![(slow, unreachable()), (slow, Ok(())), (NOW, Ok(()))];
        let (answer, asked) = run_after(&away, off(), &[]).await;
        assert_eq!((answer.unwrap(), asked), (2, vec![(0, NOW), (1, HEAD_START), (2, 2 * HEAD_START)]));
        for _ in 0..3 {
            let (answer, asked) = run_after(&away, off(), &[1]).await;
            assert_eq!((answer.unwrap(), asked), (2, vec![(2, NOW)]), "the one that has answered last");
        }
        // If that one has nothing, or has gone too, the maker comes next.
        let (answer, asked) = run_after(&away, vec![(NOW, Ok(())), (NOW, Ok(())), (slow, Ok(()))], &[]).await;
        assert_eq!((answer.unwrap(), asked), (0, vec![(2, NOW), (0, HEAD_START)]));
        let (answer, asked) = run_after(&away, off(), &[]).await;
        assert_eq!((answer.unwrap(), asked[0]), (2, (0, NOW)), "it has answered");
    }

    #[tokio::test(start_paused = true)]
    async fn the_maker_is_asked_first_again_after_a_while_or_when_it_is_connected() {
        let away = Away::default();
        let off = || vec![(NOW, unreachable()), (NOW, Ok(()))];
        assert_eq!(run_after(&away, off(), &[]).await.1, [(0, NOW), (1, NOW)]);
        assert_eq!(run_after(&away, off(), &[]).await.1, [(1, NOW)]);
        assert_eq!(run_after(&away, vec![(NOW, refused(Refusal::NotFound)), (NOW, Ok(()))], &[0]).await.1, [(0, NOW)]);
        assert_eq!(run_after(&away, off(), &[]).await.1, [(0, NOW), (1, NOW)], "it has decided, so it was there");
        advance(pause_after(0)).await;
        assert_eq!(run_after(&away, off(), &[]).await.1, [(0, NOW), (1, NOW)]);
        advance(pause_after(0)).await;
        assert_eq!(run_after(&away, off(), &[]).await.1, [(1, NOW)], "for twice the time");
    }

    #[test]
    fn whose_bytes_were_wrong_is_not_asked() {
        let direct = |number| {
            Route::to(Direct { peer_id: Person::new(number).peer_id(), addresses: Vec::new(), relays: Vec::new() })
        };
        let others = Some(vec![direct(2).direct, direct(3).direct]);
        for left_out in [1, 2, 3] {
            let route = Route { others: others.clone(), left_out: vec![Person::new(left_out).peer_id()], ..direct(1) };
            let asked = in_order(&route, None, |_| false);
            let asked: Vec<_> = asked.iter().map(|device| (device.route.direct.peer_id, device.is_maker)).collect();
            let expected = [1, 2, 3].into_iter().filter(|number| *number != left_out);
            assert_eq!(asked, expected.map(|number| (Person::new(number).peer_id(), number == 1)).collect::<Vec<_>>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_maker_that_is_left_decides_holds_as_well() {
        let away = Away::default();
        let none_here = || (NOW, refused(Refusal::NotFound));
        run_after(&away, vec![(NOW, unreachable()), (NOW, Ok(()))], &[]).await.0.unwrap();
        let (answer, asked) = run_after(&away, vec![(NOW, refused(Refusal::NoUseLeft)), none_here()], &[]).await;
        assert!(matches!(answer, Err(PeerFailure::Exchange(PeerError::Refused(Refusal::NoUseLeft)))));
        assert_eq!(asked, [(1, NOW), (0, NOW)]);
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
