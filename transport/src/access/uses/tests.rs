//! Uses of a token: claims one by one, at their bounds, and in any order.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(1);

fn start() -> Timestamp {
    Timestamp::from_unix_milliseconds(1_000_000)
}

fn id(number: usize) -> ClaimId {
    format!("CLM{number:017}").parse().unwrap()
}

fn limited(limit: u32) -> Uses {
    Uses::new(NonZeroU32::new(limit), false)
}

fn counts(uses: &Uses, now: Timestamp) -> (u32, u32, Option<u32>) {
    (uses.committed(now), uses.leased(now), uses.remaining(now))
}

#[test]
fn a_claim_is_one_use_however_often_it_is_asked_read_and_committed() {
    let mut uses = limited(2);
    for _ in 0..3 {
        assert_eq!(uses.claim(&id(1), start()).unwrap().remaining, Some(1));
        let _ = uses.read(&id(1), start()).unwrap();
    }
    for _ in 0..3 {
        uses.commit(&id(1), start()).unwrap();
        let _ = uses.read(&id(1), start()).unwrap();
        assert_eq!(counts(&uses, start()), (1, 0, Some(1)));
    }
}

#[test]
fn at_the_limit_further_claims_are_refused_and_known_ones_go_on() {
    let mut uses = limited(2);
    let _ = (uses.claim(&id(1), start()).unwrap(), uses.read(&id(2), start()).unwrap());
    let before = uses.clone();
    assert_eq!(uses.claim(&id(3), start()), Err(NoUseLeft::Exhausted));
    assert_eq!(uses.read(&id(3), start()), Err(NoUseLeft::Exhausted));
    assert_eq!(uses.take(start()), Err(NoUseLeft::Exhausted));
    assert_eq!(uses, before);
    let _ = (uses.claim(&id(1), start()).unwrap(), uses.read(&id(2), start()).unwrap());
    uses.release(&id(1), start()).unwrap();
    uses.take(start()).unwrap();
    assert_eq!(counts(&uses, start()), (1, 1, Some(0)));
}

#[test]
fn a_lease_that_is_over_is_free_without_content_and_counts_with_it() {
    let mut uses = limited(2);
    let end = uses.claim(&id(1), start()).unwrap().ends_at;
    let _ = uses.read(&id(2), start()).unwrap();
    let before = end.saturating_sub(TICK);
    assert_eq!(counts(&uses, before), (0, 2, Some(0)));
    assert_eq!(counts(&uses, end), (1, 0, Some(1)));
    uses.lapse(end);
    assert_eq!(counts(&uses, before), (1, 0, Some(1)));
    assert_eq!(uses.commit(&id(1), end), Err(UnknownClaim));
    uses.commit(&id(2), end).unwrap();
    assert_eq!(counts(&uses, end), (1, 0, Some(1)));
}

#[test]
fn reading_renews_a_lease_and_claiming_does_not_before_something_was_read() {
    let mut uses = limited(1);
    let first = uses.claim(&id(1), start()).unwrap().ends_at;
    for _ in 0..3 {
        assert_eq!(uses.claim(&id(1), first.saturating_sub(TICK)).unwrap().ends_at, first);
    }
    assert_eq!(counts(&uses, first), (0, 0, Some(1)), "whoever only claims does not hold a use");
    let mut end = uses.claim(&id(1), first).unwrap().ends_at;
    for _ in 0..3 {
        let before = end;
        end = uses.read(&id(1), end.saturating_sub(TICK)).unwrap().ends_at;
        end = uses.claim(&id(1), end.saturating_sub(TICK)).unwrap().ends_at;
        assert_eq!(end, before.saturating_add(2 * LEASE).saturating_sub(2 * TICK));
    }
    assert_eq!(counts(&uses, end.saturating_sub(TICK)), (0, 1, Some(0)));
}

#[test]
fn a_read_that_follows_another_one_need_not_be_stored_for_a_part_of_the_lease() {
    let mut uses = limited(2);
    assert!(!uses.is_read_lately(&id(1), start()));
    let _ = uses.claim(&id(1), start()).unwrap();
    assert!(!uses.is_read_lately(&id(1), start()), "nothing was sent under it");
    let _ = uses.read(&id(1), start()).unwrap();
    let renewed = start().saturating_add(RENEWED_AFTER);
    assert!(uses.is_read_lately(&id(1), renewed.saturating_sub(TICK)));
    assert!(!uses.is_read_lately(&id(1), renewed) && !uses.is_read_lately(&id(2), start()));
    uses.commit(&id(1), renewed).unwrap();
    assert!(uses.is_read_lately(&id(1), renewed.saturating_add(LEASE)), "it counts");
}

