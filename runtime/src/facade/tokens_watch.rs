//! Asks the backbone by itself how own tokens were used, so that applications are told of uses, and lists are right, although nobody asks.
//!
//! Asked are tokens of this device with a limit, or of whose uses somebody wants to be told, as long as something can become of them: not those
//! that are revoked, or have expired so long ago that no use of them is open, and seldom those that have no use left: another device may raise
//! the limit. One is asked after the other, at most [`ASKED_AT_ONCE`] in a round; the next round goes on behind
//! them. What is told is kept, and the events are those of [`TokensFacade::token_terms`]: each at most once, so one that a crash of the node
//! keeps from being published after its use was kept is lost. If the backbone cannot answer for a while, the rounds come less and less often;
//! what it answers to one token is no reason not to ask about others, unless it refuses this device or too many requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{debug, info, warn};
use transport::access::LEASE;
use transport::backbone::BackboneFailure;
use transport::wire::{Timestamp, TokenId};

use super::{Node, TokensFacade};
use crate::blocking::blocking;
use crate::core::Core;
use crate::dto::Notify;
use crate::store::StoreError;
use crate::store::token_values::SETTINGS;
use crate::token::{self, Revocation, TokenSettings};
use crate::{Error, Result};

/// Tokens about which the backbone is asked in one round. With more of them each one waits for several rounds.
const ASKED_AT_ONCE: usize = 64;
/// Tokens that are looked at in one round.
const LOOKED_AT_ONCE: usize = 4096;
/// Names that are read at a time.
const PAGE: usize = 256;
/// Of so many passes over all tokens one includes those without a use left.
const PASSES_WITHOUT_EXHAUSTED: u32 = 60;
/// The longest time between two rounds, after many failures.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Asks from now on, until the node stops or is dropped; not at all without [`Config::token_interval`](crate::Config::token_interval), or if
/// that is zero.
pub(crate) fn start(node: &Arc<Node>) {
    if let Some(interval) = node.core.config.token_interval.filter(|interval| !interval.is_zero()) {
        drop(node.core.background.run(watch(Arc::downgrade(node), interval)));
    }
}

async fn watch(node: Weak<Node>, interval: Duration) {
    let mut rounds = Rounds::default();
    loop {
        tokio::time::sleep(rounds.wait(interval)).await;
        // On the heap: the tasks of a node are many, and wait most of the time.
        if Box::pin(rounds.run(&node)).await.is_none() {
            return;
        }
    }
}

/// How far the rounds are.
#[derive(Debug, Default)]
struct Rounds {
    /// The name behind which the next one goes on.
    from: Option<String>,
    /// Passes over all tokens that have ended.
    passes: u32,
    failures: u32,
}

/// Tokens to ask about, and the name behind which others follow.
type Due = (Vec<TokenId>, Option<String>);

impl Rounds {
    /// How long to wait for the next one.
    fn wait(&self, interval: Duration) -> Duration {
        let longer = interval.saturating_mul(1 << self.failures.min(16));
        longer.min(LONGEST_WAIT.max(interval))
    }

