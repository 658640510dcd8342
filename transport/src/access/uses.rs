//! Counting how often a token is used.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim_text;
use crate::wire::backbone::token_terms::LEASE_SECONDS;
use crate::wire::{ClaimId, Timestamp};

/// How long a claim is leased. Each read under it renews it; claiming again does so only once something was read.
pub const LEASE: Duration = Duration::from_secs(LEASE_SECONDS as u64);

/// After how much of a lease it need be renewed by a read that follows another one.
pub const RENEWED_AFTER: Duration = Duration::from_secs(LEASE_SECONDS as u64 / 6);

/// Claims that are remembered of one token. What is full forgets the oldest one that counts; asking again under it is a new use. A
/// token with a limit never forgets a lease: whoever claims it then has to wait.
pub const MAX_CLAIMS: usize = 512;

/// Claims that are remembered of one token without a limit, which promises nothing by a lease: they say who went on after an
/// interruption, so the latest ones are enough.
pub const MAX_CLAIMS_WITHOUT_LIMIT: usize = 16;

/// The uses of one token: how many there may be, how many count, and which ones are open.
///
/// A use is a claim: whoever uses a token chooses a [`ClaimId`] that nobody can guess, so that asking again is the same use. It is
/// leased, read under, and committed or released. A lease that is over is free if no content was sent under it, and counts
/// otherwise. In the strict form a use counts as soon as it is leased.
///
/// There is neither storage nor a clock here: each operation takes the current time and first lets leases that are over lapse.
///
/// # Contract
///
/// - **Who counts.** The side that allocates the uses of a token, and it alone: a backbone, or the node that made the token.
/// - **Atomically.** Whoever changes a value of this type holds the lock of the token from before it was read until what it
///   became is stored, or is certain to be stored before whatever the next one makes of it. So at most [`limit`](Self::limit) uses
///   ever count or are leased, also if the limit was always that one.
/// - **Durably.** What an operation changed, or was decided by, is on disk before it is answered, and before the first byte of content
///   leaves. What cannot be stored is answered with the failure.
/// - **Refusals** change nothing that has to be stored.
/// - **Cancellation.** A claim whose answer nobody heard may be leased; it lapses, or is the same use when it is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uses {
    limit: Option<NonZeroU32>,
    is_strict: bool,
    /// Uses that count for ever.
    committed: u32,
    /// In the order in which they were made; at most [`MAX_CLAIMS`], without a limit at most [`MAX_CLAIMS_WITHOUT_LIMIT`] after the
    /// next one.
    #[serde(with = "claim_text")]
    claims: Vec<Remembered>,
}

/// A claim, its lease unless it counts already, and what is known of it since it does. Earlier versions did not store the latter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Remembered(pub(super) ClaimId, pub(super) Option<Open>, #[serde(default)] pub(super) Option<Counted>);

/// When a lease ends, and whether content was sent under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Open(pub(super) Timestamp, pub(super) bool);

/// Since when a claim counts, and whether content was sent under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Counted(pub(super) Timestamp, pub(super) bool);

/// A claim that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Lease {
    /// Until when.
    pub ends_at: Timestamp,
    /// Uses that are left for further claims; `None` without a limit.
    pub remaining: Option<u32>,
}

/// How a claim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimEnd {
    /// The whole content was verified: the use counts.
    Commit,
    /// The use is given back. It counts if content was sent under it.
    Release,
}

/// Why there is no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoUseLeft {
    /// As many count or are leased as there may be.
    #[error("no use of the token is left")]
    Exhausted,
    /// As many are leased as are remembered.
    #[error("too many claims of the token are open")]
    TooManyClaims,
}

/// There is no such claim: it was never made, was released, lapsed before content was sent, or is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token has no such claim")]
pub struct UnknownClaim;

impl Uses {
    /// Those of a new token.
    #[must_use]
    pub fn new(limit: Option<NonZeroU32>, is_strict: bool) -> Self {
        Self { limit, is_strict, ..Self::default() }
    }

    /// How many there may be; `None` for any number.
    #[must_use]
    pub fn limit(&self) -> Option<NonZeroU32> {
        self.limit
    }

    /// Whether a use counts as soon as it is leased.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Uses that count for ever, those included whose lease is over and under which content was sent.
    #[must_use]
    pub fn committed(&self, now: Timestamp) -> u32 {
        let lapsed = self.leases().filter(|Open(ends_at, sent)| *sent && *ends_at <= now).count();
        self.committed.saturating_add(u32::try_from(lapsed).unwrap_or(u32::MAX))
    }

