//! Decisions of a synchronization, without I/O.

use std::collections::HashMap;
use std::time::Duration;

use transport::backbone::Error;
use transport::crypto::hash::Sha512Hash;
use transport::wire::DeviceId;
use transport::wire::backbone::datawallet::{AssignedModification, Modification, NewModification};

use super::digest::{digest_of, digest_of_sent};
use super::state::{InFlight, Missed, Position};
use crate::backbone_error::code_of;
use crate::code::ErrorCode;

/// Rounds of pull and push before a synchronization gives up because other devices always push first.
pub(super) const MAX_ROUNDS: u32 = 5;
/// Runs of external events in one synchronization: a backbone that always claims to have more must not occupy the node forever.
pub(super) const MAX_EVENT_RUNS: u32 = 50;

/// Pulls that request a modification again that could not be read.
pub(super) const MAX_ATTEMPTS: u32 = 3;

/// What became of a push without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushOutcome {
    /// They are in the log.
    Accepted,
    /// Other modifications have their indices.
    Displaced,
    /// Their indices are still free.
    Pending,
}

/// Looks for sent modifications in a section of the log that follows what was known when they were sent. `newest` is the last
/// index of the section, or the one before it if it is empty; `is_last` says whether the log ends there.
///
/// The backbone accepts all of a push or nothing, and assigns every index, so one entry of another device at their indices
/// proves that they were not accepted. It omits entries that later ones supersede. Whether such an entry was ours is
/// unknown, but then nothing is lost by not sending it again. The newest entry of the log is never omitted, so what is
/// sealed for any index but the one after it will never be accepted.
pub(super) fn push_outcome(
    sent: &InFlight,
    section: &[Modification],
    newest: Option<u64>,
    is_last: bool,
    own_device: &DeviceId,
) -> PushOutcome {
    if newest.is_none_or(|newest| newest < sent.first_index) {
        let next = newest.map_or(0, |newest| newest + 1);
        return if is_last && next != sent.first_index { PushOutcome::Displaced } else { PushOutcome::Pending };
    }
    let accounted_for = |(index, sent): (u64, &NewModification)| match section.iter().find(|entry| entry.index == index)
    {
        Some(entry) => entry.created_by_device == *own_device && is_same(entry, sent),
        None => section.iter().any(|entry| entry.index > index && supersedes(entry, sent)),
    };
    match (sent.first_index..).zip(&sent.modifications).all(accounted_for) {
        true => PushOutcome::Accepted,
        false => PushOutcome::Displaced,
    }
}

/// The index of an entry that has a payload of this device but another label or another device. Only the backbone has
/// received the payload, so it forged the entry.
pub(super) fn relabelled(sent: &InFlight, section: &[Modification], own_device: &DeviceId) -> Option<u64> {
    let own: HashMap<_, _> = sent.modifications.iter().map(|sent| (sent.encrypted_payload.as_ref(), sent)).collect();
    let is_forged = |entry: &&Modification| {
        // Deletions have no payload by which to recognize them.
        let payload = entry.encrypted_payload.as_ref().filter(|payload| !payload.0.is_empty());
        let sent = payload.and_then(|payload| own.get(&Some(payload)));
        sent.is_some_and(|sent| entry.created_by_device != *own_device || !has_labels_of(entry, sent))
    };
    section.iter().find(is_forged).map(|entry| entry.index)
}

/// The rule by which backbones omit modifications from lists. It ignores the collection.
fn supersedes(entry: &Modification, sent: &NewModification) -> bool {
    entry.kind == sent.kind
        && entry.object_identifier == sent.object_identifier
        && entry.payload_category == sent.payload_category
}

fn has_labels_of(entry: &Modification, sent: &NewModification) -> bool {
    supersedes(entry, sent) && entry.collection == sent.collection
}

fn is_same(found: &Modification, sent: &NewModification) -> bool {
    has_labels_of(found, sent) && found.encrypted_payload == sent.encrypted_payload
}

