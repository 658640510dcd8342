//! The documentation routes: the document in two forms, and a viewer that needs nothing from elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};

use super::yaml::to_yaml;
use crate::reply::Reply;

/// The viewer needs its own scripts and styles, and calls this node.
const CONTENT_POLICY: &str = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none';\
     connect-src 'self';font-src 'self' data:;img-src 'self' data:;script-src 'self';style-src 'self' 'unsafe-inline'";

/// `/docs` and the paths below it.
pub(crate) struct Docs {
    json: Bytes,
    yaml: Bytes,
    viewer: Arc<utoipa_swagger_ui::Config<'static>>,
}

impl Docs {
    /// Shows a document, given as JSON.
    pub(crate) fn new(json: String) -> Self {
        let value = serde_json::from_str(&json).unwrap_or_default();
        let viewer = utoipa_swagger_ui::Config::from("/docs/json").validator_url("none");
        Self { json: json.into(), yaml: to_yaml(&value).into(), viewer: Arc::new(viewer) }
    }

    /// The answer to a documentation path; `None` for every other path.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> Option<Reply> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let path = path.to_ascii_lowercase();
        let reply = match path.as_str() {
            "/docs" | "/docs/" => Reply::moved("/docs/swagger"),
            "/docs/swagger" | "/docs/rapidoc" | "/docs/rapidoc/" => Reply::moved("/docs/swagger/"),
            "/docs/json" => page("application/json; charset=utf-8", self.json.clone()),
            "/docs/yaml" => page("text/vnd.yaml; charset=utf-8", self.yaml.clone()),
            "/favicon.ico" => self.asset("favicon-32x32.png")?,
            other if other.starts_with("/api-docs/") => Reply::moved("/docs/swagger"),
            other => self.asset(other.strip_prefix("/docs/swagger/")?)?,
        };
        Some(Reply { content_policy: Some(CONTENT_POLICY), ..reply })
    }

    fn asset(&self, name: &str) -> Option<Reply> {
        let file = utoipa_swagger_ui::serve(name, self.viewer.clone()).ok()??;
        let charset = if file.content_type.starts_with("text/") { "; charset=utf-8" } else { "" };
        let media = HeaderValue::from_str(&format!("{}{charset}", file.content_type)).ok()?;
        let bytes = match file.bytes {
            // Most of it is part of the program: strangers may ask for it, and must not make us copy it each time.
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        Some(Reply::bytes(StatusCode::OK, media, bytes))
    }
}

fn page(media: &'static str, bytes: Bytes) -> Reply {
    Reply::bytes(StatusCode::OK, HeaderValue::from_static(media), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::ReplyContent;

    fn text(reply: Reply) -> String {
        match reply.content {
            ReplyContent::Bytes { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        }
    }

    #[test]
    fn the_viewer_loads_nothing_from_elsewhere() {
        let docs = Docs::new(crate::faces::openapi_json());
        let page = text(docs.answer(&Method::GET, "/docs/swagger/").unwrap());
        assert!(page.contains("<div id=\"swagger-ui\">"));
        assert!(!page.contains("https://") && !page.contains("http://"), "{page}");
        let start = text(docs.answer(&Method::GET, "/docs/swagger/swagger-initializer.js").unwrap());
        assert!(start.contains("/docs/json") && !start.contains("petstore"), "{start}");
    }

    #[test]
    fn other_paths_and_methods_are_not_ours() {
        let docs = Docs::new(crate::faces::openapi_json());
        for path in ["/api-docs", "/docs/unknown", "/docs/swagger/unknown", "/docs/swagger/../json", "/api/v2/Files"] {
            assert!(docs.answer(&Method::GET, path).is_none(), "{path}");
        }
        assert!(docs.answer(&Method::POST, "/docs/json").is_none());
    }
}
