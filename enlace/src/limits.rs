//! What the backbone of a node lets others do: `enlace.backbone.limits` in a configuration, `--limit` of `enlace backbone`.

use std::time::Duration;

use backbone_mock::{Idle, Limits, OAuthClient, PeerServices, RelayLimits, RendezvousLimits, Terms};
use serde::{Deserialize, Serialize};

use crate::client::{GUEST_ID, GUEST_SECRET};
use crate::failure::Failure;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Bounds that operators can move. The others are those of [`Limits`] and [`Terms`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackboneLimits {
    /// Identities of guests.
    guests: u64,
    /// Bytes that one guest may store in tokens and files.
    guest_bytes: u64,
    /// Bytes that all guests may store in them together.
    all_guests_bytes: u64,
    /// Days that tokens and files of guests may last.
    guest_days: u32,
    /// Hours without a login after which a guest that owns nothing makes way, when places run out.
    guest_idle_hours: u32,
    /// Bytes of the disk that guests leave free.
    guest_disk_reserve: u64,
    /// Bytes that any other identity may store in tokens and files.
    identity_bytes: u64,
    /// Bytes of one file that is uploaded in several requests.
    large_file_bytes: u64,
    /// Wrong passwords for one token that one network address may try in 15 minutes.
    wrong_passwords: u32,
    /// Peers that keep a reservation at the relay.
    relay_reservations: u32,
    /// Reservations of one peer.
    relay_reservations_per_peer: u32,
    /// Relayed connections at a time.
    relay_circuits: u32,
    /// Relayed connections of one peer at a time.
    relay_circuits_per_peer: u32,
    /// Bytes that one relayed connection carries.
    relay_circuit_bytes: u64,
    /// Seconds that one relayed connection lasts.
    relay_circuit_seconds: u32,
    /// Registrations at the rendezvous server.
    rendezvous_registrations: u32,
    /// Registrations of one peer.
    rendezvous_registrations_per_peer: u32,
}

/// Where a backbone serves peers, as multiaddrs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PeerAddresses {
    /// Addresses to listen on; it serves no peers if there are none.
    pub(crate) listen: Vec<String>,
    /// Addresses that peers are told in place of those of the interfaces.
    pub(crate) announce: Vec<String>,
}

impl Default for BackboneLimits {
    fn default() -> Self {
        let (guest, ordinary) = (Terms::guest(), Terms::ordinary());
        let (relay, rendezvous) = (RelayLimits::default(), RendezvousLimits::default());
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let in_hours = |duration: Duration| u32::try_from(duration.as_secs() / HOUR.as_secs()).unwrap_or(u32::MAX);
        Self {
            guests: guest.client.identities,
            guest_bytes: guest.identity.content_bytes,
            all_guests_bytes: guest.client.content_bytes,
            guest_days: in_hours(guest.max_lifetime.unwrap_or_default()) / 24,
            guest_idle_hours: in_hours(guest.idle.map_or(Duration::ZERO, |idle| idle.when_crowded)),
            guest_disk_reserve: guest.disk_reserve,
            identity_bytes: ordinary.identity.content_bytes,
            large_file_bytes: Limits::default().max_large_file_bytes,
            wrong_passwords: Limits::default().wrong_passwords,
            relay_reservations: number(relay.reservations),
            relay_reservations_per_peer: number(relay.reservations_per_peer),
            relay_circuits: number(relay.circuits),
            relay_circuits_per_peer: number(relay.circuits_per_peer),
            relay_circuit_bytes: relay.bytes_per_circuit,
            relay_circuit_seconds: u32::try_from(relay.duration_per_circuit.as_secs()).unwrap_or(u32::MAX),
            rendezvous_registrations: number(rendezvous.registrations),
            rendezvous_registrations_per_peer: number(rendezvous.registrations_per_peer),
        }
    }
}

