//! Reading an image that anybody may have made.

use std::io::Cursor;

use image::codecs::{gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat};

use crate::{Limits, Output, PreviewError, jpeg, webp};

/// Bytes that a decoder may allocate for what is not pixels, such as a compressed colour profile. A WebP image with longer metadata is
/// refused.
const METADATA_BYTES: u64 = 4 << 20;
/// Bytes of a colour profile that is passed on to the preview; a larger one is left out.
const PROFILE_BYTES: usize = 64 << 10;

/// An image whose head has been read, and nothing else.
pub(crate) struct Source<'a> {
    pub(crate) head: Head,
    decoder: Box<dyn ImageDecoder + 'a>,
}

/// What is known of an image before it is decoded.
pub(crate) struct Head {
    /// Pixels, not zero.
    pub(crate) width: u32,
    /// Pixels, not zero.
    pub(crate) height: u32,
    /// How to turn the image so that it is upright.
    pub(crate) orientation: Orientation,
    /// Whether pixels can be transparent.
    pub(crate) alpha: bool,
    /// Bytes that decoding takes, with the decoded image in eight bits a channel.
    pub(crate) decode_bytes: u64,
    /// The colour profile, of a colour space of red, green and blue.
    pub(crate) profile: Option<Vec<u8>>,
    /// That of a JPEG image.
    pub(crate) quality: Option<u8>,
    /// The format of the image.
    pub(crate) format: Output,
}

impl Head {
    /// Bytes of a pixel in the decoded image.
    pub(crate) fn pixel_bytes(&self) -> u64 {
        if self.alpha { 4 } else { 3 }
    }
}

impl<'a> Source<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// The format is unknown, the head cannot be read, or the image is larger than the limits.
    pub(crate) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, PreviewError> {
        let length = bytes.len() as u64;
        if length > limits.input_bytes {
            return Err(PreviewError::InputTooLarge { bytes: length, limit: limits.input_bytes });
        }
        let format = format(bytes)?;
        if format == Output::Png {
            check_png_size(bytes, limits)?;
        }
        let mut decoder = decoder(bytes, format)?;
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err(PreviewError::Undecodable { reason: "it has no pixels".to_owned() });
        }
        if !limits.allow(width.into(), height.into()) {
            return Err(PreviewError::ResolutionExceeded { width, height });
        }
        if format == Output::Webp {
            let checked = webp::check(bytes, METADATA_BYTES);
            checked.map_err(|reason| PreviewError::Undecodable { reason: reason.to_owned() })?;
        }
        let jpeg = (format == Output::Jpeg).then(|| jpeg::head(bytes));
        let beside = match &jpeg {
            // Coefficients of progressive images, 16 bits each.
            Some(jpeg) => 2 * u64::from(jpeg.components),
            None => beside_pixels(format),
        };
        let decoded = decoder.total_bytes();
        let converted = eight_bits(decoder.color_type());
        let pixels = u64::from(width) * u64::from(height);
        let head = Head {
            width,
            height,
            // Where it cannot be read, the image is still an image.
            orientation: decoder.orientation().unwrap_or(Orientation::NoTransforms),
            alpha: decoder.color_type().has_alpha(),
            decode_bytes: decoded + pixels * (beside + converted) + METADATA_BYTES,
            profile: decoder.icc_profile().ok().flatten().filter(|profile| is_rgb_profile(profile)),
            quality: jpeg.and_then(|jpeg| jpeg.quality),
            format,
        };
        // Of a GIF image, a frame may be larger than the image.
        let mut bound = image::Limits::no_limits();
        bound.max_alloc = Some(decoded + METADATA_BYTES);
        decoder.set_limits(bound).map_err(undecodable)?;
        Ok(Self { head, decoder })
    }

    /// Decodes the image, of an animation the first frame, to eight bits a channel: red, green, blue, and alpha if it has that.
    ///
    /// # Errors
    /// The image is damaged.
    pub(crate) fn decode(self) -> Result<DynamicImage, PreviewError> {
        let (width, height) = (self.head.width, self.head.height);
        let image = DynamicImage::from_decoder(self.decoder).map_err(|error| match error {
            ImageError::Limits(_) => PreviewError::ResolutionExceeded { width, height },
            other => undecodable(other),
        })?;
        Ok(match image {
            DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => image,
            other if self.head.alpha => other.into_rgba8().into(),
            other => other.into_rgb8().into(),
        })
    }
}

fn format(bytes: &[u8]) -> Result<Output, PreviewError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Ok(Output::Jpeg),
        Ok(ImageFormat::Png) => Ok(Output::Png),
        Ok(ImageFormat::WebP) => Ok(Output::Webp),
        Ok(ImageFormat::Gif) => Ok(Output::Gif),
        _ => Err(PreviewError::UnknownFormat),
    }
}

/// The size is at a fixed place ([PNG, section 11.2.1](https://www.w3.org/TR/png-3/#11IHDR)). The decoder would say of a row that it cannot
/// allocate only that.
fn check_png_size(bytes: &[u8], limits: &Limits) -> Result<(), PreviewError> {
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|number| u32::from_be_bytes(*number));
    match (number(16), number(20)) {
        (Some(width), Some(height)) if !limits.allow(width.into(), height.into()) => {
            Err(PreviewError::ResolutionExceeded { width, height })
        }
        _ => Ok(()),
    }
}

fn decoder<'a>(bytes: &'a [u8], format: Output) -> Result<Box<dyn ImageDecoder + 'a>, PreviewError> {
    let input = Cursor::new(bytes);
    let mut metadata = image::Limits::no_limits();
    metadata.max_alloc = Some(METADATA_BYTES);
    let decoder: Box<dyn ImageDecoder + 'a> = match format {
        Output::Jpeg => Box::new(JpegDecoder::new(input).map_err(undecodable)?),
        Output::Png => Box::new(PngDecoder::with_limits(input, metadata).map_err(undecodable)?),
        Output::Webp => Box::new(WebPDecoder::new(input).map_err(undecodable)?),
        Output::Gif => Box::new(GifDecoder::new(input).map_err(undecodable)?),
    };
    Ok(decoder)
}

/// Bytes that a decoder needs for a pixel beside the decoded image.
fn beside_pixels(format: Output) -> u64 {
    match format {
        // Rows only
        Output::Png => 0,
        // The frame, if it does not cover the image.
        Output::Gif => 4,
        // A frame of an animation and the canvas that it is laid on, each with alpha, or the planes of a lossy picture.
        Output::Webp => 8,
        Output::Jpeg => 8,
    }
}

/// Bytes of a pixel after the conversion to eight bits with colours, if it is necessary.
fn eight_bits(color: ColorType) -> u64 {
    match color {
        ColorType::Rgb8 | ColorType::Rgba8 => 0,
        other if other.has_alpha() => 4,
        _ => 3,
    }
}

/// Bytes 16 to 19 of a profile are its colour space ([ICC.1, section 7.2](https://www.color.org/specification/ICC.1-2022-05.pdf)).
/// Others, of grey or printed images, do not fit the decoded pixels.
fn is_rgb_profile(profile: &[u8]) -> bool {
    profile.len() <= PROFILE_BYTES && profile.get(16..20) == Some(b"RGB ")
}

fn undecodable(error: ImageError) -> PreviewError {
    PreviewError::Undecodable { reason: error.to_string() }
}