/// The newest modification that a device knows to be in the log, so the backbone must still have it.
#[derive(Clone, Copy)]
pub(super) struct Known {
    index: Option<u64>,
    digest: Option<Sha512Hash>,
}

impl Known {
    pub(super) fn at(position: &Position) -> Self {
        Self { index: position.index, digest: position.digest }
    }

    /// Whether a section shows that the backbone has another log than this device has read: one that ends before the known
    /// modification or has another one at its index. `newest` is the last index up to the end of the section.
    pub(super) fn is_missing(self, section: &[Modification], newest: Option<u64>, is_last: bool) -> bool {
        let Some(index) = self.index else { return false };
        let is_other =
            |entry: &Modification| entry.index == index && self.digest.is_some_and(|digest| digest != digest_of(entry));
        is_last && newest.is_none_or(|newest| newest < index) || section.iter().any(is_other)
    }
}

/// The modifications that could not be read in a pull. They are stored with every section, because a pull may be interrupted
/// at any time and must not lose track of them.
///
/// A modification that is damaged once in transit must not be lost, but one that is permanently damaged must not make every
/// synchronization read the log after it again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Misses {
    /// The first modification that was missed before the pull.
    before: Option<Missed>,
    given_up: Option<u64>,
    first_given_up: Option<u64>,
    current: Option<Missed>,
}

impl Misses {
    pub(super) fn at(position: &Position) -> Self {
        let first_given_up = position.unreadable.first_given_up;
        Self { before: position.missed, given_up: position.given_up, first_given_up, current: None }
    }

    /// Whether a modification that cannot be read was given up.
    pub(super) fn is_given_up(&self, index: u64) -> bool {
        self.given_up.is_some_and(|given_up| index <= given_up)
    }

    /// Records a section in which the modifications at `damaged` could not be read or used, and notes the outcome in the
    /// position after the section. What was given up after the end of the log was never in it.
    pub(super) fn note(&mut self, mut damaged: Vec<u64>, position: &mut Position, is_last: bool) {
        damaged.sort_unstable();
        damaged.into_iter().for_each(|index| self.miss(index));
        let newest = position.listed;
        if let (Some(Missed { attempts: 1, upto, .. }), Some(newest)) = (&mut self.current, newest) {
            *upto = newest.max(*upto);
        }
        if is_last && self.given_up > newest {
            self.given_up = None;
        }
        let ahead = self.before.filter(|before| !is_last && Some(before.index) > newest);
        (position.missed, position.given_up) = (self.current.or(ahead), self.given_up);
        position.unreadable.first_given_up = self.first_given_up;
        position.unreadable.prune(position.settled(), newest.filter(|_| is_last));
    }

    /// Records modifications of a section that create objects of which other parts are missing; before [`Misses::note`].
    pub(super) fn note_parts(&mut self, parts: &[u64]) {
        for &index in parts {
            self.miss(index);
            if !self.is_given_up(index)
                && let Some(Missed { attempts: 1, from_start, .. }) = &mut self.current
            {
                *from_start = MAX_ATTEMPTS;
            }
        }
    }

    fn miss(&mut self, index: u64) {
        if self.is_given_up(index) {
            // `note_parts` comes first, although damaged modifications may have lower indices.
            self.first_given_up = self.first_given_up.map(|first| first.min(index));
            return;
        }
        if self.current.is_some() {
            return;
        }
        let first = Missed { index, attempts: 0, upto: index, from_start: 0 };
        let missed = self.before.filter(|before| before.index == index).unwrap_or(first);
        if missed.attempts >= MAX_ATTEMPTS {
            self.given_up = Some(missed.upto.max(index));
            self.first_given_up = self.first_given_up.or(Some(index)).min(Some(index));
        } else {
            self.current = Some(Missed { attempts: missed.attempts + 1, ..missed });
        }
    }
}

