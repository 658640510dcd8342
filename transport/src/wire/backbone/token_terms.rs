//! `/api/enlace/v1/Tokens`: terms of tokens beyond the published protocol, and their counted uses.
//!
//! A use is a claim: whoever uses a token chooses a [`ClaimId`] at random and keeps it before it asks first, so that asking again is
//! the same use. A claim is leased, read under, and committed when the content was verified, or released.

use serde::{Deserialize, Deserializer, Serialize};

use super::tokens::CreateToken;
use crate::wire::{ClaimId, Timestamp};

/// Where the services are described, below the base URL of the backbone.
pub const SERVICES_PATH: &str = "/api/enlace/v1/TokenServices";
/// Uses that a token may have at most, if it has a limit.
pub const MAX_USES: u32 = 1_000_000;
/// How long a claim is leased, in seconds. Each read under it renews it; claiming again does so only once something was read.
pub const LEASE_SECONDS: u32 = 30 * 60;

/// Codes of refusals.
pub mod code {
    /// No use of the token is left. Status 409; told only to those who could read it otherwise.
    pub const EXHAUSTED: &str = "error.platform.token.exhausted";
    /// As many claims of the token as it keeps are open. Status 409; some of them end within the time of a lease.
    pub const TOO_MANY_CLAIMS: &str = "error.platform.token.tooManyClaims";
}

/// The answer to `GET /TokenServices`. What is missing is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenServices {
    /// Whether it counts uses by claims.
    pub claims: bool,
    /// Whether terms can be set, read and changed, and tokens revoked.
    pub terms: bool,
    /// How long a claim is leased, in seconds.
    pub lease_seconds: u32,
    /// The largest limit of uses.
    pub max_uses: u32,
}

/// `POST /Tokens` with terms. The answer is a [`CreatedToken`](super::tokens::CreatedToken).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenWithTerms {
    /// What the published protocol has.
    #[serde(flatten)]
    pub token: CreateToken,
    /// From when on it can be read; must be before its expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// How often it can be used, from 1 to [`MAX_USES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Whether a use counts as soon as it is leased.
    #[serde(default)]
    pub strict_uses: bool,
}

impl CreateTokenWithTerms {
    /// Whether there is more than what the published protocol has.
    #[must_use]
    pub fn has_terms(&self) -> bool {
        self.not_before.is_some() || self.max_uses.is_some() || self.strict_uses
    }
}

impl From<CreateToken> for CreateTokenWithTerms {
    /// Without terms.
    fn from(token: CreateToken) -> Self {
        Self { token, not_before: None, max_uses: None, strict_uses: false }
    }
}

/// The answer to `GET /Tokens/{id}/Terms`, to a change of them and to `POST /Tokens/{id}/Revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenTerms {
    /// When it expires for others than its creator.
    pub expires_at: Timestamp,
    /// From when on others than its creator can read it.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// How often it can be used.
    #[serde(default)]
    pub max_uses: Option<u32>,
    /// Whether a use counts as soon as it is leased.
    #[serde(default)]
    pub strict_uses: bool,
    /// Uses that count for ever. Of a token without limit those under claims only.
    pub committed_uses: u32,
    /// Claims that are open.
    pub leased_uses: u32,
    /// Wrong passwords so far.
    pub failed_attempts: u32,
    /// Whether there were too many.
    pub is_locked: bool,
    /// Since when nobody but its creator can read it.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// When its content was sent last under a claim, or as a counted use.
    #[serde(default)]
    pub last_read_at: Option<Timestamp>,
}

/// `PATCH /Tokens/{id}/Terms`. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangeTokenTerms {
    /// Another expiry, in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Another beginning; `Some(None)`, which is `null`, for none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub not_before: Option<Option<Timestamp>>,
    /// Another limit; `Some(None)`, which is `null`, for none. If it is smaller than what is used, no use is left.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub max_uses: Option<Option<u32>>,
}

/// `PUT /Tokens/{id}/Claims/{claim}`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClaimToken {
    /// Hash of the password, standard base64 with padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// The answer to [`ClaimToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Which one.
    pub id: ClaimId,
    /// Until when it is leased.
    pub lease_ends_at: Timestamp,
    /// Uses that are left for further claims; absent for a token without limit.
    #[serde(default)]
    pub remaining: Option<u32>,
}

