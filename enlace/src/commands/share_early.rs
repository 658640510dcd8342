//! `enlace share --early`: the reference is printed when the upload begins.

use runtime::PassedOn;
use runtime::dto::{Connectivity, File, Token};
use runtime::facade::{CreateTokenForFile, EarlyShare, FilesFacade, StartedUpload, UploadOwnFile};
use serde_json::json;
use tokio::sync::oneshot;

use super::shape;
use crate::access::{Access, NewFile};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::ProgressOutput;
use crate::time;

/// Uploads a file in format v2 and prints its reference as soon as others can follow the upload; then it returns the token
/// of that reference.
///
/// # Errors
/// A failure if another process serves the data directory, the file cannot be uploaded or the token cannot be created.
pub(crate) async fn share(
    access: &Access,
    file: NewFile,
    terms: impl FnOnce(&StartedUpload) -> CreateTokenForFile,
    (output, progress): (Output, &ProgressOutput),
) -> Result<(File, Option<Token>), Failure> {
    let Access::Here(node) = access else {
        return Err(Failure::usage("a running process cannot share a file before it is uploaded")
            .hint("stop that process, or omit --early"));
    };
    let (reading, length) = (file.source.read_failure(), file.source.length);
    if file.source.is_files() {
        progress.is_resumable();
    }
    progress.begin(length);
    progress.step("encrypting", Some(length));
    let request = UploadOwnFile { observer: Some(progress.observer()), ..file.into_request()? };
    let (told, started) = oneshot::channel();
    let early = EarlyShare { length: Some(length), ..EarlyShare::new(move |upload| drop(told.send(upload))) };
    let files = node.runtime.files();
    let upload = async { Ok(files.upload_own_file_early(request, early).await?) };
    let peer = node.runtime.peers().connectivity();
    let shared = tokio::try_join!(upload, print(&files, started, terms, peer.as_ref(), output));
    progress.finish();
    shared.map_err(|failure: Failure| reading.explain(failure))
}

/// Prints a reference to the upload once it can be followed; nothing if it never can.
async fn print(
    files: &FilesFacade,
    started: oneshot::Receiver<StartedUpload>,
    terms: impl FnOnce(&StartedUpload) -> CreateTokenForFile,
    peer: Option<&Connectivity>,
    output: Output,
) -> Result<Option<Token>, Failure> {
    let Ok(upload) = started.await else {
        output.talk("others cannot follow this upload; the reference is printed when it has ended");
        return Ok(None);
    };
    let token = files.create_token_for_started_upload(&upload, terms(&upload)).await?;
    let reference = PassedOn::of_token(&token, peer, false).reference;
    output.data(&json!({ "token": shape::token(&token), "reference": reference }), || {
        let rows = [
            ("Reference", reference.clone()),
            ("Truncated", token.reference.truncated.clone()),
            ("Expires", time::expiry(token.expires_at)),
        ];
        shape::labelled(&rows)
    })?;
    output.talk("receivers can use the reference now; keep this command running until the upload has ended");
    Ok(Some(token))
}
