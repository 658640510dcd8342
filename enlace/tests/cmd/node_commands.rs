//! `identity`, `files`, `tokens` and `doctor`, with a process that serves and without.

use reqwest::RequestBuilder;
use runtime::http_client::{self, Redirects, Trust};
use serde_json::Value;

use crate::sandbox::{Sandbox, Serving, bytes};

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
    let shown = enlace(&["tokens", "show", token_id]).json();
    assert_eq!((&shown["terms"]["status"], &shown["status"]), (&"active".into(), &"active".into()));
    let edited = enlace(&["tokens", "edit", token_id, "--expires-at", "2100-01-01"]).json();
    assert_eq!(
        (&edited["token"]["expiresAt"], &edited["backbone"]),
        (&"2100-01-01T00:00:00.000Z".into(), &"changed".into())
    );
    enlace(&["tokens", "edit", token_id]).refused(2, &["--expires-in"]);
    enlace(&["tokens", "edit", token_id, "--expires-in", "-5s"]).refused(2, &["not a time span such as"]);
    enlace(&["tokens", "list", "--limit", "0"]).refused(2, &["must be a whole number from 1 on"]);
    enlace(&["tokens", "edit", token_id, "--expires-at", "2001-01-01"]).refused(2, &["passed"]);
    let limited = enlace(&["tokens", "edit", token_id, "--max-downloads", "3", "--label", "for Bob"]).json();
    assert_eq!((&limited["token"]["maxDownloads"], &limited["token"]["label"]), (&3.into(), &"for Bob".into()));
    let rotated = enlace(&["tokens", "rotate", token_id]).json();
    assert_eq!(rotated["old"]["token"]["status"], "revoked");
    assert_eq!((&rotated["token"]["maxDownloads"], &rotated["token"]["label"]), (&3.into(), &"for Bob".into()));
    assert_ne!(rotated["token"]["reference"]["url"], token["reference"]["url"]);
    enlace(&["tokens", "delete", token_id]).json();
    let token_id = rotated["token"]["id"].as_str().unwrap();
    let free = enlace(&["tokens", "edit", token_id, "--max-downloads", "none", "--label", ""]).json();
    assert_eq!((&free["token"]["maxDownloads"], &free["token"]["label"]), (&Value::Null, &Value::Null));
    enlace(&["tokens", "edit", token_id, "--max-downloads", "0"]).refused(2, &["1000000"]);
    let brief = enlace(&["tokens", "create", id, "--expires-in", "1h"]).json();
    let brief = brief["id"].as_str().unwrap();
    let revoked = enlace(&["tokens", "revoke", brief]).json();
    assert_eq!((&revoked["token"]["status"], &revoked["backbone"]), (&"revoked".into(), &"revoked".into()));
    let listed = enlace(&["tokens", "list"]).json();
    let marked = listed.as_array().unwrap().iter().filter(|token| token["status"] == "revoked");
    assert_eq!(marked.map(|token| token["id"].as_str().unwrap()).collect::<Vec<_>>(), [brief]);
    let ids = |options: &[&str]| {
        let listed = enlace(&[&["tokens", "list"], options].concat()).json();
        listed.as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own_id = own["id"].as_str().unwrap();
    assert_eq!(ids(&["--status", "revoked"]), [brief]);
    assert_eq!(ids(&["--file", id, "--status", "active"]), [token_id]);
    assert_eq!(ids(&["--expires-before", "2099-01-01", "--status", "active", "--status", "expired"]), [own_id]);
    assert_eq!(ids(&["--expires-after", "2099-01-01"]), [token_id]);
    assert_eq!(ids(&["--own", "--sort", "-created", "--limit", "2"]), [brief, token_id]);
    assert_eq!(ids(&["--sort", "-expires", "--limit", "1"]), [token_id]);
    assert_eq!(ids(&["--label", "nobody"]), [""; 0]);
    assert_eq!(ids(&["--query", "expiresAt=>2099"]), [token_id]);
    let shown = &enlace(&["tokens", "list", "--file", id, "--status", "active"]).json()[0];
    assert_eq!(
        (&shown["content"]["fileId"], &shown["delivery"], &shown["downloads"]),
        (&id.into(), &"e2e".into(), &0.into())
    );
    enlace(&["tokens", "list", "--status", "gone"]).refused(2, &["--status", "not-yet-valid"]);
    enlace(&["tokens", "list", "--query", "isOwn=true", "--limit", "1"]).refused(2, &["--query"]);
    let shown = enlace(&["tokens", "show", brief]).json();
    assert_eq!((&shown["terms"]["status"], &shown["revokedAt"]), (&"revoked".into(), &revoked["token"]["revokedAt"]));
    assert_eq!(shown["status"], "revoked");
    assert!(shown["revokedAt"].is_string() && shown["terms"]["expiresAt"].as_str() > shown["revokedAt"].as_str());
    let text = sandbox.run(&["tokens", "show", brief, "--data-dir", "d"]).stdout;
    let row = |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim).map(str::to_owned);
    assert!(row("Revoked ").is_some() && row("Expires ") > row("Revoked "), "{text}");
    let edited = sandbox.run(&["tokens", "edit", token_id, "--max-downloads", "5", "--data-dir", "d"]).stdout;
    for words in ["Status", "active", "Backbone", "changed", "Peers", "not offered"] {
        assert!(edited.contains(words), "{words}: {edited}");
    }
    assert_eq!(enlace(&["tokens", "prune"]).json()["deleted"], serde_json::json!([brief]));
    enlace(&["tokens", "show", brief]).refused(3, &["not found"]);
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

