//! What the program says of peers.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, Serving, bytes};

const SERVE: [&str; 7] = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];

#[test]
fn peers_are_asked_of_the_process_that_serves() {
    let sandbox = Sandbox::new();
    let peers = ["peers", "--data-dir", "d", "--json"];
    sandbox.run(&peers).refused(5, &["no process serves the data directory", "enlace serve", "enlace share"]);
    let serving = sandbox.serve(&SERVE);
    assert_eq!(serving.line["peer"], Value::Null);
    assert_eq!(sandbox.run(&peers).json(), json!({"peers": [], "self": null}));
    let ended = sandbox.run(&peers[..3]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "no peer is connected\n"), "{ended:?}");
    assert!(ended.stderr.contains("--no-direct"), "{ended:?}");
    let doctor = sandbox.run(&["doctor", "--data-dir", "d"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("they are switched off"), "{doctor:?}");
    serving.stop();
}

#[test]
fn options_of_peers_that_contradict_each_other_are_refused() {
    let sandbox = Sandbox::new();
    let listen = ["--peer-listen", "/ip4/127.0.0.1/tcp/0"];
    for (args, words) in [
        (vec!["share", "x", "--local", listen[0], listen[1]], "--local"),
        (vec!["serve", "--no-direct", listen[0], listen[1]], "--no-direct"),
        (vec!["receive", "x", "--peer-listen", "127.0.0.1:80"], "such as /ip4/0.0.0.0/tcp/4712"),
    ] {
        sandbox.run(&args).refused(2, &[words]);
    }
}

#[test]
fn the_configuration_shows_what_options_of_peers_stand_for() {
    let sandbox = Sandbox::new();
    let shown = |args: &[&str]| {
        let printed = sandbox.run(&[&["serve", "--print-config", "--json"], args].concat());
        printed.json()["enlace"]["peers"].clone()
    };
    let options = ["--peer-listen", "/ip6/::1/udp/0/quic-v1", "--peer-listen", "/ip4/127.0.0.1/tcp/4712"];
    let peers = shown(&[&options[..], &["--no-mdns", "--no-dht", "--no-relay"]].concat());
    assert_eq!(peers["listen"], json!(["/ip6/::1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/4712"]));
    // Over the variable that switches them off in these tests.
    assert_eq!([&peers["enabled"], &peers["mdns"], &peers["relaying"]], [true, false, false]);
    assert_eq!(peers["dht"]["protocol"], "");
    assert_eq!(shown(&["--no-direct"])["enabled"], false);
}

const LISTEN: [&str; 2] = ["--peer-listen", "/ip4/127.0.0.1/tcp/0"];

/// A reference as another machine sees it: nobody is at the address of its backbone.
fn from_elsewhere(shared: &Serving) -> String {
    let (reference, backbone) = (shared.text("/reference"), shared.text("/backbone/url"));
    assert!(reference.starts_with(backbone), "{reference}");
    reference.replacen(backbone, "http://localhost:1", 1)
}

fn path_of(received: &Value) -> &str {
    received["path"].as_str().unwrap_or_else(|| panic!("no path in {received}"))
}

/// The address of a node with its peer id.
fn address_of(shared: &Serving) -> String {
    format!("{}/p2p/{}", shared.text("/peer/addresses/0"), shared.text("/peer/id"))
}

