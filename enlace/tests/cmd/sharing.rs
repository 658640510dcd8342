//! From a file to a reference to the same bytes elsewhere.

use crate::sandbox::{Sandbox, bytes, files_below};

#[test]
fn a_shared_file_arrives_in_another_process_byte_for_byte() {
    let sandbox = Sandbox::new();
    let content = bytes(1_000_000);
    let shared = sandbox.share(&sandbox.file("data.bin", &content), &[]);
    let received = sandbox.receive(shared.reference(), &["--output", "copy.bin"]).json();
    assert_eq!(std::fs::read(sandbox.path("copy.bin")).unwrap(), content);
    assert_eq!(received["bytes"], 1_000_000);
    assert_eq!(received["file"]["filename"], "data.bin");
    assert_eq!(received["file"]["isOwn"], false);
    assert_eq!(received["file"]["createdBy"], shared.line["token"]["createdBy"]);
    let saved_to = received["savedTo"].as_str().unwrap();
    assert_eq!(std::path::Path::new(saved_to), sandbox.path("copy.bin").canonicalize().unwrap());
    assert_eq!(shared.stop().code, 0);
}

#[test]
fn the_line_of_share_has_what_scripts_rely_on() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &["--expires-in", "7d"]);
    let token = &shared.line["token"];
    for member in ["id", "isOwn", "createdBy", "createdAt", "expiresAt", "content", "truncatedReference", "isEphemeral"]
    {
        assert!(!token[member].is_null(), "{member} in {token}");
    }
    assert_eq!(token["truncatedReference"], token["reference"]["truncated"]);
    assert_eq!(token["content"]["@type"], "TokenContentFile");
    assert_eq!(shared.line["file"]["filesize"], 5);
    assert_eq!(shared.line["file"]["title"], "");
    assert!(shared.text("/rest/url").starts_with("http://127.0.0.1:"));
    assert!(shared.text("/backbone/url").starts_with("http://localhost:"));
    let key_file = shared.text("/rest/apiKeyFile");
    assert_eq!(std::fs::read_to_string(key_file).unwrap().lines().count(), 1);
}

#[test]
fn a_raised_limit_holds_for_the_node_and_its_backbone() {
    let sandbox = Sandbox::new();
    let content = bytes(12 * 1024 * 1024);
    let limit = "--transportLibrary:platformMaxUnencryptedFileSize=13000000";
    let shared = sandbox.share(&sandbox.file("large.bin", &content), &[limit]);
    sandbox.receive(shared.reference(), &["--output", "copy.bin"]).json();
    assert!(std::fs::read(sandbox.path("copy.bin")).unwrap() == content);
}

#[test]
fn an_empty_file_can_be_shared() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("empty", ""), &[]);
    let received = sandbox.receive(shared.reference(), &["--output", "copy"]).json();
    assert_eq!(received["bytes"], 0);
    assert_eq!(received["sha256"], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(std::fs::read(sandbox.path("copy")).unwrap(), b"");
}

#[test]
fn the_truncated_form_works_as_well_as_the_url_and_on_standard_input() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &["--ephemeral"]);
    sandbox.receive(shared.text("/token/reference/truncated"), &["--output", "b"]).json();
    let args = ["receive", "-", "--data-dir", "receiver", "--output", "c", "--json"];
    sandbox.run_with_input(&args, &format!("{}\n", shared.reference())).json();
    assert_eq!(std::fs::read(sandbox.path("b")).unwrap(), std::fs::read(sandbox.path("c")).unwrap());
}

#[test]
fn a_reference_with_an_addressee_is_for_one_identity_only() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "server"]);
    let at = ["--backbone", backbone.text("/url")];
    let identity = |dir| {
        let ended = sandbox.run(&[&["identity", "--data-dir", dir, "--json"], &at[..]].concat());
        ended.json()["address"].as_str().unwrap().to_owned()
    };
    let (receiver, stranger) = (identity("receiver"), identity("stranger"));
    let file = sandbox.file("a.txt", "for one only");
    let shared = sandbox.share(&file, &[&["--for", &receiver][..], &at[..]].concat());
    let refused = sandbox.run(&["receive", shared.reference(), "--data-dir", "stranger", "--output", "x"]);
    refused.refused(4, &[&stranger]);
    assert!(!sandbox.path("x").exists());
    sandbox.receive(shared.reference(), &["--output", "y"]).json();
    assert_eq!(std::fs::read_to_string(sandbox.path("y")).unwrap(), "for one only");
}