#[test]
fn a_use_with_content_is_not_given_back() {
    let mut uses = limited(1);
    let _ = uses.read(&id(1), start()).unwrap();
    // It does not become free by asking for a lease again.
    let _ = uses.claim(&id(1), start()).unwrap();
    uses.release(&id(1), start()).unwrap();
    uses.release(&id(1), start()).unwrap();
    assert_eq!(counts(&uses, start()), (1, 0, Some(0)));
    assert_eq!(uses.release(&id(2), start()), Err(UnknownClaim));
}

#[test]
fn uses_without_a_claim_are_not_confirmed() {
    for is_strict in [false, true] {
        let mut uses = Uses::new(NonZeroU32::new(3), is_strict);
        let _ = uses.read(&id(1), start()).unwrap();
        let _ = uses.read(&id(2), start()).unwrap();
        uses.commit(&id(1), start()).unwrap();
        uses.lapse(start().saturating_add(LEASE));
        assert_eq!(uses.unconfirmed(), if is_strict { 2 } else { 0 });
        uses.take(start()).unwrap();
        assert_eq!(uses.unconfirmed(), if is_strict { 3 } else { 1 });
    }
}

#[test]
fn a_claim_is_known_until_it_is_given_back_or_its_lease_is_over_without_content() {
    let mut uses = limited(4);
    let [leased, read, committed, released] = [1, 2, 3, 4].map(id);
    assert!(!uses.knows(&leased, start()));
    for known in [&leased, &committed, &released] {
        let _ = uses.claim(known, start()).unwrap();
    }
    let _ = uses.read(&read, start()).unwrap();
    uses.commit(&committed, start()).unwrap();
    uses.release(&released, start()).unwrap();
    let known = |uses: &Uses, now| [&leased, &read, &committed, &released].map(|known| uses.knows(known, now));
    let end = start().saturating_add(LEASE);
    assert_eq!(known(&uses, end.saturating_sub(TICK)), [true, true, true, false]);
    for _ in 0..2 {
        assert_eq!(known(&uses, end), [false, true, true, false]);
        uses.lapse(end);
    }
}

#[test]
fn strict_uses_count_as_soon_as_they_are_leased() {
    let mut uses = Uses::new(NonZeroU32::new(1), true);
    let lease = uses.claim(&id(1), start()).unwrap();
    assert_eq!((counts(&uses, start()), lease.remaining), ((1, 0, Some(0)), Some(0)));
    uses.release(&id(1), start()).unwrap();
    assert_eq!(uses.claim(&id(2), lease.ends_at), Err(NoUseLeft::Exhausted));
    let _ = uses.read(&id(1), lease.ends_at).unwrap();
    uses.commit(&id(1), lease.ends_at).unwrap();
    assert_eq!(counts(&uses, lease.ends_at), (1, 0, Some(0)));
}

#[test]
fn a_lower_limit_leaves_open_uses_alone_and_gives_no_further_ones() {
    let mut uses = limited(3);
    let _ = (uses.read(&id(1), start()).unwrap(), uses.read(&id(2), start()).unwrap());
    uses.set_limit(NonZeroU32::new(1));
    assert_eq!(counts(&uses, start()), (0, 2, Some(0)));
    assert_eq!(uses.claim(&id(3), start()), Err(NoUseLeft::Exhausted));
    uses.commit(&id(1), start()).unwrap();
    uses.commit(&id(2), start()).unwrap();
    uses.set_limit(NonZeroU32::new(3));
    assert_eq!(counts(&uses, start()), (2, 0, Some(1)));
    uses.set_limit(None);
    assert_eq!(counts(&uses, start()), (2, 0, None));
}

fn full_of_leases(limit: Option<u32>, most: usize) -> Uses {
    let mut uses = Uses::new(limit.and_then(NonZeroU32::new), false);
    for number in 0..most {
        let _ = uses.read(&id(number), start()).unwrap();
    }
    assert_eq!(uses.claims.len(), most);
    uses
}

