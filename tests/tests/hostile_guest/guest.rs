//! An identity that anybody can have, used without the manners of a node.

use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::{Signer as _, SigningKey};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use transport::wire::bytes::to_base64url;

/// The public client.
pub(crate) const CLIENT: &str = "enlace-guest";
const PASSWORD: &str = "Aa1!exampleexampleexampleexampleexample";

/// A guest that is logged in.
pub(crate) struct Guest {
    token: String,
}

impl Guest {
    /// Creates an identity and logs in; the answer that refused it otherwise.
    pub(crate) async fn create(http: &Client, backbone: &str) -> Result<Self, Option<Response>> {
        let challenge = accepted(http.post(format!("{backbone}/api/v2/Challenges"))).await?;
        let identity =
            accepted(http.post(format!("{backbone}/api/v2/Identities")).json(&new_identity(&challenge))).await?;
        let username = identity["result"]["device"]["username"].as_str().unwrap();
        let fields = [
            ("grant_type", "password"),
            ("client_id", CLIENT),
            ("client_secret", CLIENT),
            ("username", username),
            ("password", PASSWORD),
        ];
        let login = accepted(http.post(format!("{backbone}/connect/token")).form(&fields)).await?;
        Ok(Self { token: login["access_token"].as_str().unwrap().to_owned() })
    }

    /// A request as this guest.
    pub(crate) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    /// What stands in the header of its requests.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

async fn accepted(request: RequestBuilder) -> Result<Value, Option<Response>> {
    let response = request.send().await.map_err(|_| None)?;
    if response.status().is_success() { response.json().await.map_err(|_| None) } else { Err(Some(response)) }
}

fn new_identity(challenge: &Value) -> Value {
    let key = next_key();
    let challenge = &challenge["result"];
    let text = json!({ "id": challenge["id"], "expiresAt": challenge["expiresAt"], "type": "Identity" }).to_string();
    let signature = to_base64url(&key.sign(text.as_bytes()).to_bytes());
    let public_key = json!({ "pub": to_base64url(key.verifying_key().as_bytes()), "alg": 3 });
    json!({
        "clientId": CLIENT,
        "clientSecret": CLIENT,
        "identityPublicKey": to_base64url(public_key.to_string().as_bytes()),
        "devicePassword": PASSWORD,
        "identityVersion": 1,
        "signedChallenge": {
            "challenge": text,
            "signature": to_base64url(json!({ "sig": signature, "alg": 2 }).to_string().as_bytes()),
        },
    })
}

/// A key that no other guest of this test has. Nobody needs to be kept from guessing it.
fn next_key() -> SigningKey {
    static CREATED: AtomicU64 = AtomicU64::new(1);
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&CREATED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    SigningKey::from_bytes(&seed)
}
