//! `/enlace/file/1`: the bytes of a file from the node that shares it (specification, section 6). One stream for each request.
//!
//! ```text
//! receiver                                        owner
//!     content  [1, target, start, end?, proof?] ->
//!                                               <- header [1, file, format, length, start, end] ‖ bytes start..end
//!     metadata [2, target, proof?]              ->
//!                                               <- metadata [2, …]
//!                                               <- refused [3, number], to either
//! ```

mod fetch;
mod serve;

pub use fetch::{ContentExpectation, Fetch, FetchMetadata, Fetched};
pub use serve::serve_file;

use super::cbor::{self, Bytes};
use super::request::{FileTarget, Format, WireProof, from_wire, to_wire};
use super::{FrameError, Message, PasswordProof, Refusal};
use crate::crypto::hash::Sha512Hash;
use crate::file::MAX_SEALED_METADATA_LENGTH;
use crate::wire::backbone::files::FileMetadata;
use crate::wire::{Address, DeviceId, FileId, Timestamp};

/// The name of the protocol.
pub const FILE_PROTOCOL: &str = "/enlace/file/1";

/// Bytes of a signature of an owner, which is opaque and comes from other clients.
const MAX_OWNER_SIGNATURE_LENGTH: usize = 1024;

/// What a receiver asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileRequest {
    /// Bytes of the content.
    Content {
        /// The file.
        target: FileTarget,
        /// The first byte. Of a format `v1` file all bytes come, from the first one on.
        start: u64,
        /// The byte behind the last one; `None` for all that follow.
        end: Option<u64>,
        /// For a target that is a token with a password.
        proof: Option<PasswordProof>,
    },
    /// What is known of it without its content.
    Metadata {
        /// The file.
        target: FileTarget,
        /// For a target that is a token with a password.
        proof: Option<PasswordProof>,
    },
}

impl FileRequest {
    /// What is asked for.
    #[must_use]
    pub fn target(&self) -> &FileTarget {
        match self {
            Self::Content { target, .. } | Self::Metadata { target, .. } => target,
        }
    }
}

impl Message for FileRequest {
    const MAX_LENGTH: usize = 128;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Content { target, start, end, proof } => {
                cbor::encode(&(1_u8, target.as_str(), *start, *end, to_wire(*proof)))
            }
            Self::Metadata { target, proof } => cbor::encode(&(2_u8, target.as_str(), to_wire(*proof))),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let target = |text: String| FileTarget::parse(&text).ok_or(FrameError::Malformed);
        match cbor::kind(bytes)? {
            1 => {
                let (_, text, start, end, proof): (u8, String, u64, Option<u64>, WireProof) = cbor::decode(bytes)?;
                Ok(Self::Content { target: target(text)?, start, end, proof: from_wire(proof) })
            }
            2 => {
                let (_, text, proof): (u8, String, WireProof) = cbor::decode(bytes)?;
                Ok(Self::Metadata { target: target(text)?, proof: from_wire(proof) })
            }
            _ => Err(FrameError::Malformed),
        }
    }
}

/// What stands in front of the bytes of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHeader {
    /// The file.
    pub file: FileId,
    /// Its format.
    pub format: Format,
    /// Bytes of the whole body or blob.
    pub length: u64,
    /// The first byte that follows.
    pub start: u64,
    /// The byte behind the last one that follows.
    pub end: u64,
}

impl Message for ContentHeader {
    const MAX_LENGTH: usize = 64;

    fn encode(&self) -> Vec<u8> {
        cbor::encode(&(1_u8, &self.file, self.format as u8, self.length, self.start, self.end))
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, file, format, length, start, end): (u8, FileId, u8, u64, u64, u64) = cbor::decode(bytes)?;
        let format = match (kind, format) {
            (1, 1) => Format::V1,
            (1, 2) => Format::V2,
            _ => return Err(FrameError::Malformed),
        };
        if start <= end && end <= length {
            Ok(Self { file, format, length, start, end })
        } else {
            Err(FrameError::Malformed)
        }
    }
}

