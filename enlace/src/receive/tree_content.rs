//! The content of several files as it lies in a folder: read from its first byte on, written from any byte on, and finished.
//! Everything here blocks.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use durable::partial::{Folder, PartialError, PartialFolder, finish_file};
use durable::private::{user_file_mode, user_mode};
use runtime::Timestamp;
use runtime::manifest::{Entry, EntryKind, Manifest, RelativePath};

/// Owners can always read and write what they received.
const OWN_FILE: u32 = 0o600;
const OWN_FOLDER: u32 = 0o700;
/// All permissions, of which the user's mask leaves some.
const ALL: u32 = 0o777;

/// A partial folder and what is to be in it.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) folder: Arc<PartialFolder>,
    pub(super) manifest: Arc<Manifest>,
}

/// What is wrong with an entry.
#[derive(Debug)]
pub(super) struct TreeError {
    /// Where, below the folder.
    pub(super) path: String,
    pub(super) cause: TreeCause,
}

/// Why an entry cannot be written.
#[derive(Debug)]
pub(super) enum TreeCause {
    /// There is something in the folder that was not sent.
    Stray,
    /// A file has changed while it was received.
    Changed,
    /// Something else has its name, or the operating system's error.
    Partial(PartialError),
}

impl TreeError {
    fn at(path: impl fmt::Display) -> impl FnOnce(PartialError) -> Self {
        move |error| Self { path: path.to_string(), cause: TreeCause::Partial(error) }
    }
}

/// Open folders from the outermost to that of the last entry: as entries come in order, each folder is opened once, and at most
/// [`MAX_DEPTH`](runtime::manifest::MAX_DEPTH) of them are open.
#[derive(Default)]
struct OpenFolders(Vec<Opened>);

struct Opened {
    name: String,
    folder: Folder,
    mode: Option<u16>,
    time: Option<Timestamp>,
}

impl OpenFolders {
    /// Opens the folders with these names, one in the other, and makes those that do not exist. Those that are left go to `leave`.
    fn enter<'a>(
        &'a mut self,
        root: &'a PartialFolder,
        names: &[&str],
        mut leave: impl FnMut(Opened) -> io::Result<()>,
    ) -> io::Result<&'a Folder> {
        let shared = self.0.iter().zip(names).take_while(|(opened, name)| opened.name == **name).count();
        while self.0.len() > shared {
            self.0.pop().map_or(Ok(()), &mut leave)?;
        }
        for name in &names[shared..] {
            let folder = self.innermost(root).subfolder(name)?;
            self.0.push(Opened { name: (*name).to_owned(), folder, mode: None, time: None });
        }
        Ok(self.innermost(root))
    }

    fn innermost<'a>(&'a self, root: &'a PartialFolder) -> &'a Folder {
        self.0.last().map_or(root.folder(), |opened| &opened.folder)
    }

    /// The folder of a path, and the name in it.
    fn of<'a, 'p>(&'a mut self, root: &'a PartialFolder, path: &'p RelativePath) -> io::Result<(&'a Folder, &'p str)> {
        let names: Vec<_> = path.names().collect();
        let (name, above) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.enter(root, above, |_| Ok(()))?, name))
    }
}

impl Tree {
    /// Checks that nothing is in the folder but what was sent.
    ///
    /// # Errors
    /// [`TreeError`] names what is there.
    pub(super) fn check(&self) -> Result<(), TreeError> {
        self.check_folder(self.folder.folder(), "")
    }

    /// Goes only into folders that were sent, so not deeper than these.
    fn check_folder(&self, folder: &Folder, prefix: &str) -> Result<(), TreeError> {
        let failed = |path: &str, error: io::Error| TreeError::at(path)(error.into());
        for entry in folder.entries().map_err(|error| failed(prefix, error))? {
            let entry = entry.map_err(|error| failed(prefix, error))?;
            let path = format!("{prefix}{}", entry.name.to_string_lossy());
            let is_text = entry.name.to_str().is_some();
            if !is_text || !self.is_sent(&path, entry.is_folder) {
                return Err(TreeError { path, cause: TreeCause::Stray });
            }
            if let (true, Some(name)) = (entry.is_folder, entry.name.to_str()) {
                let inner = folder.existing_folder(name).map_err(|error| failed(&path, error))?;
                inner.map_or(Ok(()), |inner| self.check_folder(&inner, &format!("{path}/")))?;
            }
        }
        Ok(())
    }

