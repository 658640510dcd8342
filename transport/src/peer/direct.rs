//! Where the node that shares a file can be reached: the optional member `direct` of a file token's content (specification,
//! section 10). Who does not know it loads the file from the backbone.

use libp2p_identity::PeerId;
use serde_json::{Map, Value};

use super::key;
use crate::token::TokenContent;

/// Addresses, and relays, of which a reader takes so many.
pub const MAX_ADDRESSES: usize = 16;

/// Bytes of the longest address.
pub const MAX_ADDRESS_TEXT_LENGTH: usize = 256;

/// Devices that a content names at the most. A reader takes so many.
pub const MAX_DEVICES: usize = 4;

/// The name of the member.
const MEMBER: &str = "direct";

/// The name of its member with further devices.
const OTHERS: &str = "others";

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

/// The devices that a content names, the one that made the token first. Readers of before know that one only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectDevices {
    /// Which one made it.
    pub first: Direct,
    /// Other devices of the same identity that may have the file.
    pub others: Vec<Direct>,
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
    /// What a file token's content says of the device that made it; see [`DirectDevices::of`].
    #[must_use]
    pub fn of(content: &TokenContent) -> Option<Self> {
        DirectDevices::of(content).map(|devices| devices.first)
    }

    /// `None` if it does not name a peer. Addresses that are none are left out, so that later versions can write others.
    fn read(device: &Map<String, Value>) -> Option<Self> {
        let peer_id: PeerId = device.get("peer")?.as_str()?.parse().ok()?;
        Some(Self {
            peer_id: key::peer_id(&peer_id.to_bytes())?,
            addresses: read_addresses(device, "addresses"),
            relays: read_addresses(device, "relays"),
        })
    }

    /// Whether there is an address or a relay at all.
    #[must_use]
    pub fn leads_somewhere(&self) -> bool {
        !self.addresses.is_empty() || !self.relays.is_empty()
    }

    fn to_json(&self) -> Map<String, Value> {
        let texts = |addresses: &[MultiaddrText]| -> Value {
            addresses.iter().take(MAX_ADDRESSES).map(|address| address.0.clone()).collect()
        };
        let mut device = Map::new();
        device.insert("addresses".to_owned(), texts(&self.addresses));
        device.insert("peer".to_owned(), self.peer_id.to_base58().into());
        device.insert("relays".to_owned(), texts(&self.relays));
        device
    }
}

impl DirectDevices {
    /// What a file token's content says; `None` if it says nothing, or nothing that can be used. Of the other devices the first usable ones are taken,
    /// each once, so many that there are [`MAX_DEVICES`].
    #[must_use]
    pub fn of(content: &TokenContent) -> Option<Self> {
        let TokenContent::File { more, .. } = content else { return None };
        let direct = more.get(MEMBER)?.as_object()?;
        let named = direct.get(OTHERS).and_then(Value::as_array).into_iter().flatten();
        let others = named.filter_map(Value::as_object).filter_map(Direct::read);
        Self::of_all(std::iter::once(Direct::read(direct)?).chain(others))
    }

    /// These devices, as far as a reader takes them; `None` if there are none.
    pub fn of_all(devices: impl IntoIterator<Item = Direct>) -> Option<Self> {
        let mut devices = devices.into_iter();
        let mut taken = Self::from(devices.next()?);
        devices.for_each(|device| taken.add(device));
        Some(taken)
    }

    /// Adds a device, unless it is among them, or there are as many as a reader takes.
    fn add(&mut self, device: Direct) {
        let is_new = self.all().all(|known| known.peer_id != device.peer_id);
        if is_new && self.others.len() + 1 < MAX_DEVICES {
            self.others.push(device);
        }
    }

    /// All of them, the first one first.
    pub fn all(&self) -> impl Iterator<Item = &Direct> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Adds them to a file token's content, of other contents to none. What a reader would not take is left out.
    pub fn add_to(&self, content: &mut TokenContent) {
        if let TokenContent::File { more, .. } = content {
            let mut direct = self.first.to_json();
            let others = self.others.iter().take(MAX_DEVICES - 1).map(Direct::to_json).map(Value::Object);
            let others: Vec<_> = others.collect();
            if !others.is_empty() {
                direct.insert(OTHERS.to_owned(), others.into());
            }
            more.insert(MEMBER.to_owned(), direct.into());
        }
    }
}

impl From<Direct> for DirectDevices {
    fn from(first: Direct) -> Self {
        Self { first, others: Vec::new() }
    }
}

fn read_addresses(direct: &Map<String, Value>, name: &str) -> Vec<MultiaddrText> {
    let addresses = direct.get(name).and_then(Value::as_array).into_iter().flatten();
    addresses.filter_map(Value::as_str).filter_map(MultiaddrText::new).take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        DirectDevices::from(direct.clone()).add_to(&mut content);
        Direct::of(&TokenContent::parse(&content.to_text()).unwrap())
    }

    #[test]
    fn it_is_read_as_it_was_written_up_to_the_bound() {
        for count in [0, 1, MAX_ADDRESSES] {
            assert_eq!(reads_back(&direct(count)), Some(direct(count)));
        }
        assert_eq!(reads_back(&direct(MAX_ADDRESSES + 1)), Some(direct(MAX_ADDRESSES)));
    }

    fn device(seed: u8) -> Direct {
        let peer_id = PeerKey::derive(&SignatureKeypair::from_seed(&[seed; 32])).peer_id();
        Direct { peer_id, ..direct(usize::from(seed % 3)) }
    }

    #[test]
    fn as_many_devices_are_read_as_a_reader_takes_each_once_and_the_first_one_by_readers_of_before() {
        let devices = DirectDevices::of_all([1, 1, 2, 3, 2, 4, 5].map(device)).unwrap();
        assert_eq!(devices.all().count(), MAX_DEVICES);
        let mut content = TokenContent::parse(PLAIN).unwrap();
        let others = [&devices.others[..], &devices.others[..]].concat();
        DirectDevices { others, ..devices.clone() }.add_to(&mut content);
        assert_eq!(DirectDevices::of(&TokenContent::parse(&content.to_text()).unwrap()), Some(devices));
        assert_eq!(Direct::of(&content), Some(device(1)));
        let TokenContent::File { more, .. } = &mut content else { unreachable!() };
        let mut member = device(1).to_json();
        let unusable = [Value::Null, Value::from("x"), Value::Object(Map::new())];
        let repeated = [1, 2, 2, 3, 4, 5].map(|seed| Value::Object(device(seed).to_json()));
        member.insert(OTHERS.to_owned(), unusable.into_iter().chain(repeated).collect());
        more.insert(MEMBER.to_owned(), member.into());
        let read = DirectDevices::of(&content).unwrap();
        assert_eq!(read.others, [2, 3, 4].map(device));
    }

    proptest! {
        #[test]
        fn any_devices_come_back(seeds in proptest::collection::vec(any::<u8>(), 1..8)) {
            let devices = DirectDevices::of_all(seeds.into_iter().map(device)).unwrap();
            let mut content = TokenContent::parse(PLAIN).unwrap();
            devices.add_to(&mut content);
            prop_assert_eq!(DirectDevices::of(&TokenContent::parse(&content.to_text()).unwrap()), Some(devices));
        }
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
