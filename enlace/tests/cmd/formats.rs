//! Files in format v2 on the command line.

use crate::sandbox::{Sandbox, bytes};

const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
/// More than a file in format v1 may have.
const LARGE: usize = 12 * 1024 * 1024 + 1;

#[test]
fn a_file_beyond_the_limit_of_v1_is_shared_and_received() {
    let sandbox = Sandbox::new();
    let content = bytes(LARGE);
    let path = sandbox.file("large.bin", &content);
    sandbox
        .run(&["share", &path, "--data-dir", "v1", "--format", "v1"])
        .refused(4, &["more than the limit", "platformMaxUnencryptedFileSize"]);
    let shared = sandbox.share(&path, &[]);
    let received = sandbox.receive(shared.reference(), &["--output", "copy.bin"]).json();
    assert_eq!(received["bytes"], LARGE);
    assert!(std::fs::read(sandbox.path("copy.bin")).unwrap() == content);
    shared.stop();
}

#[test]
fn a_small_file_is_sent_in_the_format_that_was_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat()).stop();
    let enlace = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat());
    for (format, content) in [("v1", ""), ("v2", ""), ("v2", "content")] {
        let path = sandbox.file("small.txt", content);
        let file = enlace(&["files", "upload", &path, "--format", format]).json();
        enlace(&["files", "download", file["id"].as_str().unwrap(), "--output", "copy.txt", "--force"]).json();
        assert_eq!(std::fs::read_to_string(sandbox.path("copy.txt")).unwrap(), content);
    }
    enlace(&["files", "upload", "small.txt", "--format", "v3"]).refused(2, &["v1, v2, auto"]);
}

#[test]
fn a_running_process_takes_files_in_either_format_and_says_which() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let small = sandbox.file("small.txt", "content");
    let large = sandbox.file("large.bin", bytes(LARGE));
    let enlace = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat());
    for (path, asked, format) in [
        (&small, "v1", "v1"),
        (&small, "v2", "v2"),
        (&small, "auto", "v1"),
        (&large, "v2", "v2"),
        (&large, "auto", "v2"),
    ] {
        let uploaded = enlace(&["files", "upload", path, "--format", asked]);
        let mut file = uploaded.json();
        // What the line says of the upload beside the file.
        assert_eq!(file.as_object_mut().unwrap().remove("resumed"), Some(0.into()));
        assert_eq!(file["format"], format, "{path} {asked}");
        let listed = enlace(&["files", "list"]).json();
        assert_eq!(listed.as_array().unwrap().last(), Some(&file));
        let id = file["id"].as_str().unwrap();
        let downloaded = enlace(&["files", "download", id, "--output", "copy", "--force"]).json();
        assert_eq!(downloaded["file"], file);
        assert!(std::fs::read(sandbox.path("copy")).unwrap() == std::fs::read(path).unwrap());
    }
    let shared = enlace(&["share", &large, "--no-qr"]).json();
    assert_eq!(shared["file"]["format"], "v2");
    let reference = shared["token"]["reference"]["url"].as_str().unwrap();
    let received = sandbox.receive(reference, &["--output", "received.bin"]).json();
    assert_eq!(received["file"]["format"], "v2");
    enlace(&["files", "upload", &large, "--format", "v1"]).refused(4, &["more than the limit"]);
    serving.stop();
}

#[test]
fn progress_of_an_upload_to_a_running_process_counts_what_it_takes() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let large = sandbox.file("large.bin", bytes(LARGE));
    let uploaded = sandbox.run(&["files", "upload", &large, "--data-dir", "d", "--json"]);
    let lines: Vec<serde_json::Value> =
        uploaded.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let bytes = lines.iter().filter_map(|line| line["progress"]["bytes"].as_u64());
    let bytes: Vec<u64> = bytes.collect();
    assert!(bytes.is_sorted() && bytes.last() == Some(&(LARGE as u64)), "{bytes:?}");
    assert!(lines.iter().all(|line| line["progress"]["total"] == LARGE), "{lines:?}");
    serving.stop();
}

#[test]
fn a_running_process_without_the_own_interface_is_named_with_the_way_out() {
    let sandbox = Sandbox::new();
    let off = "--enlace:httpApi:enabled=false";
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d", off], &PORTS[..]].concat());
    sandbox.run(&["files", "list", "--data-dir", "d"]).refused(1, &["running process", "enlace.httpApi.enabled=true"]);
    serving.stop();
    assert_eq!(sandbox.run(&["files", "list", "--data-dir", "d"]).code, 0);
}
