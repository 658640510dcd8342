//! What answers look like. All members are always there, and none that Appwrite has is null: clients rely on it. Of file tokens and their
//! claims `maxDownloads` and `remaining`, which only this face has, are null without a limit.

use runtime::Timestamp;
use runtime::dto;
use runtime::storage::TokenClaim;
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
    /// How many match, at most 5000 unless the node counts further.
    pub(super) total: u64,
    pub(super) buckets: Vec<Bucket>,
}

/// Files of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteFileList)]
pub(super) struct FileList {
    /// How many match, at most 5000 unless the node counts further.
    pub(super) total: u64,
    pub(super) files: Vec<File>,
}

/// A token: whoever presents its secret gets the content of its file. Dates that are not there are empty texts.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteToken)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    #[serde(rename = "$id")]
    id: String,
    #[serde(rename = "$createdAt")]
    created_at: String,
    #[serde(rename = "$updatedAt")]
    updated_at: String,
    /// The bucket and its file, with a colon between them.
    resource_id: String,
    resource_type: &'static str,
    /// Until when it is valid; empty for ever.
    expire: String,
    /// What its holder presents; empty for keys without the scope `tokens.write`.
    secret: String,
    /// When somebody got content by it last.
    accessed_at: String,
    label: String,
    /// From when on it is valid.
    not_before: String,
    /// How often it can be used; null without a limit.
    max_downloads: Option<u32>,
    /// How often it was used.
    downloads: u64,
    /// Uses that are left; null without a limit.
    remaining: Option<u32>,
    /// Some of view, preview and download.
    allow: Vec<&'static str>,
    /// none, first or each.
    notify: &'static str,
    /// active, scheduled, exhausted, expired or revoked.
    status: &'static str,
    revoked_at: String,
    /// Always node: this node serves the content itself.
    delivery: &'static str,
}

/// Tokens of a list.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteTokenList)]
pub(super) struct TokenList {
    /// How many match, at most 5000 unless the node counts further.
    pub(super) total: u64,
    pub(super) tokens: Vec<Token>,
}

/// What became of a deletion of several tokens.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteDeletedTokens)]
pub(super) struct DeletedTokens {
    /// How many were deleted.
    pub(super) total: u64,
}

/// A use of a token that is leased.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AppwriteTokenClaim)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claim {
    /// To be sent as X-Claim, or in the query as claim, with each request for the content.
    claim_id: String,
    token_id: String,
    /// The bucket and its file, with a colon between them.
    resource_id: String,
    /// Until when it is leased; each request for the content renews that.
    lease_ends_at: String,
    /// Uses that are left for others; null without a limit.
    remaining: Option<u32>,
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

impl Token {
    pub(super) fn new(token: dto::FileToken, shows_secret: bool) -> Self {
        let optional = |time: Option<Timestamp>| time.map(date).unwrap_or_default();
        Self {
            id: token.id.to_string(),
            created_at: date(token.created_at),
            updated_at: date(token.updated_at),
            resource_id: token.resource_id,
            resource_type: dto::FileToken::RESOURCE_TYPE,
            expire: optional(token.expire),
            secret: if shows_secret { token.secret.expose().to_owned() } else { String::new() },
            accessed_at: optional(token.accessed_at),
            label: token.label,
            not_before: optional(token.not_before),
            max_downloads: token.max_downloads,
            downloads: token.downloads,
            remaining: token.remaining,
            allow: token.allow.names(),
            notify: token.notify.as_str(),
            status: token.status.as_str(),
            revoked_at: optional(token.revoked_at),
            delivery: "node",
        }
    }
}

impl From<TokenClaim> for Claim {
    fn from(claim: TokenClaim) -> Self {
        Self {
            claim_id: claim.id.to_string(),
            token_id: claim.token.to_string(),
            resource_id: format!("{}:{}", claim.bucket, claim.file),
            lease_ends_at: date(claim.lease_ends_at),
            remaining: claim.remaining,
        }
    }
}

/// For the OpenAPI document.
pub(super) fn components() -> Vec<(String, RefOr<Schema>)> {
    let components = Components::default().with::<BucketList>().with::<Bucket>().with::<FileList>().with::<File>();
    let components = components.with::<TokenList>().with::<Token>().with::<DeletedTokens>().with::<Claim>();
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
