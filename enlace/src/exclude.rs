//! Patterns of files and folders that are not shared.

use std::path::Path;

use glob::MatchOptions;

/// A `*` stays within one name, and a leading dot is nothing special: hidden files are shared, too.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A pattern that was given on the command line. Slashes mean what they mean in a `.gitignore` file.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    glob: glob::Pattern,
    /// It ends with a slash.
    folders_only: bool,
}

impl Pattern {
    /// Reads a pattern. One without a slash, but for one at its end, stands for a name at any depth.
    ///
    /// # Errors
    /// A text for the command line's error.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("./").map(|rest| format!("/{rest}"));
        let path = path.as_deref().unwrap_or(text);
        let (path, folders_only) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let (path, is_anchored) = path.strip_prefix('/').map_or((path, path.contains('/')), |path| (path, true));
        if path.is_empty() {
            return Err("a pattern must name something, such as *.tmp, /build or cache/".to_owned());
        }
        let path = if is_anchored { path.to_owned() } else { format!("**/{path}") };
        let glob = glob::Pattern::new(&path).map_err(|error| error.msg.to_owned())?;
        Ok(Self { glob, folders_only })
    }

    fn matches(&self, path: &Path, is_folder: bool) -> bool {
        (is_folder || !self.folders_only) && self.glob.matches_path_with(path, OPTIONS)
    }
}

/// What is not shared: whatever one of the patterns matches.
#[derive(Debug, Default)]
pub(crate) struct Exclude(Vec<Pattern>);

impl Exclude {
    /// Whether a pattern matches this path, which is relative to what is shared. What is in a folder that one matches is not asked
    /// for.
    pub(crate) fn matches(&self, path: &Path, is_folder: bool) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path, is_folder))
    }
}

impl From<Vec<Pattern>> for Exclude {
    fn from(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_a_gitignore_file() {
        for (pattern, path, is_folder, expected) in [
            ("*.tmp", "a.tmp", false, true),
            ("*.tmp", "b/c/a.tmp", false, true),
            ("*.tmp", "a.tmp.txt", false, false),
            ("*.tmp", ".tmp", false, true),
            ("build", "build", true, true),
            ("build", "a/build", false, true),
            ("build", "rebuild", false, false),
            ("/build", "build", true, true),
            ("./build", "build", true, true),
            ("/build", "a/build", true, false),
            ("a/build", "a/build", false, true),
            ("a/build", "x/a/build", false, false),
            ("**/a/build", "x/a/build", false, true),
            ("a/*.o", "a/x.o", false, true),
            ("a/*.o", "a/b/x.o", false, false),
            ("a/**/*.o", "a/b/c/x.o", false, true),
            ("cache/", "cache", true, true),
            ("cache/", "a/cache", true, true),
            ("cache/", "cache", false, false),
            ("/cache/", "a/cache", true, false),
            ("[ab]?.[!c]", "bc.d", false, true),
            ("[ab]?.[!c]", "bc.c", false, false),
            ("a/**", "a/b", false, true),
            ("[äö]", "ö", false, true),
            ("?", "ä", false, true),
            ("[*]", "*", false, true),
            ("[*]", "a", false, false),
            ("README", "readme", false, false),
        ] {
            let exclude = Exclude::from(vec![Pattern::parse(pattern).unwrap()]);
            assert_eq!(exclude.matches(Path::new(path), is_folder), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_cannot_match_are_refused() {
        for pattern in ["", "/", "./", "//"] {
            assert!(Pattern::parse(pattern).unwrap_err().contains("such as *.tmp"), "{pattern:?}");
        }
        for pattern in ["[a", "a**", "***"] {
            assert!(!Pattern::parse(pattern).unwrap_err().is_empty(), "{pattern:?}");
        }
        assert!(!Exclude::default().matches(Path::new("a"), true));
    }
}
