//! File tokens as they are stored: named values of the node's store, in none of which a secret is.
//!
//! ```text
//! StorageTokenKey                          of which secrets are derived
//! StorageToken/<token>                     a token, by its number
//! StorageTokenId/<id>                      the number of a token
//! StorageTokenOf/<bucket>/<file>/<token>   the number of a token, by its file
//! StorageTokenUses/<token>                 uses that were counted, if some were
//! StorageTokenAccess/<token>               when it was used last, if it was
//! ```

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;
use transport::access::Uses;
use transport::wire::Timestamp;

use super::secret::{PresentedToken, TokenKey};
use super::terms::{Endpoints, Notify, Terms};
use super::{MAX_TOKENS, MAX_TOKENS_OF_FILE};
use crate::core::{TokenAccess, TokenAccesses};
use crate::dto::{FileToken, FileTokenStatus};
use crate::logging::short;
use crate::storage::bucket::{BucketRecord, BucketSettings, Compression};
use crate::storage::permission::Permissions;
use crate::storage::records::{Edit, FileEntry, bucket_at};
use crate::storage::{StorageError, StorageId, StorageResult};
use crate::store::{Batch, StandIn, StoreError, View, token_values};

type Result<T, E = StoreError> = std::result::Result<T, E>;

pub(crate) const TOKENS: &str = token_values::FILE_TOKEN;
const TOKEN_ID: &str = token_values::FILE_TOKEN_ID;
const TOKEN_OF: &str = "StorageTokenOf/";
const USES: &str = token_values::FILE_TOKEN_USES;
const ACCESS: &str = token_values::FILE_TOKEN_ACCESS;

/// A token on a file in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) id: String,
    /// Unique among all buckets, files and tokens that this node ever had, and larger than those of earlier ones.
    pub(crate) number: u64,
    /// The number of the bucket.
    pub(crate) bucket: u64,
    /// The number of the file.
    pub(crate) file: u64,
    /// Ids of both, which never change.
    pub(crate) bucket_id: String,
    pub(crate) file_id: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) terms: Terms,
    /// How often it was rotated. The secret is derived of it.
    pub(crate) generation: u64,
    pub(crate) revoked_at: Option<Timestamp>,
    /// Uses from before it had a limit that this one counts, of those that are noted behind their answers ([`TokenAccess::uncounted`]).
    #[serde(default)]
    pub(crate) carried: u64,
}

fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:016x}")
}

/// What the names of all tokens of a file begin with; their values are the numbers.
pub(crate) fn of_file(bucket: u64, file: u64) -> String {
    format!("{TOKEN_OF}{bucket:016x}/{file:016x}/")
}

/// What the names of all tokens of the files of a bucket begin with; their values are the numbers.
pub(crate) fn of_bucket(bucket: u64) -> String {
    format!("{TOKEN_OF}{bucket:016x}/")
}

/// The token with a number, also while its bucket is being deleted.
pub(crate) fn at(view: &View<'_>, number: u64) -> Result<Option<TokenRecord>> {
    view.value(&numbered(TOKENS, number))
}

/// The token with an id. One whose number cannot be read is unknown: the entry may be what is left of a token that was removed.
pub(crate) fn find(view: &View<'_>, id: &str) -> Result<Option<TokenRecord>> {
    let Some(number) = number_of(view, id)? else { return Ok(None) };
    let Some(token) = at(view, number)? else { return Ok(None) };
    Ok(bucket_at(view, token.bucket)?.map(|_| token))
}

fn number_of(view: &View<'_>, id: &str) -> Result<Option<u64>> {
    match view.value(&format!("{TOKEN_ID}{id}")) {
        Err(error) if error.is_damaged() => {
            warn!(token = short(&id), %error, "the number of a file token cannot be read; it is answered as unknown");
            Ok(None)
        }
        number => number,
    }
}

/// What a secret is worth that somebody presents.
#[derive(Default)]
pub(crate) struct Named {
    /// The token that it names.
    pub(crate) token: Option<TokenRecord>,
    /// Whether it is the secret of that.
    pub(crate) secret_fits: bool,
    /// What was counted of that, if it is the secret of one that was not revoked.
    pub(crate) uses: Uses,
}

