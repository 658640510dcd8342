//! Secrets of file tokens.

use std::fmt;

use serde::{Deserialize, Serialize};
use transport::crypto::{SecretKey, compact};
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::config::Secret;
use crate::storage::id::is_id;
use crate::store::{Batch, StoreError, View};

/// Most bytes of a secret that is looked at. Those that this node makes have 64.
pub const MAX_SECRET: usize = 512;
/// Bytes of the keyed hash.
const HASH: usize = 32;
/// Name of the value in the store.
const KEY: &str = "StorageTokenKey";

/// The key of which secrets are derived. The node makes it with its first token, and uses it for nothing else.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TokenKey {
    #[serde(with = "compact")]
    key: SecretKey,
}

/// What somebody presents as the secret of a token, right or wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedToken {
    /// Empty if it is not a secret at all.
    id: String,
    hash: [u8; HASH],
}

impl TokenKey {
    fn generate() -> Self {
        Self { key: SecretKey::generate() }
    }

    /// The stored one; a random one, which fits nothing, if there are no tokens yet.
    pub(crate) fn stored(view: &View<'_>) -> Result<Self, StoreError> {
        Ok(view.value(KEY)?.unwrap_or_else(Self::generate))
    }

    /// The stored one, or a new one as a part of the batch.
    pub(crate) fn stored_or_new(view: &View<'_>, batch: &mut Batch) -> Result<Self, StoreError> {
        if let Some(key) = view.value(KEY)? {
            return Ok(key);
        }
        let key = Self::generate();
        batch.put_value(KEY, &key)?;
        Ok(key)
    }

    /// `id "." base64url(BLAKE2b-256(key, "enlace file token" 00 id 00 generation))`, the generation as 8 bytes in little-endian order.
    pub(crate) fn secret(&self, id: &str, generation: u64) -> Secret {
        Secret::new(format!("{id}.{}", to_base64url(&self.key.keyed_hash(&message(id, generation)))))
    }

    /// Whether a secret is that of the token that it names, of this generation. Takes the same time in either case.
    pub(crate) fn fits(&self, presented: &PresentedToken, generation: u64) -> bool {
        self.key.has_keyed_hash(&message(&presented.id, generation), &presented.hash)
    }
}

fn message(id: &str, generation: u64) -> Vec<u8> {
    let mut message = b"enlace file token\0".to_vec();
    message.extend_from_slice(id.as_bytes());
    message.push(0);
    message.extend_from_slice(&generation.to_le_bytes());
    message
}

impl PresentedToken {
    /// Reads what was presented. What is not a secret is one that fits no token, so that it is answered as a wrong one.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self::parse(text).unwrap_or(Self { id: String::new(), hash: [0; HASH] })
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, hash) = Some(text).filter(|text| text.len() <= MAX_SECRET)?.rsplit_once('.')?;
        let hash = from_base64url(hash).ok()?.try_into().ok()?;
        is_id(id).then(|| Self { id: id.to_owned(), hash })
    }

    /// The id of the token that it names; empty for what is not a secret.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "abcdefghij0123456789";

    fn key() -> TokenKey {
        TokenKey { key: SecretKey::from_bytes([7; SecretKey::LENGTH]) }
    }

    /// The hash is that of Python's
    /// `hashlib.blake2b(b"enlace file token\0" + id + b"\0" + (3).to_bytes(8, "little"), key=b"\7" * 32, digest_size=32)`.
    #[test]
    fn a_secret_names_its_token_and_has_a_frozen_form() {
        let secret = key().secret(ID, 3);
        assert_eq!(secret.expose(), "abcdefghij0123456789._f_ksYOICMnPjx5gQVxba9RODjzPmaJaNuJ-lw_45cw");
        assert!(secret.expose().len() <= MAX_SECRET);
        assert_eq!(format!("{:?} {:?}", secret, PresentedToken::read(secret.expose())), "Secret(…) PresentedToken(…)");
    }

    #[test]
    fn a_secret_fits_its_token_and_generation_under_its_key_only() {
        let presented = PresentedToken::read(key().secret(ID, 3).expose());
        assert_eq!(presented.id(), ID);
        assert!(key().fits(&presented, 3));
        assert!(!key().fits(&presented, 2) && !key().fits(&presented, 4));
        assert!(!TokenKey::generate().fits(&presented, 3));
        let of_other = PresentedToken { id: "b".to_owned(), ..presented };
        assert!(!key().fits(&of_other, 3));
    }

    #[test]
    fn what_is_cut_changed_or_longer_fits_nothing() {
        let secret = key().secret(ID, 0);
        let text = secret.expose();
        for length in 0..text.len() {
            assert!(!key().fits(&PresentedToken::read(&text[..length]), 0), "{length}");
        }
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(!key().fits(&PresentedToken::read(std::str::from_utf8(&changed).unwrap()), 0), "{at}");
        }
        assert!(!key().fits(&PresentedToken::read(&format!("{text} ")), 0));
        assert!(!key().fits(&PresentedToken::read(&format!("{text}=")), 0));
        let padded = format!("{}.{}", "a".repeat(MAX_SECRET), text.split_once('.').unwrap().1);
        assert_eq!(PresentedToken::read(&padded).id(), "");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), id in "[a-z0-9]{1,40}", hash in "[A-Za-z0-9_-]{40,45}") {
            for text in [text, format!("{id}.{hash}")] {
                prop_assert!(!key().fits(&PresentedToken::read(&text), 0));
            }
        }
    }
}
