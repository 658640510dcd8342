//! A round: load, a power cut in the middle of it, a start, and a look at everything.

use std::sync::atomic::Ordering;
use std::time::Duration;

use enlace_tests::power::{Chance, Tear};
use enlace_tests::{Rest, http};
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};

use crate::check;
use crate::site::{Kind, Site, random_tear};
use crate::worker::{Answer, Shift, Worker, answer};
use crate::{Loss, Summary};

/// Clients, each with one request in flight.
const WORKERS: usize = 6;
/// Acknowledgements before a cut, at most.
const MOST_PROGRESS: u64 = 40;
/// The same in long rounds, in which stores have to make room.
const MOST_PROGRESS_OF_LONG_ROUNDS: u64 = 400;
/// Every how many rounds is a long one.
const LONG_ROUNDS: u64 = 8;
/// If there is no progress at all, the cut comes anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Wrong passwords in a round, at most: fewer than lock the token.
const MOST_GUESSES: usize = 60;

/// Whose power is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    node: bool,
    backbone: bool,
    tear: Tear,
}

impl Cut {
    pub(crate) fn random(kind: Kind, tear: Option<Tear>, chance: &mut Chance) -> Self {
        let choices = match kind {
            Kind::Apart => &[(true, false), (false, true), (true, true)][..],
            Kind::Embedded => &[(true, false)],
        };
        let (node, backbone) = choices[chance.index(choices.len())];
        Self { node, backbone, tear: random_tear(tear, chance) }
    }
}

/// Clients and what they remember.
pub(crate) struct Play {
    pub(crate) workers: Vec<Worker>,
    shift: Shift,
    round: usize,
}

/// A token with a password that somebody guesses.
#[derive(Default)]
pub(crate) struct Guarded {
    /// Its id, once it is acknowledged.
    pub(crate) token: Option<String>,
    /// Wrong passwords that were answered.
    pub(crate) refused: usize,
    /// Wrong passwords that were sent.
    pub(crate) sent: usize,
}

impl Play {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let worker = |number| Worker::new(format!("worker-{number}"), chance.child());
        Self { workers: (0..WORKERS).map(worker).collect(), shift: Shift::default(), round: 0 }
    }

    /// One round. Returns how much was acknowledged in it.
    ///
    /// # Errors
    /// What was lost.
    pub(crate) async fn round(
        &mut self,
        site: &mut Site,
        cut: Cut,
        chance: &mut Chance,
        summary: &mut Summary,
    ) -> Result<usize, Loss> {
        self.round += 1;
        let guarded = self.load_and_cut(site, cut, chance).await?;
        site.start(chance, summary).await?;
        check::everything(self, site, &guarded, chance).await?;
        Ok(self.workers.iter().map(|worker| worker.acknowledged).sum::<usize>() + guarded.refused)
    }

    /// What the last round changed.
    pub(crate) fn is_fresh(&self, round: usize) -> bool {
        round == self.round
    }

    async fn load_and_cut(&mut self, site: &mut Site, cut: Cut, chance: &mut Chance) -> Result<Guarded, Loss> {
        let (rest, backbone, round) = (site.rest(), site.backbone_url(), self.round);
        let address = match answer(rest.get("Account/IdentityInfo")).await {
            Answer::Done(info) => info["address"].clone(),
            _ => return Err(Loss("the node does not say who it is".to_owned())),
        };
        let shift = &self.shift;
        shift.is_over.store(false, Ordering::Relaxed);
        shift.progress.0.forget_permits(usize::MAX);
        let most = if chance.once_in(LONG_ROUNDS) { MOST_PROGRESS_OF_LONG_ROUNDS } else { MOST_PROGRESS };
        let enough = chance.below(most) as u32;
        let moment = Duration::from_micros(chance.below(20_000));
        let work = join_all(self.workers.iter_mut().map(|worker| worker.work(&rest, &address, shift, round)));
        let interruption = async {
            if let Ok(Ok(permits)) = tokio::time::timeout(LONGEST_WAIT, shift.progress.0.acquire_many(enough)).await {
                permits.forget();
            }
            tokio::time::sleep(moment).await;
            // Other threads go on with the requests that are in flight.
            tokio::task::block_in_place(|| site.cut(cut.node, cut.backbone, cut.tear, chance));
            shift.is_over.store(true, Ordering::Relaxed);
        };
        let (results, guarded, ()) = tokio::join!(work, guess(&rest, &backbone, shift), interruption);
        results.into_iter().collect::<Result<Vec<()>, Loss>>()?;
        guarded
    }
}

/// Makes a token and tries wrong passwords until there is no answer.
async fn guess(rest: &Rest, backbone: &str, shift: &Shift) -> Result<Guarded, Loss> {
    let mut guarded = Guarded::default();
    let protection = json!({ "password": "right" });
    let body = json!({ "content": {}, "expiresAt": "2099-01-01T00:00:00.000Z", "passwordProtection": protection });
    let token: Value = match answer(rest.post("Tokens/Own").json(&body)).await {
        Answer::Done(token) => token,
        Answer::Unknown => return Ok(guarded),
        Answer::Refused(why) => return Err(Loss(format!("a token with a password was refused: {why}"))),
    };
    let id = token["id"].as_str().unwrap();
    guarded.token = Some(id.to_owned());
    let client = http();
    while guarded.sent < MOST_GUESSES && !shift.is_over.load(Ordering::Relaxed) {
        guarded.sent += 1;
        match guess_once(&client, backbone, id, guarded.sent).await {
            Some(404) => {
                guarded.refused += 1;
                shift.progress.0.add_permits(1);
            }
            Some(status) if status < 500 => return Err(Loss(format!("a wrong password was answered with {status}"))),
            _ => break,
        }
    }
    Ok(guarded)
}

/// Tries a wrong password; the status, if there was an answer. It is 404 for a token that is not there, too.
pub(crate) async fn guess_once(client: &Client, backbone: &str, token: &str, number: usize) -> Option<u16> {
    let request = client.get(format!("{backbone}/api/v2/Tokens/{token}"));
    let answer = request.query(&[("password", format!("{number:0>42}8="))]).send().await;
    answer.ok().map(|answer| answer.status().as_u16())
}