    /// Asks about the tokens whose turn it is; none if the node is gone.
    async fn run(&mut self, node: &Weak<Node>) -> Option<()> {
        match self.ask(node).await.transpose()? {
            Ok(()) => self.failures = 0,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                info!(%error, failures = self.failures, "the backbone does not tell how tokens were used; it is asked again later");
            }
        }
        Some(())
    }

    /// The node is held for one token at a time, so that a round does not keep it from ending.
    async fn ask(&mut self, node: &Weak<Node>) -> Result<Option<()>> {
        let Some(due) = self.due(node).await? else { return Ok(None) };
        for id in due {
            let Some(node) = node.upgrade() else { return Ok(None) };
            match TokensFacade::new(node).ask_for_terms(&id).await {
                Ok(_) => {}
                Err(error) if ends_round(&error) => {
                    // It was asked about: others come before it is asked about again.
                    self.from = Some(behind(&id));
                    return Err(error);
                }
                // Deleted by whichever client; the next synchronization tells.
                Err(Error::RecordNotFound(_) | Error::RecordNotFoundAtBackbone(_)) => {
                    debug!(token = crate::logging::short(&id), "the backbone has no such token")
                }
                Err(error) => {
                    warn!(%error, token = crate::logging::short(&id), "it is not known how a token was used");
                }
            }
        }
        Ok(Some(()))
    }

    /// The tokens whose turn it is. A backbone that tells nothing is no failure: then there are none.
    async fn due(&mut self, node: &Weak<Node>) -> Result<Option<Vec<TokenId>>> {
        let Some(node) = node.upgrade() else { return Ok(None) };
        let (core, from) = (node.core.clone(), self.from.clone());
        let with_exhausted = self.passes.is_multiple_of(PASSES_WITHOUT_EXHAUSTED);
        let most = (ASKED_AT_ONCE, LOOKED_AT_ONCE);
        let found = blocking(move || due(&core, from.as_deref(), most, with_exhausted)).await;
        let (due, next) = found?;
        if next.is_none() {
            self.passes = self.passes.wrapping_add(1);
        }
        self.from = next;
        let is_told =
            !due.is_empty() && node.core.account.token_services().await?.is_some_and(|services| services.terms);
        Ok(Some(if is_told { due } else { Vec::new() }))
    }
}

/// Whether an error is one of all tokens, so that it is of no use to ask about more of them now.
fn ends_round(error: &Error) -> bool {
    match error {
        Error::Backbone(error) => match error.failure() {
            BackboneFailure::Refused
            | BackboneFailure::NotFound
            | BackboneFailure::Conflict
            | BackboneFailure::TooLarge => false,
            // The next round goes on behind this token, so one that the backbone always fails at keeps no other from its turn.
            _ => true,
        },
        Error::Store(failure) => !failure.is_damaged(),
        Error::Stopped | Error::StorageFull(_) => true,
        _ => false,
    }
}

/// The first name that may follow a token.
fn behind(id: &TokenId) -> String {
    format!("{SETTINGS}{id}\0")
}

/// The tokens to ask about, from a name on, within bounds for how many are asked about and looked at. At the end it begins again.
fn due(
    core: &Core,
    from: Option<&str>,
    (most_asked, most_looked_at): (usize, usize),
    with_exhausted: bool,
) -> Result<Due, StoreError> {
    let (mut due, mut looked_at, mut from) = (Vec::new(), 0, from.unwrap_or(SETTINGS).to_owned());
    loop {
        let names = core.store.view().value_names(SETTINGS, &from, PAGE)?;
        for name in &names {
            from = format!("{name}\0");
            let id = name[SETTINGS.len()..].parse().map_err(|_| StoreError::Damaged)?;
            if is_due(core, &id, with_exhausted) {
                due.push(id);
            }
            looked_at += 1;
            if due.len() == most_asked || looked_at == most_looked_at {
                return Ok((due, Some(from)));
            }
        }
        if names.len() < PAGE {
            return Ok((due, None));
        }
    }
}

/// Whether something can become of a token that somebody wants to know. One that cannot be read is left out: lists warn of it.
fn is_due(core: &Core, id: &TokenId, with_exhausted: bool) -> bool {
    let (view, now) = (core.store.view(), core.clock.now());
    let Ok(settings) = TokenSettings::stored(&view, id) else { return false };
    if !is_of_interest(&settings, now, with_exhausted) || !matches!(Revocation::stored(&view, id), Ok(None)) {
        return false;
    }
    let record = token::stored(&view, id).ok().flatten();
    record.is_some_and(|record| {
        // A use that was open at the expiry may go on, and be counted, until its lease ends.
        let is_over = record.expires_at.saturating_add(LEASE) <= now;
        record.is_own && record.created_by_device == *core.account.device_id() && !is_over
    })
}