impl BackboneLimits {
    /// Sets one of them, written `NAME=NUMBER`.
    ///
    /// # Errors
    /// A failure that lists the names, or says what is wrong with the number.
    pub(crate) fn set(&mut self, text: &str) -> Result<(), Failure> {
        let mut values = serde_json::to_value(&*self).unwrap_or_default();
        let names = values.as_object().map(|all| all.keys().cloned().collect::<Vec<_>>().join(", "));
        let unknown = || {
            Failure::usage(format!("--limit {text} names no limit"))
                .hint(format!("write NAME=NUMBER; the names are {}", names.unwrap_or_default()))
        };
        let Some((name, number)) = text.split_once('=') else { return Err(unknown()) };
        let Some(value) = values.get_mut(name) else { return Err(unknown()) };
        let unreadable = || Failure::usage(format!("the number in --limit {text} is invalid or too large"));
        *value = number.parse::<u64>().map_err(|_| unreadable())?.into();
        *self = serde_json::from_value(values).map_err(|_| unreadable())?;
        Ok(())
    }

    /// The public client.
    pub(crate) fn guest(&self) -> OAuthClient {
        let mut client = OAuthClient::guest(GUEST_ID, GUEST_SECRET);
        let terms = &mut client.terms;
        terms.client.identities = self.guests;
        terms.client.content_bytes = self.all_guests_bytes;
        terms.identity.content_bytes = self.guest_bytes;
        terms.max_lifetime = Some(HOUR * 24 * self.guest_days);
        let when_crowded = HOUR * self.guest_idle_hours;
        terms.idle = terms.idle.map(|idle| Idle { after: idle.after.max(when_crowded), when_crowded });
        terms.disk_reserve = self.guest_disk_reserve;
        client
    }

    /// A client of whoever may use the backbone as its own.
    pub(crate) fn client(&self, id: &str, secret: &str) -> OAuthClient {
        let mut client = OAuthClient::new(id, secret);
        client.terms.identity.content_bytes = self.identity_bytes;
        client
    }

    /// A relay and a rendezvous server at these addresses.
    pub(crate) fn peer_services(&self, at: &PeerAddresses) -> PeerServices {
        PeerServices {
            listen: at.listen.clone(),
            announce: at.announce.clone(),
            relay: Some(self.relay()),
            rendezvous: Some(self.rendezvous()),
        }
    }

    /// What peers may take of the relay.
    fn relay(&self) -> RelayLimits {
        RelayLimits {
            reservations: self.relay_reservations as usize,
            reservations_per_peer: self.relay_reservations_per_peer as usize,
            circuits: self.relay_circuits as usize,
            circuits_per_peer: self.relay_circuits_per_peer as usize,
            bytes_per_circuit: self.relay_circuit_bytes,
            duration_per_circuit: Duration::from_secs(self.relay_circuit_seconds.into()),
            ..RelayLimits::default()
        }
    }

    /// What peers may take of the rendezvous server.
    fn rendezvous(&self) -> RendezvousLimits {
        RendezvousLimits {
            registrations: self.rendezvous_registrations as usize,
            registrations_per_peer: self.rendezvous_registrations_per_peer as usize,
            ..RendezvousLimits::default()
        }
    }

    /// What does not depend on the client.
    pub(crate) fn apply(&self, limits: &mut Limits) {
        limits.max_large_file_bytes = self.large_file_bytes;
        limits.wrong_passwords = self.wrong_passwords;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_its_name() {
        let mut limits = BackboneLimits::default();
        limits.set("guestBytes=5").unwrap();
        assert_eq!(limits, BackboneLimits { guest_bytes: 5, ..BackboneLimits::default() });
        assert_eq!(limits.guest().terms.identity.content_bytes, 5);
        limits.set("largeFileBytes=7").unwrap();
        let mut applied = Limits::default();
        limits.apply(&mut applied);
        assert_eq!(applied.max_large_file_bytes, 7);
        for text in ["guestbytes=5", "guestBytes", "=", ""] {
            let failure = limits.set(text).unwrap_err();
            assert!(failure.hint.unwrap().contains("guestDays"), "{text}");
        }
        for text in ["guestBytes=-1", "guestBytes=", "guestDays=4294967296"] {
            assert!(limits.set(text).unwrap_err().message.contains("number"), "{text}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_guests() {
        assert_eq!(BackboneLimits::default().guest().terms, Terms::guest());
        assert_eq!(BackboneLimits::default().client("a", "b").terms, Terms::ordinary());
        assert_eq!(BackboneLimits::default().relay(), RelayLimits::default());
        assert_eq!(BackboneLimits::default().rendezvous(), RendezvousLimits::default());
    }
}
