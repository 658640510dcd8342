//! What answers look like. All members are always there, and none is null: clients rely on it.

use runtime::Timestamp;
use runtime::dto;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};

use super::AppwriteError;
use crate::openapi::Components;

/// A bucket.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteBucket)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "clients expect them")]
pub(super) struct Bucket {
    #[serde(rename = "$id")]
    id: String,
    #[serde(rename = "$createdAt")]
    created_at: String,
    #[serde(rename = "$updatedAt")]
    updated_at: String,
    /// With `write` in its parts.
    #[serde(rename = "$permissions")]
    permissions: Vec<String>,
    /// Whether its files have permissions of their own.
    file_security: bool,
    name: String,
    /// Whether those who have no key see it.
    enabled: bool,
    maximum_file_size: u64,
    allowed_file_extensions: Vec<String>,
    compression: &'static str,
    encryption: bool,
    antivirus: bool,
    /// Whether those who have no key get previews.
    transformations: bool,
    /// Bytes of its files; 0 in lists.
    total_size: u64,
    /// Always empty.
    description: &'static str,
    /// Always false.
    strip_metadata: bool,
}

/// A file in a bucket.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteFile)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    #[serde(rename = "$id")]
    id: String,
    bucket_id: String,
    #[serde(rename = "$createdAt")]
    created_at: String,
    #[serde(rename = "$updatedAt")]
    updated_at: String,
    #[serde(rename = "$permissions")]
    permissions: Vec<String>,
    name: String,
    /// Empty, or with a slash at the end.
    folder: String,
    /// Folder and name.
    key: String,
    /// MD5 of the content in hexadecimal digits; empty while it is unfinished.
    signature: String,
    mime_type: String,
    size_original: u64,
    size_actual: u64,
    chunks_total: u64,
    chunks_uploaded: u64,
    encryption: bool,
    compression: &'static str,
}

/// Buckets of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteBucketList)]
pub(super) struct BucketList {
    /// How many match, at most 5000.
    pub(super) total: u64,
    pub(super) buckets: Vec<Bucket>,
}

/// Files of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteFileList)]
pub(super) struct FileList {
    /// How many match, at most 5000.
    pub(super) total: u64,
    pub(super) files: Vec<File>,
}

/// A point in time as clients expect it: `2030-01-31T12:00:00.000+00:00`.
pub(super) fn date(time: Timestamp) -> String {
    let mut text = time.to_string();
    if text.ends_with('Z') {
        text.truncate(text.len() - 1);
        text.push_str("+00:00");
    }
    text
}

impl From<dto::Bucket> for Bucket {
    fn from(bucket: dto::Bucket) -> Self {
        Self {
            id: bucket.id.to_string(),
            created_at: date(bucket.created_at),
            updated_at: date(bucket.updated_at),
            permissions: bucket.permissions,
            file_security: bucket.file_security,
            name: bucket.name,
            enabled: bucket.enabled,
            maximum_file_size: bucket.maximum_file_size,
            allowed_file_extensions: bucket.allowed_file_extensions,
            compression: bucket.compression.as_str(),
            encryption: bucket.encryption,
            antivirus: bucket.antivirus,
            transformations: bucket.transformations,
            total_size: bucket.total_size,
            description: "",
            strip_metadata: false,
        }
    }
}

impl From<dto::BucketFile> for File {
    fn from(file: dto::BucketFile) -> Self {
        Self {
            id: file.id.to_string(),
            bucket_id: file.bucket_id.to_string(),
            created_at: date(file.created_at),
            updated_at: date(file.updated_at),
            key: file.key(),
            permissions: file.permissions,
            name: file.name,
            folder: file.folder,
            signature: file.signature,
            mime_type: file.mime_type,
            size_original: file.size_original,
            size_actual: file.size_actual,
            chunks_total: file.chunks_total,
            chunks_uploaded: file.chunks_uploaded,
            encryption: true,
            compression: "none",
        }
    }
}

/// For the OpenAPI document.
pub(super) fn components() -> Vec<(String, RefOr<Schema>)> {
    let components = Components::default().with::<BucketList>().with::<Bucket>().with::<FileList>().with::<File>();
    components.with::<AppwriteError>().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_milliseconds_and_an_offset() {
        assert_eq!(date("2030-01-31T12:00:00Z".parse().unwrap()), "2030-01-31T12:00:00.000+00:00");
    }
}
