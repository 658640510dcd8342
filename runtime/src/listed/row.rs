//! A token as a row of the list, and what rows are filtered and ordered by.

use std::borrow::Borrow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use query::{Attribute as QueryAttribute, Kind, Record, Schema, Value};
use transport::wire::{Address, Timestamp};

use crate::dto::{FileToken, FileTokenStatus, ListedToken, TokenDelivery, TokenStatus};
use crate::storage::Notify;

/// Which token a row is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RowId {
    /// A token of the protocol.
    E2e(Arc<str>),
    /// A token for a file in a bucket.
    Node(Arc<str>),
}

impl RowId {
    /// Either kind of token with this id.
    pub(super) fn either(id: &str) -> [Self; 2] {
        [Self::E2e(id.into()), Self::Node(id.into())]
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::E2e(id) | Self::Node(id) => id,
        }
    }

    fn delivery(&self) -> TokenDelivery {
        match self {
            Self::E2e(_) => TokenDelivery::E2e,
            Self::Node(_) => TokenDelivery::Node,
        }
    }
}

/// A token, but for what depends on the time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: RowId,
    pub(crate) is_own: bool,
    /// The id of its file of the protocol.
    pub(crate) file: Option<Arc<str>>,
    /// Only those on files in buckets have one.
    pub(crate) bucket_file: Option<BucketFile>,
    pub(crate) resource: Option<String>,
    /// Not empty.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) max_downloads: Option<u32>,
    /// Whether a use counts as soon as it is begun.
    pub(crate) is_strict: bool,
    /// Uses that count for ever.
    pub(crate) committed: u64,
    /// Uses that are open.
    pub(crate) leased: u32,
    /// Uses that no limit counts.
    pub(crate) uncounted: u64,
    /// How many of these are among the committed ones, because a limit that was set later counts them.
    pub(crate) carried: u64,
    /// When something of the row changes although nothing is stored.
    pub(crate) changes_at: Option<Timestamp>,
    pub(crate) accessed_at: Option<Timestamp>,
    pub(crate) for_identity: Option<Address>,
    pub(crate) has_password: bool,
    pub(crate) is_locked: bool,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// What a token is on whose file is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketFile {
    /// Of the token, in the order of creation.
    pub(crate) number: u64,
    /// The number of the bucket.
    pub(crate) bucket: u64,
    /// The number of the file.
    pub(crate) file: u64,
    /// When the owner of the token is told of its use.
    pub(crate) notify: Notify,
}

impl Row {
    /// Its place in the order of creation, among those on files in buckets.
    pub(super) fn number(&self) -> Option<u64> {
        self.bucket_file.map(|of| of.number)
    }

    /// The ids of the bucket and of the file in it.
    fn resource(&self) -> Option<(&str, &str)> {
        self.resource.as_deref()?.split_once(':')
    }

    /// Uses that are left; none if that has no limit.
    fn remaining(&self) -> Option<u32> {
        let used = self.committed.saturating_add(self.leased.into());
        let left = |most: u32| most.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
        self.max_downloads.map(left)
    }

    /// How often it was used.
    fn downloads(&self) -> u64 {
        self.committed.saturating_add(self.uncounted.saturating_sub(self.carried))
    }

    /// Tokens on files in buckets are valid up to the last millisecond.
    fn is_over(&self, end: Timestamp, now: Timestamp) -> bool {
        match self.id {
            RowId::E2e(_) => end <= now,
            RowId::Node(_) => end < now,
        }
    }

    /// What is for ever comes first.
    pub(crate) fn status(&self, now: Timestamp) -> TokenStatus {
        if self.revoked_at.is_some() {
            TokenStatus::Revoked
        } else if self.expires_at.is_some_and(|end| self.is_over(end, now)) {
            TokenStatus::Expired
        } else if self.is_locked {
            TokenStatus::Locked
        } else if self.not_before.is_some_and(|begin| begin > now) {
            TokenStatus::NotYetValid
        } else if self.remaining() == Some(0) {
            TokenStatus::Exhausted
        } else {
            TokenStatus::Active
        }
    }

