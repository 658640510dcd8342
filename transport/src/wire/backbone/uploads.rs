//! `/api/enlace/v1/Uploads`: uploads in the tus protocol, version 1.0.0, and what makes a file of one.
//!
//! The file that an upload becomes has the characters of the upload's id behind its own prefix, so whoever lost the answer
//! knows which file to look for.

use serde::{Deserialize, Serialize};

use crate::wire::{ByteText, FileId, Id as _, Timestamp, UploadId};

/// Where uploads are created, below the base URL of the backbone.
pub const PATH: &str = "/api/enlace/v1/Uploads";
/// What follows the URL of an upload where a file is made of it.
pub const FILE: &str = "/File";
/// The version of the tus protocol.
pub const VERSION: &str = "1.0.0";
/// Content type of the bytes that are appended.
pub const CONTENT_TYPE: &str = "application/offset+octet-stream";
/// Status of bytes that do not have the checksum that was sent with them.
pub const CHECKSUM_MISMATCH: u16 = 460;

/// Headers of the tus protocol.
pub mod header {
    /// The version of the protocol; in each request and answer.
    pub const TUS_RESUMABLE: &str = "tus-resumable";
    /// The versions that the server speaks.
    pub const TUS_VERSION: &str = "tus-version";
    /// The extensions that the server speaks, separated by commas.
    pub const TUS_EXTENSION: &str = "tus-extension";
    /// Bytes of the largest upload.
    pub const TUS_MAX_SIZE: &str = "tus-max-size";
    /// The algorithms of checksums, separated by commas.
    pub const TUS_CHECKSUM_ALGORITHM: &str = "tus-checksum-algorithm";
    /// Bytes that the server has.
    pub const UPLOAD_OFFSET: &str = "upload-offset";
    /// Bytes of the whole upload.
    pub const UPLOAD_LENGTH: &str = "upload-length";
    /// `1` while the length is not known.
    pub const UPLOAD_DEFER_LENGTH: &str = "upload-defer-length";
    /// Names and values in base64.
    pub const UPLOAD_METADATA: &str = "upload-metadata";
    /// When the server removes the upload.
    pub const UPLOAD_EXPIRES: &str = "upload-expires";
    /// Algorithm and checksum, in base64, of the bytes of one request.
    pub const UPLOAD_CHECKSUM: &str = "upload-checksum";
    /// `partial`, or `final;` and the paths of partial uploads.
    pub const UPLOAD_CONCAT: &str = "upload-concat";
    /// What the server does beyond the tus protocol, separated by commas.
    pub const ENLACE_EXTENSION: &str = "enlace-extension";
}

/// Codes of errors that a client can do something about.
pub mod code {
    /// The bytes belong behind another offset: ask for it.
    pub const OFFSET_CONFLICT: &str = "error.platform.upload.offsetConflict";
    /// Another request appends: try again when it has ended.
    pub const LOCKED: &str = "error.platform.upload.locked";
    /// The bytes were damaged on the way: send them again.
    pub const CHECKSUM_MISMATCH: &str = "error.platform.upload.checksumMismatch";
    /// The file is too large for the backbone.
    pub const TOO_LARGE: &str = "error.platform.upload.tooLarge";
    /// More bytes than the upload was said to have.
    pub const BEYOND_LENGTH: &str = "error.platform.upload.beyondLength";
    /// Too many unfinished uploads.
    pub const TOO_MANY: &str = "error.platform.upload.tooMany";
    /// Bytes are missing.
    pub const INCOMPLETE: &str = "error.platform.upload.incomplete";
    /// The bytes do not have the hash of the file.
    pub const HASH_MISMATCH: &str = "error.platform.upload.hashMismatch";
    /// Nobody can follow a partial upload, or one that was put together.
    pub const NOT_PREVIEWABLE: &str = "error.platform.upload.notPreviewable";
}

/// Body of `POST /Uploads/{id}/File`. What is missing is taken from the metadata of the upload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishUpload {
    /// SHA-512 of the ciphertext, which the server compares; without it, the server computes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_hash: Option<ByteText>,
    /// Signature over the plaintext hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_signature: Option<ByteText>,
    /// The sealed metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_properties: Option<ByteText>,
    /// When the file expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl UploadId {
    /// The id of the upload that becomes this file, or became it.
    #[must_use]
    pub fn of_file(file: &FileId) -> Self {
        let rest = file.as_str().get(FileId::PREFIX.len()..).unwrap_or_default();
        format!("{}{rest}", Self::PREFIX).parse().expect("17 letters or digits behind the prefix are an id")
    }

    /// The id of the file that this upload becomes.
    #[must_use]
    pub fn file_id(&self) -> FileId {
        let rest = self.as_str().get(Self::PREFIX.len()..).unwrap_or_default();
        format!("{}{rest}", FileId::PREFIX).parse().expect("17 letters or digits behind the prefix are an id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_and_its_file_differ_in_the_prefix() {
        let id: UploadId = "UPLabcdefghijklmno12".parse().unwrap();
        assert_eq!(id.file_id().as_str(), "FILabcdefghijklmno12");
        assert_eq!(UploadId::of_file(&id.file_id()), id);
    }

    #[test]
    fn a_body_may_be_empty() {
        assert_eq!(serde_json::from_str::<FinishUpload>("{}").unwrap(), FinishUpload::default());
        assert_eq!(serde_json::to_string(&FinishUpload::default()).unwrap(), "{}");
    }
}
