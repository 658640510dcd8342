//! The rows of the list of tokens, read from the store.

use std::collections::BTreeMap;

use serde::Deserialize;
use tracing::warn;
use transport::wire::{Address, FileId, Timestamp, TokenId};

use crate::Result;
use crate::core::{Core, TokenAccess};
use crate::dto::{JsonText, MaxDownloads};
use crate::listed::{BucketFile, ReadRows, Row, RowId, Scope};
use crate::logging::short;
use crate::storage::token::TokenRecord as FileTokenRecord;
use crate::storage::{self, records};
use crate::store::{Name, Record, StoreError, View, collection, token_values};
use crate::token::{Revocation, TokenRecord, TokenSettings};

/// The tokens in a store.
pub(super) struct Stored<'c> {
    pub(super) core: &'c Core,
}

impl ReadRows for Stored<'_> {
    fn all(&self, of: Scope, visit: &mut dyn FnMut(Row) -> bool) -> Result<()> {
        let (store, view, now) = (&self.core.store, self.core.store.view(), self.core.clock.now());
        match of {
            Scope::All => {}
            Scope::BucketFiles => return self.file_tokens(&view, storage::token::TOKENS, visit),
            Scope::BucketFile(bucket, file) => {
                return self.file_tokens(&view, &storage::token::of_file(bucket, file), visit);
            }
        }
        let mut walk = store.walk(collection::TOKENS)?;
        while walk.has_more() {
            for record in store.page(&mut walk, &[], |_| true)? {
                if let Some(row) = token(&view, &record, now)?
                    && !visit(row)
                {
                    return Ok(());
                }
            }
        }
        self.file_tokens(&view, storage::token::TOKENS, visit)
    }

    fn one(&self, id: &RowId) -> Result<Option<Row>> {
        let view = self.core.store.view();
        match id {
            RowId::E2e(id) => match readable(id, view.record(collection::TOKENS, id))? {
                Some(record) => token(&view, &record, self.core.clock.now()),
                None => Ok(None),
            },
            RowId::Node(id) => match readable(id, storage::token::find(&view, id))? {
                Some(token) => readable(id, self.file_token(&view, &token)),
                None => Ok(None),
            },
        }
    }

    fn touched(&self, name: &Name) -> Result<Vec<RowId>> {
        let view = self.core.store.view();
        match name {
            Name::Object(_, id) | Name::Value(token_values::REVOCATION | token_values::SETTINGS, id) => {
                Ok(vec![RowId::E2e(id.as_str().into())])
            }
            // Also tells of those that are removed.
            Name::Value(token_values::FILE_TOKEN_ID, id) => Ok(vec![RowId::Node(id.as_str().into())]),
            Name::Value(token_values::BUCKET, bucket) => match number(bucket) {
                // Files and tokens of a deleted one go later.
                Some(bucket) if records::bucket_at(&view, bucket)?.is_none() => {
                    ids_of(&view, &storage::token::of_bucket(bucket))
                }
                _ => Ok(Vec::new()),
            },
            Name::Value(token_values::BUCKET_FILE, numbers) => {
                let numbers = numbers.split_once('/').and_then(|(bucket, file)| Some((number(bucket)?, number(file)?)));
                numbers.map_or(Ok(Vec::new()), |(bucket, file)| ids_of(&view, &storage::token::of_file(bucket, file)))
            }
            Name::Value(_, token) => {
                let id = number(token).map(|token| Self::id_of(&view, token)).transpose()?.flatten();
                Ok(id.into_iter().collect())
            }
        }
    }

    fn pending(&self) -> BTreeMap<u64, TokenAccess> {
        self.core.token_accesses.all()
    }
}

impl Stored<'_> {
    /// The id of a token on a file in a bucket.
    fn id_of(view: &View<'_>, number: u64) -> Result<Option<RowId>> {
        Ok(file_token_at(view, number)?.map(|token| RowId::Node(token.id.into())))
    }

    /// The row of a token on a file in a bucket; none if the bucket is deleted.
    fn file_token(&self, view: &View<'_>, token: &FileTokenRecord) -> Result<Option<Row>, StoreError> {
        if records::bucket_at(view, token.bucket)?.is_none() {
            return Ok(None);
        }
        let now = self.core.clock.now();
        let uses = storage::token::uses_of(view, token)?;
        let access = match self.core.token_accesses.pending(token.number) {
            Some(access) => Some(access),
            None => storage::token::access_of(view, token.number)?,
        };
        let file = records::file_at(view, token.bucket, token.file)?;
        Ok(Some(Row {
            id: RowId::Node(token.id.as_str().into()),
            is_own: true,
            file: file.and_then(|file| file.content).map(|content| content.file.as_str().into()),
            bucket_file: Some(BucketFile {
                number: token.number,
                bucket: token.bucket,
                file: token.file,
                notify: token.terms.notify,
            }),
            resource: Some(format!("{}:{}", token.bucket_id, token.file_id)),
            label: Some(token.terms.label.as_str()).filter(|label| !label.is_empty()).map(Into::into),
            created_at: token.created_at,
            updated_at: token.updated_at,
            expires_at: token.terms.expire,
            not_before: token.terms.not_before,
            max_downloads: token.terms.max_downloads.map(Into::into),
            is_strict: false,
            committed: uses.committed(now).into(),
            leased: uses.leased(now),
            uncounted: access.map_or(0, |access| access.uncounted),
            carried: token.carried,
            changes_at: uses.next_end(now),
            accessed_at: access.map(|access| access.at),
            for_identity: None,
            has_password: false,
            is_locked: false,
            revoked_at: token.revoked_at,
        }))
    }

    /// Shows the tokens on files in buckets whose numbers are at the end of the names that begin so, as long as `visit` returns true.
    fn file_tokens(&self, view: &View<'_>, beginning: &str, visit: &mut dyn FnMut(Row) -> bool) -> Result<()> {
        let mut from = beginning.to_owned();
        loop {
            let names = view.value_names(beginning, &from, PAGE)?;
            for name in &names {
                // None if it was removed meanwhile.
                let token = last_number(name).map(|number| file_token_at(view, number));
                let Some(token) = token.transpose()?.flatten() else { continue };
                if let Some(row) = readable(&token.id, self.file_token(view, &token))?
                    && !visit(row)
                {
                    return Ok(());
                }
            }
            match names.last().filter(|_| names.len() == PAGE) {
                Some(last) => from = format!("{last}\0"),
                None => return Ok(()),
            }
        }
    }
}

