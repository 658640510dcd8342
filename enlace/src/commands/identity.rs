//! `enlace identity`: who this node is.

use clap::Args;
use serde_json::json;

use super::receive::receiver_global;
use super::{Context, receive_direct, shape};
use crate::access::{Access, NodeIdentity};
use crate::args::{NodeOptions, PeerOptions, ServerOptions};
use crate::failure::Failure;

/// Show the identity of this node: address, device, public key.
///
/// Senders pass the address to `share --for`. `share` and `receive` use different identities; --receiver shows the one that
/// receives.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace identity\n  \
    enlace identity --json | jq -r .address\n  \
    enlace identity --receiver --backbone http://localhost:4710")]
pub(crate) struct IdentityArgs {
    /// Show the identity that `enlace receive` uses at the backbone given with --backbone; without one, for files that come from
    /// the sender's machine alone
    #[arg(long)]
    receiver: bool,
    #[command(flatten)]
    node: NodeOptions,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: IdentityArgs) -> Result<(), Failure> {
    let who = match (args.receiver, args.node.backbone.as_deref()) {
        (true, None) => direct_receiver(&mut context).await?,
        (true, backbone) => {
            context.global = receiver_global(&context.global, backbone)?;
            context.with_access(&args.node, async |access| access.identity().await).await?
        }
        (false, _) => context.with_access(&args.node, async |access| access.identity().await).await?,
    };
    let backbone = who.backbone_url.as_deref();
    let value = json!({
        "address": who.identity.address,
        "publicKey": who.identity.public_key,
        "deviceId": who.device_id,
        "backbone": { "url": backbone },
    });
    context.output.data(&value, || {
        shape::labelled(&[
            ("Address", who.identity.address.to_string()),
            ("Device", who.device_id.clone()),
            ("Public key", who.identity.public_key.clone()),
            ("Backbone", backbone.unwrap_or("none").to_owned()),
        ])
    })
}

/// The identity that loads what comes from a sender's machine alone. No configuration file is read, as by `receive`.
async fn direct_receiver(context: &mut Context) -> Result<NodeIdentity, Failure> {
    let mut configuration =
        context.configuration(&NodeOptions::default(), &ServerOptions::default(), &PeerOptions::default())?;
    configuration.settings.peers = None;
    let plan = receive_direct::plan(&context.global, configuration)?;
    let access = context.interrupt.or(Access::open(plan, context.output)).await?;
    let (who, is_embedded) = (context.interrupt.or(access.identity()).await, access.has_embedded_backbone());
    access.close().await?;
    // One in its own process is of use to nobody else.
    who.map(|who| NodeIdentity { backbone_url: who.backbone_url.filter(|_| !is_embedded), ..who })
}
