//! Accounts: the quotas of an identity and its client.

use std::time::Duration;

use transport::wire::{Address, Timestamp};

use super::{Refusal, identities};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::{Metric, RECORD_BYTES, Terms};
use crate::store::{Change, Holder, Store, Transaction};

/// An identity and its client.
pub(crate) struct Account<'c> {
    address: Address,
    client_id: String,
    /// `None` if the client is not configured any more; then the terms of ordinary clients apply.
    client: Option<&'c OAuthClient>,
}

impl<'c> Account<'c> {
    /// The account of an identity.
    pub(crate) async fn of(core: &'c Core, address: &Address) -> Result<Self, Refusal> {
        let client_id = identities::read(&core.store, address).await?.client_id;
        let client = core.config.clients.iter().find(|client| client.id == client_id);
        Ok(Self { address: address.clone(), client_id, client })
    }

    /// Its terms.
    pub(crate) fn terms(&self) -> Terms {
        self.client.map_or_else(Terms::ordinary, |client| client.terms.clone())
    }

    /// Checks that there is room on the disk for so many bytes beside what its terms leave to others.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub(crate) fn check_disk(&self, store: &Store, bytes: u64) -> Result<(), StoreError> {
        store.check_free(self.terms().disk_reserve.saturating_add(bytes))
    }

    /// Counts what a transaction adds to its usage.
    ///
    /// # Errors
    /// [`StoreError::Full`] if less of the disk is free than its terms leave to others.
    pub(crate) fn charge(&self, transaction: &mut Transaction<'_>, change: &Change) -> Result<(), StoreError> {
        let terms = self.terms();
        // Records of reading and receiving are small, and possible for longer than uploads.
        let is_content = change.of(Metric::ContentBytes) > 0;
        let reserve = if is_content { terms.disk_reserve } else { terms.disk_reserve / 2 };
        if reserve > 0 {
            transaction.committed().check_free(reserve)?;
        }
        transaction.charge(Holder::Identity(&self.address), change, Some(&terms.identity));
        transaction.charge(Holder::Client(&self.client_id), &change.of_client(), Some(&terms.client));
        Ok(())
    }

    /// The expiry of a new token or file for the requested one. Clients send [`Timestamp::NEVER`] when the user chose none, so
    /// that becomes the latest that its terms allow.
    ///
    /// # Errors
    /// As [`Account::check_expiry`].
    pub(crate) fn allowed_expiry(&self, asked: Timestamp, now: Timestamp) -> Result<Timestamp, Refusal> {
        let latest = self.terms().max_lifetime.map_or(Timestamp::MAX, |lifetime| now.saturating_add(lifetime));
        if asked >= Timestamp::NEVER && latest > now {
            return Ok(asked.min(latest));
        }
        self.check_expiry(asked, now).map(|()| asked)
    }

    /// When an unfinished upload expires that got bytes now.
    pub(crate) fn upload_expiry(&self, latest: Timestamp, now: Timestamp) -> Timestamp {
        self.terms().upload_idle.map_or(latest, |idle| latest.min(now.saturating_add(idle)))
    }

    /// Refuses an expiry that is later than its terms allow.
    pub(crate) fn check_expiry(&self, expires_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        match self.terms().max_lifetime {
            Some(lifetime) if expires_at > now.saturating_add(lifetime) => {
                let days = lifetime.as_secs() / (24 * 60 * 60);
                let problem = format!("must be at most {days} days from now: guests store nothing for longer");
                Err(Refusal::invalid("expiresAt", problem))
            }
            _ => Ok(()),
        }
    }

    /// Unique names of the identity and the client.
    pub(crate) fn names(&self) -> [String; 2] {
        [format!("identity {}", self.address), format!("client {}", self.client_id)]
    }

    /// Checks that a change fits into the quotas of identity and client before it is uploaded. Its commit counts it.
    pub(crate) async fn check_room(&self, store: &Store, [own, all]: [Change; 2]) -> Result<(), StoreError> {
        let terms = self.terms();
        if terms.disk_reserve > 0 {
            let bytes = u64::try_from(all.of(Metric::ContentBytes)).unwrap_or(0);
            store.check_free(terms.disk_reserve.saturating_add(bytes))?;
        }
        own.applied(store.usage(Holder::Identity(&self.address)).await?, &terms.identity)?;
        all.of_client().applied(store.usage(Holder::Client(&self.client_id)).await?, &terms.client)?;
        Ok(())
    }
}

/// Quota and usage of one metric.
#[derive(Debug)]
pub(crate) struct QuotaUse {
    pub(crate) metric: Metric,
    pub(crate) max: u64,
    pub(crate) usage: u64,
    /// Whether all identities of its client share it.
    pub(crate) is_shared: bool,
}

/// What an identity may store, and for how long.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// Its own quotas, then those it shares, as far as there are any.
    pub(crate) uses: Vec<QuotaUse>,
    /// How far in the future something new may expire; `None` for any time.
    pub(crate) max_lifetime: Option<Duration>,
}

/// The quotas of an identity.
pub(crate) async fn quotas(core: &Core, address: &Address) -> Result<Quotas, Refusal> {
    let account = Account::of(core, address).await?;
    let terms = account.terms();
    let own = core.store.usage(Holder::Identity(address)).await?;
    let all = core.store.usage(Holder::Client(&account.client_id)).await?;
    let mut uses = Vec::new();
    for (quota, used, is_shared) in [(terms.identity, own, false), (terms.client, all, true)] {
        let limited = Metric::ALL.into_iter().filter(|metric| quota.of(*metric) < u64::MAX);
        uses.extend(limited.map(|metric| QuotaUse {
            metric,
            max: quota.of(metric),
            usage: used.of(metric),
            is_shared,
        }));
    }
    Ok(Quotas { uses, max_lifetime: terms.max_lifetime })
}

/// What a token or file with so many bytes of content adds to usage.
pub(crate) fn content(metric: Metric, bytes: u64) -> Change {
    Change::more(metric, 1).and(Metric::ContentBytes, RECORD_BYTES.saturating_add(bytes))
}

/// What any other record with so many bytes adds to usage.
pub(crate) fn other(bytes: u64) -> Change {
    Change::more(Metric::OtherBytes, RECORD_BYTES.saturating_add(bytes))
}

/// Counts what a transaction removes of an identity, which may not exist any more.
pub(crate) async fn release(
    transaction: &mut Transaction<'_>,
    address: &Address,
    change: Change,
) -> Result<(), StoreError> {
    let change = change.undone();
    transaction.charge(Holder::Identity(address), &change, None);
    if change.of_client() != Change::default()
        && let Some(client_id) = identities::client_of(transaction.committed(), address).await?
    {
        transaction.charge(Holder::Client(&client_id), &change.of_client(), None);
    }
    Ok(())
}