    fn is_sent(&self, path: &str, is_folder: bool) -> bool {
        let Ok(path) = RelativePath::new(path) else { return false };
        let entries = self.manifest.entries();
        // What is in a folder follows it.
        let Some(next) = entries.get(entries.partition_point(|entry| entry.path < path)) else { return false };
        let is_entry = next.path == path;
        match next.kind {
            EntryKind::File { .. } if is_entry => !is_folder,
            _ if is_entry => is_folder,
            _ => is_folder && next.path.as_str().strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/')),
        }
    }

    /// Makes what has no bytes, and sets permissions and times of everything.
    ///
    /// # Errors
    /// [`TreeError`] names the entry.
    pub(super) fn finish(&self, keep_modes: bool) -> Result<(), TreeError> {
        let mut open = OpenFolders::default();
        let leave =
            |left: Opened| left.folder.set_attributes(folder_mode(left.mode, keep_modes), left.time.map(system_time));
        for entry in self.manifest.entries() {
            self.finish_entry(entry, &mut open, keep_modes, leave)
                .map_err(|cause| TreeError { path: entry.path.to_string(), cause })?;
        }
        open.enter(&self.folder, &[], leave).map(|_| ()).map_err(|error| TreeError::at("")(error.into()))
    }

    fn finish_entry(
        &self,
        entry: &Entry,
        open: &mut OpenFolders,
        keep_modes: bool,
        leave: impl FnMut(Opened) -> io::Result<()>,
    ) -> Result<(), TreeCause> {
        let names: Vec<_> = entry.path.names().collect();
        let failed = |error: io::Error| TreeCause::Partial(error.into());
        match (entry.kind, names.split_last()) {
            (EntryKind::File { size }, Some((name, above))) => {
                let folder = open.enter(&self.folder, above, leave).map_err(failed)?;
                let file = folder.file(name).map_err(TreeCause::Partial)?;
                if size == 0 {
                    file.set_len(0).map_err(failed)?;
                }
                if file.metadata().map_err(failed)?.len() != size {
                    return Err(TreeCause::Changed);
                }
                finish_file(&file, file_mode(entry.mode, keep_modes), entry.modified_at.map(system_time))
                    .map_err(failed)
            }
            _ => {
                open.enter(&self.folder, &names, leave).map_err(failed)?;
                if let Some(opened) = open.0.last_mut() {
                    (opened.mode, opened.time) = (entry.mode, entry.modified_at);
                }
                Ok(())
            }
        }
    }
}

/// Permissions of a file: never those that let others act with the owner's rights, and executable only if that was asked for.
fn file_mode(sent: Option<u16>, keep_modes: bool) -> u32 {
    match sent.filter(|_| keep_modes) {
        Some(mode) => user_mode(u32::from(mode) & ALL) | OWN_FILE,
        None => user_file_mode(),
    }
}

fn folder_mode(sent: Option<u16>, keep_modes: bool) -> u32 {
    user_mode(sent.filter(|_| keep_modes).map_or(ALL, |mode| u32::from(mode) & ALL)) | OWN_FOLDER
}

/// Permissions of the folder that holds everything.
pub(super) fn outer_mode() -> u32 {
    folder_mode(None, false)
}

fn system_time(time: Timestamp) -> SystemTime {
    let milliseconds = time.as_unix_milliseconds();
    let distance = Duration::from_millis(milliseconds.unsigned_abs());
    let time = match milliseconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The content as far as it is here: ends where a file is missing or too short, for what follows is at another place.
pub(super) struct TreeReader {
    tree: Tree,
    open: OpenFolders,
    head: Cursor<Vec<u8>>,
    next: usize,
    /// With the bytes that are to come of it.
    current: Option<(File, u64)>,
}

impl TreeReader {
    pub(super) fn new(tree: Tree) -> Self {
        let head = Cursor::new(tree.manifest.encode());
        Self { tree, open: OpenFolders::default(), head, next: 0, current: None }
    }

    /// The next file that has bytes, if it is there.
    fn open_next(&mut self) -> io::Result<Option<(File, u64)>> {
        while let Some(entry) = self.tree.manifest.entries().get(self.next) {
            self.next += 1;
            if entry.size() > 0 {
                let (folder, name) = self.open.of(&self.tree.folder, &entry.path)?;
                let file = folder.existing_file(name).map_err(io::Error::other)?;
                if file.is_none() {
                    self.next = usize::MAX;
                }
                return Ok(file.map(|file| (file, entry.size())));
            }
        }
        Ok(None)
    }
}

impl Read for TreeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.head.read(out)?;
        if count > 0 || out.is_empty() {
            return Ok(count);
        }
        if self.current.as_ref().is_none_or(|(_, left)| *left == 0) {
            self.current = self.open_next()?;
        }
        let Some((file, left)) = &mut self.current else { return Ok(0) };
        let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(out.len());
        let count = file.read(&mut out[..wanted])?;
        *left -= count as u64;
        Ok(count)
    }
}