#[test]
fn a_token_with_a_limit_forgets_no_lease() {
    let mut uses = full_of_leases(Some(u32::MAX), MAX_CLAIMS);
    assert_eq!(uses.claim(&id(MAX_CLAIMS), start()), Err(NoUseLeft::TooManyClaims));
    let _ = uses.claim(&id(0), start()).unwrap();
    uses.commit(&id(7), start()).unwrap();
    let _ = uses.claim(&id(MAX_CLAIMS), start()).unwrap();
    assert_eq!(uses.commit(&id(7), start()), Err(UnknownClaim), "the oldest one that counts is forgotten");
    assert_eq!((uses.claims.len(), uses.committed(start())), (MAX_CLAIMS, 1));
}

#[test]
fn a_token_without_a_limit_forgets_the_oldest_lease_and_counts_it() {
    let mut uses = full_of_leases(None, MAX_CLAIMS_WITHOUT_LIMIT);
    let _ = uses.claim(&id(MAX_CLAIMS_WITHOUT_LIMIT), start()).unwrap();
    assert_eq!((uses.claims.len(), uses.committed(start())), (MAX_CLAIMS_WITHOUT_LIMIT, 1));
    assert_eq!(uses.commit(&id(0), start()), Err(UnknownClaim));
}

#[test]
fn a_token_that_loses_its_limit_forgets_claims_with_the_next_one_and_counts_them() {
    let mut uses = full_of_leases(Some(u32::MAX), MAX_CLAIMS);
    uses.set_limit(None);
    let _ = uses.claim(&id(MAX_CLAIMS), start()).unwrap();
    assert_eq!(uses.claims.len(), MAX_CLAIMS_WITHOUT_LIMIT);
    let forgotten = u32::try_from(MAX_CLAIMS + 1 - MAX_CLAIMS_WITHOUT_LIMIT).unwrap();
    assert_eq!(uses.committed(start()), forgotten);
    uses.commit(&id(MAX_CLAIMS - 1), start()).unwrap();
}

#[test]
fn up_to_the_bound_no_claim_is_forgotten() {
    let mut uses = limited(u32::try_from(MAX_CLAIMS).unwrap());
    for number in 0..MAX_CLAIMS {
        let _ = uses.read(&id(number), start()).unwrap();
        uses.commit(&id(number), start()).unwrap();
    }
    for number in 0..MAX_CLAIMS {
        let _ = uses.read(&id(number), start()).unwrap();
        uses.commit(&id(number), start()).unwrap();
    }
    assert_eq!(uses.read(&id(MAX_CLAIMS), start()), Err(NoUseLeft::Exhausted));
    assert_eq!(counts(&uses, start()), (512, 0, Some(0)));
}

#[test]
fn the_count_does_not_overflow() {
    let mut uses = Uses { committed: u32::MAX, ..Uses::default() };
    uses.take(start()).unwrap();
    let _ = uses.read(&id(1), start()).unwrap();
    uses.lapse(Timestamp::MAX);
    assert_eq!(uses.committed, u32::MAX);
}

#[test]
fn what_is_stored_is_read_again() {
    let mut uses = limited(5);
    let _ = (uses.claim(&id(1), start()).unwrap(), uses.read(&id(2), start()).unwrap());
    uses.commit(&id(2), start()).unwrap();
    let text = serde_json::to_string(&uses).unwrap();
    assert_eq!(serde_json::from_str::<Uses>(&text).unwrap(), uses);
    // Earlier versions did not note since when a claim counts.
    let id = id(3);
    let earlier = format!("{{\"limit\":1,\"is_strict\":false,\"committed\":1,\"claims\":[[\"{id}\",null]]}}");
    let mut earlier: Uses = serde_json::from_str(&earlier).unwrap();
    assert_eq!((earlier.counts_since(&id, start()), earlier.was_read(&id)), (Some(Timestamp::MIN), true));
    let _ = earlier.read(&id, start()).unwrap();
    assert_eq!(counts(&earlier, start()), (1, 0, Some(0)));
}

#[test]
fn it_is_known_since_when_a_claim_counts_and_whether_it_was_read() {
    let mut uses = limited(3);
    let told = |uses: &Uses, number, now| (uses.counts_since(&id(number), now), uses.was_read(&id(number)));
    assert_eq!(told(&uses, 1, start()), (None, false));
    let _ = uses.claim(&id(1), start()).unwrap();
    assert_eq!(told(&uses, 1, start()), (None, false));
    let later = start().saturating_add(TICK);
    uses.commit(&id(1), later).unwrap();
    assert_eq!(told(&uses, 1, later), (Some(later), false));
    // Neither a read nor a second commit makes it count later.
    let end = uses.read(&id(2), later).unwrap().ends_at;
    let _ = uses.read(&id(1), end.saturating_sub(TICK)).unwrap();
    uses.commit(&id(1), end.saturating_sub(TICK)).unwrap();
    assert_eq!(told(&uses, 1, end), (Some(later), true));
    assert_eq!(told(&uses, 2, end.saturating_sub(TICK)), (None, true));
    let after = end.saturating_add(LEASE);
    assert_eq!(told(&uses, 2, after), (Some(end), true));
    uses.lapse(after);
    assert_eq!(told(&uses, 2, after), (Some(end), true));
}