fn is_of_interest(settings: &TokenSettings, now: Timestamp, with_exhausted: bool) -> bool {
    let (committed, leased) = settings.uses.map_or((0, 0), |uses| (uses.committed, uses.leased_at(now)));
    // A use that is open may end without counting.
    let is_exhausted = settings.max_downloads.is_some_and(|most| committed >= most.get()) && leased == 0;
    let is_told = match settings.notify.unwrap_or_default() {
        Notify::None => false,
        Notify::First => settings.most_uses() == 0,
        Notify::Each => true,
    };
    (is_told || settings.max_downloads.is_some()) && (with_exhausted || !is_exhausted)
}

#[cfg(test)]
mod tests {
    use backbone_mock::fault::{Fault, Matching};

    use super::super::CreateOwnToken;
    use super::super::tokens_terms::tests::{backbone, node};
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::store::Batch;
    use crate::token::{KnownUses, NewTerms, TokenJson, TokenRecord};

    fn record(core: &Core) -> TokenRecord {
        TokenRecord {
            secret_key: transport::crypto::SecretKey::generate(),
            is_own: true,
            created_by: core.account.address().clone(),
            created_at: core.clock.now(),
            expires_at: Timestamp::NEVER,
            created_by_device: core.account.device_id().clone(),
            for_identity: None,
            content: TokenJson::stored(serde_json::json!({})).value().into(),
            password_protection: None,
            has_terms: false,
        }
    }

    fn settings(max_downloads: Option<u64>, notify: Notify, committed: u32) -> TokenSettings {
        let max_downloads = max_downloads.map(|most| most.try_into().unwrap());
        let terms = NewTerms { max_downloads, notify: Some(notify), ..NewTerms::default() };
        let uses = KnownUses { committed, leased: 0, last_read_at: None, at: Timestamp::from_unix_milliseconds(0) };
        TokenSettings { uses: Some(uses), ..TokenSettings::of(&terms) }
    }

    #[test]
    fn what_nobody_wants_to_know_and_what_cannot_change_is_not_asked() {
        for (most, notify, committed, expected) in [
            (None, Notify::None, 0, false),
            (Some(2), Notify::None, 1, true),
            (Some(2), Notify::Each, 2, false),
            (None, Notify::First, 0, true),
            (None, Notify::First, 1, false),
            (None, Notify::Each, 9, true),
        ] {
            let settings = settings(most, notify, committed);
            let is_of_interest = |with| is_of_interest(&settings, Timestamp::from_unix_milliseconds(1), with);
            assert_eq!(is_of_interest(false), expected, "{settings:?}");
            // Another device may have raised the limit.
            assert_eq!(is_of_interest(true), expected || most.is_some(), "{settings:?}");
        }
    }

    #[test]
    fn rounds_come_less_often_after_failures_up_to_a_bound() {
        let minute = Duration::from_secs(60);
        let wait = |failures| Rounds { failures, ..Rounds::default() }.wait(minute);
        assert_eq!([0, 1, 2, 5].map(|failures| wait(failures) / 60), [1, 2, 4, 10].map(Duration::from_secs));
        assert_eq!((wait(6), wait(u32::MAX)), (LONGEST_WAIT, LONGEST_WAIT));
        assert_eq!(Rounds { failures: 9, ..Rounds::default() }.wait(2 * LONGEST_WAIT), 2 * LONGEST_WAIT);
    }

    #[test]
    fn only_what_concerns_all_tokens_ends_a_round() {
        for (error, expected) in [
            (Error::Stopped, true),
            (Error::RecordNotFound("Token"), false),
            (Error::NotSupported("of this one".to_owned()), false),
            (Error::Unknown("an answer that cannot be read".to_owned()), false),
        ] {
            assert_eq!(ends_round(&error), expected, "{error}");
        }
    }

