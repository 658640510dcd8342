//! Where what arrived stays if a download ends early.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use runtime::FileId;
use sha2::{Digest as _, Sha256};

use super::destination::hex;

/// Longest name of a file in bytes.
const MAX_NAME: usize = 255;

/// Remembers where a part of a file is written, to tell of it if the command ends early.
#[derive(Default)]
pub(crate) struct Kept {
    path: OnceLock<PathBuf>,
    /// The command that does it again, if it is not the same one.
    command: Option<String>,
}

impl Kept {
    /// For a command that cannot be repeated as it is: this one does the same.
    pub(crate) fn with_command(command: String) -> Self {
        Self { command: Some(command), ..Self::default() }
    }

    /// A part is written there from now on.
    pub(super) fn at(&self, path: &Path) {
        let _ = self.path.set(path.to_owned());
    }

    /// What to do with the part, if there is one.
    pub(crate) fn how_to_continue(&self) -> Option<String> {
        let path = self.path.get().filter(|path| path.symlink_metadata().is_ok())?;
        let (again, shown) = (self.again(), path.display());
        Some(format!("what arrived is kept: {again} to continue, or remove {shown} if you do not want to"))
    }

    /// What to do to try again.
    pub(super) fn again(&self) -> String {
        match &self.command {
            Some(command) => format!("run `{command}`"),
            None => "run the same command".to_owned(),
        }
    }
}

/// The place beside a destination where a part of a file is written. Another file with the same name has another place.
pub(super) fn partial_path(destination: &Path, file: &FileId) -> PathBuf {
    /// Bytes of the hash: enough that two files do not meet.
    const HASH_LENGTH: usize = 8;
    let suffix = format!(".{}.part", hex(&Sha256::digest(file.as_str())[..HASH_LENGTH]));
    let name = destination.file_name().unwrap_or_default().to_string_lossy();
    let end = name.floor_char_boundary(MAX_NAME - 1 - suffix.len());
    destination.with_file_name(format!(".{}{suffix}", &name[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_a_place_of_its_own_beside_the_destination() {
        let (one, other) = ("FILabcdefghijklmno12".parse().unwrap(), "FILabcdefghijklmno13".parse().unwrap());
        let place = partial_path(Path::new("out/a.txt"), &one);
        let name = place.to_str().unwrap();
        assert!(name.starts_with("out/.a.txt.") && name.ends_with(".part") && name.len() == 32, "{name}");
        assert_ne!(place, partial_path(Path::new("out/a.txt"), &other));
        assert_ne!(place, partial_path(Path::new("out/b.txt"), &one));
        for name in ["n".repeat(MAX_NAME), "ü".repeat(MAX_NAME / 2)] {
            let place = partial_path(Path::new(&name), &one);
            assert!((MAX_NAME - 1..=MAX_NAME).contains(&place.as_os_str().len()), "{}", place.display());
        }
    }

    #[test]
    fn only_what_is_there_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, path) = (Kept::default(), directory.path().join(".a.part"));
        assert_eq!(kept.how_to_continue(), None);
        kept.at(&path);
        assert_eq!(kept.how_to_continue(), None);
        std::fs::write(&path, "").unwrap();
        let how = kept.how_to_continue().unwrap();
        assert!(how.contains("run the same command") && how.contains(path.to_str().unwrap()), "{how}");
        let other = Kept::with_command("enlace receive 'x'".to_owned());
        other.at(&path);
        let how = other.how_to_continue().unwrap();
        assert!(how.contains("run `enlace receive 'x'` to continue") && !how.contains("same command"), "{how}");
    }
}