/// Asks a node at `/v1`.
struct Appwrite {
    endpoint: String,
    project: String,
    key: String,
}

impl Appwrite {
    fn of(serving: &Serving) -> Self {
        let text = |pointer: &str| serving.text(pointer).to_owned();
        let key = std::fs::read_to_string(text("/appwrite/keyFile")).unwrap().trim().to_owned();
        Self { endpoint: text("/appwrite/endpoint"), project: text("/appwrite/project"), key }
    }

    fn post(&self, path: &str, body: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = http_client::builder(Trust::Nobody, Redirects::Refused).unwrap().no_proxy().build().unwrap();
            let request = client.post(format!("{}/{path}", self.endpoint));
            let request = request.header("X-Appwrite-Project", &self.project).header("X-Appwrite-Key", &self.key);
            let answer = body(request).send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.json().await.unwrap()
        })
    }

    /// The id of a token on the file `docs:plan`, which is there.
    fn token(&self) -> String {
        let token = self.post("tokens/buckets/docs/files/plan", |request| request.json(&serde_json::json!({})));
        token["$id"].as_str().unwrap().to_owned()
    }
}

/// Everything that is done with a token of `/v1`, by its id.
fn exercise_token_of_v1(sandbox: &Sandbox, id: &str) {
    let enlace = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat());
    let shown = enlace(&["tokens", "show", id]).json();
    assert_eq!((&shown["resourceId"], &shown["terms"]["status"]), (&"docs:plan".into(), &"active".into()));
    let edited = enlace(&["tokens", "edit", id, "--max-downloads", "3", "--label", "for Bob"]).json();
    assert_eq!((&edited["token"]["remaining"], &edited["token"]["label"]), (&3.into(), &"for Bob".into()));
    assert_eq!((&edited["node"], &edited["backbone"]), (&"changed".into(), &"notOffered".into()));
    let edited = sandbox.run(&["tokens", "edit", id, "--notify", "first", "--data-dir", "d"]).stdout;
    assert!(edited.lines().any(|line| line.starts_with("Node") && line.ends_with("changed")), "{edited}");
    let text = sandbox.run(&["tokens", "show", id, "--data-dir", "d"]).stdout;
    for words in ["docs:plan of /v1", "active", "3 of 3", "for Bob", "GET /v1/tokens/"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let of_protocol = enlace(&["tokens", "create", shown["fileId"].as_str().unwrap()]).json();
    let of_protocol = of_protocol["id"].as_str().unwrap();
    let listed = enlace(&["tokens", "list", "--file", "docs:plan"]).json();
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap()).collect();
    assert!(listed.contains(&id) && listed.contains(&of_protocol), "{listed:?}");

    enlace(&["tokens", "rotate", id]).refused(2, &["/v1", &format!("POST /v1/tokens/{id}/rotate")]);
    enlace(&["tokens", "unlock", id]).refused(2, &["no password"]);
    let revoked = enlace(&["tokens", "revoke", id]).json();
    assert_eq!((&revoked["token"]["status"], &revoked["node"]), (&"revoked".into(), &"revoked".into()));
    assert!(enlace(&["tokens", "show", id]).json()["revokedAt"].is_string());
    let text = sandbox.run(&["tokens", "show", id, "--data-dir", "d"]).stdout;
    assert!(text.contains("Revoked ") && !text.contains("Secret"), "{text}");
    enlace(&["tokens", "edit", id, "--expires-in", "1h"]).refused(2, &["revoked, which cannot be taken back"]);
    assert_eq!(enlace(&["tokens", "prune"]).json()["deleted"], serde_json::json!([id]));
    enlace(&["tokens", "delete", id]).refused(3, &["not found"]);
    enlace(&["tokens", "delete", of_protocol]).json();
}