/// Answer to a request for content, up to the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentAnswer {
    /// The bytes follow.
    Header(ContentHeader),
    /// Nothing follows.
    Refused(Refusal),
}

impl Message for ContentAnswer {
    const MAX_LENGTH: usize = ContentHeader::MAX_LENGTH;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Header(header) => header.encode(),
            Self::Refused(refusal) => encode_refusal(*refusal),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match cbor::kind(bytes)? {
            3 => read_refusal(bytes).map(Self::Refused),
            _ => ContentHeader::read(bytes).map(Self::Header),
        }
    }
}

/// Answer to a request for metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataAnswer {
    /// The members that a file has for others than its owner; all others have their defaults.
    Metadata(Box<FileMetadata>),
    /// There are none.
    Refused(Refusal),
}

/// Kind, id, created at, by, by device, owner, owner's signature, length, hash, expiry, sealed metadata.
type WireMetadata = (u8, FileId, i64, Address, DeviceId, Address, Bytes, u64, Bytes, i64, Bytes);

impl Message for MetadataAnswer {
    const MAX_LENGTH: usize = MAX_SEALED_METADATA_LENGTH + MAX_OWNER_SIGNATURE_LENGTH + 512;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Metadata(metadata) => encode_metadata(metadata),
            Self::Refused(refusal) => encode_refusal(*refusal),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match cbor::kind(bytes)? {
            2 => read_metadata(bytes).map(|metadata| Self::Metadata(Box::new(metadata))),
            3 => read_refusal(bytes).map(Self::Refused),
            _ => Err(FrameError::Malformed),
        }
    }
}

fn encode_metadata(metadata: &FileMetadata) -> Vec<u8> {
    let wire: WireMetadata = (
        2,
        metadata.id.clone(),
        metadata.created_at.as_unix_milliseconds(),
        metadata.created_by.clone(),
        metadata.created_by_device.clone(),
        metadata.owner.clone(),
        Bytes(metadata.owner_signature.0.clone()),
        metadata.cipher_size,
        Bytes(metadata.cipher_hash.0.clone()),
        metadata.expires_at.as_unix_milliseconds(),
        Bytes(metadata.encrypted_properties.0.clone()),
    );
    cbor::encode(&wire)
}

fn read_metadata(bytes: &[u8]) -> Result<FileMetadata, FrameError> {
    let (_, id, created_at, created_by, device, owner, signature, cipher_size, hash, expires_at, properties): WireMetadata =
        cbor::decode(bytes)?;
    if signature.0.len() > MAX_OWNER_SIGNATURE_LENGTH || properties.0.len() > MAX_SEALED_METADATA_LENGTH {
        return Err(FrameError::TooLong);
    }
    // Of a format `v2` blob it need not be known: the root covers the blob.
    if !matches!(hash.0.len(), 0 | Sha512Hash::LENGTH) {
        return Err(FrameError::Malformed);
    }
    Ok(FileMetadata {
        id,
        created_at: Timestamp::from_unix_milliseconds(created_at),
        created_by,
        created_by_device: device,
        modified_at: None,
        modified_by: None,
        modified_by_device: None,
        deleted_at: None,
        deleted_by: None,
        deleted_by_device: None,
        owner,
        owner_signature: signature.0.into(),
        ownership_is_locked: false,
        cipher_size,
        cipher_hash: hash.0.into(),
        expires_at: Timestamp::from_unix_milliseconds(expires_at),
        encrypted_properties: properties.0.into(),
    })
}

/// Number of a refusal in the answers of this protocol and of `/enlace/token/1`.
pub(super) const REFUSED: u8 = 3;

pub(super) fn encode_refusal(refusal: Refusal) -> Vec<u8> {
    cbor::encode(&(REFUSED, refusal.number()))
}

pub(super) fn read_refusal(bytes: &[u8]) -> Result<Refusal, FrameError> {
    cbor::decode(bytes).map(|(_, number): (u8, u8)| Refusal::of_number(number))
}
