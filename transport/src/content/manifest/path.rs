//! Paths in a manifest (specification, section 9.2).

use std::fmt;

/// Maximum length of a path in bytes.
pub const MAX_PATH_LENGTH: usize = 4096;

/// Maximum length of one name in a path in bytes; the usual limit of file systems.
pub const MAX_NAME_LENGTH: usize = 255;

/// Maximum number of names in a path.
pub const MAX_DEPTH: usize = 64;

/// A path that stays below the folder it is relative to, on each system: names with `/` between them.
///
/// Not all of them can be written on each system: Windows reserves names and characters besides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelativePath(String);

/// Why a text is not a path of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path, or a name in it, is empty: also one that begins or ends with `/`.
    #[error("path is absolute or has an empty name")]
    EmptyName,
    /// A name is `.` or `..`.
    #[error("path has a name of dots only")]
    Dots,
    /// A name begins with a letter and a colon.
    #[error("path has a name that begins with a drive")]
    Drive,
    /// A control character or a backslash.
    #[error("path has a control character or a backslash")]
    Character,
    /// A name of more than [`MAX_NAME_LENGTH`] bytes.
    #[error("name in the path is longer than {MAX_NAME_LENGTH} bytes")]
    NameTooLong,
    /// More than [`MAX_PATH_LENGTH`] bytes.
    #[error("path is longer than {MAX_PATH_LENGTH} bytes")]
    TooLong,
    /// More than [`MAX_DEPTH`] names.
    #[error("path has more than {MAX_DEPTH} names")]
    TooDeep,
}

impl RelativePath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`PathError`] names the rule that it breaks.
    pub fn new(path: impl Into<String>) -> Result<Self, PathError> {
        let path = path.into();
        check(&path)?;
        Ok(Self(path))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names from the outermost on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The same for all paths that a file system may take for one, which ignores case or how accents are composed.
    pub(super) fn folded(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase();
        }
        let nfc = icu_normalizer::ComposingNormalizerBorrowed::new_nfc();
        let folded = nfc
            .normalize(&self.0)
            .chars()
            // First of all for `ẞ`, which is its own upper case and not that of `ß`.
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .collect::<String>();
        nfc.normalize(&folded).into_owned()
    }
}

fn check(path: &str) -> Result<(), PathError> {
    if path.len() > MAX_PATH_LENGTH {
        return Err(PathError::TooLong);
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(PathError::TooDeep);
    }
    path.split('/').try_for_each(check_name)
}

fn check_name(name: &str) -> Result<(), PathError> {
    // Also within a path: whoever joins names one by one on Windows leaves the folder there.
    if matches!(name.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic()) {
        return Err(PathError::Drive);
    }
    match name {
        "" => Err(PathError::EmptyName),
        "." | ".." => Err(PathError::Dots),
        _ if name.len() > MAX_NAME_LENGTH => Err(PathError::NameTooLong),
        _ if name.chars().any(|char| char.is_control() || char == '\\') => Err(PathError::Character),
        _ => Ok(()),
    }
}

/// Name by name, so that what is in a folder follows it.
impl Ord for RelativePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for RelativePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for (path, expected) in [
            ("", PathError::EmptyName),
            ("/", PathError::EmptyName),
            ("/etc/passwd", PathError::EmptyName),
            ("a//b", PathError::EmptyName),
            ("a/", PathError::EmptyName),
            (".", PathError::Dots),
            ("..", PathError::Dots),
            ("../a", PathError::Dots),
            ("a/../../b", PathError::Dots),
            ("a/./b", PathError::Dots),
            ("C:/a", PathError::Drive),
            ("c:a", PathError::Drive),
            ("x/C:/evil.exe", PathError::Drive),
            ("x/y/z:", PathError::Drive),
            ("\\\\server\\share", PathError::Character),
            ("..\\a", PathError::Character),
            ("a\0b", PathError::Character),
            ("a\nb", PathError::Character),
            ("a\u{85}", PathError::Character),
        ] {
            assert_eq!(RelativePath::new(path), Err(expected), "{path:?}");
        }
    }

    #[test]
    fn lengths_are_accepted_up_to_their_limits() {
        let name = "n".repeat(MAX_NAME_LENGTH);
        let longest = [name.as_str(); 16].join("/");
        let longest = format!("{}/n", &longest[1..]);
        assert_eq!(longest.len(), MAX_PATH_LENGTH);
        assert!(RelativePath::new(&longest).is_ok());
        assert_eq!(RelativePath::new(longest + "n"), Err(PathError::TooLong));
        assert_eq!(RelativePath::new(name + "n"), Err(PathError::NameTooLong));
        assert!(RelativePath::new(["a"; MAX_DEPTH].join("/")).is_ok());
        assert_eq!(RelativePath::new(["a"; MAX_DEPTH + 1].join("/")), Err(PathError::TooDeep));
    }

    #[test]
    fn unusual_names_are_accepted() {
        for path in
            ["...", "..a", "a b", "10:30.log", "a/10:30.log", "ab:c", "-rf", "~", "aux", "ä/é", "a.", "\u{202e}x", "*?"]
        {
            assert!(RelativePath::new(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn names_that_a_file_system_may_not_tell_apart_are_folded_to_one() {
        let folded = |path: &str| RelativePath::new(path).unwrap().folded();
        for (one, other) in [
            ("README", "readme"),
            ("\u{e9}", "e\u{301}"),
            ("\u{c9}", "e\u{301}"),
            ("straße", "STRASSE"),
            ("stra\u{1e9e}e", "STRASSE"),
            ("stra\u{1e9e}e", "straße"),
            ("\u{212a}", "k"),
            ("ΣΑΣ", "σας"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("a"), folded("b"));
        assert_ne!(folded("é"), folded("e"));
    }

    #[test]
    fn what_is_in_a_folder_follows_it() {
        let mut paths = ["a/b", "a-b", "a", "b", "a/a/c", "a.txt"].map(|path| RelativePath::new(path).unwrap());
        paths.sort();
        assert_eq!(paths.map(|path| path.0), ["a", "a/a/c", "a/b", "a-b", "a.txt", "b"]);
    }
}
