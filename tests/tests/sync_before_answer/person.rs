//! Somebody who talks to a backbone without a node.

use ed25519_dalek::{Signer as _, SigningKey};
use enlace_tests::{OAUTH_CLIENT, http};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use transport::wire::bytes::to_base64url;

use crate::observer::{Observer, RECORDS};

pub(crate) const PASSWORD: &str = "Aa1!exampleexampleexampleexampleexampleexam45";

/// An identity whose device is logged in.
pub(crate) struct Person {
    client: Client,
    url: String,
    key: SigningKey,
    token: String,
    pub(crate) device: String,
}

impl Person {
    /// Creates an identity, under observation.
    pub(crate) async fn create(observer: &mut Observer, url: &str, seed: u8) -> Self {
        let (client, key) = (http(), SigningKey::from_bytes(&[seed; 32]));
        let url = url.trim_end_matches('/').to_owned();
        let mut person = Self { client, url, key, token: String::new(), device: String::new() };
        let challenge = person.anonymous(Method::POST, "/Challenges").json(&json!({}));
        // Nothing is stored of it.
        let challenge = observer.observe("POST /Challenges", 201, challenge, &[]).await;
        let (id, secret) = OAUTH_CLIENT.split_once(':').unwrap();
        let public = to_base64url(person.key.verifying_key().as_bytes());
        let body = json!({
            "clientId": id,
            "clientSecret": secret,
            "identityPublicKey": to_base64url(json!({ "pub": public, "alg": 3 }).to_string().as_bytes()),
            "devicePassword": PASSWORD,
            "identityVersion": 1,
            "signedChallenge": person.signed(&challenge),
        });
        let request = person.anonymous(Method::POST, "/Identities").json(&body);
        let created = observer.observe("POST /Identities", 201, request, &[RECORDS]).await;
        person.device = created["device"]["id"].as_str().unwrap().to_owned();
        let username = created["device"]["username"].as_str().unwrap();
        let fields = [("grant_type", "password"), ("client_id", id), ("client_secret", secret)];
        let fields = fields.into_iter().chain([("username", username), ("password", PASSWORD)]);
        let login = person.client.post(format!("{}/connect/token", person.url)).form(&fields.collect::<Vec<_>>());
        let login: Value = login.send().await.unwrap().json().await.unwrap();
        person.token = login["access_token"].as_str().unwrap().to_owned();
        person
    }

    /// A challenge with a signature, as the official client sends it.
    pub(crate) fn signed(&self, challenge: &Value) -> Value {
        let text =
            json!({ "expiresAt": challenge["expiresAt"], "id": challenge["id"], "type": "Identity" }).to_string();
        let signature = to_base64url(&self.key.sign(text.as_bytes()).to_bytes());
        let signature = to_base64url(json!({ "sig": signature, "alg": 2 }).to_string().as_bytes());
        json!({ "challenge": text, "signature": signature })
    }

    /// A request without login; the path starts behind `/api/v2`.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v2{path}", self.url))
    }

    /// A request with login.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.token).header("x-supported-datawallet-version", "1")
    }
}
