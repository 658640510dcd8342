//! Configuration: command line over environment over file over defaults, merged key by key, checked, typed.
//!
//! Each source is checked by itself, so that an error can say where the wrong key is. Unknown keys are
//! refused: a setting that is silently ignored is worse than a start that fails.

mod appwrite;
mod keys;
mod peers;
#[cfg(test)]
mod properties;
mod settings;
mod source;
mod tree;

use std::path::PathBuf;

use serde_json::Value;

pub(crate) use appwrite::AppwriteSettings;
pub(crate) use settings::{ApiKeySettings, Settings, backbone_url};
pub(crate) use source::{Layer, Origin};

use crate::failure::Failure;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A key that does not exist.
    #[error("unknown configuration key {key} {origin}{}", suggestion(*nearest))]
    UnknownKey { key: String, origin: Origin, nearest: Option<&'static keys::Key> },
    /// A key of the published connectors that means nothing here.
    #[error("configuration key {key} {origin} is not supported: {instead}")]
    Unsupported { key: String, origin: Origin, instead: &'static str },
    /// A value of the wrong form.
    #[error("configuration key {key} {origin} must be {expected}")]
    Form { key: String, origin: Origin, expected: &'static str },
    /// A value that has the right form and still cannot be.
    #[error("configuration key {key}{}: {problem}", origin.as_ref().map(|it| format!(" {it}")).unwrap_or_default())]
    Value { key: String, origin: Option<Origin>, problem: String },
    /// Values that do not fit together in a way that no key is to blame for.
    #[error("cannot read the configuration: {reason}")]
    Unreadable { reason: String },
    /// A file that cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

/// Everything that is wrong with a configuration; at least one thing.
#[derive(Debug)]
pub(crate) struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let mut messages = errors.0.iter().map(ToString::to_string);
        let first = messages.next().unwrap_or_default();
        Self { others: messages.collect(), ..Self::usage(first) }
    }
}

fn suggestion(nearest: Option<&keys::Key>) -> String {
    nearest.map(|key| format!("; the nearest known key is {} ({})", key.path, key.meaning)).unwrap_or_default()
}

/// All sources of one start, merged.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    values: Value,
    /// The typed form.
    pub(crate) settings: Settings,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
}

impl Configuration {
    /// Checks and merges layers, the strongest first, over the defaults.
    ///
    /// # Errors
    /// [`ConfigErrors`] for all keys that are unknown, unsupported or of the wrong form, and for all values that cannot be.
    pub(crate) fn merge(layers: &[Layer]) -> Result<Self, ConfigErrors> {
        let mut values = Layer::defaults();
        let mut errors = Vec::new();
        let mut file = None;
        let is_off = modules_that_are_off(layers);
        for layer in layers.iter().rev() {
            let mut accepted = layer.values.clone();
            tree::leaves(&layer.values, &mut |path, value| {
                if is_off(path) {
                    tree::remove(&mut accepted, path);
                } else if let Some(origin) = layer.origin(path)
                    && let Err(error) = check_leaf(path, value, origin)
                {
                    errors.push(error);
                    tree::remove(&mut accepted, path);
                }
            });
            tree::merge(&mut values, &accepted);
            file = layer.file().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned())).or(file);
        }
        match Settings::read(&values, layers) {
            Ok(settings) if errors.is_empty() => Ok(Self { values, settings, file }),
            Ok(_) => Err(ConfigErrors(errors)),
            Err(ConfigErrors(more)) => Err(ConfigErrors(errors.into_iter().chain(more).collect())),
        }
    }

    /// All values as JSON with secrets masked.
    pub(crate) fn masked(&self) -> Value {
        masked(&self.values)
    }
}

/// Tells the keys of modules that are not part of enlace and that the strongest source that names them switches off. Their
/// settings mean nothing, as at the published connectors.
fn modules_that_are_off(layers: &[Layer]) -> impl Fn(&[String]) -> bool {
    let mut raw = Value::Null;
    layers.iter().rev().for_each(|layer| tree::merge(&mut raw, &layer.values));
    let modules = raw["modules"].as_object().cloned().unwrap_or_default();
    move |path| match path {
        [root, module, ..] => {
            root == "modules"
                && !keys::has_module(module)
                && modules.get(module).is_some_and(|it| it["enabled"] == false)
        }
        _ => false,
    }
}

fn check_leaf(path: &[String], value: &Value, origin: &Origin) -> Result<(), ConfigError> {
    let key = path.join(".");
    let origin = origin.clone();
    if let Some(known) = keys::KEYS.iter().find(|known| known.matches(path)) {
        return match known.form.fits(value) {
            true => Ok(()),
            false => Err(ConfigError::Form { key, origin, expected: known.form.name() }),
        };
    }
    if keys::KEYS.iter().any(|known| known.is_below(path)) {
        let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        return if empty { Ok(()) } else { Err(ConfigError::Form { key, origin, expected: "an object" }) };
    }
    match keys::elsewhere(path) {
        Some(instead) => Err(ConfigError::Unsupported { key, origin, instead }),
        None => Err(ConfigError::UnknownKey { nearest: keys::nearest(&key), key, origin }),
    }
}

/// What stands in place of a secret.
const MASK: &str = "***";

