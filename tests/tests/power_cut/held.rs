//! The power of a node is cut while peers use up a file that nothing but this node has.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use enlace_tests::power::{Chance, Machine, Tear};
use enlace_tests::{Backbone, OAUTH_CLIENT, PEERS_ENABLED, PeerClaimant, World};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::Semaphore;
use transport::access::ClaimEnd;
use transport::backbone::new_claim_id;
use transport::peer::{PeerError, Refusal};
use transport::wire::{ClaimId, TokenId, TokenReference};

use crate::site::random_tear;
use crate::{Loss, Terms};

/// Uses of the share.
const LIMIT: usize = 60;
/// Those who ask for them at the same time.
const CLAIMANTS: usize = 12;
/// Acknowledged uses before a cut, at most.
const MOST_PROGRESS: u64 = 50;
/// If there is no progress at all, the cut comes anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

const NO_USE_LEFT: PeerError = PeerError::Refused(Refusal::NoUseLeft);

/// A node alone on a machine, which shares a file of another disk.
struct Sharer {
    machine: Machine,
    source: PathBuf,
    backbone: Backbone,
}

/// What was asked under a claim, and what of it was acknowledged.
struct Promised {
    claim: ClaimId,
    is_used: bool,
    is_committed: bool,
}

impl Sharer {
    async fn new(world: &World, terms: &Terms) -> Self {
        let mut machine = Machine::new(&world.directory("node"), terms.shim.clone(), terms.omit).unwrap();
        machine.set(PEERS_ENABLED, "true");
        machine.set("enlace__peers__limits__requestsPerSecond", "10000");
        let source = world.directory("source");
        std::fs::write(&source, vec![7; 100_000]).unwrap();
        Self { machine, source, backbone: world.backbone().await }
    }

    /// Starts a command, and returns what it announces.
    async fn start(&mut self, command: &[&str]) -> Result<Value, Loss> {
        let (url, data) = (self.backbone.line().url(), self.machine.data_dir());
        let peers = ["--peer-listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns", "--no-relay", "--json"];
        let rest = ["--backbone", &url, "--client", OAUTH_CLIENT, "--data-dir", data.to_str().unwrap()];
        let arguments = command.iter().chain(&peers).chain(&rest).map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let process = self.machine.start(&arguments).await;
        let process = process.map_err(|error| Loss(format!("the node does not start by itself: {}", error.talk)))?;
        Ok(process.announcement.clone())
    }

    /// A new share, as a reference.
    async fn share(&mut self) -> Result<String, Loss> {
        let (source, limit) = (self.source.to_str().unwrap().to_owned(), LIMIT.to_string());
        let shared = self.start(&["share", &source, "--direct-only", "--max-downloads", &limit]).await?;
        Ok(shared["reference"].as_str().expect("a reference").to_owned())
    }

    /// Starts the node again, and connects to it where it is then.
    async fn serve(&mut self, token: &TokenId) -> Result<PeerClaimant, Loss> {
        let served = self.start(&["serve", "--listen", "127.0.0.1:0"]).await?;
        let peer = &served["peer"];
        let (id, address) = (peer["id"].as_str().unwrap(), peer["addresses"][0].as_str().unwrap());
        PeerClaimant::connect(token.clone(), id, address).await.map_err(Loss)
    }
}

/// Uses the share until there is no answer, no use is left, or it is over.
async fn use_up(reference: &str, progress: &Semaphore, is_over: &AtomicBool) -> Vec<Promised> {
    let claimants = (0..CLAIMANTS).map(|number| async move {
        let mut promised = Vec::new();
        let Ok(peer) = PeerClaimant::of_reference(reference).await else { return promised };
        for turn in number.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let claim = new_claim_id();
            let is_used = peer.use_once(&claim).await.is_ok();
            let is_committed = is_used && turn % 2 == 0 && peer.end(&claim, ClaimEnd::Commit).await.is_ok();
            promised.push(Promised { claim, is_used, is_committed });
            if !is_used {
                break;
            }
            progress.add_permits(1);
        }
        promised
    });
    join_all(claimants).await.into_iter().flatten().collect()
}