impl InFlight {
    /// Whether an index is one of those that the modifications are sealed for.
    pub(super) fn covers(&self, index: u64) -> bool {
        (self.first_index..=self.last_index()).contains(&index)
    }

    /// Whether a section of the log that ends at this index has only a part of them.
    pub(super) fn is_cut_at(&self, index: u64) -> bool {
        (self.first_index..self.last_index()).contains(&index)
    }

    /// The index of the last modification.
    pub(super) fn last_index(&self) -> u64 {
        self.first_index + (self.modifications.len() as u64).saturating_sub(1)
    }

    /// Digest of the last modification.
    pub(super) fn last_digest(&self) -> Option<Sha512Hash> {
        self.modifications.last().map(digest_of_sent)
    }

    /// Whether the assigned indices are those that the modifications were sealed for.
    pub(super) fn got(&self, assigned: &[AssignedModification]) -> bool {
        assigned.len() == self.modifications.len()
            && assigned.iter().map(|assigned| assigned.index).eq(self.first_index..=self.last_index())
    }
}

/// What a refusal of the backbone means for a synchronization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncRefusal {
    /// Another device pushed first: pull, then try again.
    OutOfDate,
    /// Another device handles events: try again when it is done.
    Busy,
    /// This program is too old for the datawallet.
    ClientTooOld,
    /// The run took too long and another device has the events now.
    RunLost,
    /// An error that synchronization cannot resolve.
    Other,
}

impl SyncRefusal {
    pub(super) fn of(error: &Error) -> Self {
        match code_of(error).known() {
            Some(ErrorCode::DatawalletNotUpToDate) => Self::OutOfDate,
            Some(ErrorCode::PushDuringSyncRun | ErrorCode::SyncRunInProgress) => Self::Busy,
            Some(ErrorCode::PlatformTooOldForDatawallet) => Self::ClientTooOld,
            Some(ErrorCode::SyncRunFinalized) => Self::RunLost,
            _ => Self::Other,
        }
    }
}

/// How long to wait while another device holds a run; runs last ten seconds by default.
pub(super) fn busy_delay(attempt: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << attempt.min(4))
}

