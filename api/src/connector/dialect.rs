//! The two dialects of the interface, and everything in which they differ.
//!
//! Handlers serve both. This file lists all differences.

/// A dialect of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `/api/v2`, as in generation 6 of the published connectors.
    V2,
    /// `/api/core/v1`, as in generation 7.
    CoreV1,
}

/// What a dialect does in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Begins operation ids.
    pub(crate) name: &'static str,
    /// First segments of every path.
    pub(crate) prefix: &'static [&'static str],
    /// Files and tokens repeat the truncated reference at their top level.
    pub(crate) truncated_reference: bool,
    /// A file without a title has an empty one.
    pub(crate) title_always: bool,
    /// Tags of uploads must be of a known kind.
    pub(crate) tags_checked: bool,
    /// Tokens can be deleted.
    pub(crate) delete_tokens: bool,
    /// Tokens can be unlocked: not an operation of the published connectors.
    pub(crate) unlock_tokens: bool,
    /// QR codes hold `nmshd://tr#<truncated>` unless the client asks for the URL.
    pub(crate) truncated_qr_codes: bool,
}

impl Dialect {
    /// Both, in the order in which paths are tried.
    pub(crate) const ALL: [Self; 2] = [Self::V2, Self::CoreV1];

    /// The table.
    pub(crate) const fn differences(self) -> Differences {
        match self {
            Self::V2 => Differences {
                name: "v2",
                prefix: &["api", "v2"],
                truncated_reference: true,
                title_always: true,
                tags_checked: false,
                delete_tokens: false,
                unlock_tokens: false,
                truncated_qr_codes: true,
            },
            Self::CoreV1 => Differences {
                name: "coreV1",
                prefix: &["api", "core", "v1"],
                truncated_reference: false,
                title_always: false,
                tags_checked: true,
                delete_tokens: true,
                unlock_tokens: true,
                truncated_qr_codes: false,
            },
        }
    }
}
