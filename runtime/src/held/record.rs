//! Held tokens as they are stored: named values of the node's store.
//!
//! ```text
//! HeldToken/<token>              the token
//! HeldTokenLedger/<token>        what attempts to load it left behind; absent before the first one
//! HeldTokenReader/<token>/<hash> an identity has loaded it; the hash is salted, so the name does not tell who
//! HeldTokenUses/<token>          its uses, if this node allocates them
//! HeldTokenOf/<file>/<token>     the token shares the file
//! HeldTokenNoDirect/<file>/<token>  nobody gets the token, and with it the file, over a direct connection
//! HeldTokenNoRelay/<file>/<token>   nor over one through a relay
//! HeldTokenExpiry/<time>/<token> in the order of the expiries, of those that are given by all paths
//! HeldTokenLimitedExpiry/<time>/<token> the same of the others
//! HeldTokenCount                 how many there are
//! DirectFile/<file>              a file that is shared without a backbone
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use transport::access::Uses;
use transport::crypto::hash::sha256;
use transport::crypto::{PasswordHash, random};
use transport::peer::Via;
use transport::wire::{Address, ByteText, FileId, Timestamp, TokenId};

use super::{MAX_HELD_TOKENS, MAX_READERS, RETENTION, SWEPT_AT_ONCE};
use crate::content_store::DIRECT_FILE;
use crate::dto::{TokenTransport, TokenTransports};
use crate::file::FileRecord;
use crate::storage;
use crate::store::{Batch, StoreError, View, collection};
use crate::token::{Revocation, TokenSettings};

type Result<T, E = StoreError> = std::result::Result<T, E>;

const TOKEN: &str = "HeldToken/";
const LEDGER: &str = "HeldTokenLedger/";
const READER: &str = "HeldTokenReader/";
const USES: &str = "HeldTokenUses/";
const OF: &str = "HeldTokenOf/";
const NO_DIRECT: &str = "HeldTokenNoDirect/";
const NO_RELAY: &str = "HeldTokenNoRelay/";
const EXPIRY: &str = "HeldTokenExpiry/";
const LIMITED_EXPIRY: &str = "HeldTokenLimitedExpiry/";
const COUNT: &str = "HeldTokenCount";

/// A token that this device has made. Its creator is this identity, with this device.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HeldToken {
    /// The file that it shares.
    #[serde(rename = "f")]
    pub(crate) file: FileId,
    #[serde(rename = "a")]
    pub(crate) created_at: Timestamp,
    #[serde(rename = "e")]
    pub(crate) expires_at: Timestamp,
    #[serde(rename = "i")]
    pub(crate) for_identity: Option<Address>,
    /// The sealed content.
    #[serde(rename = "c")]
    pub(crate) content: ByteText,
    #[serde(rename = "p", with = "password")]
    pub(crate) password: Option<PasswordHash>,
    /// Whether no backbone knows token and file.
    #[serde(rename = "d")]
    pub(crate) is_direct: bool,
    /// Since when others may load it. Held tokens of earlier versions have none, and their uses are not counted.
    #[serde(rename = "b", default)]
    pub(crate) not_before: Option<Timestamp>,
    /// Whether its uses are counted, by the [`Allocator`].
    #[serde(rename = "n", default)]
    pub(crate) is_counted: bool,
    /// By which paths others may load it. Held tokens of earlier versions by all.
    #[serde(rename = "t", default)]
    pub(crate) transports: TokenTransports,
    /// For the names of its readers.
    #[serde(rename = "s")]
    salt: [u8; 16],
}

/// Who allocates the uses of a token. Each token has one, from its creation on: two counters cannot agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allocator {
    /// The backbone that has the token, too.
    Backbone,
    /// This node, because nothing else has the token.
    Node,
}

/// How a token is written, by the version of the form.
#[derive(Serialize, Deserialize)]
enum Stored<T> {
    #[serde(rename = "1")]
    V1(T),
}

/// What attempts to load a token left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct LedgerRecord {
    /// Wrong passwords.
    #[serde(rename = "w")]
    pub(super) failed_attempts: u32,
    /// Identities that have loaded it.
    #[serde(rename = "r")]
    pub(super) readers: u32,
}

