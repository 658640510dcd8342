//! What a backbone may offer beside the published interface.

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::bounds::AnswerBounds;
use super::http::{Http, accepted, read_body, within};
use super::{Error, envelope};

/// What a backbone says about something that it offers; `None` if it has no such path. Needs no login and is not retried.
///
/// # Errors
/// [`Error`], as for every call.
pub(super) async fn offered<T: DeserializeOwned>(http: &Http, path: &str) -> Result<Option<T>, Error> {
    let (bounds, label) = (AnswerBounds::RECORD, format!("GET {path}"));
    within(http.config().timeout, &label, async {
        let request = http.builder(Method::GET, http.root_url(path));
        let response = request.send().await.map_err(|error| Error::network(error, &label))?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(None);
        }
        let body = read_body(accepted(response, &label).await?, bounds.bytes, &label).await?;
        Ok(Some(envelope::read(&body.bytes, bounds, &label)?.value))
    })
    .await
}
