//! Files and directories that only their owner can read, written such that a loss of power leaves the old or the new
//! content, never a part.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Permissions of a private directory.
pub const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a private file.
pub const FILE_MODE: u32 = 0o600;

/// Lets this process create only files and directories that their owner alone can read, whoever creates them: a database
/// chooses its own permissions. For programs, before they start threads; it applies to the whole process.
pub fn restrict_process() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Options that create files only their owner can read.
#[must_use]
pub fn file_options() -> OpenOptions {
    #[allow(unused_mut, reason = "there are no modes elsewhere")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options
}

/// Creates a directory, and what is missing above it, for this user alone. Its name is durable when this returns, also if it
/// exists already: a loss of power may have come between an earlier attempt and its end.
///
/// # Errors
/// What the operating system says.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    let parent = parent_of(directory);
    if directory.is_dir() {
        return match sync_directory(parent) {
            // Somebody else made it, in a place that is not ours to look into.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            outcome => outcome,
        };
    }
    if !parent.is_dir() {
        create_directory(parent)?;
    }
    match directory_builder().create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent),
    }
}

/// Creates directories in one that exists, for this user alone. The new names are durable.
///
/// # Errors
/// What the operating system says.
pub fn create_directories(parent: &Path, names: impl IntoIterator<Item = String>) -> io::Result<()> {
    for name in names {
        match directory_builder().create(parent.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
    }
    // Also if all exist: whoever made them may have been killed before this.
    sync_directory(parent)
}

fn directory_builder() -> DirBuilder {
    #[allow(unused_mut, reason = "there are no modes elsewhere")]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
    builder
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the operating system says.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    // Elsewhere directories cannot be opened as files, and renames are journalled by the file system.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Refuses files and directories that other users can read or that belong to another user.
///
/// # Errors
/// [`Error::TooOpen`] names the `chmod` that helps, [`Error::Foreign`] the path.
pub fn check(path: &Path, wanted: u32) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let metadata = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::TooOpen { path: path.to_owned(), mode, wanted });
        }
        let me = rustix::process::geteuid().as_raw();
        // The superuser may keep the directories of others, as service managers do.
        if me != 0 && metadata.uid() != me {
            return Err(Error::Foreign { path: path.to_owned() });
        }
    }
    // Access lists of other systems inherit from the user's profile, which is private.
    #[cfg(not(unix))]
    let _ = (path, wanted);
    Ok(())
}

/// Reads a private file of at most `limit` bytes; nothing if it does not exist.
///
/// # Errors
/// As [`check`]; [`Error::Io`] if it is longer than `limit` or cannot be read.
pub fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, &error)),
        Ok(file) => file,
    };
    check(path, FILE_MODE)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, &error))?;
    if bytes.len() as u64 > limit {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes"));
        return Err(Error::io(path, &error));
    }
    Ok(Some(bytes))
}

/// Writes a private file: after a loss of power it has the old or the new content. Durable when this returns.
///
/// # Errors
/// What the operating system says; then the old content is there.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.file().write_all(content)?;
    file.publish(Existing::Replace)
}

/// As [`replace_file`], for a file that must not exist yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one, else what the operating system says.
pub fn create_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.file().write_all(content)?;
    file.publish(Existing::Refuse)
}

/// What happens to a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replace,
    /// It stays, and publishing fails.
    Refuse,
}

/// A file that gets its name when it is complete. Dropped before [`publish`](Self::publish), it leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: Option<PathBuf>,
    target: PathBuf,
}

impl NewFile {
    /// Begins a private file that will be called `target`, beside it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(target: &Path) -> io::Result<Self> {
        // Without the name of the target, which may be as long as a name can be.
        Self::create_at(parent_of(target).join(format!(".new-{}", random_suffix()?)), target)
    }

    /// Begins a private file at `temporary`, which must be on the same file system as `target`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create_at(temporary: PathBuf, target: &Path) -> io::Result<Self> {
        let file = file_options().read(true).write(true).create_new(true).open(&temporary)?;
        Ok(Self { file, temporary: Some(temporary), target: target.to_owned() })
    }

    /// What it will be called.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The open file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Synchronises the content, gives the file its name, and synchronises the name.
    ///
    /// # Errors
    /// What the operating system says; then the name stands for what it stood for before.
    pub fn publish(mut self, existing: Existing) -> io::Result<()> {
        self.file.sync_all()?;
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        if let Err(error) = give_name(&temporary, &self.target, existing) {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        sync_directory(parent_of(&self.target))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn give_name(temporary: &Path, target: &Path, existing: Existing) -> io::Result<()> {
    match existing {
        Existing::Replace => fs::rename(temporary, target),
        // A link fails where a rename would replace.
        Existing::Refuse => match fs::hard_link(temporary, target) {
            Ok(()) => fs::remove_file(temporary),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Some file systems have no links.
            Err(_) => rename_to_free_name(temporary, target),
        },
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_to_free_name(temporary: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, temporary, CWD, target, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            rename_if_free(temporary, target)
        }
        outcome => Ok(outcome?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_to_free_name(temporary: &Path, target: &Path) -> io::Result<()> {
    rename_if_free(temporary, target)
}

/// Where the system cannot do both at once.
fn rename_if_free(temporary: &Path, target: &Path) -> io::Result<()> {
    // Looks at the entry itself: a link to nowhere is something that is there, too.
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(temporary, target),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

fn random_suffix() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// The directory that a path lies in.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Takes the rights of everybody else from all files below a directory, as far as that is possible: a database creates its
/// files itself.
pub fn tighten(directory: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let mode = if is_directory { DIRECTORY_MODE } else { FILE_MODE };
            // A file that vanishes meanwhile needs no rights.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode));
            if is_directory {
                tighten(&path);
            }
        }
    }
    #[cfg(not(unix))]
    let _ = directory;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create_file(&path, b"first").unwrap();
        assert_eq!(create_file(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_file(&path, 5).unwrap().unwrap(), b"first");
        replace_file(&path, b"third!").unwrap();
        assert_eq!(read_file(&path, 6).unwrap().unwrap(), b"third!");
        assert!(read_file(&path, 5).is_err(), "one byte over the limit");
        assert_eq!(read_file(&directory.path().join("other"), 5).unwrap(), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_is_taken_only_if_it_is_free_also_without_links() {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, target) = (directory.path().join("temporary"), directory.path().join("target"));
        type Rename = fn(&Path, &Path) -> io::Result<()>;
        for rename in [rename_to_free_name as Rename, rename_if_free] {
            fs::write(&temporary, "new").unwrap();
            std::os::unix::fs::symlink("nowhere", &target).unwrap();
            assert_eq!(rename(&temporary, &target).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            fs::remove_file(&target).unwrap();
            rename(&temporary, &target).unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"new");
            fs::remove_file(&target).unwrap();
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_the_file_system_takes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x".repeat(255));
        create_file(&path, b"content").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"content");
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(NewFile::create(&directory.path().join("x")).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_read_is_refused_with_the_command_that_helps() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        create_directory(&path).unwrap();
        check(&path, DIRECTORY_MODE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        let refusal = check(&path, DIRECTORY_MODE).unwrap_err().to_string();
        assert!(refusal.contains(&format!("chmod 0700 {}", path.display())), "{refusal}");
        tighten(directory.path());
        check(&path, DIRECTORY_MODE).unwrap();
    }
}