#[test]
fn tokens_of_v1_are_at_hand_with_a_serving_process_and_without() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let appwrite = Appwrite::of(&serving);
    let bucket = serde_json::json!({ "bucketId": "docs", "name": "Documents" });
    appwrite.post("storage/buckets", |request| request.json(&bucket));
    appwrite.post("storage/buckets/docs/files", |request| {
        let part = reqwest::multipart::Part::text("content").file_name("plan.txt");
        request.multipart(reqwest::multipart::Form::new().text("fileId", "plan").part("file", part))
    });
    let (first, second) = (appwrite.token(), appwrite.token());
    exercise_token_of_v1(&sandbox, &first);
    serving.stop();
    exercise_token_of_v1(&sandbox, &second);
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
fn doctor_finds_nothing_wrong_with_a_new_a_stopped_and_a_serving_node() {
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

/// The lines of a report, by check and verdict, and how it ended.
fn report(sandbox: &Sandbox, args: &[&str]) -> (i32, Vec<(String, String, String)>) {
    let ended = sandbox.run(&[&["doctor", "--data-dir", "d", "--json"], args].concat());
    let found: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let lines = found.iter().map(|it| (text(it, "check"), text(it, "verdict"), text(it, "detail")));
    (ended.code, lines.collect())
}

#[test]
fn doctor_reports_the_usage_of_the_content_store_in_each_state() {
    let sandbox = Sandbox::new();
    sandbox.file("large.bin", vec![7; 1_500_000]);
    let upload = ["files", "upload", "large.bin", "--format", "v2", "--json", "--data-dir", "d"];
    sandbox.run(&[&upload, &PORTS[2..]].concat()).json();
    let usage = |args: &[&str]| {
        let lines = report(&sandbox, args).1;
        lines.into_iter().find(|line| line.0 == "content store").map(|(_, verdict, detail)| (verdict, detail)).unwrap()
    };
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let (verdict, while_serving) = usage(&[]);
    assert!(verdict == "ok" && while_serving.ends_with(" of 1.0 GiB used"), "{while_serving}");
    serving.stop();
    assert_eq!(usage(&[]).1, while_serving);
    assert_eq!(usage(&["--enlace:contentStore:maxSize=0"]).0, "skipped");
}

#[test]
fn doctor_reports_that_no_process_serves_and_which_ports_will_be_taken() {
    let sandbox = Sandbox::new();
    sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat()).stop();
    let remembered: Value = serde_json::from_slice(&std::fs::read(sandbox.path("d/start.json")).unwrap()).unwrap();
    let (code, lines) = report(&sandbox, &[]);
    assert_eq!(code, 0, "{lines:?}");
    let detail = |check: &str| &lines.iter().find(|line| line.0 == check).unwrap().2;
    assert!(detail("process").starts_with("no process serves"), "{lines:?}");
    assert_eq!(*detail("REST port"), format!("127.0.0.1:{} is free", remembered["restPort"]));
    assert_eq!(*detail("backbone port"), format!("127.0.0.1:{} is free", remembered["backbonePort"]));
}

