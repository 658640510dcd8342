//! A backbone with a clock in the test's hand, and people who use it the way the official client does.

// Each test binary uses its own part of this module.
#![allow(dead_code, unreachable_pub)]

use std::sync::Arc;
use std::time::Duration;

use backbone_mock::{Backbone, Config, ManualClock, PasswordPolicy};
use ed25519_dalek::{Signer, SigningKey};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use transport::wire::Timestamp;
use transport::wire::bytes::{to_base64, to_base64url};

pub const CLIENT: &str = "demo";
pub const CLIENT_SECRET: &str = "demo-secret";
pub const PASSWORD: &str = "Aa1!exampleexampleexampleexampleexampleexam45";
pub const NEVER: &str = "9999-12-31T00:00:00.000Z";

/// A backbone for one test.
pub struct World {
    pub backbone: Option<Backbone>,
    pub clock: Arc<ManualClock>,
    pub dir: TempDir,
    config: Config,
    http: reqwest::Client,
}

impl World {
    /// A backbone with the production settings, at noon on the first of January 2030.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A backbone with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        // A second test of the process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T12:00:00.000Z".parse().unwrap()));
        let mut config =
            Config::new(dir.path().join("data")).with_client(CLIENT, CLIENT_SECRET).with_clock(clock.clone());
        config.did_domain_name = "bb.example.org".to_owned();
        config.password_policy = PasswordPolicy::Production;
        change(&mut config);
        let backbone = Some(Backbone::start(config.clone()).await.unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { backbone, clock, dir, config, http }
    }

    pub fn backbone(&self) -> &Backbone {
        self.backbone.as_ref().unwrap()
    }

    /// Stops the backbone and starts it again on the same data.
    pub async fn restart(&mut self) {
        self.backbone.take().unwrap().shutdown().await.unwrap();
        self.start().await;
    }

    /// Stops the backbone and starts it again on the same data with other settings.
    pub async fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.restart().await;
    }

    /// Starts a backbone that was stopped.
    pub async fn start(&mut self) {
        self.backbone = Some(Backbone::start(self.config.clone()).await.unwrap());
    }

    /// The same person at the address that the backbone has after a restart.
    pub fn same_person(&self, person: Person) -> Person {
        Person { url: self.url(""), ..person }
    }

    pub fn now(&self) -> Timestamp {
        backbone_mock::Clock::now(&*self.clock)
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The date `seconds` from now.
    pub fn in_seconds(&self, seconds: u64) -> String {
        self.now().saturating_add(Duration::from_secs(seconds)).to_string()
    }

    pub fn url(&self, path: &str) -> String {
        let prefix = if path.starts_with("/api/")
            || path.starts_with("/connect")
            || path.starts_with("/r/")
            || path == "/health"
        {
            ""
        } else {
            "/api/v2"
        };
        format!("http://{}{prefix}{path}", self.backbone().local_addr())
    }

    /// A request by somebody who is not logged in.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// A challenge, by somebody who is not logged in.
    pub async fn challenge(&self) -> Value {
        answer(self.anonymous(Method::POST, "/Challenges").json(&json!({})), 201).await
    }

    /// The body of `POST /Identities` for a key and a challenge text.
    pub fn identity_body(&self, key: &SigningKey, challenge: &str) -> Value {
        json!({
            "clientId": CLIENT,
            "clientSecret": CLIENT_SECRET,
            "identityPublicKey": public_key(key),
            "devicePassword": PASSWORD,
            "identityVersion": 1,
            "signedChallenge": signed(key, challenge),
        })
    }

    /// Creates an identity from a seed and logs its device in.
    pub async fn person(&self, seed: u8) -> Person {
        self.person_of(seed, CLIENT, CLIENT_SECRET).await
    }

    /// The same with another client.
    pub async fn person_of(&self, seed: u8, client: &str, secret: &str) -> Person {
        let key = signing_key(seed);
        let text = challenge_text(&self.challenge().await);
        let mut body = self.identity_body(&key, &text);
        (body["clientId"], body["clientSecret"]) = (json!(client), json!(secret));
        let created = answer(self.anonymous(Method::POST, "/Identities").json(&body), 201).await;
        let username = text_of(&created["device"]["username"]);
        let mut person = Person {
            key,
            address: text_of(&created["address"]),
            device: text_of(&created["device"]["id"]),
            username,
            token: String::new(),
            url: self.url(""),
            http: self.http.clone(),
        };
        person.log_in(PASSWORD).await;
        person
    }

    /// A person whose datawallet exists.
    pub async fn person_with_datawallet(&self, seed: u8) -> Person {
        let person = self.person(seed).await;
        person.create_datawallet().await;
        person
    }

    /// Sends a login and returns status and body.
    pub async fn login(&self, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let response = self.anonymous(Method::POST, "/connect/token").form(fields).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }
}

