//! Who gets a place, and who gives way when there is none. No I/O and no clock: the caller passes the time.
//!
//! A connection is *idle* while it waits for a request, *anonymous* while a request of nobody in particular is worked on,
//! *authenticated* once the sender of the request is known, and *returning* while it waits for a request after that: its
//! client is about to reuse it, and may lose what it sends at the moment of an eviction. A newcomer takes, in this order:
//!
//! 1. a free place;
//! 2. the place of the connection that has been idle the longest;
//! 3. the place of the anonymous request that has been running the longest, if that is more than `ANONYMOUS_TIMEOUT`;
//! 4. the place of the returning connection that has been waiting the longest;
//! 5. a place of the source that has the most, if the newcomer's source has at least two fewer;
//! 6. at its share, the place of the longest request of the sender that has the most, if that are more than `FEW`;
//! 7. the place of the authenticated request that has been running the longest, if that is more than `AUTHENTICATED_TIMEOUT`.
//!
//! Otherwise it is refused. A source that has its share already takes places of its own only, by all rules but 1 and 5. Sources
//! other than loopback never take the places reserved for loopback, so that whoever sits at the machine gets in.
//!
//! All programs of a machine and all clients of a proxy on it are one source, loopback. One that opens connections as fast as it
//! can would take each place before its new owner has sent anything. So a newcomer from there waits until somebody has had the place for
//! `IDLE_TIMEOUT`, or until another rule holds.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::source::Source;

/// How long an anonymous request keeps its place when all are taken. Logging in takes less, dripping a body does not.
const ANONYMOUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection of loopback that waits for a request keeps its place from other connections of loopback.
const IDLE_TIMEOUT: Duration = Duration::from_millis(250);

/// Requests of one sender that never give way to a newcomer of the same source before their time.
const FEW: usize = 8;

/// How long an authenticated request keeps its place when all are taken. Event streams and large transfers take longer; their
/// clients can begin anew, and others would not get in at all.
const AUTHENTICATED_TIMEOUT: Duration = Duration::from_secs(60);

/// How many connections there may be at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// From everywhere.
    pub total: usize,
    /// From one source other than loopback.
    pub per_source: usize,
    /// From loopback: reverse proxies and everything else on the machine come from there.
    pub loopback: usize,
    /// Of the total, only for loopback.
    pub reserve: usize,
}

impl Places {
    /// Shares of a total: an eighth for one source, three quarters for loopback, a sixteenth reserved for it.
    #[must_use]
    pub fn of(total: usize) -> Self {
        let total = total.max(1);
        Self { total, per_source: (total / 8).max(1), loopback: (total / 4 * 3).max(1), reserve: total / 16 }
    }

    fn share(&self, source: Source) -> usize {
        if source == Source::Loopback { self.loopback } else { self.per_source }
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It waits for a request.
    Idle,
    /// A request is worked on whose sender is not known.
    Anonymous,
    /// It waits for a request after one whose sender was known.
    Returning,
    /// A request is worked on whose sender is known.
    Authenticated,
}

/// Names a connection. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

/// What becomes of a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It has a place. The connection that gave way has none any more and has to be closed.
    Admitted {
        /// The newcomer.
        id: Id,
        /// Who gave way.
        evicted: Option<Id>,
    },
    /// It has to wait this long, and may be decided about again then.
    Later(Duration),
    /// It has to be closed.
    Refused,
}

/// All connections.
#[derive(Debug)]
pub struct Admission {
    places: Places,
    connections: HashMap<Id, Connection>,
    counts: HashMap<Source, usize>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    source: Source,
    phase: Phase,
    since: Instant,
    /// Who sent the request that is worked on, by a digest, if the server says so.
    sender: Option<u64>,
}

impl Connection {
    fn has_been(&self, now: Instant, timeout: Duration) -> bool {
        timeout.is_zero() || now.saturating_duration_since(self.since) > timeout
    }

    /// How long it keeps its place from a newcomer.
    fn timeout(&self, newcomer: Source) -> Duration {
        match self.phase {
            Phase::Idle | Phase::Returning if newcomer == Source::Loopback => IDLE_TIMEOUT,
            Phase::Idle | Phase::Returning => Duration::ZERO,
            Phase::Anonymous => ANONYMOUS_TIMEOUT,
            Phase::Authenticated => AUTHENTICATED_TIMEOUT,
        }
    }
}

