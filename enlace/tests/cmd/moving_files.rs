//! Sources that are not what they seem: files that change, files without a size, names that other systems do not take.

use crate::recorder::Recorder;
use crate::sandbox::{Ended, Sandbox, Serving, bytes};

/// Larger than what is read ahead.
const LENGTH: usize = 3 * 1024 * 1024;

fn serve(sandbox: &Sandbox, dir: &str) -> Serving {
    sandbox.serve(&["serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"])
}

/// Leads whoever asks the process that serves a directory through a line that changes the source first.
fn lead_through(sandbox: &Sandbox, serving: &Serving, dir: &str, happens: impl FnOnce() + Send + 'static) {
    let url = serving.text("/rest/url");
    let line = Recorder::start_after(url, happens);
    let note = sandbox.path(dir).join("running.json");
    let changed = std::fs::read_to_string(&note).unwrap().replace(url, &line.url().replace("localhost", "127.0.0.1"));
    std::fs::write(&note, changed).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_named_and_not_shared() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    for length in [LENGTH + 1, LENGTH - 1, 0] {
        let source = sandbox.file("source.bin", bytes(LENGTH));
        let change = {
            let source = source.clone();
            move || std::fs::File::options().write(true).open(&source).unwrap().set_len(length as u64).unwrap()
        };
        let check = |ended: Ended| {
            ended.refused(7, &["source.bin has changed while", "nothing was shared", "share it again", "a copy of it"]);
        };
        // In this process, which opens the file before it talks to the backbone.
        let dir = format!("here-{length}");
        let through = |args: &[&str]| {
            let line = Recorder::start_after(backbone.text("/url"), change.clone());
            sandbox.run(&[args, &["--data-dir", &dir, "--backbone", line.url()]].concat())
        };
        check(through(&["files", "upload", &source]));
        sandbox.file("source.bin", bytes(LENGTH));
        let dir = format!("share-{length}");
        let line = Recorder::start_after(backbone.text("/url"), change.clone());
        let args = ["share", &source, "--data-dir", &dir, "--listen", "127.0.0.1:0", "--backbone", line.url()];
        check(sandbox.run(&args));
        // By the process that serves.
        sandbox.file("source.bin", bytes(LENGTH));
        let dir = format!("there-{length}");
        let serving = serve(&sandbox, &dir);
        lead_through(&sandbox, &serving, &dir, change);
        check(sandbox.run(&["files", "upload", &source, "--data-dir", &dir]));
        serving.stop();
        let listed = sandbox.run(&["files", "list", "--data-dir", &dir, "--json"]).json();
        assert_eq!(listed, serde_json::json!([]), "nothing was kept");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_without_a_size_is_sent_whole() {
    let sandbox = Sandbox::new();
    let content = std::fs::read("/proc/version").unwrap();
    let upload = |dir: &str| {
        let uploaded = sandbox.run(&["files", "upload", "/proc/version", "--data-dir", dir, "--json"]).json();
        assert_eq!(uploaded["filesize"], content.len());
    };
    let shared = sandbox.share("/proc/version", &[]);
    sandbox.receive(shared.reference(), &["--output", "copy"]).json();
    assert_eq!(std::fs::read(sandbox.path("copy")).unwrap(), content);
    upload("sender");
    shared.stop();
    upload("sender");
}

#[cfg(unix)]
#[test]
fn a_name_that_other_systems_do_not_take_is_sent_as_one_that_they_do() {
    let sandbox = Sandbox::new();
    for (name, sent) in [
        ("a\\b.txt", "a_b.txt"),
        ("a\n\u{1b}[1m.txt", "a__[1m.txt"),
        ("\\", "_"),
        ("ü \"q\" %41.txt", "ü \"q\" %41.txt"),
    ] {
        let path = sandbox.file(&format!("in/{name}"), name);
        let upload = || sandbox.run(&["files", "upload", &path, "--data-dir", "sender", "--json"]);
        let shared = sandbox.share(&path, &[]);
        assert_eq!(shared.text("/file/filename"), sent);
        let there = upload();
        assert_eq!(there.json()["filename"], sent, "by the process that serves");
        assert_eq!(there.stderr.contains("sent as"), name != sent, "{there:?}");
        shared.stop();
        assert_eq!(upload().json()["filename"], sent, "in this process");
    }
}

#[test]
fn a_file_that_is_shared_again_is_neither_sent_nor_fetched() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let line = Recorder::start(backbone.text("/url"));
    let source = sandbox.file("source.bin", bytes(LENGTH));
    let share =
        || sandbox.serve(&["share", &source, "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone", line.url()]);
    let first = share();
    let (id, token) = (first.text("/file/id").to_owned(), first.text("/token/id").to_owned());
    first.stop();
    let again = share();
    assert_eq!(again.text("/file/id"), id);
    assert_ne!(again.text("/token/id"), token);
    again.stop();
    assert!(line.heard("POST /api/v2/Files ") && !line.heard(&format!("GET /api/v2/Files/{id} ")), "it was fetched");
    // The same length, but other bytes.
    let mut other = bytes(LENGTH);
    other[LENGTH - 1] ^= 1;
    std::fs::write(&source, other).unwrap();
    let changed = share();
    assert_ne!(changed.text("/file/id"), id);
    changed.stop();
}
