//! Secrets on their way in: from files and prompts, never from the command line's words.

use std::io::IsTerminal;
use std::path::Path;

use clap::Args;
use runtime::Secret;
use runtime::dto::PasswordProtection;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind};

/// Most bytes that are read for a secret; references are the longest.
const MAX_LENGTH: u64 = 8192;

/// Options for a password that protects a new token.
#[derive(Debug, Args)]
pub(crate) struct NewPassword {
    /// Protect with the password in the first line of FILE (- reads standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pin_file", "password"])]
    pub(crate) password_file: Option<std::path::PathBuf>,
    /// Protect with the PIN (4 to 16 digits) in the first line of FILE (- reads standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(crate) pin_file: Option<std::path::PathBuf>,
    /// Protect with a password that is asked for
    #[arg(long)]
    pub(crate) password: bool,
}

impl NewPassword {
    /// Reads or asks for the password; `None` if there shall be none.
    ///
    /// # Errors
    /// A failure for an unreadable file, an empty password, or two different entries at the prompt.
    pub(crate) fn protection(&self) -> Result<Option<PasswordProtection>, Failure> {
        let (password, is_pin) = match (&self.password_file, &self.pin_file) {
            (Some(path), _) => (read(path)?, false),
            (_, Some(path)) => (read(path)?, true),
            _ if self.password => (ask_twice()?, false),
            _ => return Ok(None),
        };
        Ok(Some(PasswordProtection {
            password: password.expose().to_owned(),
            password_is_pin: is_pin.then_some(true),
            password_location_indicator: None,
        }))
    }
}

/// Options for the password of somebody's token.
#[derive(Debug, Args)]
pub(crate) struct KnownPassword {
    /// Password or PIN in the first line of FILE (- reads standard input); asked for if needed
    #[arg(long, visible_alias = "pin-file", value_name = "FILE")]
    pub(crate) password_file: Option<std::path::PathBuf>,
}

impl KnownPassword {
    /// The password: from the file, or from a prompt if the reference wants one.
    ///
    /// # Errors
    /// A failure for an unreadable file, or if a password is needed and nobody can be asked.
    pub(crate) fn for_reference(&self, needed: Option<&str>) -> Result<Option<Secret>, Failure> {
        match (&self.password_file, needed) {
            (Some(path), _) => read(path).map(Some),
            (None, Some(what)) => ask(what).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl KnownPassword {
    /// Whether a person gives the password at a prompt, and may have mistyped it.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.password_file.is_none() && std::io::stdin().is_terminal()
    }
}

/// Asks a person at a terminal. Dropping the future leaves the prompt behind, so that whoever waits can end.
///
/// # Errors
/// As at every prompt.
pub(crate) async fn ask_again(what: String) -> Result<Secret, Failure> {
    let asked = tokio::task::spawn_blocking(move || ask(&what)).await;
    asked.unwrap_or_else(|error| Err(Failure::general(format!("no prompt: {error}"))))
}

/// The first line of a file.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn read(path: &Path) -> Result<Secret, Failure> {
    let unreadable = |error: std::io::Error| Failure::local(format!("cannot read {}: {error}", path.display()));
    let text = match path.to_str() {
        Some("-") => limited(std::io::stdin().lock()),
        _ => std::fs::File::open(path).and_then(limited),
    };
    let text = text.map_err(unreadable)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(Failure::usage(format!("the first line of {} is empty", path.display()))),
    }
}

fn limited(reader: impl std::io::Read) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read;
    // Room for all of it: a text that grows leaves its beginning behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_LENGTH as usize));
    reader.take(MAX_LENGTH).read_to_string(&mut text)?;
    Ok(text)
}

fn ask(what: &str) -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        let failure = Failure::new(Kind::Refused, format!("this reference is protected by a {what}"));
        return Err(failure.hint("give it with --password-file FILE").code("error.transport.noPasswordProvided"));
    }
    prompt(&format!("{what}: "))
}

fn ask_twice() -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is here to be asked for a password").hint("use --password-file FILE"));
    }
    let first = prompt("new password: ")?;
    if first != prompt("once more: ")? {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(first)
}

fn prompt(text: &str) -> Result<Secret, Failure> {
    let entered = rpassword::prompt_password(text).map_err(|error| Failure::general(format!("no prompt: {error}")))?;
    if entered.is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(Secret::new(entered)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_is_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let file = |content: &str| {
            let path = dir.path().join("p");
            std::fs::write(&path, content).unwrap();
            read(&path)
        };
        assert_eq!(file("pass word \r\nmore").unwrap().expose(), "pass word ");
        assert_eq!(file("pw").unwrap().expose(), "pw");
        assert!(file("").is_err());
        assert!(file("\npw").is_err());
    }
}
