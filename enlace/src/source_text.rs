//! A text that is typed or piped, to be sent as a file.
//!
//! It is never an argument: other users of the machine can see the arguments of a process, and shells keep them.

use std::io::{self, IsTerminal, Read, Write};

use crate::code::Kind;
use crate::failure::{Failure, reason};
use crate::output;

/// Most bytes of a text; they are kept in memory.
const MAX_LENGTH: u64 = 1024 * 1024;
/// What a person at a terminal is asked.
const PROMPT: &str = "text to share, ended by Ctrl-D at the beginning of a line:";

/// The text on standard input, to its end. A person at a terminal is asked for it.
///
/// # Errors
/// A failure if it cannot be read, is empty, not UTF-8, or has more than [`MAX_LENGTH`] or `limit` bytes.
pub(crate) fn standard_input(limit: u64) -> Result<Vec<u8>, Failure> {
    if io::stdin().is_terminal() {
        // With --json, too: nobody types what is not asked for.
        let _ = writeln!(io::stderr(), "{PROMPT}");
    }
    read(io::stdin().lock(), limit.min(MAX_LENGTH))
}

fn read(stream: impl Read, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    stream
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| Failure::local(format!("cannot read the text: {}", reason(&error))))?;
    if text.is_empty() {
        return Err(Failure::usage("the text is empty").hint("pipe it into this command, or type it at a terminal"));
    }
    if text.len() as u64 > limit {
        let message = format!("the text has more than the limit of {}", output::bytes(limit));
        return Err(Failure::new(Kind::Refused, message).hint("share it as a file: use - instead of --text"));
    }
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Failure::usage("what is on standard input is not UTF-8 text")
            .hint("share it as a file: use - instead of --text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_as_it_is() {
        for text in ["x", "Grüße\r\n\n", "\u{feff}a\0b"] {
            assert_eq!(read(text.as_bytes(), 100).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_text_has_as_many_bytes_as_the_limit_says_and_no_more() {
        assert_eq!(read(io::repeat(b'a').take(MAX_LENGTH), MAX_LENGTH).unwrap().len() as u64, MAX_LENGTH);
        let refused = read(io::repeat(b'a'), MAX_LENGTH).unwrap_err();
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (Kind::Refused, "the text has more than the limit of 1.0 MiB")
        );
    }

    #[test]
    fn what_is_not_a_text_is_refused() {
        for (bytes, words) in [(&b""[..], "empty"), (b"a\xff", "not UTF-8"), (b"\xff\xfea\0", "not UTF-8")] {
            let refused = read(bytes, 100).unwrap_err();
            assert!(refused.kind == Kind::Usage && refused.message.contains(words), "{refused}");
        }
    }
}
