//! The paths by which bytes of a file can come.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use transport::peer::PeerId;

use super::Origin;

/// By which path bytes of a file came, from the best one down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// Directly from the node that shares it, in the same network.
    Lan,
    /// Directly from the node that shares it, over the internet.
    Direct,
    /// The same after hole punching.
    Punched,
    /// From the node that shares it, through a relay.
    Relayed,
    /// From a backbone.
    Backbone,
}

impl Path {
    /// The text for scripts, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Direct => "direct",
            Self::Punched => "punched",
            Self::Relayed => "relayed",
            Self::Backbone => "backbone",
        }
    }

    /// The text for people: `direct (lan)`, `direct`, `direct (hole-punched)`, `relayed`, `backbone`.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Lan => "direct (lan)",
            Self::Direct => "direct",
            Self::Punched => "direct (hole-punched)",
            Self::Relayed => "relayed",
            Self::Backbone => "backbone",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes of ciphertext that came by one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathBytes {
    /// The path.
    pub path: Path,
    /// How many.
    pub bytes: u64,
}

impl Path {
    /// Who brings what comes by it.
    pub(crate) fn origin(self) -> Origin {
        match self {
            Self::Backbone => Origin::Backbone,
            Self::Lan | Self::Direct | Self::Punched | Self::Relayed => Origin::Peer,
        }
    }
}

/// Who sends bytes of a file, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) origin: Origin,
    /// The device, if it is a peer.
    pub(crate) peer: Option<PeerId>,
    /// By which path.
    pub(crate) path: Option<Path>,
}

impl Sender {
    /// The backbone of this node.
    pub(crate) const BACKBONE: Self = Self { origin: Origin::Backbone, peer: None, path: Some(Path::Backbone) };

    /// A sender of which nothing else is known.
    pub(crate) fn one_of(origin: Origin) -> Self {
        Self { origin, peer: None, path: None }
    }

    /// Whether another one is the same, by whichever path.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.origin, self.peer) == (other.origin, other.peer)
    }
}

/// By which paths the ciphertext of one download has come so far. Cheap to clone; all clones show the same.
///
/// Bytes of the content store come by no path.
#[derive(Clone, Default)]
pub struct PathLog(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    /// In the order of their first bytes; as many as there are paths at most.
    paths: Vec<PathBytes>,
    last: Option<Path>,
    /// Since an attempt has failed, until the next byte.
    is_waiting: bool,
}

impl PathLog {
    /// The path of the first byte, if one has come.
    #[must_use]
    pub fn first(&self) -> Option<Path> {
        self.log().paths.first().map(|first| first.path)
    }

    /// The path of the last byte so far.
    #[must_use]
    pub fn last(&self) -> Option<Path> {
        self.log().last
    }

    /// How much came by which path, in the order of their first bytes. Bytes that were wrong count, too.
    #[must_use]
    pub fn bytes(&self) -> Vec<PathBytes> {
        self.log().paths.clone()
    }

    /// Whether nothing comes, because an attempt has failed and the next one has brought nothing yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.log().is_waiting
    }

    /// An attempt has failed.
    pub(crate) fn wait(&self) {
        self.log().is_waiting = true;
    }

    pub(crate) fn add(&self, path: Path, bytes: u64) {
        let mut log = self.log();
        (log.last, log.is_waiting) = (Some(path), false);
        match log.paths.iter_mut().find(|known| known.path == path) {
            Some(known) => known.bytes += bytes,
            None => log.paths.push(PathBytes { path, bytes }),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PathLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_by_path_in_the_order_of_their_first_ones() {
        let log = PathLog::default();
        assert_eq!((log.first(), log.last(), log.bytes()), (None, None, vec![]));
        for (path, bytes) in [(Path::Backbone, 1), (Path::Lan, 2), (Path::Backbone, 3)] {
            log.clone().add(path, bytes);
        }
        let [backbone, lan] = [(Path::Backbone, 4), (Path::Lan, 2)].map(|(path, bytes)| PathBytes { path, bytes });
        assert_eq!(log.bytes(), [backbone, lan]);
        assert_eq!((log.first(), log.last()), (Some(Path::Backbone), Some(Path::Backbone)));
        assert!(!log.is_waiting());
        log.clone().wait();
        assert!(log.is_waiting());
        log.add(Path::Lan, 1);
        assert!(!log.is_waiting());
    }
}
