//! Mistakes on the command line and what is said about them.

use crate::sandbox::Sandbox;

#[test]
fn what_cannot_be_shared_is_refused_before_anything_starts() {
    let sandbox = Sandbox::new();
    sandbox.file("dir/x", "");
    sandbox.file("large", vec![0; 10 * 1024 * 1024 + 1]);
    sandbox.file("a.txt", "hello");
    let share = |args: &[&str]| sandbox.run(&[&["share", "--data-dir", "d"], args].concat());
    share(&["missing"]).refused(7, &["missing"]);
    sandbox.run(&["files", "upload", "dir", "--data-dir", "d"]).refused(2, &["is a directory", "`enlace share`"]);
    for several in [&["dir"][..], &["a.txt", "large"]] {
        share(&[several, &["--format", "v1"]].concat()).refused(2, &["format v1 is for one file", "omit --format v1"]);
    }
    share(&["a.txt", "-"]).refused(2, &["standard input cannot be shared together with files", "share it alone"]);
    share(&["a.txt", "--text"]).refused(2, &["--text"]);
    share(&["a.txt", "missing"]).refused(7, &["cannot read missing: no such file"]);
    share(&["a.txt", "dir/../a.txt"]).refused(2, &["dir/../a.txt is named twice", "name it once"]);
    sandbox.file("dir/a.txt", "");
    share(&["a.txt", "dir/a.txt"]).refused(2, &["a.txt and dir/a.txt have the same name", "rename one of them"]);
    share(&["dir", "--exclude", "*"]).refused(2, &["nothing to share in dir", "--exclude"]);
    share(&["dir", "--exclude", "[a"]).refused(2, &["--exclude"]);
    share(&["large", "--format", "v1"]).refused(
        4,
        &["10485761 bytes", "10485760 bytes", "--transportLibrary:platformMaxUnencryptedFileSize=10485761"],
    );
    share(&["a.txt", "--expires-at", "2020-01-01"]).refused(2, &["already passed", "--expires-in"]);
    share(&["a.txt", "--expires-in", "soon"]).refused(2, &["7d"]);
    share(&["a.txt", "--for", "bob"]).refused(2, &["--for", "did:e:", "enlace identity"]);
    share(&["a.txt", "--for", "did:e:localhost:dids:0123456789abcdef012345"]).refused(2, &["--for", "checksum"]);
    share(&["a.txt", "--password-file", "missing"]).refused(7, &["missing"]);
    share(&["a.txt", "--password"]).refused(2, &["--password-file"]);
    share(&["a.txt", "--pin-file", &sandbox.file("pin", "12ab")])
        .refused(2, &["an invalid PIN: it must have 4 to 16 digits"]);
    assert!(!sandbox.path("d").exists(), "nothing was started");
    share(&["a.txt", "--client", "nocolon"]).refused(2, &["ID:SECRET"]);
    share(&["a.txt", "--backbone-listen", "0.0.0.0:0"]).refused(2, &["this machine only", "enlace backbone"]);
}

#[test]
fn what_cannot_be_uploaded_is_refused_before_anything_starts_with_and_without_a_server() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let refused = || {
        let upload = |args: &[&str]| sandbox.run(&[&["files", "upload", &file, "--data-dir", "sender"], args].concat());
        upload(&["--tag", "foo"]).refused(2, &["--tag", "x:WORD"]);
        upload(&["--tag", "x:a", "--tag", "language:xx"]).refused(2, &["language:xx"]);
        upload(&["--tag", "x:a", "--tag", "x:a"]).refused(2, &["a tag is given twice"]);
        upload(&["--mimetype", "pdf"]).refused(2, &["--mimetype", "application/pdf"]);
        upload(&["--expires-at", "2020-01-01"]).refused(2, &["already passed", "--expires-in"]);
        let content = sandbox.file("content.json", "{}");
        let create = ["tokens", "create", "--content", &content, "--data-dir", "sender"];
        sandbox.run(&create).refused(2, &["requires an expiry", "--expires-in 7d"]);
    };
    refused();
    assert!(!sandbox.path("sender").exists(), "nothing was started");
    let serve = ["serve", "--data-dir", "sender", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let serving = sandbox.serve(&serve);
    refused();
    let upload = ["files", "upload", &file, "--data-dir", "sender", "--json", "--tag", "x:foo"];
    assert_eq!(sandbox.run(&upload).json()["tags"], serde_json::json!(["x:foo"]));
    serving.stop();
    let upload = ["files", "upload", &file, "--data-dir", "sender", "--json", "--expires-in", "7d"];
    assert!(sandbox.run(&upload).json()["expiresAt"].as_str().unwrap().starts_with("20"));
}

#[test]
fn errors_are_one_line_of_json_for_scripts() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["receive", "x", "--json"]);
    ended.refused(2, &[]);
    let error: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["error"]["exitCode"], 2);
    assert_eq!(error["error"]["code"], "error.core-types.invalidTruncatedReference");
    assert!(error["error"]["hint"].is_string());
}

#[test]
fn a_wrong_command_line_is_one_line_of_json_for_scripts_too() {
    let sandbox = Sandbox::new();
    for args in
        [["share", "--nonsense", "--json"].as_slice(), &["receive", "--json"], &["share", "a", "--json", "--for", "x"]]
    {
        let ended = sandbox.run(args);
        ended.refused(2, &[]);
        let error: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
        assert_eq!(error["error"]["exitCode"], 2);
        assert!(!error["error"]["message"].as_str().unwrap().is_empty(), "{error}");
    }
}

#[test]
fn settings_with_levels_are_refused_where_they_mean_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run(&["backbone", "--enlace:listen=x"]).refused(2, &["--enlace:listen"]);
}

#[test]
fn an_interrupted_start_ends_with_its_own_code_and_leaves_nothing_held() {
    use std::process::Stdio;
    let sandbox = Sandbox::new();
    // A backbone that accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", silent.local_addr().unwrap().port());
    let args = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone", &url];
    let child = sandbox.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let connection = silent.accept().unwrap();
    crate::sandbox::signal(&child, "INT");
    let ended = crate::sandbox::Ended::from(child.wait_with_output().unwrap());
    drop(connection);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(!sandbox.path("d/running.json").exists());
}

#[test]
fn completions_know_the_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = sandbox.run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("receive") && ended.stdout.contains("doctor"), "{shell}");
    }
}
