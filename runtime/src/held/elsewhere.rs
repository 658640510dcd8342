//! Files that some devices of the identity give by permitted paths only, as all of its devices know them.
//!
//! A device that has a token with paths names itself in the synchronized object of the file. The others do not know the paths, which may be
//! those of a token that is stored nowhere else, so they give the file to other identities by no path at all by its own id. The device that
//! is named goes by what it holds. It stays named when its tokens permit all paths again: others get the file from it, or from the backbone.

use serde::Deserialize;
use serde_json::Value;
use transport::wire::{DeviceId, FileId};

use super::record;
use crate::core::Core;
use crate::store::{Batch, Object, Properties, StoreError, View, collection};

/// The member of the object.
const PATHS_LIMITED_BY: &str = "pathsLimitedBy";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    paths_limited_by: Vec<DeviceId>,
}

/// Has the other devices of the identity give a file by its tokens only. Has no effect if the file is not stored, is somebody else's, or names
/// this device already. Returns whether there is something to synchronize.
pub(crate) fn leave_to_this_device(
    core: &Core,
    (view, batch): (&View<'_>, &mut Batch),
    file: &FileId,
) -> Result<bool, StoreError> {
    let Some(mut object) = view.object(collection::FILES, file.as_str())? else { return Ok(false) };
    let is_own = object.properties.get("isOwn").and_then(Value::as_bool) == Some(true);
    if !is_own || !name(core, &mut object.properties) {
        return Ok(false);
    }
    batch.record_update(object);
    Ok(true)
}

/// The same for a file that is stored now: its tokens may have come first.
pub(crate) fn leave_new_to_this_device(
    core: &Core,
    (view, batch): (&View<'_>, &mut Batch),
    mut object: Object,
) -> Result<(), StoreError> {
    let file = object.id.parse().map_err(|_| StoreError::Damaged)?;
    if record::is_withheld(view, &file, None, None)? && name(core, &mut object.properties) {
        batch.record_update(object);
    }
    Ok(())
}

/// Adds this device to those that limit the paths. Returns whether it was not among them.
fn name(core: &Core, properties: &mut Properties) -> bool {
    let device = Value::from(core.account.device_id().as_str());
    let mut devices = match properties.remove(PATHS_LIMITED_BY) {
        Some(Value::Array(devices)) => devices,
        _ => Vec::new(),
    };
    let is_new = !devices.contains(&device);
    if is_new {
        devices.push(device);
    }
    properties.insert(PATHS_LIMITED_BY.to_owned(), Value::Array(devices));
    is_new
}

/// Whether another device of the identity limits the paths of a file.
pub(super) fn is_limited_elsewhere(core: &Core, view: &View<'_>, file: &FileId) -> Result<bool, StoreError> {
    let Some(record) = view.record(collection::FILES, file.as_str())? else { return Ok(false) };
    let (_, Members { paths_limited_by }) = record.read::<FileId, Members>()?;
    Ok(paths_limited_by.iter().any(|device| device != core.account.device_id()))
}
