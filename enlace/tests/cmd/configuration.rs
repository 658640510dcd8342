//! Sources of configuration, seen from outside.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::sandbox::{Ended, Sandbox};

fn print_config(sandbox: &Sandbox, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = sandbox.command(&[&["serve", "--print-config", "--json"], args].concat());
    command.envs(environment.iter().copied());
    Ended::from(command.output().unwrap())
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file_beats_the_defaults() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("config.json", r#"{"modules": {"sync": {"interval": 1, "enabled": true}}}"#);
    let sync = |args: &[&str], environment: &[(&str, &str)]| {
        let args = [&["--config", &file], args].concat();
        print_config(&sandbox, &args, environment).json()["modules"]["sync"].clone()
    };
    assert_eq!(sync(&[], &[]), json!({"enabled": true, "interval": 1}));
    let environment = [("modules__sync__interval", "2"), ("SYNC_ENABLED", "false")];
    assert_eq!(sync(&[], &environment), json!({"enabled": false, "interval": 2}));
    assert_eq!(sync(&["--modules:sync:interval=3"], &environment), json!({"enabled": false, "interval": 3}));
}

#[test]
fn another_file_can_be_named_in_both_ways() {
    let sandbox = Sandbox::new();
    sandbox.file("other.json", r#"{"enlace": {"listen": "127.0.0.1:7"}}"#);
    let listen = |ended: Ended| ended.json()["enlace"]["listen"].clone();
    assert_eq!(listen(print_config(&sandbox, &["--config", "other.json"], &[])), "127.0.0.1:7");
    assert_eq!(listen(print_config(&sandbox, &[], &[("CUSTOM_CONFIG_LOCATION", "other.json")])), "127.0.0.1:7");
    print_config(&sandbox, &["--config", "missing.json"], &[]).refused(2, &["missing.json"]);
}

#[test]
fn a_file_in_the_working_directory_is_not_read_but_reported() {
    let sandbox = Sandbox::new();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let url = format!("http://localhost:{}", stranger.local_addr().unwrap().port());
    sandbox.file("config.json", format!(r#"{{"transportLibrary": {{"baseUrl": "{url}"}}}}"#));
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let serving = sandbox.serve(&serve);
    assert_ne!(serving.text("/backbone/url"), url);
    assert!(serving.line.get("configurationFile").is_none());
    let talk = serving.stop().stderr;
    let warning: Value = serde_json::from_str(talk.lines().next().unwrap()).unwrap();
    assert_eq!(warning["warning"]["message"], "config.json in this directory is not read");
    assert!(warning["warning"]["hint"].as_str().unwrap().contains("--config config.json"));
    assert!(stranger.accept().is_err(), "the stranger was asked");
    for args in [["files", "list"], ["tokens", "list"]] {
        sandbox.run(&[&args[..], &["--data-dir", "d", "--json"]].concat()).json();
    }
    sandbox.file("config.json", "not even JSON");
    sandbox.serve(&serve).stop();
}

#[test]
fn the_file_that_was_read_is_named() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("sub/other.json", r#"{"modules": {"sync": {"interval": 7}}}"#);
    let told = std::path::Path::new(&file).canonicalize().unwrap().display().to_string();
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let serving = sandbox.serve(&[&serve[..], &["--config", "sub/other.json"]].concat());
    assert_eq!(serving.text("/configurationFile"), told);
    serving.stop();
    let listed = sandbox.run(&["files", "list", "--data-dir", "d", "--config", "sub/other.json"]);
    assert!(listed.stderr.contains(&format!("configuration from {told}")), "{listed:?}");
    let scripted = sandbox.run(&["files", "list", "--data-dir", "d", "--config", "sub/other.json", "--json"]);
    let line: serde_json::Value = serde_json::from_str(scripted.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(line, serde_json::json!({"configurationFile": told}));
    let doctor = sandbox.run(&["doctor", "--data-dir", "d", "--config", "sub/other.json"]);
    assert!(doctor.stdout.contains(&told), "{doctor:?}");
}

#[test]
fn secrets_are_masked_wherever_they_come_from() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("config.json", r#"{"infrastructure": {"httpServer": {"apiKey": "planted-1"}}}"#);
    let environment = [("PLATFORM_CLIENT_SECRET", "planted-2"), ("PLATFORM_CLIENT_ID", "visible")];
    let key = "--infrastructure:httpServer:authentication:apiKey:keys:a:key=planted-3";
    let ended = print_config(&sandbox, &["--config", &file, key], &environment);
    let value: Value = ended.json();
    assert!(!ended.stdout.contains("planted"), "{}", ended.stdout);
    assert_eq!(value["transportLibrary"]["platformClientSecret"], "***");
    assert_eq!(value["transportLibrary"]["platformClientId"], "visible");
    let option = print_config(&sandbox, &["--client", "visible:planted-4"], &[]);
    assert!(!option.stdout.contains("planted"), "{}", option.stdout);
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
    let sandbox = Sandbox::new();
    sandbox.file("config.json", r#"{"transportLibrary": {"baseURL": "x"}}"#);
    print_config(&sandbox, &["--config", "config.json"], &[])
        .refused(2, &["transportLibrary.baseURL", "config.json", "transportLibrary.baseUrl"]);
    let sandbox = Sandbox::new();
    print_config(&sandbox, &["--enlace:lisen=1"], &[]).refused(2, &["given with --enlace:lisen", "enlace.listen"]);
    print_config(&sandbox, &[], &[("enlace__lisen", "1")])
        .refused(2, &["in the environment variable enlace__lisen", "enlace.listen"]);
}

#[test]
fn a_key_from_the_configuration_opens_the_interface() {
    let sandbox = Sandbox::new();
    let key = "A-Good-Key-With-1234-Enough-Characters";
    sandbox.file("config.json", json!({"infrastructure": {"httpServer": {"apiKey": key}}}).to_string());
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let serving = sandbox.serve(&[&serve[..], &["--config", "config.json"]].concat());
    let key_file = sandbox.file("key", key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let args = ["identity", "--data-dir", "d", "--json", &format!("--enlace:apiKeyFile={key_file}")];
    assert_eq!(sandbox.run(&args).json()["address"], serving.text("/identity/address"));
    serving.stop();
}

#[test]
fn a_weak_key_is_refused() {
    let sandbox = Sandbox::new();
    let args = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let ended = sandbox.run(&[&args[..], &["--infrastructure:httpServer:apiKey=weak"]].concat());
    ended.refused(2, &["given with --infrastructure:httpServer:apiKey", "too weak", "30 characters"]);
    let keys = json!({"a": {"key": "weak"}});
    let file = json!({"infrastructure": {"httpServer": {"authentication": {"apiKey": {"keys": keys}}}}});
    sandbox.file("config.json", file.to_string());
    let ended = sandbox.run(&[&args[..], &["--config", "config.json"]].concat());
    ended.refused(2, &["apiKey.keys.a.key in config.json", "too weak", "30 characters"]);
    sandbox.file("d/api-key", "weak");
    sandbox.run(&args).refused(2, &["d/api-key", "too weak"]);
}

#[test]
fn keys_of_appwrite_are_strong_and_have_scopes_that_exist() {
    let sandbox = Sandbox::new();
    let refused = |key: &str, scopes: &str, words: &[&str]| {
        let keys = json!({"a": {"key": key, "scopes": [scopes]}});
        sandbox.file("config.json", json!({"enlace": {"appwrite": {"keys": keys}}}).to_string());
        let args = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
        sandbox.run(&[&args[..], &["--config", "config.json"]].concat()).refused(2, words);
    };
    let place = "enlace.appwrite.keys.a.key in config.json";
    refused("weak", "files.read", &[place, "too weak", "30 characters"]);
    let scopes = "enlace.appwrite.keys.a.scopes in config.json";
    refused(
        "This_is_a_test_APIKEY_with_30_chars+",
        "core:files",
        &[scopes, "there is no scope 'core:files'", "files.read"],
    );
    refused("weak", "core:files", &[place, "too weak", scopes, "there is no scope"]);
}

#[test]
fn a_refused_value_is_reported_with_its_source() {
    let sandbox = Sandbox::new();
    sandbox.file("c.json", r#"{"transportLibrary": {"baseUrl": "ftp://x"}, "enlace": {"listen": "here"}}"#);
    let refused = |args: &[&str], environment: &[(&str, &str)], words: &[&str]| {
        print_config(&sandbox, args, environment).refused(2, words);
    };
    refused(&["--config", "c.json"], &[], &["transportLibrary.baseUrl in c.json: ", "enlace.listen in c.json: "]);
    let url = "key transportLibrary.baseUrl";
    refused(&["--backbone", "ftp://x"], &[], &[&format!("{url} given with --backbone: ")]);
    let of_variable = |name: &str| format!("{url} in the environment variable {name}: ");
    for name in ["ENLACE_BACKBONE", "transportLibrary__baseUrl"] {
        refused(&[], &[(name, "ftp://x")], &[&of_variable(name)]);
    }
    // The strongest source is the one that counts.
    refused(&["--config", "c.json"], &[("ENLACE_BACKBONE", "ftp://y")], &[&of_variable("ENLACE_BACKBONE"), "ftp://y"]);
    let half = [("PLATFORM_CLIENT_ID", "x")];
    refused(&[], &half, &["platformClientId in the environment variable PLATFORM_CLIENT_ID: ", "platformClientSecret"]);
    refused(&["--client", "nocolon"], &[], &["--client", "ID:SECRET"]);
    refused(&[], &[("ENLACE_CLIENT", "nocolon")], &["ENLACE_CLIENT", "ID:SECRET"]);
    sandbox.file("client.txt", "nocolon");
    refused(&["--client-file", "client.txt"], &[], &["client.txt", "ID:SECRET"]);
}

#[test]
fn all_refused_keys_are_reported_at_once() {
    let sandbox = Sandbox::new();
    sandbox.file("c.json", r#"{"database": {"dbName": "x"}, "transportLibrary": {"baseURL": "x"}}"#);
    let keys = [
        "database.dbName in c.json",
        "transportLibrary.baseURL in c.json",
        "modules.sync.enabled in the environment variable SYNC_ENABLED",
    ];
    let environment = [("SYNC_ENABLED", "perhaps"), ("database__driver", "lokijs")];
    let text = print_config_as_text(&sandbox, &["--config", "c.json"], &environment);
    text.refused(2, &keys);
    text.refused(2, &["database.driver in the environment variable database__driver"]);
    assert_eq!(text.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 4, "{text:?}");
    print_config(&sandbox, &["--config", "c.json"], &environment).refused(2, &keys);
}

#[test]
fn empty_variables_count_as_not_set() {
    let sandbox = Sandbox::new();
    let names =
        ["ENLACE_DATA_DIR", "ENLACE_BACKBONE", "ENLACE_CLIENT", "CUSTOM_CONFIG_LOCATION", "transportLibrary__baseUrl"];
    let empty = names.map(|name| (name, ""));
    let value = print_config(&sandbox, &[], &empty).json();
    assert_eq!(value, print_config(&sandbox, &[], &[]).json());
}

fn print_config_as_text(sandbox: &Sandbox, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = sandbox.command(&[&["serve", "--print-config"], args].concat());
    command.envs(environment.iter().copied());
    Ended::from(command.output().unwrap())
}

#[test]
fn only_pages_of_the_allowed_origins_may_call_the_rest_interface() {
    let sandbox = Sandbox::new();
    let option = r#"--enlace:allowedOrigins=["https://app.example.org"]"#;
    let args = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0", option];
    let serving = sandbox.serve(&args);
    let head_of_answer = |origin: &str| {
        let mut connection = TcpStream::connect(serving.text("/rest/listen")).unwrap();
        write!(connection, "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer.to_lowercase()
    };
    let allowed = head_of_answer("https://app.example.org");
    assert!(allowed.starts_with("http/1.1 200"), "{allowed}");
    assert!(allowed.contains("access-control-allow-origin: https://app.example.org"), "{allowed}");
    for origin in ["https://other.example.org", "http://app.example.org", "https://app.example.org:8443", "null"] {
        let refused = head_of_answer(origin);
        assert!(refused.starts_with("http/1.1 403") && !refused.contains("access-control"), "{refused}");
    }
    serving.stop();
    sandbox
        .run(&["serve", "--data-dir", "d", "--enlace:allowedOrigins=[\"*\"]"])
        .refused(2, &["enlace.allowedOrigins"]);
}