#[test]
fn a_file_comes_directly_and_the_scripts_of_both_sides_learn_how() {
    let sandbox = Sandbox::with_peers();
    let content = bytes(3 << 20);
    let file = sandbox.file("a.bin", &content);
    let shared = sandbox.share(&file, &[&LISTEN[..], &["--format", "v2"]].concat());
    assert!(shared.text("/peer/id").starts_with("12D3KooW"));
    assert!(shared.text("/peer/addresses/0").starts_with("/ip4/127.0.0.1/tcp/"), "{}", shared.line);
    assert!(shared.text("/reference").contains("direct=") && !shared.reference().contains("direct="));
    // At the backbone on this machine with the direct path beside it, and where the backbone is somewhere else.
    let here = sandbox.receive(shared.text("/reference"), &["--output", "here"]).json();
    let elsewhere = from_elsewhere(&shared);
    let there = sandbox.run(&["receive", &elsewhere, "--data-dir", "other", "--output", "there", "--json"]).json();
    for (received, name) in [(&here, "here"), (&there, "there")] {
        assert_eq!((path_of(received), &received["paths"]), ("lan", &Value::Null), "{received}");
        assert!(std::fs::read(sandbox.path(name)).unwrap() == content);
    }
    // A reference to the file leads to a backbone that has it, or there is none.
    assert!(here["file"]["reference"]["url"].is_string() && there["file"]["id"].is_string());
    assert_eq!((&there["file"]["reference"], &there["file"]["truncatedReference"]), (&Value::Null, &Value::Null));
    let who = sandbox.run(&["identity", "--receiver", "--data-dir", "other", "--json"]).json();
    assert_eq!((who["address"].is_string(), &who["backbone"]["url"]), (true, &Value::Null));
    // Without peers it comes from the backbone, or not at all.
    let plain = ["receive", shared.text("/reference"), "--data-dir", "plain", "--no-direct", "--json", "--output"];
    assert_eq!(path_of(&sandbox.run(&[&plain[..], &["plain1"]].concat()).json()), "backbone");
    let gone = sandbox.run(&["receive", &elsewhere, "--data-dir", "third", "--no-direct", "--output", "x"]);
    gone.refused(5, &["cannot be reached"]);
    shared.kill();
    let gone = sandbox.run(&["receive", &elsewhere, "--data-dir", "other", "--output", "x"]);
    gone.refused(5, &["the node that shares it cannot be reached directly", "still running", "firewall"]);
    assert!(!sandbox.path("x").exists());
}

#[test]
fn a_port_for_peers_that_is_taken_is_named_with_the_next_step() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", other.local_addr().unwrap().port());
    for command in [&["share", &file][..], &["serve"]] {
        let args = [command, &SERVE[1..], &["--peer-listen", &address]].concat();
        sandbox.run(&args).refused(5, &[&format!("cannot listen on {address} for peers"), "--peer-listen"]);
    }
}

#[test]
fn a_reference_of_the_token_commands_can_be_used_on_other_machines() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let serving = sandbox.serve(&[&SERVE[..], &LISTEN].concat());
    let run = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat()).json();
    let uploaded = run(&["files", "upload", &file]);
    let created = run(&["tokens", "create", uploaded["id"].as_str().unwrap()]);
    let (id, backbone) = (created["id"].as_str().unwrap(), serving.text("/backbone/url"));
    let receive = |token: &Value, output: &str| {
        let reference = token["directReference"].as_str().unwrap_or_else(|| panic!("no reference in {token}"));
        let elsewhere = reference.replacen(backbone, "http://localhost:1", 1);
        let args = ["receive", &elsewhere, "--data-dir", "other", "--output", output, "--json"];
        assert_eq!(path_of(&sandbox.run(&args).json()), "lan");
    };
    receive(&created, "created");
    receive(&run(&["tokens", "show", id]), "shown");
    let rotated = run(&["tokens", "rotate", id]);
    receive(&rotated["token"], "rotated");
    // The text has it in place of the plain one, which says for whom it is.
    let id = rotated["token"]["id"].as_str().unwrap();
    let shown = sandbox.run(&["tokens", "show", id, "--data-dir", "d"]);
    assert!(shown.stdout.contains("direct=") && !shown.stdout.contains("Truncated"), "{shown:?}");
    let plain = created["reference"]["url"].as_str().unwrap().replacen(backbone, "http://localhost:1", 1);
    let refused = sandbox.run(&["receive", &plain, "--data-dir", "third", "--output", "x"]);
    refused.refused(5, &["works on the sender's machine only", "enlace tokens show ID"]);
    serving.stop();
}

#[test]
fn a_direct_share_whose_file_has_changed_says_so_on_both_sides_soon() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.bin", bytes(3 << 20));
    let shared = sandbox.share(&file, &[&LISTEN[..], &["--direct-only"]].concat());
    let reference = from_elsewhere(&shared);
    std::fs::write(&file, "another content").unwrap();
    let begun = std::time::Instant::now();
    for output in ["first", "second"] {
        let ended = sandbox.receive(&reference, &["--output", output]);
        ended.refused(5, &["may have changed or be gone", "share it again"]);
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let told = shared.stop().stderr;
    assert_eq!(told.matches("a.bin has changed or is gone").count(), 1, "{told}");
    assert!(!told.contains("WARN"), "{told}");
}