/// Writes the content from a byte on.
pub(super) struct TreeWriter {
    tree: Tree,
    open: OpenFolders,
    /// Of the next byte within the content.
    position: u64,
    /// The entry of that byte, or a later one.
    index: usize,
    current: Option<File>,
}

impl TreeWriter {
    pub(super) fn new(tree: Tree, position: u64) -> Self {
        Self { tree, open: OpenFolders::default(), position, index: 0, current: None }
    }

    /// Writes the next bytes of the content.
    ///
    /// # Errors
    /// [`TreeError`] names the entry.
    pub(super) fn write(&mut self, mut piece: &[u8]) -> Result<(), TreeError> {
        let head = self.tree.manifest.length().saturating_sub(self.position);
        let skipped = piece.len().min(usize::try_from(head).unwrap_or(usize::MAX));
        piece = &piece[skipped..];
        self.position += skipped as u64;
        while !piece.is_empty() {
            let manifest = self.tree.manifest.clone();
            let (Some(entry), Some(place)) = (manifest.entries().get(self.index), manifest.content_of(self.index))
            else {
                return Err(TreeError::at("")(io::Error::from(io::ErrorKind::InvalidData).into()));
            };
            if place.end <= self.position {
                (self.index, self.current) = (self.index + 1, None);
                continue;
            }
            let left = usize::try_from(place.end - self.position).unwrap_or(usize::MAX);
            let (now, later) = piece.split_at(piece.len().min(left));
            self.write_to(entry, place.start, now).map_err(TreeError::at(&entry.path))?;
            self.position += now.len() as u64;
            piece = later;
        }
        Ok(())
    }

