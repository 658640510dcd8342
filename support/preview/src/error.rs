//! Why there is no preview.

use std::sync::Arc;

/// Why there is no preview. All callers that wait for the same render get the same error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// The content has more bytes than [`crate::Limits::input_bytes`].
    #[error("an image of {bytes} bytes is too large for a preview; the limit is {limit} bytes")]
    InputTooLarge {
        /// What the content has.
        bytes: u64,
        /// What it may have.
        limit: u64,
    },
    /// The image has more pixels than the limits allow, or decoding it would take more memory.
    #[error("an image of {width}x{height} pixels is too large for a preview; download the file instead")]
    ResolutionExceeded {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// The preview itself would be too large.
    #[error("a preview of {width}x{height} pixels is too large; ask for a smaller width and height")]
    PreviewTooLarge {
        /// Pixels.
        width: u64,
        /// Pixels.
        height: u64,
    },
    /// The encoded preview would have more bytes than [`crate::Limits::output_bytes`].
    #[error("the preview would have more than {limit} bytes; ask for a smaller one, or for output=jpg")]
    OutputTooLarge {
        /// What it may have.
        limit: u64,
    },
    /// The content is not a JPEG, PNG, WebP or GIF image.
    #[error("the content is not an image in a format that this build decodes: JPEG, PNG, WebP or GIF")]
    UnknownFormat,
    /// The content begins as an image, but it cannot be decoded.
    #[error("the image cannot be decoded: {reason}")]
    Undecodable {
        /// What the decoder says.
        reason: String,
    },
    /// The preview cannot be encoded.
    #[error("the preview cannot be encoded: {reason}")]
    Unencodable {
        /// What the encoder says.
        reason: String,
    },
    /// All places are taken, and so are those where renders wait; or neither a place nor memory for the result became free in time.
    #[error("too many previews are being rendered; try again later")]
    Busy,
    /// The render took longer than [`crate::pool::Settings::time`].
    #[error("the preview took longer than {seconds} seconds; ask for a smaller one or download the file")]
    TimeExceeded {
        /// The limit.
        seconds: u64,
    },
    /// Nobody waits for the preview any more.
    #[error("the preview was given up")]
    Cancelled,
    /// The decoder or the encoder failed in a way that it should not.
    #[error("the preview could not be rendered because of an internal error")]
    Failed,
    /// The content could not be loaded.
    #[error("the content could not be loaded")]
    Load(#[source] Arc<dyn std::error::Error + Send + Sync>),
}
