//! Several files and folders that are shared together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use runtime::source::{Entry, EntryKind, MAX_ENTRIES, Manifest, RelativePath, Source, SourceError};

use crate::exclude::Exclude;
use crate::failure::{Failure, reason};
use crate::output::{Output, bytes};
use crate::source_file::is_standard_input;
use crate::walk::{LEAVE_OUT, LeftOut, Walk};

/// The name of files and folders that a person names one by one. That of the folder that they are in would tell receivers about
/// something that is not shared, such as the name of a user.
const NAME: &str = "files";

/// Files and folders as they are now.
#[derive(Debug)]
pub(crate) struct SourceTree {
    pub(crate) source: Source,
    /// Its last segment is the name.
    pub(crate) path: PathBuf,
    left_out: LeftOut,
}

impl SourceTree {
    /// What is in one folder, or several files and folders under their last names. Blocks.
    ///
    /// # Errors
    /// A failure that names what cannot be read, or cannot be shared with the others, and one if nothing is left to share.
    pub(crate) fn open(paths: &[PathBuf], exclude: &Exclude) -> Result<Self, Failure> {
        let mut walk = Walk::new(exclude, MAX_ENTRIES);
        let path = match paths {
            [folder] => {
                let place = canonical(folder)?;
                walk.add_contents(&place)?;
                // `.` and `..` are no names.
                if folder.file_name().is_some() { folder.clone() } else { place }
            }
            several => {
                Named::all(several)?.iter().try_for_each(|named| walk.add(&named.local, &named.name))?;
                PathBuf::from(NAME)
            }
        };
        let (entries, left_out) = walk.finish();
        if entries.is_empty() {
            return Err(left_out.everything(&path));
        }
        let source = Source::tree(entries).and_then(|source| source.check().map(|()| source)).map_err(unusable)?;
        Ok(Self { source, path, left_out })
    }

    /// Says how much is shared, and what is not.
    pub(crate) fn describe(&self, output: Output) {
        if let Some(manifest) = self.source.manifest() {
            let excluded = match self.left_out.excluded {
                0 => String::new(),
                count => format!(", without {count} left out by --exclude"),
            };
            output.talk(format!("{}{excluded}", amount(manifest)));
        }
        self.left_out.warn(output);
    }
}

/// Files, folders and bytes.
fn amount(manifest: &Manifest) -> String {
    let entries = manifest.entries();
    let files = entries.iter().filter(|entry| entry.kind != EntryKind::Folder).count();
    let size = entries.iter().map(Entry::size).sum();
    let count = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    match entries.len() - files {
        0 => format!("{}, {}", count(files, "file"), bytes(size)),
        folders => format!("{} and {}, {}", count(files, "file"), count(folders, "folder"), bytes(size)),
    }
}

/// A file or folder of several.
struct Named {
    name: RelativePath,
    /// Without links.
    local: PathBuf,
}

impl Named {
    /// # Errors
    /// A failure for what cannot be read or have its name beside the others.
    fn all(paths: &[PathBuf]) -> Result<Vec<Self>, Failure> {
        let mut places: HashMap<String, (&Path, PathBuf)> = HashMap::new();
        paths
            .iter()
            .map(|path| {
                let named = Self::new(path)?;
                let place = (path.as_path(), named.local.clone());
                match places.insert(named.name.as_str().to_owned(), place) {
                    None => Ok(named),
                    Some((_, local)) if local == named.local => {
                        Err(Failure::usage(format!("{} is named twice", path.display())).hint("name it once"))
                    }
                    Some((other, _)) => {
                        Err(Failure::usage(format!("{} and {} have the same name", other.display(), path.display()))
                            .hint("share the folder that both are in, or rename one of them"))
                    }
                }
            })
            .collect()
    }

    fn new(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        if is_standard_input(path) {
            return Err(Failure::usage("standard input cannot be shared together with files")
                .hint("share it alone, or write it to a file first"));
        }
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(
                Failure::usage(format!("{shown} is neither a file nor a folder")).hint("share it alone, or omit it")
            );
        }
        let local = canonical(path)?;
        let name = path.file_name().or_else(|| local.file_name()).and_then(|name| name.to_str());
        let name = name.and_then(|name| RelativePath::new(name).ok()).ok_or_else(|| {
            Failure::usage(format!("{shown} has no name that other systems accept"))
                .hint("rename it, or share it alone")
        })?;
        Ok(Self { name, local })
    }
}

