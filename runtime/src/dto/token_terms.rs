//! Terms of own tokens: how they stand, and what changing them has done.

use serde::{Deserialize, Serialize};
use transport::wire::Timestamp;
use transport::wire::backbone::token_terms;

use super::{Token, TokenTransports};

/// Whether others can load a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum TokenStatus {
    /// They can.
    Active,
    /// Not yet.
    NotYetValid,
    /// No use of it is left.
    Exhausted,
    /// There were too many wrong passwords, at the backbone or from peers at this node; it can be unlocked.
    Locked,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl TokenStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::NotYetValid, Self::Exhausted, Self::Locked, Self::Expired, Self::Revoked];

    /// As they are written, in the order of [`ALL`](Self::ALL).
    pub const NAMES: [&str; 6] = ["active", "notYetValid", "exhausted", "locked", "expired", "revoked"];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NotYetValid => "notYetValid",
            Self::Exhausted => "exhausted",
            Self::Locked => "locked",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// The terms of an own token, and how often it was used, as the backbone tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenTerms {
    /// Whether others can load it.
    pub status: TokenStatus,
    /// When it expires for others.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// Since when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Timestamp>,
    /// From when on others can load it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub not_before: Option<Timestamp>,
    /// How often it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Whether a use counts as soon as it is begun, so that it is never given back; false if absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_uses: bool,
    /// Uses that count for ever. Of a token without limit those under claims only.
    pub committed_uses: u32,
    /// Uses that are open.
    pub leased_uses: u32,
    /// Wrong passwords so far, at the backbone.
    pub failed_attempts: u32,
    /// When the backbone sent its content last under a claim, or as a counted use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_read_at: Option<Timestamp>,
    /// By which paths others may load it, as this node enforces it: some of `direct`, `relay` and `store`; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub transports: Option<TokenTransports>,
}

impl TokenTerms {
    pub(crate) fn of(terms: token_terms::TokenTerms, now: Timestamp) -> Self {
        Self {
            status: status(&terms, now),
            expires_at: terms.expires_at,
            revoked_at: terms.revoked_at,
            not_before: terms.not_before,
            max_uses: terms.max_uses,
            strict_uses: terms.strict_uses,
            committed_uses: terms.committed_uses,
            leased_uses: terms.leased_uses,
            failed_attempts: terms.failed_attempts,
            last_read_at: terms.last_read_at,
            transports: None,
        }
    }

    /// The same for a token that is locked for peers at this node, as the backbone does not know.
    pub(crate) fn locked_for_peers(self, is_locked: bool) -> Self {
        let is_usable = !matches!(self.status, TokenStatus::Revoked | TokenStatus::Expired);
        Self { status: if is_locked && is_usable { TokenStatus::Locked } else { self.status }, ..self }
    }

    /// The same with the paths that this node permits.
    pub(crate) fn by(self, transports: Option<TokenTransports>) -> Self {
        Self { transports, ..self }
    }
}

/// What is for ever comes first.
fn status(terms: &token_terms::TokenTerms, now: Timestamp) -> TokenStatus {
    let used = terms.committed_uses.saturating_add(terms.leased_uses);
    if terms.revoked_at.is_some() {
        TokenStatus::Revoked
    } else if terms.expires_at <= now {
        TokenStatus::Expired
    } else if terms.is_locked {
        TokenStatus::Locked
    } else if terms.not_before.is_some_and(|begin| begin > now) {
        TokenStatus::NotYetValid
    } else if terms.max_uses.is_some_and(|most| used >= most) {
        TokenStatus::Exhausted
    } else {
        TokenStatus::Active
    }
}

/// What a change of the terms of a token has done on one of the paths by which others load it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum TokenPath {
    /// The new terms hold.
    Changed,
    /// Nothing was to be changed there.
    Unchanged,
    /// Nobody else gets it any more.
    Revoked,
    /// The token is not there any more, so nobody gets it.
    Gone,
    /// The token is not to be had by this path.
    NotOffered,
}

/// A token whose terms were changed, and what that has done path by path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangedToken {
    /// As it is now.
    pub token: Token,
    /// From the backbone.
    pub backbone: TokenPath,
    /// From this node, by peers. Other devices of the identity follow when they have synchronized.
    pub peers: TokenPath,
}

/// A token that replaces another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RotatedToken {
    /// The new one, with the reference to hand on.
    pub token: Token,
    /// The old one, which is revoked, and what that has done path by path.
    pub old: ChangedToken,
}
