//! Where a received file goes: never over another file unasked, never half, never executable unless the file was that it
//! replaces. `-` is standard output.

use std::io::{ErrorKind, IsTerminal as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use durable::partial::PartialFile;
use durable::private::{Existing, NewFile, user_file_mode};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::checksum::Checksum;
use super::kept::Kept;
use super::name::{SafeName, safe_name};
use super::storing::Storing;
use super::writing::{PIECE, Writing, Written};
use crate::code::Kind;
use crate::failure::{Failure, reason};
use crate::output;
use crate::progress::ProgressOutput;
use crate::size;

/// The path that means standard output.
const STANDARD_OUTPUT: &str = "-";
/// The hint after a failure that leaves a part of a file on standard output.
pub(super) const INCOMPLETE_OUTPUT: &str = "what was written to standard output is incomplete; discard it";

/// A path that may be written.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    overwrite: bool,
    /// Permissions of the file that is replaced; else those that the user's mask gives.
    mode: Option<u32>,
    /// The sender's name, if the file does not get it because programs act on files of that name.
    acted_on: Option<String>,
}

/// A file that arrived.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes in lower-case hex, of a single file if the result is for scripts.
    pub(crate) sha256: Option<String>,
    /// How many of its bytes had arrived before this run.
    pub(crate) resumed: u64,
    /// The files in it, if there are several.
    pub(crate) files: Option<Vec<SavedFile>>,
}

/// One of several files that arrived.
#[derive(Debug)]
pub(crate) struct SavedFile {
    /// Where it is, below the folder.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Saved {
    /// Whether the bytes went to standard output, so that the line about them must not.
    pub(crate) fn is_on_standard_output(&self) -> bool {
        is_standard_output(&self.path)
    }
}