    /// Claims that are leased and neither committed nor over.
    #[must_use]
    pub fn leased(&self, now: Timestamp) -> u32 {
        u32::try_from(self.leases().filter(|Open(ends_at, _)| *ends_at > now).count()).unwrap_or(u32::MAX)
    }

    /// Uses that count and were not committed by their receiver under a claim that is remembered: those without a claim, those whose claim is
    /// forgotten, and all of the strict form. Their receivers may still load what the token is for.
    #[must_use]
    pub fn unconfirmed(&self) -> u32 {
        if self.is_strict {
            return self.committed;
        }
        let confirmed = self.claims.iter().filter(|Remembered(_, lease, _)| lease.is_none()).count();
        self.committed.saturating_sub(u32::try_from(confirmed).unwrap_or(u32::MAX))
    }

    /// When the first of the leases ends that are not over: until then, what is counted changes by calls only.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.leases().map(|Open(ends_at, _)| *ends_at).filter(|ends_at| *ends_at > now).min()
    }

    /// Uses that are left for further claims; `None` without a limit.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Option<u32> {
        let taken = self.committed(now).saturating_add(self.leased(now));
        self.limit.map(|limit| limit.get().saturating_sub(taken))
    }

    /// Since when a claim counts: since it was committed, or its lease ended after content was sent under it. `None` if it does not count,
    /// or is not known. What was stored by a version that did not note it counts since ever.
    #[must_use]
    pub fn counts_since(&self, id: &ClaimId, now: Timestamp) -> Option<Timestamp> {
        match self.get(id)? {
            Remembered(_, Some(Open(ends_at, true)), _) if *ends_at <= now => Some(*ends_at),
            Remembered(_, Some(_), _) => None,
            Remembered(_, None, counted) => Some(counted.map_or(Timestamp::MIN, |Counted(since, _)| since)),
        }
    }

    /// Whether content was sent under a claim that is known.
    #[must_use]
    pub fn was_read(&self, id: &ClaimId) -> bool {
        match self.get(id) {
            None => false,
            Some(Remembered(_, Some(Open(_, sent)), _)) => *sent,
            Some(Remembered(_, None, counted)) => counted.is_none_or(|Counted(_, sent)| sent),
        }
    }

    /// Whether a claim was made here, and is neither given back nor over nor forgotten: it is leased, or counts.
    #[must_use]
    pub fn knows(&self, id: &ClaimId, now: Timestamp) -> bool {
        let is_open = |Open(ends_at, sent): &Open| *sent || *ends_at > now;
        self.get(id).is_some_and(|Remembered(_, lease, _)| lease.as_ref().is_none_or(is_open))
    }

    /// Leases a use, or renews its lease if content was sent under it. Under a lease without content nothing is held for longer by
    /// asking again. One that counts already stays as it is, and may be used again.
    ///
    /// # Errors
    /// [`NoUseLeft`] for a claim that is not known.
    pub fn claim(&mut self, id: &ClaimId, now: Timestamp) -> Result<Lease, NoUseLeft> {
        self.open(id, false, now)
    }

    /// As [`claim`](Self::claim), for content that is sent from now on: the use is not free any more.
    ///
    /// # Errors
    /// As [`claim`](Self::claim). Then nothing must be sent.
    pub fn read(&mut self, id: &ClaimId, now: Timestamp) -> Result<Lease, NoUseLeft> {
        self.open(id, true, now)
    }

    /// Whether content may be sent under a claim without a further [`read`](Self::read), of which little would change: content was
    /// sent under it, and it counts, or less than a [part](RENEWED_AFTER) of its lease is over. So that not each range of a content has to be
    /// stored.
    #[must_use]
    pub fn is_read_lately(&self, id: &ClaimId, now: Timestamp) -> bool {
        let known = self.get(id);
        known.is_some_and(|Remembered(_, lease, _)| match lease {
            Some(Open(ends_at, sent)) => *sent && *ends_at > now.saturating_add(LEASE - RENEWED_AFTER),
            None => true,
        })
    }

    /// Counts a use without a claim.
    ///
    /// # Errors
    /// [`NoUseLeft::Exhausted`]. Then nothing must be sent.
    pub fn take(&mut self, now: Timestamp) -> Result<(), NoUseLeft> {
        self.lapse(now);
        if self.remaining(now) == Some(0) {
            return Err(NoUseLeft::Exhausted);
        }
        self.count(1);
        Ok(())
    }

    /// Counts uses from before there was a limit, which nothing was promised for. It may be exceeded by them.
    pub fn add_earlier(&mut self, uses: u64) {
        self.count(u32::try_from(uses).unwrap_or(u32::MAX));
    }

    /// Ends a use whose content was verified at the receiver: it counts. Again, it changes nothing.
    ///
    /// # Errors
    /// [`UnknownClaim`].
    pub fn commit(&mut self, id: &ClaimId, now: Timestamp) -> Result<(), UnknownClaim> {
        self.lapse(now);
        let Remembered(_, lease, counted) = self.find(id).ok_or(UnknownClaim)?;
        if let Some(Open(_, sent)) = lease.take() {
            *counted = Some(Counted(now, sent));
            self.count(1);
        }
        Ok(())
    }

    /// Gives a use back. It counts if content was sent under it.
    ///
    /// # Errors
    /// [`UnknownClaim`].
    pub fn release(&mut self, id: &ClaimId, now: Timestamp) -> Result<(), UnknownClaim> {
        self.lapse(now);
        match self.find(id).ok_or(UnknownClaim)? {
            Remembered(_, Some(Open(_, false)), _) => {
                self.claims.retain(|Remembered(other, ..)| other != id);
                Ok(())
            }
            _ => self.commit(id, now),
        }
    }

    /// [Commits](Self::commit) or [releases](Self::release) a use.
    ///
    /// # Errors
    /// [`UnknownClaim`].
    pub fn end(&mut self, id: &ClaimId, end: ClaimEnd, now: Timestamp) -> Result<(), UnknownClaim> {
        match end {
            ClaimEnd::Commit => self.commit(id, now),
            ClaimEnd::Release => self.release(id, now),
        }
    }

    /// Ends the leases that are over. Without content they are free, with content they count.
    pub fn lapse(&mut self, now: Timestamp) {
        let mut lapsed = 0;
        self.claims.retain_mut(|Remembered(_, lease, counted)| match *lease {
            Some(Open(ends_at, sent)) if ends_at <= now => {
                (*lease, *counted) = (None, Some(Counted(ends_at, sent)));
                lapsed += u32::from(sent);
                sent
            }
            _ => true,
        });
        self.count(lapsed);
    }

    /// Changes how many there may be. If more count or are leased already, they stay, and no further one is left.
    pub fn set_limit(&mut self, limit: Option<NonZeroU32>) {
        self.limit = limit;
    }

    fn open(&mut self, id: &ClaimId, sends: bool, now: Timestamp) -> Result<Lease, NoUseLeft> {
        self.lapse(now);
        let mut ends_at = now.saturating_add(LEASE);
        match self.find(id) {
            Some(Remembered(_, Some(Open(end, false)), _)) if !sends => ends_at = *end,
            Some(Remembered(_, Some(open), _)) => *open = Open(ends_at, true),
            Some(Remembered(_, None, Some(Counted(_, sent)))) => *sent |= sends,
            Some(Remembered(_, None, None)) => {}
            None => {
                self.make_room(now)?;
                let (lease, counted) = match self.is_strict {
                    true => (None, Some(Counted(now, sends))),
                    false => (Some(Open(ends_at, sends)), None),
                };
                self.claims.push(Remembered(id.clone(), lease, counted));
                self.count(u32::from(self.is_strict));
            }
        }
        Ok(Lease { ends_at, remaining: self.remaining(now) })
    }

    /// Forgets claims if there are as many as are remembered.
    fn make_room(&mut self, now: Timestamp) -> Result<(), NoUseLeft> {
        if self.remaining(now) == Some(0) {
            return Err(NoUseLeft::Exhausted);
        }
        let most = if self.limit.is_some() { MAX_CLAIMS } else { MAX_CLAIMS_WITHOUT_LIMIT };
        // More than one if there was a limit before.
        while self.claims.len() >= most {
            let counted = self.claims.iter().position(|Remembered(_, lease, _)| lease.is_none());
            // Without a limit nothing is promised by a lease.
            let oldest = counted.or((self.limit.is_none() && !self.claims.is_empty()).then_some(0));
            let Remembered(_, lease, _) = self.claims.remove(oldest.ok_or(NoUseLeft::TooManyClaims)?);
            self.count(u32::from(lease.is_some_and(|Open(_, sent)| sent)));
        }
        Ok(())
    }

    fn count(&mut self, uses: u32) {
        self.committed = self.committed.saturating_add(uses);
    }

    fn get(&self, id: &ClaimId) -> Option<&Remembered> {
        self.claims.iter().find(|Remembered(other, ..)| other == id)
    }

    fn find(&mut self, id: &ClaimId) -> Option<&mut Remembered> {
        self.claims.iter_mut().find(|Remembered(other, ..)| other == id)
    }

    fn leases(&self) -> impl Iterator<Item = &Open> {
        self.claims.iter().filter_map(|Remembered(_, lease, _)| lease.as_ref())
    }
}

#[cfg(test)]
mod tests;
