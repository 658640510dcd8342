//! Where a node can be reached, in the URL form of a reference (specification, section 10.1): short enough for a QR code.

use multiaddr::{Multiaddr, Protocol};

use super::cbor::{self, Bytes};
use super::direct::{Direct, MAX_ADDRESSES, MultiaddrText};
use super::key;
use crate::wire::bytes::{from_base64url, to_base64url};
use crate::wire::reference::MAX_DIRECT_LENGTH;

/// What the text is, so that later versions can say more in another form.
const VERSION: u8 = 1;

/// `[1, peer id, [address], [relay]]`, all of them byte strings.
type Encoded = (u8, Bytes, Vec<Bytes>, Vec<Bytes>);

impl Direct {
    /// The text for references ([`Reference::direct`](crate::wire::Reference::direct)). Addresses in forms that a reader would not
    /// take are left out, and so are the last relays and addresses if the text would be too long.
    #[must_use]
    pub fn to_reference_text(&self) -> String {
        let peer_id = self.peer_id.to_bytes();
        let [mut addresses, mut relays] = [&self.addresses, &self.relays].map(|texts| -> Vec<Bytes> {
            texts.iter().filter_map(|text| self.binary(text)).take(MAX_ADDRESSES).collect()
        });
        loop {
            let encoded: Encoded = (VERSION, Bytes(peer_id.clone()), addresses.clone(), relays.clone());
            let text = to_base64url(&cbor::encode(&encoded));
            if text.len() <= MAX_DIRECT_LENGTH || relays.pop().or_else(|| addresses.pop()).is_none() {
                return text;
            }
        }
    }

    /// Reads the text; `None` for what is not one. Addresses that are none are left out.
    #[must_use]
    pub fn of_reference_text(text: &str) -> Option<Self> {
        if text.len() > MAX_DIRECT_LENGTH {
            return None;
        }
        let bytes = from_base64url(text).ok()?;
        let encoded: Encoded = cbor::decode(&bytes).ok()?;
        if encoded.0 != VERSION || cbor::encode(&encoded) != bytes {
            return None;
        }
        let (_, peer_id, addresses, relays) = encoded;
        let texts = |addresses: Vec<Bytes>| addresses.into_iter().filter_map(address).take(MAX_ADDRESSES).collect();
        Some(Self { peer_id: key::peer_id(&peer_id.0)?, addresses: texts(addresses), relays: texts(relays) })
    }

    /// The binary form of an address, which is shorter, without this peer's own id at its end.
    fn binary(&self, text: &MultiaddrText) -> Option<Bytes> {
        let mut address: Multiaddr = text.as_str().parse().ok()?;
        if address.iter().last() == Some(Protocol::P2p(self.peer_id)) {
            address.pop();
        }
        let bytes = address.to_vec();
        self::address(Bytes(bytes.clone())).map(|_| Bytes(bytes))
    }
}