/// Tokens that are read at a time.
const PAGE: usize = 256;

/// The tokens whose numbers are at the end of the names that begin so.
fn ids_of(view: &View<'_>, beginning: &str) -> Result<Vec<RowId>> {
    let names = view.value_names(beginning, beginning, usize::MAX)?;
    let ids = names.iter().filter_map(|name| Stored::id_of(view, last_number(name)?).transpose());
    ids.collect()
}

/// What was read; nothing, with a warning, if it is damaged. One damaged value does not hide all other tokens.
pub(super) fn readable<T>(id: &str, read: Result<Option<T>, StoreError>) -> Result<Option<T>> {
    match read {
        Err(error) if error.is_damaged() => {
            warn!(id = short(&id), %error, "left out of a list");
            Ok(None)
        }
        read => Ok(read?),
    }
}

/// The token on a file in a bucket with a number, if it can be read.
fn file_token_at(view: &View<'_>, number: u64) -> Result<Option<FileTokenRecord>> {
    match storage::token::at(view, number) {
        Err(error) if error.is_damaged() => {
            warn!(number, %error, "left out of a list");
            Ok(None)
        }
        read => Ok(read?),
    }
}

/// A number as it is in names.
fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The number at the end of a name.
fn last_number(name: &str) -> Option<u64> {
    number(name.rsplit('/').next()?)
}

/// What a list tells of a stored token. Keys are not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(rename = "@type")]
    kind: Option<String>,
    is_own: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
    for_identity: Option<Address>,
    content: JsonText,
    password_protection: Option<serde::de::IgnoredAny>,
}

/// The file of a content.
#[derive(Deserialize)]
struct Content {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "fileId")]
    file_id: FileId,
}

/// The row of a stored token. One damaged record does not hide all others: it is left out, with a warning, as are other objects in the
/// collection, without one.
fn token(view: &View<'_>, record: &Record, now: Timestamp) -> Result<Option<Row>> {
    let (id, members) = match record.read::<TokenId, Members>() {
        Ok(read) => read,
        Err(error) => {
            let id = record.id().unwrap_or_default();
            if TokenRecord::is_one(record) {
                warn!(id = short(&id), %error, "left out of a list");
            }
            return Ok(None);
        }
    };
    if members.kind.is_some_and(|kind| kind != TokenRecord::TYPE) {
        return Ok(None);
    }
    let (revocation, settings) = match members.is_own {
        true => {
            // Whether it is revoked has to be known; it can do without settings.
            let revocation = readable(id.as_str(), Revocation::stored(view, &id).map(Some))?;
            let Some(revocation) = revocation else { return Ok(None) };
            let settings = readable(id.as_str(), TokenSettings::stored(view, &id).map(Some))?;
            (revocation, settings.unwrap_or_default())
        }
        false => (None, TokenSettings::default()),
    };
    let uses = settings.uses;
    let revoked_at = revocation.filter(|revocation| revocation.is_complete).map(|revocation| revocation.at);
    Ok(Some(Row {
        id: RowId::E2e(id.as_str().into()),
        is_own: members.is_own,
        file: file_of(&members.content).map(|file| file.as_str().into()),
        bucket_file: None,
        resource: None,
        label: settings.label.as_ref().map(|label| label.as_str().into()),
        created_at: members.created_at,
        updated_at: [revoked_at, settings.changed_at].into_iter().flatten().fold(members.created_at, Timestamp::max),
        expires_at: Some(members.expires_at).filter(|at| *at < Timestamp::NEVER),
        not_before: settings.not_before,
        max_downloads: settings.max_downloads.map(MaxDownloads::get),
        is_strict: settings.strict_uses,
        committed: uses.map_or(0, |uses| uses.committed.into()),
        leased: uses.map_or(0, |uses| uses.leased_at(now)),
        uncounted: 0,
        carried: 0,
        changes_at: uses.and_then(|uses| uses.next_end(now)),
        accessed_at: uses.and_then(|uses| uses.last_read_at),
        for_identity: members.for_identity,
        has_password: members.password_protection.is_some(),
        is_locked: settings.is_locked || settings.is_locked_for_peers,
        revoked_at,
    }))
}

/// The file that a content is for, if it is for one.
fn file_of(content: &JsonText) -> Option<FileId> {
    // Lists would pass for members in their order.
    let text = Some(content.as_str()).filter(|text| text.starts_with('{'))?;
    let content: Content = serde_json::from_str(text).ok()?;
    (content.kind == "TokenContentFile").then_some(content.file_id)
}
