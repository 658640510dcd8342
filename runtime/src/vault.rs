//! Secrets and private files at rest: who may read the data directory, and where the key of the store comes from.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use transport::crypto::SecretKey;
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::config::{Config, StoreKey};
use crate::store::{StoreError, StoreSecret};

/// Name of the key file in the data directory.
const KEY_FILE: &str = "store.key";
/// Name of the directory for temporary files in the data directory.
const TEMPORARY: &str = "tmp";
/// A key file is 44 bytes; anything much longer is something else.
const MAX_KEY_FILE: u64 = 256;

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

type Result<T> = std::result::Result<T, StoreError>;

/// Creates the data directory for this user alone, or checks that it is so.
///
/// # Errors
/// [`StoreError::TooOpen`] names the `chmod` that helps.
pub(crate) fn prepare_directory(directory: &Path) -> Result<()> {
    create_private_directory(directory).map_err(|source| io_error(directory, source))?;
    check_private(directory, PRIVATE_DIRECTORY)
}

/// An empty private directory for temporary files; what a crash left behind goes. Call it when the data directory is ours.
pub(crate) fn fresh_temporary_directory(data_dir: &Path) -> Result<PathBuf> {
    let path = data_dir.join(TEMPORARY);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&path, error)),
        _ => create_private_directory(&path).map_err(|source| io_error(&path, source))?,
    }
    Ok(path)
}

/// The key of the store from where the settings say; a key file is created at the first start.
pub(crate) fn store_secret(config: &Config) -> Result<StoreSecret> {
    match &config.store_key {
        StoreKey::File => from_file(&config.data_dir.join(KEY_FILE), &config.data_dir),
        StoreKey::FileAt(path) => from_file(path, &config.data_dir),
        StoreKey::Environment(name) => {
            let text = std::env::var(name).map_err(|_| StoreError::NoKeyInEnvironment(name.clone()))?;
            parse(&text, || format!("the environment variable {name}"))
        }
    }
}

fn from_file(path: &Path, data_dir: &Path) -> Result<StoreSecret> {
    match File::open(path) {
        Ok(file) => {
            check_private(path, PRIVATE_FILE)?;
            let mut text = String::new();
            file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(|source| io_error(path, source))?;
            parse(&text, || path.display().to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_key_file(path, data_dir),
        Err(error) => Err(io_error(path, error)),
    }
}

fn parse(text: &str, place: impl Fn() -> String) -> Result<StoreSecret> {
    let bytes: Option<[u8; SecretKey::LENGTH]> =
        from_base64url(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(StoreSecret::new).ok_or_else(|| StoreError::UnreadableKey { place: place() })
}

/// A new key would not open a store that is there already, so there must be none.
fn create_key_file(path: &Path, data_dir: &Path) -> Result<StoreSecret> {
    let store = data_dir.join("store");
    if store.exists() {
        return Err(StoreError::KeyLost { key: path.to_owned(), store });
    }
    let secret = StoreSecret::generate();
    write_private_file(path, &to_base64url(secret.expose())).map_err(|source| io_error(path, source))?;
    Ok(secret)
}

/// Durable and complete, or not there at all.
fn write_private_file(path: &Path, line: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600, and the rename keeps it.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{line}")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(directory)?.sync_all()
}

fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, PRIVATE_DIRECTORY);
    builder.create(directory)
}

#[cfg(unix)]
fn check_private(path: &Path, wanted: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_err(|source| io_error(path, source))?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(StoreError::TooOpen { path: path.to_owned(), mode, wanted }) }
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: u32) -> Result<()> {
    // Access lists of other systems inherit from the user's profile, which is private.
    Ok(())
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BackboneConfig, Secret};

    fn config(directory: &Path) -> Config {
        Config::new(directory, BackboneConfig::new("http://localhost:1", "client", Secret::new("secret")))
    }

    #[test]
    fn the_first_start_makes_a_private_key_and_later_ones_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let first = store_secret(&config).unwrap();
        let second = store_secret(&config).unwrap();
        assert_eq!(first.expose(), second.expose());
        check_private(&directory.path().join(KEY_FILE), PRIVATE_FILE).unwrap();
    }

    #[test]
    fn a_missing_key_is_not_replaced_when_there_is_a_store() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("store")).unwrap();
        assert!(matches!(store_secret(&config(directory.path())), Err(StoreError::KeyLost { .. })));
        assert!(!directory.path().join(KEY_FILE).exists());
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        write_private_file(&directory.path().join(KEY_FILE), "planted-secret").unwrap();
        let refusal = store_secret(&config(directory.path())).err().unwrap().to_string();
        assert!(refusal.contains("store.key does not hold a store key") && !refusal.contains("planted"), "{refusal}");
    }

    #[test]
    fn a_missing_environment_variable_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        config.store_key = StoreKey::Environment("ENLACE_NO_SUCH_KEY".into());
        assert!(store_secret(&config).err().unwrap().to_string().contains("ENLACE_NO_SUCH_KEY"));
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_read_is_refused_and_the_remedy_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        store_secret(&config).unwrap();
        let key = directory.path().join(KEY_FILE);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let refusal = store_secret(&config).err().unwrap().to_string();
        assert!(refusal.contains("mode 0644") && refusal.contains("chmod 0600"), "{refusal}");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let refusal = prepare_directory(directory.path()).err().unwrap().to_string();
        assert!(refusal.contains("chmod 0700"), "{refusal}");
    }

    #[test]
    fn what_a_crash_left_in_the_temporary_directory_goes() {
        let directory = tempfile::tempdir().unwrap();
        let temporary = fresh_temporary_directory(directory.path()).unwrap();
        fs::write(temporary.join("left"), "x").unwrap();
        assert_eq!(fresh_temporary_directory(directory.path()).unwrap(), temporary);
        assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
    }
}
