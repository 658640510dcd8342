//! What lists of buckets and files can be filtered and ordered by.

use query::{Kind, Record, Value};
use transport::wire::Timestamp;

use super::Search;
use crate::dto::{Bucket, BucketFile};

/// Something that is listed with queries. Attributes have the names that `/v1` has for them.
pub trait Listable: Record<Key = &'static str> + Send + 'static {
    /// Its attributes with their types.
    const ATTRIBUTES: &'static [(&'static str, Kind)];

    /// Whether a search finds it.
    fn is_found_by(&self, search: &Search) -> bool;
}

fn integer(number: u64) -> Value<'static> {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn time(time: Timestamp) -> Value<'static> {
    Value::Time(time.as_unix_milliseconds())
}

impl Listable for Bucket {
    const ATTRIBUTES: &'static [(&'static str, Kind)] = &[
        ("$id", Kind::Text),
        ("$sequence", Kind::Integer),
        ("$createdAt", Kind::Time),
        ("$updatedAt", Kind::Time),
        ("enabled", Kind::Boolean),
        ("name", Kind::Text),
        ("fileSecurity", Kind::Boolean),
        ("maximumFileSize", Kind::Integer),
        ("encryption", Kind::Boolean),
        ("antivirus", Kind::Boolean),
        ("transformations", Kind::Boolean),
    ];

    fn is_found_by(&self, search: &Search) -> bool {
        search.finds([self.id.as_str(), &self.name])
    }
}

impl Record for Bucket {
    type Key = &'static str;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn value(&self, attribute: &'static str) -> Option<Value<'_>> {
        Some(match attribute {
            "$id" => Value::text(self.id.as_str()),
            "$sequence" => integer(self.sequence),
            "$createdAt" => time(self.created_at),
            "$updatedAt" => time(self.updated_at),
            "enabled" => Value::Boolean(self.enabled),
            "name" => Value::text(&self.name),
            "fileSecurity" => Value::Boolean(self.file_security),
            "maximumFileSize" => integer(self.maximum_file_size),
            "encryption" => Value::Boolean(self.encryption),
            "antivirus" => Value::Boolean(self.antivirus),
            "transformations" => Value::Boolean(self.transformations),
            _ => return None,
        })
    }
}

impl Listable for BucketFile {
    const ATTRIBUTES: &'static [(&'static str, Kind)] = &[
        ("$id", Kind::Text),
        ("$sequence", Kind::Integer),
        ("$createdAt", Kind::Time),
        ("$updatedAt", Kind::Time),
        ("name", Kind::Text),
        ("folder", Kind::Text),
        ("signature", Kind::Text),
        ("mimeType", Kind::Text),
        ("sizeOriginal", Kind::Integer),
        ("chunksTotal", Kind::Integer),
        ("chunksUploaded", Kind::Integer),
    ];

    fn is_found_by(&self, search: &Search) -> bool {
        search.finds([self.id.as_str(), &self.name])
    }
}

impl Record for BucketFile {
    type Key = &'static str;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn value(&self, attribute: &'static str) -> Option<Value<'_>> {
        Some(match attribute {
            "$id" => Value::text(self.id.as_str()),
            "$sequence" => integer(self.sequence),
            "$createdAt" => time(self.created_at),
            "$updatedAt" => time(self.updated_at),
            "name" => Value::text(&self.name),
            "folder" => Value::text(&self.folder),
            "signature" => Value::text(&self.signature),
            "mimeType" => Value::text(&self.mime_type),
            "sizeOriginal" => integer(self.size_original),
            "chunksTotal" => integer(self.chunks_total),
            "chunksUploaded" => integer(self.chunks_uploaded),
            _ => return None,
        })
    }
}
