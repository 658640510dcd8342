//! Which reference a sender passes on: one that other machines can use, if there is a way.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use transport::backbone::leads_to_this_machine;

use super::reference::dialable_reference;
use crate::dto::{Connectivity, Token, TokenTransport, TokenTransports};

/// Addresses that a reference carries at most. A token carries all of them; these are for the first connection.
const MAX_ADDRESSES: usize = 4;
/// Longest reference in bytes for which addresses are not left out: a QR code of version 13, whose 77 modules with the margin
/// fit into a terminal of 80 columns, holds so many.
const MAX_LENGTH: usize = 425;

/// The reference to pass on.
#[derive(Clone, PartialEq, Eq)]
pub struct PassedOn {
    /// In its URL form.
    pub reference: String,
    /// Whether it carries addresses of the node.
    pub is_direct: bool,
    /// Whether other machines can use it.
    pub for_others: bool,
}

/// Without the reference, which has the key.
impl fmt::Debug for PassedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference: _, is_direct, for_others } = self;
        f.debug_struct("PassedOn").field("is_direct", is_direct).field("for_others", for_others).finish_non_exhaustive()
    }
}

impl PassedOn {
    /// For a token of a node that peers reach as `peer` says. Only the reference of an own token for a file carries addresses, and only
    /// those by which it may be loaded. No backbone has a token that is alone (`is_alone`).
    #[must_use]
    pub fn of_token(token: &Token, peer: Option<&Connectivity>, is_alone: bool) -> Self {
        let peer = peer.filter(|_| token.is_own && is_for_file(token));
        Self::permitted(&token.reference.url, peer, (token.transports.unwrap_or_default(), is_alone))
    }

    /// The same for its reference and the paths by which it may be loaded.
    pub(crate) fn permitted(
        url: &str,
        peer: Option<&Connectivity>,
        (transports, is_alone): (TokenTransports, bool),
    ) -> Self {
        let peer = peer.map(|peer| permitted(peer, transports));
        Self::of(url, peer.as_ref(), is_alone)
    }

    /// For the reference of a token, at a node that peers reach as `peer` says. The token itself carries addresses, so the
    /// reference does so only where its backbone does not help: one on this machine, or none at all (`is_alone`).
    fn of(url: &str, peer: Option<&Connectivity>, is_alone: bool) -> Self {
        let is_here = leads_to_this_machine(url);
        let dialable = peer.filter(|_| is_here || is_alone).and_then(|peer| shortest(url, peer));
        match (dialable, peer) {
            (Some(reference), Some(peer)) => {
                Self { reference, is_direct: true, for_others: is_for_others(peer) || !(is_here || is_alone) }
            }
            _ => Self { reference: url.to_owned(), is_direct: false, for_others: !is_here },
        }
    }
}

/// Peers load nothing else from each other.
fn is_for_file(token: &Token) -> bool {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(rename = "@type")]
        kind: &'a str,
    }
    // Lists would pass for members in their order.
    let object = Some(token.content.as_str()).filter(|text| text.starts_with('{'));
    object
        .and_then(|text| serde_json::from_str(text).ok())
        .is_some_and(|content: Content<'_>| content.kind == "TokenContentFile")
}

/// Whether other machines can connect to a node.
#[must_use]
pub fn is_for_others(peer: &Connectivity) -> bool {
    peer.addresses.iter().any(|address| !is_loopback(address))
}

/// The same node with the addresses of some paths.
fn permitted(peer: &Connectivity, transports: TokenTransports) -> Connectivity {
    let path = |text: &str| if is_relay(text) { TokenTransport::Relay } else { TokenTransport::Direct };
    let addresses = peer.addresses.iter().filter(|text| transports.contain(path(text))).cloned();
    Connectivity { addresses: addresses.collect(), ..peer.clone() }
}

/// Whether an address leads through a relay.
fn is_relay(text: &str) -> bool {
    text.contains("/p2p/")
}

