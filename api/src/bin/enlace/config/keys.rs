//! Every key a configuration may have: its form, its default, what it means. Anything else is refused.
//!
//! Keys outside `enlace` are those of the published connectors, so that an existing configuration keeps its meaning.

use serde_json::Value;

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `true` or `false`.
    Flag,
    /// A whole number, zero or more.
    Number,
    /// A text.
    Text,
    /// A text that is never printed.
    Secret,
    /// A list of texts.
    Texts,
}

impl Form {
    /// Whether a value has this form.
    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Flag => value.is_boolean(),
            Self::Number => value.is_u64(),
            Self::Text | Self::Secret => value.is_string(),
            Self::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        }
    }

    /// For messages: "must be …".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a whole number",
            Self::Text | Self::Secret => "a text",
            Self::Texts => "a list of texts",
        }
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Levels joined by dots; `<name>` stands for any one level.
    pub(crate) path: &'static str,
    /// What its value looks like.
    pub(crate) form: Form,
    /// Default as JSON text; empty if there is none.
    pub(crate) default: &'static str,
    /// For people; also the row of the README's table.
    pub(crate) meaning: &'static str,
}

impl Key {
    /// Whether a concrete path is this key.
    pub(crate) fn matches(&self, path: &[String]) -> bool {
        let levels: Vec<&str> = self.path.split('.').collect();
        levels.len() == path.len() && levels.iter().zip(path).all(|(level, given)| *level == "<name>" || level == given)
    }

    /// Whether a concrete path is an object on the way to this key.
    pub(crate) fn is_below(&self, path: &[String]) -> bool {
        let levels: Vec<&str> = self.path.split('.').collect();
        levels.len() > path.len() && levels.iter().zip(path).all(|(level, given)| *level == "<name>" || level == given)
    }
}

const fn key(path: &'static str, form: Form, default: &'static str, meaning: &'static str) -> Key {
    Key { path, form, default, meaning }
}

/// All keys.
pub(crate) const KEYS: &[Key] = &[
    key("transportLibrary.baseUrl", Form::Text, "", "backbone; without it an embedded one is started"),
    key("transportLibrary.platformClientId", Form::Text, "", "OAuth client at the backbone"),
    key("transportLibrary.platformClientSecret", Form::Secret, "", "its secret"),
    key("transportLibrary.allowIdentityCreation", Form::Flag, "true", "create an identity at the first start"),
    key("transportLibrary.addressGenerationHostnameOverride", Form::Text, "", "host name inside a new address"),
    key("transportLibrary.platformTimeout", Form::Number, "60000", "longest backbone request, milliseconds"),
    key("transportLibrary.platformMaxRedirects", Form::Number, "10", "redirects followed at the backbone"),
    key("transportLibrary.platformMaxUnencryptedFileSize", Form::Number, "10485760", "largest file, bytes"),
    key("transportLibrary.datawalletEnabled", Form::Flag, "true", "keep changes recoverable by other devices"),
    key("infrastructure.httpServer.enabled", Form::Flag, "true", "serve the REST API"),
    key("infrastructure.httpServer.port", Form::Number, "", "REST port on loopback; `enlace.listen` is stronger"),
    key("infrastructure.httpServer.apiKey", Form::Secret, "", "API key with all rights; else the key file's"),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.enabled",
        Form::Flag,
        "",
        "whether this key counts (default true)",
    ),
    key("infrastructure.httpServer.authentication.apiKey.keys.<name>.key", Form::Secret, "", "the key itself"),
    key("infrastructure.httpServer.authentication.apiKey.keys.<name>.description", Form::Text, "", "for people"),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.expiresAt",
        Form::Text,
        "",
        "ISO 8601 time from which it is refused",
    ),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.scopes",
        Form::Texts,
        "",
        "what it may do, for example `core:files` or `core:*` (default `**`)",
    ),
    key("modules.coreHttpApi.docs.enabled", Form::Flag, "true", "serve the API's description and its viewer"),
    key("modules.sync.enabled", Form::Flag, "false", "look for news at the backbone regularly"),
    key("modules.sync.interval", Form::Number, "60", "seconds between two looks"),
    key("enlace.dataDir", Form::Text, "", "identity, keys, files; see `--data-dir`"),
    key("enlace.listen", Form::Text, "", "REST address; port 0 takes a free one"),
    key("enlace.apiKeyFile", Form::Text, "", "where the API key lies; default `api-key` in the data directory"),
    key("enlace.allowedHosts", Form::Texts, "[]", "further host names by which the REST API may be called"),
    key(
        "enlace.maxReceivedFileSize",
        Form::Number,
        "10737418240",
        "largest file of somebody else, bytes; no room on the disk refuses it earlier",
    ),
    key(
        "enlace.maxTokenContentSize",
        Form::Number,
        "262144",
        "largest content of a token, bytes of JSON; larger ones are neither made nor loaded",
    ),
    key("enlace.allowPlainHttp", Form::Flag, "false", "allow http to a backbone that is not on this machine"),
    key("enlace.storeKey.file", Form::Text, "", "key of the local store; default `store.key` in the data directory"),
    key("enlace.storeKey.environment", Form::Text, "", "environment variable that holds the key of the local store"),
    key("enlace.backbone.listen", Form::Text, "", "address of the embedded backbone; port 0 takes a free one"),
    key(
        "enlace.backbone.guests",
        Form::Flag,
        "true",
        "let `enlace receive` create identities at the embedded backbone",
    ),
    key("enlace.backbone.limits.guests", Form::Number, "10000", "identities that guests may have"),
    key(
        "enlace.backbone.limits.guestBytes",
        Form::Number,
        "67108864",
        "bytes that one guest may store in tokens and files",
    ),
    key(
        "enlace.backbone.limits.allGuestsBytes",
        Form::Number,
        "1073741824",
        "bytes that all guests may store in them together",
    ),
    key("enlace.backbone.limits.guestDays", Form::Number, "30", "days that tokens and files of guests may last"),
    key(
        "enlace.backbone.limits.guestIdleHours",
        Form::Number,
        "24",
        "hours without a login after which a guest that owns nothing makes way, when places run out",
    ),
    key(
        "enlace.backbone.limits.guestDiskReserve",
        Form::Number,
        "268435456",
        "bytes of the disk that guests leave free",
    ),
    key(
        "enlace.backbone.limits.identityBytes",
        Form::Number,
        "1099511627776",
        "bytes that any other identity may store in tokens and files",
    ),
    key(
        "enlace.backbone.limits.wrongPasswords",
        Form::Number,
        "10",
        "wrong passwords for one token that one network address may try in 15 minutes; 0 for any number",
    ),
];

