//! Counted uses of tokens at a backbone, beside tokens that are stored there, and through a node.
//!
//! A use is two commits, one after the other: its lease is durable before content may leave, and its end before it is
//! acknowledged. So one client makes at best half as many uses as it stores tokens; several share what the disk does.

use std::time::{Duration, Instant};

use clap::Args;
use enlace_benches::Result;
use enlace_benches::connection::{Connection, Request};
use enlace_benches::load::{Clients, Until};
use enlace_benches::process::Pair;
use enlace_benches::table::{self, figure, median};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use transport::backbone::{Client, ClientConfig, SecretText, new_claim_id};
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{CryptoObject as _, SignatureKeypair};
use transport::identity::generate_device_password;
use transport::wire::backbone::identities::CreateIdentity;
use transport::wire::backbone::token_terms::MAX_USES;

use crate::Common;

const TOKENS: &str = "/api/enlace/v1/Tokens";
const CLIENT_COUNTS: [usize; 2] = [1, 64];

/// Options of `uses`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of a slice.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds, each with a slice of everything.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Rates of a round: tokens stored at the backbone and through the node, uses of a token for each client, and of one token for all.
type Rates = [f64; 4];

pub(crate) async fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let slice = Duration::from_secs(options.seconds);
    for (name, program) in common.programs() {
        let pair = Pair::start(program, &scratch.path().join(name)).await?;
        let owner = Owner::new(&pair.backbone.text("/url")?).await?;
        let mut rows = Vec::new();
        for clients in CLIENT_COUNTS {
            let mut rounds: Vec<Rates> = Vec::new();
            for round in 0..options.rounds {
                rounds.push(owner.round(&pair, clients, slice).await?);
                eprintln!("{name}: {clients} clients, round {round}");
            }
            rows.push(row(name, clients, &rounds));
        }
        println!("\nUses, each a lease and a commit:\n");
        let heading =
            ["side: clients", "tokens/s", "by node/s", "uses/s", "/tokens", "/by node", "of one/s", "/tokens"];
        table::print(&heading, &rows);
    }
    Ok(())
}

fn row(name: &str, clients: usize, rounds: &[Rates]) -> Vec<String> {
    let rate = |index: usize| figure(median(&rounds.iter().map(|it| it[index]).collect::<Vec<_>>()));
    let ratio = |of: usize, to: usize| figure(median(&rounds.iter().map(|it| it[of] / it[to]).collect::<Vec<_>>()));
    let first = format!("{name}: {clients}");
    vec![first, rate(0), rate(1), rate(2), ratio(2, 0), ratio(2, 1), rate(3), ratio(3, 0)]
}

/// An identity that makes tokens at a backbone and uses them for others.
struct Owner {
    /// `host:port` of the backbone.
    authority: String,
    headers: Vec<String>,
}

impl Owner {
    async fn new(url: &str) -> Result<Self> {
        let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let client = Client::new(ClientConfig::new(url, "test", SecretText::new("test")))?;
        let (key, password) = (SignatureKeypair::generate(), generate_device_password());
        let challenge = client.create_challenge().await?;
        let identity = CreateIdentity {
            client_id: "test".to_owned(),
            client_secret: "test".to_owned(),
            identity_public_key: key.public_key().to_byte_text(),
            device_password: password.to_string(),
            device_communication_language: None,
            identity_version: 1,
            signed_challenge: Challenge::new(challenge, ChallengeType::Identity).sign(&key).to_wire(),
        };
        let username = client.create_identity(&identity).await?.device.username;
        let form = [("grant_type", "password"), ("client_id", "test"), ("client_secret", "test")];
        let form = form.into_iter().chain([("username", username.as_str()), ("password", password.as_str())]);
        let form = form.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let header = ["content-type: application/x-www-form-urlencoded".to_owned()];
        let login = Request::new("POST", "/connect/token", &header, form.as_bytes());
        let answer = answer(&mut Connection::open(&authority).await?, &login).await?;
        let token = answer["access_token"].as_str().ok_or("an access token")?;
        Ok(Self { authority, headers: vec![format!("authorization: Bearer {token}")] })
    }

    async fn round(&self, pair: &Pair, clients: usize, slice: Duration) -> Result<Rates> {
        pair.settle().await?;
        let stored = self.rate(&self.authority, clients, self.new_token(None), slice).await?;
        let by_node = self.rate(&pair.authority, clients, pair.token(&json!({})), slice).await?;
        pair.settle().await?;
        let mut own = Vec::new();
        for _ in 0..clients {
            own.push(self.counted_token().await?);
        }
        let each = self.uses(own, slice).await?;
        let shared = self.counted_token().await?;
        Ok([stored, by_node, each, self.uses(vec![shared; clients], slice).await?])
    }

    async fn rate(&self, authority: &str, clients: usize, request: Request, slice: Duration) -> Result<f64> {
        Ok(Clients::connect(authority, clients, request).await?.run(Until::Elapsed(slice)).await?.rate)
    }

    fn new_token(&self, max_uses: Option<u32>) -> Request {
        // As long as what a node stores of a token for a file.
        let body = json!({ "content": "A".repeat(800), "expiresAt": "2099-01-01T00:00:00.000Z", "maxUses": max_uses });
        Request::json(TOKENS, &self.headers, body.to_string().as_bytes())
    }

    async fn counted_token(&self) -> Result<String> {
        let mut connection = Connection::open(&self.authority).await?;
        let created = answer(&mut connection, &self.new_token(Some(MAX_USES))).await?;
        Ok(created["result"]["id"].as_str().ok_or("an id")?.to_owned())
    }

    /// Uses per second of clients, each of which leases and commits uses of one of these tokens.
    async fn uses(&self, tokens: Vec<String>, slice: Duration) -> Result<f64> {
        let mut connections = Vec::new();
        for token in tokens {
            connections.push((Connection::open(&self.authority).await?, token));
        }
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for (mut connection, token) in connections {
            let headers = self.headers.clone();
            clients.spawn(async move {
                let mut count = 0_u32;
                while began.elapsed() < slice {
                    use_once(&mut connection, &token, &headers).await?;
                    count += 1;
                }
                Ok::<_, enlace_benches::Error>(count)
            });
        }
        let mut count = 0;
        while let Some(client) = clients.join_next().await {
            count += client??;
        }
        Ok(f64::from(count) / began.elapsed().as_secs_f64())
    }
}

async fn use_once(connection: &mut Connection, token: &str, headers: &[String]) -> Result<()> {
    let path = format!("{TOKENS}/{token}/Claims/{}", new_claim_id());
    let json = [headers, &["content-type: application/json".to_owned()]].concat();
    for request in
        [Request::new("PUT", &path, &json, b"{}"), Request::new("POST", &format!("{path}/Commit"), headers, b"")]
    {
        let status = connection.discard(&request).await?.status;
        if !(200..300).contains(&status) {
            return Err(format!("a use was answered with {status}").into());
        }
    }
    Ok(())
}

async fn answer(connection: &mut Connection, request: &Request) -> Result<Value> {
    let mut body = Vec::new();
    let status = connection.exchange(request, &mut body).await?.status;
    match status {
        200..300 => Ok(serde_json::from_slice(&body)?),
        _ => Err(format!("a request was answered with {status}: {}", String::from_utf8_lossy(&body)).into()),
    }
}

/// A value of a form.
fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
