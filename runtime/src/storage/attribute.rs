//! What lists of buckets, files and file tokens can be filtered and sorted by.

use transport::wire::Timestamp;

use crate::dto::{Bucket, BucketFile, FileToken};

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

impl FileToken {
    /// Names of its attributes.
    pub const ATTRIBUTES: &'static [&'static str] = &[
        "$id",
        "$sequence",
        "$createdAt",
        "$updatedAt",
        "resourceId",
        "resourceType",
        "bucketId",
        "fileId",
        "expire",
        "accessedAt",
        "label",
        "status",
        "notBefore",
        "maxDownloads",
        "downloads",
        "remaining",
        "notify",
        "revokedAt",
    ];
    /// Those of them that some tokens have no value for.
    pub const NULLABLE: &'static [&'static str] =
        &["expire", "accessedAt", "notBefore", "maxDownloads", "remaining", "revokedAt"];

    /// The value of an attribute; none if it is null, or if file tokens have no such one.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        let integer = |number: Option<u32>| number.map(|number| Attribute::Integer(number.into()));
        Some(match name {
            "$id" => Attribute::Text(self.id.as_str()),
            "$sequence" => Attribute::Integer(self.sequence),
            "$createdAt" => Attribute::Time(self.created_at),
            "$updatedAt" => Attribute::Time(self.updated_at),
            "resourceId" => Attribute::Text(&self.resource_id),
            "resourceType" => Attribute::Text(Self::RESOURCE_TYPE),
            "bucketId" => Attribute::Text(self.bucket_id.as_str()),
            "fileId" => Attribute::Text(self.file_id.as_str()),
            "expire" => Attribute::Time(self.expire?),
            "accessedAt" => Attribute::Time(self.accessed_at?),
            "label" => Attribute::Text(&self.label),
            "status" => Attribute::Text(self.status.as_str()),
            "notBefore" => Attribute::Time(self.not_before?),
            "maxDownloads" => integer(self.max_downloads)?,
            "downloads" => Attribute::Integer(self.downloads),
            "remaining" => integer(self.remaining)?,
            "notify" => Attribute::Text(self.notify.as_str()),
            "revokedAt" => Attribute::Time(self.revoked_at?),
            _ => return None,
        })
    }

    /// Whether a search finds it: see [`Search`](crate::storage::Search).
    #[must_use]
    pub fn is_found_by(&self, search: &crate::storage::Search) -> bool {
        search.finds([self.id.as_str(), &self.label])
    }
}
