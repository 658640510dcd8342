//! Sources over real files.

use std::fs;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncReadExt as _;

use super::*;

fn entry(directory: &Path, path: &str) -> SourceEntry {
    SourceEntry { path: RelativePath::new(path).unwrap(), local: directory.join(path) }
}

fn write(directory: &Path, path: &str, content: &[u8]) -> SourceEntry {
    let entry = entry(directory, path);
    fs::create_dir_all(entry.local.parent().unwrap()).unwrap();
    fs::write(&entry.local, content).unwrap();
    entry
}

async fn read(source: &Source) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.reader().read_to_end(&mut bytes).await.map(|_| bytes)
}

fn tree(directory: &Path) -> Source {
    let files = [("b/large", vec![7; 3_000_000]), ("a", b"first".to_vec()), ("b/empty", Vec::new()), ("z", vec![1])];
    let mut entries: Vec<_> = files.iter().map(|(path, content)| write(directory, path, content)).collect();
    fs::create_dir(directory.join("folder")).unwrap();
    entries.push(entry(directory, "folder"));
    Source::tree(entries).unwrap()
}

#[tokio::test]
async fn a_tree_is_its_manifest_and_then_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let source = tree(directory.path());
    let content = read(&source).await.unwrap();
    assert_eq!(content.len() as u64, source.length());
    let manifest = Manifest::decode(&content[..source.manifest().unwrap().length() as usize], source.length()).unwrap();
    let paths: Vec<_> = manifest.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "b/empty", "b/large", "folder", "z"]);
    for (index, entry) in manifest.entries().iter().enumerate() {
        assert!(entry.modified_at.is_some());
        if entry.kind == EntryKind::Folder {
            continue;
        }
        let place = manifest.content_of(index).unwrap();
        let expected = fs::read(directory.path().join(entry.path.as_str())).unwrap();
        assert!(content[place.start as usize..place.end as usize] == expected, "{}", entry.path);
        let mut part = Vec::new();
        source.read_at(place.clone(), &mut part).unwrap();
        assert!(part == expected, "{}", entry.path);
    }
    let mut across = Vec::new();
    source.read_at(3..source.length() - 1, &mut across).unwrap();
    assert!(across == content[3..content.len() - 1]);
}

#[tokio::test]
async fn one_file_has_no_manifest() {
    let directory = tempfile::tempdir().unwrap();
    for length in [0, 1, 1 << 20, (1 << 20) + 1] {
        let local = write(directory.path(), "a", &vec![3; length]).local;
        let source = Source::file(&local).unwrap();
        assert!(source.manifest().is_none());
        assert!(read(&source).await.unwrap() == vec![3; length], "{length}");
    }
}

#[tokio::test]
async fn a_changed_file_is_named_and_changes_the_identity() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "a", b"hello").local;
    let later = SystemTime::now() + Duration::from_secs(5);
    type Change<'a> = &'a dyn Fn(&Path);
    let changes: [(&str, Change<'_>); 4] = [
        ("longer", &|path| fs::write(path, "hello!").unwrap()),
        ("shorter", &|path| fs::write(path, "hell").unwrap()),
        ("later", &|path| fs::File::options().write(true).open(path).unwrap().set_modified(later).unwrap()),
        ("gone", &|path| fs::remove_file(path).unwrap()),
    ];
    for (name, change) in changes {
        fs::write(&path, "hello").unwrap();
        let before = Source::file(&path).unwrap();
        assert_eq!(before.identity(), Source::file(&path).unwrap().identity());
        change(&path);
        let error = read(&before).await.unwrap_err();
        let error = error.get_ref().unwrap().downcast_ref::<SourceError>().unwrap();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{name}: {error}");
        assert!(before.clone().failure().is_some_and(|failure| failure.to_string() == error.to_string()), "{name}");
        assert!(before.read_at(0..1, &mut Vec::new()).is_err(), "{name}");
        assert!(before.check().is_err(), "{name}");
        assert!(Source::file(&path).map_or(true, |after| after.identity() != before.identity()), "{name}");
    }
}

#[test]
fn files_that_cannot_be_read_are_known_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let source = tree(&directory.path().canonicalize().unwrap());
    source.check().unwrap();
    assert!(source.failure().is_none());
    fs::remove_file(directory.path().join("b/empty")).unwrap();
    let refused = source.check().unwrap_err();
    assert!(matches!(&refused, SourceError::Unreadable { path, .. } if path.ends_with("b/empty")), "{refused}");
    #[cfg(target_os = "linux")]
    {
        let status = Source::file("/proc/self/status").unwrap();
        assert!(matches!(status.check(), Err(SourceError::Unsized { .. })));
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_somebody_puts_in_the_place_of_a_file_or_folder_is_noticed() {
    for replaced in ["b", "b/large"] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let source = tree(&root);
        fs::rename(root.join(replaced), root.join("moved")).unwrap();
        std::os::unix::fs::symlink(root.join("moved"), root.join(replaced)).unwrap();
        assert!(matches!(source.check(), Err(SourceError::Changed { .. })), "{replaced}");
    }
}

#[test]
fn what_is_no_file_or_folder_and_what_collides_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Source::file(directory.path()), Err(SourceError::Unreadable { .. })));
    assert!(matches!(Source::file(directory.path().join("x")), Err(SourceError::Unreadable { .. })));
    let one = write(directory.path(), "readme", b"1");
    let other = SourceEntry { path: RelativePath::new("README").unwrap(), ..one.clone() };
    let refused = Source::tree(vec![one, other]).unwrap_err();
    assert!(matches!(refused, SourceError::Manifest(ManifestError::Collision { .. })), "{refused}");
    #[cfg(unix)]
    {
        let socket = directory.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(Source::tree(vec![entry(directory.path(), "s")]), Err(SourceError::Unreadable { .. })));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "a", b"hello").local;
    let source = Source::file(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (tell, told) = std::sync::mpsc::channel();
    let of_thread = source.clone();
    std::thread::spawn(move || tell.send((of_thread.check(), of_thread.read_at(0..1, &mut Vec::new()))));
    let (checked, read) = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(checked, Err(SourceError::Changed { .. })), "{checked:?}");
    assert!(matches!(read, Err(SourceError::Changed { .. })), "{read:?}");
}
