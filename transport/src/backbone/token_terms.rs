//! `/api/enlace/v1/Tokens`: terms of own tokens, and counted uses of those of others.
//!
//! [`Session::token_services`] asks whether the backbone can do this. A use is a claim, whose id the caller stores before it asks
//! first ([`new_claim_id`]): [`Session::claim_token`] leases it, [`Session::claimed_token`] reads under it,
//! [`Session::commit_claim`] ends it when the content was verified, and [`Session::release_claim`] gives it back. Each of them can
//! be repeated after a lost answer.

use reqwest::Method;

use super::bounds::AnswerBounds;
use super::http::Request;
use super::offered::offered;
use super::{Client, Error, Session};
use crate::crypto::random;
use crate::wire::backbone::token_terms::{
    ChangeTokenTerms, Claim, ClaimToken, CreateTokenWithTerms, SERVICES_PATH, TokenServices, TokenTerms, code,
};
use crate::wire::backbone::tokens::{CreatedToken, Token};
use crate::wire::{ClaimId, Id as _, TokenId};

/// What identifiers consist of behind their prefix.
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A new claim, which nobody can guess.
#[must_use]
pub fn new_claim_id() -> ClaimId {
    let text = format!("{}{}", ClaimId::PREFIX, random::text(LETTERS_AND_DIGITS, 17));
    text.parse().expect("17 letters or digits behind the prefix are an id")
}

impl Client {
    /// What the backbone does with tokens beyond the published protocol; `None` if nothing. It is neither retried nor remembered.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn token_services(&self) -> Result<Option<TokenServices>, Error> {
        offered(self.http(), SERVICES_PATH).await
    }

    /// As [`Session::claim_token`], for somebody without a login.
    ///
    /// # Errors
    /// As [`Session::claim_token`].
    pub async fn claim_token(&self, id: &TokenId, claim: &ClaimId, password: Option<&str>) -> Result<Claim, Error> {
        self.json(lease(id, claim, password)).await
    }

    /// As [`Session::claimed_token`], for somebody without a login, who needs the password each time.
    ///
    /// # Errors
    /// As [`Session::claim_token`].
    pub async fn claimed_token(&self, id: &TokenId, claim: &ClaimId, password: Option<&str>) -> Result<Token, Error> {
        self.json(read(id, claim, password, self.config().max_token_content)).await
    }

    /// As [`Session::commit_claim`], for somebody without a login.
    ///
    /// # Errors
    /// As [`Session::commit_claim`].
    pub async fn commit_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Error> {
        self.http().no_content(&commit(id, claim), None).await
    }

    /// As [`Session::release_claim`], for somebody without a login.
    ///
    /// # Errors
    /// As [`Session::release_claim`].
    pub async fn release_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Error> {
        self.http().no_content(&release(id, claim), None).await
    }
}

impl Session {
    /// What the backbone does with tokens beyond the published protocol; `None` if nothing. What it once said is remembered by all
    /// clones of the session; a backbone without them is asked again, because it may be replaced by one that has them.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn token_services(&self) -> Result<Option<TokenServices>, Error> {
        if let Some(known) = self.known_token_services().get() {
            return Ok(Some(*known));
        }
        let services = offered(self.http(), SERVICES_PATH).await?;
        Ok(services.map(|services| *self.known_token_services().get_or_init(|| services)))
    }

    /// Creates a token with terms.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] if the backbone has no terms.
    pub async fn create_token_with_terms(&self, token: &CreateTokenWithTerms) -> Result<CreatedToken, Error> {
        self.json(Request::post("/Tokens", token).own()).await
    }

    /// The terms of an own token, and how often it was used.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_record_not_found`] if it is gone or not an own one, [`Error::NotFound`] if the backbone has no terms.
    pub async fn token_terms(&self, id: &TokenId) -> Result<TokenTerms, Error> {
        self.json(Request::get(format!("/Tokens/{id}/Terms")).own()).await
    }

    /// Changes the terms of an own token; returns all of them.
    ///
    /// # Errors
    /// As [`token_terms`](Self::token_terms), and [`Error::Api`] with status 400 for terms that the backbone does not accept.
    pub async fn change_token_terms(&self, id: &TokenId, change: &ChangeTokenTerms) -> Result<TokenTerms, Error> {
        self.json(Request::new(Method::PATCH, format!("/Tokens/{id}/Terms")).body(change).own()).await
    }

    /// Revokes an own token: from now on nobody else can read it, not even those who did before. Can be repeated.
    ///
    /// # Errors
    /// As [`token_terms`](Self::token_terms).
    pub async fn revoke_token(&self, id: &TokenId) -> Result<TokenTerms, Error> {
        self.json(Request::new(Method::POST, format!("/Tokens/{id}/Revoke")).own()).await
    }

    /// Leases one use of a token, or renews it if it was read. Sends no content, so the use can still be given back. `password` is the hash in
    /// standard base64.
    ///
    /// # Errors
    /// [`Error`]; the same for an unknown, expired or revoked token, one that is not valid yet, one for another identity, and a
    /// wrong password; [`Error::is_exhausted`] if no use is left.
    pub async fn claim_token(&self, id: &TokenId, claim: &ClaimId, password: Option<&str>) -> Result<Claim, Error> {
        self.json(lease(id, claim, password)).await
    }

    /// Reads a token as one use, which is leased if it was not. From now on it counts if it is not committed.
    ///
    /// # Errors
    /// As [`claim_token`](Self::claim_token).
    pub async fn claimed_token(&self, id: &TokenId, claim: &ClaimId, password: Option<&str>) -> Result<Token, Error> {
        self.json(read(id, claim, password, self.config().max_token_content)).await
    }

    /// Ends a use whose whole content was verified. It counts.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_record_not_found`] if the backbone does not know the claim, or the token was revoked.
    pub async fn commit_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Error> {
        self.no_content(commit(id, claim)).await
    }

    /// Gives a use back. It counts nevertheless if content was sent under it.
    ///
    /// # Errors
    /// As [`commit_claim`](Self::commit_claim).
    pub async fn release_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Error> {
        self.no_content(release(id, claim)).await
    }
}