impl Destination {
    /// Decides on the path: `output` if it names a file, else the sender's name made safe, in `output` if that is a
    /// directory and in the current directory if nothing was said.
    ///
    /// # Errors
    /// A failure if something is there already and may not be overwritten, if the directory does not exist, or if standard
    /// output is a terminal on which nothing may be overwritten.
    pub(crate) fn choose(output: Option<&Path>, name: &str, overwrite: bool) -> Result<Self, Failure> {
        if let Some(path) = output.filter(|path| is_standard_output(path)) {
            if !overwrite && std::io::stdout().is_terminal() {
                return Err(steers_terminal());
            }
            return Ok(Self { path: path.to_owned(), overwrite, acted_on: None, mode: None });
        }
        let SafeName { name, acted_on } = safe_name(name);
        let (path, acted_on) = match output {
            Some(path) if path.is_dir() => (path.join(name), acted_on),
            Some(path) => (path.to_owned(), None),
            None => (PathBuf::from(name), acted_on),
        };
        check_directory(&path)?;
        // Looks at the entry itself: a link to nowhere is something that is there, too.
        let mode = match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::local(format!("{} is a directory", path.display())));
            }
            Ok(_) if !overwrite => return Err(exists(&path)),
            // Writing renames; that must not put a file in a device's or pipe's place.
            Ok(metadata) if !metadata.is_file() && !metadata.is_symlink() => {
                return Err(Failure::local(format!("{} is not a plain file", path.display())));
            }
            Ok(metadata) if metadata.is_file() => permissions(&metadata),
            _ => None,
        };
        Ok(Self { path, overwrite, mode, acted_on })
    }

    /// Checks that a file of `size` bytes fits on the disk, before it is fetched. Others may fill the disk meanwhile, so
    /// writing can still fail.
    ///
    /// # Errors
    /// A failure with both numbers.
    pub(crate) fn check_room(&self, size: u64) -> Result<(), Failure> {
        if self.is_standard_output() {
            return Ok(());
        }
        enough_for_rest(size, 0, &self.path)
    }

    /// Says why the file has another name than the sender's, if programs act on that one.
    pub(crate) fn explain(&self, output: output::Output) {
        if let (Some(name), Some(path)) = (&self.acted_on, self.path.file_name()) {
            let path = path.to_string_lossy();
            let message =
                format!("the file is saved as {path}, because some programs act on files named {name} automatically");
            output.warning(&message, "if you want that name, add --output FILE");
        }
    }

    /// Writes everything the reader gives into a private temporary file beside the destination, makes it durable, and
    /// only then gives it its name. Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// A failure if reading or writing fails, or if fewer or more bytes than `length` come.
    pub(crate) async fn write(
        self,
        reader: impl AsyncRead + Unpin,
        length: u64,
        progress: &ProgressOutput,
    ) -> Result<Saved, Failure> {
        self.write_to_end(reader, Some(length), progress).await
    }

    /// The same for a length that may not be known before the end.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn write_to_end(
        self,
        reader: impl AsyncRead + Unpin,
        length: Option<u64>,
        progress: &ProgressOutput,
    ) -> Result<Saved, Failure> {
        if self.is_standard_output() {
            let nothing = Arrived::nothing(Checksum::shown_by(progress));
            let copied = copy(reader, std::io::stdout(), nothing, length, progress, output::unwritable).await;
            let (_, bytes, sha256) = copied.map_err(|failure| match failure.kind {
                Kind::Network | Kind::Integrity => failure.hint(INCOMPLETE_OUTPUT),
                _ => failure,
            })?;
            return Ok(Saved { path: self.path, bytes, sha256, resumed: 0, files: None });
        }
        let mut temporary = NewFile::create(&self.path).map_err(|error| self.unwritable(&error))?;
        let handle = temporary.file().try_clone().map_err(|error| self.unwritable(&error))?;
        let unwritable = |error: &std::io::Error| self.unwritable(error);
        let nothing = Arrived::nothing(Checksum::shown_by(progress));
        let (file, bytes, sha256) = copy(reader, Storing::new(handle), nothing, length, progress, unwritable).await?;
        // Here it keeps no thread of the runtime; publishing finds nothing left to synchronize.
        stored(file, bytes).await.map_err(|error| self.unwritable(&error))?;
        self.publish(temporary)?;
        Ok(self.saved(bytes, sha256, 0))
    }

    /// The same for what is written behind what an earlier run left, into a file that stays if anything fails. The length may not be
    /// known before the end.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(super) async fn write_behind(
        self,
        arrived: Arrived,
        partial: &PartialFile,
        reader: impl AsyncRead + Unpin,
        length: Option<u64>,
        progress: &ProgressOutput,
    ) -> Result<Saved, Failure> {
        let resumed = arrived.bytes;
        let mut handle = partial.file().try_clone().map_err(|error| self.unwritable(&error))?;
        handle.seek(SeekFrom::Start(resumed)).map_err(|error| self.unwritable(&error))?;
        let unwritable = |error: &std::io::Error| self.unwritable(error);
        let (file, bytes, sha256) = copy(reader, Storing::new(handle), arrived, length, progress, unwritable).await?;
        stored(file, bytes).await.map_err(|error| self.unwritable(&error))?;
        partial.set_mode(self.final_mode()).map_err(|error| self.unwritable(&error))?;
        partial.publish(&self.path, self.existing()).map_err(|error| self.unpublished(&error))?;
        Ok(self.saved(bytes, sha256, resumed))
    }

    fn saved(self, bytes: u64, sha256: Option<String>, resumed: u64) -> Saved {
        let path = self.path.canonicalize().unwrap_or(self.path);
        Saved { path, bytes, sha256, resumed, files: None }
    }

    fn publish(&self, mut temporary: NewFile) -> Result<(), Failure> {
        // Private until it is whole.
        temporary.set_mode(self.final_mode()).map_err(|error| self.unwritable(&error))?;
        temporary.publish(self.existing()).map_err(|error| self.unpublished(&error))
    }

    fn final_mode(&self) -> u32 {
        self.mode.unwrap_or_else(user_file_mode)
    }

    fn existing(&self) -> Existing {
        if self.overwrite { Existing::Replace } else { Existing::Refuse }
    }

    fn unpublished(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            // Somebody made it while we were downloading.
            ErrorKind::AlreadyExists => exists(&self.path),
            _ => self.unwritable(error),
        }
    }

    /// Where the file goes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes to standard output.
    pub(super) fn is_standard_output(&self) -> bool {
        is_standard_output(&self.path)
    }

    pub(super) fn unwritable(&self, error: &std::io::Error) -> Failure {
        unwritable(&self.path, &self.path, error)
    }
}

