//! The API key that a node makes for itself at its first start.

use std::path::{Path, PathBuf};

use durable::private;
use runtime::Secret;
use zeroize::Zeroizing;

use crate::data_dir::{self, DataDir};
use crate::failure::Failure;

/// Its usual name in a data directory.
const FILE: &str = "api-key";
/// The usual name of the one for `/v1`.
const APPWRITE_FILE: &str = "appwrite-key";
/// Random characters in a key; 62 possibilities each, so well over 200 bits.
const RANDOM_LENGTH: usize = 40;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Recognizable in a leak, and it holds the special character that the key policy wants.
const PREFIX: &str = "enlace_";
/// Longest key file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 4096;

/// Where the key file of a node is: where the configuration says, else in the data directory.
pub(crate) fn path(configured: Option<&Path>, dir: &DataDir) -> PathBuf {
    configured.map_or_else(|| dir.join(FILE), Path::to_owned)
}

/// Where the key file for `/v1` is: where the configuration says, else in the data directory.
pub(crate) fn appwrite_path(configured: Option<&Path>, dir: &DataDir) -> PathBuf {
    configured.map_or_else(|| dir.join(APPWRITE_FILE), Path::to_owned)
}

/// Reads the key file; makes a key and the file (mode 0600) if there is none.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn load_or_create(path: &Path) -> Result<Secret, Failure> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let key = generate()?;
    let line = Zeroizing::new(format!("{}\n", key.expose()));
    private::create_file(path, line.as_bytes()).map_err(|error| durable::Error::io(path, &error))?;
    Ok(key)
}

/// Reads the key file.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn load(path: &Path) -> Result<Secret, Failure> {
    read(path)?.ok_or_else(|| Failure::local(format!("there is no API key file {}", path.display())))
}

/// Reads the key file, if there is one.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn read(path: &Path) -> Result<Option<Secret>, Failure> {
    let Some(text) = data_dir::read_private(path, MAX_FILE_SIZE)? else { return Ok(None) };
    let key = text.trim();
    if key.is_empty() {
        let failure = Failure::local(format!("the API key file {} is empty", path.display()));
        return Err(failure.hint("delete the file to get a new key"));
    }
    if key.lines().nth(1).is_some() {
        let failure = Failure::local(format!("the API key file {} has more than one line", path.display()));
        return Err(failure.hint("keep only the key in it, or delete the file to get a new key"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        let message = format!("the API key in {} contains characters that an HTTP header cannot carry", path.display());
        return Err(Failure::local(message).hint("use ASCII letters, digits and punctuation only"));
    }
    Ok(Some(Secret::new(key)))
}

fn generate() -> Result<Secret, Failure> {
    loop {
        let random = Zeroizing::new(random_text(RANDOM_LENGTH)?);
        let key = Secret::new(format!("{PREFIX}{}", *random));
        // Forty random characters all but always satisfy the policy; draw again when they do not.
        if satisfies_policy(key.expose()) {
            return Ok(key);
        }
    }
}

/// Random letters and digits.
///
/// # Errors
/// A failure if the operating system has no randomness.
pub(crate) fn random_text(length: usize) -> Result<String, Failure> {
    // Bytes from here up would make the first letters of the alphabet likelier.
    const LIMIT: u8 = 248;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut byte = [0];
        getrandom::fill(&mut byte)
            .map_err(|error| Failure::general(format!("the system provides no random numbers: {error}")))?;
        if byte[0] < LIMIT {
            text.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    Ok(text)
}

/// At least 30 characters, two upper-case letters, two lower-case letters, two digits, one special character.
fn satisfies_policy(key: &str) -> bool {
    let count = |kind: fn(&u8) -> bool| key.as_bytes().iter().filter(|byte| kind(byte)).count();
    key.len() >= 30
        && count(u8::is_ascii_uppercase) >= 2
        && count(u8::is_ascii_lowercase) >= 2
        && count(u8::is_ascii_digit) >= 2
        && count(u8::is_ascii_punctuation) >= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_satisfy_the_policy_and_differ() {
        let keys: Vec<String> = (0..50).map(|_| generate().unwrap().expose().to_owned()).collect();
        assert!(keys.iter().all(|key| satisfies_policy(key)));
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
        assert!(!satisfies_policy("enlace_onlylowercaseletters1234567890"));
    }

    #[test]
    fn a_key_file_may_have_a_mark_and_line_ends_but_no_second_line() {
        let dir = tempfile::tempdir().unwrap();
        let read = |content: &str| {
            let path = dir.path().join("api-key");
            private::replace_file(&path, content.as_bytes()).unwrap();
            load(&path)
        };
        assert_eq!(read("\u{feff}key\r\n\r\n").unwrap().expose(), "key");
        for (content, words) in [
            ("key\nother\n", "has more than one line"),
            ("key\r\n\r\nother", "has more than one line"),
            ("schl\u{fc}ssel", "contains characters that an HTTP header cannot carry"),
            ("\u{feff}\r\n", "is empty"),
        ] {
            let failure = read(content).unwrap_err();
            assert!(failure.message.contains(words) && !failure.message.contains("other"), "{failure}");
            assert!(failure.hint.is_some());
        }
    }

    #[test]
    fn the_key_of_the_first_start_is_the_key_of_the_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api-key");
        let first = load_or_create(&path).unwrap();
        assert_eq!(first.expose(), load_or_create(&path).unwrap().expose());
    }
}
