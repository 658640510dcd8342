//! Data on stdout, talk on stderr; with `--json` both are one JSON value a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// How results and messages are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Text for people, or JSON for scripts.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether scripts are reading.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// The result: `value` as one line of JSON, or the text for people.
    pub(crate) fn data(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line = if self.json { serde_json::to_string(value).unwrap_or_default() } else { text() };
        write_line(io::stdout().lock(), line.trim_end_matches('\n'));
    }

    /// Something for people only.
    pub(crate) fn talk(self, text: impl AsRef<str>) {
        if !self.json {
            write_line(io::stderr().lock(), text.as_ref());
        }
    }

    /// Why it did not work.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            return write_line(io::stderr().lock(), &failure_json(failure).to_string());
        }
        write_line(io::stderr().lock(), &format!("error: {}", printable(&failure.message)));
        if let Some(hint) = &failure.hint {
            write_line(io::stderr().lock(), &format!("hint: {}", printable(hint)));
        }
    }
}

/// A closed pipe is the reader's choice, not our failure.
fn write_line(mut stream: impl Write, line: &str) {
    let _ = writeln!(stream, "{line}").and_then(|()| stream.flush());
}

fn failure_json(failure: &Failure) -> Value {
    let mut members = Map::new();
    if let Some(code) = &failure.code {
        members.insert("code".to_owned(), json!(code));
    }
    members.insert("message".to_owned(), json!(failure.message));
    if let Some(hint) = &failure.hint {
        members.insert("hint".to_owned(), json!(hint));
    }
    members.insert("exitCode".to_owned(), json!(failure.kind as u8));
    json!({ "error": members })
}

/// A text from elsewhere with everything that could steer a terminal replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that change how their neighbours are shown, or show nothing at all.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Rows in columns of equal width, two blanks apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(printable("Grüße 日本"), "Grüße 日本");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(bytes(10 * 1024 * 1024), "10.0 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "a    bb\nccc  d");
    }
}
