//! Files and folders that are written over several runs of a program. They have a hidden name beside the final one, and get that
//! when they are complete. What an earlier run left is private and this user's, and one process at a time has it: links are
//! never followed, and nothing of another user is written to.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::private::{self, Existing, parent_of, sync_directory};

/// Times that a name is looked up again because its file has just got its final name.
const ATTEMPTS: usize = 3;

/// Why a partial file or folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// Another process has it.
    #[error("another process is using it")]
    InUse,
    /// It is something else than this program makes: somebody has put it there.
    #[error("it is {0}")]
    Foreign(&'static str),
    /// The operating system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file that stays when it is dropped. Locked until then.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    path: PathBuf,
}

impl PartialFile {
    /// Opens what an earlier run left at `path`; `None` if there is nothing.
    ///
    /// # Errors
    /// [`PartialError`] says why it cannot be used.
    pub fn open(path: &Path) -> Result<Option<Self>, PartialError> {
        for _ in 0..ATTEMPTS {
            let file = match no_link(private::file_options().read(true).write(true)).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                outcome => outcome.map_err(|error| refused(path, error))?,
            };
            check_file(&file)?;
            lock(&file)?;
            if is_at(&file, path) {
                let this = Self { file, path: path.to_owned() };
                this.set_mode(private::FILE_MODE)?;
                return Ok(Some(this));
            }
        }
        Err(PartialError::InUse)
    }

    /// Creates it.
    ///
    /// # Errors
    /// [`PartialError::InUse`] if there is one meanwhile, [`PartialError::Io`] else.
    pub fn create(path: &Path) -> Result<Self, PartialError> {
        let file = match private::file_options().read(true).write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(PartialError::InUse),
            outcome => outcome?,
        };
        lock(&file)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Lets others read it, or more, once it has its name. Nothing happens where there are no modes.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        set_mode(&self.file, mode)
    }

    /// Synchronizes the content, gives the file its name in the same directory, and synchronizes the name.
    ///
    /// # Errors
    /// The operating system's error; the file is where it was then.
    pub fn publish(&self, target: &Path, existing: Existing) -> io::Result<()> {
        self.file.sync_all()?;
        if !is_at(&self.file, &self.path) {
            return Err(moved());
        }
        match existing {
            Existing::Replace => fs::rename(&self.path, target)?,
            Existing::Refuse => private::rename_to_free_name(&self.path, target)?,
        }
        sync_directory(parent_of(target))
    }

    /// Removes it, unless it has its final name.
    pub fn remove(&self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A folder that stays when it is dropped. Locked until then, where folders can be locked.
#[derive(Debug)]
pub struct PartialFolder {
    folder: Folder,
    path: PathBuf,
}

impl PartialFolder {
    /// Opens what an earlier run left at `path`; `None` if there is nothing.
    ///
    /// # Errors
    /// [`PartialError`] says why it cannot be used.
    pub fn open(path: &Path) -> Result<Option<Self>, PartialError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(metadata) if metadata.is_symlink() => return Err(PartialError::Foreign(A_LINK)),
            Ok(metadata) if !metadata.is_dir() => return Err(PartialError::Foreign(NO_FOLDER)),
            Ok(_) => {}
        }
        let folder = Folder::open(path).map_err(|error| refused(path, error))?;
        folder.lock()?;
        folder.check()?;
        folder.set_attributes(private::DIRECTORY_MODE, None)?;
        Ok(Some(Self { folder, path: path.to_owned() }))
    }

    /// Creates it.
    ///
    /// # Errors
    /// [`PartialError::InUse`] if there is one meanwhile, [`PartialError::Io`] else.
    pub fn create(path: &Path) -> Result<Self, PartialError> {
        match private::directory_builder().create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(PartialError::InUse),
            outcome => outcome?,
        }
        Self::open(path)?.ok_or(PartialError::InUse)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Synchronizes everything in it, gives the folder its name in the same directory if nothing has that, synchronizes the name, and
    /// lets others in as `mode` says.
    ///
    /// # Errors
    /// The operating system's error; the folder is where it was then.
    pub fn publish(&self, target: &Path, mode: u32) -> io::Result<()> {
        self.folder.sync()?;
        if !self.folder.is_at(&self.path) {
            return Err(moved());
        }
        private::rename_to_free_name(&self.path, target)?;
        sync_directory(parent_of(target))?;
        self.folder.set_attributes(mode, None)
    }

    /// Removes it if it is empty.
    pub fn remove_if_empty(&self) {
        let _ = fs::remove_dir(&self.path);
    }
}