/// What is already there of a content that is copied.
pub(super) struct Arrived {
    pub(super) bytes: u64,
    /// Of those bytes.
    pub(super) checksum: Checksum,
}

impl Arrived {
    pub(super) fn nothing(checksum: Checksum) -> Self {
        Self { bytes: 0, checksum }
    }
}

/// Why a file that belongs to a destination cannot be written.
pub(super) fn unwritable(destination: &Path, file: &Path, error: &std::io::Error) -> Failure {
    // The folder was removed meanwhile.
    if let Err(failure) = check_directory(destination) {
        return failure;
    }
    let failure = Failure::local(format!("cannot write {}: {}", file.display(), reason(error)));
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            failure.hint("free some space, or choose another disk with --output PATH")
        }
        _ => failure.hint("choose another place with --output PATH"),
    }
}

/// Waits until a file of `length` bytes is stored.
async fn stored(file: Storing, length: u64) -> std::io::Result<()> {
    let storing = move || {
        // More may be there of an earlier run than of the file.
        file.set_len(length)?;
        file.finish().map(drop)
    };
    tokio::task::spawn_blocking(storing).await.map_err(std::io::Error::other)?
}

/// Copies what is left of a content, which has `length` bytes if that is known. Returns how many there are in all, and their
/// SHA-256 in lower-case hex if it is wanted, with the writer.
async fn copy<W: Write + Send + 'static>(
    mut reader: impl AsyncRead + Unpin,
    writer: W,
    arrived: Arrived,
    length: Option<u64>,
    progress: &ProgressOutput,
    unwritable: impl Fn(&std::io::Error) -> Failure,
) -> Result<(W, u64, Option<String>), Failure> {
    let Arrived { mut bytes, checksum } = arrived;
    progress.step("writing", length);
    progress.begin_behind(bytes);
    let (mut writing, mut buffer) = (Writing::begin(Written { writer, checksum }), vec![0; PIECE]);
    let end = loop {
        match reader.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Err(error) => break Err(interrupted(&error)),
            Ok(count) => {
                buffer = writing.write(buffer, count).await.map_err(|error| unwritable(&error))?;
                bytes += count as u64;
                progress.add(count as u64);
            }
        }
    };
    // What has arrived is kept for a later run, also if no more does.
    let Written { writer, checksum } = writing.finish().await.map_err(|error| unwritable(&error))?;
    let whole = end.and_then(|()| match length {
        Some(length) if bytes != length => {
            Err(Failure::new(Kind::Integrity, format!("received {bytes} bytes instead of {length}")))
        }
        _ => Ok(()),
    });
    if let Err(failure) = whole {
        // It may wait for the disk.
        let _ = tokio::task::spawn_blocking(move || drop(writer)).await;
        return Err(failure);
    }
    Ok((writer, bytes, checksum.finish()))
}

/// Checks that what is left of a file of `size` bytes, of which some are on the disk already, fits on the disk of a destination.
///
/// # Errors
/// A failure with both numbers.
pub(super) fn enough_for_rest(size: u64, arrived: u64, destination: &Path) -> Result<(), Failure> {
    let directory = directory_of(destination);
    let what = if arrived == 0 { "file" } else { "rest of the file" };
    enough(what, size - arrived.min(size), durable::free_bytes(directory), directory)
}

/// Whether so many bytes are free, if that is known.
fn enough(what: &str, size: u64, free: Option<u64>, directory: &Path) -> Result<(), Failure> {
    let Some(free) = free.filter(|free| *free < size) else { return Ok(()) };
    let (size, free) = size::different(size, free);
    let shown = directory.display();
    Err(Failure::local(format!("the {what} has {size}, but only {free} are free on the disk of {shown}"))
        .hint("free some space, or choose another disk with --output PATH; nothing was fetched"))
}