    /// As users see it at a time.
    pub(crate) fn to_dto(&self, now: Timestamp) -> ListedToken {
        ListedToken {
            id: self.id.as_str().to_owned(),
            delivery: self.id.delivery(),
            status: self.status(now),
            is_own: self.is_own,
            file_id: self.file.as_ref().and_then(|file| file.parse().ok()),
            resource_id: self.resource.clone(),
            label: self.label.as_deref().map(str::to_owned),
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            not_before: self.not_before,
            max_downloads: self.max_downloads,
            strict_uses: self.is_strict,
            downloads: self.downloads(),
            remaining: self.remaining(),
            accessed_at: self.accessed_at,
            for_identity: self.for_identity.clone(),
            has_password: self.has_password,
            revoked_at: self.revoked_at,
        }
    }
}

/// What rows are filtered and ordered by. How queries write them depends on the list: [`schema`], [`file_token_schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Id,
    Delivery,
    Status,
    IsOwn,
    FileId,
    ResourceId,
    Label,
    CreatedAt,
    UpdatedAt,
    ExpiresAt,
    NotBefore,
    MaxDownloads,
    StrictUses,
    Downloads,
    Remaining,
    AccessedAt,
    ForIdentity,
    HasPassword,
    RevokedAt,
    Sequence,
    ResourceType,
    BucketId,
    BucketFileId,
    /// The label, empty if there is none.
    Note,
    /// The status in the words of [`FileTokenStatus`](crate::dto::FileTokenStatus).
    FileTokenStatus,
    Notify,
}

/// The attributes with the names that [`ListedToken`] has for them.
pub(crate) fn schema() -> &'static Schema<Attribute> {
    static SCHEMA: LazyLock<Schema<Attribute>> = LazyLock::new(|| {
        use Attribute as A;
        let attributes = [
            QueryAttribute::new(A::Id, "id", Kind::Text),
            QueryAttribute::new(A::Delivery, "delivery", Kind::Text),
            QueryAttribute::new(A::Status, "status", Kind::Text).one_of(&TokenStatus::NAMES),
            QueryAttribute::new(A::IsOwn, "isOwn", Kind::Boolean),
            QueryAttribute::new(A::FileId, "fileId", Kind::Text).nullable(),
            QueryAttribute::new(A::ResourceId, "resourceId", Kind::Text).nullable(),
            QueryAttribute::new(A::Label, "label", Kind::Text).nullable(),
            QueryAttribute::new(A::CreatedAt, "createdAt", Kind::Time),
            QueryAttribute::new(A::UpdatedAt, "updatedAt", Kind::Time),
            QueryAttribute::new(A::ExpiresAt, "expiresAt", Kind::Time).nullable(),
            QueryAttribute::new(A::NotBefore, "notBefore", Kind::Time).nullable(),
            QueryAttribute::new(A::MaxDownloads, "maxDownloads", Kind::Integer).nullable(),
            QueryAttribute::new(A::StrictUses, "strictUses", Kind::Boolean),
            QueryAttribute::new(A::Downloads, "downloads", Kind::Integer),
            QueryAttribute::new(A::Remaining, "remaining", Kind::Integer).nullable(),
            QueryAttribute::new(A::AccessedAt, "accessedAt", Kind::Time).nullable(),
            QueryAttribute::new(A::ForIdentity, "forIdentity", Kind::Text).nullable(),
            QueryAttribute::new(A::HasPassword, "hasPassword", Kind::Boolean),
            QueryAttribute::new(A::RevokedAt, "revokedAt", Kind::Time).nullable(),
        ];
        Schema::new(attributes, |text| text.parse().ok().map(Timestamp::as_unix_milliseconds))
    });
    &SCHEMA
}