fn address(bytes: Bytes) -> Option<MultiaddrText> {
    MultiaddrText::new(&Multiaddr::try_from(bytes.0).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::SignatureKeypair;
    use crate::peer::{MAX_ADDRESS_TEXT_LENGTH, PeerKey};

    fn direct(addresses: &[&str], relays: &[&str]) -> Direct {
        let texts = |texts: &[&str]| texts.iter().map(|text| MultiaddrText::new(text).unwrap()).collect();
        let peer_id = PeerKey::derive(&SignatureKeypair::from_seed(&[7; 32])).peer_id();
        Direct { peer_id, addresses: texts(addresses), relays: texts(relays) }
    }

    fn back(direct: &Direct) -> Option<Direct> {
        Direct::of_reference_text(&direct.to_reference_text())
    }

    fn encoded(value: &impl serde::Serialize) -> String {
        to_base64url(&cbor::encode(value))
    }

    #[test]
    fn as_many_addresses_come_back_as_a_reader_takes() {
        let texts: Vec<String> = (0..=MAX_ADDRESSES).map(|port| format!("/ip4/192.0.2.1/tcp/{port}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for count in [0, 1, MAX_ADDRESSES] {
            let direct = direct(&texts[..count], &texts[..count]);
            assert_eq!(back(&direct), Some(direct));
        }
        assert_eq!(back(&direct(&texts, &texts)), Some(direct(&texts[..MAX_ADDRESSES], &texts[..MAX_ADDRESSES])));
        let more = |count: usize| vec![Bytes(address_bytes("/ip4/192.0.2.1/tcp/1")); count];
        let text = encoded(&(VERSION, Bytes(direct(&[], &[]).peer_id.to_bytes()), more(MAX_ADDRESSES + 1), more(0)));
        assert_eq!(Direct::of_reference_text(&text).unwrap().addresses.len(), MAX_ADDRESSES);
    }

    fn address_bytes(text: &str) -> Vec<u8> {
        text.parse::<Multiaddr>().unwrap().to_vec()
    }

    #[test]
    fn a_text_is_never_longer_than_a_reader_takes() {
        let name = |number: usize| format!("/dns4/{number:02}{}/tcp/1", "a".repeat(MAX_ADDRESS_TEXT_LENGTH - 14));
        let texts: Vec<String> = (0..MAX_ADDRESSES).map(name).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let text = direct(&texts, &texts).to_reference_text();
        assert!(text.len() <= MAX_DIRECT_LENGTH);
        let read = Direct::of_reference_text(&text).unwrap();
        assert!(read.relays.is_empty() && (1..MAX_ADDRESSES).contains(&read.addresses.len()));
        assert_eq!(read, direct(&texts[..read.addresses.len()], &[]));
        let longer = text + "A";
        assert_eq!(Direct::of_reference_text(&("A".repeat(MAX_DIRECT_LENGTH) + &longer)), None);
    }

    #[test]
    fn addresses_in_unknown_forms_and_the_own_id_behind_them_are_left_out() {
        let own = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", direct(&[], &[]).peer_id);
        let read = back(&direct(&[&own, "/later/1", "/ip4/no"], &[])).unwrap();
        assert_eq!(read, direct(&["/ip4/192.0.2.1/tcp/1"], &[]));
        let peer = Bytes(read.peer_id.to_bytes());
        let strange = [Bytes(vec![0xff; 4]), Bytes(address_bytes("/unix/a b")), Bytes(vec![])];
        let text = encoded(&(VERSION, peer, strange, [0_u8; 0]));
        assert_eq!(Direct::of_reference_text(&text), Some(direct(&[], &[])));
    }

    #[test]
    fn what_is_not_a_text_of_this_form_is_nothing() {
        let peer = || Bytes(direct(&[], &[]).peer_id.to_bytes());
        let none = [0_u8; 0];
        assert!(Direct::of_reference_text(&encoded(&(VERSION, peer(), none, none))).is_some());
        for text in [
            String::new(),
            "!".to_owned(),
            encoded(&1),
            encoded(&(VERSION + 1, peer(), none, none)),
            encoded(&(VERSION, peer(), none)),
            encoded(&(VERSION, peer(), none, none, none)),
            encoded(&(VERSION, Bytes(vec![1; 34]), none, none)),
            encoded(&(VERSION, peer(), ["/ip4/192.0.2.1/tcp/1"], none)),
            encoded(&(VERSION, peer(), none, none)) + "AA",
            // The number in a longer form than needed.
            to_base64url(&[&[0x84, 0x18, 0x01][..], &cbor::encode(&(VERSION, peer(), none, none))[2..]].concat()),
        ] {
            assert_eq!(Direct::of_reference_text(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_nothing_or_reads_back(text in "[A-Za-z0-9_-]{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for text in [text, to_base64url(&bytes)] {
                if let Some(direct) = Direct::of_reference_text(&text) {
                    prop_assert_eq!(back(&direct), Some(direct));
                }
            }
        }

        #[test]
        fn any_addresses_come_back(ports in proptest::collection::vec(any::<u16>(), 0..=MAX_ADDRESSES), host: u32, hosts: u128) {
            let (four, six) = (std::net::Ipv4Addr::from(host), std::net::Ipv6Addr::from(hosts));
            let texts: Vec<String> = ports.iter().flat_map(|port| {
                [format!("/ip4/{four}/tcp/{port}"), format!("/ip6/{six}/udp/{port}/quic-v1")]
            }).take(MAX_ADDRESSES).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let direct = direct(&texts, &[]);
            prop_assert_eq!(back(&direct), Some(direct));
        }
    }
}
