//! Hints for command names that other programs use.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::Failure;

/// Words at the top level, and what to run instead.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["send", "upload", "put", "push", "publish", "add"], "`enlace share FILE` shares a file"),
    (&["get", "fetch", "download", "pull", "recv", "open"], "`enlace receive REFERENCE` receives a file"),
    (&["list", "ls", "status"], "`enlace files list` lists files, `enlace tokens list` lists tokens"),
    (
        &["delete", "remove", "rm", "revoke", "unshare"],
        "`enlace tokens revoke ID` revokes a reference, `enlace tokens delete ID` deletes it, `enlace files delete ID` deletes a file",
    ),
    (&["start", "run", "daemon", "server", "up"], "`enlace serve` runs a node"),
    (&["whoami", "id", "address", "login"], "`enlace identity` shows the address"),
    (&["check", "test", "diagnose"], "`enlace doctor` checks the setup"),
    (&["config", "configuration"], "`enlace serve --print-config` shows the configuration"),
];

/// The same below `files` and `tokens`.
const NESTED: &[(&str, &[&str], &str)] = &[
    ("files", &["send", "put", "push", "add", "create"], "`enlace files upload FILE`"),
    ("files", &["get", "fetch", "pull", "show", "receive"], "`enlace files download ID`"),
    ("files", &["share"], "`enlace share FILE` shares a file, `enlace tokens create ID` one that is already uploaded"),
    (
        "tokens",
        &["get", "receive", "fetch"],
        "`enlace tokens load REFERENCE`, or `enlace tokens show ID` for a known one",
    ),
    ("tokens", &["add", "new", "share"], "`enlace tokens create FILE-ID`"),
    ("", &["ls"], "`list`"),
    ("files", &["revoke"], "`delete ID`"),
    ("", &["rm", "remove"], "`delete ID`"),
];

/// The failure for an unknown command, if its meaning can be guessed.
pub(crate) fn failure(error: &clap::Error, arguments: &[String]) -> Option<Failure> {
    let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    else {
        return None;
    };
    let before = arguments.iter().position(|argument| argument == word)?.checked_sub(1)?;
    let hint = hint(&arguments[before], word)?;
    Some(Failure::usage(format!("there is no command {word:?}")).hint(hint))
}

fn hint(parent: &str, word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let nested = ["files", "tokens"].contains(&parent);
    let below = || {
        let fits =
            |(of, words, _): &&(&str, &[&str], &str)| (of.is_empty() || *of == parent) && words.contains(&&*word);
        NESTED.iter().find(fits).map(|(_, _, hint)| *hint)
    };
    let top = || COMMANDS.iter().find(|(words, _)| words.contains(&&*word)).map(|(_, hint)| *hint);
    if nested { below() } else { top() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_programs_lead_to_our_commands() {
        for (parent, word, command) in [
            ("enlace", "send", "enlace share"),
            ("enlace", "Get", "enlace receive"),
            ("--json", "list", "enlace files list"),
            ("files", "get", "enlace files download"),
            ("tokens", "get", "enlace tokens load"),
            ("files", "rm", "delete ID"),
        ] {
            assert!(hint(parent, word).unwrap().contains(command), "{parent} {word}");
        }
        assert_eq!(hint("enlace", "xyzzy"), None);
    }

    #[test]
    fn no_word_is_a_command_already() {
        let command = crate::commands::cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert!(COMMANDS.iter().flat_map(|(words, _)| *words).all(|word| !names.contains(word)));
        for (parent, words, _) in NESTED {
            for parent in ["files", "tokens"].iter().filter(|name| parent.is_empty() || *name == parent) {
                let nested = command.find_subcommand(parent).unwrap();
                assert!(words.iter().all(|word| nested.find_subcommand(word).is_none()), "{parent}");
            }
        }
    }
}
