//! The process that receives a large file by a token with one use is killed, and the same command is given again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use enlace_tests::{Backbone, Node, Process, World};
use runtime::facade::{ContentFormat, CreateTokenForFile, NewTerms, UploadOwnFile};
use transport::content::CHUNK_LENGTH;

use crate::chance::Chance;
use crate::rounds;

/// Kills in a row, at most.
const MOST_KILLS: u64 = 2;
/// How long after so many bytes are on the disk the kill comes, at most.
const LONGEST_DELAY: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_download_goes_on_and_ends_with_the_same_bytes() {
    let world = World::new();
    let backbone = world.backbone().await;
    let config = runtime::Config::new(world.directory("alice"), backbone.as_seen_by_nodes());
    let alice = Node::start(config, world.clock().clone()).await.unwrap();
    let folder = world.directory("received");
    std::fs::create_dir(&folder).unwrap();
    let output = folder.join("received.bin");
    let mut chance = Chance::new();
    let mut resumed = 0;
    for round in 0..rounds() as u64 {
        let content = content(round);
        let reference = share(&alice, &content).await;
        let arguments = arguments(&reference, &output, &world.directory("bob"), &backbone);
        for _ in 0..=chance.below(MOST_KILLS) {
            kill(&mut chance, &arguments, &folder, content.len() as u64).await;
            // Only whole files have the final name.
            assert!(!output.exists() || std::fs::read(&output).unwrap() == content, "a torn file in round {round}");
            let _ = std::fs::remove_file(&output);
        }
        let process = Process::start(&arguments).await.expect("the same command goes on");
        let had_arrived = process.announcement["resumed"].as_u64().unwrap();
        println!("round {round}: {had_arrived} of {} bytes had arrived", content.len());
        resumed += had_arrived;
        assert!(had_arrived <= content.len() as u64);
        assert!(std::fs::read(&output).unwrap() == content, "round {round}");
        std::fs::remove_file(&output).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "something is left in round {round}");
    }
    assert!(rounds() < 40 || resumed > 0, "no download was ever continued, so nothing was tested");
}

/// Uploads a file of format `v2`, and returns a reference to it.
async fn share(alice: &Node, content: &[u8]) -> String {
    let source = std::io::Cursor::new(content.to_vec());
    let request = UploadOwnFile::new(source, "sent.bin".parse().unwrap(), "application/octet-stream".parse().unwrap());
    let file = alice.upload_with(UploadOwnFile { format: ContentFormat::V2, ..request }).await.unwrap();
    let max_downloads = Some(1.try_into().unwrap());
    let terms = CreateTokenForFile {
        terms: NewTerms { max_downloads, ..NewTerms::default() },
        ..CreateTokenForFile::default()
    };
    alice.share_as(&file, terms).await.unwrap().reference.url
}

fn arguments(reference: &str, output: &Path, data: &Path, backbone: &Backbone) -> Vec<String> {
    let (output, data, url) = (output.to_str().unwrap(), data.to_str().unwrap(), backbone.server().url());
    let receive = ["receive", reference, "--json", "--output", output];
    let node = ["--backbone", &url, "--client", enlace_tests::OAUTH_CLIENT, "--data-dir", data];
    receive.into_iter().chain(node).map(str::to_owned).collect()
}

/// Bytes of some chunks, other ones and of another length in each round.
fn content(round: u64) -> Vec<u8> {
    let start = round.to_le_bytes();
    (0..8 * CHUNK_LENGTH + round).map(|i| start[i as usize % 8] ^ (i / 8) as u8).collect()
}

/// Runs the command and kills it a moment after some number of bytes is on the disk, or when it has received everything.
async fn kill(chance: &mut Chance, arguments: &[String], folder: &Path, length: u64) {
    let (bytes, delay) = (chance.below(length), chance.below(LONGEST_DELAY.as_micros() as u64));
    let (folder, mut due) = (folder.to_owned(), None);
    let condition = move || {
        if due.is_none() && partial(&folder).is_some_and(|length| length >= bytes) {
            due = Some(Instant::now() + Duration::from_micros(delay));
        }
        due.is_some_and(|due| Instant::now() >= due)
    };
    Process::kill_when(arguments.to_vec(), condition).await;
}

/// The length of what has arrived so far, if there is something.
fn partial(folder: &Path) -> Option<u64> {
    let is_partial = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "part");
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    Some(entries.find(is_partial)?.metadata().ok()?.len())
}
