//! What tests and fuzz targets of other packages read with the parsers of this one.

use http::HeaderMap;
use transport::wire::UploadId;
use transport::wire::backbone::uploads::FinishUpload;

use crate::web::tus::{self, Creation, Metadata};

/// What a request that creates an upload asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct UploadRequest {
    /// Bytes of the upload, if it says so.
    pub length: Option<u64>,
    /// Whether it is an upload of its own, and not one that is put together of others.
    pub is_new: bool,
    /// Whether it becomes a part of another one.
    pub is_partial: bool,
    /// The identifiers of those that it is put together of.
    pub parts: Vec<String>,
    /// As they were sent.
    pub metadata: String,
}

/// Reads all headers of the tus protocol. Returns what is created, if that can be read.
#[must_use]
pub fn read_upload_request(headers: &HeaderMap) -> Option<UploadRequest> {
    // Those of other requests.
    let _ = (tus::offset(headers), tus::length(headers), tus::checksum(headers));
    let request = match tus::creation(headers).ok()? {
        Creation::New(new) => UploadRequest {
            length: new.length,
            is_new: true,
            is_partial: new.is_partial,
            parts: Vec::new(),
            metadata: new.metadata,
        },
        Creation::Whole(parts, metadata) => UploadRequest {
            length: None,
            is_new: false,
            is_partial: false,
            parts: parts.iter().map(UploadId::to_string).collect(),
            metadata,
        },
    };
    let _ = Metadata::parse(&request.metadata).ok()?.completed_by(FinishUpload::default());
    Some(request)
}
