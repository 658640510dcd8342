//! One client of the node's REST API, and what it was promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enlace_tests::Rest;
use enlace_tests::power::Chance;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::Loss;

/// What all clients share.
#[derive(Clone, Default)]
pub(crate) struct Shift {
    /// Number of the next file.
    pub(crate) next: Arc<AtomicU64>,
    /// A permit for each acknowledgement.
    pub(crate) progress: Arc<Progress>,
    /// Set after a power cut: a node whose backbone is gone still serves.
    pub(crate) is_over: Arc<AtomicBool>,
}

/// Counts acknowledgements.
pub(crate) struct Progress(pub(crate) Semaphore);

impl Default for Progress {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

/// How far an item got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It was acknowledged.
    Present,
    /// Its deletion was requested and not acknowledged.
    InDoubt,
    /// Its deletion was acknowledged.
    Deleted,
}

/// A file or token, as the node answered it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) answer: Value,
    pub(crate) state: State,
    /// In which round it was last changed.
    pub(crate) round: usize,
    /// A replacement of the ownership token was requested and not acknowledged.
    pub(crate) is_ownership_in_doubt: bool,
}

impl Item {
    pub(crate) fn id(&self) -> &str {
        self.answer["id"].as_str().unwrap()
    }

    pub(crate) fn reference(&self) -> &Value {
        &self.answer["reference"]["url"]
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        self.answer["isEphemeral"] == true
    }
}

/// A client, from round to round.
pub(crate) struct Worker {
    /// Key of its entry in the identity metadata.
    pub(crate) name: String,
    pub(crate) files: Vec<Item>,
    pub(crate) tokens: Vec<Item>,
    /// Value of its entry that was acknowledged last, and the one requested last.
    pub(crate) entry: (u64, u64),
    /// The challenge acknowledged last.
    pub(crate) challenge: Option<Value>,
    pub(crate) acknowledged: usize,
    round: usize,
    chance: Chance,
}

/// How a request ended.
pub(crate) enum Answer {
    /// It was acknowledged.
    Done(Value),
    /// Nobody knows.
    Unknown,
    /// It was refused, which none of these requests deserves.
    Refused(String),
}

/// Sends a request.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let Ok(response) = request.send().await else { return Answer::Unknown };
    let status = response.status();
    let Ok(body) = response.bytes().await else { return Answer::Unknown };
    if status.is_success() {
        let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
        Answer::Done(body["result"].take())
    } else if status.is_server_error() {
        Answer::Unknown
    } else {
        Answer::Refused(format!("{status} {}", String::from_utf8_lossy(&body)))
    }
}

impl Worker {
    pub(crate) fn new(name: String, chance: Chance) -> Self {
        let (files, tokens) = (Vec::new(), Vec::new());
        Self { name, files, tokens, entry: (0, 0), challenge: None, acknowledged: 0, round: 0, chance }
    }

    /// Works until a request is not answered.
    ///
    /// # Errors
    /// If something is refused that must be possible after what was acknowledged before.
    pub(crate) async fn work(&mut self, rest: &Rest, address: &Value, shift: &Shift, round: usize) -> Result<(), Loss> {
        self.round = round;
        self.acknowledged = 0;
        self.challenge = None;
        while !shift.is_over.load(Ordering::Relaxed) {
            match self.step(rest, address, shift).await {
                Answer::Done(_) => {
                    self.acknowledged += 1;
                    shift.progress.0.add_permits(1);
                }
                Answer::Unknown => break,
                Answer::Refused(why) => return Err(Loss(format!("a request of {} was refused: {why}", self.name))),
            }
        }
        Ok(())
    }

    async fn step(&mut self, rest: &Rest, address: &Value, shift: &Shift) -> Answer {
        match (self.chance.below(100), self.any_file()) {
            (0..15, Some(file)) => self.share(rest, file, false).await,
            (15..30, Some(file)) => self.share(rest, file, true).await,
            (30..37, Some(file)) => delete(rest, &mut self.files[file], "Files", self.round).await,
            (37..42, Some(file)) => self.replace_ownership_token(rest, file).await,
            (42..48, _) => self.delete_token(rest).await,
            (48..56, _) => self.change_entry(rest, address).await,
            (56..61, _) => self.sign_challenge(rest).await,
            (61..66, _) => self.make_token(rest).await,
            _ => self.upload(rest, shift.next.fetch_add(1, Ordering::Relaxed)).await,
        }
    }