#[derive(Debug, Clone)]
enum Step {
    Claim(usize),
    Read(usize),
    Take,
    Commit(usize),
    Release(usize),
    Wait(u64),
    Limit(Option<u32>),
}

fn step() -> impl Strategy<Value = Step> {
    let claim = 0..8_usize;
    prop_oneof![
        4 => claim.clone().prop_map(Step::Claim),
        4 => claim.clone().prop_map(Step::Read),
        1 => Just(Step::Take),
        2 => claim.clone().prop_map(Step::Commit),
        2 => claim.prop_map(Step::Release),
        2 => (0..LEASE.as_secs() * 2).prop_map(Step::Wait),
        1 => prop::option::of(1..6_u32).prop_map(Step::Limit),
    ]
}

/// What an observer knows: under which claims content was sent since they were new, and which uses have to count.
#[derive(Default)]
struct Observer {
    sent: HashSet<usize>,
    committed: HashSet<usize>,
    taken: u32,
    /// Until when whom was promised a use.
    leased: HashMap<usize, Timestamp>,
}

impl Observer {
    fn see(&mut self, step: &Step, uses: &mut Uses, now: Timestamp) {
        let before = uses.clone();
        let is_strict = uses.is_strict;
        match *step {
            Step::Claim(claim) => {
                if let Ok(lease) = uses.claim(&id(claim), now) {
                    self.leased.insert(claim, lease.ends_at);
                    self.sent.extend(is_strict.then_some(claim));
                }
            }
            Step::Read(claim) => {
                if let Ok(lease) = uses.read(&id(claim), now) {
                    self.leased.insert(claim, lease.ends_at);
                    self.sent.insert(claim);
                }
            }
            Step::Take => self.taken += u32::from(uses.take(now).is_ok()),
            Step::Commit(claim) => {
                let is_known = uses.commit(&id(claim), now).is_ok();
                self.committed.extend(is_known.then_some(claim));
            }
            Step::Release(claim) => {
                if uses.release(&id(claim), now).is_ok() {
                    self.leased.remove(&claim);
                }
            }
            Step::Limit(limit) => uses.set_limit(limit.and_then(NonZeroU32::new)),
            Step::Wait(_) => {}
        }
        assert!(uses.committed(now) >= before.committed(now), "nothing that counts is freed");
    }

    fn check(&self, uses: &Uses, now: Timestamp) {
        let used: HashSet<_> = self.sent.union(&self.committed).copied().collect();
        let counted = u32::try_from(used.len()).unwrap() + self.taken;
        let open = self.leased.iter().filter(|(claim, end)| **end > now && !used.contains(*claim)).count();
        let total = uses.committed(now) + uses.leased(now);
        assert_eq!(total, counted + u32::try_from(open).unwrap(), "each claim is one use, and no promise is broken");
        let settled = u32::try_from(self.committed.len()).unwrap() + self.taken;
        assert!(uses.committed(now) >= settled);
    }
}

proptest! {
    /// Leases that were promised are held, what was sent is never free, and a claim is one use, in any order of events.
    #[test]
    fn in_any_order_uses_stay_within_the_limit_and_nothing_that_was_sent_is_freed(
        limit in prop::option::of(1..6_u32),
        is_strict: bool,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut uses = Uses::new(limit.and_then(NonZeroU32::new), is_strict);
        let (mut observer, mut now) = (Observer::default(), start());
        for step in &steps {
            if let Step::Wait(seconds) = step {
                now = now.saturating_add(Duration::from_secs(*seconds));
            }
            let before = uses.committed(now) + uses.leased(now);
            observer.see(step, &mut uses, now);
            observer.check(&uses, now);
            let total = uses.committed(now) + uses.leased(now);
            // A limit that became lower than what is used leaves that alone.
            let bound = uses.limit().map_or(u32::MAX, NonZeroU32::get).max(before);
            prop_assert!(total <= bound, "{} of {}", total, bound);
        }
    }
}
