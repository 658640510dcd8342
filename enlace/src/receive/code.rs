//! A code in place of a reference: a number and two words that the sender has told.

use std::sync::Arc;

use runtime::{ErrorCode, Fingerprint, PeerConfig, SystemClock, check_code, code_words, receive_code_at};
use serde_json::json;

use super::Incoming;
use crate::code::Code;
use crate::failure::Failure;
use crate::output::Output;

/// Whether a text has the form of a code rather than that of a reference, which begins with a letter.
pub(crate) fn is_code(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains(['-', ' '])
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == ' ')
}

/// Refuses a code that nobody can offer, before anybody is looked for.
///
/// # Errors
/// A failure that names the word that is wrong, and the nearest one that there is.
pub(crate) fn check(code: &str) -> Result<(), Failure> {
    let Err(error) = check_code(code) else { return Ok(()) };
    let failure = Failure::from(error);
    let words = code.split(|c: char| c == '-' || c.is_whitespace()).filter(|word| !word.is_empty()).skip(1);
    let words: Vec<&str> = words.collect();
    let unknown = words.iter().find(|word| !code_words().any(|known| known.eq_ignore_ascii_case(word)));
    match (words.len(), unknown) {
        (2, Some(word)) => Err(Failure { message: format!("{word} is not a word of codes"), ..failure }.hint(
            nearest(word).map_or_else(|| SPELLING.to_owned(), |near| format!("{SPELLING}; the nearest word is {near}")),
        )),
        _ => Err(failure),
    }
}

const SPELLING: &str = "check the spelling, or ask the sender for the code again";

/// The word that was probably meant, if one is near at all.
fn nearest(word: &str) -> Option<&'static str> {
    /// Letters that are typed wrong, left out, added or exchanged.
    const MAX_MISTAKES: usize = 2;
    let word = word.to_ascii_lowercase();
    let distances = code_words().map(|known| (strsim::damerau_levenshtein(known, &word), known));
    distances.min().filter(|(distance, _)| *distance <= MAX_MISTAKES).map(|(_, known)| known)
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
    let has_server = !config.rendezvous.is_empty();
    let received = receive_code_at(config, code.trim(), addresses, Arc::new(SystemClock)).await;
    let (reference, fingerprint) = received.map_err(|error| explain(error.into(), has_server))?;
    output.event(&json!({ "code": { "end": "taken", "fingerprint": fingerprint.to_string() } }));
    output.talk(format!("the sender has to see the same fingerprint: {fingerprint}"));
    Ok((Incoming::parse(&reference)?, fingerprint))
}

/// Names the option that leads to a rendezvous server, if nobody was found without one.
fn explain(failure: Failure, has_server: bool) -> Failure {
    match (&failure.code, failure.hint.as_deref()) {
        (Some(Code::Runtime(ErrorCode::CodeNotFound)), Some(hint)) if !has_server => {
            let both = format!("{hint}; for another network, add the --backbone URL that the sender uses");
            failure.hint(both)
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_one_of_codes_is_named_with_the_nearest_one() {
        for code in ["7-amber-violin", " 7 Amber Violin"] {
            assert!(check(code).is_ok(), "{code}");
        }
        for (code, message, hint) in [
            ("7-amber-zzzzz", "zzzzz is not a word of codes", SPELLING),
            ("7-ambre-violin", "ambre is not a word of codes", "the nearest word is amber"),
            ("7 amber Violn", "Violn is not a word of codes", "the nearest word is violin"),
            ("7-amber", "'7-amber' is not a code", "check the spelling"),
            ("0-amber-violin", "'0-amber-violin' is not a code", "check the spelling"),
            ("7-amber-violin-x", "is not a code", "check the spelling"),
        ] {
            let failure = check(code).unwrap_err();
            assert!(failure.message.contains(message), "{}", failure.message);
            assert!(failure.hint.as_ref().unwrap().contains(hint), "{:?}", failure.hint);
            assert_eq!(failure.code, Some(ErrorCode::InvalidCode.into()));
        }
    }

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