/// Reads a member that is there, be it `null`; for `deserialize_with`, beside `default` for what is missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::ByteText;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, form: &Value) {
        assert_eq!(serde_json::to_value(value).unwrap(), *form);
        assert_eq!(serde_json::from_value::<T>(form.clone()).unwrap(), *value);
    }

    #[test]
    fn services_have_the_documented_members_and_what_is_missing_is_not_offered() {
        let services = TokenServices { claims: true, terms: true, lease_seconds: LEASE_SECONDS, max_uses: MAX_USES };
        same(&services, &json!({ "claims": true, "terms": true, "leaseSeconds": 1800, "maxUses": 1_000_000 }));
        assert_eq!(serde_json::from_str::<TokenServices>(r#"{"later":1}"#).unwrap(), TokenServices::default());
    }

    #[test]
    fn a_token_with_terms_is_a_token_with_further_members() {
        let expires_at = time("2031-01-01T00:00:00.000Z");
        let content = Some(ByteText(vec![1, 2]));
        let token = CreateToken { content, expires_at, for_identity: None, password: None };
        let plain = serde_json::to_value(&token).unwrap();
        let mut with = CreateTokenWithTerms::from(token);
        assert!(!with.has_terms());
        let mut expected = plain;
        expected["strictUses"] = json!(false);
        assert_eq!(serde_json::to_value(&with).unwrap(), expected);
        with.max_uses = Some(1);
        assert!(with.has_terms());
        with.not_before = Some(time("2030-01-01T00:00:00.000Z"));
        expected["maxUses"] = json!(1);
        expected["notBefore"] = json!("2030-01-01T00:00:00.000Z");
        assert_eq!(serde_json::to_value(&with).unwrap(), expected);
        assert!(serde_json::from_value::<CreateTokenWithTerms>(expected).unwrap() == with);
    }

    #[test]
    fn terms_have_the_documented_members() {
        let terms = TokenTerms {
            expires_at: time("2031-01-01T00:00:00.000Z"),
            not_before: None,
            max_uses: Some(3),
            strict_uses: false,
            committed_uses: 1,
            leased_uses: 2,
            failed_attempts: 100,
            is_locked: true,
            revoked_at: None,
            last_read_at: Some(time("2030-01-01T00:00:00.000Z")),
        };
        let form = json!({
            "expiresAt": "2031-01-01T00:00:00.000Z", "notBefore": null, "maxUses": 3, "strictUses": false,
            "committedUses": 1, "leasedUses": 2, "failedAttempts": 100, "isLocked": true, "revokedAt": null,
            "lastReadAt": "2030-01-01T00:00:00.000Z"
        });
        same(&terms, &form);
    }

    #[test]
    fn a_change_tells_what_stays_from_what_ends() {
        same(&ChangeTokenTerms::default(), &json!({}));
        let change = ChangeTokenTerms { max_uses: Some(None), not_before: Some(None), expires_at: None };
        same(&change, &json!({ "notBefore": null, "maxUses": null }));
        let change = ChangeTokenTerms {
            expires_at: Some(time("2031-01-01T00:00:00.000Z")),
            max_uses: Some(Some(7)),
            not_before: None,
        };
        same(&change, &json!({ "expiresAt": "2031-01-01T00:00:00.000Z", "maxUses": 7 }));
        for wrong in [json!({ "maxUses": -1 }), json!({ "maxUses": "x" }), json!({ "notBefore": "soon" })] {
            assert!(serde_json::from_value::<ChangeTokenTerms>(wrong).is_err());
        }
    }

    #[test]
    fn claims_have_the_documented_members() {
        let claim = Claim {
            id: "CLMabcdefghijklmno12".parse().unwrap(),
            lease_ends_at: time("2030-01-01T00:30:00.000Z"),
            remaining: None,
        };
        let form =
            json!({ "id": "CLMabcdefghijklmno12", "leaseEndsAt": "2030-01-01T00:30:00.000Z", "remaining": null });
        same(&claim, &form);
        assert_eq!(serde_json::to_value(ClaimToken::default()).unwrap(), json!({}));
    }
}
