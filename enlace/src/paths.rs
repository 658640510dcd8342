//! By which paths the bytes of a file come.

use runtime::{Path, PathBytes, PathLog};
use serde_json::{Value, json};

/// By which paths a content comes, as it is when it is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Paths {
    /// The node in this process counts.
    Counted(PathLog),
    /// Another process has said by which path the first byte comes.
    Said(Option<Path>),
}

impl Paths {
    /// The path of the last byte so far; none if nothing had to be fetched.
    pub(crate) fn last(&self) -> Option<Path> {
        match self {
            Self::Counted(log) => log.last(),
            Self::Said(path) => *path,
        }
    }

    fn all(&self) -> Vec<PathBytes> {
        match self {
            Self::Counted(log) => log.bytes(),
            Self::Said(_) => Vec::new(),
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
        Self::Said(None)
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
        assert_eq!(result(&Paths::Said(Some(Path::Punched))), json!({"path": "punched"}));
        assert_eq!(Paths::Said(Some(Path::Lan)).description().as_deref(), Some("direct (lan)"));
        assert_eq!(Paths::default().description(), None);
    }
}
