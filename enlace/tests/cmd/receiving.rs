//! Where received files go, and where they never go.

use crate::sandbox::Sandbox;

#[test]
fn a_file_that_is_there_stays_unless_force_is_given() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "theirs"), &[]);
    sandbox.file("out/a.txt", "mine");
    let refused = sandbox.receive(shared.reference(), &["--output", "out"]);
    refused.refused(7, &["exists already", "--output", "--force"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("out/a.txt")).unwrap(), "mine");
    sandbox.receive(shared.reference(), &["--output", "out/a.txt"]).refused(7, &["exists already"]);
    sandbox.receive(shared.reference(), &["--output", "out", "--force"]).json();
    assert_eq!(std::fs::read_to_string(sandbox.path("out/a.txt")).unwrap(), "theirs");
    assert_eq!(sandbox.names("out"), ["a.txt"]);
}

#[cfg(unix)]
#[test]
fn names_that_try_tricks_are_written_inside_the_directory_and_cannot_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    for (name, expected) in
        [("CON.txt", "_CON.txt"), (".bashrc", "_.bashrc"), ("a\\..\\b", "a_.._b"), ("x\u{202e}fdp", "xfdp")]
    {
        let path = sandbox.file(&format!("in/{name}"), "#!/bin/sh\n");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let shared = sandbox.share(&path, &[]);
        let out = format!("out-{expected}");
        std::fs::create_dir(sandbox.path(&out)).unwrap();
        // Each start takes another port, and a receiver goes to another address only if told so.
        let backbone = shared.text("/backbone/url");
        let options = ["--output", &out, "--backbone", backbone, "--change-backbone"];
        let received = sandbox.receive(shared.reference(), &options).json();
        assert_eq!(sandbox.names(&out), [expected], "{name:?}");
        let mode = std::fs::metadata(received["savedTo"].as_str().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0, "{name:?}");
        shared.stop();
    }
}

#[test]
fn names_that_programs_act_on_get_a_suffix_unless_the_receiver_asks_for_them() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("in/config.json", "{}"), &[]);
    let received = sandbox.run(&["receive", shared.reference(), "--data-dir", "receiver"]);
    assert_eq!(received.code, 0, "{received:?}");
    let words = "saved as config.json.received, because some programs act on files named config.json";
    assert!(received.stderr.contains(words) && received.stderr.contains("--output FILE"), "{received:?}");
    assert!(sandbox.path("config.json.received").is_file() && !sandbox.path("config.json").exists());
    let id = sandbox.run(&["files", "list", "--data-dir", "receiver", "--json"]).json()[0]["id"].clone();
    std::fs::create_dir(sandbox.path("out")).unwrap();
    let download = ["files", "download", id.as_str().unwrap(), "--data-dir", "receiver", "--output", "out", "--json"];
    let saved = sandbox.run(&download).json();
    assert!(saved["savedTo"].as_str().unwrap().ends_with("/out/config.json.received"), "{saved}");
    sandbox.receive(shared.reference(), &["--output", "out/config.json"]).json();
    assert_eq!(sandbox.names("out"), ["config.json", "config.json.received"]);
}

