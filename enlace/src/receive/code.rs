//! A code in place of a reference: a number and two words that the sender has told.

use std::sync::Arc;

use runtime::{Fingerprint, PeerConfig, SystemClock, receive_code_at};
use serde_json::json;

use super::Incoming;
use crate::failure::Failure;
use crate::output::Output;

/// Whether a text has the form of a code rather than that of a reference, which begins with a letter.
pub(crate) fn is_code(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains(['-', ' '])
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == ' ')
}

/// Gets the reference from the sender of a code, who is looked for in the local network, at rendezvous servers and at these
/// addresses. Shows the fingerprint.
///
/// # Errors
/// A failure if nobody offers the code, or if it is wrong.
pub(crate) async fn ask(
    config: PeerConfig,
    code: &str,
    addresses: &[String],
    output: Output,
) -> Result<(Incoming, Fingerprint), Failure> {
    let (reference, fingerprint) = receive_code_at(config, code.trim(), addresses, Arc::new(SystemClock)).await?;
    output.event(&json!({ "code": { "end": "taken", "fingerprint": fingerprint.to_string() } }));
    output.talk(format!("the sender has to see the same fingerprint: {fingerprint}"));
    Ok((Incoming::parse(&reference)?, fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_from_references_by_their_form() {
        for code in ["7-amber-violin", " 7 Amber Violin\n", "999-a-b", "7-amber"] {
            assert!(is_code(code), "{code}");
        }
        for other in ["", "7", "VE9L-x", "http://localhost:4710/r/TOK#x", "7/amber", "-", "seven-amber-violin"] {
            assert!(!is_code(other), "{other}");
        }
    }
}
