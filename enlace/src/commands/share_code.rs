//! `enlace share --code`: a reference is passed on by a code that a person can say.

use std::path::Path;

use runtime::dto::Connectivity;
use runtime::{
    CodeEnd, DEFAULT_CODE_LIFETIME, ErrorCode, OfferedCode, Timestamp, best_addresses, is_for_others,
    leads_to_this_machine,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::next_steps::{plain_http, shell_word};
use super::peer_servers::found_by;
use crate::access::Access;
use crate::failure::Failure;
use crate::output::Output;
use crate::rest_client::OfferedCode as OfferedAnswer;
use crate::rest_lines::Lines;
use crate::time;

/// A code that waits for its receiver. Dropping it withdraws it.
pub(super) enum Offer {
    /// At the node in this process.
    Here {
        /// The code.
        code: OfferedCode,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// At that of another one.
    There {
        /// The code.
        code: String,
        /// When it expires.
        expires_at: Timestamp,
        /// Says how it ends.
        lines: Lines,
    },
}

/// How a code has ended, in the words that scripts get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "lowercase")]
enum End {
    Taken {
        fingerprint: String,
    },
    Interrupted,
    Burned,
    Expired,
    #[serde(other)]
    Withdrawn,
}

/// Refuses a code at a node that nobody can connect to, before anything is uploaded, and warns if receivers may not find the node.
///
/// # Errors
/// A failure with the next step.
pub(super) async fn check(access: &Access, output: Output) -> Result<(), Failure> {
    let peer = match access {
        Access::Here(node) => found_by(node).await,
        Access::There { client, .. } => client.peers().await?.this,
    };
    let Some(peer) = peer else { return Ok(()) };
    if peer.addresses.is_empty() {
        return Err(Failure::usage("no other node can reach this one, so nobody could use a code")
            .hint("let it listen for peers or use a relay, and check its network with `enlace doctor`")
            .code(ErrorCode::NotSupported));
    }
    for (message, hint) in doubts(&peer) {
        output.warning(message, &hint);
    }
    Ok(())
}

/// Why the receiver of a code may not reach the node, or not find it.
fn doubts(peer: &Connectivity) -> Vec<(&'static str, String)> {
    let mut doubts = Vec::new();
    if !is_for_others(peer) {
        let hint = "let this machine listen at an address of its network; `enlace doctor` shows where it listens";
        doubts.push(("the code works on this machine only, because peers cannot connect from others", hint.to_owned()));
    }
    if !peer.mdns && peer.rendezvous.is_empty() {
        let address = best_addresses(peer.addresses.clone()).into_iter().next().unwrap_or_default();
        doubts.push((
            "the receiver does not find this node by the code: multicast DNS is off, and there is no rendezvous server",
            format!(
                "omit --no-mdns, or use a backbone with a rendezvous server; or have the receiver add --peer-address {}/p2p/{}",
                address, peer.id
            ),
        ));
    }
    doubts
}

/// Offers a reference under a new code.
///
/// # Errors
/// A failure if the node has no peers, or offers as many codes as it may.
pub(super) async fn offer(access: &Access, reference: &str) -> Result<Offer, Failure> {
    match access {
        Access::Here(node) => {
            let code = node.runtime.peers().offer_code(reference, DEFAULT_CODE_LIFETIME)?;
            Ok(Offer::Here { code, expires_at: time::now().saturating_add(DEFAULT_CODE_LIFETIME) })
        }
        Access::There { client, .. } => {
            let (OfferedAnswer { code, expires_at }, lines) = client.offer_code(reference).await?;
            Ok(Offer::There { code, expires_at, lines })
        }
    }
}

impl Offer {
    /// The code.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Here { code, .. } => code.text(),
            Self::There { code, .. } => code,
        }
    }

    /// When it expires.
    pub(super) fn expires_at(&self) -> Timestamp {
        match self {
            Self::Here { expires_at, .. } | Self::There { expires_at, .. } => *expires_at,
        }
    }

    /// Waits until it has ended. What ends it with the process that offers it counts as withdrawn.
    async fn end(&mut self) -> End {
        match self {
            Self::Here { code, .. } => code.taken().await.into(),
            Self::There { lines, .. } => lines.next().await.unwrap_or(End::Withdrawn),
        }
    }
}

impl From<CodeEnd> for End {
    fn from(end: CodeEnd) -> Self {
        match end {
            CodeEnd::Taken { fingerprint } => Self::Taken { fingerprint: fingerprint.to_string() },
            CodeEnd::Interrupted => Self::Interrupted,
            CodeEnd::Burned => Self::Burned,
            CodeEnd::Expired => Self::Expired,
            _ => Self::Withdrawn,
        }
    }
}

