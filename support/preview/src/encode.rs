//! Writing a preview.

use std::io::{self, ErrorKind, Write};

use image::codecs::{gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder, RgbaImage};

use crate::parameters::Color;
use crate::{Output, PreviewError, canvas};

/// The quality of JPEG previews of images that are not JPEG.
pub(crate) const DEFAULT_QUALITY: u8 = 90;
/// The least quality that the encoder knows; 0 means the same.
pub(crate) const LEAST_QUALITY: u8 = 1;
/// What is behind transparent pixels in formats without transparency, if no background is asked for.
const BEHIND: Color = Color::WHITE;
/// From 1, the best colours, to 30.
const GIF_SPEED: i32 = 10;

/// How a picture is written.
pub(crate) struct Encoding {
    pub(crate) output: Output,
    /// Of JPEG: 1 to 100; smaller is 1.
    pub(crate) quality: u8,
    /// What is behind transparent pixels in formats without transparency.
    pub(crate) background: Option<Color>,
    pub(crate) profile: Option<Vec<u8>>,
    /// Bytes that the result may have.
    pub(crate) limit: u64,
}

/// # Errors
/// The format does not allow the size of the picture, or the result is longer than the limit.
pub(crate) fn encode(mut picture: RgbaImage, encoding: Encoding) -> Result<Vec<u8>, PreviewError> {
    if !encoding.output.has_alpha() {
        canvas::flatten(&mut picture, encoding.background.unwrap_or(BEHIND));
    }
    let mut file = Bounded { bytes: Vec::new(), limit: encoding.limit, is_exceeded: false };
    let written = match encoding.output {
        Output::Jpeg => {
            let quality = encoding.quality.max(LEAST_QUALITY);
            write(JpegEncoder::new_with_quality(&mut file, quality), opaque(picture), encoding.profile)
        }
        Output::Png => write(PngEncoder::new(&mut file), opaque(picture), encoding.profile),
        Output::Webp => write(WebPEncoder::new_lossless(&mut file), opaque(picture), encoding.profile),
        // Has no colour profiles.
        Output::Gif => write_gif(&mut file, opaque(picture)),
    };
    // First, since what an encoder writes when it is dropped does not reach its result.
    if file.is_exceeded {
        return Err(PreviewError::OutputTooLarge { limit: file.limit });
    }
    written.map_err(|error| PreviewError::Unencodable { reason: error.to_string() })?;
    // What is kept and sent takes as much memory as it is long.
    file.bytes.shrink_to_fit();
    Ok(file.bytes)
}

/// Bytes up to a limit.
struct Bounded {
    /// At most `limit` of them.
    bytes: Vec<u8>,
    limit: u64,
    /// Something did not fit.
    is_exceeded: bool,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.is_exceeded |= (self.bytes.len() + piece.len()) as u64 > self.limit;
        if self.is_exceeded {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(mut encoder: impl ImageEncoder, picture: DynamicImage, profile: Option<Vec<u8>>) -> image::ImageResult<()> {
    if let Some(profile) = profile {
        // A format that does not take it shows the same pixels.
        let _ = encoder.set_icc_profile(profile);
    }
    encoder.write_image(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())
}

fn write_gif(file: &mut Bounded, picture: DynamicImage) -> image::ImageResult<()> {
    let color = ExtendedColorType::from(picture.color());
    GifEncoder::new_with_speed(file, GIF_SPEED).encode(picture.as_bytes(), picture.width(), picture.height(), color)
}

/// Leaves alpha out if no pixel needs it.
fn opaque(picture: RgbaImage) -> DynamicImage {
    if picture.pixels().all(|pixel| pixel[3] == u8::MAX) {
        DynamicImage::from(picture).into_rgb8().into()
    } else {
        picture.into()
    }
}
