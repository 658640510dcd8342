//! References that can be used so many times.

use std::process::Stdio;
use std::time::{Duration, Instant};

use backbone_mock::fault::{Fault, Faults, Gate, Matching};
use backbone_mock::{Backbone, OAuthClient};
use serde_json::{Value, json};

use crate::sandbox::{Ended, Sandbox, bytes, files_below};

const MIB: usize = 1 << 20;

#[test]
fn a_receiver_of_a_used_up_reference_is_told_so_and_whoever_has_it_may_fetch_it_again() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &["--max-downloads", "1", "--label", "for Bob"]);
    assert_eq!((&shared.line["token"]["maxDownloads"], &shared.line["token"]["label"]), (&json!(1), &json!("for Bob")));
    for output in ["b.txt", "c.txt"] {
        sandbox.receive(shared.reference(), &["--output", output]).json();
        assert_eq!(std::fs::read_to_string(sandbox.path(output)).unwrap(), "hello");
    }
    let other = ["receive", shared.reference(), "--data-dir", "other", "--output", "d.txt"];
    sandbox.run(&other).refused(4, &["used as often as the sender allowed", "--max-downloads"]);
    sandbox.run(&["tokens", "edit", shared.text("/token/id"), "--max-downloads", "none", "--data-dir", "sender"]);
    assert_eq!(sandbox.run(&other).code, 0);
}

#[test]
fn share_says_when_the_file_is_fetched_and_ends_with_the_last_use() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let shared = sandbox.share(&file, &["--max-downloads", "1", "--notify"]);
    let token = shared.text("/token/id").to_owned();
    sandbox.receive(shared.reference(), &["--output", "b.txt"]).json();
    let ended = shared.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    let told: Vec<Value> = ended.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let used = json!({ "event": "used", "token": token, "uses": 1, "maxDownloads": 1 });
    let end = json!({ "event": "end", "token": token, "status": "exhausted" });
    assert!(told.contains(&used) && told.last() == Some(&end), "{ended:?}");
}

/// What `share --notify` has told of this kind.
fn told(ended: &Ended, event: &str) -> Vec<Value> {
    let told = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    told.filter(|told| told["event"] == event).collect()
}

const DIRECTLY: [&str; 6] =
    ["--peer-listen", "/ip4/127.0.0.1/tcp/0", "--direct-only", "--notify", "--max-downloads", "1"];

#[test]
fn share_without_a_backbone_says_when_the_file_is_loaded_and_ends_with_the_last_use() {
    for content in [b"hello".to_vec(), bytes(3 * MIB + 5)] {
        let sandbox = Sandbox::with_peers();
        let file = sandbox.file("a.bin", &content);
        let shared = sandbox.share(&file, &DIRECTLY);
        let token = shared.text("/token/id").to_owned();
        let received = sandbox.receive(shared.text("/reference"), &["--output", "b.bin"]).json();
        assert_eq!(received["path"], json!("lan"));
        let ended = shared.ended();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!((told(&ended, "used").len(), told(&ended, "end").len()), (1, 1), "{ended:?}");
        let [sent] = &told(&ended, "sent")[..] else { panic!("{ended:?}") };
        assert_eq!((&sent["token"], &sent["bytes"]), (&json!(token), &json!(content.len())), "{ended:?}");
    }
}

#[test]
fn a_receiver_that_is_killed_was_not_sent_the_file_until_it_has_gone_on() {
    let sandbox = Sandbox::with_peers();
    let file = sandbox.file("a.bin", "");
    // Large enough that the receiver does not have it before it is looked at.
    const SIZE: u64 = 256 << 20;
    std::fs::File::options().write(true).open(&file).unwrap().set_len(SIZE).unwrap();
    std::fs::create_dir(sandbox.path("out")).unwrap();
    for goes_on in [false, true] {
        let shared = sandbox.share(&file, &DIRECTLY);
        let reference = shared.text("/reference").to_owned();
        let args = ["receive", &reference, "--data-dir", "receiver", "--json", "--output", "out"];
        let mut receiver = sandbox.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while !files_below(&sandbox.path("out")).iter().any(|partial| partial.metadata().unwrap().len() > MIB as u64) {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing arrived");
            std::thread::sleep(Duration::from_millis(5)); // another process is awaited, no clock can be injected there
        }
        receiver.kill().unwrap();
        receiver.wait().unwrap();
        assert!(!sandbox.path("out/a.bin").exists(), "killed too late");
        if goes_on {
            let received = sandbox.receive(&reference, &["--output", "out"]).json();
            assert!(received["resumed"].as_u64() > Some(0), "{received}");
            let sent = told(&shared.ended(), "sent");
            assert_eq!(sent.iter().map(|sent| &sent["bytes"]).collect::<Vec<_>>(), [&json!(SIZE)]);
        } else {
            assert_eq!(told(&shared.stop(), "sent"), [] as [Value; 0]);
            files_below(&sandbox.path("out")).iter().for_each(|partial| std::fs::remove_file(partial).unwrap());
        }
    }
}

#[test]
fn terms_that_cannot_be_are_refused_before_anything_is_shared() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let long = "x".repeat(129);
    for (options, word) in [
        (&["--max-downloads", "0"][..], "1000000"),
        (&["--max-downloads", "1000001"], "1000000"),
        (&["--label", &long], "128"),
        (&["--not-before", "2100-01-01", "--expires-in", "1d"], "--not-before"),
        (&["--notify", "--ephemeral"], "--ephemeral"),
    ] {
        let args = [&["share", &file, "--data-dir", "d"], options].concat();
        sandbox.run(&args).refused(2, &[word]);
    }
    assert!(!sandbox.path("d").exists());
}

