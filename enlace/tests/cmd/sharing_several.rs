//! Folders and several files with one reference.

use std::collections::BTreeMap;

use runtime::facade::LoadFile;
use runtime::source::{EntryKind, Manifest};
use runtime::{BackboneConfig, Config, Runtime, Secret};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::sandbox::{Sandbox, Serving, bytes};

/// What a share holds, as another node reads it: the bytes of files, nothing for folders.
#[tokio::main]
async fn content_of(sandbox: &Sandbox, shared: &Serving) -> BTreeMap<String, Option<Vec<u8>>> {
    let guest = BackboneConfig::new(shared.text("/backbone/url"), "enlace-guest", Secret::new("enlace-guest"));
    let node = Runtime::builder(Config::new(sandbox.path("reader"), guest)).start().await.unwrap();
    let reference = shared.reference().to_owned();
    let file = node.files().get_or_load_file(LoadFile { reference, password: None }).await.unwrap();
    let download = node.files().download_file(&file.id, None).await.unwrap();
    let mut content = Vec::new();
    download.content.into_reader().read_to_end(&mut content).await.unwrap();
    node.shutdown().await.unwrap();
    let sizes = shared.line["files"].as_array().unwrap().iter().map(|file| file["bytes"].as_u64().unwrap());
    let head = content.len() - usize::try_from(sizes.sum::<u64>()).unwrap();
    let manifest = Manifest::decode(&content[..head], content.len() as u64).unwrap();
    let bytes_of = |index| manifest.content_of(index).map(|place| place.start as usize..place.end as usize);
    let entries = manifest.entries().iter().enumerate().map(|(index, entry)| {
        let is_file = entry.kind != EntryKind::Folder;
        (entry.path.to_string(), is_file.then(|| content[bytes_of(index).unwrap()].to_vec()))
    });
    entries.collect()
}

fn expected(entries: &[(&str, Option<&[u8]>)]) -> BTreeMap<String, Option<Vec<u8>>> {
    entries.iter().map(|(path, content)| ((*path).to_owned(), content.map(<[u8]>::to_vec))).collect()
}

#[test]
fn a_folder_arrives_with_everything_in_it() {
    let sandbox = Sandbox::new();
    let large = bytes(3_000_000);
    sandbox.file("photos/b/large.bin", &large);
    sandbox.file("photos/.hidden", "hidden");
    sandbox.file("photos/empty.txt", "");
    std::fs::create_dir(sandbox.path("photos/folder")).unwrap();
    let shared = sandbox.share("photos", &[]);
    assert_eq!(shared.text("/file/filename"), "photos");
    assert_eq!(shared.text("/file/mimetype"), "application/vnd.enlace.files");
    let files = [(".hidden", 6), ("b/large.bin", large.len()), ("empty.txt", 0)];
    let files: Vec<_> = files.iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes })).collect();
    assert_eq!(shared.line["files"], json!(files));
    let entries = [
        (".hidden", Some(&b"hidden"[..])),
        ("b", None),
        ("b/large.bin", Some(&large)),
        ("empty.txt", Some(b"")),
        ("folder", None),
    ];
    assert!(content_of(&sandbox, &shared) == expected(&entries));
    let ended = shared.stop();
    assert!(!ended.stderr.contains("warning"), "{ended:?}");
}

#[test]
fn several_paths_arrive_under_their_last_names() {
    let sandbox = Sandbox::new();
    sandbox.file("in/docs/a.txt", "a");
    sandbox.file("in/docs/a.tmp", "temporary");
    sandbox.file("in/docs/raw/x", "raw");
    sandbox.file("in/raw/y", "kept");
    sandbox.file("b.txt", "b");
    let more = ["in/raw", "b.txt", "--exclude", "*.tmp", "--exclude", "docs/raw/"];
    let shared = sandbox.share("in/docs", &more);
    assert_eq!(shared.text("/file/filename"), "files");
    let entries = [
        ("b.txt", Some(&b"b"[..])),
        ("docs", None),
        ("docs/a.txt", Some(b"a")),
        ("raw", None),
        ("raw/y", Some(b"kept")),
    ];
    assert_eq!(content_of(&sandbox, &shared), expected(&entries));
    shared.stop();
    let named = sandbox.share("b.txt", &["in/docs/a.txt", "--name", "minutes.zip"]);
    assert_eq!(named.text("/file/filename"), "minutes.zip");
    assert_eq!(named.text("/file/mimetype"), "application/vnd.enlace.files", "whatever the name looks like");
}