    /// The index of a file that is there.
    fn any_file(&mut self) -> Option<usize> {
        let index = self.chance.index(self.files.len());
        self.files.get(index).filter(|file| file.state == State::Present).map(|_| index)
    }

    fn item(&self, answer: &Value) -> Item {
        Item { answer: answer.clone(), state: State::Present, round: self.round, is_ownership_in_doubt: false }
    }

    async fn upload(&mut self, rest: &Rest, number: u64) -> Answer {
        let answer = answer(rest.upload(&format!("file-{number}"), content(number))).await;
        if let Answer::Done(file) = &answer {
            self.files.push(self.item(file));
        }
        answer
    }

    async fn share(&mut self, rest: &Rest, file: usize, ephemeral: bool) -> Answer {
        let path = format!("Files/{}/Token", self.files[file].id());
        let answer = answer(rest.post(&path).json(&json!({ "ephemeral": ephemeral }))).await;
        self.keep_token(&answer);
        answer
    }

    async fn make_token(&mut self, rest: &Rest) -> Answer {
        let content =
            json!({ "number": self.chance.below(u64::from(u32::MAX)), "text": "x".repeat(self.chance.index(3000)) });
        let body = json!({ "content": content, "expiresAt": "2099-01-01T00:00:00.000Z", "ephemeral": false });
        let answer = answer(rest.post("Tokens/Own").json(&body)).await;
        self.keep_token(&answer);
        answer
    }

    fn keep_token(&mut self, answer: &Answer) {
        if let Answer::Done(token) = answer {
            self.tokens.push(self.item(token));
        }
    }

    async fn delete_token(&mut self, rest: &Rest) -> Answer {
        let index = self.chance.index(self.tokens.len());
        match self.tokens.get_mut(index) {
            Some(token) if token.state == State::Present && !token.is_ephemeral() => {
                delete(rest, token, "Tokens", self.round).await
            }
            _ => self.sign_challenge(rest).await,
        }
    }

    async fn replace_ownership_token(&mut self, rest: &Rest, file: usize) -> Answer {
        let file = &mut self.files[file];
        let path = format!("/api/v2/Files/{}/RegenerateOwnershipToken", file.id());
        file.is_ownership_in_doubt = true;
        file.round = self.round;
        let answer = answer(rest.request(Method::PATCH, &path)).await;
        if let Answer::Done(changed) = &answer {
            file.answer = changed.clone();
            file.is_ownership_in_doubt = false;
        }
        answer
    }

    async fn change_entry(&mut self, rest: &Rest, address: &Value) -> Answer {
        self.entry.1 += 1;
        let body = json!({ "reference": address, "key": self.name, "value": { "count": self.entry.1 } });
        let answer = answer(rest.request(Method::PUT, "/api/v2/IdentityMetadata").json(&body)).await;
        if let Answer::Done(_) = &answer {
            self.entry.0 = self.entry.1;
        }
        answer
    }

    async fn sign_challenge(&mut self, rest: &Rest) -> Answer {
        let answer = answer(rest.post("Challenges").json(&json!({ "challengeType": "Identity" }))).await;
        if let Answer::Done(challenge) = &answer {
            self.challenge = Some(challenge.clone());
        }
        answer
    }
}

/// Deletes a file or a token. Only one of the two dialects can delete tokens.
async fn delete(rest: &Rest, item: &mut Item, resource: &str, round: usize) -> Answer {
    let path = format!("/api/core/v1/{resource}/{}", item.id());
    item.state = State::InDoubt;
    item.round = round;
    let answer = answer(rest.request(Method::DELETE, &path)).await;
    if let Answer::Done(_) = answer {
        item.state = State::Deleted;
    }
    answer
}

/// The content of file `number`: small ones, some that take more than one write, and a few that are spooled to disk.
pub(crate) fn content(number: u64) -> Vec<u8> {
    let length = match number {
        _ if number % 50 == 49 => 1_300_000,
        _ if number % 8 == 7 => 60_000,
        _ => 100 + number as usize % 1000,
    };
    let start = number.to_le_bytes();
    (0..length).map(|i| start[i % 8] ^ (i / 8) as u8).collect()
}