/// The directory in which a path is an entry.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Whether the directory of a path exists.
///
/// # Errors
/// A failure that names it.
pub(super) fn check_directory(path: &Path) -> Result<(), Failure> {
    let names_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let directory = if names_directory { path } else { path.parent().unwrap_or(path) };
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let shown = directory.display();
    let failure = match directory.exists() {
        true => Failure::local(format!("{shown} is not a directory")),
        false => Failure::local(format!("the directory {shown} does not exist")),
    };
    Err(failure.hint("create it, or choose another place with --output PATH"))
}

#[cfg(unix)]
fn permissions(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(metadata.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn permissions(_: &std::fs::Metadata) -> Option<u32> {
    None
}

/// Says how large a file is before it is fetched, and stops if that is too much.
///
/// # Errors
/// A failure if it is larger than `limit` bytes.
pub(crate) fn announce(name: &str, size: u64, limit: u64, output: output::Output) -> Result<(), Failure> {
    output.talk(format!("{} ({})", output::printable(name), output::bytes(size)));
    if size <= limit {
        return Ok(());
    }
    let (size_text, limit) = size::different(size, limit);
    Err(Failure::new(Kind::Refused, format!("the file has {size_text}, more than the limit of {limit}"))
        .hint(format!("allow it with --max-size {size}")))
}

/// The sender chose the bytes, and a terminal acts on some of them.
fn steers_terminal() -> Failure {
    Failure::usage("standard output is a terminal, which the content of a file can control")
        .hint("redirect it to a file or pipe it into another program, or add --force if you trust the sender")
}

pub(super) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == STANDARD_OUTPUT
}

/// Says what a command leaves behind that was stopped while it wrote to `output`.
pub(crate) fn stopped(failure: Failure, output: Option<&Path>, kept: &Kept) -> Failure {
    if let Some(how) = kept.how_to_continue() {
        return match (failure.kind, &failure.hint) {
            // Whatever was altered was not kept, so it may well be all right to continue.
            (Kind::Interrupted | Kind::Integrity, _) | (_, None) => failure.hint(how),
            (_, Some(hint)) => {
                let both = format!("{hint}; {how}");
                failure.hint(both)
            }
        };
    }
    match failure.kind {
        Kind::Interrupted if output.is_some_and(is_standard_output) => failure.hint(INCOMPLETE_OUTPUT),
        Kind::Interrupted => failure.hint(format!("nothing was kept; {} to try again", kept.again())),
        _ => failure,
    }
}

pub(super) fn exists(path: &Path) -> Failure {
    Failure::local(format!("{} exists already and was not changed", path.display()))
        .hint("choose another place with --output PATH, or overwrite it with --force")
}

/// Why a content did not arrive. What the node says of it is inside of the error.
pub(super) fn interrupted(error: &std::io::Error) -> Failure {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<runtime::Error>()) {
        return inner.clone().into();
    }
    Failure::new(Kind::Network, format!("the file did not arrive completely: {}", reason(error))).hint("try again")
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    async fn write(destination: Destination, content: &[u8], length: u64) -> Result<Saved, Failure> {
        destination.write(content, length, &ProgressOutput::new(Output::new(true))).await
    }

    #[tokio::test]
    async fn a_file_arrives_whole_private_and_with_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let destination = Destination::choose(Some(dir.path()), "../a.txt", false).unwrap();
        let saved = write(destination, b"abc", 3).await.unwrap();
        assert_eq!(saved.path, dir.path().canonicalize().unwrap().join("a.txt"));
        assert_eq!(std::fs::read(&saved.path).unwrap(), b"abc");
        assert_eq!(saved.sha256.unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&saved.path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn nothing_is_overwritten_unasked_not_even_what_appeared_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let early = Destination::choose(Some(&path), "x", false).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(Destination::choose(Some(&path), "x", false).unwrap_err().kind, Kind::Local);
        assert_eq!(write(early, b"abc", 3).await.unwrap_err().kind, Kind::Local);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        let forced = Destination::choose(Some(&path), "x", true).unwrap();
        write(forced, b"abc", 3).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_file_of_another_length_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let destination = Destination::choose(Some(dir.path()), "a", false).unwrap();
        assert_eq!(write(destination, b"abc", 4).await.unwrap_err().kind, Kind::Integrity);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_is_replaced_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for mode in [0o400, 0o664, 0o755] {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, "mine").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            write(Destination::choose(Some(&path), "x", true).unwrap(), b"abc", 3).await.unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
    }

    #[tokio::test]
    async fn a_missing_directory_is_named_before_and_after() {
        let dir = tempfile::tempdir().unwrap();
        for missing in ["no/x", "no/such/x", "no/"] {
            let refused = Destination::choose(Some(&dir.path().join(missing)), "a", false).unwrap_err();
            assert!(refused.message.starts_with("the directory ") && refused.message.contains("/no"), "{refused}");
        }
        std::fs::write(dir.path().join("file"), "").unwrap();
        let refused = Destination::choose(Some(&dir.path().join("file/x")), "a", false).unwrap_err();
        assert!(refused.message.ends_with("file is not a directory"), "{refused}");
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let destination = Destination::choose(Some(&dir.path().join("out")), "a", false).unwrap();
        std::fs::remove_dir(dir.path().join("out")).unwrap();
        let refused = write(destination, b"abc", 3).await.unwrap_err();
        assert!(refused.message.ends_with("out does not exist") && !refused.message.contains(".new-"), "{refused}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("a");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(Destination::choose(Some(&link), "x", false).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_replaced_even_if_asked() {
        let refused = Destination::choose(Some(Path::new("/dev/null")), "x", true).unwrap_err();
        assert!(refused.message.contains("not a plain file"), "{refused}");
    }

    #[test]
    fn only_whoever_names_the_file_gets_a_name_that_programs_act_on() {
        let dir = tempfile::tempdir().unwrap();
        let chosen = Destination::choose(Some(dir.path()), "Makefile", false).unwrap();
        assert_eq!(chosen.path, dir.path().join("Makefile.received"));
        assert_eq!(chosen.acted_on.as_deref(), Some("Makefile"));
        assert_eq!(Destination::choose(None, "config.json", true).unwrap().path, Path::new("config.json.received"));
        let named = dir.path().join("Makefile");
        let chosen = Destination::choose(Some(&named), "Makefile", false).unwrap();
        assert_eq!((chosen.path, chosen.acted_on), (named, None));
    }

    #[tokio::test]
    async fn a_full_disk_is_called_full() {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        let destination = Destination { path: "x".into(), overwrite: false, mode: None, acted_on: None };
        assert!(destination.unwritable(&full).hint.unwrap().starts_with("free some space"));
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_with_both_numbers_before_it_is_fetched() {
        let directory = Path::new("/disk");
        for (size, free) in [(10, Some(10)), (10, None), (0, Some(0))] {
            assert!(enough("file", size, free, directory).is_ok(), "{size} {free:?}");
        }
        for (size, free, message) in [
            (11, 10, "the file has 11 bytes, but only 10 bytes are free on the disk of /disk"),
            (5 << 30, 1 << 30, "the file has 5.0 GiB, but only 1.0 GiB are free on the disk of /disk"),
            (1_048_577, 1_048_576, "the file has 1048577 bytes, but only 1048576 bytes are free on the disk of /disk"),
        ] {
            let refused = enough("file", size, Some(free), directory).unwrap_err();
            assert_eq!((refused.kind, refused.message.as_str()), (Kind::Local, message));
            assert!(refused.hint.unwrap().starts_with("free some space"));
        }
        let dir = tempfile::tempdir().unwrap();
        let destination = Destination::choose(Some(dir.path()), "a", false).unwrap();
        destination.check_room(1).unwrap();
        #[cfg(unix)]
        assert!(destination.check_room(u64::MAX).unwrap_err().message.contains(&dir.path().display().to_string()));
        assert_eq!(directory_of(Path::new("a")), Path::new("."));
    }

    #[test]
    fn files_larger_than_the_limit_are_refused_before_they_are_fetched() {
        let output = Output::new(true);
        assert!(announce("a", 10, 10, output).is_ok());
        let refused = announce("a", 1_048_577, 1_048_576, output).unwrap_err();
        assert_eq!(refused.kind, Kind::Refused);
        assert_eq!(refused.message, "the file has 1048577 bytes, more than the limit of 1048576 bytes");
        assert_eq!(refused.hint.as_deref(), Some("allow it with --max-size 1048577"));
    }
}
