//! Several files: written over several runs into a hidden folder beside the destination, which gets its name when all of them are
//! complete. Nothing is merged into a folder that is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::partial::{PartialError, PartialFolder};
use runtime::dto;
use runtime::manifest::{EntryKind, MAX_ENTRIES, Manifest};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::checksum::Checksum;
use super::destination::{
    Saved, SavedFile, check_directory, enough_for_rest, exists, interrupted, is_standard_output, unwritable,
};
use super::kept::{Kept, partial_path};
use super::name::{is_writable_on_windows, safe_name};
use super::partial::{say_continued, unusable};
use super::reading::verified;
use super::tree_content::{Tree, TreeCause, TreeError, TreeReader, TreeWriter, outer_mode};
use crate::access::Access;
use crate::code::Kind;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::ProgressOutput;

/// Bytes that are written at a time.
const PIECE: usize = 1 << 20;

/// Where several files go.
pub(super) struct TreeDestination {
    path: PathBuf,
    keep_modes: bool,
}

impl TreeDestination {
    /// Decides on the folder: a new one with the sender's name made safe, in `output` if that is a directory and in the current
    /// directory if nothing was said; else `output`.
    ///
    /// # Errors
    /// A failure if something is there already, whatever `overwrite` says, or if the directory does not exist.
    pub(super) fn choose(
        output: Option<&Path>,
        name: &str,
        overwrite: bool,
        keep_modes: bool,
    ) -> Result<Self, Failure> {
        let path = match output {
            Some(path) if is_standard_output(path) => {
                return Err(Failure::usage("standard output takes one file, and this reference is to several").hint(
                    "name a folder with --output PATH, or one of the files with --only PATH; --list shows them",
                ));
            }
            Some(path) if path.is_dir() => path.join(safe_name(name).name),
            Some(path) => path.components().collect(),
            None => PathBuf::from(safe_name(name).name),
        };
        check_directory(&path)?;
        match path.symlink_metadata() {
            Err(_) => Ok(Self { path, keep_modes }),
            Ok(_) if overwrite => Err(Failure::local(format!(
                "{} exists already, and several files never replace anything",
                path.display()
            ))
            .hint("remove it, or choose another place with --output PATH")),
            Ok(_) => Err(Failure { hint: None, ..exists(&path) }.hint("choose another place with --output PATH")),
        }
    }

    /// Why an entry could not be written or finished.
    fn failure(&self, partial: &Path, error: TreeError) -> Failure {
        let path = &error.path;
        match error.cause {
            TreeCause::Stray => {
                Failure::local(format!("{} was not sent; something else put it there", partial.join(path).display()))
                    .hint("remove it, and run the same command")
            }
            TreeCause::Changed => {
                Failure::local(format!("{} was changed while it was received", partial.join(path).display()))
            }
            TreeCause::Partial(PartialError::Io(cause)) => unwritable(&self.path, &self.path.join(path), &cause),
            TreeCause::Partial(other) => unusable(&partial.join(path), &other),
        }
    }
}

/// Refuses names that this system gives a meaning of their own.
///
/// # Errors
/// A failure that names the first one.
fn check_names(manifest: &Manifest) -> Result<(), Failure> {
    let reserved = |path: &&runtime::manifest::RelativePath| !path.names().all(is_writable_on_windows);
    match manifest.entries().iter().map(|entry| &entry.path).find(reserved) {
        Some(path) if cfg!(windows) => Err(Failure::local(format!("Windows does not allow the name \"{path}\""))
            .hint("receive the other files one by one with --only PATH")),
        _ => Ok(()),
    }
}

/// Refuses a list whose paths need far more folders than it names: a short one could fill the disk with them.
///
/// # Errors
/// A failure if they need more than [`MAX_ENTRIES`], which is more than a list can name.
fn check_folders(manifest: &Manifest) -> Result<(), Failure> {
    let (mut folders, mut before) = (0, Vec::new());
    for entry in manifest.entries() {
        let names: Vec<_> = entry.path.names().collect();
        let needed = names.len() - usize::from(entry.kind != EntryKind::Folder);
        // Entries come in the order of their names, so a folder that is not that of the entry before is a new one.
        let shared = before.iter().zip(&names).take_while(|(one, other)| one == other).count();
        folders += needed.saturating_sub(shared);
        before = names;
    }
    match folders > MAX_ENTRIES {
        true => {
            Err(Failure::new(Kind::Refused, format!("the files are in {folders} folders, more than {MAX_ENTRIES}"))
                .hint("receive the files that you want one by one with --only PATH"))
        }
        false => Ok(()),
    }
}

