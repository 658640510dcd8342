//! Finds the files and folders that are shared together. Links are not followed below what a person names: what they lead to may
//! be outside of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use runtime::source::{RelativePath, SourceEntry};
use walkdir::{DirEntry, WalkDir};

use crate::code::Kind;
use crate::exclude::Exclude;
use crate::failure::{Failure, SHARE_ARCHIVE, reason};
use crate::output::Output;

/// Names that are shown of what is left out for one reason.
const MAX_SHOWN: usize = 10;

/// What to do about something that cannot be read.
pub(crate) const LEAVE_OUT: &str = "make it readable for you, or leave it out with --exclude GLOB";

/// What a data directory has, beside the lock of the node.
const STORE: &str = "store";

/// What has been found.
pub(crate) struct Walk<'a> {
    exclude: &'a Exclude,
    /// The most files and folders.
    limit: usize,
    entries: Vec<SourceEntry>,
    left_out: LeftOut,
}

/// What is not shared although it is there.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// Files and folders that a pattern matches.
    pub(crate) excluded: u64,
    links: Names,
    special: Names,
    unusable: Names,
    data_directories: Names,
}

/// How many, and the first of them in the order of their names.
#[derive(Debug, Default)]
struct Names {
    count: u64,
    first: BTreeSet<String>,
}

/// What becomes of something that a folder has.
enum Found {
    Entry(RelativePath),
    Excluded,
    Link,
    Special,
    UnusableName,
    DataDirectory,
}

impl<'a> Walk<'a> {
    /// Nothing yet, and at most `limit` files and folders.
    pub(crate) fn new(exclude: &'a Exclude, limit: usize) -> Self {
        Self { exclude, limit, entries: Vec::new(), left_out: LeftOut::default() }
    }

    /// Adds what is in a folder.
    ///
    /// # Errors
    /// A failure that names a folder that cannot be read, and one if there are too many files and folders.
    pub(crate) fn add_contents(&mut self, folder: &Path) -> Result<(), Failure> {
        self.walk(folder, Path::new(""), 1)
    }

    /// Adds a file, or a folder with what is in it, under a name.
    ///
    /// # Errors
    /// As [`Walk::add_contents`].
    pub(crate) fn add(&mut self, path: &Path, name: &RelativePath) -> Result<(), Failure> {
        self.walk(path, Path::new(name.as_str()), 0)
    }

    /// All files and folders, and what is left out.
    pub(crate) fn finish(self) -> (Vec<SourceEntry>, LeftOut) {
        (self.entries, self.left_out)
    }

    fn walk(&mut self, root: &Path, name: &Path, min_depth: usize) -> Result<(), Failure> {
        if is_data_directory(root) {
            return Err(Failure::usage(format!("{} holds the keys of an identity", root.display()))
                .hint("name the files in it that you want to share"));
        }
        // In the order of the directory: sorting would read all of a huge one before the limit is noticed.
        let mut walk = WalkDir::new(root).min_depth(min_depth).into_iter();
        while let Some(found) = walk.next() {
            let found = found.map_err(|error| unreadable(root, &error))?;
            let below = found.path().strip_prefix(root).unwrap_or(found.path());
            let path = if below.as_os_str().is_empty() { name.to_owned() } else { name.join(below) };
            match self.judge(&found, &path) {
                Found::Entry(path) => self.push(path, found.into_path())?,
                left_out => {
                    self.left_out.note(&left_out, &path);
                    if found.file_type().is_dir() {
                        walk.skip_current_dir();
                    }
                }
            }
        }
        Ok(())
    }

    fn judge(&self, found: &DirEntry, path: &Path) -> Found {
        let kind = found.file_type();
        if self.exclude.matches(path, kind.is_dir()) {
            return Found::Excluded;
        }
        if kind.is_dir() && is_data_directory(found.path()) {
            return Found::DataDirectory;
        }
        match (kind.is_file() || kind.is_dir(), kind.is_symlink()) {
            (true, _) => relative(path).map_or(Found::UnusableName, Found::Entry),
            (_, true) => Found::Link,
            _ => Found::Special,
        }
    }

    fn push(&mut self, path: RelativePath, local: PathBuf) -> Result<(), Failure> {
        if self.entries.len() == self.limit {
            let limit = self.limit;
            return Err(Failure::new(Kind::Refused, format!("there are more than {limit} files and folders to share"))
                .hint(format!("leave some out with --exclude GLOB, or {SHARE_ARCHIVE}")));
        }
        self.entries.push(SourceEntry { path, local });
        Ok(())
    }
}

/// Whether a folder is the data directory of a node. It changes while the node works, and its keys are for nobody else.
fn is_data_directory(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
    has(runtime::LOCK_FILE) && has(STORE)
}

