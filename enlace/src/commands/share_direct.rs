//! `enlace share --direct-only`: receivers load the file from this machine, and no backbone is told of it. A running process is sent the
//! file: a key to its interface is not a right to have it read files.

use std::convert::Infallible;

use runtime::dto::Token;
use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use runtime::{Event, EventReceiver, TokenId};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::share_result::SharedFile;
use crate::access::{Access, NewFile};
use crate::code::Kind;
use crate::failure::Failure;
use crate::format::Format;
use crate::output::Output;
use crate::progress::ProgressOutput;
use crate::rest_lines::Lines;
use crate::source_file::SourceFile;

/// Refuses what cannot be read again whenever a receiver asks for it.
///
/// # Errors
/// A failure that names the next step.
pub(super) fn check(source: &SourceFile, format: Format) -> Result<(), Failure> {
    format.check_direct()?;
    match source.is_files() {
        true => Ok(()),
        false => Err(Failure::usage("only files on this machine can be shared without a backbone")
            .hint("save it to a file and share that, or omit --direct-only")),
    }
}

/// A share that lasts.
pub(super) enum DirectShare {
    /// At the node in this process, until [`stop`](Self::stop).
    Here(TokenId),
    /// At that of another one, until it is dropped.
    There(Lines),
}

impl DirectShare {
    /// Waits until a running process has ended it; those of this process do not end by themselves.
    ///
    /// # Errors
    /// A failure that says so.
    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::There(lines) => {
                let _: Result<Value, _> = lines.next().await;
                Err(Failure::new(Kind::Network, "the running process has ended, and the share with it")
                    .hint("start it and run the same command again"))
            }
        }
    }

    /// Ends it.
    pub(super) async fn stop(self, access: &Access) {
        if let (Self::Here(token), Access::Here(node)) = (self, access)
            && let Err(error) = node.runtime.files().stop_sharing(&token).await
        {
            tracing::warn!(%error, "the share did not end; it ends when it expires");
        }
    }
}

/// Notices that a file is not what it was when it was shared.
pub(super) struct Loss {
    events: Option<EventReceiver>,
    id: String,
    name: String,
}

impl Loss {
    /// From now on. A running process has a copy.
    pub(super) fn of(access: &Access, shared: &SharedFile) -> Self {
        let events = match access {
            Access::Here(node) => Some(node.runtime.events()),
            Access::There { .. } => None,
        };
        let name = shared.json["filename"].as_str().unwrap_or_default().to_owned();
        Self { events, id: shared.id.clone(), name }
    }

    /// Warns once if somebody asks for the file in vain. Never ends.
    pub(super) async fn warn(self, output: Output) -> Infallible {
        if let Some(mut events) = self.events {
            loop {
                match events.recv().await {
                    Ok(Event::SharedFileLost(file)) if file.as_str() == self.id => break,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return std::future::pending().await,
                }
            }
            output.warning(
                &format!("{} has changed or is gone, so nobody receives it any more", self.name),
                "end this command and run it again; it prints another reference",
            );
        }
        std::future::pending().await
    }
}

/// Shares files until the share is stopped, or until they change. A running process gets a copy.
///
/// # Errors
/// A failure if they cannot be read, no peer can reach the node, or a running process has no room for a copy or does not know paths.
pub(super) async fn share(
    access: &Access,
    source: SourceFile,
    format: Format,
    terms: CreateTokenForFile,
    progress: &ProgressOutput,
) -> Result<(SharedFile, Token, DirectShare), Failure> {
    access.check_paths(terms.terms.transports).await?;
    let (name, media_type, length) = (source.name.clone(), source.media_type(), source.length);
    let reading = source.read_failure();
    progress.begin(length);
    let request = NewFile::new(source, format).into_request()?;
    let shared = begin(access, request, length, terms, progress).await;
    progress.finish();
    let (token, share) = shared.map_err(|failure| reading.explain(failure))?;
    let content: Value = serde_json::from_str(token.content.as_str()).unwrap_or_default();
    let id = content["fileId"].as_str().unwrap_or_default().to_owned();
    let json = json!({
        "id": id, "filename": name, "filesize": length, "mimetype": media_type.as_str(), "format": "v2",
        "createdAt": token.created_at, "expiresAt": token.expires_at, "isOwn": true,
    });
    Ok((SharedFile { id, size: length, json }, token, share))
}

async fn begin(
    access: &Access,
    request: UploadOwnFile,
    length: u64,
    terms: CreateTokenForFile,
    progress: &ProgressOutput,
) -> Result<(Token, DirectShare), Failure> {
    match access {
        Access::Here(node) => {
            progress.step("hashing", Some(length));
            let request = UploadOwnFile { observer: Some(progress.observer()), ..request };
            let token = node.runtime.files().share_directly(request, terms).await?;
            let share = DirectShare::Here(token.id.clone());
            Ok((token, share))
        }
        Access::There { client, .. } => {
            progress.step("sending", Some(length));
            let (token, lines) = client.share_directly(request, length, &terms, progress).await?;
            Ok((token, DirectShare::There(lines)))
        }
    }
}
