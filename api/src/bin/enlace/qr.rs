//! QR codes for terminals.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The code of a text in half blocks, two modules a character; `None` if the text is too long for a code.
///
/// Dark modules are drawn as blanks, so that it is readable on the usual dark background.
pub(crate) fn terminal(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_square_of_half_blocks_with_a_margin() {
        let code = terminal("http://localhost:4710/r/TOKabcdefghijklmno12#M3xrZXk").unwrap();
        let lines: Vec<&str> = code.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[0].chars().all(|c| c == '\u{2588}'));
    }

    #[test]
    fn a_text_too_long_for_a_code_has_none() {
        assert_eq!(terminal(&"x".repeat(4000)), None);
    }
}