/// The reference with as many of the best addresses as fit, and at least one.
fn shortest(url: &str, peer: &Connectivity) -> Option<String> {
    let (relays, addresses): (Vec<_>, Vec<_>) = peer.addresses.iter().cloned().partition(|text| is_relay(text));
    let addresses: Vec<_> = best_addresses(addresses).into_iter().take(MAX_ADDRESSES).collect();
    let candidates = (0..=addresses.len()).rev().flat_map(|count| {
        let relay_counts = if relays.is_empty() { vec![0] } else { vec![1, 0] };
        relay_counts.into_iter().map(move |relays| (count, relays))
    });
    let mut last = None;
    for (count, relay_count) in candidates.filter(|(addresses, relays)| addresses + relays > 0) {
        let reference = dialable_reference(url, &peer.id, &addresses[..count], &relays[..relay_count])?;
        if reference.len() <= MAX_LENGTH {
            return Some(reference);
        }
        last = Some(reference);
    }
    last
}

/// The addresses that most likely lead here: private ones of version 4 first, then public ones, then version 6, at last those that
/// hardly leave this machine; of each host by TCP before QUIC, and one of each host before a second one of any.
#[must_use]
pub fn best_addresses(mut addresses: Vec<String>) -> Vec<String> {
    addresses.sort_by_key(|text| (rank(text), !text.contains("/tcp/")));
    let mut hosts = Vec::new();
    let mut keyed: Vec<_> = addresses
        .into_iter()
        .map(|text| {
            let (rank, host) = (rank(&text), host(&text).to_owned());
            let is_second = hosts.contains(&host);
            hosts.push(host);
            ((rank >= HARDLY_LEAVES, is_second, rank), text)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, text)| text).collect()
}

