//! Cross-origin access for web pages (Fetch standard, CORS protocol): only for configured origins.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, X-Correlation-ID, X-Request-Time, X-Response-Duration-ms, X-Response-Time, X-Trace-Id",
);

/// What the browser said about where a request comes from.
pub(super) struct CrossOrigin {
    origin: HeaderValue,
    /// Methods and headers a preflight asks for.
    preflight: Option<(HeaderValue, Option<HeaderValue>)>,
}

impl CrossOrigin {
    /// Reads the headers of a request from an allowed origin.
    pub(super) fn of(method: &Method, headers: &HeaderMap, allowed: &[String]) -> Option<Self> {
        let origin = headers.get(ORIGIN)?;
        allowed.iter().find(|allowed| allowed.as_bytes() == origin.as_bytes())?;
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| method == Method::OPTIONS);
        let preflight = asked.map(|method| (method.clone(), headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned()));
        Some(Self { origin: origin.clone(), preflight })
    }

    /// The answer to a preflight request.
    pub(super) fn preflight_answer(&self) -> Option<Response> {
        let (method, wanted) = self.preflight.as_ref()?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        if let Some(wanted) = wanted {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }

    /// Lets the page read the answer.
    pub(super) fn allow(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
