//! Answers: `{"result": …}` with the right status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use transport::wire::backbone::envelope::{Envelope, Pagination};

use crate::domain::page::Page;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A successful answer with a result.
pub(crate) struct Answer<T> {
    status: StatusCode,
    result: T,
    pagination: Option<Pagination>,
}

impl<T> Answer<T> {
    /// 200.
    pub(crate) fn ok(result: T) -> Self {
        Self { status: StatusCode::OK, result, pagination: None }
    }

    /// 201.
    pub(crate) fn created(result: T) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(result) }
    }
}

impl<T> From<Page<T>> for Answer<Vec<T>> {
    fn from(page: Page<T>) -> Self {
        Self { pagination: page.pagination, ..Self::ok(page.items) }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        json(self.status, &Envelope { result: self.result, pagination: self.pagination })
    }
}

/// 204.
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// A JSON body without the envelope.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let body = serde_json::to_vec(value).expect("our answers have text keys only");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