#[test]
fn a_peers_name_is_harmless_in_answers_and_headers_of_the_rest_interface() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("in/x\u{202e}fdp\u{1b}.txt", "hello"), &[]);
    let received = sandbox.receive(shared.reference(), &["--output", "copy"]).json();
    assert_eq!(received["file"]["filename"], "xfdp_.txt");
    let serving = sandbox.serve(&["serve", "--data-dir", "receiver", "--listen", "127.0.0.1:0"]);
    let path = format!("/api/v2/Files/{}", received["file"]["id"].as_str().unwrap());
    let answer = get(&serving, &path);
    assert!(answer.contains(r#""filename":"xfdp_.txt""#), "{answer}");
    let answer = get(&serving, &format!("{path}/Download"));
    assert!(answer.to_lowercase().contains("content-disposition: attachment;filename=xfdp_.txt\r\n"), "{answer}");
}

/// An answer of the REST interface, with its headers.
fn get(serving: &crate::sandbox::Serving, path: &str) -> String {
    use std::io::{Read, Write};
    let address = serving.text("/rest/url").strip_prefix("http://").unwrap();
    let key = std::fs::read_to_string(serving.text("/rest/apiKeyFile")).unwrap();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    let key = key.trim();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn json_for_a_terminal_holds_no_character_that_steers_it() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let file = sandbox.file("in/x\u{202e}fdp\u{9b}31m.txt", "hello");
    let at = ["--backbone", backbone.text("/url"), "--data-dir", "sender", "--json"];
    let title = "a\u{85}\u{2066}b";
    let uploaded = sandbox.run(&[&["files", "upload", &file, "--title", title][..], &at].concat());
    assert_eq!((&uploaded.json()["title"], uploaded.stdout.contains("\\u2066")), (&title.into(), true));
    let listed = sandbox.run(&[&["files", "list"][..], &at].concat());
    let failed = sandbox.run(&["files", "delete", "x\u{202e}\u{9b}", "--data-dir", "sender", "--json"]);
    for text in [&uploaded.stdout, &listed.stdout, &failed.stderr] {
        let steers = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{2069}').contains(&c);
        assert!(!text.is_empty() && !text.contains(steers), "{text:?}");
    }
}

#[test]
fn addresses_that_only_this_network_reaches_are_asked_for() {
    use std::io::{Read, Write};
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let (backbone, reference) = (shared.text("/backbone/url").to_owned(), shared.reference());
    for place in ["https://10.0.0.1", "https://169.254.169.254", "https://[fd00::1]:8443", "https://[::ffff:7f00:1]"] {
        let refused = sandbox.receive(&reference.replace(&backbone, place), &["--output", "x"]);
        refused.refused(4, &[place, "private network", "--allow-private"]);
    }
    // Something on this machine that is not a backbone.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", other.local_addr().unwrap().port());
    let asked = std::thread::spawn(move || {
        let mut request = [0; 4096];
        let (mut connection, _) = other.accept().unwrap();
        let count = connection.read(&mut request).unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").unwrap();
        other.set_nonblocking(true).unwrap();
        (String::from_utf8_lossy(&request[..count]).into_owned(), other)
    });
    let refused = sandbox.receive(&reference.replace(&backbone, &url), &["--output", "x"]);
    refused.refused(4, &[&url, "no backbone answers", "--allow-private"]);
    let (request, other) = asked.join().unwrap();
    assert!(request.starts_with("GET /api/v2/Version "), "{request}");
    assert!(other.accept().is_err(), "it was asked once more");
    let allowed = sandbox.receive(&reference.replace(&backbone, "https://127.0.0.1:1"), &["--allow-private"]);
    allowed.refused(5, &["backbone"]);
    // What `share` puts on this machine needs no permission.
    sandbox.receive(reference, &["--output", "x"]).json();
}

#[test]
fn a_file_larger_than_allowed_is_announced_and_not_fetched() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "12345"), &[]);
    let refused = sandbox.receive(shared.reference(), &["--max-size", "4", "--output", "x"]);
    refused.refused(4, &["5 bytes", "--max-size 5"]);
    assert!(!sandbox.path("x").exists());
    sandbox.receive(shared.reference(), &["--max-size", "1K", "--output", "x"]).json();
    sandbox.receive(shared.reference(), &["--max-size", "1X", "--output", "y"]).refused(2, &["10M"]);
}

#[cfg(unix)]
#[test]
fn a_received_file_has_the_mode_of_the_users_mask_and_keeps_it_when_it_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let receive = |mask: &str, more: &str| {
        let (program, reference) = (env!("CARGO_BIN_EXE_enlace"), shared.reference());
        let line = format!("umask {mask}; exec {program} receive '{reference}' --data-dir receiver --output x {more}");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &line]).current_dir(sandbox.path("")).env_clear().env("HOME", sandbox.path("home"));
        assert!(command.status().unwrap().success());
        std::fs::metadata(sandbox.path("x")).unwrap().permissions().mode() & 0o7777
    };
    for (mask, mode) in [("022", 0o644), ("027", 0o640), ("077", 0o600), ("000", 0o666)] {
        let _ = std::fs::remove_file(sandbox.path("x"));
        assert_eq!(receive(mask, ""), mode);
        assert_eq!(receive("007", "--force"), mode, "kept");
    }
}

#[test]
fn a_missing_directory_is_reported_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    sandbox
        .receive(shared.reference(), &["--output", "no/such/x"])
        .refused(7, &["the directory no/such does not exist", "--output"]);
    sandbox.receive(shared.reference(), &["--output", "no/"]).refused(7, &["the directory no/ does not exist"]);
    let download = ["files", "download", shared.text("/file/id"), "--data-dir", "sender", "--output", "no/x"];
    sandbox.run(&download).refused(7, &["the directory no does not exist"]);
}

