//! What a recording holds.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) node: Node,
    pub(crate) request: Request,
    pub(crate) response: Response,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Node {
    A,
    B,
}

#[derive(Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<Body>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Body {
    Json(Value),
    Raw(String),
    Multipart(Vec<Part>),
}

#[derive(Deserialize)]
pub(crate) struct Part {
    pub(crate) field: String,
    pub(crate) value: Option<String>,
    pub(crate) bytes: Option<usize>,
    pub(crate) filename: Option<String>,
    pub(crate) mimetype: Option<String>,
}

#[derive(Deserialize, Clone, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Value,
}
