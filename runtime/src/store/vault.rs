//! The key of the store, and the permissions of the data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use durable::private;
use transport::crypto::SecretKey;
use transport::wire::bytes::{from_base64url, to_base64url};
use zeroize::Zeroizing;

use super::{StoreError, StoreSecret};
use crate::config::StoreKey;

/// Name of the file by which a process holds a data directory; see [`RuntimeBuilder::lock`](crate::RuntimeBuilder::lock).
pub const LOCK_FILE: &str = "node.lock";
/// Name of the key file in the data directory.
const KEY_FILE: &str = "store.key";
/// Name of the directory for temporary files in the data directory.
const TEMPORARY: &str = "tmp";
/// A key file is 44 bytes; anything much longer is something else.
const MAX_KEY_FILE: u64 = 256;

type Result<T> = std::result::Result<T, StoreError>;

/// Creates the data directory for this user alone, or checks that no other user can use it.
///
/// # Errors
/// As [`private::prepare_directory`].
pub(crate) fn prepare_directory(directory: &Path) -> Result<()> {
    Ok(private::prepare_directory(directory)?)
}

/// An empty private directory for temporary files; removes what a crash left behind. The caller holds the data directory.
pub(crate) fn fresh_temporary_directory(data_dir: &Path) -> Result<PathBuf> {
    let path = data_dir.join(TEMPORARY);
    let made = match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => private::create_directory(&path),
    };
    made.map_err(|error| durable::Error::io(&path, &error))?;
    Ok(path)
}

/// Where the key of a store is kept.
pub(crate) enum StoreKeySource {
    /// In a file, which is created at the first start.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
}

/// Outcome of looking for a key.
pub(crate) enum FoundKey {
    /// This one.
    Is(StoreSecret),
    /// There is none in this file.
    None(PathBuf),
}

impl StoreKeySource {
    /// As the settings say.
    pub(crate) fn of(data_dir: &Path, key: &StoreKey) -> Self {
        match key {
            StoreKey::File => Self::File(data_dir.join(KEY_FILE)),
            StoreKey::FileAt(path) => Self::File(path.clone()),
            StoreKey::Environment(name) => Self::Environment(name.clone()),
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`StoreError::UnreadableKey`] if it is not a valid key, [`StoreError::NoKeyInEnvironment`],
    /// [`durable::Error::TooOpen`] for a file that others can read.
    pub(crate) fn find(&self) -> Result<FoundKey> {
        match self {
            Self::Environment(name) => {
                let text = std::env::var(name).map_err(|_| StoreError::NoKeyInEnvironment(name.clone()))?;
                let text = Zeroizing::new(text);
                parse(&text, || format!("the environment variable {name}")).map(FoundKey::Is)
            }
            Self::File(path) => match private::read_file(path, MAX_KEY_FILE)? {
                None => Ok(FoundKey::None(path.clone())),
                Some(bytes) => {
                    let text = std::str::from_utf8(&bytes).unwrap_or_default();
                    parse(text, || path.display().to_string()).map(FoundKey::Is)
                }
            },
        }
    }

    /// Writes a new key, durably.
    ///
    /// # Errors
    /// Errors of the operating system; also if the file exists.
    pub(crate) fn create(&self, secret: &StoreSecret) -> Result<()> {
        match self {
            Self::Environment(name) => Err(StoreError::NoKeyInEnvironment(name.clone())),
            Self::File(path) => {
                let line = Zeroizing::new(format!("{}\n", *Zeroizing::new(to_base64url(secret.expose()))));
                private::create_file(path, line.as_bytes()).map_err(|error| durable::Error::io(path, &error).into())
            }
        }
    }

    /// The key file, if it is one in this directory.
    pub(crate) fn file_in(&self, directory: &Path) -> Option<PathBuf> {
        match self {
            Self::File(path) if private::parent_of(path) == directory => Some(path.clone()),
            _ => None,
        }
    }
}

fn parse(text: &str, place: impl Fn() -> String) -> Result<StoreSecret> {
    // Editors on Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let bytes = from_base64url(text).ok().map(Zeroizing::new);
    let bytes = bytes.and_then(|bytes| <[u8; SecretKey::LENGTH]>::try_from(bytes.as_slice()).ok());
    bytes.map(StoreSecret::new).ok_or_else(|| StoreError::UnreadableKey { place: place() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_in(directory: &Path) -> StoreKeySource {
        StoreKeySource::of(directory, &StoreKey::File)
    }

    fn refusal(source: &StoreKeySource) -> String {
        source.find().err().unwrap().to_string()
    }

    #[test]
    fn a_key_is_read_as_it_was_made_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let source = key_in(directory.path());
        assert!(matches!(source.find().unwrap(), FoundKey::None(path) if path.ends_with(KEY_FILE)));
        let secret = StoreSecret::generate();
        source.create(&secret).unwrap();
        let FoundKey::Is(found) = source.find().unwrap() else { panic!("there is a key") };
        assert_eq!(found.expose(), secret.expose());
        assert!(source.create(&StoreSecret::generate()).is_err());
        private::check(&directory.path().join(KEY_FILE), private::FILE_MODE).unwrap();
    }

    #[test]
    fn a_key_that_was_saved_by_an_editor_on_windows_is_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let secret = StoreSecret::generate();
        let text = format!("\u{feff}{}\r\n", to_base64url(secret.expose()));
        private::create_file(&directory.path().join(KEY_FILE), text.as_bytes()).unwrap();
        let FoundKey::Is(found) = key_in(directory.path()).find().unwrap() else { panic!("there is a key") };
        assert_eq!(found.expose(), secret.expose());
    }

    #[test]
    fn an_invalid_key_is_refused_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        private::create_file(&directory.path().join(KEY_FILE), b"planted-secret").unwrap();
        let refusal = refusal(&key_in(directory.path()));
        assert!(refusal.contains("store.key does not hold a store key") && !refusal.contains("planted"), "{refusal}");
    }

    #[test]
    fn a_missing_environment_variable_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKey::Environment("ENLACE_NO_SUCH_KEY".into());
        assert!(refusal(&StoreKeySource::of(directory.path(), &key)).contains("ENLACE_NO_SUCH_KEY"));
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_or_key_that_others_can_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let source = key_in(directory.path());
        source.create(&StoreSecret::generate()).unwrap();
        fs::set_permissions(directory.path().join(KEY_FILE), fs::Permissions::from_mode(0o644)).unwrap();
        let of_the_key = refusal(&source);
        assert!(of_the_key.contains("mode 0644") && of_the_key.contains("chmod 0600"), "{of_the_key}");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let of_the_directory = prepare_directory(directory.path()).err().unwrap().to_string();
        assert!(of_the_directory.contains("chmod 0700"), "{of_the_directory}");
    }

    #[test]
    fn files_that_a_crash_left_in_the_temporary_directory_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let temporary = fresh_temporary_directory(directory.path()).unwrap();
        fs::write(temporary.join("left"), "x").unwrap();
        assert_eq!(fresh_temporary_directory(directory.path()).unwrap(), temporary);
        assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
    }
}
