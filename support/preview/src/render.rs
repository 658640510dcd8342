//! From the bytes of an image to the bytes of its preview.
//!
//! The steps and their order: crop and scale, opacity, background, border, rounded corners, rotation, orientation of the source, format.
//! The orientation that a camera notes is applied last, so width, height and gravity refer to the picture as it is stored, and only where it is a
//! turn, not a mirror image. That is what clients of this interface know.

use bytes::Bytes;
use image::metadata::Orientation;
use image::{RgbaImage, imageops};

use crate::encode::{self, Encoding};
use crate::plan::Plan;
use crate::source::Source;
use crate::stop::Stop;
use crate::{Limits, Parameters, PreviewError, canvas, rotate};

/// An encoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The image; cheap to clone.
    pub bytes: Bytes,
    /// Its media type.
    pub media_type: &'static str,
}

/// Renders the preview of a JPEG, PNG, WebP or GIF image, of an animation that of its first frame. Without an output format in `parameters` it has
/// that of the image. Metadata are left out, but for a colour profile.
///
/// This takes as long as it takes: in an async task use [`crate::Pool`].
///
/// # Errors
/// The content is no image, cannot be decoded, or is larger than `limits`, which is known before memory is allocated for it; or its preview is.
pub fn render(bytes: &[u8], parameters: &Parameters, limits: &Limits) -> Result<Preview, PreviewError> {
    render_until(bytes, parameters, limits, &Stop::default())
}

/// The bytes of memory that [`render`] takes at the most.
pub(crate) fn measure(bytes: &[u8], parameters: &Parameters, limits: &Limits) -> Result<u64, PreviewError> {
    Ok(Plan::new(&Source::open(bytes, limits)?.head, parameters, limits)?.memory)
}

/// As [`render`], but gives up at the next step when nobody waits.
pub(crate) fn render_until(
    bytes: &[u8],
    parameters: &Parameters,
    limits: &Limits,
    stop: &Stop,
) -> Result<Preview, PreviewError> {
    stop.check()?;
    let mut source = Source::open(bytes, limits)?;
    let plan = Plan::new(&source.head, parameters, limits)?;
    let encoding = Encoding {
        output: parameters.output.unwrap_or(source.head.format),
        quality: parameters.quality.or(source.head.quality).unwrap_or(encode::DEFAULT_QUALITY),
        background: parameters.background,
        profile: source.head.profile.take(),
        limit: limits.output_bytes,
    };
    let orientation = source.head.orientation;
    let image = source.decode()?;
    stop.check()?;
    let picture = canvas::scale(image, &plan)?;
    stop.check()?;
    draw(picture, parameters, orientation, encoding, stop)
}

/// All steps after the picture has its size.
pub(crate) fn draw(
    mut picture: RgbaImage,
    parameters: &Parameters,
    orientation: Orientation,
    encoding: Encoding,
    stop: &Stop,
) -> Result<Preview, PreviewError> {
    if parameters.background.is_some() || encoding.output.has_alpha() {
        canvas::fade(&mut picture, parameters.opacity);
    }
    if let Some(background) = parameters.background {
        canvas::flatten(&mut picture, background);
    }
    let mut picture = canvas::frame(picture, parameters.border_width, parameters.border_color);
    canvas::round_corners(&mut picture, parameters.border_radius);
    stop.check()?;
    let picture = rotate::rotate(picture, parameters.rotation, stop)?;
    let picture = upright(picture, orientation);
    stop.check()?;
    let media_type = encoding.output.media_type();
    Ok(Preview { bytes: encode::encode(picture, encoding)?.into(), media_type })
}

/// Turns the picture as the camera says. Mirror images stay as they are stored.
fn upright(picture: RgbaImage, orientation: Orientation) -> RgbaImage {
    match orientation {
        Orientation::Rotate90 => imageops::rotate90(&picture),
        Orientation::Rotate180 => imageops::rotate180(&picture),
        Orientation::Rotate270 => imageops::rotate270(&picture),
        Orientation::NoTransforms
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => picture,
    }
}
