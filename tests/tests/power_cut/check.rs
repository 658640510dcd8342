//! What has to hold after a power cut.

use std::collections::{HashMap, HashSet};

use enlace_tests::power::Chance;
use enlace_tests::{Rest, http};
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::Loss;
use crate::load::{Guarded, Play, guess_once};
use crate::site::Site;
use crate::worker::{Answer, Item, State, Worker, answer, content};

/// Items of earlier rounds that are looked at again.
const SAMPLE: usize = 10;
/// Wrong passwords that lock a token.
const LOCK_AFTER: usize = 100;
/// Losses that are told, at most.
const TOLD: usize = 12;

/// Looks at everything that was promised.
///
/// # Errors
/// What is not as promised.
pub(crate) async fn everything(play: &Play, site: &Site, guarded: &Guarded, chance: &mut Chance) -> Result<(), Loss> {
    let rest = site.rest();
    let mut losses = Vec::new();
    losses.extend(counters(&site.backbone_url(), guarded).await.err());
    for worker in &play.workers {
        losses.extend(entry(&rest, worker).await.err());
    }
    losses.extend(expect_done("synchronization", rest.post("Account/Sync")).await.err());
    if let Some(login) = site.login() {
        for worker in &play.workers {
            losses.extend(challenge(&site.backbone_url(), &login, worker).await.err());
        }
    }
    let files: Vec<&Item> = play.workers.iter().flat_map(|worker| &worker.files).collect();
    let tokens: Vec<&Item> = play.workers.iter().flat_map(|worker| &worker.tokens).collect();
    losses.extend(lists(&rest, &files, &tokens, guarded).await);
    let files = join_all(chosen(play, &files, chance).into_iter().map(|item| file(&rest, item))).await;
    let tokens = join_all(chosen(play, &tokens, chance).into_iter().map(|item| token(&rest, item))).await;
    losses.extend(files.into_iter().chain(tokens).filter_map(Result::err));
    if losses.is_empty() {
        return Ok(());
    }
    let texts: Vec<&str> = losses.iter().take(TOLD).map(|Loss(what)| what.as_str()).collect();
    Err(Loss(format!("{} losses on {:?}:\n  {}", losses.len(), site.kind(), texts.join("\n  "))))
}

/// What the last round changed, and some of what it did not.
fn chosen<'a>(play: &Play, items: &[&'a Item], chance: &mut Chance) -> Vec<&'a Item> {
    let (mut chosen, older): (Vec<&Item>, Vec<&Item>) =
        items.iter().copied().partition(|item| play.is_fresh(item.round));
    let sample = if older.is_empty() { 0 } else { SAMPLE };
    chosen.extend((0..sample).map(|_| older[chance.index(older.len())]));
    chosen
}

async fn expect_done(what: &str, request: RequestBuilder) -> Result<Value, Loss> {
    match answer(request).await {
        Answer::Done(result) => Ok(result),
        Answer::Unknown => Err(Loss(format!("{what}: the answer is an error of the server"))),
        Answer::Refused(why) => Err(Loss(format!("{what}: {why}"))),
    }
}

async fn expect_absent(what: &str, request: RequestBuilder) -> Result<(), Loss> {
    match answer(request).await {
        Answer::Refused(_) => Ok(()),
        Answer::Unknown => Err(Loss(format!("{what}: the answer is an error of the server"))),
        Answer::Done(_) => Err(Loss(format!("{what} is back after its deletion was acknowledged"))),
    }
}

fn expect_equal(what: &str, expected: &Value, found: &Value) -> Result<(), Loss> {
    if expected == found { Ok(()) } else { Err(Loss(format!("{what} was {expected} and is {found}"))) }
}

async fn file(rest: &Rest, item: &Item) -> Result<(), Loss> {
    let id = item.id();
    let load = || rest.post("Files/Peer").json(&json!({ "reference": item.reference() }));
    match item.state {
        State::InDoubt => Ok(()),
        State::Deleted => {
            expect_absent(&format!("file {id}"), rest.get(&format!("Files/{id}"))).await?;
            expect_absent(&format!("file {id} at the backbone"), load()).await
        }
        State::Present => {
            let mut found = expect_done(&format!("file {id}"), rest.get(&format!("Files/{id}"))).await?;
            if item.is_ownership_in_doubt {
                found["ownershipToken"] = item.answer["ownershipToken"].clone();
            }
            expect_equal(&format!("file {id}"), &item.answer, &found)?;
            is_whole(rest, &item.answer).await
        }
    }
}

/// Downloads a file and compares it with what its name says about its content.
async fn is_whole(rest: &Rest, file: &Value) -> Result<(), Loss> {
    let text = |member: &str| file[member].as_str().unwrap_or_default();
    let number = text("filename").strip_prefix("file-").and_then(|number| number.parse().ok());
    let Some(number) = number else { return Err(Loss(format!("nobody uploaded {file}"))) };
    let response = rest.get(&format!("Files/{}/Download", text("id"))).send().await;
    let response = response.map_err(|error| Loss(format!("download of {}: {error}", text("filename"))))?;
    let status = response.status();
    match response.bytes().await {
        Ok(bytes) if status == 200 && bytes == content(number) => Ok(()),
        Ok(bytes) if status == 200 => Err(Loss(format!("{} has {} other bytes", text("filename"), bytes.len()))),
        Ok(bytes) => {
            Err(Loss(format!("download of {}: {status} {}", text("filename"), String::from_utf8_lossy(&bytes))))
        }
        Err(error) => Err(Loss(format!("download of {}: {error}", text("filename")))),
    }
}

