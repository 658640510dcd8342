//! The geometry of a preview and the memory that it takes, before anything is decoded.

use image::metadata::Orientation;

use crate::source::Head;
use crate::{Limits, Parameters, PreviewError, rotate};

/// Bytes that encoding takes for a pixel, with the pixels themselves: a copy of them and the encoded image, which is not larger.
const ENCODE_BYTES: u64 = 12;
/// Bytes of a pixel between decoding and encoding.
const CANVAS_BYTES: u64 = 4;
/// Bytes for tables, rows, and what rounds up to blocks of pixels.
const SLACK_BYTES: u64 = 4 << 20;
/// Rows beside a crop that scaling looks at.
const FILTER_ROWS: f64 = 8.0;

/// What happens to an image.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The part of the image that remains.
    pub(crate) crop: Crop,
    /// What that part is scaled to, in pixels.
    pub(crate) size: (u32, u32),
    /// Whether the image has to be scaled at all.
    pub(crate) scales: bool,
    /// Bytes of memory at the most.
    pub(crate) memory: u64,
}

/// A part of an image, in pixels and fractions of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crop {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Plan {
    /// # Errors
    /// The image or its preview is larger than the limits, or would take more memory.
    pub(crate) fn new(head: &Head, parameters: &Parameters, limits: &Limits) -> Result<Self, PreviewError> {
        let source = (u64::from(head.width), u64::from(head.height));
        let (width, height) = size(source, parameters);
        let border = 2 * u64::from(parameters.border_width);
        let bordered = (width + border, height + border);
        if !limits.allow(bordered.0, bordered.1) {
            return Err(PreviewError::PreviewTooLarge { width: bordered.0, height: bordered.1 });
        }
        let turned = rotate::size(bordered, parameters.rotation);
        let too_large = || PreviewError::PreviewTooLarge { width: turned.0, height: turned.1 };
        if !limits.allow(turned.0, turned.1) {
            return Err(too_large());
        }
        let size = (u32::try_from(width).map_err(|_| too_large())?, u32::try_from(height).map_err(|_| too_large())?);
        let scales = source != (width, height);
        let crop = crop(source, (width, height), parameters);
        let reading = reading_bytes(head, &crop, width, height) + SLACK_BYTES;
        if reading > limits.memory {
            return Err(PreviewError::ResolutionExceeded { width: head.width, height: head.height });
        }
        let drawing = drawing_bytes((width, height), bordered, turned, head.orientation) + SLACK_BYTES;
        if drawing > limits.memory {
            return Err(too_large());
        }
        Ok(Self { crop, size, scales, memory: reading.max(drawing) })
    }
}

/// The size before the border. Of width and height, one that is not given follows the other one, rounded down.
fn size((width, height): (u64, u64), parameters: &Parameters) -> (u64, u64) {
    match (u64::from(parameters.width), u64::from(parameters.height)) {
        (0, 0) => (width, height),
        (wanted, 0) => (wanted, (height * wanted / width).max(1)),
        (0, wanted) => ((width * wanted / height).max(1), wanted),
        both => both,
    }
}

/// The largest part with the proportions of the size, where the gravity wants it.
fn crop((width, height): (u64, u64), size: (u64, u64), parameters: &Parameters) -> Crop {
    let (source_width, source_height) = (width as f64, height as f64);
    if parameters.width == 0 || parameters.height == 0 {
        return Crop { left: 0.0, top: 0.0, width: source_width, height: source_height };
    }
    let scale = (size.0 as f64 / source_width).max(size.1 as f64 / source_height);
    let width = (size.0 as f64 / scale).min(source_width);
    let height = (size.1 as f64 / scale).min(source_height);
    let (horizontal, vertical) = parameters.gravity.shares();
    Crop { left: (source_width - width) * horizontal, top: (source_height - height) * vertical, width, height }
}

/// Decoding, or scaling what was decoded: with a copy of it if it has alpha, between both directions, and the result.
fn reading_bytes(head: &Head, crop: &Crop, width: u64, height: u64) -> u64 {
    let pixel = head.pixel_bytes();
    let decoded = u64::from(head.width) * u64::from(head.height) * pixel;
    let copy = if head.alpha { decoded } else { 0 };
    // The height of a crop is at most that of the image.
    let between = width * (crop.height + FILTER_ROWS).ceil() as u64 * pixel;
    head.decode_bytes.max(decoded + copy + between + width * height * (pixel + CANVAS_BYTES))
}