#[test]
fn broken_references_are_refused_without_being_repeated() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let url = shared.reference();
    for broken in [&url[..url.len() - 10], &url[..url.find('#').unwrap()], "VE9L", "https://example.org/"] {
        let refused = sandbox.receive(broken, &[]);
        refused.refused(2, &["not a reference"]);
        assert!(!refused.stderr.contains(broken), "{refused:?}");
    }
}

#[test]
fn a_reference_to_nowhere_says_that_the_backbone_does_not_answer() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let reference = shared.reference().to_owned();
    shared.stop();
    sandbox.receive(&reference, &["--output", "x"]).refused(5, &["backbone"]);
    assert!(!sandbox.path("x").exists());
}

#[test]
fn a_deleted_token_is_not_found() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    sandbox.run(&["tokens", "delete", shared.text("/token/id"), "--data-dir", "sender", "--json"]).json();
    let refused = sandbox.receive(shared.reference(), &[]);
    refused.refused(3, &["the sender has deleted it or the file", "ask the sender for a new reference"]);
}

#[test]
fn http_to_another_machine_is_refused_unless_allowed() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let moved = shared.reference().replace("localhost", "backbone.example.org");
    sandbox.receive(&moved, &[]).refused(2, &["http"]);
}

#[test]
fn without_a_data_directory_there_is_one_receiver_for_each_backbone() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let identity = ["identity", "--receiver", "--backbone", shared.text("/backbone/url"), "--json"];
    let address = sandbox.run(&identity).json()["address"].as_str().unwrap().to_owned();
    let personal = sandbox.run(&[
        "tokens",
        "create",
        shared.text("/file/id"),
        "--for",
        &address,
        "--data-dir",
        "sender",
        "--json",
    ]);
    let reference = personal.json()["reference"]["url"].as_str().unwrap().to_owned();
    let received = sandbox.run(&["receive", &reference, "--output", "x", "--json"]).json();
    assert_eq!(received["bytes"], 5);
    assert_eq!(sandbox.names("home/.local/share/enlace/receiver").len(), 1);
}

#[test]
fn a_backbone_that_does_not_know_the_identity_leads_to_the_name_of_its_own() {
    let sandbox = Sandbox::new();
    let here = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    sandbox.receive(here.reference(), &["--output", "x"]).json();
    let elsewhere = sandbox.serve(&[
        "share",
        "a.txt",
        "--data-dir",
        "other",
        "--listen",
        "127.0.0.1:0",
        "--backbone-listen",
        "127.0.0.1:0",
    ]);
    let refused = sandbox.receive(elsewhere.reference(), &["--output", "y"]);
    refused.refused(4, &["backbone of the identity", here.text("/backbone/url"), "--data-dir"]);
    assert!(!sandbox.path("y").exists());
    sandbox.receive(here.reference(), &["--output", "z"]).json();
}

#[test]
fn a_reference_cannot_lead_an_identity_and_its_secrets_to_another_backbone() {
    let sandbox = Sandbox::new();
    let here = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let home = here.text("/backbone/url").to_owned();
    sandbox.receive(here.reference(), &["--output", "x"]).json();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let url = format!("http://localhost:{}", stranger.local_addr().unwrap().port());
    let lure = here.reference().replace(&home, &url);
    sandbox.receive(&lure, &["--output", "y"]).refused(4, &["its backbone is", &home, "--change-backbone"]);
    // Naming the stranger is not yet a consent to send the login there.
    sandbox
        .receive(&lure, &["--output", "y", "--backbone", &url])
        .refused(4, &["its backbone is", &home, "--change-backbone"]);
    assert!(stranger.accept().is_err(), "the stranger was asked");
    here.stop();
    // The sender's own directory, whose backbone is embedded.
    sandbox.run(&["receive", &lure, "--data-dir", "sender"]).refused(4, &["its backbone is", &home]);
    assert!(stranger.accept().is_err(), "the stranger was asked");
}

#[cfg(target_os = "linux")]
#[test]
fn a_destination_that_is_not_utf8_is_written_and_named() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let args = ["receive", shared.reference(), "--data-dir", "receiver", "--json", "--output"];
    let ended = crate::sandbox::Ended::from(sandbox.command(&args).arg(name).output().unwrap());
    assert!(ended.json()["savedTo"].as_str().unwrap().ends_with("caf\u{fffd}"));
    assert_eq!(std::fs::read(sandbox.path("").join(name)).unwrap(), b"hello");
}
