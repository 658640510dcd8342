//! Receiving from the node that shares, where the backbone that a reference names does not help: it is on the sender's machine, or
//! nothing was uploaded.
//!
//! The receiver needs an identity all the same. It has one of its own at a backbone in its own process, which nobody else is told
//! of, so nobody is logged in to.

use std::path::PathBuf;

use runtime::{ErrorCode, leads_to_this_machine};

use crate::args::Global;
use crate::code::{Code, Kind};
use crate::config::Configuration;
use crate::data_dir::{DataDir, Purpose, default_data_dir};
use crate::failure::Failure;
use crate::home::{Home, same};
use crate::node::Plan;
use crate::receive::{Incoming, place};

/// The directory of that identity, among those of the receiver.
const DIRECTORY: &str = "direct";

/// The data directory: the one that was asked for, else one for all senders.
///
/// # Errors
/// A failure if there is no default one.
pub(super) fn directory(global: &Global) -> Result<PathBuf, Failure> {
    match &global.data_dir {
        Some(path) => Ok(path.clone()),
        None => Ok(default_data_dir(Purpose::Receiver)?.join(DIRECTORY)),
    }
}

/// Whether a reference is of use only at the node that shares: it says how to reach that one, and no backbone can be asked. A
/// directory that was asked for and has its identity elsewhere is used as it is.
///
/// # Errors
/// A failure if a data directory cannot be used.
pub(super) async fn is_only_way(
    global: &Global,
    incoming: &Incoming,
    configuration: &Configuration,
) -> Result<bool, Failure> {
    let settings = &configuration.settings;
    let Some(url) = incoming.backbone_url.as_deref().filter(|_| incoming.is_direct && settings.peers.is_some()) else {
        return Ok(false);
    };
    let is_named = settings.backbone_url.as_deref().is_some_and(|named| same(named, url));
    if is_named || !leads_to_this_machine(url) {
        return Ok(false);
    }
    if let Some(path) = &global.data_dir
        && let Some(home) = Home::of(&DataDir::open(path.clone())?)?
    {
        return Ok(!home.is(url));
    }
    Ok(!place::has_backbone(url).await)
}

/// Whether the node that shares can be asked although the backbone does not let this one in.
pub(super) fn is_way_after(failure: &Failure, incoming: &Incoming, configuration: &Configuration) -> bool {
    let is_refused = failure.code == Some(Code::Runtime(ErrorCode::PlatformClientInvalid));
    incoming.is_direct && configuration.settings.peers.is_some() && (failure.kind == Kind::Network || is_refused)
}

/// A plan for a node that asks nobody but the one that shares, unless its directory belongs to an identity at a backbone.
///
/// # Errors
/// A failure if the data directory cannot be used.
pub(super) fn plan(global: &Global, mut configuration: Configuration) -> Result<Plan, Failure> {
    let directory = directory(global)?;
    let home = Home::of(&DataDir::open(directory.clone())?)?;
    let settings = &mut configuration.settings;
    settings.data_dir = Some(directory);
    settings.backbone_url = None;
    settings.client = None;
    settings.backbone_guests = false;
    if !matches!(home, Some(Home::At(_))) {
        // No reference carries it, so any port will do.
        settings.backbone_listen = Some(([127, 0, 0, 1], 0).into());
    }
    Plan::new(configuration, Purpose::Receiver, false)
}