async fn backbone_with(sandbox: &Sandbox, faults: &Faults) -> Backbone {
    let mut config = backbone_mock::Config::new(sandbox.path("backbone"));
    config.clients.push(OAuthClient::guest("enlace-guest", "enlace-guest"));
    config.faults = Some(faults.clone());
    Backbone::start(config).await.unwrap()
}

#[test]
fn a_change_of_a_label_asks_the_backbone_for_nothing() {
    let sandbox = Sandbox::new();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let faults = Faults::new();
    let backbone = threads.block_on(backbone_with(&sandbox, &faults));
    let content = sandbox.file("a.json", "{}");
    let enlace = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat()).json();
    let create = ["tokens", "create", "--content", &content, "--expires-in", "1d", "--backbone", &backbone.url()];
    let token = enlace(&create);
    let id = token["id"].as_str().unwrap();
    // It hits the first one who asks.
    let refusal = Fault::RefuseBefore(reqwest::StatusCode::NOT_FOUND);
    faults.inject(Matching::path(&format!("/{id}/Terms")).times(1), refusal);
    let edited = enlace(&["tokens", "edit", id, "--label", "for Bob"]);
    assert_eq!((&edited["token"]["label"], &edited["token"]["status"]), (&json!("for Bob"), &json!("active")));
    let shown = [(); 2].map(|()| enlace(&["tokens", "show", id]));
    assert_eq!(shown.each_ref().map(|shown| &shown["status"]), [&json!("active"); 2]);
    assert_eq!(shown.each_ref().map(|shown| shown["terms"].is_object()), [false, true], "{shown:?}");
}

#[test]
fn what_goes_while_tokens_are_pruned_is_done() {
    let sandbox = Sandbox::new();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (faults, gate) = (Faults::new(), Gate::new());
    let backbone = threads.block_on(backbone_with(&sandbox, &faults));
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone", &backbone.url()];
    let serving = sandbox.serve(&serve);
    let content = sandbox.file("a.json", "{}");
    let enlace = |args: &[&str]| sandbox.run(&[args, &["--data-dir", "d", "--json"]].concat());
    let tokens = [(); 2].map(|()| {
        let token = enlace(&["tokens", "create", "--content", &content, "--expires-in", "1d"]).json();
        let id = token["id"].as_str().unwrap().to_owned();
        enlace(&["tokens", "revoke", &id]).json();
        id
    });
    let deletions = Matching::path("/Tokens/").method(reqwest::Method::DELETE);
    faults.inject(deletions.times(1), Fault::HoldBefore(gate.clone()));
    let pruned = std::thread::scope(|scope| {
        let pruning = scope.spawn(|| enlace(&["tokens", "prune"]));
        threads.block_on(gate.wait_for_arrivals(1));
        tokens.iter().for_each(|id| assert_eq!(enlace(&["tokens", "delete", id]).code, 0));
        gate.open();
        pruning.join().unwrap()
    });
    assert_eq!(pruned.code, 0, "{pruned:?}");
    assert_eq!(enlace(&["tokens", "list"]).json(), json!([]));
    assert_eq!(serving.stop().code, 0);
}

#[test]
fn terms_that_the_backbone_of_a_running_process_lacks_are_refused_before_the_upload() {
    let sandbox = Sandbox::new();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let faults = Faults::new();
    faults.inject(Matching::path("/TokenServices"), Fault::RefuseBefore(reqwest::StatusCode::NOT_FOUND));
    let backbone = threads.block_on(backbone_with(&sandbox, &faults));
    let serve = ["serve", "--data-dir", "sender", "--listen", "127.0.0.1:0", "--backbone", &backbone.url()];
    let serving = sandbox.serve(&serve);
    let file = sandbox.file("a.txt", "hello");
    let share = ["share", &file, "--data-dir", "sender", "--json"];
    let files = || sandbox.run(&["files", "list", "--data-dir", "sender", "--json"]).json();
    for (options, words, hint) in [
        (&["--max-downloads", "1"][..], "cannot limit how often a token is used", "omit --max-downloads, "),
        (&["--notify"], "does not tell how a token was used", "omit --notify, "),
        (&["--transports", "direct"], "'transports' must contain store", "--direct-only"),
    ] {
        let refused = sandbox.run(&[&share[..], options].concat());
        assert!(refused.code != 0 && refused.stderr.contains(words), "{options:?}: {refused:?}");
        assert!(refused.stderr.contains(hint) && !refused.stderr.contains("maxDownloads"), "{refused:?}");
        assert_eq!(files(), json!([]), "{options:?}");
    }
    assert_eq!(sandbox.run(&[&share[..], &["--transports", "relay,store"]].concat()).code, 0);
    assert_eq!(files().as_array().map(Vec::len), Some(1));
    let file = files()[0]["id"].as_str().unwrap().to_owned();
    let create = ["tokens", "create", &file, "--data-dir", "sender", "--json", "--max-downloads", "1"];
    sandbox.run(&create).refused(2, &["cannot limit how often a token is used", "omit --max-downloads, "]);
    assert_eq!(serving.stop().code, 0);
}