/// How long to wait before another attempt in the background.
pub(super) fn background_delay(failures: u32) -> Duration {
    Duration::from_secs(1).saturating_mul(1 << failures.min(6)).min(Duration::from_secs(60))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use transport::wire::backbone::datawallet::ModificationType;
    use transport::wire::{ByteText, Timestamp};

    const OWN: &str = "DVCownownownownow123";
    const OTHER: &str = "DVCotherotherothe123";

    fn sent(payloads: &[&str]) -> InFlight {
        let modifications = payloads.iter().map(|payload| NewModification {
            kind: ModificationType::Update,
            object_identifier: "object".to_owned(),
            payload_category: Some("Content".to_owned()),
            collection: "Files".to_owned(),
            encrypted_payload: Some(ByteText::from_text(payload)),
            datawallet_version: 1,
        });
        InFlight { first_index: 5, modifications: modifications.collect(), journal_end: 9 }
    }

    /// A modification of a log.
    pub(in crate::sync) fn found(index: u64, device: &str, payload: &str) -> Modification {
        Modification {
            id: "DWMabcdefghijklmno12".parse().unwrap(),
            datawallet_version: 1,
            index,
            object_identifier: "object".to_owned(),
            payload_category: Some("Content".to_owned()),
            created_at: Timestamp::MIN,
            created_by_device: device.parse().unwrap(),
            collection: "Files".to_owned(),
            kind: ModificationType::Update,
            encrypted_payload: Some(ByteText::from_text(payload)),
        }
    }

    fn outcome_in(log: &[Modification]) -> PushOutcome {
        let newest = log.last().map_or(Some(4), |last| Some(last.index));
        push_outcome(&sent(&["a", "b"]), log, newest, true, &OWN.parse().unwrap())
    }

    #[test]
    fn an_accepted_push_is_recognized_even_if_superseded_entries_are_left_out() {
        assert_eq!(outcome_in(&[found(5, OWN, "a"), found(6, OWN, "b")]), PushOutcome::Accepted);
        assert_eq!(outcome_in(&[found(6, OWN, "b"), found(7, OTHER, "c")]), PushOutcome::Accepted);
        assert_eq!(outcome_in(&[found(4, OTHER, "x"), found(6, OWN, "b")]), PushOutcome::Accepted);
    }

    #[test]
    fn a_push_whose_indices_were_taken_is_displaced() {
        assert_eq!(outcome_in(&[found(5, OTHER, "a"), found(6, OTHER, "b")]), PushOutcome::Displaced);
        assert_eq!(outcome_in(&[found(5, OWN, "z")]), PushOutcome::Displaced);
        let mut unrelated = found(7, OTHER, "c");
        unrelated.object_identifier = "another object".to_owned();
        assert_eq!(outcome_in(&[unrelated]), PushOutcome::Displaced);
    }

    #[test]
    fn a_push_that_others_superseded_is_not_sent_again() {
        assert_eq!(outcome_in(&[found(7, OTHER, "c")]), PushOutcome::Accepted);
    }

    #[test]
    fn a_push_whose_indices_are_free_is_pending() {
        assert_eq!(outcome_in(&[]), PushOutcome::Pending);
        assert_eq!(outcome_in(&[found(4, OTHER, "x")]), PushOutcome::Pending);
    }

    #[test]
    fn a_push_for_indices_that_the_log_cannot_assign_any_more_is_displaced() {
        let own: DeviceId = OWN.parse().unwrap();
        let sent = sent(&["a", "b"]);
        assert_eq!(
            push_outcome(&sent, &[], Some(3), true, &own),
            PushOutcome::Displaced,
            "the log is shorter than it was"
        );
        assert_eq!(push_outcome(&sent, &[], None, true, &own), PushOutcome::Displaced);
        assert_eq!(
            push_outcome(&sent, &[found(3, OTHER, "x")], Some(3), false, &own),
            PushOutcome::Pending,
            "more may follow"
        );
    }

    /// The position after a pull of one section.
    fn pulled(position: &Position, damaged: &[u64], newest: u64, is_last: bool) -> Position {
        let mut after = Position { listed: Some(newest), ..position.clone() };
        Misses::at(position).note(damaged.to_vec(), &mut after, is_last);
        after
    }

    #[test]
    fn a_modification_that_cannot_be_read_is_requested_again_a_few_times() {
        let mut position = pulled(&Position::default(), &[9, 7], 20, true);
        for attempts in 1..=MAX_ATTEMPTS {
            assert_eq!(position.missed, Some(Missed { index: 7, attempts, upto: 20, from_start: 0 }));
            position = pulled(&position, &[7, 9], 20 + u64::from(attempts), true);
        }
        assert_eq!((position.missed, position.given_up), (None, Some(20)), "9 was read in vain as often");
        let other = pulled(&position, &[7, 9, 21], 30, true);
        assert_eq!(other.missed, Some(Missed { index: 21, attempts: 1, upto: 30, from_start: 0 }), "the next one");
        assert_eq!(pulled(&other, &[], 30, true).missed, None, "it came");
        assert_eq!(pulled(&other, &[], 19, true).given_up, None, "the log never had what was given up");
    }

    #[test]
    fn a_log_with_a_part_of_an_object_is_read_from_its_start() {
        let pulled = |position: Position| {
            let mut after = Position { listed: Some(20), ..position.started() };
            let mut misses = Misses::at(&after);
            misses.note_parts(&[8, 12]);
            misses.note(vec![5], &mut after, true);
            after
        };
        let mut position = pulled(Position { index: Some(9), ..Position::default() });
        for attempts in 1..=MAX_ATTEMPTS {
            let from_start = MAX_ATTEMPTS + 1 - attempts;
            assert_eq!(position.missed, Some(Missed { index: 8, attempts, upto: 20, from_start }));
            assert_eq!((position.settled(), position.asks_behind()), (None, None));
            position = pulled(position);
        }
        assert_eq!((position.missed, position.given_up, position.settled()), (None, Some(20), Some(9)));
        assert_eq!(position.unreadable.first_given_up, Some(5), "another version of the program asks for all of it");
    }

    #[test]
    fn a_log_that_is_never_read_to_its_end_is_not_read_from_its_start_forever() {
        let missed = Missed { index: 8, attempts: 1, upto: 20, from_start: MAX_ATTEMPTS };
        let mut position = Position { index: Some(9), missed: Some(missed), ..Position::default() };
        for _ in 0..MAX_ATTEMPTS {
            assert_eq!(position.settled(), None);
            // It breaks off before it reaches what is missed.
            let mut after = Position { listed: Some(3), ..position.started() };
            Misses::at(&after).note(vec![], &mut after, false);
            position = after;
        }
        assert_eq!(position.settled(), Some(7));
    }

    #[test]
    fn what_was_given_up_is_not_opened_again_while_nothing_is_new() {
        let garbage = [found(7, OTHER, "a"), found(9, OTHER, "b")];
        let mut position = Position::default();
        for _ in 0..=MAX_ATTEMPTS {
            assert!(!position.is_settled(&garbage));
            garbage.iter().for_each(|entry| position.unreadable.note(entry));
            position = pulled(&position, &[7, 9], 9, true);
        }
        assert!(position.is_settled(&garbage) && position.is_settled(&garbage[1..]));
        assert!(!position.is_settled(&[found(7, OTHER, "another form")]));
        assert!(!position.is_settled(&[garbage[0].clone(), garbage[1].clone(), found(10, OTHER, "c")]));
        assert_eq!(pulled(&position, &[], 9, true), position, "nothing new to store");
    }

    #[test]
    fn another_version_requests_again_what_was_given_up() {
        let mut position = Position::default();
        for _ in 0..=MAX_ATTEMPTS {
            position = pulled(&position, &[7], 20, true);
        }
        assert_eq!((position.given_up, position.unreadable.first_given_up), (Some(20), Some(7)));
        assert_eq!(position.clone().resumed(), position, "the same version");
        position.unreadable.program = Some("0.0.1".to_owned());
        position.missed = Some(Missed { index: 30, attempts: 2, upto: 30, from_start: 0 });
        let again = position.resumed();
        assert_eq!(again.missed, Some(Missed { index: 7, attempts: 0, upto: 20, from_start: 0 }));
        assert_eq!((again.given_up, again.clone().resumed()), (None, again), "once");
    }

    #[test]
    fn interrupted_pulls_count_as_attempts_and_lose_nothing() {
        let mut position = Position::default();
        for attempts in 1..=MAX_ATTEMPTS {
            position = pulled(&position, &[7], 10, false);
            assert_eq!(position.missed, Some(Missed { index: 7, attempts, upto: 10, from_start: 0 }));
            assert_eq!(pulled(&position, &[], 6, false).missed, position.missed, "not reached yet");
        }
        assert_eq!(
            pulled(&position, &[7], 10, false).given_up,
            Some(10),
            "so a log that is too long for one pull is read on"
        );
    }

    #[test]
    fn sections_of_one_pull_are_one_attempt() {
        let mut position = Position { listed: Some(10), ..Position::default() };
        let mut misses = Misses::at(&position);
        misses.note(vec![7], &mut position, false);
        position.listed = Some(20);
        misses.note(vec![15], &mut position, true);
        assert_eq!(position.missed, Some(Missed { index: 7, attempts: 1, upto: 20, from_start: 0 }));
    }

    #[test]
    fn a_log_without_the_known_modification_is_behind() {
        let (entry, other) = (found(5, OWN, "a"), found(5, OTHER, "b"));
        let known = Known { index: Some(5), digest: Some(digest_of(&entry)) };
        let later = found(7, OTHER, "c");
        assert!(!known.is_missing(std::slice::from_ref(&entry), Some(5), true));
        assert!(!known.is_missing(&[later], Some(7), true), "superseded");
        assert!(!known.is_missing(&[], Some(4), false), "more may follow");
        assert!(known.is_missing(&[], None, true) && known.is_missing(&[found(4, OWN, "x")], Some(4), true));
        assert!(known.is_missing(std::slice::from_ref(&other), Some(5), true));
        assert!(!Known { digest: None, ..known }.is_missing(&[other], Some(5), true), "from a store of version 0.1");
        assert!(!Known { index: None, digest: None }.is_missing(&[], None, true));
    }

    #[test]
    fn a_payload_of_this_device_under_another_label_is_forged() {
        let (own, sent) = (OWN.parse().unwrap(), sent(&["a", "b"]));
        assert_eq!(relabelled(&sent, &[found(5, OWN, "a"), found(6, OWN, "b")], &own), None);
        assert_eq!(relabelled(&sent, &[found(5, OTHER, "c")], &own), None, "another device's");
        assert_eq!(relabelled(&sent, &[found(5, OTHER, "a")], &own), Some(5));
        let lies: [fn(&mut Modification); 4] = [
            |entry| entry.object_identifier = "another".to_owned(),
            |entry| entry.collection = "Tokens".to_owned(),
            |entry| entry.payload_category = None,
            |entry| entry.kind = ModificationType::Create,
        ];
        for lie in lies {
            let mut entry = found(6, OWN, "b");
            lie(&mut entry);
            assert_eq!(relabelled(&sent, &[entry], &own), Some(6));
        }
    }

    #[test]
    fn an_acknowledgement_of_other_indices_or_of_fewer_modifications_does_not_count() {
        let assigned = |indices: &[u64]| -> Vec<AssignedModification> {
            let one = |index: &u64| AssignedModification {
                id: "DWMabcdefghijklmno12".parse().unwrap(),
                index: *index,
                created_at: Timestamp::MIN,
            };
            indices.iter().map(one).collect()
        };
        let sent = sent(&["a", "b"]);
        assert!(sent.got(&assigned(&[5, 6])));
        for indices in [&[][..], &[5], &[6, 7], &[5, 7], &[6, 5], &[5, 6, 7], &[1 << 40, (1 << 40) + 1]] {
            assert!(!sent.got(&assigned(indices)), "{indices:?}");
        }
    }

    #[test]
    fn refusals_are_distinguished_by_the_code_of_the_backbone() {
        let rows = [
            (ErrorCode::DatawalletNotUpToDate, SyncRefusal::OutOfDate),
            (ErrorCode::PushDuringSyncRun, SyncRefusal::Busy),
            (ErrorCode::SyncRunInProgress, SyncRefusal::Busy),
            (ErrorCode::SyncRunFinalized, SyncRefusal::RunLost),
            (ErrorCode::PlatformTooOldForDatawallet, SyncRefusal::ClientTooOld),
            (ErrorCode::QuotaExhausted, SyncRefusal::Other),
        ];
        for (code, refusal) in rows {
            let (message, request, trace_id) = (String::new(), String::new(), None);
            let error = Error::Api { status: 400, code: code.to_string(), message, request, trace_id };
            assert_eq!(SyncRefusal::of(&error), refusal, "{code}");
        }
    }

    #[test]
    fn waiting_for_another_device_outlasts_its_run() {
        let waited: Duration = (0..5).map(busy_delay).sum();
        assert!(waited > Duration::from_secs(10), "{waited:?}");
    }

    #[test]
    fn background_delays_grow_to_a_minute() {
        assert_eq!(background_delay(0), Duration::from_secs(1));
        assert_eq!(background_delay(100), Duration::from_secs(60));
    }
}