#[test]
fn a_file_that_is_at_no_backbone_is_shared_until_the_command_ends() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let password = sandbox.file("password", "correct horse\n");
    let options = [&LISTEN[..], &["--direct-only", "--password-file", &password]].concat();
    let shared = sandbox.share(&file, &options);
    assert_eq!((shared.text("/file/filename"), shared.text("/file/format")), ("a.txt", "v2"));
    let reference = from_elsewhere(&shared);
    let receive = |more: &[&str]| sandbox.receive(&reference, &[&["--output", "b.txt"], more].concat());
    receive(&[]).refused(4, &["password"]);
    let received = receive(&["--password-file", &password]).json();
    assert_eq!(
        (path_of(&received), std::fs::read_to_string(sandbox.path("b.txt")).unwrap()),
        ("lan", "hello".to_owned())
    );
    let listed = sandbox.run(&["files", "list", "--data-dir", "sender", "--json"]).json();
    assert_eq!(listed, json!([]));
    shared.stop();
    std::fs::remove_file(sandbox.path("b.txt")).unwrap();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "sender", "--listen", "127.0.0.1:0"], &LISTEN[..]].concat());
    assert_ne!(receive(&["--password-file", &password]).code, 0);
    assert!(!sandbox.path("b.txt").exists());
    serving.stop();
}

#[test]
fn what_cannot_be_shared_directly_is_refused_with_the_next_step() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let share = |args: &[&str]| sandbox.run(&[&["share", "--data-dir", "d", "--listen", "127.0.0.1:0"], args].concat());
    share(&["-", "--direct-only"]).refused(2, &["only files on this machine", "omit --direct-only"]);
    share(&[&file, "--direct-only", "--format", "v1"]).refused(2, &["format v1", "omit --format v1"]);
    share(&[&file, "--direct-only", "--early"]).refused(2, &["--early"]);
    share(&[&file, "--code", "--local"]).refused(2, &["--local"]);
    share(&[&file, "--code", "--no-direct"]).refused(2, &["--no-direct"]);
    share(&[&file, "--code", "--enlace:peers:listen=[]", "--no-relay"])
        .refused(2, &["no other node can reach this one", "enlace doctor"]);
    share(&[&file, "--code", "--enlace:peers:enabled=false"])
        .refused(2, &["peers are switched off", "enlace.peers.enabled"]);
    let serve =
        ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0", "--no-direct"];
    let serving = sandbox.serve(&serve);
    let told = ["switched off in the running process", &format!("stop process {}", serving.pid())];
    for option in ["--code", "--direct-only"] {
        sandbox.run(&["share", &file, "--data-dir", "d", option]).refused(4, &told);
    }
    for options in [&["--local"][..], &LISTEN, &["--no-mdns"], &["--no-dht"], &["--no-relay"], &["--no-direct"]] {
        let told = format!("{} has no effect on the running process {}", options[0], serving.pid());
        let args = [&["share", &file, "--data-dir", "d"], options].concat();
        sandbox.run(&args).refused(4, &[&told, "stop that process", "omit the option"]);
    }
    // A reference through that process is the plain one.
    let shared = sandbox.run(&["share", &file, "--data-dir", "d", "--json"]).json();
    assert_eq!((&shared["peer"], &shared["reference"]), (&Value::Null, &shared["token"]["reference"]["url"]));
}

#[test]
fn a_code_passes_a_reference_on_once_with_the_same_fingerprint_on_both_sides() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &[&LISTEN[..], &["--code", "--no-mdns"]].concat());
    let (code, address) = (shared.text("/code").to_owned(), address_of(&shared));
    assert!(shared.text("/codeExpiresAt").ends_with('Z'), "{}", shared.line);
    let unreachable = ["receive", &code, "--backbone", "http://localhost:1", "--data-dir", "receiver", "--no-mdns"];
    sandbox.run(&unreachable).refused(5, &["cannot be reached", "http://localhost:1", "omit --backbone"]);
    let receive = |code: &str, output: &str| {
        let args =
            ["receive", code, "--data-dir", "receiver", "--no-mdns", "--peer-address", &address, "--output", output];
        sandbox.run(&[&args[..], &["--json"]].concat())
    };
    let received = receive(&code, "b.txt").json();
    assert_eq!(
        (path_of(&received), std::fs::read_to_string(sandbox.path("b.txt")).unwrap()),
        ("lan", "hello".to_owned())
    );
    receive(&code, "c.txt").refused(3, &["nobody offers this code"]);
    let told = shared.stop().stderr;
    for warning in ["on this machine only", "does not find this node by the code"] {
        assert!(told.contains(warning), "{warning} in {told}");
    }
    let line = format!(r#"{{"code":{{"end":"taken","fingerprint":{}}}}}"#, received["fingerprint"]);
    assert!(told.lines().any(|said| said == line), "{line} in {told}");
}