/// Somebody with an identity and a device that is logged in.
#[derive(Clone)]
pub struct Person {
    pub key: SigningKey,
    pub address: String,
    pub device: String,
    pub username: String,
    pub token: String,
    url: String,
    http: reqwest::Client,
}

impl Person {
    pub async fn log_in(&mut self, password: &str) {
        let mut fields = login_fields(&self.username);
        fields[4].1 = password;
        let url = self.url.replace("/api/v2", "/connect/token");
        let response = self.http.post(url).form(&fields).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body: Value = response.json().await.unwrap();
        self.token = text_of(&body["access_token"]);
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.to_ascii_lowercase().starts_with("/api/") {
            self.url.replace("/api/v2", path)
        } else {
            format!("{}{path}", self.url)
        };
        self.http.request(method, url).bearer_auth(&self.token).header("x-supported-datawallet-version", "1")
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    pub fn put(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::PUT, path).json(body)
    }

    pub fn patch(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::PATCH, path).json(body)
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Makes a token and returns its id.
    pub async fn token(&self, body: Value) -> String {
        text_of(&answer(self.post("/Tokens", &body), 201).await["id"])
    }

    /// Uploads a file and returns the answer.
    pub async fn file(&self, bytes: &[u8]) -> Value {
        answer(self.upload(Upload::new(bytes)), 201).await
    }

    pub fn upload(&self, upload: Upload) -> RequestBuilder {
        self.request(Method::POST, "/Files").multipart(upload.into_form())
    }

    /// Registers a second device and logs it in.
    pub async fn second_device(&self) -> Person {
        let challenge = answer(self.post("/Challenges", &json!({})), 201).await;
        let body = json!({
            "devicePassword": PASSWORD,
            "signedChallenge": signed(&self.key, &challenge_text(&challenge)),
        });
        let created = answer(self.post("/Devices", &body), 201).await;
        let mut other = self.clone();
        other.device = text_of(&created["id"]);
        other.username = text_of(&created["username"]);
        other.log_in(PASSWORD).await;
        other
    }

    pub async fn start_run(&self, kind: &str) -> Value {
        answer(self.post("/SyncRuns", &json!({ "type": kind })), 201).await["syncRun"].clone()
    }

    /// Creates the datawallet with one entry.
    pub async fn create_datawallet(&self) {
        let run = self.start_run("DatawalletVersionUpgrade").await;
        let path = format!("/SyncRuns/{}/FinalizeDatawalletVersionUpgrade", text_of(&run["id"]));
        let body = json!({ "newDatawalletVersion": 1, "datawalletModifications": [modification(&self.device)] });
        answer(self.put(&path, &body), 200).await;
    }

    /// Pushes modifications of these objects.
    pub fn push(&self, local_index: i64, objects: &[&str]) -> RequestBuilder {
        let modifications: Vec<Value> = objects.iter().map(|object| modification(object)).collect();
        self.post("/Datawallet/Modifications", &json!({ "localIndex": local_index, "modifications": modifications }))
    }
}

/// The key of an identity.
pub fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The fields of a login with the password that everybody has.
pub fn login_fields(username: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "password"),
        ("client_id", CLIENT),
        ("client_secret", CLIENT_SECRET),
        ("username", username),
        ("password", PASSWORD),
    ]
}

