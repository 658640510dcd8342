//! `enlace peers`: who is connected to the node that serves.

use clap::Args;
use runtime::dto::Peer;

use super::Context;
use crate::access::Access;
use crate::args::{NodeOptions, PeerOptions, ServerOptions};
use crate::failure::Failure;
use crate::output::{bytes, printable, table};

/// Show the peers that are connected to this node.
///
/// Asks the process that serves the data directory. A peer that has not proven an identity is shown as a stranger: it loads only
/// what its references allow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace peers\n  \
    enlace peers --json | jq -r .self.addresses[]")]
pub(crate) struct PeersArgs {
    #[command(flatten)]
    node: NodeOptions,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: PeersArgs) -> Result<(), Failure> {
    let configuration = context.configuration(&args.node, &ServerOptions::default(), &PeerOptions::default())?;
    let plan = context.plan(configuration, &args.node)?;
    let output = context.output;
    let shown = context
        .interrupt
        .or(async {
            let (client, _) = Access::serving(plan, output).await?;
            client.peers().await
        })
        .await?;
    output.data(&shown, || peer_table(&shown.peers))?;
    if shown.this.is_none() {
        output
            .talk("this node connects to no peers: enlace.peers.enabled is false, or it was started with --no-direct");
    }
    Ok(())
}

fn peer_table(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return "no peer is connected".to_owned();
    }
    let header = ["IDENTITY", "DEVICE", "PATH", "TRANSPORT", "LATENCY", "IN", "OUT", "ADDRESS"].map(str::to_owned);
    let rows = peers.iter().map(row);
    table(&std::iter::once(header.to_vec()).chain(rows).collect::<Vec<_>>())
}

fn row(peer: &Peer) -> Vec<String> {
    let unknown = || "-".to_owned();
    vec![
        peer.address.as_ref().map_or_else(|| "stranger".to_owned(), ToString::to_string),
        peer.device.as_ref().map_or_else(unknown, ToString::to_string),
        peer.path.description().to_owned(),
        printable(&peer.transport),
        peer.latency_milliseconds.map_or_else(unknown, |milliseconds| format!("{milliseconds} ms")),
        bytes(peer.received),
        bytes(peer.sent),
        printable(&peer.remote_address),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strangers_and_proven_identities_are_told_apart() {
        let peer = |more: serde_json::Value| -> Peer {
            let mut value = json!({
                "id": "12D3KooW", "path": "lan", "transport": "tcp", "remoteAddress": "/ip4/192.168.1.2/tcp/4712",
                "isInbound": true, "received": 1024, "sent": 0, "connectedAt": "2030-01-01T00:00:00.000Z",
            });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(value).unwrap()
        };
        let known = peer(json!({
            "address": "did:e:localhost:dids:0123456789abcdef012345", "device": "DVCabcdefghijklmno12",
            "latencyMilliseconds": 3, "path": "punched",
        }));
        let text = peer_table(&[known, peer(json!({"remoteAddress": "/x\u{1b}[31m"}))]);
        let cells =
            |line: &str| line.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("|");
        assert_eq!(
            text.lines().skip(1).map(cells).collect::<Vec<_>>(),
            [
                "did:e:localhost:dids:0123456789abcdef012345|DVCabcdefghijklmno12|direct (hole-punched)|tcp|3 ms|1.0 KiB|0 \
                 bytes|/ip4/192.168.1.2/tcp/4712",
                "stranger|-|direct (lan)|tcp|-|1.0 KiB|0 bytes|/x\u{fffd}[31m",
            ]
        );
        assert_eq!(peer_table(&[]), "no peer is connected");
    }
}
