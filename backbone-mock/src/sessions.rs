//! Who is logged in.
//!
//! Access tokens live in memory only and as digests: a restart logs everybody out, which clients answer with a new login.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use transport::wire::bytes::to_base64url;
use transport::wire::{DeviceId, Timestamp};

use crate::domain::Caller;
use crate::secrets::{access_token_digest, random_bytes};

/// Logins of one device that are valid at one time; a further one ends the oldest.
const MAX_PER_DEVICE: usize = 64;

type TokenDigest = [u8; 32];

/// The access tokens in force.
pub(crate) struct Sessions(RwLock<Tables>);

#[derive(Default)]
struct Tables {
    by_token: HashMap<TokenDigest, Session>,
    by_device: HashMap<DeviceId, VecDeque<TokenDigest>>,
}

struct Session {
    caller: Caller,
    expires_at: Timestamp,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(RwLock::default())
    }

    /// Logs a device in and returns its access token.
    pub(crate) fn start(&self, caller: Caller, now: Timestamp, lifetime: Duration) -> String {
        let token = to_base64url(&random_bytes::<32>());
        let digest = access_token_digest(&token);
        let device = caller.device.clone();
        let session = Session { caller, expires_at: now.saturating_add(lifetime) };
        let mut tables = self.write();
        tables.end_expired(&device, now);
        tables.by_token.insert(digest, session);
        let tokens = tables.by_device.entry(device).or_default();
        tokens.push_back(digest);
        let surplus = if tokens.len() > MAX_PER_DEVICE { tokens.pop_front() } else { None };
        if let Some(oldest) = surplus {
            tables.by_token.remove(&oldest);
        }
        token
    }

    /// Who holds this token, if it is valid.
    pub(crate) fn caller(&self, token: &str, now: Timestamp) -> Option<Caller> {
        let digest = access_token_digest(token);
        let tables = self.read();
        tables.by_token.get(&digest).filter(|session| now < session.expires_at).map(|session| session.caller.clone())
    }

    /// Ends all logins of a device.
    pub(crate) fn end(&self, device: &DeviceId) {
        let mut tables = self.write();
        for digest in tables.by_device.remove(device).unwrap_or_default() {
            tables.by_token.remove(&digest);
        }
    }

    /// Forgets all tokens that have expired.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let mut tables = self.write();
        let devices: Vec<DeviceId> = tables.by_device.keys().cloned().collect();
        for device in devices {
            tables.end_expired(&device, now);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().expect("no code panics while it holds the lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().expect("no code panics while it holds the lock")
    }
}

impl Tables {
    fn end_expired(&mut self, device: &DeviceId, now: Timestamp) {
        let Some(tokens) = self.by_device.get_mut(device) else { return };
        let by_token = &mut self.by_token;
        tokens.retain(|digest| {
            let valid = by_token.get(digest).is_some_and(|session| now < session.expires_at);
            if !valid {
                by_token.remove(digest);
            }
            valid
        });
        if tokens.is_empty() {
            self.by_device.remove(device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            address: "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef".parse().unwrap(),
            device: "DVCaaaaaaaaaaaaaaaa1".parse().unwrap(),
        }
    }

    const LIFETIME: Duration = Duration::from_secs(300);
    const NOW: Timestamp = Timestamp::NEVER;

    #[test]
    fn a_token_ends_with_its_lifetime() {
        let sessions = Sessions::new();
        let now = Timestamp::from_unix_milliseconds(0);
        let token = sessions.start(caller(), now, LIFETIME);
        assert_eq!(sessions.caller(&token, now), Some(caller()));
        assert_eq!(sessions.caller(&token, now.saturating_add(LIFETIME)), None);
        sessions.sweep(now.saturating_add(LIFETIME));
        assert!(sessions.read().by_token.is_empty() && sessions.read().by_device.is_empty());
    }

    #[test]
    fn a_removed_device_is_logged_out() {
        let sessions = Sessions::new();
        let token = sessions.start(caller(), NOW, LIFETIME);
        sessions.end(&caller().device);
        assert_eq!(sessions.caller(&token, NOW), None);
    }

    #[test]
    fn logins_of_one_device_are_bounded() {
        let sessions = Sessions::new();
        let first = sessions.start(caller(), NOW, LIFETIME);
        let last = (0..MAX_PER_DEVICE).map(|_| sessions.start(caller(), NOW, LIFETIME)).last().unwrap();
        assert_eq!(sessions.caller(&first, NOW), None);
        assert_eq!(sessions.caller(&last, NOW), Some(caller()));
        assert_eq!(sessions.read().by_token.len(), MAX_PER_DEVICE);
    }
}
