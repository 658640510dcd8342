//! The backbone's process is killed while a token with a limit is used up.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use enlace_tests::{Claimants, Contest, OAUTH_CLIENT, Process, World};
use tokio::sync::Semaphore;

use crate::chance::Chance;
use crate::rounds;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backbone_gives_no_use_twice_and_loses_none() {
    let world = World::new();
    let data = world.directory("backbone");
    let mut server = start(&data).await;
    let mut chance = Chance::new();
    let mut acknowledged = 0;
    for round in 0..rounds() {
        let (progress, is_over) = (Semaphore::new(0), AtomicBool::new(false));
        let mut claimants = Claimants::new(&url(&server), Contest::of_round(round)).await;
        let address = url(&server);
        let kill = async {
            chance.right_moment(&progress).await;
            tokio::task::block_in_place(|| server.kill());
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        };
        tokio::join!(claimants.use_up(&address, &progress, &is_over), kill);
        server = start(&data).await;
        println!("round {round}: {} acknowledged", claimants.acknowledged());
        acknowledged += claimants.acknowledged();
        claimants.check(&url(&server)).await.unwrap_or_else(|what| panic!("round {round}: {what}"));
    }
    assert!(acknowledged > 0, "no use was ever acknowledged, so nothing was tested");
    server.kill();
}

async fn start(data: &Path) -> Process {
    let arguments = ["backbone", "--json", "--listen", "127.0.0.1:0", "--did-domain-name", "localhost"];
    let client = ["--client", OAUTH_CLIENT, "--data-dir", data.to_str().unwrap()];
    Process::start(arguments.into_iter().chain(client)).await.expect("a killed backbone starts again")
}

fn url(server: &Process) -> String {
    server.announcement["url"].as_str().expect("its URL").trim_end_matches('/').to_owned()
}