impl Error {
    /// Whether no use of the token is left.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Self::Api { status: 409, code, .. } if code == code::EXHAUSTED)
    }
}

fn lease(id: &TokenId, claim: &ClaimId, password: Option<&str>) -> Request {
    Request::put(claim_path(id, claim), &ClaimToken { password: password.map(str::to_owned) }).own()
}

/// `max_content` is the maximum length of the plaintext in bytes.
fn read(id: &TokenId, claim: &ClaimId, password: Option<&str>, max_content: usize) -> Request {
    let request = Request::get(format!("/Tokens/{id}")).own().answered_within(AnswerBounds::token(max_content));
    let request = request.query("claim", claim);
    match password {
        Some(password) => request.query("password", password),
        None => request,
    }
}

fn commit(id: &TokenId, claim: &ClaimId) -> Request {
    Request::new(Method::POST, format!("{}/Commit", claim_path(id, claim))).own()
}

fn release(id: &TokenId, claim: &ClaimId) -> Request {
    Request::new(Method::DELETE, claim_path(id, claim)).own()
}

fn claim_path(id: &TokenId, claim: &ClaimId) -> String {
    format!("/Tokens/{id}/Claims/{claim}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fake::{FakeAnswer, FakeServer, ReceivedRequest};
    use super::super::{ClientConfig, DeviceCredentials, SecretText};
    use super::*;
    use crate::wire::backbone::tokens::CreateToken;

    const TERMS: &str = r#"{"expiresAt":"2031-01-01T00:00:00.000Z","committedUses":1,"leasedUses":0,
        "failedAttempts":0,"isLocked":false}"#;

    fn client(server: &FakeServer) -> Client {
        Client::new(ClientConfig::new(server.url(), "test", SecretText::new("client-secret"))).unwrap()
    }

    fn session(server: &FakeServer) -> Session {
        let username = "USRabcdefghijklmno12".parse().unwrap();
        client(server).login(DeviceCredentials { username, password: SecretText::new("password") })
    }

    /// A server that lets log in, and answers all else with `answer`.
    async fn server(answer: impl Fn(&ReceivedRequest) -> FakeAnswer + Send + Sync + 'static) -> FakeServer {
        FakeServer::start(move |request| match request.path() {
            "/connect/token" => FakeAnswer::access_token("token", 300),
            _ => answer(request),
        })
        .await
    }

    fn ids() -> (TokenId, ClaimId) {
        ("TOKabcdefghijklmno12".parse().unwrap(), "CLMabcdefghijklmno12".parse().unwrap())
    }

    #[test]
    fn new_claims_differ() {
        assert_ne!(new_claim_id(), new_claim_id());
    }

    #[tokio::test]
    async fn services_are_asked_for_until_there_are_some() {
        let services = json!({ "claims": true, "terms": true, "leaseSeconds": 1800, "maxUses": 5 });
        for status in [404, 405] {
            let server = server(move |_| FakeAnswer::error(status, "error.platform.x", "")).await;
            let session = session(&server);
            for asked in 1..=2 {
                assert_eq!(session.token_services().await.unwrap(), None);
                assert_eq!(server.requests().len(), asked);
            }
        }
        let server = server(move |_| FakeAnswer::result(&services)).await;
        let session = session(&server);
        for _ in 0..2 {
            let found = session.token_services().await.unwrap().unwrap();
            assert_eq!((found.claims, found.lease_seconds, found.max_uses), (true, 1800, 5));
        }
        let requests = server.requests();
        assert_eq!((requests.len(), requests[0].path()), (1, SERVICES_PATH), "and no login");
        assert_eq!(client(&server).token_services().await.unwrap(), session.token_services().await.unwrap());
    }

    #[tokio::test]
    async fn other_answers_to_the_probe_are_errors() {
        for answer in [FakeAnswer::Body(503, Vec::new()), FakeAnswer::Body(200, b"<html>".to_vec())] {
            let server = server(move |_| answer.clone()).await;
            assert!(session(&server).token_services().await.is_err());
        }
    }

    #[tokio::test]
    async fn terms_are_set_read_and_changed_below_the_own_prefix() {
        let server = server(|request| match request.method.as_str() {
            "POST" if request.path() == "/api/enlace/v1/Tokens" => {
                FakeAnswer::result(&json!({ "id": "TOKabcdefghijklmno12", "createdAt": "2030-01-01T00:00:00.000Z" }))
            }
            _ => FakeAnswer::result(&serde_json::from_str(TERMS).unwrap()),
        })
        .await;
        let (session, (id, _)) = (session(&server), ids());
        let expires_at = "2031-01-01T00:00:00.000Z".parse().unwrap();
        let token = CreateToken { content: None, expires_at, for_identity: None, password: None };
        let new = CreateTokenWithTerms { token, not_before: None, max_uses: Some(1), strict_uses: true };
        assert_eq!(session.create_token_with_terms(&new).await.unwrap().id, id);
        let terms = session.token_terms(&id).await.unwrap();
        let change = ChangeTokenTerms { max_uses: Some(None), ..ChangeTokenTerms::default() };
        assert_eq!(session.change_token_terms(&id, &change).await.unwrap(), terms);
        assert_eq!(session.revoke_token(&id).await.unwrap(), terms);
        let sent: Vec<_> = server.requests().iter().skip(1).map(|it| (it.method.clone(), it.target.clone())).collect();
        let path = |end: &str| format!("/api/enlace/v1/Tokens{end}");
        assert_eq!(
            sent,
            [
                ("POST".to_owned(), path("")),
                ("GET".to_owned(), path("/TOKabcdefghijklmno12/Terms")),
                ("PATCH".to_owned(), path("/TOKabcdefghijklmno12/Terms")),
                ("POST".to_owned(), path("/TOKabcdefghijklmno12/Revoke")),
            ]
        );
        assert_eq!(server.requests()[1].json()["maxUses"], 1);
        assert_eq!(server.requests()[3].json(), json!({ "maxUses": null }));
    }

    fn answer_a_claim(request: &ReceivedRequest) -> FakeAnswer {
        let at = "2030-01-01T00:00:00.000Z";
        match request.method.as_str() {
            "PUT" => FakeAnswer::result(&json!({ "id": "CLMabcdefghijklmno12", "leaseEndsAt": at, "remaining": 2 })),
            "GET" => FakeAnswer::result(&json!({
                "id": "TOKabcdefghijklmno12", "createdBy": null, "createdByDevice": null, "createdAt": at,
                "expiresAt": at
            })),
            _ => FakeAnswer::Body(204, Vec::new()),
        }
    }

    #[tokio::test]
    async fn claims_are_made_with_and_without_a_login() {
        let server = server(answer_a_claim).await;
        let (id, claim) = ids();
        let (client, session) = (client(&server), session(&server));
        assert_eq!(session.claim_token(&id, &claim, None).await.unwrap().remaining, Some(2));
        assert_eq!(session.claimed_token(&id, &claim, Some("aGFzaA==")).await.unwrap().id, id);
        session.commit_claim(&id, &claim).await.unwrap();
        session.release_claim(&id, &claim).await.unwrap();
        let logged_in: Vec<_> = server.requests()[1..].to_vec();
        assert_eq!(client.claim_token(&id, &claim, Some("aGFzaA==")).await.unwrap().id, claim);
        assert_eq!(client.claimed_token(&id, &claim, Some("aGFzaA==")).await.unwrap().id, id);
        client.commit_claim(&id, &claim).await.unwrap();
        client.release_claim(&id, &claim).await.unwrap();
        let anonymous = server.requests()[5..].to_vec();
        assert_eq!((logged_in[0].json(), anonymous[0].json()), (json!({}), json!({ "password": "aGFzaA==" })));
        assert_eq!(
            logged_in[1].target,
            "/api/enlace/v1/Tokens/TOKabcdefghijklmno12?claim=CLMabcdefghijklmno12&password=aGFzaA%3D%3D"
        );
        assert_eq!(
            logged_in[2].target,
            "/api/enlace/v1/Tokens/TOKabcdefghijklmno12/Claims/CLMabcdefghijklmno12/Commit"
        );
        for (with, without) in logged_in.iter().zip(&anonymous) {
            assert_eq!((&with.method, &with.target), (&without.method, &without.target));
            assert_eq!((with.header("authorization"), without.header("authorization")), (Some("Bearer token"), None));
        }
    }

    #[tokio::test]
    async fn a_token_without_uses_left_is_told_from_other_failures() {
        for (status, code, expected) in [
            (409, code::EXHAUSTED, true),
            (409, code::TOO_MANY_CLAIMS, false),
            (404, "error.platform.recordNotFound", false),
            (409, "error.platform.x", false),
        ] {
            let server = server(move |_| FakeAnswer::error(status, code, "")).await;
            let (id, claim) = ids();
            let error = client(&server).claim_token(&id, &claim, None).await.unwrap_err();
            assert_eq!((error.is_exhausted(), error.status()), (expected, Some(status)), "{code}");
        }
    }
}
