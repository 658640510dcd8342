//! Settings of the interface, with defaults that are safe on a machine that others use too.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::appwrite::AppwriteConfig;
use crate::auth::ApiKeys;
use crate::connector::Dialect;

/// Settings of the REST interface.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Who may call.
    pub keys: ApiKeys,
    /// Host names, without port, under which browsers may reach us besides `localhost` and literal addresses.
    pub allowed_hosts: BTreeSet<String>,
    /// Origins of web pages that may call us, `https://app.example.org`. Empty: none, and no CORS headers at all.
    pub allowed_origins: BTreeSet<String>,
    /// Whether `/docs` is served. It needs no key, and shows nothing about this node.
    pub docs: bool,
    /// Which dialects are served.
    pub dialects: Vec<Dialect>,
    /// Whether `/api/enlace/v1` is served.
    pub own_face: bool,
    /// `/v1`, if it is served. Its keys are among [`keys`](Self::keys), see [`ApiKey::for_appwrite`](crate::ApiKey::for_appwrite).
    pub appwrite: Option<AppwriteConfig>,
    /// The configuration as `/Monitoring/Support` shows it: secrets must be masked already.
    pub shown_configuration: Value,
}

impl ApiConfig {
    /// Everything served, to holders of these keys, for callers on this machine.
    #[must_use]
    pub fn new(keys: ApiKeys) -> Self {
        Self {
            keys,
            allowed_hosts: BTreeSet::new(),
            allowed_origins: BTreeSet::new(),
            docs: true,
            dialects: Dialect::ALL.to_vec(),
            own_face: true,
            appwrite: Some(AppwriteConfig::default()),
            shown_configuration: Value::Object(serde_json::Map::new()),
        }
    }
}
