//! The folder of a file in a bucket: segments with a slash behind each. It is a text to find files by, and no directory.

use super::{StorageError, StorageResult};

/// Most characters of a folder, with the slash at its end.
pub const MAX_FOLDER: usize = 2048;

/// The form in which a folder is stored: empty, or with a slash at its end.
///
/// # Errors
/// [`StorageError::InvalidArgument`] for a slash at its beginning, for empty segments, `.`, `..`, control characters, and for more
/// than [`MAX_FOLDER`] characters.
pub(crate) fn stored_form(folder: &str) -> StorageResult<String> {
    if folder.is_empty() {
        return Ok(String::new());
    }
    let path = folder.strip_suffix('/').unwrap_or(folder);
    let fits = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains(char::is_control);
    if !path.split('/').all(fits) {
        let reason = "a folder consists of segments such as photos/2030, which are not empty, . or .. and have no control characters";
        return Err(StorageError::argument("folder", reason));
    }
    let stored = format!("{path}/");
    match stored.chars().take(MAX_FOLDER + 1).count() <= MAX_FOLDER {
        true => Ok(stored),
        false => {
            let reason = format!("a folder has at most {MAX_FOLDER} characters with the slash at its end");
            Err(StorageError::argument("folder", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_added_at_the_end() {
        for (given, stored) in
            [("", ""), ("photos", "photos/"), ("photos/", "photos/"), ("a/b c/ä", "a/b c/ä/"), ("...", ".../")]
        {
            assert_eq!(stored_form(given).unwrap(), stored);
        }
    }

    #[test]
    fn what_is_not_a_folder_is_refused() {
        for folder in ["/", "/a", "a//b", "a//", ".", "..", "a/..", "a/../b", "./a", "a\nb", "a\0", "\u{85}"] {
            let refused = stored_form(folder).unwrap_err();
            assert!(matches!(refused, StorageError::InvalidArgument { name: "folder", .. }), "{folder:?}");
        }
        assert!(stored_form(&"ä".repeat(MAX_FOLDER - 1)).is_ok());
        assert!(stored_form(&"ä".repeat(MAX_FOLDER)).is_err());
    }
}
