//! Files and directories that only their owner can read, written such that a loss of power leaves the old or the new
//! content, never a part.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::{Error, Result};

/// Permissions of a private directory.
pub const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a private file.
pub const FILE_MODE: u32 = 0o600;
/// Permissions of others to do anything.
const OPEN: u32 = 0o077;
/// Permissions of others to change something.
const WRITABLE: u32 = 0o022;
/// The sticky bit: names in a directory can be changed by the owners of what they stand for only.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

/// Keeps from other users what this process creates and holds. Files and directories are readable by their owner alone,
/// whoever creates them: a database chooses its own permissions. The memory, which holds keys, goes into no core dump, and on
/// Linux no other process of the user can read it. For programs, before they start threads; it applies to the whole process.
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
        // The limit does not count where the kernel pipes core dumps to a program. It cannot fail for this value.
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

/// Creates a directory for this user alone, or checks one that is there with [`check_directory`].
///
/// # Errors
/// As [`check_directory`]; [`Error::Io`] if it cannot be created.
pub fn prepare_directory(directory: &Path) -> Result<()> {
    create_directory(directory).map_err(|error| Error::io(directory, &error))?;
    check_directory(directory)
}

/// Creates a directory for this user alone, or checks one that is there: other users may look at the names in it, for what
/// is in it has permissions of its own, but they must not write in it or put another one in its place.
///
/// # Errors
/// As [`prepare_directory`].
pub fn prepare_visible_directory(directory: &Path) -> Result<()> {
    create_directory(directory).map_err(|error| Error::io(directory, &error))?;
    check_unchangeable(directory)?;
    check_above(directory)
}

/// Refuses a directory that is not for this user alone, or that other users can put another one in the place of.
///
/// # Errors
/// As [`check`]; [`Error::Replaceable`] and [`Error::ForeignParent`] for a directory above it.
pub fn check_directory(directory: &Path) -> Result<()> {
    check(directory, DIRECTORY_MODE)?;
    check_above(directory)
}

/// Refuses a directory in which other users can write, or that belongs to another user.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_unchangeable(directory: &Path) -> Result<()> {
    check_metadata(directory, &metadata_of(directory)?, WRITABLE, DIRECTORY_MODE)
}

/// Refuses files and directories that other users can read or change, or that belong to another user: an owner can always
/// change the permissions.
///
/// # Errors
/// [`Error::TooOpen`] names the `chmod` that helps, [`Error::Foreign`] the `chown`.
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

/// Access lists of other systems inherit from the user's profile, which is private.
#[cfg(not(unix))]
fn check_metadata(_: &Path, _: &fs::Metadata, _: u32, _: u32) -> Result<()> {
    Ok(())
}

/// Whoever may write in a directory above can rename what leads to ours, and make something else of that name.
#[cfg(unix)]
fn check_above(directory: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let failed = |error: io::Error| Error::io(directory, &error);
    let me = rustix::process::geteuid().as_raw();
    // In a user namespace the superuser of the machine has another number.
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

/// Whether other users may rename what is in a directory: not where the sticky bit leaves that to the owners.
#[cfg(unix)]
fn can_be_changed_by_others(directory: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (me, group) = (rustix::process::geteuid().as_raw(), directory.gid());
    // Administrators, and the group of the same number that many systems give each user: its directories are group-writable
    // by default.
    let is_trusted = group == 0 || (group == me && group == rustix::process::getegid().as_raw());
    let others = if is_trusted { WRITABLE & 0o007 } else { WRITABLE };
    directory.mode() & others != 0 && directory.mode() & STICKY == 0
}

/// Access lists of other systems inherit from the user's profile, which is private.
#[cfg(not(unix))]
fn check_above(_: &Path) -> Result<()> {
    Ok(())
}

/// Reads a private file of at most `limit` bytes, which are wiped when they are dropped: most hold a key. Nothing if it does
/// not exist.
///
/// # Errors
/// As [`check`]; [`Error::Io`] if it is longer than `limit` or cannot be read.
pub fn read_file(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, &error)),
        Ok(file) => file,
    };
    // Of the file that is read, whatever has its name by now.
    let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
    check_metadata(path, &metadata, OPEN, FILE_MODE)?;
    // Room for all of it: what grows leaves its beginning behind in memory.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
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
        assert_eq!(*read_file(&path, 5).unwrap().unwrap(), b"first");
        replace_file(&path, b"third!").unwrap();
        assert_eq!(*read_file(&path, 6).unwrap().unwrap(), b"third!");
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

    #[cfg(unix)]
    #[test]
    fn a_directory_that_others_can_replace_is_refused_with_the_command_that_helps() {
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
        // What others may read, and what only owners may rename, as in a directory for everybody's temporary files.
        for mode in [0o755, 0o1777] {
            set(mode);
            check_directory(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_another_user_owns_is_refused_with_the_command_that_helps() {
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
