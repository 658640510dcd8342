//! Files whose upload has not ended: showing an own upload, and following that of somebody else.
//!
//! [`UploadSupport::has_preview`](super::UploadSupport::has_preview) says whether the backbone can do this. Nothing of what it
//! says here is verified.

use reqwest::header::RANGE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::bounds::AnswerBounds;
use super::download::begins_at;
use super::http::{accepted, read_body, within};
use super::{Download, Error, Session, envelope};
use crate::wire::backbone::previews::{self, CreatedPreview, FilePreview, NewPreview};
use crate::wire::backbone::uploads;
use crate::wire::{FileId, UploadId};

impl Session {
    /// Shows an unfinished upload to everybody who may read files, or replaces what is shown of it.
    ///
    /// # Errors
    /// [`Error`]; [`uploads::code::NOT_PREVIEWABLE`] for uploads that have parts.
    pub async fn preview_upload(&self, id: &UploadId, preview: &NewPreview) -> Result<CreatedPreview, Error> {
        let route = Route::new(Method::PUT, format!("{}/{id}{}", uploads::PATH, previews::PREVIEW));
        self.json_of(&route, AnswerBounds::RECORD, |request| request.json(preview)).await
    }

    /// What is shown of a file whose upload goes on or has ended.
    ///
    /// # Errors
    /// [`Error::is_record_not_found`] if there is no such upload, nobody shows it, or it was given up; [`Error::NotFound`] if
    /// the backbone does not know the call.
    pub async fn file_preview(&self, id: &FileId) -> Result<FilePreview, Error> {
        let route = Route::new(Method::GET, format!("{}/{id}{}", previews::FILES_PATH, previews::PREVIEW));
        self.json_of(&route, AnswerBounds::FILE_METADATA, |request| request).await
    }

    /// Follows an upload: bytes from `offset` on, at most `limit` of them. The download ends without an error when the file
    /// exists and these were all of its bytes. A network error says that the upload goes on or was given up: ask
    /// [`file_preview`](Self::file_preview) which.
    ///
    /// # Errors
    /// [`Error::is_record_not_found`] as for the preview, 416 if there are fewer bytes than `offset`, 429 and 503 if too many
    /// follow uploads, [`Error::Malformed`] if the backbone sends another range.
    pub async fn follow_file(&self, id: &FileId, offset: u64, limit: u64) -> Result<Download, Error> {
        let route = Route::new(Method::GET, format!("{}/{id}{}", previews::FILES_PATH, previews::CONTENT));
        let timeout = self.config().timeout;
        let request = |request: RequestBuilder| request.header(RANGE, format!("bytes={offset}-"));
        let response = within(timeout, &route.label, self.at(&route, request)).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT || !begins_at(&response, offset) {
            return Err(Error::Malformed { request: route.label, reason: "it is another range".to_owned() });
        }
        Download::begin(response, route.label, offset, limit, timeout)
    }

    async fn json_of<T: DeserializeOwned>(
        &self,
        route: &Route,
        bounds: AnswerBounds,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Error> {
        within(self.config().timeout, &route.label, async {
            let body = read_body(self.at(route, prepare).await?, bounds.bytes, &route.label).await?;
            Ok(envelope::read(&body.bytes, bounds, &route.label)?.value)
        })
        .await
    }

    async fn at(&self, route: &Route, prepare: impl Fn(RequestBuilder) -> RequestBuilder) -> Result<Response, Error> {
        let (http, prepare) = (self.http(), &prepare);
        self.authenticated(|token| async move {
            let request = http.builder(route.method.clone(), http.root_url(&route.path)).bearer_auth(token.expose());
            let response = prepare(request).send().await.map_err(|error| Error::network(error, &route.label))?;
            accepted(response, &route.label).await
        })
        .await
    }
}

/// A call outside of the API of the published backbone.
struct Route {
    method: Method,
    path: String,
    label: String,
}

impl Route {
    fn new(method: Method, path: String) -> Self {
        Self { label: format!("{method} {path}"), method, path }
    }
}
