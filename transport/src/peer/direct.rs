//! Where the node that shares a file can be reached: the optional member `direct` of a file token's content (specification,
//! section 10). Who does not know it loads the file from the backbone.

use libp2p_identity::PeerId;
use serde_json::{Map, Value, json};

use super::key;
use crate::token::TokenContent;

/// Addresses, and relays, of which a reader takes so many.
pub const MAX_ADDRESSES: usize = 16;

/// Bytes of the longest address.
pub const MAX_ADDRESS_TEXT_LENGTH: usize = 256;

/// The name of the member.
const MEMBER: &str = "direct";

/// How to reach a node. Nothing of it is proven; the handshake proves the peer id, and the exchange of identities whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// The peer, by the id of an Ed25519 key.
    pub peer_id: PeerId,
    /// Where it listens.
    pub addresses: Vec<MultiaddrText>,
    /// Relays that connect to it.
    pub relays: Vec<MultiaddrText>,
}

/// The text of a multiaddr. Its form is checked by who dials it; this has only a bounded length and no white space or control
/// characters, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiaddrText(String);

impl MultiaddrText {
    /// Takes a text that may be a multiaddr.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.starts_with('/')
            && text.len() <= MAX_ADDRESS_TEXT_LENGTH
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Direct {
    /// What a file token's content says; `None` if it says nothing, or nothing that can be used. Addresses that are none are
    /// left out, so that later versions can write others.
    #[must_use]
    pub fn of(content: &TokenContent) -> Option<Self> {
        let TokenContent::File { more, .. } = content else { return None };
        let direct = more.get(MEMBER)?.as_object()?;
        let peer_id: PeerId = direct.get("peer")?.as_str()?.parse().ok()?;
        Some(Self {
            peer_id: key::peer_id(&peer_id.to_bytes())?,
            addresses: read_addresses(direct, "addresses"),
            relays: read_addresses(direct, "relays"),
        })
    }

    /// Whether there is an address or a relay at all.
    #[must_use]
    pub fn leads_somewhere(&self) -> bool {
        !self.addresses.is_empty() || !self.relays.is_empty()
    }

    /// Adds it to a file token's content, of other contents to none. What a reader would not take is left out.
    pub fn add_to(&self, content: &mut TokenContent) {
        if let TokenContent::File { more, .. } = content {
            let texts = |addresses: &[MultiaddrText]| -> Vec<String> {
                addresses.iter().take(MAX_ADDRESSES).map(|address| address.0.clone()).collect()
            };
            let (addresses, relays) = (texts(&self.addresses), texts(&self.relays));
            let direct = json!({"addresses": addresses, "peer": self.peer_id.to_base58(), "relays": relays});
            more.insert(MEMBER.to_owned(), direct);
        }
    }
}

fn read_addresses(direct: &Map<String, Value>, name: &str) -> Vec<MultiaddrText> {
    let addresses = direct.get(name).and_then(Value::as_array).into_iter().flatten();
    addresses.filter_map(Value::as_str).filter_map(MultiaddrText::new).take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SignatureKeypair;
    use crate::peer::PeerKey;

    const PLAIN: &str = r#"{"@type":"TokenContentFile","fileId":"FILabcDEF123ghiJKL45","secretKey":{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","alg":3}}"#;

    fn direct(count: usize) -> Direct {
        let address = |port| MultiaddrText::new(&format!("/ip4/192.0.2.1/tcp/{port}")).unwrap();
        Direct {
            peer_id: PeerKey::derive(&SignatureKeypair::from_seed(&[7; 32])).peer_id(),
            addresses: (0..count).map(address).collect(),
            relays: vec![MultiaddrText::new("/dns4/relay.example.org/tcp/4001").unwrap()],
        }
    }

    fn reads_back(direct: &Direct) -> Option<Direct> {
        let mut content = TokenContent::parse(PLAIN).unwrap();
        direct.add_to(&mut content);
        Direct::of(&TokenContent::parse(&content.to_text()).unwrap())
    }

    #[test]
    fn it_is_read_as_it_was_written_up_to_the_bound() {
        for count in [0, 1, MAX_ADDRESSES] {
            assert_eq!(reads_back(&direct(count)), Some(direct(count)));
        }
        assert_eq!(reads_back(&direct(MAX_ADDRESSES + 1)), Some(direct(MAX_ADDRESSES)));
    }

    #[test]
    fn a_content_without_it_or_with_a_useless_one_is_a_content_all_the_same() {
        let peer = direct(0).peer_id.to_base58();
        for member in [
            "null",
            "1",
            "{}",
            r#"{"peer":1}"#,
            r#"{"peer":"x"}"#,
            r#"{"peer":"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"}"#,
        ] {
            let text = PLAIN.replace(r#""fileId""#, &format!(r#""direct":{member},"fileId""#));
            assert_eq!(Direct::of(&TokenContent::parse(&text).unwrap()), None, "{member}");
        }
        let later =
            format!(r#"{{"addresses":["/ip4/192.0.2.1/tcp/1",7,"no","/a b",{{}}],"later":true,"peer":"{peer}"}}"#);
        let text = PLAIN.replace(r#""fileId""#, &format!(r#""direct":{later},"fileId""#));
        let content = TokenContent::parse(&text).unwrap();
        assert_eq!(Direct::of(&content).unwrap().addresses.len(), 1);
        assert_eq!(content.to_text(), text, "nothing of it is lost");
        assert_eq!(Direct::of(&TokenContent::parse(PLAIN).unwrap()), None);
        assert_eq!(Direct::of(&TokenContent::parse("{}").unwrap()), None);
    }

    #[test]
    fn addresses_have_a_bounded_length_and_can_be_shown() {
        let longest = format!("/{}", "a".repeat(MAX_ADDRESS_TEXT_LENGTH - 1));
        assert!(MultiaddrText::new(&longest).is_some());
        for text in [longest + "a", String::new(), "ip4".into(), "/a\u{1b}[2J".into(), "/\u{e9}".into()] {
            assert_eq!(MultiaddrText::new(&text), None);
        }
    }
}
