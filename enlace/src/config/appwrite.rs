//! The interface of Appwrite's storage, as a configuration says it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use api::{ApiKey, ApiKeyError, ApiKeys};
use runtime::{Secret, Timestamp};
use serde::Deserialize;

use super::ApiKeySettings;
use super::settings::{Problem, Problems, problem};

/// Where keys of `/v1` are.
const KEYS: &str = "enlace.appwrite.keys";

/// The interface of Appwrite's storage.
#[derive(Debug, Clone)]
pub(crate) struct AppwriteSettings {
    /// The id of the project.
    pub(crate) project: String,
    /// Where the generated key is.
    pub(crate) key_file: Option<PathBuf>,
    /// How often those without a key may write in a minute, by source and URL; 0 for as often as they like.
    pub(crate) guest_writes_per_minute: u32,
    /// Up to how many matches lists count.
    pub(crate) max_total: u64,
    /// How long tokens are kept after they have ended.
    pub(crate) token_retention: Duration,
    /// How far the time of the last use of a token may be behind.
    pub(crate) access_granularity: Duration,
    /// Keys from the configuration, by name. Their scopes are those of Appwrite.
    pub(crate) keys: Vec<ApiKeySettings>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppwriteTree {
    enabled: bool,
    project: String,
    key_file: Option<PathBuf>,
    guest_writes_per_minute: u32,
    max_total: u64,
    token_retention: u32,
    accessed_at_granularity: u32,
    #[serde(default)]
    keys: BTreeMap<String, AppwriteKey>,
}

#[derive(Deserialize)]
struct AppwriteKey {
    key: Option<String>,
    scopes: Option<Vec<String>>,
}

/// The settings of the interface, if it is on.
pub(super) fn read(tree: AppwriteTree, problems: &mut Problems) -> Option<AppwriteSettings> {
    if !tree.enabled {
        return None;
    }
    let AppwriteTree { project, key_file, guest_writes_per_minute, max_total, keys: named, .. } = tree;
    if project.is_empty() {
        problems.note::<()>(Err(problem("enlace.appwrite.project", "must not be empty")));
    }
    let mut keys = Vec::new();
    for (name, AppwriteKey { key, scopes }) in named {
        let place = problems.place(&format!("{KEYS}.{name}.key"));
        let missing = || problem(format!("{KEYS}.{name}"), "its member key is missing");
        let key = problems.note(key.map(|key| Some(Secret::new(key))).ok_or_else(missing));
        for fault in faults(&name, key.as_ref(), scopes.as_deref()) {
            problems.note::<()>(Err(fault));
        }
        if let Some(key) = key {
            keys.push(ApiKeySettings { name, place, key, expires_at: None, scopes });
        }
    }
    let hours = |count: u64| Duration::from_secs(count * 60 * 60);
    Some(AppwriteSettings {
        project,
        key_file,
        guest_writes_per_minute,
        max_total,
        token_retention: hours(24 * u64::from(tree.token_retention)),
        access_granularity: hours(tree.accessed_at_granularity.into()),
        keys,
    })
}

/// What is wrong with a key for `/v1` and its scopes, each with its name.
fn faults(name: &str, key: Option<&Secret>, scopes: Option<&[String]>) -> Vec<Problem> {
    let weak = key.filter(|key| ApiKeys::named(&[ApiKey::new(name, (*key).clone())], Timestamp::NEVER).is_err());
    let weak = weak.map(|_| {
        let text = format!("the API key is too weak; use {}", ApiKeyError::strong_key());
        problem(format!("{KEYS}.{name}.key"), text)
    });
    let unknown = ApiKey::for_appwrite(name, Secret::new(""), scopes).err();
    let unknown = unknown.map(|error| problem(format!("{KEYS}.{name}.scopes"), error.to_string()));
    weak.into_iter().chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use runtime::StorageConfig;
    use serde_json::{Value, json};

    use super::super::settings::tests::settings;
    use super::super::{Configuration, Layer, Origin};

    #[test]
    fn keys_of_appwrite_have_a_key_and_maybe_scopes() {
        let appwrite = |values: Value| settings(json!({"enlace": {"appwrite": values}})).map(|it| it.appwrite);
        let strong = |letter: &str| format!("This_is_a_test_APIKEY_{letter}_with_30_chars+");
        let keys = json!({"a": {"key": strong("a"), "scopes": ["files.read"]}, "b": {"key": strong("b")}});
        let read = appwrite(json!({ "keys": keys }));
        let read = read.unwrap().unwrap();
        assert_eq!((read.project.as_str(), read.keys.len()), ("enlace", 2));
        assert_eq!(read.token_retention, StorageConfig::DEFAULT_TOKEN_RETENTION);
        assert_eq!(read.max_total, StorageConfig::DEFAULT_MAX_TOTAL);
        assert_eq!(read.access_granularity, StorageConfig::DEFAULT_ACCESS_GRANULARITY);
        let as_appwrite = appwrite(json!({"accessedAtGranularity": 24})).unwrap().unwrap();
        assert_eq!(as_appwrite.access_granularity.as_secs(), 24 * 60 * 60);
        assert_eq!(read.keys[0].scopes.as_deref(), Some(&["files.read".to_owned()][..]));
        assert_eq!(read.keys[1].scopes, None);
        assert_eq!(read.guest_writes_per_minute, 60);
        let unlimited = appwrite(json!({"guestWritesPerMinute": 0})).unwrap().unwrap();
        assert_eq!(unlimited.guest_writes_per_minute, 0);
        let most = json!({"guestWritesPerMinute": u32::MAX, "tokenRetention": u32::MAX, "maxTotal": u64::MAX});
        let most = appwrite(most).unwrap().unwrap();
        assert_eq!((most.guest_writes_per_minute, most.max_total), (u32::MAX, u64::MAX));
        assert_eq!(most.token_retention.as_secs(), u64::from(u32::MAX) * 24 * 60 * 60);
        assert!(appwrite(json!({"enabled": false})).unwrap().is_none());
        for (values, words) in [
            (json!({"keys": {"a": {"scopes": []}}}), "keys.a given with --x: its member key is missing"),
            (json!({"project": ""}), "must not be empty"),
        ] {
            let refused = appwrite(values).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
        let faulty = json!({"a": {"key": "weak", "scopes": ["x", "files.read", "y"]}, "b": {"scopes": ["z"]}});
        let values = json!({"enlace": {"appwrite": {"keys": faulty}}});
        let refused = Configuration::merge(&[Layer::of(Origin::Option("--x".to_owned()), values)]).unwrap_err();
        let told: Vec<String> = refused.0.iter().map(ToString::to_string).collect();
        for (told, words) in told.iter().zip([
            "keys.a.key given with --x: the API key is too weak; use at least 30 characters",
            "keys.a.scopes given with --x: there is no scope 'x' or 'y'; use buckets.read",
            "keys.b given with --x: its member key is missing",
            "keys.b.scopes given with --x: there is no scope 'z'",
        ]) {
            assert!(told.contains(&format!("enlace.appwrite.{words}")), "{told}");
        }
        assert_eq!(told.len(), 4);
    }
}
