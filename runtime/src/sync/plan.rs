//! Decisions of a synchronization, without I/O.

use std::time::Duration;

use transport::backbone::Error;
use transport::wire::DeviceId;
use transport::wire::backbone::datawallet::{Modification, NewModification};

use super::state::InFlight;

/// Rounds of pull and push before a synchronization gives up against other devices that are always faster.
pub(super) const MAX_ROUNDS: u32 = 5;
/// Runs of external events in one go: a backbone that always claims to have more must not keep us for ever.
pub(super) const MAX_EVENT_RUNS: u32 = 50;

const NOT_UP_TO_DATE: &str = "error.platform.validation.datawallet.datawalletNotUpToDate";
const DURING_SYNC_RUN: &str =
    "error.platform.validation.datawallet.cannotPushDatawalletModificationsDuringActiveSyncRun";
const RUN_IN_PROGRESS: &str = "error.platform.validation.syncRun.cannotStartSyncRunWhenAnotherSyncRunIsRunning";
const CLIENT_TOO_OLD: &str = "error.platform.validation.datawallet.insufficientSupportedDatawalletVersion";
const RUN_FINALIZED: &str = "error.platform.validation.syncRun.syncRunAlreadyFinalized";

/// What became of modifications whose push was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are in the log.
    Arrived,
    /// Others are in their place.
    Displaced,
    /// Their place is still free.
    Open,
}

/// Looks for sent modifications in the log that follows what was known when they were sent.
///
/// The backbone takes all or none and gives every index to somebody, so one foreign entry in their place proves that they
/// did not arrive. It leaves out entries that later ones supersede; whether such an entry was ours cannot be told, but then
/// nothing is lost by not sending it again.
pub(super) fn fate(sent: &InFlight, log: &[Modification], own_device: &DeviceId) -> Fate {
    if log.last().is_none_or(|last| last.index < sent.first_index) {
        return Fate::Open;
    }
    let accounted_for = |(index, sent): (u64, &NewModification)| match log.iter().find(|entry| entry.index == index) {
        Some(entry) => entry.created_by_device == *own_device && is_same(entry, sent),
        None => log.iter().any(|entry| entry.index > index && supersedes(entry, sent)),
    };
    match (sent.first_index..).zip(&sent.modifications).all(accounted_for) {
        true => Fate::Arrived,
        false => Fate::Displaced,
    }
}

fn supersedes(entry: &Modification, sent: &NewModification) -> bool {
    entry.kind == sent.kind
        && entry.object_identifier == sent.object_identifier
        && entry.payload_category == sent.payload_category
}

fn is_same(found: &Modification, sent: &NewModification) -> bool {
    supersedes(found, sent) && found.encrypted_payload == sent.encrypted_payload
}

impl InFlight {
    /// Whether an index is one of those that were asked for.
    pub(super) fn covers(&self, index: u64) -> bool {
        (self.first_index..=self.last_index()).contains(&index)
    }

    /// The index of the last modification.
    pub(super) fn last_index(&self) -> u64 {
        self.first_index + (self.modifications.len() as u64).saturating_sub(1)
    }
}

/// What a refusal of the backbone means for a synchronization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another device was faster: pull, then try again.
    OutOfDate,
    /// Another device handles events: try again when it is done.
    Busy,
    /// This program is too old for the datawallet.
    ClientTooOld,
    /// The run took too long and somebody else took over.
    RunLost,
    /// Nothing that synchronizing could mend.
    Other,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        match error.code() {
            NOT_UP_TO_DATE => Self::OutOfDate,
            DURING_SYNC_RUN | RUN_IN_PROGRESS => Self::Busy,
            CLIENT_TOO_OLD => Self::ClientTooOld,
            RUN_FINALIZED => Self::RunLost,
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
mod tests {
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

    fn found(index: u64, device: &str, payload: &str) -> Modification {
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

    fn fate_in(log: &[Modification]) -> Fate {
        fate(&sent(&["a", "b"]), log, &OWN.parse().unwrap())
    }

    #[test]
    fn a_push_that_arrived_is_recognised_even_if_superseded_entries_are_left_out() {
        assert_eq!(fate_in(&[found(5, OWN, "a"), found(6, OWN, "b")]), Fate::Arrived);
        assert_eq!(fate_in(&[found(6, OWN, "b"), found(7, OTHER, "c")]), Fate::Arrived);
        assert_eq!(fate_in(&[found(4, OTHER, "x"), found(6, OWN, "b")]), Fate::Arrived);
    }

    #[test]
    fn a_push_whose_place_was_taken_is_displaced() {
        assert_eq!(fate_in(&[found(5, OTHER, "a"), found(6, OTHER, "b")]), Fate::Displaced);
        assert_eq!(fate_in(&[found(5, OWN, "z")]), Fate::Displaced);
        let mut unrelated = found(7, OTHER, "c");
        unrelated.object_identifier = "another object".to_owned();
        assert_eq!(fate_in(&[unrelated]), Fate::Displaced);
    }

    #[test]
    fn a_push_that_others_superseded_is_not_sent_again() {
        assert_eq!(fate_in(&[found(7, OTHER, "c")]), Fate::Arrived);
    }

    #[test]
    fn a_push_whose_place_is_free_is_open() {
        assert_eq!(fate_in(&[]), Fate::Open);
        assert_eq!(fate_in(&[found(4, OTHER, "x")]), Fate::Open);
    }

    #[test]
    fn refusals_are_told_apart_by_the_backbones_code() {
        let rows = [
            ("error.platform.validation.datawallet.datawalletNotUpToDate", Refusal::OutOfDate),
            (DURING_SYNC_RUN, Refusal::Busy),
            ("error.platform.validation.syncRun.cannotStartSyncRunWhenAnotherSyncRunIsRunning", Refusal::Busy),
            ("error.platform.validation.syncRun.syncRunAlreadyFinalized", Refusal::RunLost),
            (CLIENT_TOO_OLD, Refusal::ClientTooOld),
            ("error.platform.quotaExhausted", Refusal::Other),
        ];
        for (code, refusal) in rows {
            let (message, request, trace_id) = (String::new(), String::new(), None);
            let error = Error::Api { status: 400, code: code.to_owned(), message, request, trace_id };
            assert_eq!(Refusal::of(&error), refusal, "{code}");
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