const A_LINK: &str = "a link";
const NO_FILE: &str = "not a plain file";
const NO_FOLDER: &str = "not a folder";
#[cfg(unix)]
const OF_ANOTHER_USER: &str = "of another user";
#[cfg(unix)]
const HAS_OTHER_NAMES: &str = "a file with several names";

/// Somebody removed or renamed what is written; whatever has the name now does not get the final one.
fn moved() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the partial file or folder was removed or renamed")
}

/// What stands at a name that was refused.
fn refused(path: &Path, error: io::Error) -> PartialError {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => PartialError::Foreign(A_LINK),
        Ok(metadata) if metadata.is_dir() => PartialError::Foreign(NO_FILE),
        _ => error.into(),
    }
}

fn lock(file: &File) -> Result<(), PartialError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(PartialError::InUse),
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn check_file(file: &File) -> Result<(), PartialError> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(PartialError::Foreign(NO_FILE));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(PartialError::Foreign(OF_ANOTHER_USER));
        }
        // Writing would change what has the other name.
        if metadata.nlink() > 1 {
            return Err(PartialError::Foreign(HAS_OTHER_NAMES));
        }
    }
    Ok(())
}

fn no_link(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe that somebody put there must not make this wait.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.custom_flags(flags.cast_signed());
    }
    options
}

/// Whether a name still is that of an open file.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (file.metadata(), fs::symlink_metadata(path)) {
            (Ok(open), Ok(named)) => identity(open) == identity(named),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.is_file()
    }
}

fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = (file, mode);
    Ok(())
}

/// A folder whose entries are reached from the open folder, by one name at a time and never through a link, so that nobody can
/// redirect what is written by renaming something above.
#[derive(Debug)]
pub struct Folder {
    #[cfg(unix)]
    handle: File,
    #[cfg(not(unix))]
    path: PathBuf,
}

/// An entry of a [`Folder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Its name.
    pub name: OsString,
    /// Whether it is a folder; a link to one is not.
    pub is_folder: bool,
}

fn check_name(name: &str) -> io::Result<&str> {
    match name {
        "" | "." | ".." => Err(io::ErrorKind::InvalidInput.into()),
        _ if name.contains(['/', '\0']) || cfg!(windows) && name.contains(['\\', ':']) => {
            Err(io::ErrorKind::InvalidInput.into())
        }
        _ => Ok(name),
    }
}