/// Shows a code and how it is used at a node with this backbone.
pub(super) fn show(code: &Offer, backbone_url: &str, output: Output) {
    let (text, minutes) = (code.text(), DEFAULT_CODE_LIFETIME.as_secs() / 60);
    let command = format!("enlace receive {text}{}", at_backbone(backbone_url));
    output.talk(format!("\n    {text}\n\non the other machine, within {minutes} minutes: {command}"));
}

/// The option that leads the receiver to the rendezvous server of a backbone that both can reach.
fn at_backbone(url: &str) -> String {
    match leads_to_this_machine(url) {
        true => String::new(),
        false => format!(" --backbone {}{}", shell_word(Path::new(url)), plain_http(url)),
    }
}

/// Waits until a code has ended, and says how.
pub(super) async fn follow(mut code: Offer, output: Output) {
    let end = code.end().await;
    output.event(&json!({ "code": end }));
    match end {
        End::Taken { fingerprint } => output.talk(format!(
            "the code was used; the receiver has to see the same fingerprint: {fingerprint}\n\
             if it is another one, somebody is in between: revoke the reference"
        )),
        End::Interrupted => output
            .warning("somebody used the code, but the connection broke before the reference was sent", ANOTHER_CODE),
        End::Burned => output.warning(
            "somebody tried a wrong code, so this one has ended; nobody has got the reference by it",
            ANOTHER_CODE,
        ),
        End::Expired => output.warning("the code has expired; nobody has used it", ANOTHER_CODE),
        End::Withdrawn => output.warning("the node has stopped, so the code has ended", ANOTHER_CODE),
    }
}

/// No code is made by itself: each one is a chance to guess.
const ANOTHER_CODE: &str = "for a new code, end this command and run it again; the reference can still be used";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_written_as_they_are_read() {
        for (end, expected) in [
            (End::Taken { fingerprint: "1 2".to_owned() }, json!({ "end": "taken", "fingerprint": "1 2" })),
            (End::Interrupted, json!({ "end": "interrupted" })),
            (End::Burned, json!({ "end": "burned" })),
            (End::Expired, json!({ "end": "expired" })),
            (End::Withdrawn, json!({ "end": "withdrawn" })),
        ] {
            assert_eq!(serde_json::to_value(&end).unwrap(), expected);
            assert_eq!(serde_json::from_value::<End>(expected).unwrap(), end);
        }
        assert_eq!(serde_json::from_value::<End>(json!({ "end": "later" })).unwrap(), End::Withdrawn);
    }

    #[test]
    fn a_node_that_the_receiver_may_not_find_is_warned_of() {
        let peer = |address: &str, mdns: bool, servers: &[&str]| -> Connectivity {
            serde_json::from_value(json!({
                "id": "12D3KooW", "listen": [], "observed": [], "addresses": [address], "nat": "unknown", "relays": [],
                "rendezvous": servers, "mdns": mdns, "dht": false, "connections": 0,
            }))
            .unwrap()
        };
        let (lan, here) = ("/ip4/192.168.1.2/tcp/4712", "/ip4/127.0.0.1/tcp/4712");
        for (peer, expected) in [
            (peer(lan, true, &[]), &[][..]),
            (peer(lan, false, &["/ip4/192.0.2.1/tcp/1"]), &[]),
            (peer(lan, false, &[]), &["does not find"]),
            (peer(here, true, &[]), &["on this machine only"]),
            (peer(here, false, &[]), &["on this machine only", "does not find"]),
        ] {
            let doubts = doubts(&peer);
            assert_eq!(doubts.len(), expected.len(), "{doubts:?}");
            assert!(doubts.iter().zip(expected).all(|((message, _), words)| message.contains(words)), "{doubts:?}");
        }
        let hint = &doubts(&peer(lan, false, &[]))[0].1;
        assert!(hint.ends_with("--peer-address /ip4/192.168.1.2/tcp/4712/p2p/12D3KooW"), "{hint}");
    }

    #[test]
    fn the_receiver_asks_a_backbone_that_both_can_reach() {
        assert_eq!(at_backbone("https://b.example.org/x"), " --backbone https://b.example.org/x");
        assert_eq!(at_backbone("http://b.example.org"), " --backbone http://b.example.org --allow-plain-http");
        for here in ["http://localhost:4710", "http://127.0.0.1:4710", "http://[::1]:4710"] {
            assert_eq!(at_backbone(here), "", "{here}");
        }
    }
}