/// The attributes of those on files in buckets with the names that `/v1` has for them.
pub(super) fn file_token_schema() -> &'static Schema<Attribute> {
    static SCHEMA: LazyLock<Schema<Attribute>> = LazyLock::new(|| {
        use Attribute as A;
        let attributes = [
            QueryAttribute::new(A::Id, "$id", Kind::Text),
            QueryAttribute::new(A::Sequence, "$sequence", Kind::Integer),
            QueryAttribute::new(A::CreatedAt, "$createdAt", Kind::Time),
            QueryAttribute::new(A::UpdatedAt, "$updatedAt", Kind::Time),
            QueryAttribute::new(A::ResourceId, "resourceId", Kind::Text),
            QueryAttribute::new(A::ResourceType, "resourceType", Kind::Text),
            QueryAttribute::new(A::BucketId, "bucketId", Kind::Text),
            QueryAttribute::new(A::BucketFileId, "fileId", Kind::Text),
            QueryAttribute::new(A::ExpiresAt, "expire", Kind::Time).nullable(),
            QueryAttribute::new(A::AccessedAt, "accessedAt", Kind::Time).nullable(),
            QueryAttribute::new(A::Note, "label", Kind::Text),
            QueryAttribute::new(A::FileTokenStatus, "status", Kind::Text).one_of(&FileTokenStatus::NAMES),
            QueryAttribute::new(A::NotBefore, "notBefore", Kind::Time).nullable(),
            QueryAttribute::new(A::MaxDownloads, "maxDownloads", Kind::Integer).nullable(),
            QueryAttribute::new(A::Downloads, "downloads", Kind::Integer),
            QueryAttribute::new(A::Remaining, "remaining", Kind::Integer).nullable(),
            QueryAttribute::new(A::Notify, "notify", Kind::Text),
            QueryAttribute::new(A::RevokedAt, "revokedAt", Kind::Time).nullable(),
        ];
        Schema::new(attributes, |text| text.parse().ok().map(Timestamp::as_unix_milliseconds))
    });
    &SCHEMA
}

/// A row at a time, as a record of the query language.
#[derive(Debug, Clone)]
pub(super) struct Seen<R> {
    pub(super) row: R,
    pub(super) now: Timestamp,
}

impl<R: Borrow<Row>> Record for Seen<R> {
    type Key = Attribute;

    fn id(&self) -> &str {
        self.row.borrow().id.as_str()
    }

