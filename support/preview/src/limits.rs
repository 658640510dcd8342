//! The bounds of one image.

/// The most bytes that an image may have; larger ones get an icon ([`crate::Icon::instead_of`]).
pub const INPUT_BYTES: u64 = 20_000_000;
/// The longest side, in pixels, of an image and of its preview.
pub const SIDE: u32 = 16_384;
/// The most pixels of an image and of its preview: what the largest sensors of phones have.
pub const PIXELS: u64 = 50_000_000;
/// The most bytes of a preview. More than [`INPUT_BYTES`], since an image that keeps its size may be encoded less tightly than it was.
pub const OUTPUT_BYTES: u64 = 24 << 20;
/// The most bytes of memory that a render may take beside its input; see [`Limits::memory`]. Enough for the largest preview that
/// the parameters describe: 4000x4000 pixels with a border of 100, turned by 45 degrees.
pub const MEMORY: u64 = 448 << 20;

/// What an image may be before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the encoded image.
    pub input_bytes: u64,
    /// Pixels of the longer side, of the image and of the preview.
    pub side: u32,
    /// Pixels in total, of the image and of the preview.
    pub pixels: u64,
    /// Bytes of the encoded preview.
    pub output_bytes: u64,
    /// Bytes of memory: the decoded image, its preview, and what decoder and encoder need beside them. It is computed from the
    /// dimensions before anything is allocated. The input is not part of it; a JPEG image is copied once by its decoder.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { input_bytes: INPUT_BYTES, side: SIDE, pixels: PIXELS, output_bytes: OUTPUT_BYTES, memory: MEMORY }
    }
}

impl Limits {
    /// Whether an image of this size may be decoded or made.
    pub(crate) fn allow(&self, width: u64, height: u64) -> bool {
        let side = u64::from(self.side);
        width <= side && height <= side && width * height <= self.pixels
    }
}