/// A path as a manifest has it, if its names can be there.
fn relative(path: &Path) -> Option<RelativePath> {
    let names = path.iter().map(|name| name.to_str()).collect::<Option<Vec<_>>>()?;
    RelativePath::new(names.join("/")).ok()
}

fn unreadable(root: &Path, error: &walkdir::Error) -> Failure {
    let path = error.path().unwrap_or(root).display();
    let why = error.io_error().map_or_else(|| error.to_string(), reason);
    Failure::local(format!("cannot read {path}: {why}")).hint(LEAVE_OUT)
}

impl LeftOut {
    /// Says what is left out that nobody asked to leave out, the first names for each reason.
    pub(crate) fn warn(&self, output: Output) {
        for (message, hint) in self.warnings() {
            output.warning(&message, hint);
        }
    }

    /// The failure for a share in which nothing remains.
    pub(crate) fn everything(&self, path: &Path) -> Failure {
        let reasons: Vec<String> = self.warnings().map(|(message, _)| message).collect();
        let failure = Failure::usage(format!("there is nothing to share in {}", path.display()));
        let failure = Failure { others: reasons, ..failure };
        match self.excluded {
            0 => failure.hint("name a file, or a folder that is not empty"),
            _ => failure.hint("omit --exclude, or give patterns that match less"),
        }
    }

    fn warnings(&self) -> impl Iterator<Item = (String, &'static str)> {
        [
            (&self.links, "symbolic link", "symbolic links", "name a link to share what it leads to"),
            (
                &self.special,
                "socket, pipe or device",
                "sockets, pipes or devices",
                "name a pipe alone to share its content",
            ),
            (
                &self.unusable,
                "file or folder whose name other systems do not accept",
                "files or folders whose names other systems do not accept",
                "rename what you want to share, and share it again",
            ),
            (
                &self.data_directories,
                "data directory of enlace",
                "data directories of enlace",
                "they hold keys of identities; name single files in them to share those",
            ),
        ]
        .into_iter()
        .filter(|(names, ..)| names.count > 0)
        .map(|(names, one, many, hint)| {
            let what = if names.count == 1 { format!("1 {one} is") } else { format!("{} {many} are", names.count) };
            (format!("{what} left out: {}", names.shown()), hint)
        })
    }

    fn note(&mut self, found: &Found, path: &Path) {
        match found {
            Found::Entry(_) => {}
            Found::Excluded => self.excluded += 1,
            Found::Link => self.links.add(path),
            Found::Special => self.special.add(path),
            Found::UnusableName => self.unusable.add(path),
            Found::DataDirectory => self.data_directories.add(path),
        }
    }
}