#[test]
fn one_file_has_no_list_of_files() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.tmp", "hello"), &["--exclude", "*.tmp"]);
    assert!(shared.line.get("files").is_none(), "{}", shared.line);
    assert_eq!(shared.text("/file/filename"), "a.tmp");
}

#[test]
fn the_working_directory_is_shared_under_its_name() {
    let sandbox = Sandbox::new();
    sandbox.file("project/src/a", "a");
    for (directory, path) in [("project", "."), ("project/src", "..")] {
        let mut command = sandbox.command(&["share", path]);
        command.args(["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"]);
        command.env("ENLACE_DATA_DIR", sandbox.path("d")).current_dir(sandbox.path(directory));
        let shared = Serving::try_start(&mut command).unwrap();
        assert_eq!(shared.text("/file/filename"), "project");
        assert_eq!(shared.line["files"], json!([{ "path": "src/a", "bytes": 1 }]));
        shared.stop();
    }
}

#[test]
fn what_is_shared_and_left_out_is_said_before_anything_is_sent() {
    let sandbox = Sandbox::new();
    sandbox.file("x/a", "1234");
    sandbox.file("x/b/c", "56");
    sandbox.file("x/d.tmp", "");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a", sandbox.path("x/link")).unwrap();
        std::os::unix::fs::symlink(sandbox.path("x"), sandbox.path("x/b/loop")).unwrap();
    }
    // Nothing answers there, so only what is said before can be in the messages.
    let args = ["share", "x", "--exclude", "*.tmp", "--data-dir", "d", "--backbone", "http://127.0.0.1:1"];
    let people = sandbox.run(&args);
    people.refused(5, &["2 files and 1 folder, 6 bytes, without 1 left out by --exclude\n"]);
    let scripts = sandbox.run(&[&args[..], &["--json"]].concat());
    assert!(!scripts.stderr.contains("2 files"), "{scripts:?}");
    #[cfg(unix)]
    {
        let said = "2 symbolic links are left out: b/loop, link";
        people.refused(5, &[&format!("warning: {said}\nhint: name a link")]);
        let line: serde_json::Value = serde_json::from_str(scripts.stderr.lines().next().unwrap()).unwrap();
        assert_eq!(line["warning"]["message"], said);
    }
}

#[test]
fn the_data_directory_is_not_shared_with_the_folder_that_it_is_in() {
    let sandbox = Sandbox::new();
    sandbox.file("a", "a");
    let files = json!([{ "path": "a", "bytes": 1 }]);
    let first = sandbox.share(".", &[]);
    assert_eq!(first.line["files"], files);
    first.stop();
    let second = sandbox.share(".", &[]);
    assert_eq!(second.line["files"], files);
    assert!(second.stop().stderr.contains("1 data directory of enlace is left out: sender"));
}

#[test]
fn a_running_process_is_given_several_files() {
    let sandbox = Sandbox::new();
    let large = bytes(3_000_000);
    sandbox.file("x/b/large.bin", &large);
    sandbox.file("x/empty", "");
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let serving = sandbox.serve(&serve);
    let shared = sandbox.run(&["share", "x", "--data-dir", "d", "--json"]).json();
    assert_eq!((&shared["file"]["filename"], &shared["file"]["format"]), (&json!("x"), &json!("v2")));
    let reference = shared["token"]["reference"]["url"].as_str().unwrap();
    sandbox.receive(reference, &["--output", "copy"]).json();
    assert!(std::fs::read(sandbox.path("copy/b/large.bin")).unwrap() == large);
    assert_eq!(sandbox.names("copy"), ["b", "empty"]);
    serving.stop();
}

#[test]
fn a_file_of_several_that_changes_while_they_are_sent_is_named() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let changed = sandbox.file("x/changed", "hello");
    sandbox.file("x/other", "other");
    let line = crate::recorder::Recorder::start_after(backbone.text("/url"), move || {
        // The same length at another time.
        std::fs::write(&changed, "HELLO").unwrap();
        let file = std::fs::File::options().write(true).open(&changed).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    });
    let ended = sandbox.run(&["share", "x", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone", line.url()]);
    ended.refused(7, &["x/changed has changed while", "nothing was shared", "share it again"]);
    let listed = sandbox.run(&["files", "list", "--data-dir", "d", "--backbone", line.url(), "--json"]).json();
    assert_eq!(listed, json!([]), "nothing was kept");
}