/// The token that a secret names. The values that lead to it are asked for in any case, and in the place of each that is not there the one of
/// [`Nobodys`] is opened, which is the same for all ids. So the time that it takes tells neither whether there is such a token nor anything of other
/// tokens. What was counted is read only for the right secret of a token that was not revoked: nobody else is told what follows from it.
pub(crate) fn presented(view: &View<'_>, presented: &PresentedToken) -> Result<Named> {
    let key = TokenKey::stored(view)?;
    let (token, is_there) = led_to(view, presented.id())?;
    let secret_fits = key.fits(presented, token.generation);
    if !is_there {
        return Ok(Named::default());
    }
    let is_good = secret_fits && token.revoked_at.is_none();
    let uses = if is_good { uses_of(view, &token)? } else { Uses::default() };
    Ok(Named { token: Some(token), secret_fits, uses })
}

/// The token with an id, or the one of [`Nobodys`], and whether there is one: [`find`], but with the same work in either case.
fn led_to(view: &View<'_>, id: &str) -> Result<(TokenRecord, bool)> {
    let nobodys = &*NOBODYS;
    let (number, has_number) = or(number_of(view, id)?, &nobodys.number)?;
    let (token, has_token) = or(at(view, number)?, &nobodys.token)?;
    let (_, has_bucket) = or(bucket_at(view, token.bucket)?, &nobodys.bucket)?;
    Ok((token, has_number && has_token && has_bucket))
}

/// A value, or the one in its place, and whether it is there.
fn or<T: DeserializeOwned>(value: Option<T>, stand_in: &StandIn) -> Result<(T, bool)> {
    match value {
        Some(value) => Ok((value, true)),
        None => Ok((stand_in.open()?, false)),
    }
}

/// The values that lead to a token, of one that nobody has.
struct Nobodys {
    number: StandIn,
    token: StandIn,
    bucket: StandIn,
}

/// With ids as long as those that the node makes, and numbers that nothing has.
static NOBODYS: LazyLock<Nobodys> = LazyLock::new(|| {
    let (id, number) = ("0".repeat(20), u64::MAX);
    let token = TokenRecord {
        id: id.clone(),
        number,
        bucket: number,
        file: number,
        bucket_id: id.clone(),
        file_id: id.clone(),
        created_at: Timestamp::MIN,
        updated_at: Timestamp::MIN,
        terms: Terms {
            expire: Some(Timestamp::MIN),
            not_before: None,
            label: String::new(),
            max_downloads: NonZeroU32::new(1),
            allow: Endpoints::ALL,
            notify: Notify::None,
        },
        generation: 0,
        revoked_at: None,
        carried: 0,
    };
    let settings = BucketSettings {
        name: id.clone(),
        file_security: true,
        enabled: true,
        maximum_file_size: number,
        allowed_file_extensions: Vec::new(),
        compression: Compression::None,
        encryption: true,
        antivirus: true,
        transformations: true,
    };
    let bucket = BucketRecord {
        id: id.clone(),
        number,
        created_at: Timestamp::MIN,
        updated_at: Timestamp::MIN,
        permissions: Permissions::default(),
        settings,
    };
    let sealed = [
        StandIn::new(&format!("{TOKEN_ID}{id}"), &number),
        StandIn::new(&numbered(TOKENS, number), &token),
        StandIn::new(&numbered(token_values::BUCKET, number), &bucket),
    ];
    let [number, token, bucket] = sealed.map(|sealed| sealed.expect("these values can be encoded"));
    Nobodys { number, token, bucket }
});

/// What was counted of a token.
pub(crate) fn uses_of(view: &View<'_>, token: &TokenRecord) -> Result<Uses> {
    let mut uses: Uses = view.value(&numbered(USES, token.number))?.unwrap_or_default();
    uses.set_limit(token.terms.max_downloads);
    Ok(uses)
}

pub(crate) fn put_uses(batch: &mut Batch, token: &TokenRecord, uses: &Uses) -> Result<()> {
    batch.put_value(&numbered(USES, token.number), uses).map(drop)
}

