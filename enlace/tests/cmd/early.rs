//! Sharing before the upload has ended. How an upload is received meanwhile is a test of the whole
//! (`tests/tests/resumable_uploads/receive.rs`).

use crate::sandbox::Sandbox;

#[test]
fn a_file_is_shared_early_in_format_v2_only() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &["--early"]);
    assert!(shared.line.get("file").is_none(), "the first line is about the token");
    sandbox.receive(shared.reference(), &["--output", "copy"]).json();
    assert_eq!(std::fs::read(sandbox.path("copy")).unwrap(), b"hello");
    let args = ["share", &file, "--early", "--data-dir", "sender"];
    sandbox.run(&args).refused(2, &["a running process", "omit --early"]);
    shared.stop();
    let args = [&args[..], &["--format", "v1", "--backbone-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]].concat();
    sandbox.run(&args).refused(2, &["format v1", "omit --format v1"]);
}
