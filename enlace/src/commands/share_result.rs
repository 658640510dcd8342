//! What `enlace share` says when a reference can be used.

use runtime::dto::{File, Token};
use runtime::source::{EntryKind, Manifest};
use serde_json::{Value, json};

use super::next_steps::{NextSteps, ServedBy};
use super::shape;
use crate::access::Access;
use crate::failure::Failure;
use crate::output::{Output, bytes, printable};
use crate::server::Served;
use crate::{qr, time};

/// Where the node that serves can be asked.
pub(super) struct Interface {
    /// `{"url", "listen", "apiKeyFile"}`, or nothing if it is off.
    rest: Value,
    backbone_url: String,
    served_by: ServedBy,
}

impl Interface {
    pub(super) fn new(access: &Access, served: Option<&Served>) -> Self {
        match access {
            Access::Here(node) => Self {
                rest: served.map_or(Value::Null, Served::json),
                backbone_url: node.backbone_url.clone(),
                served_by: if node.backbone.is_some() { ServedBy::This } else { ServedBy::Backbone },
            },
            Access::There { running, .. } => Self {
                rest: running.json(),
                backbone_url: running.backbone_url.clone(),
                served_by: ServedBy::Other(running.pid),
            },
        }
    }
}

/// What can be loaded now.
pub(super) struct Shared {
    pub(super) file: File,
    pub(super) token: Token,
    /// Bytes that an earlier run had sent.
    pub(super) resumed: u64,
    /// Of several: path and size of each.
    pub(super) files: Option<Value>,
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
    (no_qr, options): (bool, String),
    output: Output,
) -> Result<(), Failure> {
    let Shared { file, token, resumed, files } = shared;
    let mut value = json!({
        "token": shape::token(token),
        "file": shape::file(file),
        "resumed": resumed,
        "rest": interface.rest,
        "backbone": { "url": interface.backbone_url },
    });
    if let Some(files) = files {
        value["files"] = files.clone();
    }
    if !no_qr && let Some(code) = qr::terminal(&token.reference.url) {
        output.talk(code);
    }
    output.data(&value, || shape::labelled(&rows(file, token, &interface.rest)))?;
    let steps = NextSteps { token, file: file.id.as_str(), served_by: interface.served_by, options };
    steps.lines().iter().for_each(|line| output.talk(printable(line)));
    Ok(())
}

fn rows(file: &File, token: &Token, rest: &Value) -> Vec<(&'static str, String)> {
    let rest = |member: &str| rest[member].as_str().map(str::to_owned);
    let mut rows = vec![
        ("Reference", token.reference.url.clone()),
        ("Truncated", token.reference.truncated.clone()),
        ("Expires", time::expiry(token.expires_at)),
    ];
    rows.extend(token.for_identity.as_ref().map(|address| ("Only for", address.to_string())));
    rows.extend(token.password_protection.as_ref().map(|_| ("Password", "needed".to_owned())));
    rows.extend([
        ("File", format!("{} ({})", file.id, bytes(file.filesize))),
        ("REST API", rest("url").map_or_else(|| "off".to_owned(), |url| format!("{url}/api/v2"))),
        ("API key", rest("apiKeyFile").unwrap_or_default()),
    ]);
    rows
}