impl Names {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        self.first.insert(path.to_string_lossy().into_owned());
        if self.first.len() > MAX_SHOWN {
            self.first.pop_last();
        }
    }

    fn shown(&self) -> String {
        let names = self.first.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.count - self.first.len() as u64 {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exclude::Pattern;

    /// Files, and folders by a slash at their end.
    fn tree(paths: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for path in paths {
            let place = dir.path().join(path);
            if path.ends_with('/') {
                std::fs::create_dir_all(place).unwrap();
            } else {
                std::fs::create_dir_all(place.parent().unwrap()).unwrap();
                std::fs::write(place, path).unwrap();
            }
        }
        dir
    }

    fn exclude(patterns: &[&str]) -> Exclude {
        let patterns: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
        Exclude::from(patterns)
    }

    /// The paths that are found in a folder, sorted, and what is said of the others.
    fn walk(dir: &Path, patterns: &[&str]) -> (Vec<String>, Vec<String>) {
        let exclude = exclude(patterns);
        let mut walk = Walk::new(&exclude, 1000);
        walk.add_contents(dir).unwrap();
        let (entries, left_out) = walk.finish();
        let mut paths: Vec<String> = entries.iter().map(|entry| entry.path.to_string()).collect();
        paths.sort();
        (paths, left_out.warnings().map(|(message, _)| message).collect())
    }

    #[test]
    fn files_hidden_files_and_folders_are_found_below_a_folder_and_below_a_name() {
        let dir = tree(&["a", ".hidden/.b", "empty/", "c/d/e"]);
        let expected = [".hidden", ".hidden/.b", "a", "c", "c/d", "c/d/e", "empty"];
        assert_eq!(walk(dir.path(), &[]), (expected.map(str::to_owned).to_vec(), vec![]));
        let exclude = exclude(&["x/c/d"]);
        let mut named = Walk::new(&exclude, 1000);
        named.add(dir.path(), &RelativePath::new("x").unwrap()).unwrap();
        let (entries, left_out) = named.finish();
        let mut paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["x", "x/.hidden", "x/.hidden/.b", "x/a", "x/c", "x/empty"]);
        assert_eq!(left_out.excluded, 1);
        assert_eq!(entries.iter().find(|entry| entry.path.as_str() == "x/a").unwrap().local, dir.path().join("a"));
    }

    #[test]
    fn what_a_pattern_matches_is_left_out_with_everything_in_it_and_not_reported() {
        let dir = tree(&["keep/a.txt", "keep/a.tmp", "cache/b/c", "x/cache/d", "x/raw"]);
        let (paths, warnings) = walk(dir.path(), &["*.tmp", "/cache/", "x/raw"]);
        assert_eq!(
            (paths, warnings),
            (["keep", "keep/a.txt", "x", "x/cache", "x/cache/d"].map(str::to_owned).to_vec(), vec![])
        );
    }

    #[test]
    fn data_directories_are_left_out_and_reported() {
        let dir = tree(&["a", "x/d/node.lock", "x/d/store/records", "x/d/store.key", "other/node.lock"]);
        let (paths, warnings) = walk(dir.path(), &[]);
        assert_eq!(paths, ["a", "other", "other/node.lock", "x"]);
        assert_eq!(warnings, ["1 data directory of enlace is left out: x/d"]);
        let refused = Walk::new(&exclude(&[]), 10).add_contents(&dir.path().join("x/d")).unwrap_err();
        assert!(refused.message.ends_with("x/d holds the keys of an identity"), "{refused}");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_what_is_no_file_are_left_out_and_reported() {
        use std::os::unix::fs::symlink;
        let dir = tree(&["a/b"]);
        let at = |name: &str| dir.path().join(name);
        symlink("a/b", at("to-a-file")).unwrap();
        symlink(dir.path(), at("a/loop")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let (paths, warnings) = walk(dir.path(), &[]);
        assert_eq!(paths, ["a", "a/b"]);
        let expected = [
            "3 symbolic links are left out: a/loop, dangling, to-a-file",
            "1 socket, pipe or device is left out: socket",
        ];
        assert_eq!(warnings, expected);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_cannot_travel_are_left_out_and_reported() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let dir = tree(&["ok"]);
        for name in [&b"\xff"[..], b"a\\b", b"a\nb"] {
            std::fs::write(dir.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("c:")).unwrap();
        std::fs::write(dir.path().join("c:/inside"), "").unwrap();
        let (paths, warnings) = walk(dir.path(), &[]);
        assert_eq!(paths, ["ok"]);
        let said = "4 files or folders whose names other systems do not accept are left out: ";
        assert_eq!(warnings, [format!("{said}a\nb, a\\b, c:, \u{fffd}")]);
        assert!(relative(Path::new(&"n".repeat(255))).is_some());
        assert!(relative(Path::new(&"n".repeat(300))).is_none());
    }

    #[test]
    fn what_is_too_deep_is_left_out_and_reported() {
        let deepest = ["d"; 64].join("/");
        let dir = tree(&[&format!("{deepest}/e/f")]);
        let (paths, warnings) = walk(dir.path(), &[]);
        assert_eq!((paths.len(), paths.last()), (64, Some(&deepest)));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("1 file or folder") && warnings[0].ends_with("d/e"), "{}", warnings[0]);
    }

    #[test]
    fn there_may_be_as_many_files_and_folders_as_the_limit_says() {
        let dir = tree(&["a/b", "c", "d.tmp"]);
        let exclude = exclude(&["*.tmp"]);
        Walk::new(&exclude, 3).add_contents(dir.path()).unwrap();
        let refused = Walk::new(&exclude, 2).add_contents(dir.path()).unwrap_err();
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (Kind::Refused, "there are more than 2 files and folders to share")
        );
        assert!(refused.hint.unwrap().contains("--exclude GLOB, or share an archive"));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_named() {
        let dir = tree(&["a"]);
        let refused = Walk::new(&exclude(&[]), 10).add_contents(&dir.path().join("missing")).unwrap_err();
        assert_eq!(refused.kind, Kind::Local);
        assert!(refused.message.ends_with("missing: no such file or directory"), "{refused}");
    }

    #[test]
    fn ten_names_are_shown_and_the_others_counted() {
        let mut names = Names::default();
        (0..MAX_SHOWN).rev().for_each(|number| names.add(Path::new(&format!("{number:02}"))));
        assert_eq!(names.shown(), "00, 01, 02, 03, 04, 05, 06, 07, 08, 09");
        names.add(Path::new("000"));
        names.add(Path::new("99"));
        assert_eq!(names.shown(), "00, 000, 01, 02, 03, 04, 05, 06, 07, 08 and 2 more");
    }
}
