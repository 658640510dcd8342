//! Why something with buckets and their files is refused.

use preview::PreviewError;

use super::{Action, Caller, TokenRefusal};
use crate::Error;

/// Result of everything about buckets.
pub type StorageResult<T> = std::result::Result<T, StorageError>;

/// Why something with a bucket or a file in one is refused. Faces decide by the variant.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// An argument breaks a rule.
    #[error("Invalid `{name}` param: {reason}")]
    InvalidArgument {
        /// The argument as it is called in the interface: `bucketId`, `permissions`, `name`, …
        name: &'static str,
        /// Which rule, and what is wrong with it.
        reason: String,
    },
    /// There is no such bucket, or it is disabled and this caller may not see it.
    #[error("There is no bucket with this id.")]
    BucketNotFound,
    /// There is no such file in the bucket, or this caller may not know that there is.
    #[error("There is no file with this id in the bucket.")]
    FileNotFound,
    /// The id of a new bucket is in use.
    #[error("There is a bucket with this id already; choose another id, or update the bucket.")]
    BucketExists,
    /// The id of a new file is in use.
    #[error("There is a file with this id in the bucket already; choose another id, or delete the file.")]
    FileExists,
    /// No permission for this role.
    #[error("No permissions provided for action '{0}'")]
    NotPermitted(Action),
    /// The token that was presented is for another file.
    #[error("The token is for another file.")]
    TokenOfOtherFile,
    /// The file token that was presented does not help, and nothing else permits what was asked for.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// There is no such file token.
    #[error("There is no token with this id.")]
    TokenNotFound,
    /// There is no such use of a file token: it was never claimed, has lapsed before content was sent, or is forgotten.
    #[error("There is no claim with this id; claim the token again.")]
    ClaimNotFound,
    /// A revoked file token cannot be used again.
    #[error("The token is revoked, which cannot be taken back; create another one.")]
    TokenRevoked,
    /// The caller gives permissions to roles that it does not have.
    #[error("Permissions must be one of: ({})", .0.role_names().join(", "))]
    ForeignRoles(Caller),
    /// The bucket offers no previews to this caller.
    #[error("Image transformations are switched off for this bucket.")]
    TransformationsDisabled,
    /// The file has more bytes than the bucket or the node takes.
    #[error("File size not allowed")]
    FileSizeNotAllowed,
    /// The bucket does not take files with this extension.
    #[error("File extension not allowed")]
    ExtensionNotAllowed,
    /// The file has no byte.
    #[error("The file is empty.")]
    EmptyFile,
    /// The header `Content-Range` cannot be read, or names a part that the file does not have.
    #[error("The content range is not valid: {0}")]
    InvalidContentRange(&'static str),
    /// The part does not have the bytes that its range names, or belongs to a file of another size.
    #[error("The part does not belong to this upload: {0}")]
    InvalidPart(&'static str),
    /// The id in the header of a part is the one that asks for a new id.
    #[error("The header X-Appwrite-Id has to be the id of the file that the first part was answered with.")]
    InvalidUploadId,
    /// As many as there may be are there; the text says of what.
    #[error("{0}")]
    LimitReached(&'static str),
    /// All places for contents are taken, and stayed so for [`STAGING_WAIT`](super::STAGING_WAIT).
    #[error("The node receives as many files as it can at a time; try again later.")]
    Busy,
    /// There is no preview of the file, or not now.
    #[error("There is no preview: {0}.")]
    Preview(PreviewError),
    /// A list cannot be made of what it asks for.
    #[error(transparent)]
    List(#[from] query::SelectionError),
    /// The node failed, or its backbone.
    #[error(transparent)]
    Node(#[from] Error),
}

impl StorageError {
    pub(crate) fn argument(name: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidArgument { name, reason: reason.into() }
    }
}

impl From<crate::listed::ListError> for StorageError {
    fn from(error: crate::listed::ListError) -> Self {
        match error {
            crate::listed::ListError::Refused(error) => Self::List(error),
            crate::listed::ListError::Node(error) => Self::Node(error),
        }
    }
}

impl From<crate::store::StoreError> for StorageError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Why a content could not be loaded is what it was before the preview asked for it.
impl From<PreviewError> for StorageError {
    fn from(error: PreviewError) -> Self {
        match &error {
            PreviewError::Load(cause) => cause.downcast_ref::<Self>().cloned().unwrap_or(Self::Preview(error)),
            _ => Self::Preview(error),
        }
    }
}