impl Admission {
    /// No connections yet.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self { places, connections: HashMap::new(), counts: HashMap::new(), next: 0 }
    }

    /// Decides about a new connection.
    pub fn admit(&mut self, source: Source, now: Instant) -> Decision {
        let evicted = if self.count(source) >= self.places.share(source) {
            self.own_that_gives_way(source, now)
        } else if self.is_full_for(source) {
            self.who_gives_way_to(source, now)
        } else {
            return self.enter(source, now, None);
        };
        match evicted {
            Some(evicted) => {
                self.close(evicted);
                self.enter(source, now, Some(evicted))
            }
            None if source == Source::Loopback => self.wait(source, now),
            None => Decision::Refused,
        }
    }

    /// Takes the place of the connection that has been idle the longest. It has to be closed.
    pub fn evict_idle(&mut self) -> Option<Id> {
        let evicted = self.longest(|other| matches!(other.phase, Phase::Idle | Phase::Returning))?;
        self.close(evicted);
        Some(evicted)
    }

    /// Notes what a connection is doing from now on. One that was evicted is passed over.
    pub fn enter_phase(&mut self, id: Id, phase: Phase, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = phase;
            connection.since = now;
            connection.sender = None;
        }
    }

    /// Notes whose request a connection brought, by a digest.
    pub fn note_sender(&mut self, id: Id, sender: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.sender = Some(sender);
        }
    }

    /// Frees the place of a connection. One that was evicted is passed over.
    pub fn close(&mut self, id: Id) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&connection.source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&connection.source);
            }
        }
    }

    fn enter(&mut self, source: Source, now: Instant, evicted: Option<Id>) -> Decision {
        let id = Id(self.next);
        self.next += 1;
        self.connections.insert(id, Connection { source, phase: Phase::Idle, since: now, sender: None });
        *self.counts.entry(source).or_default() += 1;
        Decision::Admitted { id, evicted }
    }

    fn own_that_gives_way(&self, source: Source, now: Instant) -> Option<Id> {
        let is_own = |other: &Connection| other.source == source;
        let patient = self.patient(source, now, is_own).or_else(|| self.of_heaviest_sender(source, now));
        patient.or_else(|| self.overlong(now, is_own))
    }

    /// Until the first of its own connections gives way.
    fn wait(&self, source: Source, now: Instant) -> Decision {
        let own = self.connections.values().filter(|other| other.source == source);
        let heaviest = self.heaviest_sender(source);
        let timeout = |other: &Connection| match other.sender {
            Some(_) if other.sender == heaviest => ANONYMOUS_TIMEOUT,
            _ => other.timeout(source),
        };
        let wait = own.map(|other| timeout(other).saturating_sub(now.saturating_duration_since(other.since))).min();
        // A moment more: a wait that ends too early would only be followed by another one.
        wait.map_or(Decision::Refused, |wait| Decision::Later(wait + Duration::from_millis(1)))
    }

    fn who_gives_way_to(&self, source: Source, now: Instant) -> Option<Id> {
        // Where only the places outside the reserve are taken, giving up one of loopback's would not help.
        let only_strangers = source != Source::Loopback && self.strangers_are_full();
        let may_give_way = |other: &Connection| !only_strangers || other.source != Source::Loopback;
        let patient = self.patient(source, now, may_give_way).or_else(|| self.of_the_heaviest(source, may_give_way));
        let is_loopback = source == Source::Loopback;
        let patient = patient.or_else(|| is_loopback.then(|| self.of_heaviest_sender(source, now)).flatten());
        patient.or_else(|| self.overlong(now, may_give_way))
    }

    fn of_the_heaviest(&self, newcomer: Source, may_give_way: impl Fn(&Connection) -> bool) -> Option<Id> {
        let candidates = self.connections.values().filter(|other| may_give_way(other)).map(|other| other.source);
        let heaviest = candidates.max_by_key(|source| (self.count(*source), Reverse(*source)))?;
        let is_fair = self.count(heaviest) > self.count(newcomer) + 1;
        is_fair.then(|| self.longest(|other| other.source == heaviest)).flatten()
    }

    /// A request of the sender that has the most at a source, if that are many.
    fn of_heaviest_sender(&self, source: Source, now: Instant) -> Option<Id> {
        let sender = self.heaviest_sender(source)?;
        let is_its = |other: &Connection| other.source == source && other.sender == Some(sender);
        self.longest(|other| is_its(other) && other.has_been(now, ANONYMOUS_TIMEOUT))
    }

    fn heaviest_sender(&self, source: Source) -> Option<u64> {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for sender in self.connections.values().filter(|other| other.source == source).filter_map(|other| other.sender)
        {
            *counts.entry(sender).or_default() += 1;
        }
        let many = counts.into_iter().filter(|(_, count)| *count > FEW);
        many.max_by_key(|(sender, count)| (*count, *sender)).map(|(sender, _)| sender)
    }

    fn overlong(&self, now: Instant, may_give_way: impl Fn(&Connection) -> bool) -> Option<Id> {
        self.longest(|other| other.has_been(now, AUTHENTICATED_TIMEOUT) && may_give_way(other))
    }

    /// A connection whose eviction costs nobody much: idle, long anonymous, or returning.
    fn patient(&self, newcomer: Source, now: Instant, may_give_way: impl Fn(&Connection) -> bool) -> Option<Id> {
        self.longest(|other| {
            other.phase != Phase::Authenticated && other.has_been(now, other.timeout(newcomer)) && may_give_way(other)
        })
    }

    /// The connection of the lowest phase, of those the one that has been in it the longest.
    fn longest(&self, filter: impl Fn(&Connection) -> bool) -> Option<Id> {
        let candidates = self.connections.iter().filter(|(_, connection)| filter(connection));
        candidates.min_by_key(|(id, connection)| (connection.phase, connection.since, **id)).map(|(id, _)| *id)
    }

    fn count(&self, source: Source) -> usize {
        self.counts.get(&source).copied().unwrap_or(0)
    }

    fn is_full_for(&self, source: Source) -> bool {
        self.connections.len() >= self.places.total || (source != Source::Loopback && self.strangers_are_full())
    }

    fn strangers_are_full(&self) -> bool {
        let strangers = self.connections.len() - self.count(Source::Loopback);
        strangers >= self.places.total - self.places.reserve
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const PLACES: Places = Places { total: 8, per_source: 3, loopback: 6, reserve: 2 };

    fn stranger(number: u8) -> Source {
        Source::V4(Ipv4Addr::new(192, 0, 2, number))
    }

    /// Admits connections, one second after the other.
    struct Hall {
        admission: Admission,
        now: Instant,
    }

    impl Hall {
        fn new() -> Self {
            Self { admission: Admission::new(PLACES), now: Instant::now() }
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn admit(&mut self, source: Source) -> Decision {
            self.pass(1);
            self.admission.admit(source, self.now)
        }

        fn enter(&mut self, source: Source, phase: Phase) -> Id {
            let Decision::Admitted { id, evicted: None } = self.admit(source) else { panic!("no free place") };
            self.admission.enter_phase(id, phase, self.now);
            id
        }

        fn evicts(&mut self, source: Source) -> Option<Id> {
            match self.admit(source) {
                Decision::Admitted { evicted, .. } => evicted,
                Decision::Later(_) | Decision::Refused => None,
            }
        }
    }

    #[test]
    fn a_source_at_its_share_takes_its_own_longest_idle_place() {
        let mut hall = Hall::new();
        let first = hall.enter(stranger(1), Phase::Idle);
        let second = hall.enter(stranger(1), Phase::Idle);
        hall.enter(stranger(1), Phase::Authenticated);
        hall.enter(stranger(2), Phase::Idle);
        hall.admission.enter_phase(first, Phase::Idle, hall.now);
        assert_eq!(hall.evicts(stranger(1)), Some(second));
        assert_eq!(hall.evicts(stranger(1)), Some(first));
    }

    #[test]
    fn a_source_at_its_share_without_idle_places_is_refused_until_an_anonymous_request_took_too_long() {
        let mut hall = Hall::new();
        hall.enter(stranger(1), Phase::Authenticated);
        hall.enter(stranger(1), Phase::Authenticated);
        let dripping = hall.enter(stranger(1), Phase::Anonymous);
        hall.pass(ANONYMOUS_TIMEOUT.as_secs() - 1);
        assert_eq!(hall.admit(stranger(1)), Decision::Refused);
        assert_eq!(hall.evicts(stranger(1)), Some(dripping));
    }

    #[test]
    fn a_request_that_lasts_gives_way_only_after_its_time() {
        let mut hall = Hall::new();
        let stream = hall.enter(stranger(1), Phase::Authenticated);
        hall.enter(stranger(1), Phase::Authenticated);
        hall.enter(stranger(1), Phase::Authenticated);
        hall.pass(AUTHENTICATED_TIMEOUT.as_secs() - 3);
        assert_eq!(hall.admit(stranger(1)), Decision::Refused);
        assert_eq!(hall.evicts(stranger(1)), Some(stream));
    }

    #[test]
    fn when_all_places_are_taken_the_longest_idle_one_gives_way() {
        let mut hall = Hall::new();
        let idle = hall.enter(stranger(1), Phase::Idle);
        for number in 2..=6 {
            hall.enter(stranger(number), Phase::Authenticated);
        }
        // Six of eight are taken, and two are reserved.
        assert_eq!(hall.evicts(stranger(7)), Some(idle));
    }

    #[test]
    fn a_client_that_was_known_keeps_its_connection_longer_than_one_that_never_was() {
        let mut hall = Hall::new();
        let known = hall.enter(stranger(1), Phase::Returning);
        let idle = hall.enter(stranger(1), Phase::Idle);
        let dripping = hall.enter(stranger(1), Phase::Anonymous);
        assert_eq!(hall.evicts(stranger(1)), Some(idle));
        hall.admission.enter_phase(Id(3), Phase::Authenticated, hall.now);
        hall.pass(ANONYMOUS_TIMEOUT.as_secs());
        assert_eq!(hall.evicts(stranger(1)), Some(dripping));
        hall.admission.enter_phase(Id(4), Phase::Authenticated, hall.now);
        assert_eq!(hall.evicts(stranger(1)), Some(known));
    }

    #[test]
    fn a_newcomer_of_loopback_waits_until_somebody_had_time_to_send_a_request() {
        let mut hall = Hall::new();
        let first = hall.enter(Source::Loopback, Phase::Authenticated);
        for _ in 1..PLACES.loopback {
            hall.enter(Source::Loopback, Phase::Authenticated);
        }
        hall.pass(1);
        hall.admission.enter_phase(first, Phase::Idle, hall.now);
        let wait = IDLE_TIMEOUT + Duration::from_millis(1);
        assert_eq!(hall.admission.admit(Source::Loopback, hall.now), Decision::Later(wait));
        let evicted = Some(first);
        let admitted = Decision::Admitted { id: Id(PLACES.loopback as u64), evicted };
        assert_eq!(hall.admission.admit(Source::Loopback, hall.now + wait), admitted);
    }

    #[test]
    fn the_sender_with_most_requests_gives_up_one_if_that_are_many() {
        let places = Places { total: 32, per_source: FEW + 2, loopback: 24, reserve: 2 };
        let mut hall = Hall { admission: Admission::new(places), now: Instant::now() };
        let other = hall.enter(stranger(1), Phase::Authenticated);
        hall.admission.note_sender(other, 1);
        let heavy: Vec<_> = (0..=FEW).map(|_| hall.enter(stranger(1), Phase::Authenticated)).collect();
        assert_eq!(hall.admit(stranger(1)), Decision::Refused, "the senders are not known");
        heavy[..FEW].iter().for_each(|id| hall.admission.note_sender(*id, 2));
        assert_eq!(hall.admit(stranger(1)), Decision::Refused, "they are few");
        hall.admission.note_sender(heavy[FEW], 2);
        assert_eq!(hall.evicts(stranger(1)), Some(heavy[0]));
    }

    #[test]
    fn loopback_finds_its_reserve_free() {
        let mut hall = Hall::new();
        for number in [1, 1, 1, 2, 2, 2] {
            hall.enter(stranger(number), Phase::Authenticated);
        }
        assert_eq!(hall.admit(stranger(3)), Decision::Admitted { id: Id(6), evicted: Some(Id(0)) });
        hall.enter(Source::Loopback, Phase::Idle);
        hall.enter(Source::Loopback, Phase::Idle);
    }

    #[test]
    fn strangers_do_not_evict_the_owner() {
        let mut hall = Hall::new();
        hall.enter(Source::Loopback, Phase::Idle);
        hall.enter(Source::Loopback, Phase::Idle);
        for number in 1..=6 {
            hall.enter(stranger(number), Phase::Authenticated);
        }
        assert_eq!(hall.admit(stranger(7)), Decision::Refused);
    }

    #[test]
    fn the_source_with_most_places_gives_one_to_a_source_with_fewer() {
        let mut hall = Hall::new();
        let oldest = hall.enter(stranger(1), Phase::Authenticated);
        for number in [1, 1, 2, 2, 3] {
            hall.enter(stranger(number), Phase::Authenticated);
        }
        assert_eq!(hall.evicts(stranger(4)), Some(oldest));
        // Now two, two, one and none: nobody has two more than the source that has one.
        hall.admission.close(Id(6));
        hall.enter(stranger(4), Phase::Authenticated);
        assert_eq!(hall.admit(stranger(3)), Decision::Refused);
    }

    #[test]
    fn only_idle_connections_are_evicted_for_nobody() {
        let mut hall = Hall::new();
        hall.enter(stranger(1), Phase::Anonymous);
        let idle = hall.enter(stranger(2), Phase::Idle);
        hall.enter(stranger(3), Phase::Idle);
        assert_eq!(hall.admission.evict_idle(), Some(idle));
        assert_eq!(hall.admission.evict_idle(), Some(Id(2)));
        assert_eq!(hall.admission.evict_idle(), None);
    }

    #[test]
    fn one_place_is_handed_on() {
        let mut admission = Admission::new(Places::of(1));
        let now = Instant::now();
        assert!(matches!(admission.admit(Source::Loopback, now), Decision::Admitted { evicted: None, .. }));
        let later = now + Duration::from_secs(1);
        assert!(matches!(admission.admit(Source::Loopback, later), Decision::Admitted { evicted: Some(Id(0)), .. }));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Admit(u8),
        Phase(usize, Phase),
        Close(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let phase = prop::sample::select(vec![Phase::Idle, Phase::Anonymous, Phase::Authenticated]);
        prop_oneof![
            4 => (0_u8..6).prop_map(Step::Admit),
            3 => (any::<usize>(), phase).prop_map(|(which, phase)| Step::Phase(which, phase)),
            1 => any::<usize>().prop_map(Step::Close),
        ]
    }

    /// Source 0 is loopback.
    fn numbered(number: u8) -> Source {
        if number == 0 { Source::Loopback } else { stranger(number) }
    }

    fn check_bounds(admission: &Admission) {
        let count = |source| admission.connections.values().filter(|other| other.source == source).count();
        assert!(admission.connections.len() <= PLACES.total);
        for number in 0..6 {
            let source = numbered(number);
            assert_eq!(count(source), admission.count(source));
            assert!(count(source) <= PLACES.share(source));
        }
        assert!(admission.connections.len() - count(Source::Loopback) <= PLACES.total - PLACES.reserve);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_whoever_may_expect_a_place_gets_one(steps in prop::collection::vec(step(), 0..80)) {
            let mut hall = Hall::new();
            let mut ids = Vec::new();
            for step in steps {
                match step {
                    Step::Admit(number) => {
                        let source = numbered(number);
                        let own = hall.admission.count(source);
                        let has_idle = hall.admission.connections.values().any(|other| {
                            let may = if own >= PLACES.share(source) { other.source == source } else {
                                source == Source::Loopback || other.source != Source::Loopback
                            };
                            may && other.phase == Phase::Idle
                        });
                        let is_reserved = source == Source::Loopback && own < PLACES.reserve;
                        let before = hall.admission.connections.clone();
                        match hall.admit(source) {
                            Decision::Admitted { id, evicted } => {
                                ids.push(id);
                                if let Some(evicted) = evicted {
                                    prop_assert!(before.contains_key(&evicted));
                                    prop_assert!(!hall.admission.connections.contains_key(&evicted));
                                    prop_assert!(!is_reserved);
                                    // Nobody who works loses a place while somebody of the same source idles.
                                    let lost = before[&evicted];
                                    let idles = |other: &Connection| other.source == lost.source && other.phase == Phase::Idle;
                                    prop_assert!(lost.phase == Phase::Idle || !before.values().any(idles));
                                }
                            }
                            Decision::Later(wait) => {
                                prop_assert!(source == Source::Loopback && !has_idle && !is_reserved && wait > Duration::ZERO);
                            }
                            Decision::Refused => prop_assert!(!has_idle && !is_reserved),
                        }
                    }
                    Step::Phase(which, phase) if !ids.is_empty() => {
                        hall.admission.enter_phase(ids[which % ids.len()], phase, hall.now);
                    }
                    Step::Close(which) if !ids.is_empty() => hall.admission.close(ids[which % ids.len()]),
                    Step::Phase(..) | Step::Close(_) => {}
                }
                check_bounds(&hall.admission);
            }
        }
    }
}
