//! Where data lies when nobody says where.

use std::path::PathBuf;

use crate::failure::Failure;

/// What a data directory is for; each purpose has its own, because one directory holds one identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The identity that shares and serves.
    Node,
    /// The identity that receives.
    Receiver,
    /// A backbone alone.
    Backbone,
}

/// The platform's data directory for a purpose.
///
/// # Errors
/// A failure that names `--data-dir` if the environment does not tell where the home directory is.
pub(crate) fn default_data_dir(purpose: Purpose) -> Result<PathBuf, Failure> {
    let base = platform_data_dir().ok_or_else(|| {
        Failure::local("cannot tell where your home directory is").hint("say where to keep data with --data-dir DIR")
    })?;
    let name = match purpose {
        Purpose::Node => "node",
        Purpose::Receiver => "receiver",
        Purpose::Backbone => "backbone",
    };
    Ok(base.join("enlace").join(name))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn platform_data_dir() -> Option<PathBuf> {
    if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library").join("Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local").join("share")))
    }
}
