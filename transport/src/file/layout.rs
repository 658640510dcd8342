//! Locates the members of a body while it streams past, without buffering it.
//!
//! The JSON object may have its members in any order, under short or long names, with white space and unknown members.
//! The ciphertext is passed on and its position recorded. Everything else must fit into [`MAX_FRAME_LENGTH`] and is parsed
//! as JSON at the end. So a body is accepted exactly if a full JSON parser would accept it.

use std::ops::Range;

use serde::Deserialize;

use super::FileError;
use super::seal::base64_length;
use crate::crypto::{NONCE_LENGTH, TAG_LENGTH};
use crate::wire::bytes::from_base64url;

/// Maximum number of bytes in a body besides the ciphertext.
const MAX_FRAME_LENGTH: usize = 4096;

const ALGORITHM: u8 = 3;

/// Maximum length in bytes of a body with this many bytes of plaintext, no matter which client wrote it. The plaintext must
/// not exceed [`MAX_PLAINTEXT_LENGTH`](super::MAX_PLAINTEXT_LENGTH).
#[must_use]
pub const fn max_body_length(plaintext_length: u64) -> u64 {
    base64_length(plaintext_length + TAG_LENGTH as u64) + MAX_FRAME_LENGTH as u64
}

/// What a reader needs to decrypt a body.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Position of the base64url text of ciphertext and tag.
    pub(super) ciphertext: Range<u64>,
    pub(super) nonce: [u8; NONCE_LENGTH],
}

/// Scans a body piece by piece.
#[derive(Default)]
pub(super) struct LayoutScanner {
    /// The body without the ciphertext.
    frame: Vec<u8>,
    /// Bytes seen so far.
    offset: u64,
    depth: u32,
    place: Place,
    /// Whether the scan is after a colon of the outermost object.
    in_value: bool,
    /// The last member name of the outermost object.
    name: Vec<u8>,
    ciphertext: Option<Range<u64>>,
    failed: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Structure,
    Name,
    Text,
    Ciphertext,
}

impl LayoutScanner {
    /// Scans the next piece, and passes on its part of the ciphertext, as base64url.
    pub(super) fn push(&mut self, mut piece: &[u8], mut ciphertext: impl FnMut(&[u8])) {
        while !piece.is_empty() && !self.failed {
            let taken = match self.place {
                Place::Ciphertext => {
                    let length = self.skip_ciphertext(piece);
                    ciphertext(&piece[..length]);
                    length
                }
                place => self.take_frame(place, piece),
            };
            self.offset += taken as u64;
            piece = &piece[taken..];
        }
    }

    pub(super) fn finish(self) -> Result<Layout, FileError> {
        // checked here, because the parser skips unknown members without checking their UTF-8
        let text = std::str::from_utf8(&self.frame).map_err(|_| FileError::Malformed)?;
        let frame: Frame = serde_json::from_str(text).map_err(|_| FileError::Malformed)?;
        let nonce = from_base64url(&frame.nnc).ok().and_then(|nonce| nonce.try_into().ok());
        match (self.failed, frame.alg, self.ciphertext, nonce) {
            (false, ALGORITHM, Some(ciphertext), Some(nonce)) => Ok(Layout { ciphertext, nonce }),
            _ => Err(FileError::Malformed),
        }
    }

    /// Skips to the end of the ciphertext or of the piece.
    fn skip_ciphertext(&mut self, piece: &[u8]) -> usize {
        let length = memchr::memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
        if let Some(ciphertext) = &mut self.ciphertext {
            ciphertext.end += length as u64;
        }
        if let Some(end) = piece.get(length) {
            // base64url never needs an escape
            self.failed |= *end == b'\\';
            self.place = Place::Text;
        }
        length
    }

    /// Scans one byte outside the ciphertext.
    fn take_frame(&mut self, place: Place, piece: &[u8]) -> usize {
        let byte = piece[0];
        self.frame.push(byte);
        self.failed |= self.frame.len() > MAX_FRAME_LENGTH;
        match (place, byte) {
            (Place::Structure, _) => self.take_structure(byte),
            (_, b'"') if !self.is_escaped() => self.place = Place::Structure,
            (Place::Name, _) => self.name.push(byte),
            _ => {}
        }
        1
    }

    /// Whether the quote just scanned is escaped: it follows an odd number of backslashes.
    fn is_escaped(&self) -> bool {
        self.frame.iter().rev().skip(1).take_while(|byte| **byte == b'\\').count() % 2 == 1
    }

