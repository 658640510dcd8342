//! What lists of buckets and files can be filtered and sorted by.

use transport::wire::Timestamp;

use crate::dto::{Bucket, BucketFile};

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Integer(u64),
    /// Yes or no.
    Boolean(bool),
    /// A point in time.
    Time(Timestamp),
}

impl Bucket {
    /// Names of its attributes.
    pub const ATTRIBUTES: &'static [&'static str] = &[
        "$id",
        "$sequence",
        "$createdAt",
        "$updatedAt",
        "enabled",
        "name",
        "fileSecurity",
        "maximumFileSize",
        "encryption",
        "antivirus",
        "transformations",
    ];

    /// The value of an attribute; none if buckets have no such one.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        Some(match name {
            "$id" => Attribute::Text(self.id.as_str()),
            "$sequence" => Attribute::Integer(self.sequence),
            "$createdAt" => Attribute::Time(self.created_at),
            "$updatedAt" => Attribute::Time(self.updated_at),
            "enabled" => Attribute::Boolean(self.enabled),
            "name" => Attribute::Text(&self.name),
            "fileSecurity" => Attribute::Boolean(self.file_security),
            "maximumFileSize" => Attribute::Integer(self.maximum_file_size),
            "encryption" => Attribute::Boolean(self.encryption),
            "antivirus" => Attribute::Boolean(self.antivirus),
            "transformations" => Attribute::Boolean(self.transformations),
            _ => return None,
        })
    }

    /// Whether a search finds it: see [`Search`](crate::storage::Search).
    #[must_use]
    pub fn is_found_by(&self, search: &crate::storage::Search) -> bool {
        search.finds([self.id.as_str(), &self.name])
    }
}

impl BucketFile {
    /// Names of its attributes.
    pub const ATTRIBUTES: &'static [&'static str] = &[
        "$id",
        "$sequence",
        "$createdAt",
        "$updatedAt",
        "name",
        "folder",
        "signature",
        "mimeType",
        "sizeOriginal",
        "chunksTotal",
        "chunksUploaded",
    ];

    /// The value of an attribute; none if files have no such one.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        Some(match name {
            "$id" => Attribute::Text(self.id.as_str()),
            "$sequence" => Attribute::Integer(self.sequence),
            "$createdAt" => Attribute::Time(self.created_at),
            "$updatedAt" => Attribute::Time(self.updated_at),
            "name" => Attribute::Text(&self.name),
            "folder" => Attribute::Text(&self.folder),
            "signature" => Attribute::Text(&self.signature),
            "mimeType" => Attribute::Text(&self.mime_type),
            "sizeOriginal" => Attribute::Integer(self.size_original),
            "chunksTotal" => Attribute::Integer(self.chunks_total),
            "chunksUploaded" => Attribute::Integer(self.chunks_uploaded),
            _ => return None,
        })
    }

    /// Whether a search finds it: see [`Search`](crate::storage::Search).
    #[must_use]
    pub fn is_found_by(&self, search: &crate::storage::Search) -> bool {
        search.finds([self.id.as_str(), &self.name])
    }
}
