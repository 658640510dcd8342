//! References that carry where the node that shares can be reached.

use transport::peer::{Direct, MultiaddrText};
use transport::wire::AnyReference;
use transport::wire::reference::MAX_REFERENCE_LENGTH;

/// The app that references name. Published apps check the form of a reference, and take a query only if it begins with an app.
const APP: &str = "enlace";

/// A reference in its URL form, with where its token or file can be loaded directly: `<backbone>/r/<id>?app=enlace&direct=…#…`
/// (`docs/peer-protocols.md`, section 10.1). Nodes without direct delivery and other clients read it as before.
///
/// `peer_id` is a libp2p peer id of an Ed25519 key in base58. Addresses and relays are multiaddrs, best first; those in unknown forms
/// are left out, and so is what exceeds 16 of each or the length of a reference.
///
/// `None` if `url` is not a reference of a token or file that names its backbone, if the peer id is invalid, or if nothing fits.
#[must_use]
pub fn dialable_reference(url: &str, peer_id: &str, addresses: &[String], relays: &[String]) -> Option<String> {
    let texts = |texts: &[String]| texts.iter().filter_map(|text| MultiaddrText::new(text)).collect();
    let direct = Direct { peer_id: peer_id.parse().ok()?, addresses: texts(addresses), relays: texts(relays) };
    let text = direct.to_reference_text();
    // Also refuses peer ids of other keys.
    Direct::of_reference_text(&text)?;
    let reference = AnyReference::parse(url).ok()?;
    let url = match reference {
        AnyReference::Token(reference) => reference.reached_at(&text).ok()?.to_url(Some(APP))?,
        AnyReference::File(reference) => reference.reached_at(&text).ok()?.to_url(Some(APP))?,
        AnyReference::RelationshipTemplate(_) => return None,
    };
    Some(url).filter(|url| url.len() <= MAX_REFERENCE_LENGTH)
}

#[cfg(test)]
mod tests {
    use transport::wire::TokenReference;

    use super::*;

    const URL: &str =
        "http://localhost:4710/r/TOKabcdefghijklmno12#M3xBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBfHw";
    const PEER: &str = "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7";
    const ADDRESS: &str = "/ip4/192.168.1.20/tcp/40123";

    fn dialable(url: &str, peer_id: &str, addresses: &[&str]) -> Option<String> {
        dialable_reference(url, peer_id, &addresses.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn a_reference_says_where_its_node_can_be_reached() {
        let url = dialable(URL, PEER, &[ADDRESS, "not an address"]).unwrap();
        assert!(url.starts_with("http://localhost:4710/r/TOKabcdefghijklmno12?app=enlace&direct="), "{url}");
        let direct = Direct::of_reference_text(AnyReference::parse(&url).unwrap().direct().unwrap()).unwrap();
        assert_eq!(direct.peer_id.to_base58(), PEER);
        assert_eq!(direct.addresses, [MultiaddrText::new(ADDRESS).unwrap()]);
        // What it said before is replaced.
        assert_eq!(dialable(&dialable(URL, PEER, &[]).unwrap(), PEER, &[ADDRESS]), Some(url));
    }

    #[test]
    fn what_cannot_be_dialled_is_not_made() {
        let Ok(AnyReference::Token(reference)) = AnyReference::parse(URL) else { panic!("not a token") };
        assert_eq!(dialable(&reference.to_truncated(), PEER, &[ADDRESS]), dialable(URL, PEER, &[ADDRESS]));
        let nowhere = TokenReference { backbone_base_url: None, ..reference }.to_truncated();
        let template = URL.replace("TOK", "RLT");
        for text in [&nowhere, &template, "x"] {
            assert_eq!(dialable(text, PEER, &[ADDRESS]), None, "{text}");
        }
        for peer_id in ["", "x", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"] {
            assert_eq!(dialable(URL, peer_id, &[ADDRESS]), None, "{peer_id}");
        }
    }
}
