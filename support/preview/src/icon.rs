//! What stands in for files that are not images, and for images above the limit: an icon of what the file is, drawn here.

use image::metadata::Orientation;
use image::{Rgba, RgbaImage};

use crate::encode::{self, Encoding};
use crate::parameters::Color;
use crate::plan::Plan;
use crate::render::{self, Preview};
use crate::source::Head;
use crate::stop::Stop;
use crate::{Limits, Output, Parameters, PreviewError, canvas};

/// The side of an icon before the parameters are applied, in pixels.
pub const ICON_SIZE: u32 = 512;
/// What is behind every icon, whatever background is asked for.
const BACKGROUND: Color = Color([0xec, 0xef, 0xf1]);
const PAPER: [u8; 3] = [0xff, 0xff, 0xff];
const FOLD: [u8; 3] = [0xcf, 0xd8, 0xdc];
const INK: [u8; 3] = [0x78, 0x90, 0x9c];
const ACCENT: [u8; 3] = [0x26, 0x84, 0xa8];

/// What a file is, as far as an icon tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Icon {
    /// An image that has no preview.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Files in a file.
    Archive,
    /// Text to read, formatted or not.
    Text,
    /// A spreadsheet.
    Table,
    /// Slides.
    Slides,
    /// Anything else.
    File,
}

impl Icon {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Image, Self::Video, Self::Audio, Self::Archive, Self::Text, Self::Table, Self::Slides, Self::File];

    /// The icon that stands in for a file; `None` if it is an image that [`crate::render()`] takes, so that its content has to be loaded.
    pub fn instead_of(media_type: &str, bytes: u64, limits: &Limits) -> Option<Self> {
        match media_type {
            "image/jpeg" | "image/png" | "image/webp" | "image/gif" if bytes <= limits.input_bytes => None,
            other => Some(Self::of(other)),
        }
    }

    fn of(media_type: &str) -> Self {
        match media_type.split('/').next().unwrap_or_default() {
            "image" => Self::Image,
            "video" => Self::Video,
            "audio" => Self::Audio,
            "text" if media_type != "text/csv" => Self::Text,
            _ => Self::of_application(media_type),
        }
    }

    fn of_application(media_type: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| media_type.contains(word));
        if has(&["spreadsheet", "excel", "csv", "access"]) {
            Self::Table
        } else if has(&["presentation", "powerpoint"]) {
            Self::Slides
        } else if has(&["pdf", "word", "opendocument.text", "rtf", "json", "xml", "javascript", "epub"]) {
            Self::Text
        } else if has(&["zip", "x-tar", "rar", "7z", "x-xz", "zstd", "compress", "lz4", "cpio", "x-unix-archive"]) {
            Self::Archive
        } else if has(&["mpegurl"]) {
            Self::Audio
        } else {
            Self::File
        }
    }

    /// The color of a point, if the icon covers it. The icon reaches from 0 to 100 in both directions.
    fn layers(self) -> Vec<Layer> {
        let mut layers = vec![];
        match self {
            Self::Image => picture(&mut layers),
            Self::Video => film(&mut layers),
            Self::Audio => note(&mut layers),
            Self::Archive => archive(&mut layers),
            Self::Text => lines(&mut layers),
            Self::Table => table(&mut layers),
            Self::Slides => slides(&mut layers),
            Self::File => page(&mut layers),
        }
        layers
    }
}

/// Renders an icon. Without an output format in `parameters` it is PNG. A background in `parameters` does not count: all icons have the same.
///
/// # Errors
/// As [`crate::render()`].
pub fn render_icon(icon: Icon, parameters: &Parameters, limits: &Limits) -> Result<Preview, PreviewError> {
    render_icon_until(icon, parameters, limits, &Stop::default())
}

pub(crate) fn measure(parameters: &Parameters, limits: &Limits) -> Result<u64, PreviewError> {
    Ok(Plan::new(&head(), parameters, limits)?.memory)
}