/// A failure with what helps for one file of several.
fn unusable(error: SourceError) -> Failure {
    let is_unreadable = matches!(error, SourceError::Unreadable { .. });
    let failure = Failure::from(error);
    if is_unreadable { failure.hint(LEAVE_OUT) } else { failure }
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("cannot read {}: {}", path.display(), reason(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Kind;
    use crate::exclude::Pattern;
    use crate::source_file::SourceFile;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let place = dir.path().join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, file).unwrap();
        }
        dir
    }

    fn open(dir: &Path, paths: &[&str]) -> Result<SourceTree, Failure> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| dir.join(path)).collect();
        SourceTree::open(&paths, &Exclude::default())
    }

    fn paths(tree: &SourceTree) -> Vec<&str> {
        tree.source.manifest().unwrap().entries().iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn one_folder_gives_its_name_and_several_paths_are_below_their_own() {
        let dir = folder(&["photos/a", "photos/b/c", "notes"]);
        for (path, name) in
            [("photos", "photos"), ("photos/", "photos"), ("photos/b/..", "photos"), ("photos/.", "photos")]
        {
            let tree = open(dir.path(), &[path]).unwrap();
            assert_eq!(paths(&tree), ["a", "b", "b/c"]);
            let source = SourceFile::tree(tree);
            assert_eq!((source.name.as_str(), source.media_type().as_str()), (name, "application/vnd.enlace.files"));
        }
        let tree = open(dir.path(), &["photos/b", "notes"]).unwrap();
        assert_eq!(paths(&tree), ["b", "b/c", "notes"]);
        assert_eq!(amount(tree.source.manifest().unwrap()), "2 files and 1 folder, 15 bytes");
        assert_eq!(SourceFile::tree(tree).name, "files");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_are_named_are_followed() {
        let dir = folder(&["real/a", "file"]);
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("other")).unwrap();
        let alone = open(dir.path(), &["link"]).unwrap();
        assert_eq!(paths(&alone), ["a"]);
        assert_eq!(SourceFile::tree(alone).name, "link");
        assert_eq!(paths(&open(dir.path(), &["link", "other"]).unwrap()), ["link", "link/a", "other"]);
    }

    #[cfg(unix)]
    #[test]
    fn modes_and_times_of_files_and_folders_travel() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = folder(&["x/private/a"]);
        let place = dir.path().join("x/private");
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::set_permissions(place.join("a"), std::fs::Permissions::from_mode(0o640)).unwrap();
        let tree = open(dir.path(), &["x"]).unwrap();
        let entries = tree.source.manifest().unwrap().entries();
        assert_eq!(entries.iter().map(|entry| entry.mode).collect::<Vec<_>>(), [Some(0o700), Some(0o640)]);
        assert!(entries.iter().all(|entry| entry.modified_at.is_some()));
    }

    #[test]
    fn paths_that_cannot_be_together_are_named() {
        let dir = folder(&["a/x", "b/x", "b/X"]);
        for (given, kind, words) in [
            (&["a/x", "b/x"][..], Kind::Usage, &["a/x and ", "b/x have the same name"][..]),
            (&["a/x", "a/../a/x"], Kind::Usage, &["a/x is named twice"]),
            (&["a/x", "b/X"], Kind::Usage, &["X and x have the same name on systems that ignore case"]),
            (&["b"], Kind::Usage, &["X and x have the same name on systems that ignore case"]),
            (&["a/x", "missing"], Kind::Local, &["cannot read ", "missing: no such file"]),
        ] {
            let refused = open(dir.path(), given).unwrap_err();
            assert_eq!(refused.kind, kind, "{refused}");
            assert!(words.iter().all(|word| refused.message.contains(word)), "{given:?}: {refused}");
        }
        let stream = [dir.path().join("a/x"), PathBuf::from("-")];
        let refused = SourceTree::open(&stream, &Exclude::default()).unwrap_err();
        assert_eq!(refused.message, "standard input cannot be shared together with files");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn named_paths_that_cannot_be_shared_are_refused_instead_of_left_out() {
        let dir = folder(&["a", "b\\c"]);
        let refused = open(dir.path(), &["a", "b\\c"]).unwrap_err();
        assert!(refused.message.ends_with("b\\c has no name that other systems accept"), "{refused}");
        let refused = open(dir.path(), &["a", "/dev/null"]).unwrap_err();
        assert_eq!(refused.message, "/dev/null is neither a file nor a folder");
        let refused = open(dir.path(), &["a", "/proc/self/status"]).unwrap_err();
        assert!(refused.message.ends_with("status does not tell its size"), "{refused}");
    }

    #[test]
    fn a_share_in_which_nothing_remains_is_refused() {
        let dir = folder(&["x/a"]);
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        let refused = open(dir.path(), &["empty"]).unwrap_err();
        assert!(refused.kind == Kind::Usage && refused.message.contains("nothing to share in "), "{refused}");
        let everything = Exclude::from(vec![Pattern::parse("*").unwrap()]);
        let refused = SourceTree::open(&[dir.path().join("x")], &everything).unwrap_err();
        assert!(refused.hint.unwrap().contains("--exclude"));
    }
}
