//! Secrets on their way in: from files and prompts, never from the command line's words.

use std::io::IsTerminal;
use std::path::Path;

use clap::Args;
use runtime::dto::{InvalidPin, Password, PasswordProtection};
use runtime::{ErrorCode, Secret};
use zeroize::Zeroizing;

use crate::code::Kind;
use crate::failure::{Failure, reason};
use crate::text_file;

/// Most bytes that are read for a secret; references are the longest.
const MAX_LENGTH: u64 = 8192;

/// Options for a password that protects a new token.
#[derive(Debug, Args)]
pub(crate) struct NewPassword {
    /// Protect the token with the password in the first line of FILE (- reads standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pin_file", "password"])]
    pub(crate) password_file: Option<std::path::PathBuf>,
    /// Protect the token with the PIN (4 to 16 digits) in the first line of FILE (- reads standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(crate) pin_file: Option<std::path::PathBuf>,
    /// Ask for a password to protect the token with
    #[arg(long)]
    pub(crate) password: bool,
}

impl NewPassword {
    /// Reads or asks for the password; `None` if there shall be none.
    ///
    /// # Errors
    /// A failure for an unreadable file, an empty password, an invalid PIN, or two different entries at the prompt.
    pub(crate) fn protection(&self) -> Result<Option<PasswordProtection>, Failure> {
        let password = |secret: Secret| {
            Password::new(secret.expose())
                .map_err(|error| Failure::usage(error.to_string()).code(ErrorCode::InvalidPropertyValue))
        };
        let protection = match (&self.password_file, &self.pin_file) {
            (Some(path), _) => PasswordProtection::new(password(read(path)?)?),
            (_, Some(path)) => PasswordProtection::pin(password(read(path)?)?).map_err(invalid_pin)?,
            _ if self.password => PasswordProtection::new(password(ask_twice()?)?),
            _ => return Ok(None),
        };
        Ok(Some(protection))
    }
}

fn invalid_pin(error: InvalidPin) -> Failure {
    Failure::usage(error.to_string())
        .hint("correct the first line of the file, or use --password-file for a password")
        .code(ErrorCode::InvalidPropertyValue)
}

/// Options for the password of a token from another identity.
#[derive(Debug, Args)]
pub(crate) struct KnownPassword {
    /// Read the password or PIN from the first line of FILE (- reads standard input); default: ask for one that is required
    #[arg(long, visible_alias = "pin-file", value_name = "FILE")]
    pub(crate) password_file: Option<std::path::PathBuf>,
}

impl KnownPassword {
    /// The password: from the file, or from a prompt if the reference wants one.
    ///
    /// # Errors
    /// A failure for an unreadable file, or if a password is needed and there is no terminal.
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
    asked.unwrap_or_else(|error| Err(Failure::general(format!("cannot ask for a password: {error}"))))
}

/// The first line of a file; `-` is standard input.
///
/// # Errors
/// A failure that names the file, also if the line has more than [`MAX_LENGTH`] bytes.
pub(crate) fn read(path: &Path) -> Result<Secret, Failure> {
    let (name, bytes) = match path.to_str() {
        Some("-") => ("standard input".to_owned(), limited(std::io::stdin().lock())),
        _ => (path.display().to_string(), std::fs::File::open(path).and_then(limited)),
    };
    let bytes = bytes.map_err(|error| Failure::local(format!("cannot read {name}: {}", reason(&error))))?;
    // What follows the first line is not used, and may have been cut within a character.
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() as u64 > MAX_LENGTH {
        return Err(Failure::usage(format!("the first line of {name} has more than {MAX_LENGTH} bytes")));
    }
    match text_file::decode(&name, line)?.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(Failure::usage(format!("the first line of {name} is empty"))),
    }
}

/// The bytes of a text up to one more than [`MAX_LENGTH`].
fn limited(reader: impl std::io::Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    use std::io::Read;
    // Room for all of it: a text that grows leaves its beginning behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LENGTH as usize + 1));
    reader.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn ask(what: &str) -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        let failure = Failure::new(Kind::Refused, format!("this reference is protected by a {what}"));
        return Err(failure.hint("use --password-file FILE").code(ErrorCode::NoPasswordProvided));
    }
    prompt(&format!("{what}: "))
}

fn ask_twice() -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("cannot ask for a password without a terminal").hint("use --password-file FILE"));
    }
    let first = prompt("new password: ")?;
    if first != prompt("repeat the password: ")? {
        return Err(Failure::usage("the passwords do not match"));
    }
    Ok(first)
}

fn prompt(text: &str) -> Result<Secret, Failure> {
    let entered = rpassword::prompt_password(text)
        .map_err(|error| Failure::general(format!("cannot ask for a password: {}", reason(&error))))?;
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
        assert_eq!(file("\u{feff}pw\r\n").unwrap().expose(), "pw");
        for empty in ["", "\npw", "\r\npw", "\u{feff}", "\u{feff}\r\npw"] {
            assert!(file(empty).unwrap_err().message.ends_with("is empty"), "{empty:?}");
        }
    }

    #[test]
    fn an_invalid_pin_is_a_usage_error_and_a_password_of_any_form_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12ab\n").unwrap();
        let path = Some(file.path().to_owned());
        let pin = NewPassword { password_file: None, pin_file: path.clone(), password: false };
        let failure = pin.protection().unwrap_err();
        assert_eq!((failure.kind, failure.code), (Kind::Usage, Some(ErrorCode::InvalidPropertyValue.into())));
        assert_eq!(failure.message, "an invalid PIN: it must have 4 to 16 digits from 0 to 9");
        let password = NewPassword { password_file: path, pin_file: None, password: false };
        assert!(!password.protection().unwrap().unwrap().password_is_pin);
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let read = |text: String| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            read(file.path())
        };
        let line = "x".repeat(MAX_LENGTH as usize);
        assert_eq!(read(line.clone()).unwrap().expose(), line);
        assert_eq!(read(format!("pw\n{}", "\u{e4}".repeat(2 * MAX_LENGTH as usize))).unwrap().expose(), "pw");
        assert!(read(format!("{line}x")).unwrap_err().message.contains("more than 8192 bytes"));
    }
}
