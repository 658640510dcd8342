//! Files and directories that only their owner can read. Files are written atomically: a power cut leaves the old or the new
//! content.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::{Error, Result};

/// Permissions of a private directory.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a private file.
pub const FILE_MODE: u32 = 0o600;
/// All permission bits of group and others.
const OPEN: u32 = 0o077;
/// Write permission bits of group and others.
const WRITABLE: u32 = 0o022;
/// The sticky bit: only the owner of an entry in a directory can rename or remove it.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

/// Protects the files and the memory of this process. Sets the umask, so that files are private even if a library such as
/// sled creates them. Disables core dumps, because the memory holds keys; on Linux no other process of the user can read the
/// memory either. Affects the whole process: call it at the start of a program, before it starts threads.
pub fn restrict_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit, umask};
        let former = umask(rustix::fs::Mode::from_raw_mode(OPEN));
        let _ = FORMER_UMASK.set(former.as_raw_mode());
        // Lowering a limit is always allowed.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Needed because the limit has no effect if the kernel pipes core dumps to a program. Cannot fail for this value.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// The mask of the process before [`restrict_process`].
static FORMER_UMASK: OnceLock<u32> = OnceLock::new();

/// Permissions of a new file that a program writes for its user, not for itself: readable and writable for whom the user's
/// mask says, executable for nobody. Before [`restrict_process`], those of a private file.
#[must_use]
pub fn user_file_mode() -> u32 {
    FORMER_UMASK.get().map_or(FILE_MODE, |mask| 0o666 & !mask)
}

/// Permissions of a file or folder that a program writes for its user: those of `mode` that the user's mask allows. Before
/// [`restrict_process`], those of them that only the owner has.
#[must_use]
pub fn user_mode(mode: u32) -> u32 {
    FORMER_UMASK.get().map_or(mode & !OPEN, |mask| mode & !mask)
}

/// Options that create files only their owner can read.
#[must_use]
pub fn file_options() -> OpenOptions {
    #[allow(unused_mut, reason = "only Unix has file modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options
}

