//! How a file is fetched: alone or as several, from its first byte or from where an earlier run ended.

use std::path::Path;

use runtime::dto::File;
use runtime::manifest::{EntryKind, Manifest, RelativePath};

use super::destination::{Destination, Saved, announce};
use super::kept::Kept;
use super::partial::receive_file;
use super::tree::{TreeDestination, receive_tree};
use crate::access::Access;
use crate::code::Kind;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::ProgressOutput;

/// What the command line says of where a file goes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Saving<'a> {
    /// A file or directory, or `-`.
    pub(crate) output: Option<&'a Path>,
    /// Whether an existing file is overwritten.
    pub(crate) overwrite: bool,
    /// Whether several files get the sender's permissions.
    pub(crate) keep_modes: bool,
    /// The only one of several files that is wanted.
    pub(crate) only: Option<&'a str>,
    /// Most bytes of that one.
    pub(crate) max_size: u64,
}

/// Fetches a file to where it belongs. What arrived stays at `kept` if this fails or is dropped, where that helps a later run.
///
/// # Errors
/// A failure that says what is wrong, with the next step.
pub(crate) async fn fetch(
    access: &Access,
    file: &File,
    saving: Saving<'_>,
    kept: &Kept,
    progress: &ProgressOutput,
    output: Output,
) -> Result<Saved, Failure> {
    let manifest = access.manifest(file).await?;
    match (manifest, saving.only) {
        (Some(manifest), Some(path)) => fetch_entry(access, file, &manifest, path, saving, progress, output).await,
        (None, Some(_)) => Err(one_file()),
        (Some(manifest), None) => {
            let destination =
                TreeDestination::choose(saving.output, &file.filename, saving.overwrite, saving.keep_modes)?;
            progress.begin(file.filesize);
            receive_tree(access, file, manifest, destination, kept, progress, output).await
        }
        (None, None) => fetch_file(access, file, saving, kept, progress, output).await,
    }
}

async fn fetch_file(
    access: &Access,
    file: &File,
    saving: Saving<'_>,
    kept: &Kept,
    progress: &ProgressOutput,
    output: Output,
) -> Result<Saved, Failure> {
    let destination = Destination::choose(saving.output, &file.filename, saving.overwrite)?;
    destination.explain(output);
    progress.begin(file.filesize);
    if access.can_continue(file) && !destination.is_standard_output() {
        return receive_file(access, file, destination, kept, progress, output).await;
    }
    destination.check_room(file.filesize)?;
    let content = access.download(file.id.as_str(), progress).await?;
    progress.comes_by(&content.paths);
    let saved = destination.write(content.reader, content.length, progress).await?;
    progress.comes_by(&access.paths_at_end(content.paths).await);
    Ok(saved)
}

/// Fetches one of several files, and nothing of the others.
async fn fetch_entry(
    access: &Access,
    file: &File,
    manifest: &Manifest,
    path: &str,
    saving: Saving<'_>,
    progress: &ProgressOutput,
    output: Output,
) -> Result<Saved, Failure> {
    let found = RelativePath::new(path.strip_prefix("./").unwrap_or(path)).ok().and_then(|path| manifest.find(&path));
    let (entry, place) = found
        .and_then(|index| Some((manifest.entries().get(index)?, manifest.content_of(index)?)))
        .filter(|(entry, _)| matches!(entry.kind, EntryKind::File { .. }))
        .ok_or_else(|| not_among(path))?;
    announce(entry.path.as_str(), entry.size(), saving.max_size, output)?;
    let name = entry.path.names().last().unwrap_or_default();
    let destination = Destination::choose(saving.output, name, saving.overwrite)?;
    destination.explain(output);
    destination.check_room(entry.size())?;
    progress.begin(entry.size());
    let content = access.download_range(file, place).await?;
    progress.comes_by(&content.paths);
    destination.write(content.reader, content.length, progress).await
}

fn not_among(path: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no file {path:?} among those that were shared"))
        .hint("--list shows their paths; a folder cannot be received alone")
}

pub(super) fn one_file() -> Failure {
    Failure::usage("--only is for references to several files, and this one is to a single file").hint("omit --only")
}

/// The files that a reference is to.
pub(crate) struct Listed {
    /// The files and folders of a content with several, or the only file.
    pub(crate) entries: Vec<ListedEntry>,
}

/// A file or folder that can be received.
pub(crate) struct ListedEntry {
    /// Where it is below the folder that is received.
    pub(crate) path: String,
    /// Its length; of a file only.
    pub(crate) bytes: Option<u64>,
}

/// Asks for the list of files only.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn list(access: &Access, file: &File) -> Result<Listed, Failure> {
    let entries = match access.manifest(file).await? {
        None => vec![ListedEntry { path: file.filename.clone(), bytes: Some(file.filesize) }],
        Some(manifest) => manifest
            .entries()
            .iter()
            .map(|entry| ListedEntry {
                path: entry.path.to_string(),
                bytes: matches!(entry.kind, EntryKind::File { .. }).then(|| entry.size()),
            })
            .collect(),
    };
    Ok(Listed { entries })
}