async fn token(rest: &Rest, item: &Item) -> Result<(), Loss> {
    let id = item.id();
    let load = || rest.post("Tokens/Peer").json(&json!({ "reference": item.reference(), "ephemeral": true }));
    match item.state {
        State::InDoubt => Ok(()),
        State::Deleted => {
            expect_absent(&format!("token {id}"), rest.get(&format!("Tokens/{id}"))).await?;
            expect_absent(&format!("token {id} at the backbone"), load()).await
        }
        State::Present => {
            let loaded = expect_done(&format!("token {id} at the backbone"), load()).await?;
            expect_equal(&format!("content of token {id}"), &item.answer["content"], &loaded["content"])?;
            if item.is_ephemeral() {
                return Ok(());
            }
            let found = expect_done(&format!("token {id}"), rest.get(&format!("Tokens/{id}"))).await?;
            expect_equal(&format!("token {id}"), &item.answer, &found)
        }
    }
}

/// The lists have what was acknowledged, lack what was deleted, and what nobody acknowledged is whole.
async fn lists(rest: &Rest, files: &[&Item], tokens: &[&Item], guarded: &Guarded) -> Vec<Loss> {
    let mut losses = Vec::new();
    match expect_done("the list of files", rest.get("Files/Own")).await {
        Ok(list) => {
            losses.extend(compare("file", &list, files.iter().copied()));
            let known: HashSet<&str> = files.iter().map(|item| item.id()).collect();
            let unknown = list.as_array().into_iter().flatten().filter(|file| !known.contains(text_of(&file["id"])));
            losses.extend(join_all(unknown.map(|file| is_whole(rest, file))).await.into_iter().filter_map(Result::err));
        }
        Err(loss) => losses.push(loss),
    }
    match expect_done("the list of tokens", rest.get("Tokens/Own")).await {
        Ok(list) => {
            losses.extend(compare("token", &list, tokens.iter().copied().filter(|token| !token.is_ephemeral())));
            for token in list.as_array().into_iter().flatten() {
                if !token["content"].is_object() || !text_of(&token["reference"]["url"]).contains("/r/TOK") {
                    losses.push(Loss(format!("half a token: {token}")));
                }
            }
            if let Some(id) = &guarded.token
                && !ids(&list).contains_key(id.as_str())
            {
                losses.push(Loss(format!("token {id} with a password is not listed")));
            }
        }
        Err(loss) => losses.push(loss),
    }
    losses
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// How often each id is listed.
fn ids(list: &Value) -> HashMap<&str, usize> {
    let mut ids = HashMap::new();
    for item in list.as_array().into_iter().flatten() {
        *ids.entry(text_of(&item["id"])).or_default() += 1;
    }
    ids
}

fn compare<'a>(what: &str, list: &Value, items: impl Iterator<Item = &'a Item>) -> Vec<Loss> {
    let ids = ids(list);
    let mut losses = Vec::new();
    for item in items {
        let times = ids.get(item.id()).copied().unwrap_or(0);
        let is_right = match item.state {
            State::Present => times == 1,
            State::InDoubt => times <= 1,
            State::Deleted => times == 0,
        };
        if !is_right {
            losses.push(Loss(format!("{what} {} ({:?}) is listed {times} times", item.id(), item.state)));
        }
    }
    losses
}

/// An entry has the value that was acknowledged last, or one that was requested since.
async fn entry(rest: &Rest, worker: &Worker) -> Result<(), Loss> {
    let (acknowledged, requested) = worker.entry;
    if acknowledged == 0 {
        return Ok(());
    }
    let info = expect_done("who it is", rest.get("Account/IdentityInfo")).await?;
    let query = [("reference", text_of(&info["address"])), ("key", &worker.name)];
    let what = format!("entry of {}", worker.name);
    let found = expect_done(&what, rest.get("IdentityMetadata").query(&query)).await?;
    match found["value"]["count"].as_u64() {
        Some(count) if (acknowledged..=requested).contains(&count) => Ok(()),
        count => Err(Loss(format!("{what}: {acknowledged} was acknowledged, {requested} requested, found {count:?}"))),
    }
}

/// A challenge is still known. Only its backbone says so, and only to who is logged in.
async fn challenge(backbone: &str, login: &str, worker: &Worker) -> Result<(), Loss> {
    let Some(challenge) = &worker.challenge else { return Ok(()) };
    let url = format!("{backbone}/api/v2/Challenges/{}", text_of(&challenge["id"]));
    let found = expect_done("challenge", http().get(url).header("authorization", login)).await?;
    expect_equal("challenge", &challenge["id"], &found["id"])
}

/// The wrong passwords that were answered are still counted: guessing on locks the token when it must.
async fn counters(backbone: &str, guarded: &Guarded) -> Result<(), Loss> {
    let Some(token) = &guarded.token else { return Ok(()) };
    let client = http();
    let guesses = (0..LOCK_AFTER).map(|number| guess_once(&client, backbone, token, number));
    let statuses = join_all(guesses).await;
    let count = |wanted| statuses.iter().filter(|status| **status == Some(wanted)).count();
    let (refused, locked) = (count(404), count(400));
    if refused + locked != LOCK_AFTER {
        return Err(Loss(format!("wrong passwords for token {token} were answered with {statuses:?}")));
    }
    // The hundredth is told that the token is locked.
    let Some(counted) = (LOCK_AFTER - 1).checked_sub(refused) else {
        return Err(Loss(format!("token {token} does not lock: it is gone")));
    };
    if (guarded.refused..=guarded.sent).contains(&counted) {
        return Ok(());
    }
    let (refused, sent) = (guarded.refused, guarded.sent);
    Err(Loss(format!("token {token} counts {counted} wrong passwords; {refused} were answered, {sent} sent")))
}
