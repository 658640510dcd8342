//! Why a request about an upload is refused.

use transport::wire::backbone::uploads;

use super::checksum::Algorithm;

/// Why a request about an upload is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadRefusal {
    /// The bytes do not go on where the acknowledged ones end.
    #[error("the upload has {offset} bytes; go on behind them")]
    OffsetConflict {
        /// Bytes that are acknowledged.
        offset: u64,
    },
    /// Another request appends to it.
    #[error("another request sends bytes of this upload; try again when it has ended")]
    Locked,
    /// The bytes come as something else.
    #[error("send the bytes with the content type {}", uploads::CONTENT_TYPE)]
    WrongContentType,
    /// The client speaks another version of the protocol.
    #[error("the header Tus-Resumable must be {}", uploads::VERSION)]
    WrongVersion,
    /// The checksum of the bytes is another one than was said.
    #[error("the bytes do not have the checksum that was sent with them; send them again")]
    ChecksumMismatch,
    /// Nobody computes this checksum here.
    #[error("unknown checksum algorithm; use one of {}", Algorithm::NAMES)]
    UnknownAlgorithm,
    /// It is larger than the server takes.
    #[error("a file may have at most {limit} bytes here; ask the operator for more")]
    TooLarge {
        /// Bytes it takes.
        limit: u64,
    },
    /// There is more than the upload was said to have.
    #[error("the upload has {length} bytes in total, and this is more")]
    BeyondLength {
        /// Bytes of the whole upload.
        length: u64,
    },
    /// The length is known and another one.
    #[error("the length of the upload is {length} already")]
    LengthIsKnown {
        /// Bytes of the whole upload.
        length: u64,
    },
    /// The identity has too many.
    #[error("there are {limit} unfinished uploads already; finish or delete one of them")]
    TooMany {
        /// How many it may have.
        limit: usize,
    },
    /// It was put together of others.
    #[error("an upload that was put together of others takes no further bytes")]
    IsFinal,
    /// It becomes a part of another one.
    #[error("a partial upload becomes no file; put it together with others first")]
    IsPartial,
    /// Nobody can follow it.
    #[error("an upload that is a part of another one, or was put together, cannot be shown before it ends")]
    NotPreviewable,
    /// Whoever follows asks for bytes that are not there yet.
    #[error("there are {offset} bytes so far; ask for those behind a smaller number")]
    BeyondOffset {
        /// Bytes that are acknowledged.
        offset: u64,
    },
    /// What is put together has to be partial.
    #[error("only partial uploads can be put together")]
    IsNotPartial,
    /// Bytes are missing.
    #[error("the upload has {offset} of {} bytes; send the rest first", length.map_or("an unknown number of".to_owned(), |length| length.to_string()))]
    Incomplete {
        /// Bytes that are acknowledged.
        offset: u64,
        /// Bytes of the whole upload, if its sender said so.
        length: Option<u64>,
    },
    /// The hash of the whole is another one than was said.
    #[error("the SHA-512 of the bytes is not the cipherHash; delete the upload and send the file again")]
    HashMismatch,
}
