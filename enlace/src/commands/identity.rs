//! `enlace identity`: who this node is.

use clap::Args;
use serde_json::json;

use super::receive::receiver_global;
use super::{Context, shape};
use crate::args::NodeOptions;
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
    /// Show the identity that `enlace receive` uses at the backbone given with --backbone
    #[arg(long, requires = "backbone")]
    receiver: bool,
    #[command(flatten)]
    node: NodeOptions,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: IdentityArgs) -> Result<(), Failure> {
    if args.receiver {
        context.global = receiver_global(&context.global, args.node.backbone.as_deref())?;
    }
    let who = context.with_access(&args.node, async |access| access.identity().await).await?;
    let value = json!({
        "address": who.identity.address,
        "publicKey": who.identity.public_key,
        "deviceId": who.device_id,
        "backbone": { "url": who.backbone_url },
    });
    context.output.data(&value, || {
        shape::labelled(&[
            ("Address", who.identity.address.to_string()),
            ("Device", who.device_id.clone()),
            ("Public key", who.identity.public_key.clone()),
            ("Backbone", who.backbone_url.clone()),
        ])
    })
}
