//! API keys: which are good enough, and which one a request presents.
//!
//! Only digests are kept. A presented key is compared with every known one, in constant time, so that neither the time
//! nor the order tells how close a guess was.

use std::fmt;

use runtime::{Secret, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::roles::Roles;

/// Fewest characters of a strong key.
const STRONG_LENGTH: usize = 30;
/// Fewest upper-case letters, lower-case letters and digits of a strong key.
const STRONG_OF_EACH: usize = 2;

/// One key as it stands in the configuration.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// What the configuration calls it; appears in error texts.
    pub name: String,
    /// The key itself.
    pub key: Secret,
    /// What it may do. Patterns: `*` stands for one segment, `**` for one or more.
    pub scopes: Vec<String>,
    /// After this time it is refused.
    pub expires_at: Option<Timestamp>,
}

impl ApiKey {
    /// A key that may do everything and does not expire.
    #[must_use]
    pub fn new(name: impl Into<String>, key: Secret) -> Self {
        Self { name: name.into(), key, scopes: vec!["**".to_owned()], expires_at: None }
    }
}

/// Keys that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// Too easy to guess.
    #[error("API key '{0}' is too weak: use {rule}", rule = Self::strong_key())]
    Weak(String),
    /// Two names for one key.
    #[error("API keys '{0}' and '{1}' are the same: give each its own")]
    Duplicate(String, String),
    /// Nobody could call.
    #[error("no API key is usable: configure one that has not expired")]
    NoneUsable,
}

impl ApiKeyError {
    /// What a key needs that is not too weak.
    #[must_use]
    pub fn strong_key() -> String {
        format!(
            "at least {STRONG_LENGTH} characters with {STRONG_OF_EACH} upper-case letters, {STRONG_OF_EACH} lower-case \
             letters, {STRONG_OF_EACH} digits and one of !\"#$%&'()*+,-./:;<=>?@[\\]^_`{{|}}~"
        )
    }
}

/// The keys that are accepted. Holds digests only.
#[derive(Clone)]
pub struct ApiKeys(Vec<Known>);

/// A key that is accepted.
#[derive(Clone)]
pub(crate) struct Known {
    digest: [u8; 32],
    /// Cannot be guessed, at whatever rate.
    pub(crate) is_strong: bool,
    /// What its holder may do.
    pub(crate) roles: Roles,
    expires_at: Option<Timestamp>,
}

impl ApiKeys {
    /// One key for everything, as generation 6 has it. A weak one is only warned about.
    ///
    /// # Errors
    /// [`ApiKeyError::NoneUsable`] for an empty key.
    pub fn single(key: &Secret) -> Result<Self, ApiKeyError> {
        if key.expose().is_empty() {
            return Err(ApiKeyError::NoneUsable);
        }
        if !is_strong(key.expose()) {
            tracing::warn!("the API key is weak: {}", ApiKeyError::Weak("apiKey".to_owned()));
        }
        Ok(Self(vec![Known {
            digest: digest(key.expose()),
            is_strong: is_strong(key.expose()),
            roles: Roles::new(&["**".to_owned()]),
            expires_at: None,
        }]))
    }