#[cfg(unix)]
impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        use rustix::fs::{CWD, openat};
        Ok(Self { handle: openat(CWD, path, Self::flags(), rustix::fs::Mode::empty())?.into() })
    }

    fn flags() -> rustix::fs::OFlags {
        use rustix::fs::OFlags;
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
    }

    fn lock(&self) -> Result<(), PartialError> {
        lock(&self.handle)
    }

    fn is_at(&self, path: &Path) -> bool {
        is_at(&self.handle, path)
    }

    fn check(&self) -> Result<(), PartialError> {
        use std::os::unix::fs::MetadataExt as _;
        let is_ours = self.handle.metadata()?.uid() == rustix::process::geteuid().as_raw();
        if is_ours { Ok(()) } else { Err(PartialError::Foreign(OF_ANOTHER_USER)) }
    }

    /// The folder with a name in it, if there is one.
    ///
    /// # Errors
    /// The operating system's error, also if it is something else.
    pub fn existing_folder(&self, name: &str) -> io::Result<Option<Self>> {
        use rustix::fs::{Mode, openat};
        match openat(&self.handle, check_name(name)?, Self::flags(), Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(None),
            outcome => Ok(Some(Self { handle: outcome?.into() })),
        }
    }

    /// The folder with a name in it, which is created for this user only if there is none.
    ///
    /// # Errors
    /// The operating system's error, also if the name is that of something else.
    pub fn subfolder(&self, name: &str) -> io::Result<Self> {
        use rustix::fs::{Mode, mkdirat};
        match mkdirat(&self.handle, check_name(name)?, Mode::from_raw_mode(private::DIRECTORY_MODE)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.existing_folder(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The file with a name in it, if there is one.
    ///
    /// # Errors
    /// [`PartialError`] says why it cannot be used.
    pub fn existing_file(&self, name: &str) -> Result<Option<File>, PartialError> {
        self.open_file(name, rustix::fs::OFlags::RDONLY)
    }

    /// The file with a name in it, for reading and writing, which is created for this user only if there is none.
    ///
    /// # Errors
    /// [`PartialError`] says why it cannot be used.
    pub fn file(&self, name: &str) -> Result<File, PartialError> {
        use rustix::fs::OFlags;
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)?
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }

    fn open_file(&self, name: &str, flags: rustix::fs::OFlags) -> Result<Option<File>, PartialError> {
        use rustix::fs::{Mode, OFlags, openat};
        use rustix::io::Errno;
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match openat(&self.handle, check_name(name)?, flags, Mode::from_raw_mode(private::FILE_MODE)) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(PartialError::Foreign(A_LINK)),
            Err(Errno::ISDIR) => return Err(PartialError::Foreign(NO_FILE)),
            outcome => outcome.map_err(io::Error::from)?.into(),
        };
        check_file(&file)?;
        Ok(Some(file))
    }

    /// What is in it.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<FolderEntry>>> {
        use rustix::fs::{AtFlags, Dir, FileType, statat};
        use std::os::unix::ffi::OsStringExt as _;
        let handle = self.handle.try_clone()?;
        let entries = Dir::read_from(&handle)?;
        Ok(entries.filter_map(move |entry| {
            let look = || {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    return Ok(None);
                }
                let kind = match entry.file_type() {
                    FileType::Unknown => {
                        FileType::from_raw_mode(statat(&handle, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
                    }
                    known => known,
                };
                let name = OsString::from_vec(name.to_bytes().to_vec());
                Ok(Some(FolderEntry { name, is_folder: kind == FileType::Directory }))
            };
            look().transpose()
        }))
    }

    /// Sets permissions, and the time of the last change if there is one.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn set_attributes(&self, mode: u32, modified: Option<SystemTime>) -> io::Result<()> {
        set_attributes(&self.handle, mode, modified)
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // Everything at once: a call for each of many small files takes far longer.
            rustix::fs::syncfs(&self.handle)?;
        }
        self.handle.sync_all()
    }
}

