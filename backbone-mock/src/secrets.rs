//! Random values, and secrets that are stored as digests only.

use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use blake2::digest::consts::U32;
use blake2::digest::{KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use transport::wire::{ByteText, Id};
use zeroize::{Zeroize, Zeroizing};

const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const OWNERSHIP_TOKEN_ALPHABET: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*()_-+=<>?/{}[]|~";
const SERVER_KEY_LENGTH: usize = 32;

/// A new identifier. It is unguessable: whoever knows the id of a file may read its ciphertext.
pub(crate) fn new_id<I: Id>() -> I {
    let text = format!("{}{}", I::PREFIX, random_text(LETTERS_AND_DIGITS, 17));
    text.parse().unwrap_or_else(|_| unreachable!("a prefix and 17 letters or digits are an id"))
}

/// A new ownership token of a file.
pub(crate) fn new_ownership_token() -> String {
    random_text(OWNERSHIP_TOKEN_ALPHABET, 20)
}

/// Whether a text has the form of an ownership token.
pub(crate) fn is_ownership_token(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| OWNERSHIP_TOKEN_ALPHABET.contains(&byte))
}

/// 128 random bits as 32 hex digits.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", u128::from_be_bytes(random_bytes()))
}

/// Random bytes from the operating system.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

fn random_text(alphabet: &[u8], length: usize) -> String {
    // Bytes beyond the last multiple of the alphabet's length are skipped, so that all characters are equally likely.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in random_bytes::<32>() {
            if usize::from(byte) < fair && text.len() < length {
                text.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
            }
        }
    }
    text
}

/// Compares in a time that does not depend on where the texts differ.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    Sha256::digest(a).ct_eq(&Sha256::digest(b)).into()
}

/// The key of this server. It keys the digests of secrets that clients present again, and MACs.
pub(crate) struct ServerKey(Zeroizing<[u8; SERVER_KEY_LENGTH]>);

impl ServerKey {
    /// A key from its bytes.
    pub(crate) fn from_bytes(bytes: [u8; SERVER_KEY_LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The digest that is stored of a token's password.
    pub(crate) fn token_password(&self, token: &str, password: &[u8]) -> ByteText {
        self.digest(b"enlace backbone token password", token, password)
    }

    /// Whether `password` is the one that `stored` was made from.
    pub(crate) fn is_token_password(&self, token: &str, password: &[u8], stored: &ByteText) -> bool {
        self.token_password(token, password).0.ct_eq(&stored.0).into()
    }

    /// The digest that is stored of a file's ownership token.
    pub(crate) fn ownership_token(&self, file: &str, token: &str) -> ByteText {
        self.digest(b"enlace backbone ownership token", file, token.as_bytes())
    }

    /// Whether `token` is the one that `stored` was made from.
    pub(crate) fn is_ownership_token(&self, file: &str, token: &str, stored: &ByteText) -> bool {
        self.ownership_token(file, token).0.ct_eq(&stored.0).into()
    }

    /// The MAC of an access token's claims.
    pub(crate) fn access_token(&self, claims: &str) -> ByteText {
        self.digest(b"enlace backbone access token", claims, b"")
    }

    /// Whether `mac` is the MAC of these claims.
    pub(crate) fn is_access_token(&self, claims: &str, mac: &[u8]) -> bool {
        self.access_token(claims).0.ct_eq(mac).into()
    }

    /// The MAC of the claims in the id of a challenge.
    pub(crate) fn challenge(&self, claims: u64) -> u64 {
        let mac = self.digest(b"enlace backbone challenge", "", &claims.to_be_bytes());
        let first = mac.0.first_chunk().expect("a digest has 32 bytes");
        u64::from_be_bytes(*first)
    }

    /// The record's id is part of the digest, so that equal secrets of two records have different digests.
    fn digest(&self, purpose: &[u8], record: &str, secret: &[u8]) -> ByteText {
        let mut mac = blake2::Blake2bMac::<U32>::new_from_slice(self.0.as_ref()).expect("32 bytes are a valid key");
        mac.update(purpose);
        mac.update(record.as_bytes());
        mac.update(secret);
        ByteText(mac.finalize().into_bytes().to_vec())
    }
}

/// The salted hash that is stored of a device's password.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PasswordHash {
    salt: ByteText,
    hash: ByteText,
}

impl PasswordHash {
    /// Hashes a password. Takes tens of milliseconds and 7 MiB.
    pub(crate) fn new(password: &str) -> Self {
        let salt = random_bytes::<16>().to_vec();
        let hash = argon2id(password, &salt);
        Self { salt: ByteText(salt), hash: ByteText(hash.to_vec()) }
    }

    /// A hash that no password matches.
    pub(crate) fn unmatchable() -> Self {
        Self { salt: ByteText(random_bytes::<16>().to_vec()), hash: ByteText(random_bytes::<32>().to_vec()) }
    }

    /// Whether the password matches. Takes as long as hashing it.
    pub(crate) fn matches(&self, password: &str) -> bool {
        argon2id(password, &self.salt.0).ct_eq(&self.hash.0).into()
    }
}

/// The memory in which passwords are hashed, one at a time. Memory that each hashing thread allocates would stay with the process;
/// and clients that guess passwords use one processor at most.
static WORKSPACE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Argon2id (RFC 9106) with 7 MiB and five passes, the smallest of the settings OWASP recommends.
fn argon2id(password: &str, salt: &[u8]) -> [u8; 32] {
    let params = Params::new(7 * 1024, 5, 1, Some(32)).expect("constant parameters are valid");
    // Hashing writes every block before it reads it, so what a panic may have left there does not matter.
    let mut workspace = WORKSPACE.lock().unwrap_or_else(PoisonError::into_inner);
    workspace.resize(params.block_count(), Block::new());
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut hash, workspace.as_mut_slice())
        .expect("salt and output lengths are valid");
    workspace.iter_mut().for_each(Zeroize::zeroize);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use transport::wire::TokenId;

    #[test]
    fn new_ids_are_valid_and_differ() {
        let (a, b): (TokenId, TokenId) = (new_id(), new_id());
        assert_ne!(a, b);
    }

    #[test]
    fn ownership_tokens_have_their_form() {
        assert!(is_ownership_token(&new_ownership_token()));
        assert!(is_ownership_token("q7(Zk!p2Rt8_Lm4=Wd6x"));
        for text in ["", "q7(Zk!p2Rt8_Lm4=Wd6xx", "with space", "ä"] {
            assert!(!is_ownership_token(text), "{text:?}");
        }
    }

    #[test]
    fn a_password_hash_knows_its_password_only() {
        let hash = PasswordHash::new("right");
        assert!(hash.matches("right"));
        assert!(!hash.matches("wrong"));
    }

    #[test]
    fn equal_passwords_of_two_tokens_are_stored_differently() {
        let key = ServerKey::from_bytes([1; 32]);
        assert_ne!(key.token_password("TOK1", b"p"), key.token_password("TOK2", b"p"));
        assert!(key.is_token_password("TOK1", b"p", &key.token_password("TOK1", b"p")));
    }
}
