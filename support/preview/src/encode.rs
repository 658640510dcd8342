//! Writing a preview.

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
}

/// # Errors
/// The format does not allow the size of the picture.
pub(crate) fn encode(mut picture: RgbaImage, encoding: Encoding) -> Result<Vec<u8>, PreviewError> {
    if !encoding.output.has_alpha() {
        canvas::flatten(&mut picture, encoding.background.unwrap_or(BEHIND));
    }
    let mut bytes = Vec::new();
    let written = match encoding.output {
        Output::Jpeg => {
            let quality = encoding.quality.max(LEAST_QUALITY);
            write(JpegEncoder::new_with_quality(&mut bytes, quality), opaque(picture), encoding.profile)
        }
        Output::Png => write(PngEncoder::new(&mut bytes), opaque(picture), encoding.profile),
        Output::Webp => write(WebPEncoder::new_lossless(&mut bytes), opaque(picture), encoding.profile),
        // Has no colour profiles.
        Output::Gif => write_gif(&mut bytes, opaque(picture)),
    };
    written.map_err(|error| PreviewError::Unencodable { reason: error.to_string() })?;
    Ok(bytes)
}

fn write(mut encoder: impl ImageEncoder, picture: DynamicImage, profile: Option<Vec<u8>>) -> image::ImageResult<()> {
    if let Some(profile) = profile {
        // A format that does not take it shows the same pixels.
        let _ = encoder.set_icc_profile(profile);
    }
    encoder.write_image(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())
}

fn write_gif(bytes: &mut Vec<u8>, picture: DynamicImage) -> image::ImageResult<()> {
    let color = ExtendedColorType::from(picture.color());
    GifEncoder::new_with_speed(bytes, GIF_SPEED).encode(picture.as_bytes(), picture.width(), picture.height(), color)
}

/// Leaves alpha out if no pixel needs it.
fn opaque(picture: RgbaImage) -> DynamicImage {
    if picture.pixels().all(|pixel| pixel[3] == u8::MAX) {
        DynamicImage::from(picture).into_rgb8().into()
    } else {
        picture.into()
    }
}
