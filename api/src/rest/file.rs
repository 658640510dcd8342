//! A file as it is answered.

use runtime::{Address, DeviceId, FileId, Timestamp, dto};
use serde::Serialize;
use utoipa::ToSchema;

use crate::connector::Differences;

/// A file, own or a peer's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File {
    /// Its identifier.
    #[schema(value_type = String)]
    id: FileId,
    /// Whether this identity owns it.
    is_own: bool,
    /// Last path segment only; of a peer's file without control and direction characters and at most 255 bytes.
    filename: String,
    /// Free or controlled tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    /// Plaintext bytes.
    filesize: u64,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// By whom.
    #[schema(value_type = String)]
    created_by: Address,
    /// With which device.
    #[schema(value_type = String)]
    created_by_device: DeviceId,
    /// Until when it can be loaded.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Media type without parameters.
    mimetype: String,
    /// For people. Always present in `/api/v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// `/api/v2` only: the same as in `reference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_reference: Option<String>,
    /// Holds the key of the metadata: whoever has it reads the file.
    reference: Reference,
    /// Differs from the creator after a transfer.
    #[schema(value_type = String)]
    owner: Address,
    /// Whoever presents it becomes the owner; on own files only.
    #[serde(skip_serializing_if = "Option::is_none")]
    ownership_token: Option<String>,
    /// Only ever `true`: too many wrong claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    ownership_is_locked: Option<bool>,
}

/// A reference in both of its forms.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reference {
    /// base64url text.
    truncated: String,
    /// `<backbone>/r/<id>#<fragment>`.
    url: String,
}

impl File {
    /// A file as a dialect shows it.
    pub(crate) fn new(file: dto::File, differences: Differences) -> Self {
        Self {
            id: file.id,
            is_own: file.is_own,
            filename: file.filename,
            tags: file.tags,
            filesize: file.filesize,
            created_at: file.created_at,
            created_by: file.created_by,
            created_by_device: file.created_by_device,
            expires_at: file.expires_at,
            mimetype: file.mimetype,
            title: file.title.or_else(|| differences.title_always.then(String::new)),
            description: file.description,
            truncated_reference: differences.truncated_reference.then(|| file.reference.truncated.clone()),
            reference: file.reference.into(),
            owner: file.owner,
            ownership_token: file.ownership_token,
            ownership_is_locked: file.ownership_is_locked,
        }
    }
}

impl From<dto::Reference> for Reference {
    fn from(reference: dto::Reference) -> Self {
        Self { truncated: reference.truncated, url: reference.url }
    }
}
