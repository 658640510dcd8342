//! QR codes for terminals.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use terminal_size::{Height, Width, terminal_size_of};

/// Colours 16 and 231 of the 256: black and white in every theme, where the first sixteen are whatever the user chose.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const RESET: &str = "\u{1b}[0m";

/// The code of a URL for the terminal at standard error. `None` where no terminal is, where the code does not fit, and for a
/// URL that is not for other machines: whoever scans the code does so with another one.
pub(crate) fn terminal(url: &str, for_others: bool) -> Option<String> {
    if std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
        return None;
    }
    let (Width(columns), Height(rows)) = terminal_size_of(std::io::stderr())?;
    if for_others { code(url, columns, rows) } else { None }
}

/// Two modules a character, black on white; `None` if that has more columns or rows than there are.
fn code(text: &str, columns: u16, rows: u16) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
    let lines: Vec<&str> = drawn.lines().collect();
    let width = lines.first().map_or(0, |line| line.chars().count());
    let fits = width <= usize::from(columns) && lines.len() <= usize::from(rows);
    fits.then(|| lines.iter().map(|line| format!("{BLACK_ON_WHITE}{line}{RESET}")).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://backbone.example.org/r/TOKabcdefghijklmno12#M3xrZXk";

    /// The characters of a code without its colours.
    fn drawn(code: &str) -> Vec<String> {
        let plain = |line: &str| line.strip_prefix(BLACK_ON_WHITE)?.strip_suffix(RESET).map(str::to_owned);
        code.lines().map(|line| plain(line).expect("each line sets and resets its colours")).collect()
    }

    #[test]
    fn a_code_is_a_square_of_half_blocks_with_a_white_margin() {
        let lines = drawn(&code(URL, u16::MAX, u16::MAX).unwrap());
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[0].chars().all(|c| c == ' '));
    }

    #[test]
    fn a_code_is_drawn_only_where_it_fits() {
        let lines = drawn(&code(URL, u16::MAX, u16::MAX).unwrap());
        let (columns, rows) = (lines[0].chars().count() as u16, lines.len() as u16);
        assert!(code(URL, columns, rows).is_some());
        assert!(code(URL, columns - 1, rows).is_none() && code(URL, columns, rows - 1).is_none());
        assert_eq!(code(&"x".repeat(4000), u16::MAX, u16::MAX), None);
    }

    #[test]
    fn there_is_no_code_without_a_terminal() {
        // Tests have none, wherever they run.
        if terminal_size_of(std::io::stderr()).is_none() {
            assert_eq!(terminal(URL, true), None);
        }
    }
}