/// What a multiaddr says before the port: `/ip4/192.168.1.2`.
fn host(text: &str) -> &str {
    let end = text.match_indices('/').nth(2).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The rank of loopback and link-local addresses. Those of no known form come behind them.
const HARDLY_LEAVES: u8 = 3;

fn rank(text: &str) -> u8 {
    match ip(text) {
        Some(Ip::V4(ip)) if ip.is_loopback() || ip.is_link_local() => HARDLY_LEAVES,
        Some(Ip::V4(ip)) if ip.is_private() => 0,
        Some(Ip::V4(_)) => 1,
        Some(Ip::V6(ip)) if ip.is_loopback() || ip.is_unicast_link_local() => HARDLY_LEAVES,
        Some(Ip::V6(_)) => 2,
        None => 4,
    }
}

enum Ip {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

fn ip(text: &str) -> Option<Ip> {
    let mut parts = host(text).split('/').skip(1);
    match (parts.next()?, parts.next()?) {
        ("ip4", ip) => ip.parse().ok().map(Ip::V4),
        ("ip6", ip) => ip.parse().ok().map(Ip::V6),
        _ => None,
    }
}

fn is_loopback(text: &str) -> bool {
    match ip(text) {
        Some(Ip::V4(ip)) => ip.is_loopback(),
        Some(Ip::V6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str =
        "http://localhost:4710/r/TOKabcdefghijklmno12#M3xBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBfHw";
    const ELSEWHERE: &str =
        "https://b.example.org/r/TOKabcdefghijklmno12#M3xBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBfHw";
    const RELAY: &str = "/dns4/relay.example.org/tcp/4712/p2p/12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7";

    fn peer(addresses: &[&str]) -> Connectivity {
        Connectivity {
            id: "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7".to_owned(),
            listen: Vec::new(),
            observed: Vec::new(),
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
            nat: "unknown".to_owned(),
            relays: Vec::new(),
            rendezvous: Vec::new(),
            mdns: true,
            dht: false,
            certificate_valid_until: None,
            connections: 0,
        }
    }

    #[test]
    fn addresses_are_passed_on_where_the_backbone_does_not_help() {
        let known = peer(&["/ip4/192.168.1.2/tcp/4712"]);
        let here = PassedOn::of(HERE, Some(&known), false);
        assert!(
            here.is_direct
                && here.for_others
                && here.reference.starts_with("http://localhost:4710/r/TOKabcdefghijklmno12?app=enlace&direct=")
        );
        let elsewhere = PassedOn::of(ELSEWHERE, Some(&known), false);
        assert_eq!((elsewhere.reference.as_str(), elsewhere.is_direct, elsewhere.for_others), (ELSEWHERE, false, true));
        assert!(PassedOn::of(ELSEWHERE, Some(&known), true).reference.contains("&direct="));
        for nobody in [None, Some(&peer(&[]))] {
            let here = PassedOn::of(HERE, nobody, false);
            assert_eq!((here.reference.as_str(), here.is_direct, here.for_others), (HERE, false, false));
        }
        let local = PassedOn::of(HERE, Some(&peer(&["/ip4/127.0.0.1/tcp/1", "/ip6/::1/udp/1/quic-v1"])), false);
        assert!(local.is_direct && !local.for_others);
    }

    #[test]
    fn a_reference_carries_no_address_by_which_its_token_may_not_be_loaded() {
        let known = peer(&["/ip4/192.168.1.2/tcp/4712", RELAY]);
        for (names, expected) in [("all", 2), ("direct,store", 1), ("relay,store", 1), ("store", 0)] {
            let permitted = permitted(&known, names.parse().unwrap());
            assert_eq!(permitted.addresses.len(), expected, "{names}");
            assert_eq!(PassedOn::of(HERE, Some(&permitted), false).is_direct, expected > 0, "{names}");
        }
        let direct = permitted(&known, "direct,store".parse().unwrap());
        assert_eq!(direct.addresses, ["/ip4/192.168.1.2/tcp/4712"]);
    }

    #[test]
    fn the_best_addresses_of_each_host_come_first() {
        let given = [
            "/ip6/fe80::1/tcp/1",
            "/ip6/2001:db8::1/udp/1/quic-v1",
            "/ip6/2001:db8::1/tcp/1",
            "/ip4/203.0.113.1/udp/1/quic-v1",
            "/ip4/192.168.1.2/udp/1/quic-v1",
            "/ip4/192.168.1.2/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
        ];
        let best = best_addresses(given.map(str::to_owned).into());
        assert_eq!(
            best,
            [
                "/ip4/192.168.1.2/tcp/1",
                "/ip4/10.0.0.1/tcp/1",
                "/ip4/203.0.113.1/udp/1/quic-v1",
                "/ip6/2001:db8::1/tcp/1",
                "/ip4/192.168.1.2/udp/1/quic-v1",
                "/ip6/2001:db8::1/udp/1/quic-v1",
                "/ip6/fe80::1/tcp/1",
            ]
        );
        let one = best_addresses(given[1..3].iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(one, ["/ip6/2001:db8::1/tcp/1", "/ip6/2001:db8::1/udp/1/quic-v1"]);
    }

    #[test]
    fn a_reference_fits_a_code_of_a_terminal() {
        let hosts: Vec<String> =
            (0..9).map(|host| format!("/ip6/2001:db8:1234:5678:9abc:def0:1234:{host}/tcp/4712")).collect();
        let mut all: Vec<&str> = hosts.iter().map(String::as_str).collect();
        all.push(RELAY);
        for url in [HERE.to_owned(), HERE.replace("localhost:4710", &format!("localhost:4710/{}", "x".repeat(120)))] {
            let passed = PassedOn::of(&url, Some(&peer(&all)), false);
            assert!(passed.is_direct && passed.reference.len() <= MAX_LENGTH, "{}", passed.reference.len());
        }
        // If not even one address fits, it is better to have one than none.
        let long = HERE.replace("localhost:4710", &format!("localhost:4710/{}", "x".repeat(400)));
        assert!(PassedOn::of(&long, Some(&peer(&all)), false).is_direct);
        let relayed = PassedOn::of(HERE, Some(&peer(&[RELAY])), false);
        assert!(relayed.is_direct && relayed.for_others);
    }

    #[test]
    fn only_own_tokens_for_files_lead_here() {
        let token = |is_own: bool, kind: &str| -> Token {
            let address = "did:e:localhost:dids:0123456789abcdef012345";
            serde_json::from_value(serde_json::json!({
                "id": "TOKabcdefghijklmno12", "isOwn": is_own, "createdBy": address,
                "createdByDevice": "DVCabcdefghijklmno12", "createdAt": "2030-01-01", "expiresAt": "2030-01-08",
                "content": { "@type": kind }, "isEphemeral": false, "reference": { "truncated": "x", "url": HERE },
            }))
            .unwrap()
        };
        let known = peer(&["/ip4/192.168.1.2/tcp/4712"]);
        for (is_own, kind, expected) in
            [(true, "TokenContentFile", true), (false, "TokenContentFile", false), (true, "Other", false)]
        {
            let passed_on = PassedOn::of_token(&token(is_own, kind), Some(&known), false);
            assert_eq!(passed_on.is_direct, expected, "{is_own} {kind}");
            assert!(!format!("{passed_on:?}").contains("TOK"));
        }
    }
}