    /// Several keys, each with what it may do.
    ///
    /// # Errors
    /// [`ApiKeyError`] for weak keys, for keys that are the same, and if none can be used at `now`.
    pub fn named(keys: &[ApiKey], now: Timestamp) -> Result<Self, ApiKeyError> {
        let mut seen: Vec<(&str, [u8; 32])> = Vec::new();
        for ApiKey { name, key, .. } in keys {
            if !is_strong(key.expose()) {
                return Err(ApiKeyError::Weak(name.clone()));
            }
            let digest = digest(key.expose());
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == digest) {
                return Err(ApiKeyError::Duplicate((*other).to_owned(), name.clone()));
            }
            seen.push((name, digest));
        }
        if !keys.iter().any(|key| key.expires_at.is_none_or(|at| now < at)) {
            return Err(ApiKeyError::NoneUsable);
        }
        let known = |(key, (_, digest)): (&ApiKey, (&str, [u8; 32]))| Known {
            digest,
            is_strong: true,
            roles: Roles::new(&key.scopes),
            expires_at: key.expires_at,
        };
        Ok(Self(keys.iter().zip(seen).map(known).collect()))
    }

    /// The presented key; `None` if it is unknown or has expired.
    pub(crate) fn authenticate(&self, presented: &[u8], now: Timestamp) -> Option<&Known> {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.digest.ct_eq(&presented)) {
                found = Some(known);
            }
        }
        found.filter(|known| known.expires_at.is_none_or(|at| now < at))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn is_strong(key: &str) -> bool {
    let count = |kind: fn(&char) -> bool| key.chars().filter(kind).count();
    key.chars().count() >= STRONG_LENGTH
        && count(char::is_ascii_uppercase) >= STRONG_OF_EACH
        && count(char::is_ascii_lowercase) >= STRONG_OF_EACH
        && count(char::is_ascii_digit) >= STRONG_OF_EACH
        && count(char::is_ascii_punctuation) >= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRONG: &str = "This_is_a_test_APIKEY_with_30_chars+";

    fn key(name: &str, text: &str) -> ApiKey {
        ApiKey::new(name, Secret::new(text))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn strength_is_length_and_four_kinds_of_characters() {
        assert!(is_strong(STRONG));
        for weak in [
            "",
            "This_is_a_test_APIKEY_with_3",
            "this_is_a_test_apikey_with_30_chars+",
            "THIS_IS_A_TEST_APIKEY_WITH_30_CHARS+",
            "This_is_a_test_APIKEY_with_many_chars+",
            "ThisIsATestApikeyWith30CharsAndMore",
        ] {
            assert!(!is_strong(weak), "{weak}");
        }
    }

    #[test]
    fn named_keys_must_be_strong_distinct_and_usable() {
        let now = at("2030-01-01");
        assert_eq!(ApiKeys::named(&[], now).unwrap_err(), ApiKeyError::NoneUsable);
        assert_eq!(ApiKeys::named(&[key("a", "short")], now).unwrap_err(), ApiKeyError::Weak("a".to_owned()));
        let same = [key("a", STRONG), key("b", STRONG)];
        let expected = ApiKeyError::Duplicate("a".to_owned(), "b".to_owned());
        assert_eq!(ApiKeys::named(&same, now).unwrap_err(), expected);
        let expired = ApiKey { expires_at: Some(now), ..key("a", STRONG) };
        assert_eq!(ApiKeys::named(&[expired], now).unwrap_err(), ApiKeyError::NoneUsable);
    }

    #[test]
    fn a_key_is_refused_from_its_expiry_on() {
        let expiring = ApiKey { expires_at: Some(at("2030-06-01")), ..key("a", STRONG) };
        let keys = ApiKeys::named(&[expiring], at("2030-01-01")).unwrap();
        assert!(keys.authenticate(STRONG.as_bytes(), at("2030-05-31")).is_some());
        assert!(keys.authenticate(STRONG.as_bytes(), at("2030-06-01")).is_none());
    }

    #[test]
    fn only_the_exact_key_is_accepted() {
        let keys = ApiKeys::single(&Secret::new(STRONG)).unwrap();
        let now = at("2030-01-01");
        assert!(keys.authenticate(STRONG.as_bytes(), now).is_some());
        for wrong in ["", &STRONG[1..], &STRONG.to_lowercase(), &format!("{STRONG} ")] {
            assert!(keys.authenticate(wrong.as_bytes(), now).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_single_key_may_be_weak_and_is_known_to_be() {
        let now = at("2030-01-01");
        for (key, is_strong) in [("weak", false), (STRONG, true)] {
            let keys = ApiKeys::single(&Secret::new(key)).unwrap();
            assert_eq!(keys.authenticate(key.as_bytes(), now).unwrap().is_strong, is_strong);
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = ApiKeys::single(&Secret::new(STRONG)).unwrap();
        assert_eq!(format!("{keys:?}"), "ApiKeys(1)");
        assert!(!format!("{:?}", key("a", STRONG)).contains("APIKEY"));
    }

    #[test]
    fn an_empty_single_key_is_refused() {
        assert_eq!(ApiKeys::single(&Secret::new("")).unwrap_err(), ApiKeyError::NoneUsable);
    }
}
