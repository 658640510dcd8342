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
fn a_running_process_takes_files_in_format_v1_only() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let small = sandbox.file("small.txt", "content");
    let large = sandbox.file("large.bin", bytes(LARGE));
    let upload = |path: &str, format| sandbox.run(&["files", "upload", path, "--format", format, "--data-dir", "d"]);
    assert_eq!(upload(&small, "auto").code, 0);
    upload(&small, "v2").refused(4, &["format v2", "stop process"]);
    upload(&large, "auto").refused(4, &["more than the limit", "stop process"]);
    serving.stop();
}