/// Creates a directory and its missing parents, for this user only. Its name is durable when this returns, even if it existed
/// before: the process that created it may have been killed before it flushed the parent.
///
/// # Errors
/// The operating system's error.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    let parent = parent_of(directory);
    if directory.is_dir() {
        return match sync_directory(parent) {
            // It exists, in a parent directory that this user cannot open.
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

/// Creates directories in an existing one, for this user only. The new names are durable.
///
/// # Errors
/// The operating system's error.
pub fn create_directories(parent: &Path, names: impl IntoIterator<Item = String>) -> io::Result<()> {
    for name in names {
        match directory_builder().create(parent.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
    }
    // Even if all exist: the process that created them may have been killed before this.
    sync_directory(parent)
}

pub(crate) fn directory_builder() -> DirBuilder {
    #[allow(unused_mut, reason = "only Unix has file modes")]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
    builder
}

/// Makes the names in a directory durable.
///
/// # Errors
/// The operating system's error.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    // On Windows, directories cannot be opened as files, and the file system journals renames.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Creates a directory for this user only, or checks an existing one with [`check_directory`].
///
/// # Errors
/// Like [`check_directory`]; [`Error::Io`] if it cannot be created.
pub fn prepare_directory(directory: &Path) -> Result<()> {
    create_directory(directory).map_err(|error| Error::io(directory, &error))?;
    check_directory(directory)
}

/// Creates a directory for this user only, or checks an existing one. Other users may list it, because its entries have their
/// own permissions, but must not be able to write to it or replace it.
///
/// # Errors
/// Like [`prepare_directory`].
pub fn prepare_visible_directory(directory: &Path) -> Result<()> {
    create_directory(directory).map_err(|error| Error::io(directory, &error))?;
    check_unchangeable(directory)?;
    check_above(directory)
}

/// Refuses a directory that other users can access or replace.
///
/// # Errors
/// Like [`check`]; [`Error::Replaceable`] and [`Error::ForeignParent`] for a directory above it.
pub fn check_directory(directory: &Path) -> Result<()> {
    check(directory, DIRECTORY_MODE)?;
    check_above(directory)
}

/// Refuses a directory that other users can write to, or that belongs to another user.
///
/// # Errors
/// Like [`check`].
pub(crate) fn check_unchangeable(directory: &Path) -> Result<()> {
    check_metadata(directory, &metadata_of(directory)?, WRITABLE, DIRECTORY_MODE)
}

/// Refuses a file or directory that other users can read or change, or that belongs to another user, who could change its
/// permissions.
///
/// # Errors
/// [`Error::TooOpen`] with the `chmod` command to run, [`Error::Foreign`] with the `chown` command.
pub fn check(path: &Path, wanted: u32) -> Result<()> {
    check_metadata(path, &metadata_of(path)?, OPEN, wanted)
}

fn metadata_of(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|error| Error::io(path, &error))
}

#[cfg(unix)]
fn check_metadata(path: &Path, metadata: &fs::Metadata, forbidden: u32, wanted: u32) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me {
        return Err(Error::Foreign { path: path.to_owned(), owner, me });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(Error::TooOpen { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

/// Not checked on Windows, where access control lists inherit from the user's private profile.
#[cfg(not(unix))]
fn check_metadata(_: &Path, _: &fs::Metadata, _: u32, _: u32) -> Result<()> {
    Ok(())
}

/// A user who can write to a parent directory can rename the next component of the path and replace it.
#[cfg(unix)]
fn check_above(directory: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let failed = |error: io::Error| Error::io(directory, &error);
    let me = rustix::process::geteuid().as_raw();
    // In a user namespace, the machine's superuser has another id.
    let superuser = fs::metadata("/").map_err(failed)?.uid();
    for parent in directory.canonicalize().map_err(failed)?.ancestors().skip(1) {
        let metadata = fs::metadata(parent).map_err(failed)?;
        let (path, parent, owner) = (directory.to_owned(), parent.to_owned(), metadata.uid());
        if ![0, superuser, me].contains(&owner) {
            return Err(Error::ForeignParent { path, parent, owner });
        }
        if can_be_changed_by_others(&metadata) {
            return Err(Error::Replaceable { path, parent, mode: metadata.mode() & 0o7777 });
        }
    }
    Ok(())
}

/// Whether other users can rename the entries of a directory; the sticky bit prevents that.
#[cfg(unix)]
fn can_be_changed_by_others(directory: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (me, group) = (rustix::process::geteuid().as_raw(), directory.gid());
    // Exempt: the superuser's group, and the user's private group, whose directories are group-writable by default on many
    // systems.
    let is_trusted = group == 0 || (group == me && group == rustix::process::getegid().as_raw());
    let others = if is_trusted { WRITABLE & 0o007 } else { WRITABLE };
    directory.mode() & others != 0 && directory.mode() & STICKY == 0
}

/// Not checked on Windows, where access control lists inherit from the user's private profile.
#[cfg(not(unix))]
fn check_above(_: &Path) -> Result<()> {
    Ok(())
}

/// Reads a private file of at most `limit` bytes. The bytes are wiped on drop, because most of these files hold a key. `None`
/// if the file does not exist.
///
/// # Errors
/// Like [`check`]; [`Error::Io`] if it is longer than `limit` or cannot be read.
pub fn read_file(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, &error)),
        Ok(file) => file,
    };
    // Checks the open file, not the path, which may refer to another file by now.
    let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
    check_metadata(path, &metadata, OPEN, FILE_MODE)?;
    // Allocated up front: a growing vector would leave unwiped copies in memory.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, &error))?;
    if bytes.len() as u64 > limit {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes"));
        return Err(Error::io(path, &error));
    }
    Ok(Some(bytes))
}

/// Replaces a private file atomically and durably: a power cut leaves the old or the new content.
///
/// # Errors
/// The operating system's error; the old content is then unchanged.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.file().write_all(content)?;
    file.publish(Existing::Replace)
}

/// Like [`replace_file`], for a file that must not exist yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if it exists, otherwise the operating system's error.
pub fn create_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.file().write_all(content)?;
    file.publish(Existing::Refuse)
}

/// What to do with an existing file of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Replace it.
    Replace,
    /// Keep it, and fail.
    Refuse,
}

/// A file that is renamed to its final name when it is complete. Removed if it is dropped before [`publish`](Self::publish).
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: Option<PathBuf>,
    target: PathBuf,
}

