//! Logging in with a device password, and the required strength of one.

use std::time::Duration;

use listener::Source;

use super::devices::{self, DeviceRecord};
use super::{Caller, Refusal, identities};
use crate::config::PasswordPolicy;
use crate::core::Core;
use crate::error::WithCauses;
use crate::notifications::{Notification, NotificationName};

/// Failed logins after which a device is locked out.
const MAX_FAILED_LOGINS: u32 = 3;
const PRODUCTION_LENGTH: usize = 10;

/// How an attempt to log in ended.
pub(crate) enum Outcome {
    /// With this access token.
    LoggedIn(String),
    /// Unknown user name or wrong password.
    WrongCredentials,
    /// Too many failures. Even the right password is refused for now.
    LockedOut,
}

/// Checks a password and logs the device in.
///
/// The slow check runs without a lock. Its result is evaluated under the lock, one attempt after the other, so parallel attempts
/// have no advantage: after the third failure the others are refused whatever their result.
pub(crate) async fn log_in(core: &Core, source: Source, username: &str, password: String) -> Result<Outcome, Refusal> {
    let device = devices::by_username(&core.store, username).await?;
    if device.as_ref().is_some_and(|device| is_locked(device, core)) {
        return Ok(Outcome::LockedOut);
    }
    let whose = device.as_ref().map(|device| (device.id.as_str(), device.password.clone()));
    let is_right = core.is_password(source, whose, password).await?;
    match device {
        Some(device) => judge(core, &device, is_right).await,
        None => Ok(Outcome::WrongCredentials),
    }
}

async fn judge(core: &Core, seen: &DeviceRecord, is_right: bool) -> Result<Outcome, Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[seen.id.as_str(), seen.address.as_str()]).await?;
    let Some(mut device) = transaction.get(&devices::key(&seen.id)).await? else {
        return Ok(Outcome::WrongCredentials);
    };
    if is_locked(&device, core) {
        return Ok(Outcome::LockedOut);
    }
    let mut needs_no_record = false;
    let outcome = if is_right && device.password == seen.password {
        device.failed_logins = 0;
        device.locked_until = None;
        device.last_login = Some(core.now());
        needs_no_record = !device.is_backup;
        if std::mem::take(&mut device.is_backup) {
            transaction.notify(Notification::to_all(&device.address, NotificationName::BackupDeviceUsed));
        }
        identities::note_use_of(core, &mut transaction, &device.address, core.now()).await?;
        let caller = Caller { address: device.address.clone(), device: device.id.clone() };
        Outcome::LoggedIn(core.issue_access_token(&caller))
    } else {
        count_failure(&mut device, core)
    };
    devices::update(&mut transaction, &device)?;
    match transaction.commit().await {
        // A login is possible while nothing can be stored, as reads are. A wrong password must be counted, a login need not.
        Err(error) if needs_no_record => {
            tracing::warn!(error = %WithCauses(&error), "the time of a login was not stored")
        }
        noted => noted?,
    }
    Ok(outcome)
}

fn count_failure(device: &mut DeviceRecord, core: &Core) -> Outcome {
    device.failed_logins += 1;
    if device.failed_logins < MAX_FAILED_LOGINS {
        return Outcome::WrongCredentials;
    }
    device.failed_logins = 0;
    device.locked_until = Some(core.now().saturating_add(core.config.password_policy.lockout()));
    Outcome::LockedOut
}

fn is_locked(device: &DeviceRecord, core: &Core) -> bool {
    device.locked_until.is_some_and(|until| core.now() < until)
}

impl PasswordPolicy {
    /// Why a password is too weak, if it is.
    pub(crate) fn objection(self, password: &str) -> Option<&'static str> {
        if password.is_empty() {
            return Some("the password is empty");
        }
        if self == Self::Development {
            return None;
        }
        let has = |kind: fn(&char) -> bool| password.chars().any(|character| kind(&character));
        match () {
            () if password.chars().count() < PRODUCTION_LENGTH => Some("at least 10 characters are needed"),
            () if !has(char::is_ascii_uppercase) => Some("an upper-case letter is needed"),
            () if !has(char::is_ascii_lowercase) => Some("a lower-case letter is needed"),
            () if !has(char::is_ascii_digit) => Some("a digit is needed"),
            () if !has(|character| !character.is_ascii_alphanumeric()) => Some("a symbol is needed"),
            () => None,
        }
    }

    /// How long a device is locked out.
    pub(crate) fn lockout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Production => 600,
            Self::Development => 60,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_character_is_needed_in_production() {
        for weak in ["", "Aa1!", "aaaaaaaa1!", "AAAAAAAA1!", "AAAAaaaa!!", "AAAAaaaa11"] {
            assert!(PasswordPolicy::Production.objection(weak).is_some(), "{weak}");
        }
        assert_eq!(PasswordPolicy::Production.objection("AAAaaaa11!"), None);
        assert_eq!(PasswordPolicy::Development.objection("a"), None);
        assert!(PasswordPolicy::Development.objection("").is_some());
    }
}
