//! References as pictures.

use qrcode::{Color, EcLevel, QrCode};
use runtime::dto::Reference;

use crate::connector::{Call, Differences};
use crate::problem::Problem;

/// Starts the truncated form in pictures, so that apps know what they see.
const TRUNCATED_PREFIX: &str = "nmshd://tr#";
/// Light modules around the code.
const MARGIN: usize = 4;
/// Pixels of a module's edge.
const SCALE: usize = 4;

/// The QR code of a reference as a PNG, in the form that the dialect and the client want.
pub(crate) fn of_reference(call: &Call, reference: &Reference, wants_url: bool) -> Result<Vec<u8>, Problem> {
    of_text(&payload(call.differences(), reference, wants_url))
}

/// The QR code of a reference or URL as a PNG.
pub(crate) fn of_text(text: &str) -> Result<Vec<u8>, Problem> {
    render(text).ok_or_else(|| {
        tracing::error!(length = text.len(), "a reference does not fit into a QR code");
        Problem::unexpected()
    })
}

fn payload(differences: Differences, reference: &Reference, wants_url: bool) -> String {
    if differences.truncated_qr_codes && !wants_url {
        format!("{TRUNCATED_PREFIX}{}", reference.truncated)
    } else {
        reference.url.clone()
    }
}

/// Black on white, one bit per pixel. `None` if the text is too long for a QR code.
fn render(payload: &str) -> Option<Vec<u8>> {
    let code = QrCode::with_error_correction_level(payload, EcLevel::M).ok()?;
    let width = (code.width() + 2 * MARGIN) * SCALE;
    let rows = (0..width).flat_map(|y| row(&code, y / SCALE, width));
    encode(width, &rows.collect::<Vec<u8>>())
}

/// One line of pixels, packed.
fn row(code: &QrCode, y: usize, width: usize) -> Vec<u8> {
    let is_light = |pixel: usize| {
        let (x, y) = ((pixel / SCALE).checked_sub(MARGIN), y.checked_sub(MARGIN));
        match (x, y) {
            (Some(x), Some(y)) if x < code.width() && y < code.width() => code[(x, y)] == Color::Light,
            _ => true,
        }
    };
    let pack = |byte: usize| {
        (0..8).fold(0, |bits, bit| bits << 1 | u8::from(byte * 8 + bit >= width || is_light(byte * 8 + bit)))
    };
    (0..width.div_ceil(8)).map(pack).collect()
}

fn encode(width: usize, pixels: &[u8]) -> Option<Vec<u8>> {
    let width = u32::try_from(width).ok()?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Dialect;

    #[test]
    fn pictures_hold_the_url_unless_the_older_dialect_is_asked_for_nothing_else() {
        let reference = Reference { truncated: "abc".to_owned(), url: "https://h/r/FIL#x".to_owned() };
        let shown = |dialect: Dialect, wants_url| payload(dialect.differences(), &reference, wants_url);
        assert_eq!(shown(Dialect::V2, false), "nmshd://tr#abc");
        assert_eq!(shown(Dialect::V2, true), reference.url);
        assert_eq!(shown(Dialect::CoreV1, false), reference.url);
        assert_eq!(shown(Dialect::CoreV1, true), reference.url);
    }

    #[test]
    fn the_picture_shows_the_code_with_its_margin() {
        let payload = "nmshd://tr#abc";
        let file = render(payload).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let code = QrCode::with_error_correction_level(payload, EcLevel::M).unwrap();
        let modules = code.width() + 2 * MARGIN;
        assert_eq!(usize::try_from(info.width).unwrap(), modules * SCALE);
        let light =
            |x: usize, y: usize| pixels[y * SCALE * info.line_size + x * SCALE / 8] >> (7 - (x * SCALE) % 8) & 1 == 1;
        for y in 0..modules {
            for x in 0..modules {
                let inside =
                    (MARGIN..MARGIN + code.width()).contains(&x) && (MARGIN..MARGIN + code.width()).contains(&y);
                let expected = !inside || code[(x - MARGIN, y - MARGIN)] == Color::Light;
                assert_eq!(light(x, y), expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_no_picture() {
        assert!(render(&"x".repeat(5000)).is_none());
    }
}