    fn take_structure(&mut self, byte: u8) {
        let outermost = self.depth == 1;
        match byte {
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if outermost => self.in_value = true,
            b',' if outermost => self.in_value = false,
            b'"' if outermost && !self.in_value => {
                self.name.clear();
                self.place = Place::Name;
            }
            b'"' if outermost && matches!(self.name.as_slice(), b"cph" | b"cipher") => {
                self.failed |= self.ciphertext.is_some();
                let start = self.offset + 1;
                self.ciphertext = Some(start..start);
                self.place = Place::Ciphertext;
            }
            b'"' => self.place = Place::Text,
            _ => {}
        }
    }
}

#[derive(Deserialize)]
struct Frame {
    /// Empty, because the ciphertext is removed. It must occur exactly once, and its name must have no escapes.
    #[serde(rename = "cph", alias = "cipher", deserialize_with = "empty_text")]
    _ciphertext: (),
    #[serde(alias = "algorithm")]
    alg: u8,
    #[serde(alias = "nonce")]
    nnc: String,
    /// Files carry a nonce of their own, never a counter.
    #[serde(rename = "cnt", alias = "counter", default, deserialize_with = "refuse")]
    _counter: (),
}

fn empty_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(()) } else { Err(serde::de::Error::custom("ciphertext under an escaped name")) }
}

fn refuse<'de, D: serde::Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom("counter in a file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: &str) -> Result<String, FileError> {
        let mut layouts = [1, 2, 7, body.len()].map(|size| {
            let mut scanner = LayoutScanner::default();
            body.as_bytes().chunks(size).for_each(|piece| scanner.push(piece, |_| ()));
            scanner.finish()
        });
        let texts = layouts.each_ref().map(|layout| format!("{:?}", layout.as_ref().ok().map(|l| &l.ciphertext)));
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        let layout = std::mem::replace(&mut layouts[0], Err(FileError::Malformed))?;
        let place = usize::try_from(layout.ciphertext.start).unwrap()..usize::try_from(layout.ciphertext.end).unwrap();
        Ok(body[place].to_owned())
    }

    const NONCE: &str = "VhFiVGl_l35Mguap2ua3CmWzc21jDQCu";

    #[test]
    fn the_ciphertext_is_found_whatever_surrounds_it() {
        for body in [
            format!(r#"{{"cph":"AAAA","alg":3,"nnc":"{NONCE}","@type":"CryptoCipher"}}"#),
            format!(" {{ \"nonce\" : \"{NONCE}\" ,\n\"algorithm\" : 3 , \"cipher\" : \"AAAA\" }} "),
            format!(r#"{{"x":{{"cph":"B\"","y":[1,"}}"]}},"z\\":"\\","alg":3,"nnc":"{NONCE}","cph":"AAAA"}}"#),
        ] {
            assert_eq!(scan(&body).unwrap(), "AAAA", "{body}");
        }
        assert_eq!(scan(&format!(r#"{{"cph":"","alg":3,"nnc":"{NONCE}"}}"#)).unwrap(), "");
    }

    #[test]
    fn no_body_is_longer_than_its_ciphertext_and_the_longest_frame() {
        let ciphertext = "A".repeat(usize::try_from(base64_length(5 + TAG_LENGTH as u64)).unwrap());
        let body = |frame: usize| {
            let text = format!(r#"{{"cph":"{ciphertext}","alg":3,"nnc":"{NONCE}"}}"#);
            let padding = frame - (text.len() - ciphertext.len());
            text + &" ".repeat(padding)
        };
        let longest = body(MAX_FRAME_LENGTH);
        assert_eq!(longest.len() as u64, max_body_length(5));
        assert_eq!(scan(&longest).unwrap(), ciphertext);
        assert!(scan(&body(MAX_FRAME_LENGTH + 1)).is_err());
    }

    #[test]
    fn everything_else_is_malformed() {
        for body in [
            String::from(" "),
            String::from("{}"),
            format!(r#"{{"cph":"AAAA","alg":3,"nnc":"{NONCE}""#),
            format!(r#"{{"cph":"AAAA","alg":3,"nnc":"{NONCE}"}}x"#),
            format!(r#"["cph","AAAA","alg",3,"nnc","{NONCE}"]"#),
            format!(r#"{{"cph":"AAAA","alg":2,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"cph":"AAAA","alg":3,"nnc":"{}"}}"#, &NONCE[..16]),
            format!(r#"{{"cph":"AAAA","alg":3,"cnt":0,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"cph":"AA\u0041A","alg":3,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"\u0063ph":"AAAA","alg":3,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"cph":"AAAA","\u0063ph":"","alg":3,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"cph":"AAAA","cipher":"AAAA","alg":3,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"cph":["AAAA"],"alg":3,"nnc":"{NONCE}"}}"#),
            format!(r#"{{"cph":"AAAA","alg":3,"nnc":"{NONCE}"{}}}"#, " ".repeat(MAX_FRAME_LENGTH)),
        ] {
            assert!(matches!(scan(&body), Err(FileError::Malformed)), "{body}");
        }
    }
}