pub(crate) fn render_icon_until(
    icon: Icon,
    parameters: &Parameters,
    limits: &Limits,
    stop: &Stop,
) -> Result<Preview, PreviewError> {
    let parameters = Parameters { background: Some(BACKGROUND), ..parameters.clone() };
    let plan = Plan::new(&head(), &parameters, limits)?;
    let picture = canvas::scale(draw(icon).into(), &plan)?;
    stop.check()?;
    let encoding = Encoding {
        output: parameters.output.unwrap_or(Output::Png),
        quality: parameters.quality.unwrap_or(encode::DEFAULT_QUALITY),
        background: parameters.background,
        profile: None,
        limit: limits.output_bytes,
    };
    render::draw(picture, &parameters, Orientation::NoTransforms, encoding, stop)
}

fn head() -> Head {
    Head {
        width: ICON_SIZE,
        height: ICON_SIZE,
        orientation: Orientation::NoTransforms,
        alpha: true,
        decode_bytes: u64::from(ICON_SIZE * ICON_SIZE * 4),
        profile: None,
        quality: None,
        format: Output::Png,
    }
}

/// A shape in one colour.
struct Layer {
    shape: Shape,
    color: [u8; 3],
}

/// Coordinates are from 0 to 100, to the right and down.
enum Shape {
    /// Middle, half of width and height, radius of the corners.
    Box { middle: (f64, f64), half: (f64, f64), radius: f64 },
    /// A line with round ends, and half of its width; with equal ends a circle.
    Line { from: (f64, f64), to: (f64, f64), half: f64 },
    /// Corners, clockwise.
    Triangle([(f64, f64); 3]),
}

