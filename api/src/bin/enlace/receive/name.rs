//! Names for received files. The sender chose the name, so nothing in it may steer where or what is written.

use crate::output::is_invisible;

/// Longest name in bytes; what common file systems take.
const MAX_LENGTH: usize = 255;
/// Longest extension in bytes that survives shortening.
const MAX_EXTENSION: usize = 20;
/// Used when nothing is left.
const FALLBACK: &str = "file";

/// A name without directory, control or direction characters, not hidden, not a device, at most 255 bytes.
pub(super) fn safe_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|c| !c.is_control() && !is_invisible(*c)).map(plain).collect();
    let trimmed = shown.trim().trim_end_matches(['.', ' ']);
    if trimmed.is_empty() {
        return FALLBACK.to_owned();
    }
    shorten(&disarm(trimmed))
}

/// Characters that some file systems or shells treat as something else than text.
fn plain(c: char) -> char {
    if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') || c.is_whitespace() && c != ' ' { '_' } else { c }
}

/// Puts an underscore before names that hide, look like options, or open devices.
fn disarm(name: &str) -> String {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if name.starts_with(['.', '-', '~']) || is_device(stem) { format!("_{name}") } else { name.to_owned() }
}

fn is_device(stem: &str) -> bool {
    let stem = stem.to_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$")
        || numbered("COM")
        || numbered("LPT")
}

/// Cuts the middle, so that the extension stays.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_LENGTH {
        return name.to_owned();
    }
    let extension = name.rfind('.').map(|at| &name[at..]).filter(|extension| extension.len() <= MAX_EXTENSION);
    let extension = extension.unwrap_or_default();
    let stem = &name[..name.len() - extension.len()];
    let end = stem.floor_char_boundary(MAX_LENGTH - extension.len());
    format!("{}{extension}", stem[..end].trim_end_matches([' ', '.']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_corpus_of_tricks_becomes_plain_names() {
        let corpus = include_str!("../../../../tests/cmd/names.json");
        let corpus: Vec<(String, String)> = serde_json::from_str(corpus).unwrap();
        assert!(corpus.len() > 40);
        for (given, expected) in corpus {
            assert_eq!(safe_name(&given), expected, "{given:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = safe_name(&format!("{}.tar", "ä".repeat(300)));
        assert!(name.len() <= MAX_LENGTH && name.len() > MAX_LENGTH - 3, "{}", name.len());
        assert!(name.ends_with("ä.tar"));
        assert_eq!(safe_name(&"x".repeat(300)).len(), MAX_LENGTH);
        assert_eq!(safe_name(&format!("a.{}", "x".repeat(300))).len(), MAX_LENGTH);
    }

    proptest! {
        #[test]
        fn whatever_is_given_the_name_is_one_harmless_segment(given in any::<String>()) {
            let name = safe_name(&given);
            prop_assert!(!name.is_empty() && name.len() <= MAX_LENGTH);
            prop_assert!(!name.contains(['/', '\\', '\0']));
            prop_assert!(!name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']));
            prop_assert!(!name.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert_eq!(safe_name(&name), name);
        }
    }
}
