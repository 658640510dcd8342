//! Access tokens: self-contained, like signed JWTs.
//!
//! A token contains a device, its identity and an expiry, and a MAC over them with the server's key. The server stores nothing
//! of it, so there is nothing to limit or to sweep, and logins survive a restart. That matters for routes that also serve
//! anonymous requests: an invalid token makes its sender anonymous there, and the answer would not tell it to log in again.
//!
//! ```text
//! claims = base64url of {"address", "device", "expiresAt"}
//! token  = claims "." base64url(MAC(claims))
//! ```

use serde::{Deserialize, Serialize};
use transport::wire::bytes::{from_base64url, to_base64url};
use transport::wire::{Address, DeviceId, Timestamp};

use super::{Caller, devices};
use crate::core::Core;
use crate::error::StoreError;
use crate::secrets::ServerKey;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    address: Address,
    device: DeviceId,
    expires_at: Timestamp,
}

impl Core {
    /// Logs a device in and returns its access token.
    pub(crate) fn issue_access_token(&self, caller: &Caller) -> String {
        let expires_at = self.now().saturating_add(self.config.access_token_lifetime);
        write(&self.key, &Claims { address: caller.address.clone(), device: caller.device.clone(), expires_at })
    }

    /// The caller with this access token, if it is valid: not expired, and the device still exists.
    pub(crate) async fn caller(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        let claims = read(&self.key, token).filter(|claims| self.now() < claims.expires_at);
        let Some(Claims { address, device, .. }) = claims else { return Ok(None) };
        Ok(self.store.contains(&devices::key(&device)).await?.then_some(Caller { address, device }))
    }
}

fn write(key: &ServerKey, claims: &Claims) -> String {
    let claims = to_base64url(&serde_json::to_vec(claims).expect("claims are texts under text keys"));
    let mac = key.access_token(&claims);
    format!("{claims}.{mac}")
}

fn read(key: &ServerKey, token: &str) -> Option<Claims> {
    let (claims, mac) = token.split_once('.')?;
    if !key.is_access_token(claims, &from_base64url(mac).ok()?) {
        return None;
    }
    serde_json::from_slice(&from_base64url(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unaltered_tokens_of_this_server_are_read() {
        let key = ServerKey::from_bytes([1; 32]);
        let claims = |device: &str| Claims {
            address: "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef".parse().unwrap(),
            device: device.parse().unwrap(),
            expires_at: Timestamp::NEVER,
        };
        let token = write(&key, &claims("DVCaaaaaaaaaaaaaaaa1"));
        assert_eq!(read(&key, &token).unwrap().device.as_str(), "DVCaaaaaaaaaaaaaaaa1");
        assert!(read(&ServerKey::from_bytes([2; 32]), &token).is_none());
        let (_, mac) = token.split_once('.').unwrap();
        let other = write(&key, &claims("DVCaaaaaaaaaaaaaaaa2"));
        let (other_claims, _) = other.split_once('.').unwrap();
        for forged in [format!("{other_claims}.{mac}"), format!("{other_claims}."), other_claims.to_owned()] {
            assert!(read(&key, &forged).is_none(), "{forged}");
        }
        for length in 0..token.len() {
            assert!(read(&key, &token[..length]).is_none(), "{length}");
        }
    }
}