/// Fetches what an earlier run did not.
pub(super) async fn receive_tree(
    access: &Access,
    file: &dto::File,
    manifest: Manifest,
    destination: TreeDestination,
    kept: &Kept,
    progress: &ProgressOutput,
    output: Output,
) -> Result<Saved, Failure> {
    check_names(&manifest)?;
    check_folders(&manifest)?;
    let (place, manifest) = (partial_path(&destination.path, &file.id), Arc::new(manifest));
    let refused = |error: PartialError| unusable(&place, &error);
    let found = PartialFolder::open(&place).map_err(refused)?;
    kept.at(&place);
    let (tree, resumed) = match found {
        Some(folder) => {
            let tree = Tree { folder: Arc::new(folder), manifest };
            let checked = in_background(tree.clone(), |tree| tree.check()).await;
            checked.map_err(|error| destination.failure(&place, error))?;
            let resumed = what_arrived(access, file, &tree, progress).await?;
            enough_for_rest(file.filesize, resumed, &destination.path)?;
            (tree, resumed)
        }
        None => {
            enough_for_rest(file.filesize, 0, &destination.path)?;
            let folder = PartialFolder::create(&place).map_err(refused)?;
            (Tree { folder: Arc::new(folder), manifest }, 0)
        }
    };
    let _unless_useful = RemoveIfEmpty(tree.folder.clone());
    say_continued(resumed, file.filesize, progress, output);
    let content = access.download_range(file, resumed..file.filesize).await?;
    progress.comes_by(&content.paths);
    progress.step("writing", Some(file.filesize));
    progress.begin_behind(resumed);
    let failed = |error| destination.failure(&place, error);
    write(content.reader, TreeWriter::new(tree.clone(), resumed), file.filesize - resumed, progress, failed).await?;
    let (keep_modes, target) = (destination.keep_modes, destination.path.clone());
    in_background(tree.clone(), move |tree| tree.finish(keep_modes)).await.map_err(failed)?;
    let published = in_background(tree.clone(), move |tree| tree.folder.publish(&target, outer_mode())).await;
    published.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&destination.path),
        _ => unwritable(&destination.path, &destination.path, &error),
    })?;
    Ok(saved(&tree.manifest, &destination.path, resumed))
}

/// Verifies what an earlier run left.
async fn what_arrived(
    access: &Access,
    file: &dto::File,
    tree: &Tree,
    progress: &ProgressOutput,
) -> Result<u64, Failure> {
    let reader = TreeReader::new(tree.clone());
    let verify = async |content: &mut (dyn AsyncRead + Send + Unpin)| access.verified_prefix(file, content).await;
    let (bytes, _) = verified(reader, file.filesize, Checksum::none(), progress, verify).await?;
    // The list of files is here, and counts only with the first chunk of them.
    Ok(if bytes < tree.manifest.length() { 0 } else { bytes })
}

/// Writes `length` bytes: a piece on one thread, while another one fetches the next.
async fn write(
    mut reader: impl AsyncRead + Unpin,
    writer: TreeWriter,
    length: u64,
    progress: &ProgressOutput,
    failed: impl Fn(TreeError) -> Failure,
) -> Result<(), Failure> {
    let (mut left, mut writing) = (length, tokio::task::spawn_blocking(|| Ok((writer, Vec::new(), 0))));
    let mut piece = vec![0; PIECE];
    loop {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let read = reader.read(&mut piece[..wanted]).await;
        // Also after an error: nothing is to be written when this has returned.
        let written = (&mut writing).await.map_err(|error| Failure::general(error.to_string()))?;
        let (mut writer, empty, count) = written.map_err(&failed)?;
        progress.add(count);
        let count = read.map_err(|error| interrupted(&error))?;
        if left == 0 {
            return Ok(());
        }
        if count == 0 {
            return Err(Failure::new(Kind::Integrity, format!("{left} bytes of the files did not come")));
        }
        left -= count as u64;
        let full = std::mem::replace(&mut piece, empty);
        piece.resize(PIECE, 0);
        writing = tokio::task::spawn_blocking(move || {
            writer.write(&full[..count])?;
            Ok((writer, full, count as u64))
        });
    }
}

async fn in_background<T: Send + 'static>(tree: Tree, work: impl FnOnce(Tree) -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(move || work(tree)).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn saved(manifest: &Manifest, path: &Path, resumed: u64) -> Saved {
    let file = |entry: &runtime::manifest::Entry| match entry.kind {
        EntryKind::File { size } => Some(SavedFile { path: entry.path.to_string(), bytes: size }),
        EntryKind::Folder => None,
    };
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let bytes = manifest.content_length() - manifest.length();
    Saved { path, bytes, sha256: None, resumed, files: Some(manifest.entries().iter().filter_map(file).collect()) }
}

/// Nothing is to be left of a download that brought nothing.
struct RemoveIfEmpty(Arc<PartialFolder>);

impl Drop for RemoveIfEmpty {
    fn drop(&mut self) {
        self.0.remove_if_empty();
    }
}

#[cfg(test)]
mod tests {
    use runtime::manifest::{Entry, RelativePath};

    use super::*;

    #[test]
    fn a_list_needs_at_most_as_many_folders_as_it_can_name() {
        let manifest = |folders: usize, more: &[&str]| {
            let path = |number: usize| format!("{number}/a");
            let paths = (0..folders).map(path).chain(more.iter().map(|path| (*path).to_owned()));
            let entry = |path: String| Entry {
                kind: if path.ends_with('a') { EntryKind::File { size: 0 } } else { EntryKind::Folder },
                path: RelativePath::new(path).unwrap(),
                mode: None,
                modified_at: None,
            };
            Manifest::new(paths.map(entry).collect()).unwrap()
        };
        check_folders(&manifest(MAX_ENTRIES, &[])).unwrap();
        let half = MAX_ENTRIES - 6;
        check_folders(&manifest(half, &["x/a", "x/b", "x/c/d", "x/e/f/a"])).unwrap();
        let refused = check_folders(&manifest(half, &["x/a", "x/b", "x/c/d", "x/e/f/g/a"])).unwrap_err();
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (Kind::Refused, "the files are in 100001 folders, more than 100000")
        );
    }
}