#[test]
fn a_wrong_code_ends_the_code_and_says_so() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &[&LISTEN[..], &["--code", "--no-mdns"]].concat());
    let (number, words) = shared.text("/code").split_once('-').unwrap();
    let wrong = format!("{number}-{}", if words == "amber-violin" { "violin-amber" } else { "amber-violin" });
    let address = address_of(&shared);
    let receive = |code: &str| {
        let args =
            ["receive", code, "--data-dir", "receiver", "--no-mdns", "--peer-address", &address, "--output", "b"];
        sandbox.run(&args)
    };
    receive(&wrong).refused(4, &["the code is wrong", "ask for a new one"]);
    let right = shared.text("/code").to_owned();
    receive(&right).refused(3, &["nobody offers this code"]);
    let misplaced = ["receive", shared.text("/reference"), "--peer-address", &address];
    sandbox.run(&misplaced).refused(2, &["--peer-address is for codes only"]);
    let (without_id, _) = address.rsplit_once("/p2p/").unwrap();
    for text in [without_id.to_owned(), format!("{address}/p2p-circuit"), format!("{without_id}/p2p/")] {
        let told = sandbox.run(&["receive", &right, "--peer-address", &text]);
        told.refused(2, &["--peer-address", "does not end in /p2p/", "prints it as peer.id"]);
    }
    receive("7-amber").refused(2, &["7-amber-violin"]);
    let mistyped = receive("7-ambre-violin");
    mistyped.refused(2, &["ambre is not a word of codes", "the nearest word is amber"]);
    assert!(!mistyped.stderr.contains("looking for the sender"), "{mistyped:?}");
    let told = shared.stop().stderr;
    assert!(told.contains(r#"{"code":{"end":"burned"}}"#) && told.contains("for a new code"), "{told}");
}

#[test]
fn the_peers_of_a_node_are_shown_while_they_are_connected() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &LISTEN);
    let at = ["--backbone", shared.text("/backbone/url"), "--listen", "127.0.0.1:0"];
    let serving = sandbox.serve(&[&["serve", "--data-dir", "receiver"], &at[..], &LISTEN[..]].concat());
    assert!(serving.text("/peer/addresses/0").starts_with("/ip4/127.0.0.1/tcp/"), "{}", serving.line);
    // The process that serves loads the file, and its connection stays.
    let received = sandbox.receive(shared.text("/reference"), &["--output", "b.txt"]).json();
    assert_eq!(path_of(&received), "lan");
    let who = sandbox.run(&["identity", "--data-dir", "receiver", "--json"]).json();
    let peers = sandbox.run(&["peers", "--data-dir", "sender", "--json"]).json();
    assert_eq!(peers["peers"].as_array().unwrap().len(), 1, "{peers}");
    let peer = &peers["peers"][0];
    assert_eq!([&peer["address"], &peer["device"]], [&who["address"], &who["deviceId"]]);
    assert_eq!((&peer["path"], &peer["isInbound"]), (&json!("lan"), &json!(true)));
    assert!(peer["sent"].as_u64().unwrap() > 0 && peer["received"].as_u64().unwrap() > 0, "{peer}");
    assert_eq!(peers["self"]["id"], shared.line["peer"]["id"]);
    let table = sandbox.run(&["peers", "--data-dir", "sender"]).stdout;
    assert!(table.contains(who["address"].as_str().unwrap()) && table.contains("direct (lan)"), "{table}");
    let doctor = sandbox.run(&["doctor", "--data-dir", "sender"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    for check in ["peer addresses", "/ip4/127.0.0.1/tcp/", "NAT", "relay", "mDNS", "certificate"] {
        assert!(doctor.stdout.contains(check), "{check} in {doctor:?}");
    }
}

#[test]
fn a_node_comes_back_at_the_same_addresses() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.txt", "hello");
    let addresses = || {
        let shared = sandbox.share(&file, &["--local"]);
        let addresses = shared.line["peer"]["addresses"].clone();
        shared.stop();
        addresses
    };
    let first = addresses();
    let is_here = |text: &str| text.starts_with("/ip4/127.0.0.1/") || text.starts_with("/ip6/::1/");
    assert!(first.as_array().unwrap().iter().all(|text| is_here(text.as_str().unwrap())), "{first}");
    assert!(first.as_array().unwrap().len() >= 2, "{first}");
    // Another test may take a port while no node has it; the next start then has others.
    let mut last = first;
    let keeps_them = (0..3).any(|_| {
        let before = std::mem::replace(&mut last, addresses());
        before == last
    });
    assert!(keeps_them, "{last}");
}