#[test]
fn a_password_opens_and_anything_else_does_not() {
    let sandbox = Sandbox::new();
    let (right, wrong) = (sandbox.file("right", "correct horse\n"), sandbox.file("wrong", "battery staple\n"));
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &["--password-file", &right]);
    let url = shared.reference();
    sandbox.receive(url, &["--output", "x"]).refused(4, &["password", "--password-file"]);
    sandbox.receive(url, &["--output", "x", "--password-file", &wrong]).refused(4, &["password is wrong"]);
    assert!(!sandbox.path("x").exists());
    sandbox.receive(url, &["--output", "x", "--password-file", &right]).json();
}

#[test]
fn a_pin_is_asked_for_as_a_pin() {
    let sandbox = Sandbox::new();
    let pin = sandbox.file("pin", "1234");
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &["--pin-file", &pin]);
    sandbox.receive(shared.reference(), &[]).refused(4, &["PIN of 4 digits"]);
    sandbox.receive(shared.reference(), &["--output", "x", "--pin-file", &pin]).json();
    let letters = sandbox.file("letters", "12ab");
    let args = ["share", "a.txt", "--data-dir", "other", "--backbone-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    sandbox.run(&[&args[..], &["--pin-file", &letters]].concat()).refused(2, &["4 to 16 digits"]);
}

#[test]
fn an_ephemeral_token_is_not_listed_and_another_one_is() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let list = || {
        let tokens = sandbox.run(&["tokens", "list", "--data-dir", "sender", "--json"]).json();
        tokens.as_array().unwrap().len()
    };
    sandbox.share(&file, &["--ephemeral"]).stop();
    assert_eq!(list(), 0);
    sandbox.share(&file, &[]).stop();
    assert_eq!(list(), 1);
}

#[test]
fn no_secret_and_no_plaintext_lies_open_in_the_data_directory() {
    let sandbox = Sandbox::new();
    let password = sandbox.file("pw", "planted-password-marker");
    let file = sandbox.file("planted-name-marker.txt", "planted-content-marker");
    let shared = sandbox.share(&file, &["--password-file", &password]);
    let key = shared.line["token"]["content"]["secretKey"]["key"].as_str().unwrap().to_owned();
    let log = shared.stop();
    let mut haystacks: Vec<(String, Vec<u8>)> = vec![("log".to_owned(), log.stderr.into_bytes())];
    for path in files_below(&sandbox.path("sender")) {
        haystacks.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    assert!(haystacks.len() > 5);
    for marker in ["planted-password-marker", "planted-name-marker", "planted-content-marker", &key] {
        for (name, content) in &haystacks {
            assert!(!content.windows(marker.len()).any(|window| window == marker.as_bytes()), "{marker} in {name}");
        }
    }
}

#[test]
fn people_see_reference_expiry_address_and_key_file_and_no_qr_code_without_a_terminal() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;
    let sandbox = Sandbox::new();
    sandbox.file("a.txt", "hello");
    let args = ["share", "a.txt", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let mut child = sandbox.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("API key") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0, "{text}");
    }
    // The environment of the tests names no time zone; the machine's may be any.
    for label in ["Reference  http://localhost:", "Truncated  VE9L", "Expires    20", "REST API   http://127.0.0.1:"] {
        assert!(text.contains(label), "{label} in {text}");
    }
    crate::sandbox::signal(&child, "INT");
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    assert!(!talk.contains('\u{2580}') && talk.contains("enlace receive 'http://localhost:"), "{talk}");
    for step in ["to continue later: enlace serve --data-dir d", "to revoke it: enlace tokens revoke TOK"] {
        assert!(talk.contains(step), "{step} in {talk}");
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reference_lasts_seven_days_unless_something_else_is_said() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &[]);
    let in_days = |days: u32| {
        let now = runtime::Timestamp::from(std::time::SystemTime::now());
        now.saturating_add(std::time::Duration::from_secs(24 * 60 * 60) * days).to_string()
    };
    let expires_at = shared.text("/token/expiresAt");
    assert!(expires_at <= &*in_days(7) && expires_at > &*in_days(6), "{expires_at}");
    let forever = "9999-12-31T00:00:00.000Z";
    assert_eq!(shared.text("/file/expiresAt"), forever, "the terms are the reference's");
    let never = sandbox.share(&file, &["--expires-in", "never"]);
    assert_eq!((never.text("/token/expiresAt"), never.text("/file/id")), (forever, shared.text("/file/id")));
    let create = ["tokens", "create", shared.text("/file/id"), "--data-dir", "sender", "--json"];
    assert_eq!(sandbox.run(&create).json()["expiresAt"], forever);
}

