//! `identity`, `files`, `tokens` and `doctor`, with a process that serves and without.

use serde_json::Value;

use crate::sandbox::{Sandbox, bytes};

const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];

/// Everything that files and tokens can do, with these further options for each call.
fn exercise(sandbox: &Sandbox) {
    let enlace = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat());
    let content = bytes(200_000);
    let path = sandbox.file("data.bin", &content);
    let file = enlace(&["files", "upload", &path, "--title", "T", "--tag", "x:a", "--tag", "x:b"]).json();
    let id = file["id"].as_str().unwrap();
    assert_eq!((&file["title"], &file["filesize"]), (&Value::from("T"), &Value::from(200_000)));
    assert_eq!(file["tags"], serde_json::json!(["x:a", "x:b"]));
    let listed = enlace(&["files", "list", "--own", "--query", "title=T"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(enlace(&["files", "list", "--peer"]).json(), serde_json::json!([]));

    let saved = enlace(&["files", "download", id, "--output", "copy.bin", "--force"]).json();
    assert_eq!(saved["bytes"], 200_000);
    assert_eq!(std::fs::read(sandbox.path("copy.bin")).unwrap(), content);
    enlace(&["files", "download", id, "--output", "copy.bin"]).refused(7, &["exists already"]);

    let token = enlace(&["tokens", "create", id, "--expires-in", "1h"]).json();
    let token_id = token["id"].as_str().unwrap();
    assert_eq!(token["content"]["fileId"], id);
    assert_eq!(token["isEphemeral"], false);
    assert_eq!(enlace(&["tokens", "show", token_id]).json()["id"], token_id);
    let own = sandbox.file("content.json", "{\"hello\": [1, \"two\", null]}");
    enlace(&["tokens", "create", "--content", &own]).refused(2, &["expiry"]);
    let own = enlace(&["tokens", "create", "--content", &own, "--expires-in", "1h"]).json();
    assert_eq!(own["content"]["hello"], serde_json::json!([1, "two", null]));
    assert_eq!(enlace(&["tokens", "list"]).json().as_array().unwrap().len(), 2);
    let loaded = enlace(&["tokens", "load", own["reference"]["url"].as_str().unwrap()]).json();
    assert_eq!(loaded["content"], own["content"]);

    assert_eq!(enlace(&["tokens", "unlock", token_id]).json()["unlocked"], token_id);
    enlace(&["tokens", "unlock", "TOKabcdefghijklmno12"]).refused(3, &["not found"]);
    enlace(&["tokens", "unlock", "x"]).refused(2, &["TOK"]);

    // Not a way around the kind of the record.
    enlace(&["files", "delete", &format!("../Tokens/{token_id}")]).refused(2, &["files list"]);
    for id in [token_id, own["id"].as_str().unwrap()] {
        assert_eq!(enlace(&["tokens", "delete", id]).json()["deleted"], id);
    }
    enlace(&["tokens", "show", token_id]).refused(3, &["not found"]);
    assert_eq!(enlace(&["files", "delete", id]).json()["deleted"], id);
    enlace(&["files", "delete", id]).refused(3, &["not found"]);
    enlace(&["files", "delete", "TOKabcdefghijklmno12"]).refused(2, &["FIL"]);
}

#[test]
fn files_and_tokens_without_a_serving_process() {
    let sandbox = Sandbox::new();
    sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat()).stop();
    exercise(&sandbox);
}

#[test]
fn files_and_tokens_through_a_serving_process() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    exercise(&sandbox);
    serving.stop();
}

#[test]
fn the_identity_is_the_same_with_and_without_a_serving_process() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let address = serving.text("/identity/address").to_owned();
    let identity = || sandbox.run(&["identity", "--data-dir", "d", "--json"]).json();
    let over_rest = identity();
    serving.stop();
    let alone = identity();
    assert_eq!(over_rest["address"], address);
    assert_eq!(over_rest, alone);
    assert!(alone["deviceId"].as_str().unwrap().starts_with("DVC"));
}

#[test]
fn doctor_is_content_with_a_fresh_a_stopped_and_a_serving_node() {
    let sandbox = Sandbox::new();
    let doctor = || sandbox.run(&["doctor", "--data-dir", "d", "--json"]).json();
    let verdicts = |report: &Value| -> Vec<String> {
        let found = report.as_array().unwrap().iter();
        found.filter(|it| it["verdict"] == "ok").map(|it| it["check"].as_str().unwrap().to_owned()).collect()
    };
    assert!(verdicts(&doctor()).contains(&"data directory".to_owned()));
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let report = doctor();
    for check in ["process", "REST API", "backbone"] {
        assert!(verdicts(&report).contains(&check.to_owned()), "{check} in {report}");
    }
    serving.stop();
    let report = doctor();
    for check in ["permissions", "REST port", "backbone port", "store", "login"] {
        assert!(verdicts(&report).contains(&check.to_owned()), "{check} in {report}");
    }
}

#[cfg(unix)]
#[test]
fn doctor_finds_a_secret_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat()).stop();
    std::fs::set_permissions(sandbox.path("d/api-key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = sandbox.run(&["doctor", "--data-dir", "d"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("chmod"), "{ended:?}");
    sandbox.run(&["serve", "--data-dir", "d"]).refused(7, &["api-key", "chmod 0600"]);
}