#[test]
fn doctor_checks_before_a_first_start_what_serve_will_check() {
    let sandbox = Sandbox::new();
    let ports = ["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let wrong = |args: &[&str]| -> Vec<(String, String)> {
        let (code, lines) = report(&sandbox, &[args, &ports].concat());
        assert_eq!(code, 1, "{lines:?}");
        lines.into_iter().filter(|line| line.1 == "wrong").map(|line| (line.0, line.2)).collect()
    };
    let found = wrong(&["--client", "enlace-guest:enlace-guest"]);
    assert!(found.len() == 1 && found[0].0 == "OAuth client", "{found:?}");
    let found = wrong(&["--enlace:storeKey:environment=ENLACE_NO_SUCH_KEY"]);
    assert!(found.len() == 1 && found[0].1.contains("ENLACE_NO_SUCH_KEY"), "{found:?}");
    // Nobody is asked: the address is for documentation.
    let found = wrong(&["--backbone", "http://192.0.2.1:1"]);
    assert!(found.len() == 1 && found[0].1.contains("--allow-plain-http"), "{found:?}");
    assert!(!sandbox.path("d/store.key").exists(), "nothing was started");
}

#[test]
fn doctor_reports_each_fault_in_one_line_and_continues() {
    let sandbox = Sandbox::new();
    sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat()).stop();
    let remembered: Value = serde_json::from_slice(&std::fs::read(sandbox.path("d/start.json")).unwrap()).unwrap();
    let port = |name: &str| u16::try_from(remembered[name].as_u64().unwrap()).unwrap();
    let wrong = |args: &[&str]| -> Vec<(String, String)> {
        let (code, lines) = report(&sandbox, args);
        let wrong: Vec<_> = lines.iter().filter(|line| line.1 == "wrong").collect();
        assert!(code == 1 && lines.iter().any(|line| line.0 == "REST port" || line.0 == "configuration"), "{lines:?}");
        wrong.into_iter().map(|line| (line.0.clone(), line.2.clone())).collect()
    };
    let squatter = std::net::TcpListener::bind(("127.0.0.1", port("backbonePort"))).unwrap();
    let found = wrong(&[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains(&format!("127.0.0.1:{}", port("backbonePort"))), "{found:?}");
    drop(squatter);
    let found = wrong(&["--infrastructure:httpServer:apiKey=weak"]);
    assert!(found.len() == 1 && found[0].0 == "API keys" && found[0].1.contains("too weak"), "{found:?}");
    let found = wrong(&["--backbone", "https://b.example.org"]);
    assert!(found.len() == 1 && found[0].0 == "backbone", "{found:?}");
    assert!(found[0].1.contains("is not the backbone of the identity") && found[0].1.contains("--change-backbone"));
    let found = wrong(&["--client", "enlace-guest:enlace-guest"]);
    assert!(found.len() == 1 && found[0].0 == "OAuth client" && found[0].1.contains("public client"), "{found:?}");
    let found = wrong(&["--enlace:lisen=1", "--modules:sync:enabled=maybe"]);
    assert!(found.len() == 2 && found.iter().all(|line| line.0 == "configuration"), "{found:?}");
}

#[test]
fn doctor_reports_a_backbone_that_does_not_answer_in_one_line() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let url = backbone.text("/url").to_owned();
    sandbox.serve(&["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone", &url]).stop();
    backbone.stop();
    let (code, lines) = report(&sandbox, &[]);
    let wrong: Vec<_> = lines.iter().filter(|line| line.1 == "wrong").collect();
    assert!(code == 1 && wrong.len() == 1 && wrong[0].0 == "backbone", "{lines:?}");
    assert!(lines.iter().any(|line| line.0 == "store" && line.1 == "ok"), "{lines:?}");
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
    assert_eq!(ended.stdout.matches("chmod").count(), 1, "{ended:?}");
    sandbox.run(&["serve", "--data-dir", "d"]).refused(7, &["api-key", "chmod 0600"]);
}
