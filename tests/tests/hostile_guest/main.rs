//! A guest that tries everything at once does not keep the owner of a node from sharing, nor another guest from receiving, and
//! neither memory nor disk grow beyond their bounds (T21).
//!
//! Lasts five seconds, or as many as the environment variable `ENLACE_HOSTILE_SECONDS` says.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

mod attacks;
mod guest;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attacks::Attacks;
use enlace_tests::{Process, Rest, World, files_below, http};
use guest::Guest;
use serde_json::{Value, json};

const DEFAULT_SECONDS: u64 = 5;
/// From so many seconds on, each attack has to get something done.
const LONG_SECONDS: u64 = 30;
/// Bytes of the files that are shared meanwhile.
const SHARED_BYTES: u32 = 2_000_000;
/// Longest time that one share and its receipt may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Most memory that any of the processes may ever have.
const MAX_MEMORY_KIB: u64 = 256 * 1024;
/// What one guest may store in tokens and files.
const GUEST_BYTES: u64 = 64 * 1024 * 1024;
/// Journal, index, datawallets, and all that is small.
const OTHER_BYTES: u64 = 96 * 1024 * 1024;
/// Wrong passwords that one address may try.
const WRONG_PASSWORDS: usize = 10;
/// Guests that this machine may create at once, and how long until one more.
const GUESTS_AT_ONCE: u64 = 200;
const SECONDS_PER_GUEST: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owner_and_receiver_get_on_beside_a_guest_that_tries_everything() {
    let world = World::new();
    let seconds = std::env::var("ENLACE_HOSTILE_SECONDS").map_or(DEFAULT_SECONDS, |text| text.parse().unwrap());
    let ports = ["--listen", "127.0.0.1:0"];
    let owner_dir = world.directory("owner");
    let owner = serve(&owner_dir, &[&ports[..], &["--backbone-listen", "127.0.0.1:0"]].concat()).await;
    let backbone = owner.announcement["backbone"]["url"].as_str().unwrap().to_owned();
    let receiver = serve(&world.directory("receiver"), &[&ports[..], &["--backbone", &backbone]].concat()).await;
    let (latecomer_dir, latecomer_options) =
        (world.directory("latecomer"), [&ports[..], &["--backbone", &backbone]].concat());
    // All are one source here, so a guest cannot have its identity created while another one asks for as many as it may.
    drop(serve(&latecomer_dir, &latecomer_options).await);
    let (owner_rest, receiver_rest) = (Rest::of(&owner), Rest::of(&receiver));
    let bait = protected_token(&owner_rest).await;
    let hostile = Guest::create(&http(), &backbone).await.expect("a first guest is welcome");

    let began = Instant::now();
    let attacks = Attacks::start(&backbone, Arc::new(hostile), &bait);
    let mut rounds = 0_u64;
    while began.elapsed() < Duration::from_secs(seconds) {
        let round = share_and_receive(&owner_rest, &receiver_rest, rounds);
        tokio::time::timeout(TIMEOUT, round).await.expect("a transfer hangs beside the attacks");
        rounds += 1;
    }
    let start = tokio::time::timeout(TIMEOUT, serve(&latecomer_dir, &latecomer_options)).await;
    start.expect("another guest finds a place and can log in");
    let health = tokio::time::timeout(TIMEOUT, http().get(format!("{backbone}/health")).send()).await;
    assert!(health.expect("the check of its health finds a place").unwrap().status().is_success());
    let lasted = began.elapsed().as_secs() + 1;
    let found = attacks.stop().await;
    println!("{rounds} transfers in {lasted} s beside {found:?}");

    assert!(found.wrong_passwords_judged <= WRONG_PASSWORDS, "{found:?}");
    assert_eq!(found.locked, 0, "one address cannot lock a token");
    assert!(found.guests <= GUESTS_AT_ONCE + lasted / SECONDS_PER_GUEST + 1, "{found:?}");
    assert!(found.refused > 0, "something is refused: {found:?}");
    // Challenges for guests count as well: they have one allowance.
    let attacks = [found.challenges + found.guests, found.uploads, found.empty_tokens, found.logins];
    // In a few seconds not each of them gets anything done.
    let is_enough = |done: &u64| *done > 0 || seconds < LONG_SECONDS;
    assert!(attacks.iter().sum::<u64>() > 0, "an attack that does nothing shows nothing: {found:?}");
    assert!(attacks.iter().all(is_enough), "an attack that does nothing shows nothing: {found:?}");
    for (name, process) in [("owner", &owner), ("receiver", &receiver)] {
        let memory = peak_memory_kib(process.id());
        println!("{name}: at most {} MiB resident", memory / 1024);
        assert!(memory < MAX_MEMORY_KIB, "{name} took {memory} KiB");
    }
    let stored: u64 = files_below(&owner_dir).iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    // The owner keeps nothing of what it shares but at the backbone.
    let allowed = GUEST_BYTES + OTHER_BYTES + rounds * u64::from(SHARED_BYTES) * 2;
    println!("{} MiB on disk of {} MiB", stored >> 20, allowed >> 20);
    assert!(stored <= allowed, "{stored} bytes on disk after {rounds} transfers: {found:?}");
    share_and_receive(&owner_rest, &receiver_rest, rounds).await;
}

async fn serve(data_dir: &Path, more: &[&str]) -> Process {
    let arguments = ["serve", "--json", "--data-dir", data_dir.to_str().unwrap()];
    Process::start(arguments.iter().chain(more)).await.unwrap()
}

async fn result(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str::<Value>(&text).unwrap()["result"].take()
}

async fn protected_token(owner: &Rest) -> String {
    let body = json!({
        "content": { "hello": "world" },
        "expiresAt": "2100-01-01T00:00:00.000Z",
        "passwordProtection": { "password": "right" },
    });
    let token = result(owner.post("Tokens/Own").json(&body)).await;
    token["id"].as_str().unwrap().to_owned()
}

async fn share_and_receive(owner: &Rest, receiver: &Rest, round: u64) {
    let content: Vec<u8> = (0..SHARED_BYTES).map(|place| (place % 251) as u8 ^ round as u8).collect();
    let file = result(owner.upload("shared.bin", content.clone())).await;
    let path = format!("Files/{}/Token", file["id"].as_str().unwrap());
    let token = result(owner.post(&path).json(&json!({}))).await;
    let body = json!({ "reference": token["truncatedReference"] });
    let received = result(receiver.post("Files/Peer").json(&body)).await;
    let path = format!("Files/{}/Download", received["id"].as_str().unwrap());
    let bytes = receiver.get(&path).send().await.unwrap().bytes().await.unwrap();
    assert!(bytes == content, "round {round}: other bytes arrived");
}

fn peak_memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
