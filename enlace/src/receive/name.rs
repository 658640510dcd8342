//! Names for received files. The sender chose the name, so nothing in it may steer where or what is written.

use runtime::file_name::{FALLBACK, shorten};

use super::acted_on::{SUFFIX, is_acted_on};
use crate::output::is_invisible;

/// A name for a received file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SafeName {
    /// Without directory, control or direction characters, not hidden, not a device, nothing that programs act on by
    /// itself, at most 255 bytes.
    pub(super) name: String,
    /// The name that a program would act on, if it was that.
    pub(super) acted_on: Option<String>,
}

/// Whether Windows makes a file with just this name: no device, no character with a meaning, no ending that it drops.
pub(super) fn is_writable_on_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    !is_device(stem)
        && !name.ends_with(['.', ' '])
        && name.chars().all(|c| !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*'))
}

/// Makes the sender's name safe.
pub(super) fn safe_name(given: &str) -> SafeName {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|c| !c.is_control() && !is_invisible(*c)).map(plain).collect();
    let trimmed = shown.trim().trim_end_matches(['.', ' ']);
    if trimmed.is_empty() {
        return SafeName { name: FALLBACK.to_owned(), acted_on: None };
    }
    let name = shorten(&disarm(trimmed));
    match is_acted_on(&name) {
        true => SafeName { name: shorten(&format!("{name}{SUFFIX}")), acted_on: Some(name) },
        // Shells, editors and version control read what they hide.
        false => SafeName { name, acted_on: trimmed.starts_with('.').then(|| trimmed.to_owned()) },
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::file_name::MAX_LENGTH;

    use super::*;

    #[test]
    fn the_corpus_of_tricks_becomes_plain_names() {
        let corpus = include_str!("../../tests/cmd/names.json");
        let corpus: Vec<(String, String)> = serde_json::from_str(corpus).unwrap();
        assert!(corpus.len() > 40);
        for (given, expected) in corpus {
            assert_eq!(safe_name(&given).name, expected, "{given:?}");
        }
    }

    #[test]
    fn names_that_programs_act_on_get_a_suffix_whatever_their_case_and_length() {
        let longest = format!("{}.desktop", "x".repeat(MAX_LENGTH - 8));
        for given in ["Makefile", "CONFIG.JSON", "Autorun.inf.", "dir/desktop.ini", "evil.Desktop", &longest] {
            let SafeName { name, acted_on } = safe_name(given);
            assert!(name.ends_with(SUFFIX) && name.len() <= MAX_LENGTH && !is_acted_on(&name), "{name}");
            assert!(is_acted_on(&acted_on.unwrap()), "{given}");
        }
        assert_eq!(safe_name(".env"), SafeName { name: "_.env".to_owned(), acted_on: Some(".env".to_owned()) });
        for given in ["config.json.txt", "myMakefile", "desktop", "package.jsonl", "a.json"] {
            assert_eq!(safe_name(given), SafeName { name: given.to_owned(), acted_on: None });
        }
    }

    #[test]
    fn names_that_windows_reserves_are_known() {
        for name in ["aux", "NUL.txt", "com1", "LPT¹.x", "a.", "a ", "a:b", "10:30.log", "what?", "*"] {
            assert!(!is_writable_on_windows(name), "{name}");
        }
        for name in ["a", "auxiliary", ".hidden", "-x", "com", "COM10", "ü", "a.b c"] {
            assert!(is_writable_on_windows(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_given_the_name_is_one_harmless_segment(given in any::<String>()) {
            let name = safe_name(&given).name;
            prop_assert!(!name.is_empty() && name.len() <= MAX_LENGTH);
            prop_assert!(!name.contains(['/', '\\', '\0']));
            prop_assert!(!name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']));
            prop_assert!(!name.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(!is_acted_on(&name));
            prop_assert_eq!(safe_name(&name).name, name);
        }
    }
}
