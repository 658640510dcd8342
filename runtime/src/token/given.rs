//! How the lists in terms are read: `null` and an absent member are all there is.

use serde::{Deserialize, Deserializer};

use crate::dto::TokenTransports;

/// Reads `transports`.
pub(crate) fn transports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TokenTransports>, D::Error> {
    Option::deserialize(deserializer).map(|given: Option<TokenTransports>| Some(given.unwrap_or_default()))
}

/// `allow` as a list of names.
pub(crate) mod allow {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::storage::Endpoints;

    pub(crate) fn serialize<S: Serializer>(allow: &Option<Endpoints>, serializer: S) -> Result<S::Ok, S::Error> {
        allow.map(Endpoints::names).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Endpoints>, D::Error> {
        let given = Option::<Vec<String>>::deserialize(deserializer)?;
        let read = given.map_or(Ok(Endpoints::ALL), |texts| Endpoints::parse(&texts));
        read.map(Some).map_err(|_| D::Error::custom("must be one or more of view, preview, download"))
    }
}
