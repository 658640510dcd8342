//! An upper bound for two processes: receive JSON, forward it, make one durable write, answer JSON. No cryptography, no rules.
//!
//! `front` replaces a node and `back` a backbone; bodies have the same lengths.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use clap::{Parser, Subcommand};
use enlace_benches::Result;
use enlace_benches::commit::{Log, RECORD_BYTES};
use enlace_benches::connection::{Connection, Request};
use serde::{Deserialize, Serialize};

/// Bytes of the sealed content that a node sends.
const CONTENT_BYTES: usize = 376;
/// Bytes of the reference in an answer.
const REFERENCE_BYTES: usize = 124;

/// Two minimal processes as the limit of what a node and a backbone can reach.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand)]
enum Side {
    /// Forwards requests to the back.
    Front {
        /// Authority of the back, `host:port`.
        #[arg(long)]
        back: String,
        /// Commits per request: 2 makes the front commit as well, after the back.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        commits: u8,
        /// Directory to which the front commits.
        #[arg(long, required_if_eq("commits", "2"))]
        dir: Option<PathBuf>,
    },
    /// Commits a record per request.
    Back {
        /// Directory to which it commits.
        #[arg(long)]
        dir: PathBuf,
    },
}

/// A client's request to the front.
#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "ephemeral")]
    _ephemeral: Option<bool>,
}

/// The front's request to the back.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    content: String,
    expires_at: String,
}

/// The back's answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    id: String,
    created_at: String,
}

/// The front's answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    id: String,
    created_at: String,
    expires_at: String,
    created_by: &'static str,
    content: String,
    truncated_reference: String,
    reference: String,
}

struct Front {
    back: String,
    idle: Mutex<Vec<Connection>>,
    log: Option<Log>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let router = match Arguments::parse().side {
        Side::Front { back, commits, dir } => {
            let log = match dir {
                Some(dir) if commits == 2 => Some(Log::create(&dir.join("front"))?),
                _ => None,
            };
            let front = Front { back, idle: Mutex::default(), log };
            Router::new().route("/", post(ask)).with_state(Arc::new(front))
        }
        Side::Back { dir } => Router::new().route("/", post(create)).with_state(Log::create(&dir.join("back"))?),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", serde_json::json!({ "authority": listener.local_addr()?.to_string() }));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

async fn create(State(log): State<Log>, Json(creation): Json<Creation>) -> (StatusCode, Json<Created>) {
    let mut record = creation.content.into_bytes();
    record.resize(RECORD_BYTES, b' ');
    log.commit(&record).await;
    let created = Created { id: "TOKdZp1cjeGB4PqLouad".to_owned(), created_at: creation.expires_at };
    (StatusCode::CREATED, Json(created))
}

async fn ask(State(front): State<Arc<Front>>, Json(_): Json<Asked>) -> (StatusCode, Json<Token>) {
    let creation = Creation { content: "c".repeat(CONTENT_BYTES), expires_at: "9999-12-31T00:00:00.000Z".to_owned() };
    let created = front.create(&creation).await.expect("the back answers");
    if let Some(log) = &front.log {
        let mut record = creation.content.into_bytes();
        record.resize(RECORD_BYTES, b' ');
        log.commit(&record).await;
    }
    let token = Token {
        id: created.id,
        created_at: created.created_at,
        expires_at: creation.expires_at,
        created_by: "did:e:localhost:dids:a4daeb791e92065945558c",
        content: "c".repeat(REFERENCE_BYTES),
        truncated_reference: "r".repeat(REFERENCE_BYTES),
        reference: "u".repeat(2 * REFERENCE_BYTES),
    };
    (StatusCode::CREATED, Json(token))
}

impl Front {
    async fn create(&self, creation: &Creation) -> Result<Created> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.back).await?,
        };
        let mut body = Vec::new();
        let request = Request::json("/", &[], &serde_json::to_vec(creation)?);
        connection.exchange(&request, &mut body).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(serde_json::from_slice(&body)?)
    }
}
