//! The REST API of a node in another process, as an integrator calls it.

use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};

use crate::{Process, http};

/// Where a node's REST API is, and the key to it.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    url: String,
    key: String,
    /// Where the dialect's paths begin.
    prefix: &'static str,
}

impl Rest {
    /// The API that a node announced.
    ///
    /// # Panics
    /// If the announcement does not name one.
    #[must_use]
    pub fn of(node: &Process) -> Self {
        let text = |name: &str| node.announcement["rest"][name].as_str().expect("an address and a key file").to_owned();
        let key = std::fs::read_to_string(text("apiKeyFile")).expect("a key file").trim().to_owned();
        Self { client: http(), url: text("url").trim_end_matches('/').to_owned(), key, prefix: "api/v2" }
    }

    /// The same in another dialect, by where its paths begin: `api/core/v1`.
    #[must_use]
    pub fn speaking(&self, prefix: &'static str) -> Self {
        Self { prefix, ..self.clone() }
    }

    /// A request with the key; the path starts behind the server's address.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).header("x-api-key", &self.key)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A GET with the key; the path starts behind the dialect's prefix, `/api/v2/` at first.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/{}/{path}", self.prefix))
    }

    /// A POST with the key; the path starts behind the dialect's prefix, `/api/v2/` at first.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/{}/{path}", self.prefix))
    }

    /// An upload.
    pub fn upload(&self, filename: &str, content: Vec<u8>) -> RequestBuilder {
        let part = Part::bytes(content).file_name(filename.to_owned());
        self.post("Files/Own").multipart(Form::new().part("file", part))
    }
}
