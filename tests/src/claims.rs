//! Claimants of a token with counted uses, and what a backbone that breaks down has to keep of what it promised them.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use transport::backbone::{Client, DeviceCredentials, new_claim_id};
use transport::wire::backbone::token_terms::{CreateTokenWithTerms, TokenTerms};
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::{ByteText, ClaimId, Timestamp, TokenId};

use crate::{NewIdentity, client};

/// Permits that nobody can wait for more of.
const ENOUGH_PROGRESS: usize = 1 << 16;

/// How many claim how many uses.
#[derive(Debug, Clone, Copy)]
pub struct Contest {
    claimants: usize,
    uses: u32,
}

impl Contest {
    /// A few claimants, each of which uses the token several times.
    const MANY_USES: Self = Self { claimants: 12, uses: 80 };
    /// All want the only use.
    const ONE_USE: Self = Self { claimants: 64, uses: 1 };

    /// They take turns.
    #[must_use]
    pub fn of_round(round: usize) -> Self {
        if round.is_multiple_of(2) { Self::MANY_USES } else { Self::ONE_USE }
    }
}

/// A token with a limit that several claimants use up.
pub struct Claimants {
    contest: Contest,
    credentials: DeviceCredentials,
    token: TokenId,
    promised: Vec<Promised>,
}

/// What was asked under a claim, and what of it was acknowledged.
#[derive(Debug, Clone)]
struct Promised {
    claim: ClaimId,
    is_leased: bool,
    is_sent: bool,
    is_release_asked: bool,
    is_released: bool,
    is_commit_asked: bool,
    is_committed: bool,
}

impl Claimants {
    /// Creates an identity and a token of it at the backbone with this URL.
    ///
    /// # Panics
    /// If the backbone does not create them.
    pub async fn new(url: &str, contest: Contest) -> Self {
        let client = client(url);
        let credentials = NewIdentity::create(&client).await.credentials;
        let content = Some(ByteText(b"content".to_vec()));
        let token = CreateToken { content, expires_at: Timestamp::NEVER, for_identity: None, password: None };
        let new = CreateTokenWithTerms { token, not_before: None, max_uses: Some(contest.uses), strict_uses: false };
        let created = client.login(credentials.clone()).create_token_with_terms(&new).await;
        let token = created.expect("the backbone creates tokens").id;
        Self { contest, credentials, token, promised: Vec::new() }
    }

    /// Claims, reads, commits and releases until there is no answer, no use is left, or `is_over` is set. `progress` gets a permit
    /// for each use that was tried, and enough for everybody at the end.
    pub async fn use_up(&mut self, url: &str, progress: &Semaphore, is_over: &AtomicBool) {
        let client = client(url);
        let claimants = (0..self.contest.claimants).map(|number| self.claimant(&client, number, progress, is_over));
        let promised = join_all(claimants).await;
        self.promised.extend(promised.into_iter().flatten());
        progress.add_permits(ENOUGH_PROGRESS);
    }

    /// How much was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let flags = |it: &Promised| [it.is_leased, it.is_sent, it.is_released, it.is_committed];
        self.promised.iter().flat_map(flags).filter(|flag| *flag).count()
    }

    async fn claimant(
        &self,
        client: &Client,
        number: usize,
        progress: &Semaphore,
        is_over: &AtomicBool,
    ) -> Vec<Promised> {
        let mut promised = Vec::new();
        for turn in number.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let mut claim = Promised::new();
            let goes_on = claim.play(client, &self.token, turn).await;
            progress.add_permits(1);
            promised.push(claim);
            if !goes_on {
                break;
            }
        }
        promised
    }

    /// Looks whether what was acknowledged is as it was.
    ///
    /// # Errors
    /// What is not.
    pub async fn check(&self, url: &str) -> Result<(), String> {
        let (client, before, limit) = (client(url), self.terms(url).await?, self.contest.uses);
        let count = |is: fn(&Promised) -> bool| {
            u32::try_from(self.promised.iter().filter(|it| is(it)).count()).unwrap_or(u32::MAX)
        };
        let (committed, asked) = (count(|it| it.is_committed), count(|it| it.is_commit_asked || it.is_release_asked));
        if !(committed..=asked).contains(&before.committed_uses) {
            return Err(format!("{committed} uses were committed, {asked} asked, and {before:?}"));
        }
        if before.committed_uses + before.leased_uses > limit {
            return Err(format!("more than {limit} uses: {before:?}"));
        }
        for promised in &self.promised {
            promised.check(&client, &self.token).await?;
        }
        let after = self.terms(url).await?;
        if after.committed_uses + after.leased_uses != before.committed_uses + before.leased_uses {
            return Err(format!("asking again for what was granted changed {before:?} to {after:?}"));
        }
        self.check_the_rest(&client, after).await
    }

    /// What is left is given to others, and no more.
    async fn check_the_rest(&self, client: &Client, terms: TokenTerms) -> Result<(), String> {
        let (mut used, limit) = (terms.committed_uses + terms.leased_uses, self.contest.uses);
        loop {
            match client.claimed_token(&self.token, &new_claim_id(), None).await {
                Ok(_) if used < limit => used += 1,
                Err(error) if error.is_exhausted() && used == limit => return Ok(()),
                outcome => return Err(format!("with {used} of {limit} uses another one gets {outcome:?}")),
            }
        }
    }

    async fn terms(&self, url: &str) -> Result<TokenTerms, String> {
        let session = client(url).login(self.credentials.clone());
        session.token_terms(&self.token).await.map_err(|error| format!("the token is lost: {error}"))
    }
}

impl Promised {
    fn new() -> Self {
        Self {
            claim: new_claim_id(),
            is_leased: false,
            is_sent: false,
            is_release_asked: false,
            is_released: false,
            is_commit_asked: false,
            is_committed: false,
        }
    }

    /// Uses the token once. Returns whether everything was answered.
    async fn play(&mut self, client: &Client, token: &TokenId, turn: usize) -> bool {
        if !turn.is_multiple_of(3) {
            self.is_leased = client.claim_token(token, &self.claim, None).await.is_ok();
            if !self.is_leased {
                return false;
            }
        }
        if turn % 4 == 1 && self.is_leased {
            self.is_release_asked = true;
            self.is_released = client.release_claim(token, &self.claim).await.is_ok();
            return self.is_released;
        }
        self.is_sent = client.claimed_token(token, &self.claim, None).await.is_ok();
        if !self.is_sent || turn % 5 == 1 {
            return self.is_sent;
        }
        self.is_commit_asked = true;
        self.is_committed = client.commit_claim(token, &self.claim).await.is_ok();
        self.is_committed
    }

    async fn check(&self, client: &Client, token: &TokenId) -> Result<(), String> {
        if self.is_released {
            return match client.commit_claim(token, &self.claim).await {
                Err(error) if error.is_record_not_found() => Ok(()),
                outcome => Err(format!("a released claim is back: {outcome:?}, {self:?}")),
            };
        }
        if self.is_committed {
            let again = client.commit_claim(token, &self.claim).await;
            again.map_err(|error| format!("a committed use is lost: {error}, {self:?}"))?;
        }
        if (self.is_leased || self.is_sent) && !self.is_release_asked {
            let again = client.claimed_token(token, &self.claim, None).await;
            again.map_err(|error| format!("a claim is lost: {error}, {self:?}"))?;
        }
        Ok(())
    }
}
