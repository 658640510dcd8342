//! What is drawn on a picture after it has its size.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8x3, U8x4};
use fast_image_resize::{PixelTrait, ResizeOptions, Resizer};
use image::{DynamicImage, RgbImage, Rgba, RgbaImage, imageops};

use crate::PreviewError;
use crate::parameters::Color;
use crate::plan::Plan;

/// Scales the part of an image that remains.
///
/// # Errors
/// [`PreviewError::Failed`] if the image is not what it was planned for.
pub(crate) fn scale(image: DynamicImage, plan: &Plan) -> Result<RgbaImage, PreviewError> {
    if !plan.scales {
        return Ok(image.into_rgba8());
    }
    let (width, height) = plan.size;
    let scaled = if image.color().has_alpha() {
        RgbaImage::from_raw(width, height, resize::<U8x4>(image, plan)?)
    } else {
        RgbImage::from_raw(width, height, resize::<U8x3>(image, plan)?)
            .map(|opaque| DynamicImage::from(opaque).into_rgba8())
    };
    scaled.ok_or(PreviewError::Failed)
}

/// For one type of pixels: a call for any type would compile all of them.
fn resize<P: PixelTrait>(image: DynamicImage, plan: &Plan) -> Result<Vec<u8>, PreviewError> {
    let (width, height) = plan.size;
    let source = TypedImageRef::<P>::from_buffer(image.width(), image.height(), image.as_bytes());
    let source = source.map_err(|_| PreviewError::Failed)?;
    let mut pixels = vec![0; width as usize * height as usize * size_of::<P>()];
    let mut scaled = TypedImage::<P>::from_buffer(width, height, &mut pixels).map_err(|_| PreviewError::Failed)?;
    let crop = plan.crop;
    let options = ResizeOptions::new().crop(crop.left, crop.top, crop.width, crop.height);
    Resizer::new().resize_typed(&source, &mut scaled, &options).map_err(|_| PreviewError::Failed)?;
    Ok(pixels)
}

/// Makes the whole picture more transparent; 255 changes nothing.
pub(crate) fn fade(picture: &mut RgbaImage, opacity: u8) {
    if opacity < u8::MAX {
        for pixel in picture.pixels_mut() {
            pixel[3] = share(pixel[3], opacity);
        }
    }
}

/// Puts a colour behind the picture, which is opaque then.
pub(crate) fn flatten(picture: &mut RgbaImage, Color(background): Color) {
    for pixel in picture.pixels_mut() {
        let alpha = pixel[3];
        for (value, behind) in pixel.0.iter_mut().zip(background) {
            *value = mix(*value, behind, alpha);
        }
        pixel[3] = u8::MAX;
    }
}

/// Puts a border of `width` pixels around the picture.
pub(crate) fn frame(picture: RgbaImage, width: u32, Color([red, green, blue]): Color) -> RgbaImage {
    if width == 0 {
        return picture;
    }
    let color = Rgba([red, green, blue, u8::MAX]);
    let mut framed = RgbaImage::from_pixel(picture.width() + 2 * width, picture.height() + 2 * width, color);
    imageops::replace(&mut framed, &picture, width.into(), width.into());
    framed
}

/// Rounds the corners; a radius above half of a side is half of it.
pub(crate) fn round_corners(picture: &mut RgbaImage, radius: u32) {
    let (width, height) = picture.dimensions();
    let radius = f64::from(radius).min(f64::from(width) / 2.0).min(f64::from(height) / 2.0);
    if radius <= 0.0 {
        return;
    }
    let rows = radius.ceil() as u32;
    for y in (0..rows).chain(height.saturating_sub(rows).max(rows)..height) {
        for x in (0..rows).chain(width.saturating_sub(rows).max(rows)..width) {
            let coverage =
                (radius - from_center(x, width, radius).hypot(from_center(y, height, radius)) + 0.5).clamp(0.0, 1.0);
            let pixel = picture.get_pixel_mut(x, y);
            pixel[3] = share(pixel[3], (coverage * 255.0).round() as u8);
        }
    }
}

/// How far the middle of a pixel is outside of the centres of the corners' circles, on one axis.
fn from_center(position: u32, length: u32, radius: f64) -> f64 {
    let middle = f64::from(position) + 0.5;
    (radius - middle).max(middle - (f64::from(length) - radius)).max(0.0)
}

/// `value` by `of` 255ths, rounded.
fn share(value: u8, of: u8) -> u8 {
    mix(value, 0, of)
}

fn mix(front: u8, behind: u8, alpha: u8) -> u8 {
    let [front, behind, alpha] = [front, behind, alpha].map(u32::from);
    // At most 255.
    ((front * alpha + behind * (255 - alpha) + 127) / 255) as u8
}
