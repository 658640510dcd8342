//! The process that shares a large file is killed, and the same command is given again.

use std::path::Path;
use std::time::{Duration, Instant};

use enlace_tests::{Backbone, Line, Node, Process, Rest, World};
use transport::content::{CHUNK_LENGTH, Layout};

use crate::chance::Chance;
use crate::rounds;

/// Kills in a row, at most.
const MOST_KILLS: u64 = 2;
/// Requests of an upload until its file is there: the question whether the backbone knows uploads, the upload, its two pieces, its
/// length, the file. One that goes on asks how far it is, and sends less.
const REQUESTS: u64 = 6;
/// How long after a request the kill comes, at most.
const LONGEST_DELAY: Duration = Duration::from_millis(150);
/// Where uploads are.
const UPLOADS: &str = "/api/enlace/v1/Uploads";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_upload_goes_on_and_no_byte_arrives_twice() {
    let world = World::new();
    let backbone = world.backbone().await;
    let bob = Node::start(config(&world, &backbone, "bob"), world.clock().clone()).await.unwrap();
    let data = world.directory("alice");
    let source = world.directory("source.bin");
    let mut chance = Chance::new();
    let mut resumed = 0;
    for round in 0..rounds() as u64 {
        let content = content(round);
        std::fs::write(&source, &content).unwrap();
        let arguments = arguments(&source, &data, &backbone);
        backbone.line().forget();
        for _ in 0..=chance.below(MOST_KILLS) {
            kill(&mut chance, &arguments, backbone.line()).await;
        }
        let mut process = Process::start(&arguments).await.expect("the same command goes on");
        let shared = &process.announcement;
        let (reference, file) = (shared["token"]["reference"]["url"].as_str().unwrap(), &shared["file"]["id"]);
        let had_arrived = shared["resumed"].as_u64().unwrap();
        println!("round {round}: {had_arrived} of {} bytes had arrived", content.len());
        resumed += had_arrived;
        let received = bob.receive(reference).await.unwrap();
        assert_eq!(*file, received.id.to_string());
        assert!(bob.download(&received.id).await.unwrap() == content, "{received:?} is torn");
        // Whoever is killed after the file is stored, and before that is told, shares a second one.
        let copies = Rest::of(&process).count_own_files(content.len()).await;
        let blob = Layout::of(content.len() as u64).unwrap().blob_length();
        assert_eq!(copies, blobs(backbone.data_dir(), blob), "files at the backbone that nobody knows");
        let appended = backbone.line().appended();
        assert!(appended <= copies * blob, "{appended} bytes appended to {copies} files of {blob}");
        process.kill();
    }
    // About every third round continues something.
    assert!(rounds() < 40 || resumed > 0, "no upload was ever continued, so nothing was tested");
}

fn config(world: &World, backbone: &Backbone, name: &str) -> runtime::Config {
    runtime::Config::new(world.directory(name), backbone.as_seen_by_nodes())
}

fn arguments(source: &Path, data: &Path, backbone: &Backbone) -> Vec<String> {
    let (source, data, url) = (source.to_str().unwrap(), data.to_str().unwrap(), backbone.line().url());
    let share = ["share", source, "--format", "v2", "--json", "--no-qr", "--listen", "127.0.0.1:0"];
    let node = ["--backbone", &url, "--client", enlace_tests::OAUTH_CLIENT, "--data-dir", data];
    share.into_iter().chain(node).map(str::to_owned).collect()
}

/// Bytes of two pieces, other ones and of another length in each round.
fn content(round: u64) -> Vec<u8> {
    let start = round.to_le_bytes();
    (0..5 * CHUNK_LENGTH + round).map(|i| start[i as usize % 8] ^ (i / 8) as u8).collect()
}

/// Runs the command and kills it a moment after one of the requests of its upload, or when it has shared.
async fn kill(chance: &mut Chance, arguments: &[String], line: &Line) {
    let (count, delay) = (chance.below(REQUESTS) as usize, chance.below(LONGEST_DELAY.as_micros() as u64));
    let (line, mut due) = (line.clone(), None);
    let requests = |line: &Line| line.recording().iter().filter(|seen| seen.target.starts_with(UPLOADS)).count();
    let before = requests(&line);
    let condition = move || {
        if due.is_none() && requests(&line) > before + count {
            due = Some(Instant::now() + Duration::from_micros(delay));
        }
        due.is_some_and(|due| Instant::now() >= due)
    };
    Process::kill_when(arguments.to_vec(), condition).await;
}

/// Files at the backbone that have so many bytes.
fn blobs(directory: &Path, length: u64) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| match path.metadata() {
        Ok(metadata) if metadata.is_dir() => blobs(&path, length),
        Ok(metadata) => u64::from(metadata.len() == length),
        Err(_) => 0,
    };
    entries.map(count).sum()
}