/// A copy with every secret replaced.
fn masked(values: &Value) -> Value {
    let mut secrets = Vec::new();
    tree::leaves(values, &mut |path, _| {
        if keys::KEYS.iter().any(|key| key.form == keys::ValueForm::Secret && key.matches(path)) {
            secrets.push(path.to_vec());
        }
    });
    let mut copy = values.clone();
    for path in secrets {
        tree::set(&mut copy, &path, Value::String(MASK.to_owned()));
    }
    copy
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layer(origin: Origin, values: Value) -> Layer {
        Layer::of(origin, values)
    }

    fn option() -> Origin {
        Origin::Option("--x".to_owned())
    }

    fn variable() -> Origin {
        Origin::Variable("X".to_owned())
    }

    fn refusal(values: Value) -> String {
        Configuration::merge(&[layer(Origin::File("config.json".into()), values)]).unwrap_err().0[0].to_string()
    }

    #[test]
    fn stronger_sources_win_and_weaker_ones_fill_in() {
        let configuration = Configuration::merge(&[
            layer(option(), json!({"modules": {"sync": {"interval": 5}}})),
            layer(
                variable(),
                json!({"modules": {"sync": {"interval": 6, "enabled": true}}, "enlace": {"allowPlainHttp": true}}),
            ),
            layer(Origin::File("f".into()), json!({"enlace": {"listen": "127.0.0.1:1", "allowPlainHttp": false}})),
        ])
        .unwrap();
        assert_eq!(configuration.values["modules"]["sync"], json!({"enabled": true, "interval": 5}));
        assert_eq!(configuration.values["enlace"]["allowPlainHttp"], json!(true));
        assert_eq!(configuration.values["enlace"]["listen"], json!("127.0.0.1:1"));
        assert_eq!(configuration.values["transportLibrary"]["platformTimeout"], json!(60000));
    }

    #[test]
    fn unknown_keys_are_refused_with_place_and_nearest_key() {
        assert_eq!(
            refusal(json!({"transportLibrary": {"baseURL": "http://x"}})),
            "unknown configuration key transportLibrary.baseURL in config.json; the nearest known key is \
             transportLibrary.baseUrl (URL of the backbone; an embedded backbone is started if it is not set)"
        );
    }

    #[test]
    fn keys_of_connectors_without_meaning_here_say_what_to_do_instead() {
        assert_eq!(
            refusal(json!({"database": {"connectionString": "mongodb://u:p@h"}})),
            "configuration key database.connectionString in config.json is not supported: the database is embedded; set \
             enlace.dataDir"
        );
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        let refused = Configuration::merge(&[
            layer(option(), json!({"enlace": {"listen": "8080x"}})),
            layer(variable(), json!({"modules": {"sync": {"enabled": "yes"}}, "database": {"dbName": "x"}})),
            layer(
                Origin::File("c.json".into()),
                json!({"enlace": {"lisen": "x"}, "transportLibrary": {"baseUrl": "ftp://x", "platformClientId": "y"}}),
            ),
        ]);
        let messages: Vec<String> = refused.unwrap_err().0.iter().map(ToString::to_string).collect();
        for key in [
            "enlace.lisen in c.json",
            "modules.sync.enabled in the environment variable X",
            "database.dbName in the environment variable X",
            "enlace.listen given with --x",
            "transportLibrary.baseUrl in c.json",
            "transportLibrary.platformClientId in c.json",
        ] {
            assert_eq!(messages.iter().filter(|text| text.contains(&format!("key {key}"))).count(), 1, "{messages:#?}");
        }
        assert_eq!(messages.len(), 6, "{messages:#?}");
    }

    #[test]
    fn a_module_that_is_off_may_have_any_settings_and_shows_none() {
        let off = json!({"modules": {"decider": {"enabled": false, "apiKey": "planted"}, "sync": {"enabled": false}}});
        let configuration = Configuration::merge(&[layer(Origin::File("f".into()), off)]).unwrap();
        assert!(!configuration.masked().to_string().contains("planted"));
        let on = json!({"modules": {"decider": {"enabled": true}}});
        assert!(refusal(on.clone()).contains("modules.decider.enabled in config.json is not supported: this module"));
        let switched = |enabled: bool| layer(variable(), json!({"modules": {"decider": {"enabled": enabled}}}));
        let file = layer(Origin::File("f".into()), on);
        assert!(Configuration::merge(&[switched(false), file.clone()]).is_ok());
        assert!(Configuration::merge(&[file, switched(false)]).is_err());
        assert!(Configuration::merge(&[switched(true)]).is_err());
    }

    #[test]
    fn a_module_that_is_part_of_enlace_is_not_said_to_be_missing() {
        let text = refusal(json!({"modules": {"sync": {"intervall": 5}}}));
        assert!(
            text.starts_with("unknown configuration key modules.sync.intervall") && text.contains("sync.interval ")
        );
    }

    #[test]
    fn values_of_the_wrong_form_are_refused_without_printing_them() {
        let text = refusal(json!({"transportLibrary": {"platformClientSecret": ["hunter2"]}}));
        assert_eq!(text, "configuration key transportLibrary.platformClientSecret in config.json must be a string");
        assert_eq!(refusal(json!({"enlace": 1})), "configuration key enlace in config.json must be an object");
        assert_eq!(
            refusal(json!({"modules": {"sync": {"enabled": "yes"}}})),
            "configuration key modules.sync.enabled in config.json must be true or false"
        );
    }

    #[test]
    fn every_secret_key_is_masked_and_nothing_else() {
        let values = json!({
            "transportLibrary": {"platformClientId": "id", "platformClientSecret": "s1"},
            "infrastructure": {"httpServer": {
                "apiKey": "s2",
                "authentication": {"apiKey": {"keys": {"a": {"key": "s3", "scopes": ["core:*"]}}}},
            }},
        });
        let text = masked(&values).to_string();
        assert!(!text.contains("s1") && !text.contains("s2") && !text.contains("s3"), "{text}");
        assert!(text.contains("\"id\"") && text.contains("core:*"), "{text}");
        assert_eq!(text.matches(MASK).count(), 3);
    }
}