/// Has the limit that a token gets count the uses from before it: those that were claimed are counted already.
pub(crate) fn carry(
    view: &View<'_>,
    batch: &mut Batch,
    token: &mut TokenRecord,
    accesses: &TokenAccesses,
) -> Result<()> {
    let Some(access) = access(view, token.number, accesses)? else { return Ok(()) };
    let earlier = access.uncounted.saturating_sub(token.carried);
    if earlier > 0 {
        let mut uses = uses_of(view, token)?;
        uses.add_earlier(earlier);
        put_uses(batch, token, &uses)?;
        put_access(batch, token.number, &access)?;
        token.carried = access.uncounted;
    }
    Ok(())
}

/// When a token was used last, be it on disk yet or not.
fn access(view: &View<'_>, number: u64, accesses: &TokenAccesses) -> Result<Option<TokenAccess>> {
    match accesses.pending(number) {
        Some(access) => Ok(Some(access)),
        None => access_of(view, number),
    }
}

pub(crate) fn access_of(view: &View<'_>, number: u64) -> Result<Option<TokenAccess>> {
    view.value(&numbered(ACCESS, number))
}

pub(crate) fn put_access(batch: &mut Batch, number: u64, access: &TokenAccess) -> Result<()> {
    batch.put_value(&numbered(ACCESS, number), access).map(drop)
}

pub(crate) fn put(batch: &mut Batch, token: &TokenRecord) -> Result<()> {
    batch.put_value(&numbered(TOKENS, token.number), token).map(drop)
}

/// Adds a token whose id and number are new.
pub(crate) fn add(view: &View<'_>, batch: &mut Batch, edit: &mut Edit, token: &TokenRecord) -> StorageResult<()> {
    let (of_file, of_node) = (of_file(token.bucket, token.file), edit.tokens(view)?);
    // Those of a file are counted only where the node has as many: each token of a file makes that slower.
    if of_node >= MAX_TOKENS_OF_FILE as u64
        && view.value_names(&of_file, &of_file, MAX_TOKENS_OF_FILE)?.len() >= MAX_TOKENS_OF_FILE
    {
        return Err(StorageError::LimitReached("the file has 1000 tokens, as many as it can have; delete one first"));
    }
    if of_node >= MAX_TOKENS {
        return Err(StorageError::LimitReached("there are 100000 tokens, as many as there can be; delete one first"));
    }
    edit.add_tokens(view, 1)?;
    batch.put_value(&format!("{TOKEN_ID}{}", token.id), &token.number)?;
    batch.put_value(&numbered(&of_file, token.number), &token.number)?;
    Ok(put(batch, token)?)
}

/// Removes a token and what was counted of it.
pub(crate) fn remove(view: &View<'_>, batch: &mut Batch, edit: &mut Edit, token: &TokenRecord) -> Result<()> {
    edit.remove_tokens(view, 1)?;
    batch.remove_value(&format!("{TOKEN_ID}{}", token.id));
    batch.remove_value(&numbered(&of_file(token.bucket, token.file), token.number));
    for prefix in [TOKENS, USES, ACCESS] {
        batch.remove_value(&numbered(prefix, token.number));
    }
    Ok(())
}

/// Removes all tokens of a file, also those that cannot be read: they would keep the file.
pub(crate) fn remove_of_file(view: &View<'_>, batch: &mut Batch, edit: &mut Edit, file: &FileEntry) -> Result<()> {
    let of_file = of_file(file.bucket, file.number);
    for name in view.value_names(&of_file, &of_file, usize::MAX)? {
        let Ok(number) = u64::from_str_radix(&name[of_file.len()..], 16) else { continue };
        match at(view, number) {
            Err(error) if error.is_damaged() => {
                warn!(number, %error, "a file token that cannot be read is removed with its file");
                edit.remove_unreadable_token(view, number)?;
                batch.remove_value(&name);
            }
            token => {
                if let Some(token) = token? {
                    remove(view, batch, edit, &token)?;
                }
            }
        }
    }
    Ok(())
}

