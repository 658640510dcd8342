//! Resident memory after a mixed load.

use enlace_benches::Result;
use enlace_benches::connection::Connection;
use enlace_benches::load::{Clients, Until};
use enlace_benches::process::Pair;
use enlace_benches::table::{self, figure};
use serde_json::json;

use crate::Common;

const MIB: usize = 1024 * 1024;
/// Number of tokens of each kind; the stored ones are listed.
const TOKENS: u64 = 10_000;
/// Number of tokens with a password.
const PASSWORD_TOKENS: u64 = 120;
/// Number of concurrent clients.
const CLIENTS: usize = 16;
/// Number of times all stored tokens are listed.
const LISTS: usize = 10;
/// Number of files of each size from 1 to 5 MiB, uploaded and downloaded.
const FILES: usize = 4;

pub(crate) async fn run(common: &Common) -> Result<()> {
    let scratch = common.scratch()?;
    let mut rows = Vec::new();
    for (name, program) in common.programs() {
        let pair = Pair::start(program, &scratch.path().join(name)).await?;
        for (step, after) in
            ["start", "ephemeral tokens", "stored tokens", "password tokens", "files", "lists"].iter().enumerate()
        {
            match step {
                0 => {}
                1 => tokens(&pair, TOKENS, json!({})).await?,
                2 => tokens(&pair, TOKENS, json!({ "ephemeral": false })).await?,
                3 => tokens(&pair, PASSWORD_TOKENS, password()).await?,
                4 => files(&pair).await?,
                _ => lists(&pair).await?,
            }
            pair.settle().await?;
            let (backbone, node) = pair.memory()?;
            let cells = [backbone.resident, backbone.peak, node.resident, node.peak].map(figure);
            rows.push([vec![format!("{name}: after {after}")], cells.to_vec()].concat());
            eprintln!("{name}: {after}");
        }
    }
    println!("\nResident memory in MiB, and its peak so far:\n");
    table::print(&["side", "backbone", "peak", "node", "peak"], &rows);
    Ok(())
}

/// Terms of a token with a PIN.
pub(crate) fn password() -> serde_json::Value {
    json!({ "passwordProtection": { "password": "271828", "passwordIsPin": true } })
}

async fn tokens(pair: &Pair, count: u64, terms: serde_json::Value) -> Result<()> {
    Clients::connect(&pair.authority, CLIENTS, pair.token(&terms)).await?.run(Until::Count(count)).await?;
    Ok(())
}

async fn files(pair: &Pair) -> Result<()> {
    let mut connection = Connection::open(&pair.authority).await?;
    for size in (1..=5).map(|size| size * MIB) {
        let content = vec![0x2a; size];
        for _ in 0..FILES {
            let id = pair.upload(&content).await?;
            let answer = connection.discard(&pair.get(&format!("Files/{id}/Download"))).await?;
            if answer.status != 200 || answer.length != size as u64 {
                return Err(
                    format!("a download was answered with {} and {} bytes", answer.status, answer.length).into()
                );
            }
        }
    }
    Ok(())
}

async fn lists(pair: &Pair) -> Result<()> {
    let mut connection = Connection::open(&pair.authority).await?;
    for _ in 0..LISTS {
        connection.discard(&pair.get("Tokens/Own")).await?;
    }
    Ok(())
}