#[test]
fn times_are_shown_by_the_local_clock() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let upload = ["files", "upload", &file, "--expires-at", "2099-07-01T12:00:00Z", "--data-dir", "d"];
    let upload = [&upload[..], &["--backbone-listen", "127.0.0.1:0"]].concat();
    for (zone, shown) in [("CET-1CEST,M3.5.0,M10.5.0/3", "2099-07-01 14:00:00 CEST"), ("UTC0", "12:00:00 UTC")] {
        let uploaded = crate::sandbox::Ended::from(sandbox.command(&upload).env("TZ", zone).output().unwrap());
        assert!(uploaded.stdout.contains(shown), "{uploaded:?}");
    }
}

#[test]
fn a_guest_at_a_foreign_backbone_shares_for_as_long_as_guests_may() {
    let sandbox = Sandbox::new();
    let args = ["backbone", "--listen", "127.0.0.1:0", "--data-dir", "server", "--guests", "--limit", "guestDays=7"];
    let backbone = sandbox.serve(&args);
    let at = ["--backbone", backbone.text("/url"), "--client", "enlace-guest:enlace-guest"];
    let file = sandbox.file("a.txt", "from a guest");
    let never = [&["--expires-in", "never"][..], &at].concat();
    let shared = sandbox.share(&file, &never);
    let expires_at = shared.text("/token/expiresAt").to_owned();
    assert!(!expires_at.starts_with("9999"), "{expires_at}");
    assert_eq!(shared.text("/file/expiresAt"), expires_at, "as long as the file");
    let received = sandbox.receive(shared.reference(), &["--output", "copy"]).json();
    assert_eq!(received["file"]["expiresAt"], expires_at);
    assert_eq!(std::fs::read_to_string(sandbox.path("copy")).unwrap(), "from a guest");
    let id = shared.text("/file/id").to_owned();
    assert_eq!(shared.stop().code, 0);

    let default = sandbox.share(&file, &at);
    assert_eq!((default.text("/file/id"), default.text("/token/expiresAt")), (&*id, &*expires_at), "less than 7 days");
    default.stop();
    let again = sandbox.share(&file, &never);
    assert_eq!((again.text("/file/id"), again.text("/token/expiresAt")), (&*id, &*expires_at), "uploaded only once");
    again.stop();
    let short = sandbox.share(&file, &[&["--expires-in", "6d"][..], &at].concat());
    assert_eq!(short.text("/file/id"), id);
    assert!(short.text("/token/expiresAt") < &*expires_at);
    short.stop();

    let too_long = ["--data-dir", "sender", "--expires-in", "8d"];
    let other = sandbox.file("b.txt", "never uploaded");
    let refused = || {
        let share = sandbox.run(&[&["share", &other, "--listen", "127.0.0.1:0"], &too_long[..], &at].concat());
        share.refused(2, &["at most 7 days", "--expires-in 7d"]);
        assert!(!share.stderr.contains("clock"), "{share:?}");
        sandbox.run(&[&["files", "upload", &other], &too_long[..], &at].concat()).refused(2, &["at most 7 days"]);
    };
    refused();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "sender", "--listen", "127.0.0.1:0"], &at[..]].concat());
    refused();
    let files = sandbox.run(&["files", "list", "--data-dir", "sender", "--json"]).json();
    assert_eq!(files.as_array().unwrap().len(), 1, "nothing was sent: {files}");
    serving.stop();
}
