//! Turning a picture by any angle.

use image::{Rgba, RgbaImage, imageops};

use crate::PreviewError;
use crate::stop::Stop;

/// Rows between two looks at whether anybody still waits.
const ROWS_PER_CHECK: u32 = 256;

/// The size of a picture after it was turned by `degrees`.
pub(crate) fn size(size: (u64, u64), degrees: u32) -> (u64, u64) {
    match degrees % 180 {
        0 => size,
        90 => (size.1, size.0),
        _ => {
            let (horizontal, vertical) = Turn::new(size, degrees).bounds();
            (horizontal.length, vertical.length)
        }
    }
}

/// Turns a picture clockwise. What it does not cover is transparent.
///
/// # Errors
/// Nobody waits any more.
pub(crate) fn rotate(picture: RgbaImage, degrees: u32, stop: &Stop) -> Result<RgbaImage, PreviewError> {
    match degrees % 360 {
        0 => return Ok(picture),
        90 => return Ok(imageops::rotate90(&picture)),
        180 => return Ok(imageops::rotate180(&picture)),
        270 => return Ok(imageops::rotate270(&picture)),
        _ => {}
    }
    let turn = Turn::new((picture.width().into(), picture.height().into()), degrees);
    let (horizontal, vertical) = turn.bounds();
    let mut turned = RgbaImage::new(side(horizontal.length)?, side(vertical.length)?);
    for (y, row) in turned.enumerate_rows_mut() {
        if y % ROWS_PER_CHECK == 0 {
            stop.check()?;
        }
        for (x, _, pixel) in row {
            let (from_x, from_y) =
                turn.source(horizontal.start + f64::from(x) + 0.5, vertical.start + f64::from(y) + 0.5);
            *pixel = sample(&picture, from_x - 0.5, from_y - 0.5);
        }
    }
    Ok(turned)
}

fn side(length: u64) -> Result<u32, PreviewError> {
    u32::try_from(length).map_err(|_| PreviewError::PreviewTooLarge { width: length, height: length })
}

/// A turn around the centre of a picture, in whose coordinates the result is described, too.
struct Turn {
    sine: f64,
    cosine: f64,
    center: (f64, f64),
}

/// Whole pixels on one axis.
struct Span {
    start: f64,
    length: u64,
}

impl Turn {
    fn new((width, height): (u64, u64), degrees: u32) -> Self {
        let (sine, cosine) = f64::from(degrees).to_radians().sin_cos();
        Self { sine, cosine, center: (width as f64 / 2.0, height as f64 / 2.0) }
    }

    /// The pixels that the turned picture touches, with half of one as a margin: 300x100 turned by 45 degrees is 284x284.
    fn bounds(&self) -> (Span, Span) {
        let (x, y) = self.center;
        let (sine, cosine) = (self.sine.abs(), self.cosine.abs());
        let span = |center: f64, half: f64| {
            let start = (center - half - 0.5).floor();
            Span { start, length: (center + half - start + 0.5).ceil() as u64 }
        };
        (span(x, x * cosine + y * sine), span(y, x * sine + y * cosine))
    }

    /// Where a point of the result comes from.
    fn source(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (x - self.center.0, y - self.center.1);
        (x * self.cosine + y * self.sine + self.center.0, y * self.cosine - x * self.sine + self.center.1)
    }
}

/// The colour between four pixels, of which each counts by its distance and its alpha. Outside of the picture is transparent.
fn sample(picture: &RgbaImage, x: f64, y: f64) -> Rgba<u8> {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    if x <= -1.0 || y <= -1.0 || x >= width || y >= height {
        return Rgba([0; 4]);
    }
    let (left, top) = (x.floor(), y.floor());
    let (right_share, bottom_share) = ((x - left) as f32, (y - top) as f32);
    let mut sum = [0.0_f32; 4];
    for (column, row, share) in [
        (left, top, (1.0 - right_share) * (1.0 - bottom_share)),
        (left + 1.0, top, right_share * (1.0 - bottom_share)),
        (left, top + 1.0, (1.0 - right_share) * bottom_share),
        (left + 1.0, top + 1.0, right_share * bottom_share),
    ] {
        if column < 0.0 || row < 0.0 || column >= width || row >= height {
            continue;
        }
        let [red, green, blue, alpha] = picture.get_pixel(column as u32, row as u32).0.map(f32::from);
        let weight = share * alpha;
        for (sum, value) in sum.iter_mut().zip([red * weight, green * weight, blue * weight, weight]) {
            *sum += value;
        }
    }
    let [red, green, blue, alpha] = sum;
    if alpha <= 0.0 {
        return Rgba([0; 4]);
    }
    Rgba([red / alpha, green / alpha, blue / alpha, alpha].map(|value| value.round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Rgba<u8> = Rgba([255, 0, 0, 255]);
    const CLEAR: Rgba<u8> = Rgba([0; 4]);

    #[test]
    fn the_size_of_a_turned_picture() {
        for (before, degrees, after) in [
            ((300, 100), 45, (284, 284)),
            ((300, 100), 315, (284, 284)),
            ((300, 100), 90, (100, 300)),
            ((300, 100), 180, (300, 100)),
            ((300, 100), 270, (100, 300)),
            ((300, 100), 0, (300, 100)),
        ] {
            assert_eq!(size(before, degrees), after, "{before:?} {degrees}");
        }
    }

    #[test]
    fn a_turn_is_clockwise_and_transparent_outside() {
        // The left end is red; turned clockwise by 45 degrees it is at the top left, by 90 at the top.
        let mut picture = RgbaImage::from_pixel(300, 100, Rgba([0, 0, 255, 255]));
        for y in 0..100 {
            for x in 0..100 {
                picture.put_pixel(x, y, RED);
            }
        }
        let turned = rotate(picture.clone(), 45, &Stop::default()).unwrap();
        assert_eq!(turned.dimensions(), (284, 284));
        assert_eq!(turned.get_pixel(70, 70), &RED);
        assert_eq!(turned.get_pixel(213, 213), &Rgba([0, 0, 255, 255]));
        for corner in [(0, 0), (283, 0), (0, 283), (283, 283)] {
            assert_eq!(turned.get_pixel(corner.0, corner.1), &CLEAR, "{corner:?}");
        }
        let turned = rotate(picture, 90, &Stop::default()).unwrap();
        assert_eq!(turned.get_pixel(50, 0), &RED);
        assert_eq!(turned.get_pixel(50, 299), &Rgba([0, 0, 255, 255]));
    }

    #[test]
    fn colors_of_transparent_pixels_do_not_bleed_into_edges() {
        let mut picture = RgbaImage::from_pixel(20, 20, Rgba([0, 255, 0, 0]));
        for y in 5..15 {
            for x in 5..15 {
                picture.put_pixel(x, y, RED);
            }
        }
        let turned = rotate(picture, 30, &Stop::default()).unwrap();
        assert!(turned.pixels().all(|pixel| pixel[3] == 0 || (pixel[0] == 255 && pixel[1] == 0)));
    }
}