    fn write_to(&mut self, entry: &Entry, start: u64, bytes: &[u8]) -> Result<(), PartialError> {
        let mut file = match self.current.take() {
            Some(file) => file,
            None => {
                let (folder, name) = self.open.of(&self.tree.folder, &entry.path)?;
                let mut file = folder.file(name)?;
                let behind = self.position - start;
                file.set_len(behind)?;
                file.seek(SeekFrom::Start(behind))?;
                file
            }
        };
        file.write_all(bytes)?;
        self.current = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    struct World {
        directory: TempDir,
        manifest: Arc<Manifest>,
        content: Vec<u8>,
    }

    fn entry(path: &str, size: Option<u64>) -> Entry {
        let kind = size.map_or(EntryKind::Folder, |size| EntryKind::File { size });
        let modified_at = Some(Timestamp::from_unix_milliseconds(1_234_567_890_123));
        Entry { path: RelativePath::new(path).unwrap(), kind, mode: Some(0o755), modified_at }
    }

    impl World {
        fn new(entries: &[(&str, Option<u64>)]) -> Self {
            let entries = entries.iter().map(|(path, size)| entry(path, *size)).collect();
            let manifest = Arc::new(Manifest::new(entries).unwrap());
            let mut content = manifest.encode();
            content.extend((manifest.length()..manifest.content_length()).map(|place| (place * 7 % 251) as u8));
            Self { directory: tempfile::tempdir().unwrap(), manifest, content }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.directory.path().join(name)
        }

        fn tree(&self) -> Tree {
            let place = self.path("p");
            let found = PartialFolder::open(&place).unwrap();
            let folder = found.unwrap_or_else(|| PartialFolder::create(&place).unwrap());
            Tree { folder: Arc::new(folder), manifest: self.manifest.clone() }
        }

        fn read(&self) -> Vec<u8> {
            let mut bytes = Vec::new();
            // An error is an end, too.
            let _ = TreeReader::new(self.tree()).read_to_end(&mut bytes);
            bytes
        }

        fn write(&self, range: std::ops::Range<usize>, piece: usize) {
            let mut writer = TreeWriter::new(self.tree(), range.start as u64);
            for piece in self.content[range].chunks(piece) {
                writer.write(piece).unwrap();
            }
        }

        fn assert_whole(&self) {
            for (index, entry) in self.manifest.entries().iter().enumerate() {
                let path = self.path("p").join(entry.path.as_str());
                match entry.kind {
                    EntryKind::Folder => assert!(path.is_dir()),
                    EntryKind::File { .. } => {
                        let place = self.manifest.content_of(index).unwrap();
                        let expected = &self.content[place.start as usize..place.end as usize];
                        assert!(std::fs::read(&path).unwrap() == expected, "{}", entry.path);
                    }
                }
            }
        }
    }

    const ENTRIES: [(&str, Option<u64>); 8] = [
        ("a", None),
        ("a/b/c", Some(300)),
        ("a/b/empty", Some(0)),
        ("a/d", Some(1)),
        ("a-b", Some(5)),
        ("nothing/in/it", None),
        ("z", Some(77)),
        ("zz", Some(0)),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_tree_that_is_written_in_two_runs_is_the_same_wherever_it_was_cut(cut in 0..600usize, back in 0..50usize, piece in 1..200usize) {
            let world = World::new(&ENTRIES);
            let cut = cut.min(world.content.len());
            world.write(0..cut, piece);
            let here = world.read();
            let head = world.manifest.length() as usize;
            prop_assert_eq!(here.len(), cut.max(head), "the list is known");
            prop_assert!(here == world.content[..here.len()]);
            world.write(cut.saturating_sub(back)..world.content.len(), piece);
            world.tree().finish(false).unwrap();
            world.assert_whole();
            prop_assert!(world.read() == world.content);
        }
    }

    #[test]
    fn what_is_here_ends_at_the_first_file_that_is_missing_short_or_a_link() {
        let world = World::new(&ENTRIES);
        let whole = |world: &World| {
            world.write(0..world.content.len(), 100);
            world.tree().finish(false).unwrap();
        };
        whole(&world);
        let start = |path: &str| {
            let index = world.manifest.find(&RelativePath::new(path).unwrap()).unwrap();
            world.manifest.content_of(index).unwrap().start as usize
        };
        std::fs::remove_file(world.path("p/a/d")).unwrap();
        assert_eq!(world.read().len(), start("a/d"));
        whole(&world);
        std::fs::File::options().write(true).open(world.path("p/a/b/c")).unwrap().set_len(10).unwrap();
        assert_eq!(world.read().len(), start("a/b/c") + 10);
        whole(&world);
        #[cfg(unix)]
        {
            std::fs::rename(world.path("p/z"), world.path("elsewhere")).unwrap();
            std::os::unix::fs::symlink(world.path("elsewhere"), world.path("p/z")).unwrap();
            assert_eq!(world.read().len(), start("z"));
            let mut writer = TreeWriter::new(world.tree(), start("z") as u64);
            let refused = writer.write(&[0; 77]).unwrap_err();
            assert!(
                refused.path == "z" && matches!(refused.cause, TreeCause::Partial(PartialError::Foreign("a link")))
            );
            assert!(std::fs::read(world.path("elsewhere")).unwrap() == world.content[start("z")..]);
            drop(writer);
            assert_eq!(world.tree().finish(false).unwrap_err().path, "z");
            let stray = world.tree().check();
            assert!(stray.is_ok(), "a link has the name of a file; writing refuses it: {stray:?}");
        }
    }

    #[test]
    fn what_was_not_sent_is_found() {
        let world = World::new(&ENTRIES);
        world.write(0..world.content.len(), 100);
        world.tree().check().unwrap();
        for stray in ["x", "a/x", "a/b/c.txt", "nothing/in/it/x"] {
            let path = world.path("p").join(stray);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            let refused = world.tree().check().unwrap_err();
            assert!(refused.path == stray && matches!(refused.cause, TreeCause::Stray), "{refused:?}");
            std::fs::remove_file(path).unwrap();
        }
        std::fs::create_dir(world.path("p/a-b/").with_file_name("y")).unwrap();
        assert_eq!(world.tree().check().unwrap_err().path, "y");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_executable_unasked_and_times_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let world = World::new(&ENTRIES);
        world.write(0..world.content.len(), 100);
        let mode = |path: &str| std::fs::metadata(world.path("p").join(path)).unwrap().permissions().mode() & 0o7777;
        world.tree().finish(false).unwrap();
        assert_eq!((mode("z"), mode("a"), mode("a/b")), (0o600, 0o700, 0o700));
        world.tree().finish(true).unwrap();
        assert_eq!((mode("z"), mode("a"), mode("a/b")), (0o700, 0o700, 0o700), "what the mask leaves");
        for path in ["a", "a/b/c", "nothing/in/it", "zz"] {
            let modified = std::fs::metadata(world.path("p").join(path)).unwrap().modified().unwrap();
            assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123), "{path}");
        }
    }
}