impl HeldToken {
    pub(crate) fn new(file: FileId, (created_at, expires_at): (Timestamp, Timestamp), content: ByteText) -> Self {
        Self {
            file,
            created_at,
            expires_at,
            for_identity: None,
            content,
            password: None,
            is_direct: false,
            not_before: None,
            is_counted: false,
            transports: TokenTransports::ALL,
            salt: random::bytes(),
        }
    }

    /// For one identity only, or for those who know a password.
    pub(crate) fn limited(self, for_identity: Option<Address>, password: Option<PasswordHash>) -> Self {
        Self { for_identity, password, ..self }
    }

    /// From a time on only, and as often as whoever allocates its uses says.
    pub(crate) fn used_within(self, not_before: Option<Timestamp>, is_counted: bool) -> Self {
        Self { not_before, is_counted, ..self }
    }

    /// By these paths only.
    pub(crate) fn given_by(self, transports: TokenTransports) -> Self {
        Self { transports, ..self }
    }

    /// Whether its terms permit the path by which it is asked for. One that is not known is permitted only if both are.
    pub(super) fn is_given_by(&self, via: Option<Via>) -> bool {
        match via {
            Some(via) => self.transports.contain(via.into()),
            None => !self.transports.limit_peers(),
        }
    }

    /// The names that say by which paths it is given to nobody.
    fn withheld(&self, id: &TokenId) -> impl Iterator<Item = String> {
        let (file, transports) = (self.file.clone(), self.transports);
        let paths = [(TokenTransport::Direct, NO_DIRECT), (TokenTransport::Relay, NO_RELAY)].into_iter();
        let withheld = paths.filter(move |(path, _)| !transports.contain(*path));
        withheld.map(move |(_, prefix)| format!("{prefix}{file}/{id}"))
    }

    /// Its name in the order of the expiries.
    fn expiry(&self, id: &TokenId) -> String {
        expiry(if self.transports.limit_peers() { LIMITED_EXPIRY } else { EXPIRY }, self.expires_at, id)
    }

    /// Not known to any backbone, as its file.
    pub(super) fn shared_directly(self) -> Self {
        Self { is_direct: true, ..self }
    }

    /// Who allocates its uses; none if they are not counted.
    pub(super) fn allocator(&self) -> Option<Allocator> {
        self.is_counted.then_some(if self.is_direct { Allocator::Node } else { Allocator::Backbone })
    }

    /// Whether there is a token with this id, which is not read.
    pub(super) fn is_held(view: &View<'_>, id: &TokenId) -> Result<bool> {
        let name = format!("{TOKEN}{id}");
        Ok(!view.value_names(&name, &name, 1)?.is_empty())
    }

    /// The token with this id.
    pub(crate) fn stored(view: &View<'_>, id: &TokenId) -> Result<Option<Self>> {
        let stored: Option<Stored<Self>> = view.value(&format!("{TOKEN}{id}"))?;
        Ok(stored.map(|Stored::V1(token)| token))
    }

    pub(super) fn ledger(view: &View<'_>, id: &TokenId) -> Result<LedgerRecord> {
        let stored: Option<Stored<LedgerRecord>> = view.value(&format!("{LEDGER}{id}"))?;
        Ok(stored.map(|Stored::V1(ledger)| ledger).unwrap_or_default())
    }

    pub(super) fn put_ledger(batch: &mut Batch, id: &TokenId, ledger: LedgerRecord) -> Result<()> {
        batch.put_value(&format!("{LEDGER}{id}"), &Stored::V1(ledger)).map(drop)
    }

    /// The uses that this node allocates. Without a record there are none: a use that cannot be counted is not given.
    pub(super) fn uses(view: &View<'_>, id: &TokenId) -> Result<Uses> {
        let stored: Option<Stored<Uses>> = view.value(&format!("{USES}{id}"))?;
        stored.map(|Stored::V1(uses)| uses).ok_or(StoreError::Damaged)
    }

    pub(super) fn put_uses(batch: &mut Batch, id: &TokenId, uses: &Uses) -> Result<()> {
        batch.put_value(&format!("{USES}{id}"), &Stored::V1(uses)).map(drop)
    }

    pub(super) fn is_read_by(&self, view: &View<'_>, id: &TokenId, reader: &Address) -> Result<bool> {
        Ok(view.value::<()>(&self.reader(id, reader))?.is_some())
    }

