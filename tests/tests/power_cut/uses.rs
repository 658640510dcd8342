//! The power of a backbone is cut while a token with a limit is used up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use enlace_tests::power::{Chance, Machine, Shim};
use enlace_tests::{Claimants, Contest, OAUTH_CLIENT, World};
use tokio::sync::Semaphore;

use crate::site::random_tear;
use crate::{Loss, Terms};

/// Acknowledged uses before a cut, at most.
const MOST_PROGRESS: u64 = 40;
/// If there is no progress at all, the cut comes anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Plays rounds until one loses something. Returns how much was acknowledged.
async fn play(terms: &Terms) -> Result<usize, Loss> {
    println!("seed {}", terms.seed);
    let (world, mut chance) = (World::new(), Chance::new(terms.seed));
    let mut backbone = Backbone::new(&world, terms.shim.clone(), terms);
    let mut acknowledged = 0;
    let mut url = backbone.start().await?;
    for round in 0..terms.rounds {
        let (progress, is_over) = (Semaphore::new(0), AtomicBool::new(false));
        let mut claimants = Claimants::new(&url, Contest::of_round(round)).await;
        let cut = async {
            let enough = chance.below(MOST_PROGRESS) as u32;
            if let Ok(Ok(permits)) = tokio::time::timeout(LONGEST_WAIT, progress.acquire_many(enough)).await {
                permits.forget();
            }
            let tear = random_tear(terms.tear, &mut chance);
            // Other threads go on with the requests that are in flight.
            tokio::task::block_in_place(|| backbone.machine.cut(tear, &mut chance).expect("the shim sees everything"));
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(claimants.use_up(&url, &progress, &is_over), cut);
        url = backbone.start().await?;
        claimants.check(&url).await.map_err(|what| Loss(format!("round {round}: {what}")))?;
        println!("round {round}: {} acknowledged", claimants.acknowledged());
        acknowledged += claimants.acknowledged();
    }
    Ok(acknowledged)
}

/// A backbone alone on a machine.
struct Backbone {
    machine: Machine,
    arguments: Vec<String>,
}

impl Backbone {
    fn new(world: &World, shim: Shim, terms: &Terms) -> Self {
        let machine = Machine::new(&world.directory("backbone"), shim, terms.omit).unwrap();
        let data = machine.data_dir();
        let start = ["backbone", "--json", "--listen", "127.0.0.1:0", "--did-domain-name", "localhost"];
        let more = ["--client", OAUTH_CLIENT, "--data-dir", data.to_str().unwrap()];
        let arguments = start.into_iter().chain(more).map(str::to_owned).collect();
        Self { machine, arguments }
    }

    async fn start(&mut self) -> Result<String, Loss> {
        let process = self.machine.start(&self.arguments).await;
        let process =
            process.map_err(|error| Loss(format!("the backbone does not start by itself: {}", error.talk)))?;
        Ok(process.announcement["url"].as_str().expect("its URL").trim_end_matches('/').to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_use_is_given_twice_and_none_is_lost_by_power_cuts() {
    let Some(terms) = Terms::given() else { return };
    match play(&terms).await {
        Ok(acknowledged) => assert!(acknowledged > 0, "no use was ever acknowledged, so nothing was tested"),
        Err(Loss(what)) => panic!("repeat with {}={}\n{what}", crate::SEED, terms.seed),
    }
}

/// Shows that the check notices a use that was promised and lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_that_are_not_synchronized_are_missed() {
    use enlace_tests::power::{Omit, Tear};
    let Some(terms) = Terms::given() else { return };
    let (rounds, omit, tear) = (crate::ROUNDS_UNTIL_NOTICED, Some(Omit::All), Some(Tear::Strict));
    match play(&Terms { rounds, omit, tear, ..terms }).await {
        Err(Loss(what)) => println!("noticed: {what}"),
        Ok(acknowledged) => panic!("nothing of {acknowledged} was lost"),
    }
}