    #[tokio::test]
    async fn a_token_that_keeps_failing_keeps_no_other_from_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let (backbone, faults) = backbone(directory.path()).await;
        let node = node(&directory.path().join("node"), &backbone, None).await;
        let tokens = TokensFacade::new(node.clone());
        let mut ids = Vec::new();
        for number in 0..3 {
            let mut request = CreateOwnToken::new(serde_json::json!({ "a": number }), Timestamp::NEVER);
            request.terms.max_downloads = Some(2.try_into().unwrap());
            ids.push(tokens.create_own_token(request).await.unwrap().id);
        }
        ids.sort();
        let forget = async || {
            let mut batch = Batch::new();
            ids.iter().for_each(|id| settings(Some(9), Notify::None, 0).put(&mut batch, id).unwrap());
            node.core.store.commit(batch).await.unwrap();
        };
        let limit = |id| {
            let settings = TokenSettings::stored(&node.core.store.view(), id).unwrap();
            settings.max_downloads.map(u32::from).unwrap()
        };
        let terms_of = |id: &TokenId| Matching::path(&format!("/{id}/Terms"));
        let (weak, mut rounds) = (Arc::downgrade(&node), Rounds::default());
        forget().await;
        faults.inject(terms_of(&ids[0]), Fault::RefuseBefore(http::StatusCode::BAD_REQUEST));
        rounds.run(&weak).await.unwrap();
        assert_eq!((ids.iter().map(limit).collect::<Vec<_>>(), rounds.failures), (vec![9, 2, 2], 0));
        forget().await;
        faults.inject(terms_of(&ids[1]), Fault::RefuseBefore(http::StatusCode::SERVICE_UNAVAILABLE));
        rounds.run(&weak).await.unwrap();
        assert_eq!((ids.iter().map(limit).collect::<Vec<_>>(), rounds.failures), (vec![9, 9, 9], 1));
        rounds.run(&weak).await.unwrap();
        assert_eq!((ids.iter().map(limit).collect::<Vec<_>>(), rounds.failures), (vec![9, 9, 2], 0));
        drop((tokens, node));
        assert_eq!(rounds.run(&weak).await, None, "the node is gone");
    }

    #[tokio::test]
    async fn each_round_goes_on_behind_the_last_one_and_skips_what_is_not_of_this_device() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
        let core = crate::delivery::memory::node(directory.path(), clock.clone());
        let before = |time: Duration| {
            let now = clock.now().as_unix_milliseconds();
            Timestamp::from_unix_milliseconds(now - i64::try_from(time.as_millis()).unwrap())
        };
        let id = |number: u8| -> TokenId { format!("TOK{number:017}").parse().unwrap() };
        let mut batch = Batch::new();
        for number in 1..=7 {
            let hour = Duration::from_secs(60 * 60);
            let mut record = record(&core);
            record.expires_at = clock.now().saturating_add(hour);
            match number {
                // The last use that was open at its expiry has ended now.
                2 => record.expires_at = before(LEASE),
                3 => record.expires_at = before(LEASE - Duration::from_millis(1)),
                4 => record.created_by_device = "DVCotherotherother12".parse().unwrap(),
                _ => {}
            }
            batch.put_object(record.to_object(&id(number)));
            settings(None, Notify::Each, 0).put(&mut batch, &id(number)).unwrap();
        }
        Revocation { at: clock.now(), is_complete: false }.put(&mut batch, &id(6)).unwrap();
        core.store.commit(batch).await.unwrap();
        let (first, next) = due(&core, None, (2, 9), false).unwrap();
        assert_eq!(first, [id(1), id(3)]);
        let (second, next) = due(&core, next.as_deref(), (2, 9), false).unwrap();
        assert_eq!(second, [id(5), id(7)]);
        assert_eq!(due(&core, next.as_deref(), (2, 9), false).unwrap(), (Vec::new(), None));
        assert_eq!(due(&core, Some(&behind(&id(3))), (9, 9), false).unwrap().0, [id(5), id(7)]);
        let (few, next) = due(&core, None, (9, 2), false).unwrap();
        assert_eq!((few, next.is_some()), (vec![id(1)], true), "no more is looked at than the bound says");
    }
}