/// Looks whether what was acknowledged is as it was. Others get what is left, and no more.
async fn check(peer: &PeerClaimant, promised: &[Promised]) -> Result<(), Loss> {
    let mut left = 0;
    loop {
        match peer.use_once(&new_claim_id()).await {
            Ok(()) if left < LIMIT => left += 1,
            Err(NO_USE_LEFT) => break,
            outcome => return Err(Loss(format!("after {left} uses another one gets {outcome:?}"))),
        }
    }
    let used = promised.iter().filter(|promised| promised.is_used).count();
    // Whose answers did not leave, may count or not.
    if used + left > LIMIT || promised.len() + left < LIMIT {
        return Err(Loss(format!("{used} uses were given of {} asked, then {left}, of {LIMIT}", promised.len())));
    }
    for Promised { claim, is_used, is_committed } in promised {
        if *is_used && let Err(error) = peer.use_once(claim).await {
            return Err(Loss(format!("a use is lost: {error}")));
        }
        if *is_committed && let Err(error) = peer.end(claim, ClaimEnd::Commit).await {
            return Err(Loss(format!("a committed use is lost: {error}")));
        }
    }
    Ok(())
}

/// Plays rounds until one loses something. Returns how much was acknowledged.
async fn play(terms: &Terms) -> Result<usize, Loss> {
    println!("seed {}", terms.seed);
    let (world, mut chance) = (World::new(), Chance::new(terms.seed));
    let mut sharer = Sharer::new(&world, terms).await;
    let mut acknowledged = 0;
    for round in 0..terms.rounds {
        let reference = sharer.share().await?;
        let token = TokenReference::parse(&reference).expect("a reference to a token").id;
        let (progress, is_over) = (Semaphore::new(0), AtomicBool::new(false));
        let cut = async {
            let enough = chance.below(MOST_PROGRESS) as u32;
            if let Ok(Ok(permits)) = tokio::time::timeout(LONGEST_WAIT, progress.acquire_many(enough)).await {
                permits.forget();
            }
            let tear = random_tear(terms.tear, &mut chance);
            // Other threads go on with the requests that are in flight.
            tokio::task::block_in_place(|| sharer.machine.cut(tear, &mut chance).expect("the shim sees everything"));
            is_over.store(true, Ordering::Relaxed);
        };
        let (promised, ()) = tokio::join!(use_up(&reference, &progress, &is_over), cut);
        let peer = sharer.serve(&token).await?;
        check(&peer, &promised).await.map_err(|Loss(what)| Loss(format!("round {round}: {what}")))?;
        peer.leave().await;
        sharer.machine.cut(Tear::Nothing, &mut chance).expect("the shim sees everything");
        let used = promised.iter().filter(|promised| promised.is_used).count();
        println!("round {round}: {used} acknowledged");
        acknowledged += used;
    }
    Ok(acknowledged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_use_of_a_direct_share_is_given_twice_and_none_is_lost_by_power_cuts() {
    let Some(terms) = Terms::given() else { return };
    match play(&terms).await {
        Ok(acknowledged) => assert!(acknowledged > 0, "no use was ever acknowledged, so nothing was tested"),
        Err(Loss(what)) => panic!("repeat with {}={}\n{what}", crate::SEED, terms.seed),
    }
}

/// Shows that the check notices a use that was promised and lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_of_a_direct_share_that_are_not_synchronized_are_missed() {
    use enlace_tests::power::Omit;
    let Some(terms) = Terms::given() else { return };
    let (rounds, omit, tear) = (crate::ROUNDS_UNTIL_NOTICED, Some(Omit::All), Some(Tear::Strict));
    match play(&Terms { rounds, omit, tear, ..terms }).await {
        Err(Loss(what)) => println!("noticed: {what}"),
        Ok(acknowledged) => panic!("nothing of {acknowledged} was lost"),
    }
}
