//! Renders as a whole: each parameter by the pixels of its result, and what hostile images do.

mod hostile;
mod pixels;

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};

use crate::{Limits, Parameters, PreviewError, render};

pub(crate) const RED: [u8; 4] = [255, 0, 0, 255];
pub(crate) const GREEN: [u8; 4] = [0, 255, 0, 255];
pub(crate) const BLUE: [u8; 4] = [0, 0, 255, 255];

pub(crate) fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Images of 24x16 pixels by other encoders, which write what ours cannot: from red on the left to blue on the right.
pub(crate) const OTHERS: [&[u8]; 5] = [
    include_bytes!("tests/data/progressive.jpg"),
    include_bytes!("tests/data/cmyk.jpg"),
    include_bytes!("tests/data/lossy.webp"),
    include_bytes!("tests/data/lossy-alpha.webp"),
    include_bytes!("tests/data/animated-lossy.webp"),
];

/// Two frames of 24x16 pixels, the first one red, the second one blue.
pub(crate) const ANIMATED: [&[u8]; 2] =
    [include_bytes!("tests/data/animated.gif"), include_bytes!("tests/data/animated.webp")];

/// A PNG image in one colour.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(RgbaImage::from_pixel(width, height, Rgba(RED)), ImageFormat::Png)
}

/// Thirds in red, green and blue, from left to right.
pub(crate) fn thirds(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| Rgba([RED, GREEN, BLUE][(3 * x / width) as usize]))
}

pub(crate) fn rendered(source: &[u8], pairs: &[(&str, &str)]) -> Result<RgbaImage, PreviewError> {
    let parameters = Parameters::parse(pairs.iter().copied()).unwrap();
    let preview = render(source, &parameters, &Limits::default())?;
    Ok(image::load_from_memory(&preview.bytes).unwrap().into_rgba8())
}
