//! Where configuration comes from: command line, environment, file, defaults.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::keys::{ELSEWHERE, KEYS};
use super::{ConfigError, tree};
use crate::failure::reason;
use crate::text_file;

/// Where a value was found; errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `--a:b` or an option that stands for it.
    Option(String),
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) => write!(f, "given with {name}"),
            Self::Variable(name) => write!(f, "in the environment variable {name}"),
            Self::File(path) => write!(f, "in {}", path.display()),
        }
    }
}

/// Values from the command line, the environment or a file.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// The values.
    pub(crate) values: Value,
    /// Where each value, or everything below it, was found.
    origins: Vec<(Vec<String>, Origin)>,
}

/// Variables that stand for a key.
const ALIASES: &[(&str, &str)] = &[
    ("SYNC_ENABLED", "modules.sync.enabled"),
    ("PLATFORM_CLIENT_ID", "transportLibrary.platformClientId"),
    ("PLATFORM_CLIENT_SECRET", "transportLibrary.platformClientSecret"),
    ("API_KEY", "infrastructure.httpServer.apiKey"),
];

/// Largest configuration file in bytes.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

impl Layer {
    /// Settings given as `(a:b, c)`, in the order in which they were given.
    pub(crate) fn from_command_line(settings: &[(String, String)]) -> Self {
        let mut layer = Self::empty();
        for (name, text) in settings {
            let path: Vec<String> = name.split(':').map(str::to_owned).collect();
            layer.set_text(path, text, Origin::Option(format!("--{name}")));
        }
        layer
    }

    fn empty() -> Self {
        Self { values: Value::Object(Map::new()), origins: Vec::new() }
    }

    /// Sets the value of a known key.
    pub(crate) fn set(&mut self, key: &'static str, value: Value, origin: Origin) {
        tree::set(&mut self.values, &levels(key), value);
        self.origins.push((levels(key), origin));
    }

    fn set_text(&mut self, path: Vec<String>, text: &str, origin: Origin) {
        set_text(&mut self.values, &path, text);
        self.origins.push((path, origin));
    }

    /// Where the value at a path was found, or the last one below it.
    pub(crate) fn origin(&self, path: &[String]) -> Option<&Origin> {
        let leads = |known: &[String]| known.iter().zip(path).all(|(known, asked)| known == asked);
        self.origins.iter().rev().find(|(known, _)| leads(known)).map(|(_, origin)| origin)
    }

    /// The file that it is, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.origins.iter().find_map(|(_, origin)| match origin {
            Origin::File(path) => Some(path.as_path()),
            _ => None,
        })
    }

    /// Variables that belong to us: aliases, and names with levels whose first one is that of a key, of the published
    /// connectors or in another case too: both are refused like in a file. Empty variables count as not set.
    pub(crate) fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Self {
        let mut layer = Self::empty();
        for (name, text) in variables.filter(|(_, text)| !text.is_empty()) {
            if let Some(path) = variable_path(&name) {
                layer.set_text(path, &text, Origin::Variable(name));
            }
        }
        layer
    }

    /// A JSON file.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |reason: String| ConfigError::File { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes));
        read.map_err(|error| unreadable(reason(&error)))?;
        if bytes.len() as u64 > MAX_FILE_SIZE {
            return Err(unreadable(format!("it has more than {MAX_FILE_SIZE} bytes")));
        }
        Self::parse(path, &bytes)
    }

    /// The content of a JSON file.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let unreadable = |reason: String| ConfigError::File { path: path.to_owned(), reason };
        let text = text_file::decode("it", bytes).map_err(|failure| unreadable(failure.message))?;
        match serde_json::from_str(text) {
            Ok(values @ Value::Object(_)) => Ok(Self::of(Origin::File(path.to_owned()), values)),
            Ok(_) => Err(unreadable("it is not a JSON object".to_owned())),
            Err(error) => Err(unreadable(format!("it is not JSON: {error}"))),
        }
    }

    /// Values that are all from one place.
    pub(crate) fn of(origin: Origin, values: Value) -> Self {
        Self { values, origins: vec![(Vec::new(), origin)] }
    }

    /// Every key's default.
    pub(crate) fn defaults() -> Value {
        let mut values = Value::Object(Map::new());
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            set_text(&mut values, &levels(key.path), key.default);
        }
        values
    }
}

