//! Codes as a person says and types them: a number and two words, `7-amber-violin`.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::words::{WORD_COUNT, find, word};
use crate::crypto::random::below;

/// The highest number of a code.
pub const MAX_NAMEPLATE: u16 = 999;

/// Bytes of the longest text that is read as a code.
const MAX_CODE_LENGTH: usize = 64;

/// A text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code of a number and two words, such as 7-amber-violin; check the spelling")]
pub struct InvalidCode;

/// A code. Its words are a secret; its number is not, and tells which of several codes is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    nameplate: u16,
    /// The whole code in its one spelling.
    text: Zeroizing<String>,
}

impl Code {
    /// A code with random words, which are 18 bits.
    ///
    /// # Errors
    /// [`InvalidCode`] if the number is not 1 to [`MAX_NAMEPLATE`].
    pub fn generate(nameplate: u16) -> Result<Self, InvalidCode> {
        let [one, two] = [0; 2].map(|_| word(below(WORD_COUNT as u32) as usize));
        Self::new(nameplate, one, two)
    }

    /// The number.
    #[must_use]
    pub fn nameplate(&self) -> u16 {
        self.nameplate
    }

    /// The whole code, for the person who passes it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    fn new(nameplate: u16, one: &str, two: &str) -> Result<Self, InvalidCode> {
        match nameplate {
            1..=MAX_NAMEPLATE => Ok(Self { nameplate, text: Zeroizing::new(format!("{nameplate}-{one}-{two}")) }),
            _ => Err(InvalidCode),
        }
    }
}

impl FromStr for Code {
    type Err = InvalidCode;

    /// Reads what a person types: capital letters, and spaces in place of hyphens, do not matter.
    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        if text.len() > MAX_CODE_LENGTH {
            return Err(InvalidCode);
        }
        let is_separator = |character: char| character == '-' || character.is_whitespace();
        let mut parts = text.split(is_separator).filter(|part| !part.is_empty());
        let [Some(number), Some(one), Some(two), None] = [parts.next(), parts.next(), parts.next(), parts.next()]
        else {
            return Err(InvalidCode);
        };
        let is_number = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        let nameplate = is_number.then(|| number.parse().ok()).flatten().ok_or(InvalidCode)?;
        Self::new(nameplate, find(one).ok_or(InvalidCode)?, find(two).ok_or(InvalidCode)?)
    }
}

/// Shows the number only.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-…)", self.nameplate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code: Code = "7-amber-violin".parse().unwrap();
        for text in ["7 amber violin", " 7-Amber-VIOLIN ", "7 - amber\tviolin"] {
            assert_eq!(text.parse(), Ok(code.clone()), "{text}");
        }
        assert_eq!((code.expose(), code.nameplate()), ("7-amber-violin", 7));
        assert_eq!(format!("{code:?}"), "Code(7-…)");
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        for text in [
            "",
            "7",
            "7-amber",
            "amber-violin",
            "7-amber-violin-1",
            "0-amber-violin",
            "07-amber-violin",
            "+7-amber-violin",
            "1000-amber-violin",
            "7-amber-violn",
            "65543-amber-violin",
        ] {
            assert_eq!(text.parse::<Code>(), Err(InvalidCode), "{text}");
        }
        let at_bound = format!("7-amber-violin{}", " ".repeat(MAX_CODE_LENGTH - 14));
        assert!(at_bound.parse::<Code>().is_ok());
        assert_eq!((at_bound + " ").parse::<Code>(), Err(InvalidCode));
    }

    #[test]
    fn generated_codes_read_back_and_differ() {
        let codes: std::collections::BTreeSet<_> = (0..100)
            .map(|_| Code::generate(MAX_NAMEPLATE).unwrap())
            .inspect(|code| assert_eq!(code.expose().parse().as_ref(), Ok(code)))
            .map(|code| code.expose().to_owned())
            .collect();
        assert!(codes.len() > 90);
        assert_eq!(Code::generate(0), Err(InvalidCode));
        assert_eq!(Code::generate(MAX_NAMEPLATE + 1), Err(InvalidCode));
    }
}
