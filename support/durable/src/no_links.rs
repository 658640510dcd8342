//! Files that are reached without a link, so that nobody who can write to a folder on the way chooses another file.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens the file at an absolute path for reading; `None` if a link is on the way or at its end, or something on the way is no folder.
/// Does not wait for the other end of a pipe.
///
/// # Errors
/// The operating system's error.
#[cfg(unix)]
pub fn open(path: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::io::Errno;
    use std::path::Component;
    // Folders through which this user may go, but that are not listed for everybody, can be opened this way only.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const WAY: OFlags = OFlags::PATH;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const WAY: OFlags = OFlags::RDONLY;
    let always = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names = path.components();
    let last = match (path.is_absolute(), names.next_back()) {
        (true, Some(Component::Normal(last))) => last,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let way = names.try_fold(None, |above: Option<File>, name| {
        let flags = WAY | OFlags::DIRECTORY | always;
        let opened = match &above {
            Some(above) => openat(above, name.as_os_str(), flags, Mode::empty()),
            None => openat(CWD, name.as_os_str(), flags, Mode::empty()),
        };
        opened.map(|folder| Some(File::from(folder)))
    });
    let open_last = |folder: Option<File>| {
        let folder = folder.ok_or(Errno::INVAL)?;
        openat(&folder, last, OFlags::RDONLY | OFlags::NONBLOCK | always, Mode::empty())
    };
    match way.and_then(open_last) {
        Err(Errno::LOOP | Errno::NOTDIR) => Ok(None),
        outcome => Ok(Some(outcome?.into())),
    }
}

/// Opens a file for reading. Links are followed: other users cannot make them in the folders of a user's profile.
///
/// # Errors
/// The operating system's error.
#[cfg(not(unix))]
pub fn open(path: &Path) -> io::Result<Option<File>> {
    File::open(path).map(Some)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_opened_only_if_no_link_leads_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/a"), "a").unwrap();
        symlink("real", root.join("folder")).unwrap();
        symlink("a", root.join("real/file")).unwrap();
        let mut text = String::new();
        open(&root.join("real/a")).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
        for path in ["folder/a", "real/file", "real/a/b"] {
            assert!(open(&root.join(path)).unwrap().is_none(), "{path}");
        }
        assert_eq!(open(&root.join("real/no")).unwrap_err().kind(), io::ErrorKind::NotFound);
        for path in ["", "/", "real/a"] {
            assert_eq!(open(Path::new(path)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        let pipe = root.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(!open(&pipe).unwrap().unwrap().metadata().unwrap().is_file());
    }
}
