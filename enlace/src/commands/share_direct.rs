//! `enlace share --direct-only`: receivers load the file from this machine, and no backbone is told of it.

use runtime::dto::Token;
use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use serde_json::{Value, json};

use super::share_result::SharedFile;
use crate::access::{Access, NewFile};
use crate::failure::Failure;
use crate::format::Format;
use crate::progress::ProgressOutput;
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

/// Shares files until [`stop`], or until they change.
///
/// # Errors
/// A failure if they cannot be read, or no peer can reach this node.
pub(super) async fn share(
    access: &Access,
    source: SourceFile,
    format: Format,
    terms: CreateTokenForFile,
    progress: &ProgressOutput,
) -> Result<(SharedFile, Token), Failure> {
    let Access::Here(node) = access else {
        return Err(Failure::usage("a running process cannot share a file without a backbone"));
    };
    let (name, media_type, length) = (source.name.clone(), source.media_type(), source.length);
    let reading = source.read_failure();
    progress.begin(length);
    progress.step("hashing", Some(length));
    let request = UploadOwnFile { observer: Some(progress.observer()), ..NewFile::new(source, format).into_request()? };
    let shared = node.runtime.files().share_directly(request, terms).await;
    progress.finish();
    let token = shared.map_err(|error| reading.explain(error.into()))?;
    let content: Value = serde_json::from_str(token.content.as_str()).unwrap_or_default();
    let id = content["fileId"].as_str().unwrap_or_default().to_owned();
    let json = json!({
        "id": id, "filename": name, "filesize": length, "mimetype": media_type.as_str(), "format": "v2",
        "createdAt": token.created_at, "expiresAt": token.expires_at, "isOwn": true,
    });
    Ok((SharedFile { id, size: length, json }, token))
}

/// Ends a share.
pub(super) async fn stop(access: &Access, token: &Token) {
    if let Access::Here(node) = access
        && let Err(error) = node.runtime.files().stop_sharing(&token.id).await
    {
        tracing::warn!(%error, "the share did not end; it ends when it expires");
    }
}