impl Shape {
    /// How far a point is outside; negative inside.
    fn distance(&self, x: f64, y: f64) -> f64 {
        match self {
            Self::Box { middle, half, radius } => {
                let (dx, dy) = ((x - middle.0).abs() - half.0 + radius, (y - middle.1).abs() - half.1 + radius);
                dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - radius
            }
            Self::Line { from, to, half } => {
                let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                let length = (dx * dx + dy * dy).max(f64::EPSILON);
                let share = (((x - from.0) * dx + (y - from.1) * dy) / length).clamp(0.0, 1.0);
                (x - from.0 - share * dx).hypot(y - from.1 - share * dy) - half
            }
            Self::Triangle(corners) => (0..3)
                .map(|side| {
                    let ((ax, ay), (bx, by)) = (corners[side], corners[(side + 1) % 3]);
                    ((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / (bx - ax).hypot(by - ay)
                })
                .fold(f64::MIN, f64::max),
        }
    }
}

/// Paints the layers of an icon on nothing.
fn draw(icon: Icon) -> RgbaImage {
    let layers = icon.layers();
    let scale = f64::from(ICON_SIZE) / 100.0;
    RgbaImage::from_fn(ICON_SIZE, ICON_SIZE, |x, y| {
        let (x, y) = ((f64::from(x) + 0.5) / scale, (f64::from(y) + 0.5) / scale);
        let mut pixel = Rgba([0; 4]);
        for layer in &layers {
            let coverage = (0.5 - layer.shape.distance(x, y) * scale).clamp(0.0, 1.0);
            cover(&mut pixel, layer.color, coverage);
        }
        pixel
    })
}

/// Lays a colour over a pixel, of which `coverage` is covered.
fn cover(pixel: &mut Rgba<u8>, color: [u8; 3], coverage: f64) {
    let below = f64::from(pixel[3]) / 255.0 * (1.0 - coverage);
    let alpha = coverage + below;
    if alpha <= 0.0 {
        return;
    }
    for (value, front) in pixel.0.iter_mut().zip(color) {
        *value = ((f64::from(front) * coverage + f64::from(*value) * below) / alpha).round() as u8;
    }
    pixel[3] = (alpha * 255.0).round() as u8;
}

fn rectangle(
    layers: &mut Vec<Layer>,
    color: [u8; 3],
    (left, top): (f64, f64),
    (right, bottom): (f64, f64),
    radius: f64,
) {
    let (width, height) = (right - left, bottom - top);
    let shape =
        Shape::Box { middle: (left + width / 2.0, top + height / 2.0), half: (width / 2.0, height / 2.0), radius };
    layers.push(Layer { shape, color });
}

fn line(layers: &mut Vec<Layer>, color: [u8; 3], from: (f64, f64), to: (f64, f64), half: f64) {
    layers.push(Layer { shape: Shape::Line { from, to, half }, color });
}

fn triangle(layers: &mut Vec<Layer>, color: [u8; 3], corners: [(f64, f64); 3]) {
    layers.push(Layer { shape: Shape::Triangle(corners), color });
}

/// A sheet with a folded corner.
fn page(layers: &mut Vec<Layer>) {
    rectangle(layers, INK, (25.0, 15.0), (75.0, 85.0), 4.0);
    rectangle(layers, PAPER, (27.0, 17.0), (73.0, 83.0), 3.0);
    triangle(layers, FOLD, [(57.0, 17.0), (73.0, 33.0), (57.0, 33.0)]);
    triangle(layers, INK, [(58.0, 14.0), (76.0, 14.0), (76.0, 32.0)]);
}

fn lines(layers: &mut Vec<Layer>) {
    page(layers);
    for (y, right) in [(44.0, 64.0), (54.0, 64.0), (64.0, 64.0), (74.0, 52.0)] {
        line(layers, ACCENT, (36.0, y), (right, y), 1.6);
    }
}

fn table(layers: &mut Vec<Layer>) {
    page(layers);
    rectangle(layers, ACCENT, (34.0, 42.0), (66.0, 76.0), 1.0);
    for row in 0..3 {
        for column in 0..2 {
            let (x, y) = (36.0 + f64::from(column) * 14.5, 44.0 + f64::from(row) * 10.5);
            rectangle(layers, PAPER, (x, y), (x + 13.0, y + 9.0), 0.5);
        }
    }
}

fn slides(layers: &mut Vec<Layer>) {
    page(layers);
    rectangle(layers, ACCENT, (33.0, 42.0), (67.0, 66.0), 1.5);
    for (x, height) in [(41.0, 6.0), (50.0, 11.0), (59.0, 16.0)] {
        rectangle(layers, PAPER, (x - 2.5, 62.0 - height), (x + 2.5, 62.0), 0.5);
    }
    line(layers, ACCENT, (50.0, 66.0), (50.0, 75.0), 1.5);
}

fn frame(layers: &mut Vec<Layer>) {
    rectangle(layers, INK, (15.0, 23.0), (85.0, 77.0), 5.0);
    rectangle(layers, PAPER, (18.0, 26.0), (82.0, 74.0), 3.0);
}

fn picture(layers: &mut Vec<Layer>) {
    frame(layers);
    line(layers, FOLD, (65.0, 40.0), (65.0, 40.0), 6.0);
    triangle(layers, INK, [(55.0, 45.0), (76.0, 69.0), (34.0, 69.0)]);
    triangle(layers, ACCENT, [(41.0, 38.0), (60.0, 69.0), (22.0, 69.0)]);
}

fn film(layers: &mut Vec<Layer>) {
    frame(layers);
    for step in 0..6 {
        let x = 22.5 + 11.0 * f64::from(step);
        rectangle(layers, FOLD, (x - 2.5, 28.0), (x + 2.5, 32.0), 0.8);
        rectangle(layers, FOLD, (x - 2.5, 68.0), (x + 2.5, 72.0), 0.8);
    }
    triangle(layers, ACCENT, [(43.0, 37.0), (63.0, 50.0), (43.0, 63.0)]);
}

fn note(layers: &mut Vec<Layer>) {
    page(layers);
    line(layers, ACCENT, (43.0, 70.0), (43.0, 70.0), 5.0);
    line(layers, ACCENT, (60.0, 66.0), (60.0, 66.0), 5.0);
    line(layers, ACCENT, (46.8, 70.0), (46.8, 46.0), 1.2);
    line(layers, ACCENT, (63.8, 66.0), (63.8, 42.0), 1.2);
    line(layers, ACCENT, (46.8, 46.5), (63.8, 42.5), 2.4);
}

fn archive(layers: &mut Vec<Layer>) {
    page(layers);
    for step in 0..6 {
        let (x, y) = (if step % 2 == 0 { 44.0 } else { 50.0 }, 19.0 + 6.0 * f64::from(step));
        rectangle(layers, ACCENT, (x, y), (x + 6.0, y + 6.0), 0.5);
    }
    rectangle(layers, ACCENT, (43.0, 55.0), (57.0, 73.0), 3.0);
    rectangle(layers, PAPER, (47.0, 63.0), (53.0, 69.0), 1.5);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_are_rendered_have_no_icon_and_others_the_one_of_their_type() {
        let limits = Limits::default();
        for (media_type, expected) in [
            ("image/jpeg", None),
            ("image/png", None),
            ("image/webp", None),
            ("image/gif", None),
            ("image/heic", Some(Icon::Image)),
            ("image/avif", Some(Icon::Image)),
            ("image/svg+xml", Some(Icon::Image)),
            ("video/mp4", Some(Icon::Video)),
            ("audio/mpeg", Some(Icon::Audio)),
            ("application/zip", Some(Icon::Archive)),
            ("application/gzip", Some(Icon::Archive)),
            ("text/plain", Some(Icon::Text)),
            ("application/pdf", Some(Icon::Text)),
            ("application/msword", Some(Icon::Text)),
            ("text/csv", Some(Icon::Table)),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Some(Icon::Table)),
            ("application/vnd.openxmlformats-officedocument.presentationml.presentation", Some(Icon::Slides)),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", Some(Icon::Text)),
            ("application/octet-stream", Some(Icon::File)),
            ("", Some(Icon::File)),
        ] {
            assert_eq!(Icon::instead_of(media_type, 1, &limits), expected, "{media_type}");
        }
        assert_eq!(Icon::instead_of("image/png", limits.input_bytes, &limits), None);
        assert_eq!(Icon::instead_of("image/png", limits.input_bytes + 1, &limits), Some(Icon::Image));
    }

    #[test]
    fn every_icon_is_another_picture_on_the_background() {
        let background = Parameters::parse([("background", "ff0000")]).unwrap();
        let mut seen = vec![];
        for icon in Icon::ALL {
            let preview = render_icon(icon, &background, &Limits::default()).unwrap();
            assert_eq!(preview.media_type, "image/png");
            let picture = image::load_from_memory(&preview.bytes).unwrap().into_rgba8();
            assert_eq!(picture.dimensions(), (ICON_SIZE, ICON_SIZE));
            for corner in [(0, 0), (511, 0), (0, 511), (511, 511)] {
                assert_eq!(picture.get_pixel(corner.0, corner.1).0, [0xec, 0xef, 0xf1, 255], "{icon:?}");
            }
            assert!(!seen.contains(&preview.bytes), "{icon:?}");
            seen.push(preview.bytes);
        }
    }

    #[test]
    fn parameters_apply_to_icons() {
        let parameters =
            Parameters::parse([("width", "30"), ("height", "10"), ("borderWidth", "2"), ("output", "jpg")]).unwrap();
        let preview = render_icon(Icon::File, &parameters, &Limits::default()).unwrap();
        assert_eq!(preview.media_type, "image/jpeg");
        assert_eq!(image::load_from_memory(&preview.bytes).unwrap().into_rgb8().dimensions(), (34, 14));
    }
}
