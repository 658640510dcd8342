//! The words of codes: 512 English nouns of 3 to 8 letters, chosen for this program. No two differ by one letter only, so
//! one mistake while typing never gives another word.

/// Number of words: each adds 9 bits.
pub const WORD_COUNT: usize = 512;

/// In alphabetical order, one between white space and the next.
const TEXT: &str = include_str!("words.txt");

/// The word with a number.
pub(super) fn word(number: usize) -> &'static str {
    code_words().nth(number % WORD_COUNT).expect("there are as many words")
}

/// All words, in alphabetical order.
pub fn code_words() -> impl Iterator<Item = &'static str> {
    TEXT.split_ascii_whitespace()
}

/// A word as it stands in the list, from any spelling of it.
pub(super) fn find(text: &str) -> Option<&'static str> {
    code_words().find(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether one letter that is typed wrong, left out or added makes one word of the other.
    fn is_near(a: &str, b: &str) -> bool {
        let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        match long.len() - short.len() {
            0 => short.bytes().zip(long.bytes()).filter(|(a, b)| a != b).count() <= 1,
            1 => (0..long.len()).any(|at| [&long[..at], &long[at + 1..]].concat() == short),
            _ => false,
        }
    }

    #[test]
    fn the_words_are_sorted_short_and_not_mistaken_for_each_other() {
        let words: Vec<_> = code_words().collect();
        assert_eq!(words.len(), WORD_COUNT);
        assert!(words.is_sorted());
        for (at, word) in words.iter().enumerate() {
            assert!((3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
            for other in &words[at + 1..] {
                assert!(!is_near(word, other), "{word} {other}");
            }
        }
    }
}
