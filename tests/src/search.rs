//! Searches for secrets in places where they must not be.
//!
//! A store rarely contains a secret verbatim, so this searches for every encoding that the program uses: the bytes themselves,
//! hex, and base64 in both alphabets at each of the three alignments that a secret can have inside a longer text.

use std::fmt;
use std::path::Path;

use crate::files_below;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The places where secrets were found.
#[derive(Default, PartialEq, Eq)]
pub struct Traces(Vec<String>);

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl Traces {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Searches all files below a directory for secrets; each has a name for the report.
///
/// # Panics
/// If the directory cannot be read, or is empty, so that the search would prove nothing.
#[must_use]
pub fn traces(directory: &Path, secrets: &[(&str, &[u8])]) -> Traces {
    let files = files_below(directory);
    assert!(!files.is_empty(), "nothing to search in {}", directory.display());
    let mut found = Traces::default();
    for path in files {
        let bytes = std::fs::read(&path).expect("a readable file");
        found.0.extend(planted(&bytes, secrets).0.into_iter().map(|what| format!("{what} in {}", path.display())));
    }
    found
}

/// Searches bytes for secrets.
///
/// # Panics
/// If a secret is too short to be found reliably.
#[must_use]
pub fn planted(bytes: &[u8], secrets: &[(&str, &[u8])]) -> Traces {
    let mut found = Traces::default();
    for (name, secret) in secrets {
        assert!(secret.len() >= 6, "{name} is too short to search for");
        for (form, needle) in forms(secret) {
            if contains(bytes, &needle) {
                found.0.push(format!("{name} ({form})"));
            }
        }
    }
    found
}

fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("as it is", secret.to_vec()),
        ("hex", hex.clone().into_bytes()),
        ("upper-case hex", hex.to_uppercase().into_bytes()),
        ("utf-16", secret.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    for offset in 0..3 {
        forms.push(("base64", base64_inside(secret, offset, STANDARD)));
        forms.push(("base64url", base64_inside(secret, offset, URL_SAFE)));
    }
    forms
}

/// The base64 characters that depend only on the secret if `offset` bytes precede it.
fn base64_inside(secret: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let skip = (3 - offset) % 3;
    secret[skip..]
        .chunks_exact(3)
        .flat_map(|c| {
            let group = u32::from(c[0]) << 16 | u32::from(c[1]) << 8 | u32::from(c[2]);
            [18, 12, 6, 0].map(|shift| alphabet[(group >> shift & 63) as usize])
        })
        .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = haystack;
    while let Some(start) = rest.iter().position(|byte| byte == first) {
        if rest[start..].starts_with(needle) {
            return true;
        }
        rest = &rest[start + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[(&str, &[u8])] = &[("the secret", b"planted-marker-4711")];

    #[test]
    fn every_form_is_found() {
        for text in [
            "x planted-marker-4711 y",
            "706c616e7465642d6d61726b65722d34373131",
            "cGxhbnRlZC1tYXJrZXItNDcxMQ",
            "eHBsYW50ZWQtbWFya2VyLTQ3MTF5",
            "eHhwbGFudGVkLW1hcmtlci00NzExeQ==",
        ] {
            assert!(!planted(text.as_bytes(), SECRET).is_empty(), "{text}");
        }
    }

    #[test]
    fn other_text_is_not_found() {
        assert!(planted(b"planted-marker-471 and cGxhbnRlZC1tYXJrZXIt", SECRET).is_empty());
    }
}