/// The parts of an upload.
pub struct Upload {
    pub content: Option<Vec<u8>>,
    pub fields: Vec<(&'static str, String)>,
}

impl Upload {
    /// A proper upload that never expires.
    pub fn new(bytes: &[u8]) -> Self {
        use sha2::Digest;
        let fields = vec![
            ("cipherHash", to_base64url(&sha2::Sha512::digest(bytes))),
            ("owner", "did:e:bb.example.org:dids:ignored".to_owned()),
            ("ownerSignature", "b3BhcXVlLTI".to_owned()),
            ("expiresAt", NEVER.to_owned()),
            ("encryptedProperties", "b3BhcXVlLTM".to_owned()),
        ];
        Self { content: Some(bytes.to_vec()), fields }
    }

    /// With another value of a field.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        for field in self.fields.iter_mut().filter(|field| field.0 == name) {
            value.clone_into(&mut field.1);
        }
        self
    }

    /// Without a field.
    pub fn without(mut self, name: &str) -> Self {
        if name == "content" {
            self.content = None;
        }
        self.fields.retain(|field| field.0 != name);
        self
    }

    pub fn into_form(self) -> reqwest::multipart::Form {
        let mut form = reqwest::multipart::Form::new();
        if let Some(content) = self.content {
            let part = reqwest::multipart::Part::bytes(content).file_name("cipher.bin");
            form = form.part("content", part.mime_str("application/octet-stream").unwrap());
        }
        for (name, value) in self.fields {
            form = form.text(name, value);
        }
        form
    }
}

/// Sends a request, checks the status, and returns the result (`null` without a body).
pub async fn answer(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let found = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    if text.is_empty() {
        return Value::Null;
    }
    let mut body: Value = serde_json::from_str(&text).unwrap();
    body["result"].take()
}

/// Sends a request, checks the status, and returns the error code after `error.platform.`.
pub async fn refusal(request: RequestBuilder, status: u16) -> String {
    let response = request.send().await.unwrap();
    let found = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    let error = &body["error"];
    assert!(error["id"].as_str().unwrap().starts_with("ERR"), "{text}");
    assert_eq!(error["docs"], "");
    assert!(error.as_object().unwrap().contains_key("data"), "{text}");
    error["code"].as_str().unwrap().strip_prefix("error.platform.").unwrap().to_owned()
}

/// Sends a request and returns the answer as it is.
pub async fn raw(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// A modification that creates an object.
pub fn modification(object: &str) -> Value {
    json!({
        "type": "Create",
        "collection": "Devices",
        "objectIdentifier": object,
        "payloadCategory": "TechnicalData",
        "encryptedPayload": "b3BhcXVlLTE",
        "datawalletVersion": 1,
    })
}

/// The text the official client signs.
pub fn challenge_text(challenge: &Value) -> String {
    json!({ "expiresAt": challenge["expiresAt"], "id": challenge["id"], "type": "Identity" }).to_string()
}

pub fn public_key(key: &SigningKey) -> String {
    let public = to_base64url(key.verifying_key().as_bytes());
    to_base64url(json!({ "pub": public, "alg": 3 }).to_string().as_bytes())
}

pub fn signed(key: &SigningKey, text: &str) -> Value {
    let signature = to_base64url(&key.sign(text.as_bytes()).to_bytes());
    json!({
        "challenge": text,
        "signature": to_base64url(json!({ "sig": signature, "alg": 2 }).to_string().as_bytes()),
    })
}

/// A password as the official client sends it: standard base64 with padding.
pub fn password(text: &str) -> String {
    use sha2::Digest;
    to_base64(&sha2::Sha256::digest(text))
}

/// A path with a password in the query, percent-encoded as the official client does it.
pub fn with_password(path: &str, text: &str) -> String {
    let encoded: String =
        percent_encoding::utf8_percent_encode(&password(text), percent_encoding::NON_ALPHANUMERIC).collect();
    format!("{path}?password={encoded}")
}
