//! Previews: what is told of a file whose upload has not ended, so that others follow the upload.
//!
//! The server says with [`EXTENSION`] in the header [`ENLACE_EXTENSION`](super::uploads::header::ENLACE_EXTENSION) of
//! `OPTIONS /api/enlace/v1/Uploads` that it has previews.

use serde::{Deserialize, Serialize};

use crate::wire::{Address, ByteText, FileId, Timestamp};

/// The name of the extension.
pub const EXTENSION: &str = "preview";
/// Where files are that others may follow, below the base URL of the backbone.
pub const FILES_PATH: &str = "/api/enlace/v1/Files";
/// What follows the URL of an upload or a file where its preview is.
pub const PREVIEW: &str = "/Preview";
/// What follows the URL of a file where its bytes are, as far as there are any.
pub const CONTENT: &str = "/Content";
/// The last byte of a range whose end nobody knows (RFC 8673, section 2): the largest number that JSON carries exactly.
pub const LAST_BYTE: u64 = (1 << 53) - 1;

/// Body of `PUT /Uploads/{id}/Preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPreview {
    /// The sealed metadata of the file, as far as they are known.
    pub encrypted_properties: ByteText,
    /// When the file is going to expire.
    pub expires_at: Timestamp,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedPreview {
    /// The file that the upload becomes.
    pub id: FileId,
    /// When the file is going to expire: earlier than asked for if the server stores nothing for so long.
    pub expires_at: Timestamp,
}

/// Whether an upload has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PreviewState {
    /// More bytes may come.
    Growing,
    /// The file exists, and its metadata are the final ones.
    Complete,
}

/// The answer to `GET /Files/{id}/Preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilePreview {
    /// The file.
    pub id: FileId,
    /// Whether its upload has ended.
    pub state: PreviewState,
    /// Who uploads it.
    pub owner: Address,
    /// When it was shown first.
    pub created_at: Timestamp,
    /// When the file expires.
    pub expires_at: Timestamp,
    /// Bytes that the server has and keeps.
    pub offset: u64,
    /// Bytes of the whole, once the server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The sealed metadata.
    pub encrypted_properties: ByteText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_has_the_documented_members() {
        let text = r#"{"id":"FILabcdefghijklmno12","state":"growing","owner":"did:e:localhost:dids:c5b454f4a8133c3d2cf2ef","createdAt":"2030-01-01T12:00:00.000Z","expiresAt":"2031-01-01T12:00:00.000Z","offset":5,"length":9,"encryptedProperties":"b3BhcXVl"}"#;
        let preview: FilePreview = serde_json::from_str(text).unwrap();
        assert_eq!((preview.state, preview.offset, preview.length), (PreviewState::Growing, 5, Some(9)));
        assert_eq!(serde_json::to_string(&preview).unwrap(), text);
        let unknown = FilePreview { state: PreviewState::Complete, length: None, ..preview };
        let text = serde_json::to_string(&unknown).unwrap();
        assert!(text.contains(r#""state":"complete""#) && !text.contains("length"));
    }
}