pub(super) fn levels(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn variable_path(name: &str) -> Option<Vec<String>> {
    if let Some((_, path)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(levels(path));
    }
    let path: Vec<String> = name.split("__").flat_map(|part| part.split(':')).map(str::to_owned).collect();
    let roots = KEYS.iter().map(|key| key.path).chain(ELSEWHERE.iter().map(|(path, _)| *path));
    let mut roots = roots.filter_map(|path| path.split('.').next());
    let is_ours = path.len() > 1 && roots.any(|root| root.eq_ignore_ascii_case(&path[0]));
    is_ours.then_some(path)
}

/// A value that reads as JSON is taken as JSON, unless the key wants a text; anything else is a text.
fn set_text(tree: &mut Value, path: &[String], text: &str) {
    let as_text = Value::String(text.to_owned());
    let value = serde_json::from_str(text).unwrap_or_else(|_| as_text.clone());
    let wants_text = KEYS.iter().any(|key| key.matches(path) && !key.form.fits(&value) && key.form.fits(&as_text));
    tree::set(tree, path, if wants_text { as_text } else { value });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Value {
        let owned = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Layer::from_environment(owned).values
    }

    #[test]
    fn variables_name_levels_by_colons_or_double_underscores_and_hold_json() {
        let values = environment(&[
            ("transportLibrary__baseUrl", "https://b.example"),
            ("infrastructure:httpServer:port", "8080"),
            ("modules__sync", "{\"enabled\": true}"),
            ("HOME", "/home/me"),
            ("OTHER__THING", "1"),
        ]);
        assert_eq!(
            values,
            json!({
                "transportLibrary": {"baseUrl": "https://b.example"},
                "infrastructure": {"httpServer": {"port": 8080}},
                "modules": {"sync": {"enabled": true}},
            })
        );
    }

    #[test]
    fn a_file_may_have_a_byte_order_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "\u{feff}{\"a\": 1}\r\n").unwrap();
        assert_eq!(Layer::from_file(&path).unwrap().values, json!({"a": 1}));
        std::fs::write(&path, b"\xff\xfe{\0}\0").unwrap();
        assert!(Layer::from_file(&path).unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn empty_variables_count_as_not_set() {
        assert_eq!(environment(&[("transportLibrary__baseUrl", ""), ("API_KEY", ""), ("SYNC_ENABLED", "")]), json!({}));
    }

    #[test]
    fn variables_of_the_published_connectors_and_in_another_case_are_not_ignored() {
        let values =
            environment(&[("database__dbName", "x"), ("ENLACE__LISTEN", "y"), ("Logging:level", "z"), ("debug", "1")]);
        assert_eq!(values, json!({"database": {"dbName": "x"}, "ENLACE": {"LISTEN": "y"}, "Logging": {"level": "z"}}));
    }

    #[test]
    fn a_file_may_be_as_long_as_the_limit_and_no_longer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let padded = |length: u64| format!("{{}}{}", " ".repeat(length as usize - 2));
        std::fs::write(file.path(), padded(MAX_FILE_SIZE)).unwrap();
        assert!(Layer::from_file(file.path()).is_ok());
        std::fs::write(file.path(), padded(MAX_FILE_SIZE + 1)).unwrap();
        assert!(Layer::from_file(file.path()).unwrap_err().to_string().contains("more than 1048576 bytes"));
    }

    #[test]
    fn aliases_stand_for_their_keys() {
        let values = environment(&[("PLATFORM_CLIENT_ID", "me"), ("SYNC_ENABLED", "true")]);
        assert_eq!(
            values,
            json!({"transportLibrary": {"platformClientId": "me"}, "modules": {"sync": {"enabled": true}}})
        );
    }

    #[test]
    fn a_key_that_wants_a_text_gets_digits_as_text() {
        let values = environment(&[("PLATFORM_CLIENT_SECRET", "123456")]);
        assert_eq!(values["transportLibrary"]["platformClientSecret"], json!("123456"));
    }

    #[test]
    fn the_source_of_a_value_is_the_last_one_that_sets_it_or_an_object_around_it() {
        let owned = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let variables = [owned("SYNC_ENABLED", "true"), owned("modules__sync", "{\"interval\": 5}")];
        let layer = Layer::from_environment(variables.into_iter());
        let origin = |path: &str| layer.origin(&levels(path)).map(ToString::to_string);
        let variable = |name: &str| Some(format!("in the environment variable {name}"));
        assert_eq!(origin("modules.sync.interval"), variable("modules__sync"));
        assert_eq!(origin("modules"), variable("modules__sync"));
        assert_eq!(origin("enlace.listen"), None);
        let file = Layer::of(Origin::File("c.json".into()), json!({}));
        assert_eq!(file.origin(&levels("a.b")).unwrap().to_string(), "in c.json");
    }

    #[test]
    fn later_settings_on_the_command_line_win() {
        let given = [("a:b".to_owned(), "1".to_owned()), ("a:b".to_owned(), "2".to_owned())];
        assert_eq!(Layer::from_command_line(&given).values, json!({"a": {"b": 2}}));
    }
}
