//! The ways by which bytes of a file can come.

use std::fmt;

use serde::{Deserialize, Serialize};

/// By which way bytes of a file came, from the best one down.
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