/// Where there are no open folders. Not redirected by other users, because folders of a user's profile are private there.
#[cfg(not(unix))]
impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned() })
    }

    fn lock(&self) -> Result<(), PartialError> {
        Ok(())
    }

    fn is_at(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn check(&self) -> Result<(), PartialError> {
        Ok(())
    }

    /// The folder with a name in it, if there is one.
    ///
    /// # Errors
    /// The operating system's error, also if it is something else.
    pub fn existing_folder(&self, name: &str) -> io::Result<Option<Self>> {
        let path = self.path.join(check_name(name)?);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(metadata) if metadata.is_dir() => Ok(Some(Self { path })),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The folder with a name in it, which is created if there is none.
    ///
    /// # Errors
    /// The operating system's error, also if the name is that of something else.
    pub fn subfolder(&self, name: &str) -> io::Result<Self> {
        match fs::create_dir(self.path.join(check_name(name)?)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.existing_folder(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The file with a name in it, if there is one.
    ///
    /// # Errors
    /// [`PartialError`] says why it cannot be used.
    pub fn existing_file(&self, name: &str) -> Result<Option<File>, PartialError> {
        let path = self.path.join(check_name(name)?);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(metadata) if metadata.is_symlink() => return Err(PartialError::Foreign(A_LINK)),
            Ok(metadata) if !metadata.is_file() => return Err(PartialError::Foreign(NO_FILE)),
            Ok(_) => {}
        }
        Ok(Some(File::open(path)?))
    }

    /// The file with a name in it, for reading and writing, which is created if there is none.
    ///
    /// # Errors
    /// [`PartialError`] says why it cannot be used.
    pub fn file(&self, name: &str) -> Result<File, PartialError> {
        let mut options = private::file_options();
        options.read(true).write(true).create_new(self.existing_file(name)?.is_none());
        let file = options.open(self.path.join(name))?;
        check_file(&file)?;
        Ok(file)
    }

    /// What is in it.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<FolderEntry>>> {
        Ok(fs::read_dir(&self.path)?.map(|entry| {
            let entry = entry?;
            Ok(FolderEntry { name: entry.file_name(), is_folder: entry.file_type()?.is_dir() })
        }))
    }

    /// Does nothing: folders have neither modes here, nor times that can be set.
    ///
    /// # Errors
    /// None.
    pub fn set_attributes(&self, _: u32, _: Option<SystemTime>) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets the permissions of a file, and the time of its last change if there is one. On systems that cannot synchronize a whole
/// file system at once, its content is durable when this returns.
///
/// # Errors
/// The operating system's error.
pub fn finish_file(file: &File, mode: u32, modified: Option<SystemTime>) -> io::Result<()> {
    set_attributes(file, mode, modified)?;
    if cfg!(any(target_os = "linux", target_os = "android")) { Ok(()) } else { file.sync_all() }
}

fn set_attributes(file: &File, mode: u32, modified: Option<SystemTime>) -> io::Result<()> {
    set_mode(file, mode)?;
    modified.map_or(Ok(()), |time| file.set_times(fs::FileTimes::new().set_modified(time)))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::time::Duration;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_file_stays_private_and_locked_until_it_gets_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let (partial, target) = (directory.path().join(".a.part"), directory.path().join("a"));
        assert!(PartialFile::open(&partial).unwrap().is_none());
        let first = PartialFile::create(&partial).unwrap();
        first.file().write_all(b"abc").unwrap();
        assert!(matches!(PartialFile::open(&partial), Err(PartialError::InUse)));
        assert!(matches!(PartialFile::create(&partial), Err(PartialError::InUse)));
        drop(first);
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o644)).unwrap();
        let second = PartialFile::open(&partial).unwrap().unwrap();
        assert_eq!(mode(&partial), 0o600);
        let mut text = String::new();
        second.file().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        fs::write(&target, "mine").unwrap();
        let refused = second.publish(&target, Existing::Refuse).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(partial.exists());
        second.set_mode(0o640).unwrap();
        second.publish(&target, Existing::Replace).unwrap();
        assert_eq!((fs::read_to_string(&target).unwrap().as_str(), mode(&target)), ("abc", 0o640));
        assert!(!partial.exists());
    }

    #[test]
    fn what_somebody_put_at_the_name_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let (partial, other) = (directory.path().join(".a.part"), directory.path().join("other"));
        fs::write(&other, "mine").unwrap();
        let refusal = || match PartialFile::open(&partial) {
            Err(PartialError::Foreign(what)) => what,
            outcome => panic!("{outcome:?}"),
        };
        symlink(&other, &partial).unwrap();
        assert_eq!(refusal(), A_LINK);
        assert!(matches!(PartialFile::create(&partial), Err(PartialError::InUse)));
        fs::remove_file(&partial).unwrap();
        symlink(directory.path().join("nowhere"), &partial).unwrap();
        assert_eq!(refusal(), A_LINK);
        fs::remove_file(&partial).unwrap();
        fs::hard_link(&other, &partial).unwrap();
        assert_eq!(refusal(), HAS_OTHER_NAMES);
        fs::remove_file(&partial).unwrap();
        fs::create_dir(&partial).unwrap();
        assert_eq!(refusal(), NO_FILE);
        fs::remove_dir(&partial).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &partial, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        assert_eq!(refusal(), NO_FILE);
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        assert!(!directory.path().join("nowhere").exists());
    }

    #[test]
    fn a_folder_is_filled_over_several_runs_and_gets_its_name_once() {
        let directory = tempfile::tempdir().unwrap();
        let (partial, target) = (directory.path().join(".a.part"), directory.path().join("a"));
        assert!(PartialFolder::open(&partial).unwrap().is_none());
        let first = PartialFolder::create(&partial).unwrap();
        first.folder().subfolder("x").unwrap().file("f").unwrap().write_all(b"abc").unwrap();
        assert!(matches!(PartialFolder::open(&partial), Err(PartialError::InUse)));
        drop(first);
        let second = PartialFolder::open(&partial).unwrap().unwrap();
        let inner = second.folder().existing_folder("x").unwrap().unwrap();
        let names: Vec<_> = second.folder().entries().unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(names, [FolderEntry { name: "x".into(), is_folder: true }]);
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234);
        finish_file(&inner.existing_file("f").unwrap().unwrap(), 0o640, Some(time)).unwrap();
        inner.set_attributes(0o750, Some(time)).unwrap();
        fs::create_dir(&target).unwrap();
        assert_eq!(second.publish(&target, 0o755).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_dir(&target).unwrap();
        second.publish(&target, 0o755).unwrap();
        for (path, expected) in [("", 0o755), ("x", 0o750), ("x/f", 0o640)] {
            assert_eq!(mode(&target.join(path)), expected, "{path}");
        }
        for path in ["x", "x/f"] {
            assert_eq!(fs::metadata(target.join(path)).unwrap().modified().unwrap(), time, "{path}");
        }
        assert!(!partial.exists());
    }

    #[test]
    fn links_in_a_folder_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let partial = PartialFolder::create(&directory.path().join("p")).unwrap();
        for name in ["folder", "file"] {
            symlink(&outside, directory.path().join("p").join(name)).unwrap();
        }
        assert!(partial.folder().subfolder("folder").is_err());
        assert!(partial.folder().existing_folder("folder").is_err());
        assert!(matches!(partial.folder().file("file"), Err(PartialError::Foreign(A_LINK))));
        assert!(matches!(partial.folder().existing_file("file"), Err(PartialError::Foreign(A_LINK))));
        assert!(partial.folder().entries().unwrap().all(|entry| !entry.unwrap().is_folder));
        for name in ["", ".", "..", "a/b", "../outside/x", "/tmp"] {
            assert!(partial.folder().file(name).is_err() && partial.folder().subfolder(name).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        drop(partial);
        symlink(&outside, directory.path().join("q")).unwrap();
        assert!(matches!(PartialFolder::open(&directory.path().join("q")), Err(PartialError::Foreign(A_LINK))));
        fs::write(directory.path().join("r"), "").unwrap();
        assert!(matches!(PartialFolder::open(&directory.path().join("r")), Err(PartialError::Foreign(NO_FOLDER))));
    }

    #[test]
    fn nobody_redirects_an_open_folder_by_renaming_it() {
        let directory = tempfile::tempdir().unwrap();
        let (partial, elsewhere) = (directory.path().join("p"), directory.path().join("elsewhere"));
        let open = PartialFolder::create(&partial).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&partial, directory.path().join("moved")).unwrap();
        symlink(&elsewhere, &partial).unwrap();
        open.folder().subfolder("x").unwrap().file("f").unwrap();
        assert!(open.publish(&directory.path().join("target"), 0o755).is_err());
        assert!(directory.path().join("moved/x/f").exists() && partial.is_symlink());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
