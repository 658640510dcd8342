//! How the members of terms are read. In lists, `null` and an absent member are all there is.

use serde::{Deserialize, Deserializer};

use crate::dto::TokenTransports;

/// The members of new terms. They stand among those of another object, whose reader does not know which of them is wrong: they say it
/// themselves.
pub(crate) mod new {
    use std::fmt::Display;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    use crate::dto::{MaxDownloads, TokenLabel, TokenTransports};
    use crate::storage::Endpoints;

    fn named<E: Error>(name: &str) -> impl Fn(E) -> E {
        move |error: E| E::custom(format_args!("{name} {}", &error as &dyn Display))
    }

    pub(crate) fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TokenLabel>, D::Error> {
        Option::deserialize(deserializer).map_err(named("label"))
    }

    pub(crate) fn max_downloads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MaxDownloads>, D::Error> {
        Option::deserialize(deserializer).map_err(named("maxDownloads"))
    }

    pub(crate) fn transports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TokenTransports>, D::Error> {
        super::transports(deserializer).map_err(named("transports"))
    }

    /// As [`super::allow`].
    pub(crate) mod allow {
        use serde::Serializer;

        use super::{Deserializer, Endpoints, named};
        use crate::token::given;

        pub(crate) fn serialize<S: Serializer>(allow: &Option<Endpoints>, serializer: S) -> Result<S::Ok, S::Error> {
            given::allow::serialize(allow, serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Endpoints>, D::Error> {
            given::allow::deserialize(deserializer).map_err(named("allow"))
        }
    }
}

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
