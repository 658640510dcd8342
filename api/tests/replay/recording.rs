//! What a recording holds.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Recording {
    pub entries: Vec<Entry>,
}

#[derive(Deserialize)]
pub struct Entry {
    pub name: String,
    pub node: Node,
    pub request: Request,
    pub response: Response,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    A,
    B,
}

#[derive(Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<Body>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    Json(Value),
    Raw(String),
    Multipart(Vec<Part>),
}

#[derive(Deserialize)]
pub struct Part {
    pub field: String,
    pub value: Option<String>,
    pub bytes: Option<usize>,
    pub filename: Option<String>,
    pub mimetype: Option<String>,
}

#[derive(Deserialize)]
pub struct Response {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Value,
}
