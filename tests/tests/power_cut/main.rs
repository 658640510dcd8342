//! Power cuts at random instants under load: everything acknowledged is there afterwards and equal, nothing half-visible,
//! no counter goes back, and the programs start again by themselves (T17).
//!
//! What a cut leaves is computed as `enlace_tests::power` describes. `ENLACE_POWER_ROUNDS` says how many cuts,
//! `ENLACE_POWER_SEED` repeats a run's choices as far as the machine does its part, and `ENLACE_POWER_KEEP` keeps what a loss
//! was seen on: of each machine the last trace and the disk as the cut left it.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

mod check;
mod held;
mod load;
mod site;
mod upload;
mod uses;
mod worker;

use enlace_tests::World;
use enlace_tests::power::{Chance, Omit, Shim, Tear};

use crate::load::{Cut, Play};
use crate::site::{Kind, Site};

const SEED: &str = "ENLACE_POWER_SEED";
const KEEP: &str = "ENLACE_POWER_KEEP";
/// Rounds without a setting.
const FEW_ROUNDS: usize = 6;
/// Rounds on the same disks, at most. Fresh ones keep rounds short, and repeat the first start.
const ROUNDS_OF_A_SITE: usize = 12;
/// Rounds within which the check notices that synchronization is switched off.
const ROUNDS_UNTIL_NOTICED: usize = 5;

/// What was acknowledged and is not as it should be.
#[derive(Debug)]
struct Loss(String);

/// What a run is about.
struct Terms {
    shim: Shim,
    seed: u64,
    rounds: usize,
    /// Which synchronizations do nothing.
    omit: Option<Omit>,
    /// What a cut takes; by default either kind of loss at random.
    tear: Option<Tear>,
}

impl Terms {
    /// Those of this run of the tests, or nothing if it has to be skipped.
    fn given() -> Option<Self> {
        let rounds = std::env::var("ENLACE_POWER_ROUNDS");
        let rounds = rounds.map_or(FEW_ROUNDS, |text| text.parse().expect("a number of rounds"));
        Some(Self { shim: Shim::or_skip()?, seed: Chance::seed_from(SEED), rounds, omit: None, tear: None })
    }
}

/// What a run went through.
#[derive(Debug, Default)]
struct Summary {
    acknowledged: usize,
    cuts: usize,
    start_up_cuts: usize,
}

/// Plays rounds until one loses something.
async fn play(terms: &Terms) -> Result<Summary, Loss> {
    println!("seed {}", terms.seed);
    let mut chance = Chance::new(terms.seed);
    let mut summary = Summary::default();
    let rounds_of_a_site = ROUNDS_OF_A_SITE.min(terms.rounds.div_ceil(2));
    for kind in Kind::ALL.into_iter().cycle() {
        if summary.cuts >= terms.rounds {
            break;
        }
        let world = World::new();
        let rounds = rounds_of_a_site.min(terms.rounds - summary.cuts);
        let outcome = play_at(&world, kind, rounds, terms, &mut chance, &mut summary).await;
        if outcome.is_err() && std::env::var_os(KEEP).is_some() {
            println!("kept in {}", world.keep().display());
        }
        outcome?;
    }
    Ok(summary)
}

/// Plays rounds on the same disks.
async fn play_at(
    world: &World,
    kind: Kind,
    rounds: usize,
    terms: &Terms,
    chance: &mut Chance,
    summary: &mut Summary,
) -> Result<(), Loss> {
    let mut site = Site::new(world, kind, terms).await;
    let mut play = Play::new(chance);
    site.start(chance, summary).await?;
    for _ in 0..rounds {
        let round = summary.cuts;
        let cut = Cut::random(kind, terms.tear, chance);
        let named = |Loss(what)| Loss(format!("round {round}, {kind:?}, {cut:?}: {what}"));
        let acknowledged = play.round(&mut site, cut, chance, summary).await.map_err(named)?;
        println!("round {round}, {kind:?}, {cut:?}: {acknowledged} acknowledged");
        summary.acknowledged += acknowledged;
        summary.cuts += 1;
    }
    Ok(())
}

async fn nothing_is_lost(terms: &Terms) {
    match play(terms).await {
        Ok(summary) => {
            println!("{summary:?}");
            assert_eq!(summary.cuts, terms.rounds);
            assert!(summary.acknowledged > 0, "the load was never acknowledged, so nothing was tested");
        }
        Err(Loss(what)) => panic!("repeat with {SEED}={}\n{what}", terms.seed),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_power_cuts() {
    let Some(terms) = Terms::given() else { return };
    nothing_is_lost(&terms).await;
}

/// Shows that what the other tests notice is the loss, and not something else that the check holds against the programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_disk_that_loses_nothing_nothing_is_noticed() {
    let Some(terms) = Terms::given() else { return };
    nothing_is_lost(&Terms { rounds: FEW_ROUNDS, tear: Some(Tear::Nothing), ..terms }).await;
}

async fn a_loss_is_noticed(omit: Omit) {
    let Some(terms) = Terms::given() else { return };
    let terms = Terms { rounds: ROUNDS_UNTIL_NOTICED, omit: Some(omit), tear: Some(Tear::Strict), ..terms };
    match play(&terms).await {
        Err(Loss(what)) => println!("noticed: {what}"),
        Ok(summary) => panic!("nothing was lost: {summary:?}; repeat with {SEED}={}", terms.seed),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_synchronizes_nothing_is_noticed() {
    a_loss_is_noticed(Omit::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_synchronizes_no_file_is_noticed() {
    a_loss_is_noticed(Omit::Files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_synchronizes_no_directory_is_noticed() {
    a_loss_is_noticed(Omit::Directories).await;
}
