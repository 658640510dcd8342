//! Names of files: which ones can be uploaded, and how those of peers are shown. A peer chose the name, so nothing in it may
//! control a terminal or a file dialog, or act as a path.

use std::borrow::Cow;
use std::str::FromStr;

use crate::Error;

/// Most bytes of a shown name: the limit of common file systems.
pub const MAX_LENGTH: usize = 255;
/// Longest extension in bytes that survives shortening.
const MAX_EXTENSION: usize = 20;
/// Shown when nothing of a name is left.
pub const FALLBACK: &str = "file";

/// The name of a file that is uploaded: the last segment of whatever path was given, never empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

/// A path does not end with the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path does not end with the name of a file")]
pub struct NoFileName;

impl FileName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = NoFileName;

    /// Takes what is behind the last slash or backslash.
    fn from_str(path: &str) -> Result<Self, NoFileName> {
        match path.rsplit(['/', '\\']).next().unwrap_or_default() {
            "" | "." | ".." => Err(NoFileName),
            segment => Ok(Self(segment.to_owned())),
        }
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl From<NoFileName> for Error {
    fn from(_: NoFileName) -> Self {
        Self::InvalidPropertyValue("filename must NOT have fewer than 1 characters".to_owned())
    }
}

/// The last segment of a name, without control characters and without characters that change the direction or the line of
/// their neighbours, at most [`MAX_LENGTH`] bytes. A name without any of that stays as it is, whatever else is in it.
#[must_use]
pub fn shown(name: &str) -> Cow<'_, str> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: Cow<'_, str> = match last.contains(misleads) {
        true => last.chars().filter(|c| !misleads(*c)).collect::<String>().into(),
        false => last.into(),
    };
    match clean.as_ref() {
        "" if name.is_empty() => clean,
        "" | "." | ".." => FALLBACK.into(),
        long if long.len() > MAX_LENGTH => shorten(long).into(),
        _ => clean,
    }
}

/// Whether a character controls a terminal, or makes a text look like another one by changing its direction or line.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Cuts the middle of a name, so that the extension stays.
#[must_use]
pub fn shorten(name: &str) -> String {
    if name.len() <= MAX_LENGTH {
        return name.to_owned();
    }
    let extension = name.rfind('.').map(|at| &name[at..]).filter(|extension| extension.len() <= MAX_EXTENSION);
    let extension = extension.unwrap_or_default();
    let stem = &name[..name.len() - extension.len()];
    let end = stem.floor_char_boundary(MAX_LENGTH - extension.len());
    format!("{}{extension}", stem[..end].trim_end_matches([' ', '.']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_cut_down_to_their_last_segment() {
        for (given, kept) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\b.pdf", "b.pdf"),
            ("/a/b\\c d", "c d"),
            ("Grüße 😀.txt", "Grüße 😀.txt"),
        ] {
            assert_eq!(given.parse::<FileName>().unwrap().as_str(), kept);
        }
        for given in ["", ".", "..", "a/", "a/..", "\\"] {
            assert_eq!(given.parse::<FileName>(), Err(NoFileName), "{given:?}");
        }
    }

    #[test]
    fn only_misleading_characters_are_removed_from_a_name() {
        for (given, expected) in [
            ("report.pdf", "report.pdf"),
            ("Grüße 日本.txt", "Grüße 日本.txt"),
            ("👨\u{200d}👩\u{200d}👧.png", "👨\u{200d}👩\u{200d}👧.png"),
            (".bashrc", ".bashrc"),
            ("a;b\"c.txt", "a;b\"c.txt"),
            ("", ""),
            ("../../etc/passwd", "passwd"),
            ("a\\..\\b", "b"),
            ("a/", "file"),
            ("x/..", "file"),
            ("\u{202e}", "file"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\u{2066}b\u{2069}c\u{200f}", "abc"),
            ("a\r\nb\u{1b}[31m\u{9b}c\u{2028}d", "ab[31mcd"),
        ] {
            assert_eq!(shown(given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_name_of_the_greatest_length_stays_and_a_longer_one_keeps_its_extension() {
        let longest = format!("{}.txt", "x".repeat(MAX_LENGTH - 4));
        assert_eq!(shown(&longest), longest);
        let longer = shown(&format!("x{longest}")).into_owned();
        assert_eq!(longer, longest);
        assert!(shown(&format!("{}.tar", "ä".repeat(300))).ends_with("ä.tar"));
        assert_eq!(shown(&format!("a.{}", "x".repeat(300))).len(), MAX_LENGTH);
    }

    proptest! {
        #[test]
        fn the_name_of_an_upload_never_leads_elsewhere(path in ".{0,60}") {
            if let Ok(name) = path.parse::<FileName>() {
                prop_assert!(!name.as_str().contains(['/', '\\']));
            }
        }

        #[test]
        fn a_shown_name_is_one_short_segment_that_misleads_nobody(given in any::<String>()) {
            let name = shown(&given).into_owned();
            prop_assert!(name.len() <= MAX_LENGTH && !name.contains(['/', '\\']) && !name.contains(misleads));
            prop_assert!(!matches!(name.as_str(), "." | ".."));
            prop_assert_eq!(shown(&name), name.as_str());
        }
    }
}
