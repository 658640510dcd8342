//! Results on standard output, everything else on standard error; with `--json` both are one JSON value per line.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, reason};

/// How results and messages are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    /// Whether standard output carries a file, so that results go to standard error.
    carries_file: bool,
}

impl Output {
    /// Text, or JSON for scripts.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, carries_file: false }
    }

    /// Whether scripts are reading.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// The same, with results on standard error if standard output carries a file.
    #[must_use]
    pub(crate) fn beside_file(self, carries_file: bool) -> Self {
        Self { carries_file, ..self }
    }

    /// The result: `value` as one line of JSON, or as text.
    ///
    /// # Errors
    /// A failure if standard output cannot be written to: a result that is lost is not a success.
    pub(crate) fn data(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let line = if self.json { json_line(value) } else { text() };
        let line = line.trim_end_matches('\n');
        if self.carries_file {
            write_line(io::stderr().lock(), line);
            return Ok(());
        }
        try_write_line(io::stdout().lock(), line).map_err(|error| unwritable(&error))
    }

    /// A result that is the same with and without `--json`.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        try_write_line(io::stdout().lock(), text.trim_end_matches('\n')).map_err(|error| unwritable(&error))
    }

    /// A message that is omitted with `--json`.
    pub(crate) fn talk(self, text: impl AsRef<str>) {
        if !self.json {
            write_line(io::stderr().lock(), text.as_ref());
        }
    }

    /// How far a transfer is, as one line of JSON.
    pub(crate) fn progress(self, value: &impl Serialize) {
        write_line(io::stderr().lock(), &json_line(value));
    }

    /// Something that happened, as one line of JSON on standard error; people are told in words.
    pub(crate) fn event(self, value: &impl Serialize) {
        if self.json {
            write_line(io::stderr().lock(), &json_line(value));
        }
    }

    /// Which file the configuration is from.
    pub(crate) fn configuration_file(self, file: &Path) {
        let file = file.display().to_string();
        if self.json {
            return write_line(io::stderr().lock(), &json_line(&json!({ "configurationFile": file })));
        }
        write_line(io::stderr().lock(), &format!("configuration from {}", printable(&file)));
    }

    /// A warning with the next step, also with `--json`.
    pub(crate) fn warning(self, message: &str, hint: &str) {
        if self.json {
            let value = json!({ "warning": { "message": message, "hint": hint } });
            return write_line(io::stderr().lock(), &json_line(&value));
        }
        write_line(io::stderr().lock(), &format!("warning: {}\nhint: {}", printable(message), printable(hint)));
    }

    /// Why it did not work.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            return write_line(io::stderr().lock(), &json_line(&failure_json(failure)));
        }
        for message in std::iter::once(&failure.message).chain(&failure.others) {
            write_line(io::stderr().lock(), &format!("error: {}", printable(message)));
        }
        if let Some(hint) = &failure.hint {
            write_line(io::stderr().lock(), &format!("hint: {}", printable(hint)));
        }
    }
}

/// A message that standard error does not take has nowhere else to go.
fn write_line(stream: impl Write, line: &str) {
    let _ = try_write_line(stream, line);
}

fn try_write_line(mut stream: impl Write, line: &str) -> io::Result<()> {
    writeln!(stream, "{line}").and_then(|()| stream.flush())
}

/// The failure for a result that standard output does not take.
pub(crate) fn unwritable(error: &io::Error) -> Failure {
    let failure = Failure::local(format!("cannot write the result to standard output: {}", reason(error)));
    match error.kind() {
        io::ErrorKind::BrokenPipe => failure.hint("the program that reads the output ended first"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("free some space, or write the output to another disk")
        }
        _ => failure.hint("check where standard output goes"),
    }
}

fn failure_json(failure: &Failure) -> Value {
    let mut members = Map::new();
    if let Some(code) = &failure.code {
        members.insert("code".to_owned(), json!(code.as_str()));
    }
    let messages: Vec<&str> = std::iter::once(&failure.message).chain(&failure.others).map(String::as_str).collect();
    members.insert("message".to_owned(), json!(messages.join("; ")));
    if let Some(hint) = &failure.hint {
        members.insert("hint".to_owned(), json!(hint));
    }
    if let Some(id) = &failure.new_token {
        members.insert("newToken".to_owned(), json!(id));
    }
    members.insert("exitCode".to_owned(), json!(failure.kind as u8));
    json!({ "error": members })
}

fn json_line(value: &impl Serialize) -> String {
    escaped(&serde_json::to_string(value).unwrap_or_default())
}

/// A JSON text in which no character steers the terminal that shows it: what JSON lets stand as it is and is a control
/// character, or changes how others are shown, is written as `\uXXXX`. Such characters occur inside of strings only, so the
/// text means the same.
pub(crate) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c >= '\u{7f}' && (c.is_control() || is_invisible(c)) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
            false => text.push(c),
        }
    }
    text
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

/// A number of bytes in the largest unit that fits.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    match count {
        1 => return "1 byte".to_owned(),
        0..1024 => return format!("{count} bytes"),
        _ => {}
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
    fn a_result_that_standard_output_does_not_take_is_a_failure() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(28))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let failure = unwritable(&try_write_line(Full, "x").unwrap_err());
        assert_eq!(failure.kind, crate::code::Kind::Local);
        assert_eq!(failure.message, "cannot write the result to standard output: no space left on device");
        assert!(failure.hint.unwrap().starts_with("free some space"));
    }

    #[test]
    fn scripts_find_the_token_that_a_failed_rotation_has_made() {
        let failed =
            failure_json(&Failure::general("it failed").after_new_token("TOKabcdefghijklmno12".parse().unwrap()));
        assert_eq!(failed["error"]["newToken"], "TOKabcdefghijklmno12");
        assert_eq!(failure_json(&Failure::general("it failed"))["error"].get("newToken"), None);
    }

    #[test]
    fn control_and_direction_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(printable("Grüße 日本"), "Grüße 日本");
    }

    #[test]
    fn json_means_the_same_and_does_not_steer_a_terminal() {
        let value = json!({"a\u{9b}31m": "\u{1b}[0m \u{7f}\u{85}\u{202e}\u{2066}\u{feff}\u{e0041} Grüße 日本 😀"});
        let line = json_line(&value);
        assert_eq!(line, r#"{"a\u009b31m":"\u001b[0m \u007f\u0085\u202e\u2066\ufeff\udb40\udc41 Grüße 日本 😀"}"#);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        assert_eq!(escaped("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1), "1 byte");
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
