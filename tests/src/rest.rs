//! A client of a node's REST API in another process.

use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};

use crate::{Process, http};

/// Address and key of a node's REST API.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    url: String,
    key: String,
    /// Path prefix of the dialect.
    prefix: &'static str,
}

impl Rest {
    /// The API in a node's announcement.
    ///
    /// # Panics
    /// If the announcement has none.
    #[must_use]
    pub fn of(node: &Process) -> Self {
        let text = |name: &str| node.announcement["rest"][name].as_str().expect("an address and a key file").to_owned();
        let key = std::fs::read_to_string(text("apiKeyFile")).expect("a key file").trim().to_owned();
        Self { client: http(), url: text("url").trim_end_matches('/').to_owned(), key, prefix: "api/v2" }
    }

    /// The same API in another dialect, given by its path prefix: `api/core/v1`.
    #[must_use]
    pub fn speaking(&self, prefix: &'static str) -> Self {
        Self { prefix, ..self.clone() }
    }

    /// How many own files of the node have so many bytes.
    ///
    /// # Panics
    /// If the node does not answer as it should.
    pub async fn count_own_files(&self, bytes: usize) -> u64 {
        let answer = self.get("Files/Own").send().await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        let files = answer["result"].as_array().expect("a list");
        files.iter().filter(|file| file["filesize"] == bytes).count() as u64
    }

    /// A request with the key; `path` follows the server's address.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).header("x-api-key", &self.key)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A GET with the key; `path` follows the dialect's prefix, by default `/api/v2/`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/{}/{path}", self.prefix))
    }

    /// A POST with the key; `path` follows the dialect's prefix, by default `/api/v2/`.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/{}/{path}", self.prefix))
    }

    /// An upload.
    pub fn upload(&self, filename: &str, content: Vec<u8>) -> RequestBuilder {
        let part = Part::bytes(content).file_name(filename.to_owned());
        self.post("Files/Own").multipart(Form::new().part("file", part))
    }
}