impl NewFile {
    /// Creates a private temporary file in the directory of `target`.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn create(target: &Path) -> io::Result<Self> {
        // Does not include the target's name, which may already have the maximum length.
        Self::create_at(parent_of(target).join(format!(".new-{}", random_suffix()?)), target)
    }

    /// Creates a private file at `temporary`, which must be on the same file system as `target`.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn create_at(temporary: PathBuf, target: &Path) -> io::Result<Self> {
        let file = file_options().read(true).write(true).create_new(true).open(&temporary)?;
        Ok(Self { file, temporary: Some(temporary), target: target.to_owned() })
    }

    /// Its final path.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The open file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Lets others read it, or more, once it has its name. Nothing happens where there are no modes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        #[cfg(unix)]
        self.file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        #[cfg(not(unix))]
        let _ = mode;
        Ok(())
    }

    /// Synchronizes the content, gives the file its name, and synchronizes the name.
    ///
    /// # Errors
    /// The operating system's error; the final name is then unchanged.
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
        // Unlike a rename, a hard link fails if the target exists.
        Existing::Refuse => match fs::hard_link(temporary, target) {
            Ok(()) => fs::remove_file(temporary),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Some file systems do not support hard links.
            Err(_) => rename_to_free_name(temporary, target),
        },
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(crate) fn rename_to_free_name(temporary: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, temporary, CWD, target, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            rename_if_free(temporary, target)
        }
        outcome => Ok(outcome?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) fn rename_to_free_name(temporary: &Path, target: &Path) -> io::Result<()> {
    rename_if_free(temporary, target)
}

/// For systems without an atomic rename that does not replace.
fn rename_if_free(temporary: &Path, target: &Path) -> io::Result<()> {
    // Does not follow symbolic links: a dangling link also occupies the name.
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

/// The parent directory of a path.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes the permissions of other users from everything below a directory, as far as possible. For the files of sled,
/// which does not set permissions.
pub fn tighten(directory: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let mode = if is_directory { DIRECTORY_MODE } else { FILE_MODE };
            // Ignored: sled may have removed the file meanwhile.
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
    fn a_file_is_replaced_atomically_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create_file(&path, b"first").unwrap();
        assert_eq!(create_file(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(*read_file(&path, 5).unwrap().unwrap(), b"first");
        replace_file(&path, b"third!").unwrap();
        assert_eq!(*read_file(&path, 6).unwrap().unwrap(), b"third!");
        assert!(read_file(&path, 5).is_err(), "one byte over the limit");
        assert_eq!(read_file(&directory.path().join("other"), 5).unwrap(), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn an_existing_name_is_never_replaced_even_without_hard_links() {
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
    fn a_name_may_have_the_maximum_length_of_the_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x".repeat(255));
        create_file(&path, b"content").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"content");
    }

    #[test]
    fn an_unpublished_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        drop(NewFile::create(&directory.path().join("x")).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_others_can_read_is_refused_with_the_command_to_run() {
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

    #[cfg(unix)]
    #[test]
    fn a_directory_that_others_can_replace_is_refused_with_the_command_to_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let (middle, path) = (root.path().join("a"), root.path().join("a/b/c"));
        prepare_directory(&path).unwrap();
        let set = |mode: u32| fs::set_permissions(&middle, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o777, 0o702] {
            set(mode);
            let refusal = check_directory(&path).unwrap_err().to_string();
            let real = middle.canonicalize().unwrap();
            assert!(refusal.contains(&format!("run: chmod go-w {}", real.display())), "{refusal}");
        }
        // Accepted: a parent that others can read, and one with the sticky bit, such as `/tmp`.
        for mode in [0o755, 0o1777] {
            set(mode);
            check_directory(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_of_another_user_is_refused_with_the_command_to_run() {
        let root = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            assert!(
                std::env::var_os("CI").is_none(),
                "a check that does not run has not passed: run the tests as root"
            );
            let line = "skipped: only the superuser can give files to somebody else\n";
            io::stderr().write_all(line.as_bytes()).unwrap();
            return;
        }
        let (parent, path) = (root.path().join("a"), root.path().join("a/b"));
        prepare_directory(&path).unwrap();
        let key = path.join("key");
        create_file(&key, b"secret").unwrap();
        let give = |path: &Path, user: u32| std::os::unix::fs::chown(path, Some(user), None).unwrap();
        for foreign in [&key, &path] {
            give(foreign, 54321);
            let outcome = if foreign == &key { read_file(&key, 6).map(drop) } else { check_directory(&path) };
            let refusal = outcome.unwrap_err().to_string();
            assert!(refusal.contains("54321") && refusal.contains("run: chown 0 "), "{refusal}");
            give(foreign, 0);
        }
        give(&parent, 54321);
        assert!(matches!(check_directory(&path), Err(Error::ForeignParent { owner: 54321, .. })));
    }
}
