//! The paths by which others may load a token and its file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use transport::peer::{Direct, Via};

/// A path from whoever has a token to whoever loads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenTransport {
    /// From the node that shares it, straight: in the local network, over the internet, or through holes in NATs.
    Direct,
    /// From the node that shares it, through a relay.
    Relay,
    /// From a backbone.
    Store,
}

impl TokenTransport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Relay, Self::Store];

    /// `direct`, `relay` or `store`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Store => "store",
        }
    }
}

impl From<Via> for TokenTransport {
    fn from(via: Via) -> Self {
        match via {
            Via::Direct => Self::Direct,
            Via::Relay => Self::Relay,
        }
    }
}

/// Paths by which a token may be loaded, at least one; all by default. In JSON a list of texts, in which order and repetition mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<&'static str>")]
pub struct TokenTransports {
    direct: bool,
    relay: bool,
    store: bool,
}

/// Another text than those of [`TokenTransport`], or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one or more of direct, relay, store")]
pub struct UnknownTransports;

impl TokenTransports {
    /// All of them.
    pub const ALL: Self = Self { direct: true, relay: true, store: true };

    /// Those in a list.
    ///
    /// # Errors
    /// [`UnknownTransports`] for an empty one, and for another text.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, UnknownTransports> {
        let mut read = Self { direct: false, relay: false, store: false };
        for text in texts {
            match text.as_ref() {
                "direct" => read.direct = true,
                "relay" => read.relay = true,
                "store" => read.store = true,
                _ => return Err(UnknownTransports),
            }
        }
        if texts.is_empty() { Err(UnknownTransports) } else { Ok(read) }
    }

    /// Whether one is among them.
    #[must_use]
    pub const fn contain(self, transport: TokenTransport) -> bool {
        match transport {
            TokenTransport::Direct => self.direct,
            TokenTransport::Relay => self.relay,
            TokenTransport::Store => self.store,
        }
    }

    /// Whether peers get the token by one of them.
    #[must_use]
    pub const fn reach_peers(self) -> bool {
        self.direct || self.relay
    }

    /// Whether one of the paths between peers is not among them, which the node that shares the token enforces.
    #[must_use]
    pub const fn limit_peers(self) -> bool {
        !(self.direct && self.relay)
    }

    /// Their names, in the order of [`TokenTransport::ALL`].
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = TokenTransport::ALL.into_iter();
        all.filter(|transport| self.contain(*transport)).map(TokenTransport::as_str).collect()
    }

    /// What of the addresses of a node leads there by these paths; `None` if nothing does.
    pub(crate) fn narrow(self, direct: Direct) -> Option<Direct> {
        let Direct { peer_id, addresses, relays } = direct;
        let narrowed = Direct {
            peer_id,
            addresses: if self.direct { addresses } else { Vec::new() },
            relays: if self.relay { relays } else { Vec::new() },
        };
        Some(narrowed).filter(Direct::leads_somewhere)
    }
}

impl Default for TokenTransports {
    fn default() -> Self {
        Self::ALL
    }
}

impl TryFrom<Vec<String>> for TokenTransports {
    type Error = UnknownTransports;

    fn try_from(texts: Vec<String>) -> Result<Self, UnknownTransports> {
        Self::parse(&texts)
    }
}

impl From<TokenTransports> for Vec<&'static str> {
    fn from(transports: TokenTransports) -> Self {
        transports.names()
    }
}

/// The names with commas between them, or `all`.
impl FromStr for TokenTransports {
    type Err = UnknownTransports;

    fn from_str(text: &str) -> Result<Self, UnknownTransports> {
        match text {
            "all" => Ok(Self::ALL),
            text => Self::parse(&text.split(',').map(str::trim).collect::<Vec<_>>()),
        }
    }
}

impl fmt::Display for TokenTransports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

impl fmt::Debug for TokenTransports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transport::peer::MultiaddrText;

    use super::*;

    fn read(value: serde_json::Value) -> Result<TokenTransports, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn every_set_but_the_empty_one_is_read_as_it_is_written() {
        for bits in 1..8_u8 {
            let named = TokenTransport::ALL.into_iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
            let (transports, names): (Vec<_>, Vec<_>) = named.map(|(_, one)| (one, one.as_str())).unzip();
            let set = read(json!(names)).unwrap();
            assert_eq!(serde_json::to_value(set).unwrap(), json!(names));
            assert_eq!(set.to_string().parse(), Ok(set));
            for transport in TokenTransport::ALL {
                assert_eq!(set.contain(transport), transports.contains(&transport), "{set:?}");
            }
        }
        assert_eq!(read(json!(["store", "relay", "direct", "store"])), Ok(TokenTransports::ALL));
        assert_eq!("all".parse(), Ok(TokenTransports::ALL));
        let message = UnknownTransports.to_string();
        for wrong in [json!([]), json!(["direct", "tor"]), json!([""])] {
            assert_eq!(read(wrong), Err(message.clone()));
        }
        assert!(read(json!("direct")).is_err() && "".parse::<TokenTransports>().is_err());
    }

    #[test]
    fn only_addresses_of_the_permitted_paths_are_told() {
        let text = |text| vec![MultiaddrText::new(text).unwrap()];
        let peer_id = transport::peer::PeerKey::derive(&transport::crypto::SignatureKeypair::generate()).peer_id();
        let all = Direct { peer_id, addresses: text("/ip4/192.0.2.1/tcp/1"), relays: text("/ip4/192.0.2.2/tcp/1") };
        let told = |names: &[&str]| {
            let told = TokenTransports::parse(names).unwrap().narrow(all.clone());
            told.map(|told| (told.addresses.len(), told.relays.len()))
        };
        assert_eq!(told(&["direct", "relay", "store"]), Some((1, 1)));
        assert_eq!((told(&["direct"]), told(&["relay", "store"])), (Some((1, 0)), Some((0, 1))));
        assert_eq!(told(&["store"]), None);
        let unreachable = Direct { relays: Vec::new(), ..all };
        assert_eq!(TokenTransports::parse(&["relay"]).unwrap().narrow(unreachable), None);
    }
}
