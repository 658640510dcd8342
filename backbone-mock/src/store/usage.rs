//! Exact usage of identities and clients: counts change in the commit that changes the counted records.
//!
//! Counts are [updates](Update): a commit computes them from the counts of all commits before it. So concurrent requests need no
//! common lock and still cannot exceed a quota together.

use std::collections::{BTreeMap, HashMap};

use transport::wire::Address;

use super::contract::Update;
use super::{Key, Store, Table};
use crate::error::StoreError;
use crate::quota::{Amounts, Metric};

const USAGE: Table<Amounts> = Table::new("usage");

/// To whom usage is attributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    /// An identity.
    Identity(&'a Address),
    /// All identities of a client.
    Client(&'a str),
    /// Nobody: tokens that were created without a login.
    Nobody,
}

impl Holder<'_> {
    #[cfg(test)]
    pub(super) fn prefix() -> Key<Amounts> {
        USAGE.key()
    }

    pub(super) fn key(self) -> Key<Amounts> {
        match self {
            Self::Identity(address) => USAGE.key().text("identity").text(address),
            Self::Client(id) => USAGE.key().text("client").text(id),
            Self::Nobody => USAGE.key().text("nobody"),
        }
    }
}

/// A change of usage: an amount, positive or negative, for each metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change([i64; Metric::ALL.len()]);

impl Change {
    /// An increase of one metric.
    pub(crate) fn more(metric: Metric, amount: u64) -> Self {
        Self::default().and(metric, amount)
    }

    /// Adds an increase of another metric.
    pub(crate) fn and(mut self, metric: Metric, amount: u64) -> Self {
        let place = &mut self.0[metric as usize];
        *place = place.saturating_add_unsigned(amount);
        self
    }

    /// And all of another change.
    pub(crate) fn together(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// As much less.
    pub(crate) fn undone(self) -> Self {
        Self(self.0.map(i64::saturating_neg))
    }

    /// The change of one metric.
    pub(crate) fn of(&self, metric: Metric) -> i64 {
        self.0[metric as usize]
    }

    /// The part of it that counts towards the quota of the client.
    pub(crate) fn of_client(mut self) -> Self {
        for metric in [Metric::Devices, Metric::Challenges, Metric::OtherBytes] {
            self.0[metric as usize] = 0;
        }
        self
    }

    fn is_nothing(&self) -> bool {
        self.0.iter().all(|amount| *amount == 0)
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// The amounts after the change.
    ///
    /// # Errors
    /// [`StoreError::Quota`] for the first metric that increases beyond its quota.
    pub(crate) fn applied(&self, before: Amounts, quota: &Amounts) -> Result<Amounts, StoreError> {
        let mut after = before;
        for metric in Metric::ALL {
            let amount = before.of(metric).saturating_add_signed(self.of(metric));
            if self.of(metric) > 0 && amount > quota.of(metric) {
                return Err(StoreError::Quota(metric));
            }
            *after.of_mut(metric) = amount;
        }
        Ok(after)
    }
}

/// The changes of one transaction, by holder.
#[derive(Default)]
pub(super) struct Charges(HashMap<Vec<u8>, (Key<Amounts>, Change, Amounts)>);

impl Charges {
    /// Adds a change, and a quota for the sum of all changes.
    pub(super) fn add(&mut self, holder: Holder<'_>, change: &Change, quota: Option<&Amounts>) {
        let key = holder.key();
        let (_, sum, limit) =
            self.0.entry(key.bytes().to_vec()).or_insert_with(|| (key, Change::default(), Amounts::UNLIMITED));
        sum.add(change);
        *limit = quota.copied().unwrap_or(*limit);
    }

    /// The updates of the counts; counts that become zero are removed.
    pub(super) fn into_updates(self) -> BTreeMap<Vec<u8>, Update> {
        let changed = self.0.into_iter().filter(|(_, (_, change, _))| !change.is_nothing());
        changed.map(|(bytes, (key, change, quota))| (bytes, update(key, change, quota))).collect()
    }
}

fn update(key: Key<Amounts>, change: Change, quota: Amounts) -> Update {
    Box::new(move |stored| {
        let before = stored.map(|stored| key.decode(&stored)).transpose()?.unwrap_or_default();
        let after = change.applied(before, &quota)?;
        (after != Amounts::default()).then(|| key.encode(&after)).transpose()
    })
}

impl Store {
    /// The usage of a holder.
    pub(crate) async fn usage(&self, holder: Holder<'_>) -> Result<Amounts, StoreError> {
        Ok(self.get(&holder.key()).await?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Amounts = Amounts { tokens: 2, content_bytes: 100, ..Amounts::UNLIMITED };

    #[test]
    fn a_quota_can_be_used_up_and_not_exceeded() {
        let token = Change::more(Metric::Tokens, 1).and(Metric::ContentBytes, 50);
        let one = token.applied(Amounts::default(), &FULL).unwrap();
        let two = token.applied(one, &FULL).unwrap();
        assert_eq!((two.tokens, two.content_bytes), (2, 100));
        assert!(matches!(token.applied(two, &FULL), Err(StoreError::Quota(Metric::Tokens))));
        let empty = token.undone().applied(one, &FULL).unwrap();
        assert_eq!(empty, Amounts::default());
    }

    #[test]
    fn usage_above_a_lowered_quota_can_be_reduced() {
        let before = Amounts { tokens: 10, content_bytes: 1_000, ..Amounts::default() };
        let after = Change::more(Metric::Tokens, 1).undone().applied(before, &FULL).unwrap();
        assert_eq!(after.tokens, 9);
    }
}