/// The most that exists at once: two canvases in each step, or what encoding needs.
fn drawing_bytes(size: (u64, u64), bordered: (u64, u64), turned: (u64, u64), orientation: Orientation) -> u64 {
    let pixels = |(width, height): (u64, u64)| width * height;
    let framing = pixels(size) + pixels(bordered);
    let turning = pixels(bordered) + pixels(turned);
    let righting = if orientation == Orientation::NoTransforms { 0 } else { 2 * pixels(turned) };
    (framing.max(turning).max(righting) * CANVAS_BYTES).max(pixels(turned) * ENCODE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Output, limits};

    fn head(width: u32, height: u32) -> Head {
        let decode_bytes = u64::from(width) * u64::from(height) * 9;
        let orientation = Orientation::NoTransforms;
        Head {
            width,
            height,
            orientation,
            alpha: false,
            decode_bytes,
            profile: None,
            quality: None,
            format: Output::Jpeg,
        }
    }

    fn plan(width: u32, height: u32, pairs: &[(&str, &str)]) -> Result<Plan, PreviewError> {
        Plan::new(&head(width, height), &Parameters::parse(pairs.iter().copied()).unwrap(), &Limits::default())
    }

    #[test]
    fn a_side_that_is_not_given_follows_the_other_one_rounded_down() {
        for (source, given, expected) in [
            ((640, 480), ("width", "300"), (300, 225)),
            ((641, 480), ("width", "300"), (300, 224)),
            ((640, 480), ("height", "100"), (133, 100)),
            ((3, 2), ("width", "4000"), (4000, 2666)),
            ((16_000, 1), ("width", "1"), (1, 1)),
        ] {
            assert_eq!(plan(source.0, source.1, &[given]).unwrap().size, expected, "{source:?} {given:?}");
        }
        assert_eq!(plan(640, 480, &[]).unwrap().size, (640, 480));
    }

    #[test]
    fn both_sides_crop_what_does_not_fit_where_the_gravity_says() {
        for (gravity, left) in
            [("left", 0.0), ("center", 100.0), ("right", 200.0), ("top", 100.0), ("bottom-right", 200.0)]
        {
            let plan = plan(400, 200, &[("width", "50"), ("height", "50"), ("gravity", gravity)]).unwrap();
            assert_eq!(plan.crop, Crop { left, top: 0.0, width: 200.0, height: 200.0 }, "{gravity}");
        }
        for (gravity, top) in [("top", 0.0), ("center", 100.0), ("bottom", 200.0), ("left", 100.0), ("top-left", 0.0)] {
            let plan = plan(200, 400, &[("width", "50"), ("height", "50"), ("gravity", gravity)]).unwrap();
            assert_eq!(plan.crop, Crop { left: 0.0, top, width: 200.0, height: 200.0 }, "{gravity}");
        }
    }

    #[test]
    fn the_largest_preview_of_the_largest_image_fits_the_memory() {
        let largest = [("width", "4000"), ("height", "4000"), ("borderWidth", "100"), ("rotation", "45")];
        let plan = plan(8000, 6250, &largest).unwrap();
        assert_eq!(u64::from(8000_u32) * 6250, limits::PIXELS);
        assert!(plan.memory <= limits::MEMORY, "{}", plan.memory);
    }

    #[test]
    fn a_preview_beyond_the_limits_is_refused_with_its_size() {
        let error = plan(1, 16_384, &[("width", "4000")]).unwrap_err();
        assert!(matches!(error, PreviewError::PreviewTooLarge { width: 4000, height: 65_536_000 }), "{error}");
        let error = plan(8000, 6250, &[("rotation", "45")]).unwrap_err();
        assert!(matches!(error, PreviewError::PreviewTooLarge { .. }), "{error}");
    }

    #[test]
    fn an_image_that_takes_more_memory_is_refused_at_the_limit() {
        let needed = plan(1000, 1000, &[("width", "10")]).unwrap().memory;
        let parameters = Parameters::parse([("width", "10")]).unwrap();
        let at = Limits { memory: needed, ..Limits::default() };
        assert!(Plan::new(&head(1000, 1000), &parameters, &at).is_ok());
        let below = Limits { memory: needed - 1, ..Limits::default() };
        let error = Plan::new(&head(1000, 1000), &parameters, &below).unwrap_err();
        assert!(matches!(error, PreviewError::ResolutionExceeded { width: 1000, height: 1000 }), "{error}");
    }
}
