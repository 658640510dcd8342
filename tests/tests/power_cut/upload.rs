//! The power of the machine that uploads a large file is cut, and the same command is given again.

use std::path::Path;
use std::time::{Duration, Instant};

use enlace_tests::power::{Chance, Machine};
use enlace_tests::{Backbone, Node, OAUTH_CLIENT, Rest, World};
use runtime::Config;
use transport::content::{CHUNK_LENGTH, Layout};

use crate::site::random_tear;
use crate::{SEED, Terms};

/// Cuts in a row, at most.
const MOST_CUTS: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_power_cuts_and_no_byte_arrives_twice() {
    let Some(terms) = Terms::given() else { return };
    println!("seed {}", terms.seed);
    let (world, mut chance) = (World::new(), Chance::new(terms.seed));
    let backbone = world.backbone().await;
    let config = Config::new(world.directory("bob"), backbone.as_seen_by_nodes());
    let bob = Node::start(config, world.clock().clone()).await.unwrap();
    let mut alice = Machine::new(&world.directory("alice"), terms.shim.clone(), None).unwrap();
    let source = world.directory("source.bin");
    let arguments = arguments(&source, &alice.data_dir(), &backbone);
    let (mut resumed, mut takes) = (0, None);
    for round in 0..=terms.rounds as u64 / 2 {
        let content = content(round);
        std::fs::write(&source, &content).unwrap();
        backbone.line().forget();
        // The first round creates the identity and shows how long it takes.
        if let Some(takes) = takes {
            for _ in 0..=chance.below(MOST_CUTS) {
                let longest = Duration::from_micros(chance.below(Duration::as_micros(&takes) as u64));
                alice.start_for(&arguments, longest).await;
                alice.cut(random_tear(terms.tear, &mut chance), &mut chance).unwrap();
            }
        }
        let began = Instant::now();
        let announced = alice.start(&arguments).await.map(|process| process.announcement.clone());
        let shared = announced.unwrap_or_else(|error| panic!("{SEED}={}: {error:?}", terms.seed));
        takes.get_or_insert(began.elapsed());
        let had_arrived = shared["resumed"].as_u64().unwrap();
        println!("round {round}: {had_arrived} of {} bytes had arrived", content.len());
        resumed += had_arrived;
        let received = bob.receive(shared["token"]["reference"]["url"].as_str().unwrap()).await.unwrap();
        assert!(bob.download(&received.id).await.unwrap() == content, "{SEED}={}: torn", terms.seed);
        // Whoever had the file before the cut, and has not told it, shares a second one.
        let copies = Rest::of(alice.process().unwrap()).count_own_files(content.len()).await;
        let blob = Layout::of(content.len() as u64).unwrap().blob_length();
        let appended = backbone.line().appended();
        assert!(appended <= copies * blob, "{SEED}={}: {appended} bytes of {copies} files of {blob}", terms.seed);
        alice.cut(random_tear(terms.tear, &mut chance), &mut chance).unwrap();
    }
    assert!(terms.rounds < 80 || resumed > 0, "no upload was ever continued, so nothing was tested");
}

fn arguments(source: &Path, data: &Path, backbone: &Backbone) -> Vec<String> {
    let (source, data, url) = (source.to_str().unwrap(), data.to_str().unwrap(), backbone.line().url());
    let share = ["share", source, "--format", "v2", "--json", "--no-qr", "--listen", "127.0.0.1:0"];
    let node = ["--backbone", &url, "--client", OAUTH_CLIENT, "--data-dir", data];
    share.into_iter().chain(node).map(str::to_owned).collect()
}

/// Bytes of two pieces, other ones in each round.
fn content(round: u64) -> Vec<u8> {
    (0..5 * CHUNK_LENGTH + round).map(|i| (i / 8) as u8 ^ (i + round) as u8).collect()
}
