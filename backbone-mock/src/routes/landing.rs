//! `GET /r/{id}`: what a browser shows for a reference in its URL form.
//!
//! The key is in the fragment, which browsers do not send. The page has no scripts, so it stays there.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};

use crate::web::problem::Problem;

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"robots\" content=\"noindex\">
<title>Shared with you</title>
</head>
<body>
<h1>Something was shared with you</h1>
<p>It is encrypted. This server stores it, but cannot read it: the key is in the part of the address after <code>#</code>,
which your browser does not send.</p>
<p>To receive it, copy the whole address of this page and run</p>
<pre>enlace receive '&lt;the address&gt;'</pre>
<p>or open the address with an app that understands it.</p>
</body>
</html>
";

/// The page that explains how to use a reference.
pub(super) async fn page(Path(id): Path<String>) -> Response {
    if id.len() > 100 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Problem::NoSuchRoute.into_response();
    }
    let mut response = Html(PAGE).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