/// Removes tokens whose ids are not known. The names with the ids are all looked at to find those of them, once for all. One whose value
/// cannot be read stays, and leads nowhere: [`find`].
pub(crate) fn remove_unreadable(view: &View<'_>, batch: &mut Batch, numbers: &BTreeSet<u64>) -> Result<()> {
    for name in view.value_names(TOKEN_ID, TOKEN_ID, usize::MAX)? {
        match view.value(&name) {
            Ok(Some(number)) if numbers.contains(&number) => _ = batch.remove_value(&name),
            Err(error) if !error.is_damaged() => return Err(error),
            _ => {}
        }
    }
    for (number, prefix) in numbers.iter().flat_map(|number| [TOKENS, USES, ACCESS].map(|prefix| (*number, prefix))) {
        batch.remove_value(&numbered(prefix, number));
    }
    Ok(())
}

/// A token as its owner sees it.
pub(crate) fn to_dto(
    view: &View<'_>,
    token: &TokenRecord,
    key: &TokenKey,
    accesses: &TokenAccesses,
    now: Timestamp,
) -> Result<FileToken> {
    let uses = uses_of(view, token)?;
    let access = access(view, token.number, accesses)?;
    let terms = token.terms.clone();
    Ok(FileToken {
        id: StorageId::stored(&token.id),
        sequence: token.number,
        created_at: token.created_at,
        updated_at: token.updated_at,
        bucket_id: StorageId::stored(&token.bucket_id),
        file_id: StorageId::stored(&token.file_id),
        resource_id: format!("{}:{}", token.bucket_id, token.file_id),
        secret: key.secret(&token.id, token.generation),
        status: status(token, &uses, now),
        expire: terms.expire,
        not_before: terms.not_before,
        label: terms.label,
        max_downloads: terms.max_downloads.map(Into::into),
        downloads: downloads(&uses, access, token.carried, now),
        remaining: uses.remaining(now),
        allow: terms.allow,
        notify: terms.notify,
        accessed_at: access.map(|access| access.at),
        revoked_at: token.revoked_at,
    })
}

fn downloads(uses: &Uses, access: Option<TokenAccess>, carried: u64, now: Timestamp) -> u64 {
    let uncounted = access.map_or(0, |access| access.uncounted);
    u64::from(uses.committed(now)).saturating_add(uncounted.saturating_sub(carried))
}

/// What is for ever comes first, then what a refusal says, see [`judge`](super::judge).
fn status(token: &TokenRecord, uses: &Uses, now: Timestamp) -> FileTokenStatus {
    if token.revoked_at.is_some() {
        FileTokenStatus::Revoked
    } else if token.terms.expire.is_some_and(|expire| expire < now) {
        FileTokenStatus::Expired
    } else if token.terms.not_before.is_some_and(|begin| begin > now) {
        FileTokenStatus::Scheduled
    } else if uses.remaining(now) == Some(0) {
        FileTokenStatus::Exhausted
    } else {
        FileTokenStatus::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_reason_of_a_refusal() {
        let time = Timestamp::from_unix_milliseconds;
        let terms = Terms {
            expire: Some(time(20)),
            not_before: Some(time(10)),
            label: String::new(),
            max_downloads: 1.try_into().ok(),
            allow: Endpoints::parse(&["view"]).unwrap(),
            notify: Notify::None,
        };
        let mut token = TokenRecord {
            id: "t".to_owned(),
            number: 1,
            bucket: 2,
            file: 3,
            bucket_id: "b".to_owned(),
            file_id: "f".to_owned(),
            created_at: time(1),
            updated_at: time(1),
            terms,
            generation: 0,
            revoked_at: None,
            carried: 0,
        };
        let mut uses = Uses::default();
        uses.set_limit(token.terms.max_downloads);
        assert_eq!(status(&token, &uses, time(10)), FileTokenStatus::Active);
        uses.take(time(10)).unwrap();
        assert_eq!(status(&token, &uses, time(9)), FileTokenStatus::Scheduled);
        assert_eq!(status(&token, &uses, time(20)), FileTokenStatus::Exhausted);
        assert_eq!(status(&token, &uses, time(21)), FileTokenStatus::Expired);
        token.revoked_at = Some(time(1));
        assert_eq!(status(&token, &uses, time(21)), FileTokenStatus::Revoked);
    }
}