    /// Tokens of the protocol have no number, and need no place: a list with both kinds is ordered by creation and id in the end, see
    /// [`super::search`]. Only the random order asks for it.
    fn sequence(&self) -> u64 {
        let row = self.row.borrow();
        row.number().unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            row.id.hash(&mut hasher);
            hasher.finish()
        })
    }

    fn value(&self, attribute: Attribute) -> Option<Value<'_>> {
        let row = self.row.borrow();
        let time = |time: Timestamp| Value::Time(time.as_unix_milliseconds());
        let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        Some(match attribute {
            Attribute::Id => Value::text(row.id.as_str()),
            Attribute::Delivery => Value::text(row.id.delivery().as_str()),
            Attribute::Status => Value::text(row.status(self.now).as_str()),
            Attribute::IsOwn => Value::Boolean(row.is_own),
            Attribute::FileId => Value::text(row.file.as_deref()?),
            Attribute::ResourceId => Value::text(row.resource.as_deref()?),
            Attribute::Label => Value::text(row.label.as_deref()?),
            Attribute::CreatedAt => time(row.created_at),
            Attribute::UpdatedAt => time(row.updated_at),
            Attribute::ExpiresAt => time(row.expires_at?),
            Attribute::NotBefore => time(row.not_before?),
            Attribute::MaxDownloads => integer(row.max_downloads?.into()),
            Attribute::Downloads => integer(row.downloads()),
            Attribute::Remaining => integer(row.remaining()?.into()),
            Attribute::AccessedAt => time(row.accessed_at?),
            Attribute::ForIdentity => Value::text(row.for_identity.as_ref()?.as_str()),
            Attribute::HasPassword => Value::Boolean(row.has_password),
            Attribute::StrictUses => Value::Boolean(row.is_strict),
            Attribute::RevokedAt => time(row.revoked_at?),
            Attribute::Sequence => integer(row.number()?),
            Attribute::ResourceType => Value::text(FileToken::RESOURCE_TYPE),
            Attribute::BucketId => Value::text(row.resource()?.0),
            Attribute::BucketFileId => Value::text(row.resource()?.1),
            Attribute::Note => Value::text(row.label.as_deref().unwrap_or_default()),
            Attribute::FileTokenStatus => Value::text(match row.status(self.now) {
                TokenStatus::NotYetValid => FileTokenStatus::Scheduled.as_str(),
                status => status.as_str(),
            }),
            Attribute::Notify => Value::text(row.bucket_file?.notify.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_unix_milliseconds(milliseconds)
    }

    #[test]
    fn the_status_is_what_lasts_longest() {
        let all = Row {
            revoked_at: Some(at(1)),
            expires_at: Some(at(10)),
            is_locked: true,
            not_before: Some(at(20)),
            max_downloads: Some(2),
            committed: 1,
            leased: 1,
            ..row(1)
        };
        assert_eq!(all.status(at(10)), TokenStatus::Revoked);
        let row = Row { revoked_at: None, ..all };
        assert_eq!((row.status(at(10)), row.status(at(9))), (TokenStatus::Expired, TokenStatus::Locked));
        let row = Row { is_locked: false, ..row };
        assert_eq!(row.status(at(9)), TokenStatus::NotYetValid);
        let row = Row { expires_at: None, ..row };
        assert_eq!((row.status(at(19)), row.status(at(20))), (TokenStatus::NotYetValid, TokenStatus::Exhausted));
        let row = Row { leased: 0, ..row };
        assert_eq!((row.status(at(20)), row.remaining()), (TokenStatus::Active, Some(1)));
        let row = Row { committed: u64::MAX, ..row };
        assert_eq!((row.status(at(20)), row.remaining()), (TokenStatus::Exhausted, Some(0)));
        let last = Row { id: RowId::Node("x".into()), expires_at: Some(at(20)), ..super::super::tests::row(1) };
        assert_eq!((last.status(at(20)), last.status(at(21))), (TokenStatus::Active, TokenStatus::Expired));
        let uncounted = Row { max_downloads: Some(1), uncounted: 5, ..last };
        assert_eq!((uncounted.downloads(), uncounted.remaining()), (5, Some(1)));
        let carried = Row { committed: 5, carried: 5, uncounted: 6, ..uncounted };
        assert_eq!((carried.downloads(), carried.remaining()), (6, Some(0)));
    }

    #[test]
    fn the_status_can_be_asked_for_by_all_its_names() {
        assert_eq!(TokenStatus::ALL.map(TokenStatus::as_str), TokenStatus::NAMES);
        assert_eq!(FileTokenStatus::ALL.map(FileTokenStatus::as_str), FileTokenStatus::NAMES);
        let refused = |schema, status: &str| {
            let query = serde_json::json!({ "method": "equal", "attribute": "status", "values": ["active", status] });
            query::List::parse(&[query.to_string()], schema).err().map(|error| error.to_string())
        };
        for name in TokenStatus::NAMES {
            assert_eq!(refused(schema(), name), None);
        }
        for name in FileTokenStatus::NAMES {
            assert_eq!(refused(file_token_schema(), name), None);
        }
        let of_both = refused(schema(), "scheduled").unwrap();
        assert!(of_both.contains("active, notYetValid, exhausted, locked, expired, revoked"), "{of_both}");
        let of_v1 = refused(file_token_schema(), "notYetValid").unwrap();
        assert!(of_v1.contains("active, scheduled, exhausted, expired, revoked"), "{of_v1}");
    }

    #[test]
    fn attributes_have_the_names_of_the_members_that_lists_show() {
        let time = Some(at(1));
        let full = Row {
            file: Some("FIL00000000000000001".into()),
            resource: Some("docs:plan".to_owned()),
            label: Some("for Ada".into()),
            expires_at: time,
            not_before: time,
            max_downloads: Some(1),
            is_strict: true,
            accessed_at: time,
            for_identity: Some(format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap()),
            revoked_at: time,
            ..row(1)
        };
        let shown = serde_json::to_value(full.to_dto(at(0))).unwrap();
        let mut members: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        let mut names: Vec<&str> = schema().attributes().iter().map(QueryAttribute::name).collect();
        members.sort_unstable();
        names.sort_unstable();
        assert_eq!(members, names);
        let seen = Seen { row: full, now: at(0) };
        for attribute in schema().attributes() {
            let (value, member) = (seen.value(attribute.key()).unwrap(), &shown[attribute.name()]);
            match value {
                Value::Text(text) => assert_eq!(member, text.as_ref()),
                Value::Integer(number) => assert_eq!(member, number),
                Value::Boolean(flag) => assert_eq!(member, flag),
                Value::Time(time) => assert_eq!(member, &at(time).to_string()),
                Value::Texts(_) => panic!("{}", attribute.name()),
            }
        }
    }
}
