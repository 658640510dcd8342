//! What a hostile guest does, all at once and as fast as it can.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enlace_tests::http;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::guest::{CLIENT, Guest};

/// Bytes of each upload.
const UPLOAD_BYTES: usize = 5_000_000;
/// Bytes of token contents that are sent but for the last one.
const UNFINISHED_BYTES: usize = 10_000_000;
/// Connections that say nothing, and as many that never finish a request.
const HELD_CONNECTIONS: usize = 1_000;
/// Bodies of a logged-in guest that never end.
const LARGE_BODIES: usize = 50;
const LOGINS_AT_ONCE: usize = 20;

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) refused: u64,
    pub(crate) challenges: u64,
    pub(crate) uploads: u64,
    pub(crate) empty_tokens: u64,
    pub(crate) guests: u64,
    pub(crate) logins: u64,
    pub(crate) wrong_passwords_judged: usize,
    pub(crate) locked: u64,
}

#[derive(Default)]
struct Counts {
    refused: AtomicU64,
    challenges: AtomicU64,
    uploads: AtomicU64,
    empty_tokens: AtomicU64,
    guests: AtomicU64,
    logins: AtomicU64,
    not_found: AtomicU64,
    locked: AtomicU64,
}

impl Counts {
    /// Counts an answer as done, or as refused because it is too much.
    fn note(&self, answer: Option<&Response>, done: &AtomicU64) {
        let Some(answer) = answer else { return };
        if answer.status().is_success() {
            done.fetch_add(1, Ordering::Relaxed);
        } else if [StatusCode::TOO_MANY_REQUESTS, StatusCode::INSUFFICIENT_STORAGE].contains(&answer.status()) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Attacks that go on until they are stopped.
pub(crate) struct Attacks {
    tasks: JoinSet<()>,
    counts: Arc<Counts>,
}

impl Attacks {
    /// Starts all of them against a backbone. `bait` is the id of a token with a password.
    pub(crate) fn start(backbone: &str, guest: Arc<Guest>, bait: &str) -> Self {
        let mut attacks = Self { tasks: JoinSet::new(), counts: Arc::default() };
        let port = backbone.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        attacks.hold(server, HELD_CONNECTIONS, Vec::new());
        attacks.hold(server, HELD_CONNECTIONS, unfinished("/connect/token", "", 8_000, 7_999));
        let bearer = format!("authorization: Bearer {}\r\n", guest.token());
        attacks.hold(
            server,
            LARGE_BODIES,
            unfinished("/api/v2/Tokens", &bearer, UNFINISHED_BYTES + 1, UNFINISHED_BYTES),
        );
        attacks.flood(backbone, guest, bait);
        attacks
    }

    fn flood(&mut self, backbone: &str, guest: Arc<Guest>, bait: &str) {
        let api = format!("{backbone}/api/v2");
        for _ in 0..2 {
            let url = format!("{api}/Challenges");
            self.repeat(move |http, counts| {
                let request = http.post(&url);
                async move { counts.note(request.send().await.ok().as_ref(), &counts.challenges) }
            });
            let (url, guest) = (format!("{api}/Files"), guest.clone());
            self.repeat(move |http, counts| {
                let request = guest.sign(http.post(&url)).multipart(upload());
                async move { counts.note(request.send().await.ok().as_ref(), &counts.uploads) }
            });
            let url = format!("{api}/Tokens/{bait}?password=d3Jvbmc=");
            self.repeat(move |http, counts| {
                let request = http.get(&url);
                async move { counts.note_guess(request.send().await.ok()) }
            });
        }
        let url = format!("{api}/Tokens");
        self.repeat(move |http, counts| {
            let expires_at = time_in_a_minute();
            let request = http.post(&url).json(&json!({ "expiresAt": expires_at }));
            async move { counts.note(request.send().await.ok().as_ref(), &counts.empty_tokens) }
        });
        let url = backbone.to_owned();
        self.repeat(move |http, counts| {
            let (http, url) = (http.clone(), url.clone());
            async move { counts.note_guest(Guest::create(&http, &url).await) }
        });
        for _ in 0..LOGINS_AT_ONCE {
            let url = format!("{backbone}/connect/token");
            self.repeat(move |http, counts| {
                let request = http.post(&url).form(&wrong_login());
                async move {
                    if request.send().await.is_ok() {
                        counts.logins.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    }

    /// Ends them. Returns what came of them.
    pub(crate) async fn stop(mut self) -> Found {
        self.tasks.shutdown().await;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        Found {
            refused: of(&counts.refused),
            challenges: of(&counts.challenges),
            uploads: of(&counts.uploads),
            empty_tokens: of(&counts.empty_tokens),
            guests: of(&counts.guests),
            logins: of(&counts.logins),
            wrong_passwords_judged: usize::try_from(of(&counts.not_found)).unwrap(),
            locked: of(&counts.locked),
        }
    }

    /// Does something again as soon as it is done.
    fn repeat<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        attack: impl Fn(&Client, Arc<Counts>) -> F + Send + Sync + 'static,
    ) {
        let counts = self.counts.clone();
        self.tasks.spawn(async move {
            let http = http();
            loop {
                attack(&http, counts.clone()).await;
                // Where everything fails at once, the others get their turn.
                tokio::task::yield_now().await;
            }
        });
    }

    /// Keeps so many connections open that have sent `start`; those that are closed are opened again.
    fn hold(&mut self, server: SocketAddr, connections: usize, start: Vec<u8>) {
        let start: Arc<[u8]> = start.into();
        for _ in 0..connections {
            let start = start.clone();
            self.tasks.spawn(async move {
                loop {
                    hold_one(server, &start).await;
                    tokio::task::yield_now().await;
                }
            });
        }
    }
}

impl Counts {
    fn note_guess(&self, answer: Option<Response>) {
        match answer.map(|answer| answer.status()) {
            Some(StatusCode::NOT_FOUND) => self.not_found.fetch_add(1, Ordering::Relaxed),
            Some(StatusCode::BAD_REQUEST) => self.locked.fetch_add(1, Ordering::Relaxed),
            Some(StatusCode::TOO_MANY_REQUESTS) => self.refused.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn note_guest(&self, outcome: Result<Guest, Option<Response>>) {
        match outcome {
            Ok(_) => _ = self.guests.fetch_add(1, Ordering::Relaxed),
            Err(answer) => self.note(answer.as_ref(), &self.guests),
        }
    }
}

/// Until the other side closes the connection.
async fn hold_one(server: SocketAddr, start: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(server).await else { return };
    if stream.write_all(start).await.is_ok() {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// A request of which `sent` of `length` bytes of the body are there.
fn unfinished(path: &str, headers: &str, length: usize, sent: usize) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &b"{\"content\":\""[..], &vec![b'A'; sent - 12]].concat()
}

fn upload() -> Form {
    let content = Part::bytes(vec![1; UPLOAD_BYTES]).file_name("cipher.bin");
    Form::new()
        .part("content", content)
        .text("cipherHash", "AAAA")
        .text("ownerSignature", "AAAA")
        .text("encryptedProperties", "AAAA")
        .text("expiresAt", time_in_a_minute())
}

fn wrong_login() -> Vec<(&'static str, String)> {
    static TRIED: AtomicU64 = AtomicU64::new(0);
    let username = format!("USR{:017}", TRIED.fetch_add(1, Ordering::Relaxed));
    vec![
        ("grant_type", "password".to_owned()),
        ("client_id", CLIENT.to_owned()),
        ("client_secret", CLIENT.to_owned()),
        ("username", username),
        ("password", "wrong".to_owned()),
    ]
}

fn time_in_a_minute() -> String {
    let now = transport::wire::Timestamp::from(std::time::SystemTime::now());
    now.saturating_add(std::time::Duration::from_secs(60)).to_string()
}
