//! Files that are shared without a backbone. Each share lives as long as the request that asks for it.
//!
//! The file is sent: no request names a file of this machine, because a key to the interface is not a right to read them.

use runtime::dto::Token;
use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use runtime::{Runtime, TokenId};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use utoipa::ToSchema;

use super::{files, streamed_upload};
use crate::connector::Call;
use crate::lines::lines;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// The field with the terms.
const TERMS: &str = "terms";

/// The fields of the form, which precede the file; others mean nothing.
pub(crate) fn form() -> Object {
    streamed_upload::with_several(super::upload::form()).optional(
        TERMS,
        ValueRule::Text(0),
        "Terms of the token as JSON text: an object as POST Files/{id}/Token takes it. Default: anybody, until the file expires.",
    )
}

/// A file that is shared while the request lasts: the first line of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = DirectShare)]
pub(crate) struct DirectShare {
    /// The token that shares it.
    token: Token,
    /// The reference to pass on: with addresses of this node, which is the only one that has the file.
    reference: String,
}

/// The share has ended because the node stops: the last line of the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndedShare)]
pub(crate) struct EndedShare {
    /// Always `stopped`.
    end: &'static str,
}

/// `POST Files/Direct`
pub(crate) async fn share(mut call: Call) -> Result<Reply, Problem> {
    let (runtime, stopping) = (call.runtime().clone(), call.stopping.clone());
    let begin = async |request, fields: Value| {
        let terms = terms(&fields)?;
        Share::begin(runtime, streamed_upload::with_manifest(request, &fields).await?, terms).await
    };
    let (token, share) = streamed_upload::received(&mut call, form(), begin).await?;
    let reference = call.runtime().peers().passed_on(&token)?.reference;
    Ok(lines(&DirectShare { token, reference }, async move {
        stopping.cancelled().await;
        share.end().await;
        EndedShare { end: "stopped" }
    }))
}

/// Terms in a field of the form, by the rules of `POST Files/{id}/Token`.
fn terms(fields: &Value) -> Result<CreateTokenForFile, Problem> {
    let Some(text) = fields[TERMS].as_str() else { return Ok(CreateTokenForFile::default()) };
    let value = serde_json::from_str(text).map_err(|_| Problem::invalid_property("terms must be JSON"))?;
    files::sharing().read(value)
}

/// A share that ends when this is dropped.
struct Share {
    /// Dropped to end it.
    lasting: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Share {
    /// A task of its own shares the file and ends the share, so that nothing is left of a request that is given up.
    async fn begin(
        runtime: Runtime,
        request: UploadOwnFile,
        terms: CreateTokenForFile,
    ) -> Result<(Token, Self), Problem> {
        let (tell, told) = oneshot::channel();
        let (lasting, gone) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let files = runtime.files();
            let shared = files.share_directly(request, terms).await;
            let id = shared.as_ref().ok().map(|token| token.id.clone());
            // Nobody waits for it if the request was given up.
            if tell.send(shared).is_ok() {
                let _ = gone.await;
            }
            if let Some(id) = id {
                stop(&runtime, &id).await;
            }
        });
        let token = told.await.map_err(|_| Problem::unexpected())??;
        Ok((token, Self { lasting, task }))
    }

    /// Ends it, and waits until it has ended.
    async fn end(self) {
        drop(self.lasting);
        let _ = self.task.await;
    }
}

async fn stop(runtime: &Runtime, token: &TokenId) {
    if let Err(error) = runtime.files().stop_sharing(token).await {
        tracing::warn!(%error, "a direct share did not end; it ends when the node stops");
    }
}
