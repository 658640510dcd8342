//! Devices that give files in place of the one that shared them (`docs/peer-protocols.md`, section 10.2).
//!
//! A device whose settings say so tells the other devices of its identity its addresses, in its object in the datawallet; tokens that
//! these make name it, too. Addresses of devices that do not say so are told by nobody else.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use transport::peer::{Direct, MAX_DEVICES};
use transport::wire::Timestamp;

use super::Core;
use crate::Result;
use crate::peer::{says_removed, tellable};
use crate::store::{Batch, Properties, View, collection};

/// The property with the addresses, in the form that references have ([`Direct::to_reference_text`]); empty for none.
const ADDRESSES: &str = "peerAddresses";

/// The value that says when this device told its addresses last.
const TOLD_AT: &str = "AddressesToldAt";

/// The shortest time between two changes of them: what others claim to see of a node may come and go.
pub(crate) const TELL_INTERVAL: Duration = Duration::from_secs(10 * 60);

impl Core {
    /// Tells the other devices where this one can be reached, or no longer, if they do not know it.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn tell_addresses(&self) -> Result<()> {
        let Some(text) = self.addresses_to_tell() else { return Ok(()) };
        let now = self.clock.now();
        let tell = |view: &View<'_>| {
            let mut batch = Batch::new();
            let own = view.object(collection::DEVICES, self.account.device_id().as_str())?;
            let Some(mut own) = own.filter(|own| !says_removed(&own.properties)) else { return Ok((batch, ())) };
            let told = told(&own.properties);
            let may_wait = !told.is_empty() && !text.is_empty();
            // A clock that was set back is no reason to wait for it.
            let is_recent = |at: Timestamp| at <= now && now < at.saturating_add(TELL_INTERVAL);
            let is_too_soon = view.value::<Timestamp>(TOLD_AT)?.is_some_and(is_recent);
            if told != text && !(may_wait && is_too_soon) {
                own.properties.insert(ADDRESSES.to_owned(), Value::from(text));
                batch.record_update(own);
                batch.put_value(TOLD_AT, &now)?;
            }
            Ok((batch, ()))
        };
        // Whoever synchronizes pushes it.
        self.store.change(tell).await
    }

    /// Empty if there are none to tell; `None` if there may be some again.
    fn addresses_to_tell(&self) -> Option<String> {
        match &self.config.peers {
            Some(peers) if peers.stand_in => self.direct().map(|direct| direct.to_reference_text()),
            _ => Some(String::new()),
        }
    }

    /// The other devices of the identity that stand in for this one, as far as the settings of this node let it tell their addresses.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn stand_ins(&self, view: &View<'_>) -> Result<Vec<Direct>> {
        let Some(peers) = self.config.peers.as_ref().filter(|peers| peers.name_others) else { return Ok(Vec::new()) };
        let devices = view.objects_where(collection::DEVICES, &[ADDRESSES], |members| !told(members).is_empty())?;
        let others = devices.iter().filter(|device| device.id != self.account.device_id().as_str());
        let others = others.filter(|device| !says_removed(&device.properties));
        let reachable = others.filter_map(|device| Direct::of_reference_text(told(&device.properties)));
        let told = reachable.map(|direct| tellable(peers, direct)).filter(Direct::leads_somewhere);
        let mut known = HashSet::new();
        Ok(told.filter(|direct| known.insert(direct.peer_id)).take(MAX_DEVICES - 1).collect())
    }
}

fn told(properties: &Properties) -> &str {
    properties.get(ADDRESSES).and_then(Value::as_str).unwrap_or_default()
}