    pub(super) fn put_reader(&self, batch: &mut Batch, id: &TokenId, reader: &Address) -> Result<()> {
        batch.put_value(&self.reader(id, reader), &()).map(drop)
    }

    fn reader(&self, id: &TokenId, reader: &Address) -> String {
        let hash = sha256(&[&self.salt, reader.as_str().as_bytes()].concat());
        let hash = u128::from_be_bytes(std::array::from_fn(|at| hash[at]));
        format!("{READER}{id}/{hash:032x}")
    }
}

/// Whether a file that is shared without a backbone is served by its token only, because the terms of the token would mean nothing
/// otherwise.
pub(super) fn is_by_token_only(view: &View<'_>, file: &FileId) -> Result<bool> {
    let prefix = format!("{OF}{file}/");
    let Some(name) = view.value_names(&prefix, &prefix, 1)?.pop() else { return Ok(false) };
    let id = name[prefix.len()..].parse().map_err(|_| StoreError::Damaged)?;
    let token = HeldToken::stored(view, &id)?;
    Ok(token.is_some_and(|token| token.is_counted || token.not_before.is_some()))
}

/// Whether a path is not permitted for a token of a file, or, without one, for any token of the file: its terms would mean nothing if
/// the file were had by its own id. For a path that is not known, whether one of the two is not permitted.
pub(super) fn is_withheld(view: &View<'_>, file: &FileId, token: Option<&TokenId>, via: Option<Via>) -> Result<bool> {
    let prefixes: &[&str] = match via {
        Some(Via::Direct) => &[NO_DIRECT],
        Some(Via::Relay) => &[NO_RELAY],
        None => &[NO_DIRECT, NO_RELAY],
    };
    for prefix in prefixes {
        let name = format!("{prefix}{file}/");
        let is_withheld = match token {
            Some(token) => view.value::<()>(&format!("{name}{token}"))?.is_some(),
            None => !view.value_names(&name, &name, 1)?.is_empty(),
        };
        if is_withheld {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A file that is shared without a backbone.
pub(crate) fn direct_file(view: &View<'_>, id: &FileId) -> Result<Option<FileRecord>> {
    let stored: Option<Stored<FileRecord>> = view.value(&format!("{DIRECT_FILE}{id}"))?;
    Ok(stored.map(|Stored::V1(record)| record))
}

/// Changes of what is held, as a part of a batch. `view` is the state that the batch changes.
pub(crate) struct Edit<'a, 'b> {
    view: &'a View<'b>,
    batch: &'a mut Batch,
    count: u64,
    removed: BTreeSet<TokenId>,
    is_changed: bool,
    /// Entries in buckets, which go with their files.
    entries: storage::records::Edit,
}

impl<'a, 'b> Edit<'a, 'b> {
    pub(crate) fn of(view: &'a View<'b>, batch: &'a mut Batch) -> Result<Self> {
        let count = view.value(COUNT)?.unwrap_or_default();
        let entries = storage::records::Edit::default();
        Ok(Self { view, batch, count, removed: BTreeSet::new(), is_changed: false, entries })
    }

    /// Holds a token, and makes room for it.
    pub(crate) fn add(&mut self, id: &TokenId, token: &HeldToken, now: Timestamp) -> Result<()> {
        self.sweep(now, SWEPT_AT_ONCE)?;
        self.add_within(id, token, MAX_HELD_TOKENS)
    }

    fn add_within(&mut self, id: &TokenId, token: &HeldToken, most: u64) -> Result<()> {
        // The backbone gives out ids; a second token under one replaces the first, and its ledger.
        self.remove(id)?;
        self.removed.remove(id);
        while self.count >= most {
            let first = match self.first_to_expire(EXPIRY, 1)?.pop() {
                Some(first) => Some(first),
                None => self.first_to_expire(LIMITED_EXPIRY, 1)?.pop(),
            };
            let Some((_, first)) = first else { break };
            self.remove(&first)?;
        }
        self.batch.put_value(&format!("{TOKEN}{id}"), &Stored::V1(token))?;
        self.batch.put_value(&format!("{OF}{}/{id}", token.file), &())?;
        self.batch.put_value(&token.expiry(id), &())?;
        for name in token.withheld(id) {
            self.batch.put_value(&name, &())?;
        }
        (self.count, self.is_changed) = (self.count + 1, true);
        Ok(())
    }

    /// Has this node allocate the uses of a token that is added.
    pub(crate) fn allocate_uses(&mut self, id: &TokenId, uses: &Uses) -> Result<()> {
        HeldToken::put_uses(self.batch, id, uses)
    }

    /// Shares a file without a backbone.
    pub(crate) fn add_direct_file(&mut self, id: &FileId, record: &FileRecord) -> Result<()> {
        self.batch.put_value(&format!("{DIRECT_FILE}{id}"), &Stored::V1(record)).map(drop)
    }

    /// Removes a token with its ledger; has no effect if it is not held.
    pub(crate) fn remove(&mut self, id: &TokenId) -> Result<()> {
        let Some(token) = HeldToken::stored(self.view, id)?.filter(|_| !self.removed.contains(id)) else {
            return Ok(());
        };
        for name in [
            format!("{TOKEN}{id}"),
            format!("{LEDGER}{id}"),
            format!("{USES}{id}"),
            format!("{OF}{}/{id}", token.file),
            token.expiry(id),
        ] {
            self.batch.remove_value(&name);
        }
        for name in token.withheld(id) {
            self.batch.remove_value(&name);
        }
        let readers = format!("{READER}{id}/");
        // In one commit with the token: one that is made under the same id must have no readers.
        for reader in self.view.value_names(&readers, &readers, MAX_READERS as usize)? {
            self.batch.remove_value(&reader);
        }
        if token.is_direct {
            self.batch.remove_value(&format!("{DIRECT_FILE}{}", token.file));
        }
        // Its ledger is gone. Settings that cannot be read lock nobody out.
        match TokenSettings::lock_for_peers(self.batch, self.view, id, false) {
            Err(error) if !error.is_damaged() => return Err(error),
            _ => {}
        }
        self.removed.insert(id.clone());
        (self.count, self.is_changed) = (self.count.saturating_sub(1), true);
        Ok(())
    }

    /// Gives a token another expiry; has no effect if it is not held. Beside no other change of the same token.
    pub(crate) fn expire_at(&mut self, id: &TokenId, expires_at: Timestamp) -> Result<()> {
        let Some(token) = HeldToken::stored(self.view, id)? else { return Ok(()) };
        self.batch.remove_value(&token.expiry(id));
        let token = HeldToken { expires_at, ..token };
        self.batch.put_value(&token.expiry(id), &())?;
        self.batch.put_value(&format!("{TOKEN}{id}"), &Stored::V1(token)).map(drop)
    }

    /// Gives a token another beginning, and says whether its uses are counted; has no effect if it is not held, or is a direct share, whose
    /// terms are those of its creation. Beside no other change of the same token.
    pub(crate) fn use_within(&mut self, id: &TokenId, not_before: Option<Timestamp>, is_counted: bool) -> Result<()> {
        let Some(token) = HeldToken::stored(self.view, id)?.filter(|token| !token.is_direct) else { return Ok(()) };
        if (token.not_before, token.is_counted) != (not_before, is_counted) {
            let token = token.used_within(not_before, is_counted);
            self.batch.put_value(&format!("{TOKEN}{id}"), &Stored::V1(token))?;
        }
        Ok(())
    }

    /// Gives a token by these paths only; has no effect as for [`use_within`](Self::use_within). Beside no other change of the same token.
    pub(crate) fn give_by(&mut self, id: &TokenId, transports: TokenTransports) -> Result<()> {
        let Some(token) = HeldToken::stored(self.view, id)?.filter(|token| !token.is_direct) else { return Ok(()) };
        for name in token.withheld(id) {
            self.batch.remove_value(&name);
        }
        self.batch.remove_value(&token.expiry(id));
        let token = token.given_by(transports);
        self.batch.put_value(&token.expiry(id), &())?;
        for name in token.withheld(id) {
            self.batch.put_value(&name, &())?;
        }
        self.batch.put_value(&format!("{TOKEN}{id}"), &Stored::V1(token)).map(drop)
    }

    /// Says whether the uses of a token are counted from now on; has no effect as for [`use_within`](Self::use_within). Returns whether they
    /// were before.
    pub(crate) fn count_uses(&mut self, id: &TokenId, is_counted: bool) -> Result<bool> {
        let Some(token) = HeldToken::stored(self.view, id)? else { return Ok(is_counted) };
        self.use_within(id, token.not_before, is_counted)?;
        Ok(token.is_counted)
    }

    /// Removes what the removal of an object takes with it, by whichever device.
    pub(crate) fn remove_with(&mut self, of: &str, id: &str) -> Result<()> {
        match (of, id.parse(), id.parse()) {
            (collection::TOKENS, Ok(id), _) => {
                self.remove(&id)?;
                Revocation::remove(self.batch, &id);
                TokenSettings::remove(self.batch, &id);
                Ok(())
            }
            (collection::FILES, _, Ok(id)) => {
                self.remove_of(&id)?;
                self.entries.remove_entry_of(self.view, self.batch, &id)
            }
            _ => Ok(()),
        }
    }

    /// Removes the tokens of a file.
    pub(crate) fn remove_of(&mut self, file: &FileId) -> Result<()> {
        let prefix = format!("{OF}{file}/");
        for name in self.view.value_names(&prefix, &prefix, MAX_HELD_TOKENS as usize)? {
            let id = name[prefix.len()..].parse().map_err(|_| StoreError::Damaged)?;
            self.remove(&id)?;
        }
        Ok(())
    }

    /// Removes tokens whose time is over, at most so many. Returns how many.
    pub(super) fn sweep(&mut self, now: Timestamp, most: usize) -> Result<usize> {
        let before = self.removed.len();
        for order in [EXPIRY, LIMITED_EXPIRY] {
            let left = most - (self.removed.len() - before);
            for (expires_at, id) in self.first_to_expire(order, left)? {
                if expires_at.saturating_add(RETENTION) <= now {
                    self.remove_if_whole(&id)?;
                }
            }
        }
        Ok(self.removed.len() - before)
    }

    /// Leaves a token that cannot be read, so that it keeps neither others from going nor the node from starting.
    fn remove_if_whole(&mut self, id: &TokenId) -> Result<()> {
        match self.remove(id) {
            Err(error) if error.is_damaged() => {
                tracing::warn!(%error, token = crate::logging::short(id), "a token that is shared with peers cannot be read, and stays");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Ends the changes.
    pub(crate) fn finish(self) -> Result<()> {
        if self.is_changed {
            self.batch.put_value(COUNT, &self.count)?;
        }
        self.entries.finish(self.view, self.batch)
    }

    /// Those tokens of an order that expire first and are not removed.
    fn first_to_expire(&self, order: &str, most: usize) -> Result<Vec<(Timestamp, TokenId)>> {
        let names = self.view.value_names(order, order, most + self.removed.len())?;
        let read = names.iter().map(|name| expiry_of(order, name).ok_or(StoreError::Damaged));
        let held = read.filter(|read| read.as_ref().is_ok_and(|(_, id)| !self.removed.contains(id)) || read.is_err());
        held.take(most).collect()
    }
}

/// Names in the order of the times.
fn expiry(order: &str, expires_at: Timestamp, id: &TokenId) -> String {
    let ordered = expires_at.as_unix_milliseconds().cast_unsigned() ^ (1 << 63);
    format!("{order}{ordered:016x}/{id}")
}

fn expiry_of(order: &str, name: &str) -> Option<(Timestamp, TokenId)> {
    let (time, id) = name.strip_prefix(order)?.split_once('/')?;
    let ordered = u64::from_str_radix(time, 16).ok()? ^ (1 << 63);
    Some((Timestamp::from_unix_milliseconds(ordered.cast_signed()), id.parse().ok()?))
}

/// The hash of a password as bytes.
mod password {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use transport::crypto::PasswordHash;
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(hash: &Option<PasswordHash>, serializer: S) -> Result<S::Ok, S::Error> {
        hash.as_ref().map(PasswordHash::expose).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PasswordHash>, D::Error> {
        let hash = Option::<Zeroizing<[u8; 32]>>::deserialize(deserializer)?;
        Ok(hash.map(|hash| PasswordHash::from_bytes(*hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::edit;
    use super::*;
    use crate::store::{Store, StoreKeySource};

    fn store() -> (Store, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        (Store::open_in(directory.path(), &key, true).unwrap(), directory)
    }

    fn id(number: u64) -> TokenId {
        format!("TOK{number:017}").parse().unwrap()
    }

    fn file(number: u64) -> FileId {
        format!("FIL{number:017}").parse().unwrap()
    }

    fn token(expires_at: i64) -> HeldToken {
        let at = Timestamp::from_unix_milliseconds;
        HeldToken::new(file(1), (at(0), at(expires_at)), ByteText(vec![1, 2, 3]))
    }

    fn held(store: &Store) -> Vec<TokenId> {
        let names = store.view().value_names(TOKEN, TOKEN, usize::MAX).unwrap();
        names.iter().map(|name| name[TOKEN.len()..].parse().unwrap()).collect()
    }

    /// Names of all values.
    fn names(store: &Store) -> Vec<String> {
        store.view().value_names("Held", "Held", usize::MAX).unwrap()
    }

    #[tokio::test]
    async fn at_the_bound_the_token_that_expires_first_makes_room() {
        let (store, _directory) = store();
        for (number, expires_at) in [(1, 300), (2, 100), (3, 200)] {
            edit(&store, |edit| edit.add_within(&id(number), &token(expires_at), 3)).await;
        }
        assert_eq!(held(&store), [id(1), id(2), id(3)]);
        // Before 1970 comes first, too.
        edit(&store, |edit| edit.add_within(&id(4), &token(-100), 3)).await;
        assert_eq!(held(&store), [id(1), id(3), id(4)]);
        edit(&store, |edit| edit.add_within(&id(5), &token(50), 3)).await;
        assert_eq!(held(&store), [id(1), id(3), id(5)]);
        // One that is replaced takes no second place.
        edit(&store, |edit| edit.add_within(&id(5), &token(60), 3)).await;
        assert_eq!(held(&store), [id(1), id(3), id(5)]);
        assert_eq!(store.value::<u64>(COUNT).unwrap(), Some(3));
    }

    #[tokio::test]
    async fn what_cannot_be_read_keeps_no_other_token_from_going() {
        use crate::store::token_values::SETTINGS;
        let (store, _directory) = store();
        for number in 1..=3 {
            edit(&store, |edit| edit.add_within(&id(number), &token(100), 3)).await;
        }
        let mut batch = Batch::new();
        batch.put_value(&format!("{TOKEN}{}", id(1)), &"no token").unwrap();
        batch.put_value(&format!("{SETTINGS}{}", id(2)), &"no settings").unwrap();
        store.commit(batch).await.unwrap();
        let late = Timestamp::from_unix_milliseconds(100).saturating_add(RETENTION);
        edit(&store, |edit| edit.sweep(late, 9).map(|swept| assert_eq!(swept, 2))).await;
        assert_eq!(held(&store), [id(1)]);
    }

    #[tokio::test]
    async fn at_the_bound_tokens_that_permit_all_paths_go_first() {
        let (store, _directory) = store();
        let limited = |expires_at| token(expires_at).given_by("direct,store".parse().unwrap());
        edit(&store, |edit| edit.add_within(&id(1), &limited(100), 3)).await;
        edit(&store, |edit| edit.add_within(&id(2), &token(200), 3)).await;
        edit(&store, |edit| edit.add_within(&id(3), &token(300), 3)).await;
        edit(&store, |edit| edit.give_by(&id(2), "store".parse().unwrap())).await;
        edit(&store, |edit| edit.add_within(&id(4), &limited(400), 3)).await;
        assert_eq!(held(&store), [id(1), id(2), id(4)]);
        edit(&store, |edit| edit.expire_at(&id(1), Timestamp::from_unix_milliseconds(500))).await;
        edit(&store, |edit| edit.add_within(&id(5), &limited(50), 3)).await;
        assert_eq!(held(&store), [id(1), id(4), id(5)], "of several with paths the one that expires first goes");
        let late = Timestamp::from_unix_milliseconds(500).saturating_add(RETENTION);
        edit(&store, |edit| edit.sweep(late, 2).map(|swept| assert_eq!(swept, 2))).await;
        edit(&store, |edit| edit.sweep(late, 2).map(|swept| assert_eq!(swept, 1))).await;
        assert_eq!(names(&store), [COUNT]);
    }

    #[tokio::test]
    async fn what_is_removed_leaves_nothing() {
        let (store, _directory) = store();
        let reader: Address = format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap();
        let one = token(100);
        edit(&store, |edit| edit.add_within(&id(1), &one, 9)).await;
        let stored_only = HeldToken { file: file(2), ..token(100) }.given_by("store".parse().unwrap());
        edit(&store, |edit| edit.add_within(&id(2), &stored_only, 9)).await;
        let mut batch = Batch::new();
        HeldToken::put_ledger(&mut batch, &id(1), LedgerRecord { failed_attempts: 2, readers: 1 }).unwrap();
        one.put_reader(&mut batch, &id(1), &reader).unwrap();
        store.commit(batch).await.unwrap();
        assert!(one.is_read_by(&store.view(), &id(1), &reader).unwrap());
        edit(&store, |edit| edit.remove_of(&file(1))).await;
        assert!(!one.is_read_by(&store.view(), &id(1), &reader).unwrap());
        assert_eq!(HeldToken::ledger(&store.view(), &id(1)).unwrap(), LedgerRecord::default());
        edit(&store, |edit| edit.remove(&id(2)).and_then(|()| edit.remove(&id(2)))).await;
        assert_eq!(names(&store), [COUNT]);
        assert_eq!(store.value::<u64>(COUNT).unwrap(), Some(0));
    }

    #[tokio::test]
    async fn what_a_token_withholds_is_known_by_its_file_and_changes_with_its_paths() {
        let (store, _directory) = store();
        let by = |names: &str| token(100).given_by(names.parse().unwrap());
        edit(&store, |edit| edit.add_within(&id(1), &by("direct,store"), 9)).await;
        edit(&store, |edit| edit.add_within(&id(2), &by("all"), 9)).await;
        let withheld = |token: Option<u64>| {
            let (view, token) = (store.view(), token.map(id));
            [Some(Via::Direct), Some(Via::Relay), None]
                .map(|via| is_withheld(&view, &file(1), token.as_ref(), via).unwrap())
        };
        assert_eq!((withheld(Some(1)), withheld(Some(2))), ([false, true, true], [false; 3]));
        assert_eq!(withheld(None), [false, true, true], "by its own id nobody gets the file where a token forbids it");
        edit(&store, |edit| edit.give_by(&id(1), "relay,store".parse().unwrap())).await;
        assert_eq!(withheld(Some(1)), [true, false, true]);
        let read = HeldToken::stored(&store.view(), &id(1)).unwrap().unwrap();
        assert!(!read.is_given_by(Some(Via::Direct)) && read.is_given_by(Some(Via::Relay)) && !read.is_given_by(None));
        edit(&store, |edit| edit.give_by(&id(1), TokenTransports::ALL)).await;
        assert_eq!((withheld(Some(1)), withheld(None)), ([false; 3], [false; 3]));
    }

    #[tokio::test]
    async fn a_token_is_held_for_its_readers_for_a_while_after_its_expiry() {
        let (store, _directory) = store();
        let expiry = Timestamp::from_unix_milliseconds(1000);
        edit(&store, |edit| edit.add_within(&id(1), &token(1000), 9)).await;
        for (now, left) in [
            (expiry.saturating_add(RETENTION - std::time::Duration::from_millis(1)), 1),
            (expiry.saturating_add(RETENTION), 0),
        ] {
            edit(&store, |edit| edit.sweep(now, 9).map(drop)).await;
            assert_eq!(held(&store).len(), left);
        }
    }

    #[tokio::test]
    async fn a_stored_token_is_read_as_it_was_written() {
        let (store, _directory) = store();
        let password = Some(PasswordHash::from_bytes([7; 32]));
        let written = HeldToken { password: password.clone(), is_direct: true, ..token(100) };
        edit(&store, |edit| edit.add_within(&id(1), &written, 9)).await;
        let read = HeldToken::stored(&store.view(), &id(1)).unwrap().unwrap();
        assert_eq!(
            (read.file, read.created_at, read.expires_at),
            (written.file, written.created_at, written.expires_at)
        );
        assert!(read.password == password && read.is_direct && read.salt == written.salt);
        assert_eq!(read.content, written.content);
        assert!(HeldToken::stored(&store.view(), &id(2)).unwrap().is_none());
    }
}
