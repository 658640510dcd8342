//! The search for words: `search` and `notSearch`, and the parameter `search` of lists.

/// The words that somebody searches for: sequences of letters and digits, in any case.
///
/// A text matches if it has any of them; the last one may also be the beginning of a word. Without words, nothing matches.
///
/// ```
/// use query::Words;
///
/// let words = Words::new("tax inv");
/// assert!(words.match_text("Invoice-2030.pdf") && words.match_text("TAX"));
/// assert!(!words.match_text("taxes"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// In lower case.
    whole: Vec<String>,
    /// In lower case.
    beginning: Option<String>,
}

impl Words {
    /// The words of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut whole: Vec<String> = words(text).map(str::to_lowercase).collect();
        let beginning = whole.pop();
        Self { whole, beginning }
    }

    /// Whether there are no words.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    pub(crate) fn count(&self) -> usize {
        self.whole.len() + usize::from(self.beginning.is_some())
    }

    /// Whether a text matches.
    #[must_use]
    pub fn match_text(&self, text: &str) -> bool {
        words(text).any(|word| {
            self.beginning.as_deref().is_some_and(|beginning| begins_with(word, beginning).is_some())
                || self.whole.iter().any(|wanted| begins_with(word, wanted) == Some(""))
        })
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// What follows in `word` on `beginning`, which is in lower case; none if it begins otherwise.
fn begins_with<'w>(word: &'w str, beginning: &str) -> Option<&'w str> {
    // Most words; no letter outside of ASCII is part of them.
    if word.is_ascii() {
        let (start, rest) = word.split_at_checked(beginning.len())?;
        return start.eq_ignore_ascii_case(beginning).then_some(rest);
    }
    let mut wanted = beginning.chars();
    let mut rest = word.chars();
    while !wanted.as_str().is_empty() {
        for character in rest.next()?.to_lowercase() {
            if wanted.next().is_some_and(|wanted| wanted != character) {
                return None;
            }
        }
    }
    Some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_in_any_case_and_the_last_one_as_a_beginning() {
        for (searched, text, expected) in [
            ("report", "Annual Report", true),
            ("rep", "Annual Report", true),
            ("eport", "Annual Report", false),
            ("annual missing", "Annual Report", true),
            ("ann missing", "Annual Report", false),
            ("missing ann", "Annual Report", true),
            ("ÜBER", "über-mich.txt", true),
            ("straße", "STRASSE", false),
            ("i̇", "İstanbul", true),
            ("2030", "invoice_2030", true),
            ("", "anything", false),
            ("- . !", "anything", false),
            ("anything", "", false),
        ] {
            assert_eq!(Words::new(searched).match_text(text), expected, "{searched:?} in {text:?}");
        }
    }
}
