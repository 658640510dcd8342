//! By which paths the bytes of a file come.

use runtime::{Path, PathBytes, PathLog};
use serde_json::{Value, json};

use crate::rest_client::DownloadPaths;

/// By which paths a content comes, as it is when it is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Paths {
    /// The node in this process counts.
    Counted(PathLog),
    /// Another process has said by which path the first byte comes, and knows more of this request.
    Said {
        /// That path.
        first: Option<Path>,
        /// The correlation id of the request.
        request: Option<String>,
    },
    /// Another process has counted, up to the end.
    Told(DownloadPaths),
}

impl Paths {
    /// The path of the last byte so far; none if nothing had to be fetched.
    pub(crate) fn last(&self) -> Option<Path> {
        match self {
            Self::Counted(log) => log.last(),
            Self::Said { first, .. } => *first,
            Self::Told(told) => told.path,
        }
    }

    /// Who is waited for, if an attempt has failed and nothing has come since then.
    pub(crate) fn waits_for(&self) -> Option<&'static str> {
        match self {
            Self::Counted(log) if log.is_waiting() => Some(match log.last() {
                Some(Path::Backbone) => "waiting for the backbone",
                _ => "waiting for the sender",
            }),
            _ => None,
        }
    }

    fn all(&self) -> Vec<PathBytes> {
        match self {
            Self::Counted(log) => log.bytes(),
            Self::Said { .. } => Vec::new(),
            Self::Told(told) => told.paths.clone(),
        }
    }

    /// Adds to a result for scripts: the path of the last byte, and all of them if there was more than one.
    pub(crate) fn add_to(&self, value: &mut Value) {
        value["path"] = json!(self.last());
        let all = self.all();
        if all.len() > 1 {
            value["paths"] = json!(all);
        }
    }

    /// The same for people; nothing if nothing had to be fetched.
    pub(crate) fn description(&self) -> Option<String> {
        let all = self.all();
        match all.len() {
            0 | 1 => self.last().map(|path| path.description().to_owned()),
            _ => Some(all.iter().map(|it| it.path.description()).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::Said { first: None, request: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_names_the_path_and_only_several_of_them_with_their_bytes() {
        let result = |paths: &Paths| {
            let mut value = json!({});
            paths.add_to(&mut value);
            value
        };
        assert_eq!(result(&Paths::default()), json!({"path": null}));
        assert_eq!(result(&Paths::Counted(PathLog::default())), json!({"path": null}));
        let said = |first| Paths::Said { first, request: None };
        assert_eq!(result(&said(Some(Path::Punched))), json!({"path": "punched"}));
        assert_eq!(said(Some(Path::Lan)).description().as_deref(), Some("direct (lan)"));
        let [lan, backbone] = [(Path::Lan, 3), (Path::Backbone, 4)].map(|(path, bytes)| PathBytes { path, bytes });
        let told = |paths| Paths::Told(DownloadPaths { path: Some(Path::Backbone), paths });
        assert_eq!(result(&told(vec![backbone])), json!({"path": "backbone"}));
        let both =
            json!({"path": "backbone", "paths": [{"path": "lan", "bytes": 3}, {"path": "backbone", "bytes": 4}]});
        assert_eq!(result(&told(vec![lan, backbone])), both);
        assert_eq!(told(vec![lan, backbone]).description().as_deref(), Some("direct (lan), backbone"));
        assert_eq!(Paths::default().description(), None);
    }
}