/// Keys of the published connectors that mean nothing here, with what to do instead.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("debug", "there is no debug mode; see -v and RUST_LOG"),
    ("database", "the store is embedded: set enlace.dataDir"),
    ("logging", "set -v, --log-format or the environment variable RUST_LOG"),
    ("infrastructure.httpServer.cors", "no other origin may call the API; put a reverse proxy in front"),
    ("infrastructure.httpServer.helmetOptions", "the safe headers are always sent"),
    ("infrastructure.httpServer.jwtBearer", "use API keys"),
    ("infrastructure.httpServer.oidc", "use API keys"),
    ("infrastructure.httpServer.authentication.jwtBearer", "use API keys"),
    ("infrastructure.httpServer.authentication.oidc", "use API keys"),
    ("modules", "this module is not part of enlace"),
    ("enforceCertificatePinning", "certificates are checked against the system's authorities"),
    ("pinnedTLSCertificateSHA256Fingerprints", "certificates are checked against the system's authorities"),
];

/// The key nearest to a path that does not exist.
pub(crate) fn nearest(path: &str) -> &'static Key {
    let distance = |key: &&Key| {
        let last = |text: &str| text.rsplit('.').next().unwrap_or_default().to_lowercase();
        strsim::damerau_levenshtein(&key.path.to_lowercase(), &path.to_lowercase())
            + 2 * strsim::damerau_levenshtein(&last(key.path), &last(path))
    };
    KEYS.iter().min_by_key(distance).unwrap_or(&KEYS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_has_the_form_of_its_key() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            let value: Value = serde_json::from_str(key.default).unwrap();
            assert!(key.form.fits(&value), "{}", key.path);
        }
    }

    #[test]
    fn the_table_of_the_readme_is_this_one() {
        let readme = include_str!("../../../../../README.md");
        let told: Vec<&str> = readme.lines().skip_while(|line| !line.starts_with("| Key | Form |")).collect();
        let told: Vec<&str> = told.into_iter().skip(2).take_while(|line| line.starts_with('|')).collect();
        let row = |key: &Key| {
            let form = match key.form {
                Form::Flag => "yes/no",
                Form::Number => "number",
                Form::Text => "text",
                Form::Secret => "secret",
                Form::Texts => "list",
            };
            let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
            format!("| `{}` | {form} | {default} | {} |", key.path, key.meaning)
        };
        assert_eq!(told, KEYS.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_misspelt_key_leads_to_the_one_that_was_meant() {
        for (given, meant) in [
            ("transportLibrary.baseURL", "transportLibrary.baseUrl"),
            ("transportlibrary.platformClientID", "transportLibrary.platformClientId"),
            ("baseUrl", "transportLibrary.baseUrl"),
            ("enlace.dataDirectory", "enlace.dataDir"),
            ("infrastructure.httpServer.prot", "infrastructure.httpServer.port"),
        ] {
            assert_eq!(nearest(given).path, meant, "{given}");
        }
    }
}
