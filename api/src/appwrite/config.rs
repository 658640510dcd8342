//! What a configuration says of the face: its project, and keys with scopes.

use runtime::Secret;

use crate::auth::{ApiKey, Need};

/// Stands before the scopes of this face among the roles of all faces: keys of another face have none of them, and keys of this face
/// have no other. A key that may do everything may do this, too.
const AREA: &str = "appwrite:";
/// All scopes.
pub(super) const SCOPES: [&str; 6] =
    ["buckets.read", "buckets.write", "files.read", "files.write", "tokens.read", "tokens.write"];

/// Settings of `/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppwriteConfig {
    /// The id of the project, which clients send with every request.
    pub project: String,
    /// How often those without a key may write in a minute, by source and URL; 0 for as often as they like.
    pub guest_writes_per_minute: u32,
}

impl AppwriteConfig {
    /// As Appwrite is shipped.
    pub const DEFAULT_GUEST_WRITES_PER_MINUTE: u32 = 60;
}

impl Default for AppwriteConfig {
    fn default() -> Self {
        Self { project: "enlace".to_owned(), guest_writes_per_minute: Self::DEFAULT_GUEST_WRITES_PER_MINUTE }
    }
}

/// Scopes that no route of `/v1` needs: all of those that were given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope '{}'; use {}", .names.join("' or '"), SCOPES.join(", "))]
pub struct UnknownScopes {
    names: Vec<String>,
}

impl ApiKey {
    /// A key for `/v1` with some scopes, or with all of them if none are given.
    ///
    /// # Errors
    /// [`UnknownScopes`].
    pub fn for_appwrite(
        name: impl Into<String>,
        key: Secret,
        scopes: Option<&[String]>,
    ) -> Result<Self, UnknownScopes> {
        let unknown = scopes.unwrap_or_default().iter().filter(|scope| !SCOPES.contains(&scope.as_str()));
        let names: Vec<_> = unknown.cloned().collect();
        if !names.is_empty() {
            return Err(UnknownScopes { names });
        }
        let scopes = match scopes {
            None => SCOPES.map(needed).into(),
            Some(scopes) => scopes.iter().map(|scope| needed(scope)).collect(),
        };
        Ok(Self { scopes, ..Self::new(name, key) })
    }
}

/// The role for a scope.
pub(super) fn needed(scope: &str) -> String {
    format!("{AREA}{scope}")
}

/// The scope that a route needs.
pub(super) fn scope_of(need: Need) -> &'static str {
    need.0.strip_prefix(AREA).unwrap_or(need.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_known_scopes_of_this_face_only() {
        let key = |scopes: Option<&[String]>| ApiKey::for_appwrite("a", Secret::new("k"), scopes);
        assert_eq!(key(None).unwrap().scopes.len(), SCOPES.len());
        assert_eq!(key(Some(&["files.read".to_owned()])).unwrap().scopes, ["appwrite:files.read"]);
        assert_eq!(key(Some(&[])).unwrap().scopes, [""; 0]);
        for scope in ["**", "*", "core:files", "appwrite:files.read", "files.Read", ""] {
            let refused = key(Some(&[scope.to_owned()])).unwrap_err();
            assert!(refused.to_string().contains("buckets.read"), "{refused}");
        }
        let several = ["a", "files.read", "b"].map(str::to_owned);
        let refused = key(Some(&several)).unwrap_err().to_string();
        assert!(refused.starts_with("there is no scope 'a' or 'b'; use buckets.read, "), "{refused}");
    }
}
