//! What `enlace share` says when a reference can be used.

use runtime::dto::{Connectivity, File, Token};
use runtime::source::{EntryKind, Manifest};
use runtime::{PassedOn, best_addresses};
use serde_json::{Value, json};

use super::next_steps::{NextSteps, ServedBy};
use super::{shape, share_code};
use crate::access::Access;
use crate::failure::Failure;
use crate::output::{Output, bytes, printable};
use crate::peer_address::short_address;
use crate::server::Served;
use crate::{qr, time};

/// Where the node that serves can be asked.
pub(super) struct Interface {
    /// `{"url", "listen", "apiKeyFile"}`, or nothing if it is off.
    rest: Value,
    backbone_url: String,
    served_by: ServedBy,
    /// How peers reach it, unless they cannot.
    peer: Option<Connectivity>,
}

impl Interface {
    pub(super) async fn of(access: &Access, served: Option<&Served>) -> Self {
        match access {
            Access::Here(node) => Self {
                peer: node.runtime.peers().connectivity(),
                rest: served.map_or(Value::Null, Served::json),
                backbone_url: node.backbone_url.clone(),
                served_by: if node.backbone.is_some() { ServedBy::This } else { ServedBy::Backbone },
            },
            Access::There { client, running } => Self {
                // An earlier version does not say.
                peer: client.peers().await.ok().and_then(|shown| shown.this),
                rest: running.json(),
                backbone_url: running.backbone_url.clone(),
                served_by: ServedBy::Other(running.pid),
            },
        }
    }

    /// The same for what is at no backbone.
    pub(super) fn alone(self, is_alone: bool) -> Self {
        let served_by = if is_alone { ServedBy::Alone } else { self.served_by };
        Self { served_by, ..self }
    }

    /// The reference to pass on.
    pub(super) fn passed_on(&self, token: &Token) -> PassedOn {
        PassedOn::of_token(token, self.peer.as_ref(), self.served_by == ServedBy::Alone)
    }
}

/// The peer for scripts.
pub(super) fn peer_json(peer: Option<&Connectivity>) -> Value {
    peer.map_or(Value::Null, |peer| json!({ "id": peer.id, "addresses": best_addresses(peer.addresses.clone()) }))
}

/// What can be loaded now.
pub(super) struct Shared {
    pub(super) file: SharedFile,
    pub(super) token: Token,
    /// Bytes that an earlier run had sent.
    pub(super) resumed: u64,
    /// Of several: path and size of each.
    pub(super) files: Option<Value>,
}

/// The file that was shared.
pub(super) struct SharedFile {
    pub(super) id: String,
    /// Bytes.
    pub(super) size: u64,
    /// For scripts.
    pub(super) json: Value,
}

impl From<&File> for SharedFile {
    fn from(file: &File) -> Self {
        let json = serde_json::to_value(shape::file(file)).unwrap_or_default();
        Self { id: file.id.to_string(), size: file.filesize, json }
    }
}

/// The files of a list of files and folders, for scripts.
pub(super) fn files_of(manifest: &Manifest) -> Value {
    let files = manifest.entries().iter().filter(|entry| entry.kind != EntryKind::Folder);
    files.map(|entry| json!({ "path": entry.path.as_str(), "bytes": entry.size() })).collect()
}

/// Prints it, without a QR code if the first of the options says so. The other one leads other commands to the same node.
pub(super) fn print(
    shared: &Shared,
    interface: &Interface,
    (passed_on, code): (&PassedOn, Option<&share_code::Offer>),
    (no_qr, options): (bool, String),
    output: Output,
) -> Result<(), Failure> {
    let Shared { file, token, resumed, files } = shared;
    let mut value = json!({
        "token": shape::token(token),
        "reference": passed_on.reference,
        "file": file.json,
        "resumed": resumed,
        "rest": interface.rest,
        "backbone": { "url": interface.backbone_url },
        "peer": peer_json(interface.peer.as_ref()),
    });
    if let Some(code) = code {
        value["code"] = json!(code.text());
        value["codeExpiresAt"] = json!(code.expires_at());
    }
    if let Some(files) = files {
        value["files"] = files.clone();
    }
    if !no_qr && let Some(code) = qr::terminal(&passed_on.reference, passed_on.for_others) {
        output.talk(code);
    }
    output.data(&value, || {
        let mut rows = rows(file, token, passed_on, interface);
        rows.extend(code.map(|code| ("Code", format!("{}, until {}", code.text(), time::expiry(code.expires_at())))));
        shape::labelled(&rows)
    })?;
    let steps = NextSteps { token, passed_on, file: &file.id, served_by: interface.served_by, options };
    if let Some(code) = code {
        share_code::show(code, &interface.backbone_url, output);
    }
    steps.lines().iter().for_each(|line| output.talk(printable(line)));
    Ok(())
}

fn rows(file: &SharedFile, token: &Token, passed_on: &PassedOn, interface: &Interface) -> Vec<(&'static str, String)> {
    let rest = |member: &str| interface.rest[member].as_str().map(str::to_owned);
    let mut rows = vec![("Reference", passed_on.reference.clone())];
    // It has no room for addresses.
    rows.extend((!passed_on.is_direct).then(|| ("Truncated", token.reference.truncated.clone())));
    rows.push(("Expires", time::expiry(token.expires_at)));
    rows.extend(token.for_identity.as_ref().map(|address| ("Only for", address.to_string())));
    rows.extend(token.password_protection.as_ref().map(|_| ("Password", "needed".to_owned())));
    rows.extend([
        ("File", format!("{} ({})", file.id, bytes(file.size))),
        ("Peers", peers(interface.peer.as_ref())),
        ("REST API", rest("url").map_or_else(|| "off".to_owned(), |url| format!("{url}/api/v2"))),
        ("API key", rest("apiKeyFile").unwrap_or_default()),
    ]);
    rows
}

/// Where peers connect, in short.
fn peers(peer: Option<&Connectivity>) -> String {
    const SHOWN: usize = 4;
    let Some(peer) = peer else { return "off".to_owned() };
    let best = best_addresses(peer.addresses.clone());
    let mut addresses: Vec<String> = best.iter().take(SHOWN).map(|text| short_address(text)).collect();
    match peer.addresses.len() {
        0 => return "none can connect".to_owned(),
        count if count > SHOWN => addresses.push(format!("and {} more", count - SHOWN)),
        _ => {}
    }
    addresses.join(", ")
}
