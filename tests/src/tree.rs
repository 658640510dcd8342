//! Directory trees on disk.

use std::path::{Path, PathBuf};

/// All files below a directory.
///
/// # Panics
/// If a directory cannot be read.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() { files.append(&mut files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Copies a directory recursively with all permissions, like a backup.
///
/// # Panics
/// If an entry cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable place");
    let permissions = std::fs::metadata(from).expect("a readable directory").permissions();
    std::fs::set_permissions(to, permissions).expect("a directory of ours");
    for entry in std::fs::read_dir(from).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        let target = to.join(path.file_name().expect("entries have names"));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a readable file and space for its copy");
        }
    }
}
