//! Configuration: command line over environment over file over defaults, merged key by key, checked, typed.
//!
//! Each source is checked by itself, so that an error can say where the wrong key stands. Keys that nobody knows are
//! refused: a setting that is silently ignored is worse than a start that fails.

mod keys;
mod print;
mod settings;
mod source;
mod tree;

use std::path::PathBuf;

use serde_json::Value;

pub(crate) use print::masked;
pub(crate) use settings::{ApiKeySettings, Settings};
pub(crate) use source::{Layer, Origin};

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A key that does not exist.
    #[error("unknown configuration key {key} {origin}; the nearest known key is {} ({})", nearest.path, nearest.meaning)]
    UnknownKey { key: String, origin: Origin, nearest: &'static keys::Key },
    /// A key of the published connectors that means nothing here.
    #[error("configuration key {key} {origin} is not supported: {instead}")]
    Unsupported { key: String, origin: Origin, instead: &'static str },
    /// A value of the wrong form.
    #[error("configuration key {key} {origin} must be {expected}")]
    Form { key: String, origin: Origin, expected: &'static str },
    /// A value that has the right form and still cannot be.
    #[error("configuration key {key}: {problem}")]
    Value { key: &'static str, problem: String },
    /// A file that cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

/// All sources of one start, merged.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    values: Value,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
}

impl Configuration {
    /// Checks and merges layers, the strongest first, over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for the first key that is unknown, unsupported or of the wrong form.
    pub(crate) fn merge(layers: &[Layer]) -> Result<Self, ConfigError> {
        let mut values = Layer::defaults();
        let mut file = None;
        for layer in layers.iter().rev() {
            check(layer)?;
            tree::merge(&mut values, &layer.values);
            if let Origin::File(path) = &layer.origin {
                file = Some(path.canonicalize().unwrap_or_else(|_| path.clone()));
            }
        }
        Ok(Self { values, file })
    }

    /// The typed form.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for values that cannot be.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        Settings::read(&self.values)
    }

    /// All values as JSON with secrets masked.
    pub(crate) fn masked(&self) -> Value {
        masked(&self.values)
    }
}

fn check(layer: &Layer) -> Result<(), ConfigError> {
    let mut problem = None;
    tree::leaves(&layer.values, &mut |path, value| {
        if problem.is_none() {
            problem = check_leaf(path, value, &layer.origin).err();
        }
    });
    problem.map_or(Ok(()), Err)
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
    let below = |root: &str| key.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    match keys::ELSEWHERE.iter().find(|(root, _)| below(root)) {
        Some((_, instead)) => Err(ConfigError::Unsupported { key, origin, instead }),
        None => Err(ConfigError::UnknownKey { nearest: keys::nearest(&key), key, origin }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layer(origin: Origin, values: Value) -> Layer {
        Layer { origin, values }
    }

    fn refusal(values: Value) -> String {
        Configuration::merge(&[layer(Origin::File("config.json".into()), values)]).unwrap_err().to_string()
    }

    #[test]
    fn stronger_sources_win_and_weaker_ones_fill_in() {
        let configuration = Configuration::merge(&[
            layer(Origin::CommandLine, json!({"modules": {"sync": {"interval": 5}}})),
            layer(
                Origin::Environment,
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
             transportLibrary.baseUrl (backbone; without it an embedded one is started)"
        );
    }

    #[test]
    fn keys_of_connectors_without_meaning_here_say_what_to_do_instead() {
        assert_eq!(
            refusal(json!({"database": {"connectionString": "mongodb://u:p@h"}})),
            "configuration key database.connectionString in config.json is not supported: the store is embedded: set \
             enlace.dataDir"
        );
    }

    #[test]
    fn values_of_the_wrong_form_are_refused_without_printing_them() {
        let text = refusal(json!({"transportLibrary": {"platformClientSecret": ["hunter2"]}}));
        assert_eq!(text, "configuration key transportLibrary.platformClientSecret in config.json must be a text");
        assert_eq!(refusal(json!({"enlace": 1})), "configuration key enlace in config.json must be an object");
        assert_eq!(
            refusal(json!({"modules": {"sync": {"enabled": "yes"}}})),
            "configuration key modules.sync.enabled in config.json must be true or false"
        );
    }
}
