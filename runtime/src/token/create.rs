//! Creates a token: seals it, creates it at the backbone, and stores it.

use tracing::info;
use transport::crypto::SecretKey;
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::{Address, Timestamp};

use super::password::{NewPassword, StoredPassword};
use super::{TokenJson, TokenRecord};
use crate::clock::Clock;
use crate::core::Core;
use crate::delivery::{self, Delivery as _};
use crate::dto::{self, JsonText};
use crate::error::{Property, PropertyRule};
use crate::event::Event;
use crate::{Error, Result};

/// A token whose values have all been checked.
pub(crate) struct NewToken {
    pub(crate) content: TokenJson,
    pub(crate) expires_at: Timestamp,
    pub(crate) ephemeral: bool,
    pub(crate) for_identity: Option<Address>,
    pub(crate) password: Option<NewPassword>,
}

/// # Errors
/// [`Error::InvalidProperty`] unless the time lies in the future.
pub(crate) fn check_future(expires_at: Timestamp, clock: &dyn Clock) -> Result<()> {
    if expires_at > clock.now() {
        Ok(())
    } else {
        Err(Error::invalid_property(Property::ExpiresAt, PropertyRule::InFuture))
    }
}

impl NewToken {
    /// Each call creates a new token with a new key.
    pub(crate) async fn create(self, core: &Core) -> Result<dto::Token> {
        let secret_key = SecretKey::generate();
        let password = self.password.map(NewPassword::protect);
        let request = CreateToken {
            content: Some(self.content.seal(&secret_key)),
            expires_at: self.expires_at,
            for_identity: self.for_identity.clone(),
            password: hash(password.as_ref()).await,
        };
        let created = delivery::of(core).create_token(&request).await?;
        let record = TokenRecord {
            secret_key,
            is_own: true,
            created_by: core.account.address().clone(),
            created_at: created.created_at,
            expires_at: created.expires_at.unwrap_or(self.expires_at),
            created_by_device: core.account.device_id().clone(),
            for_identity: self.for_identity,
            content: JsonText::from(self.content.value()),
            password_protection: password,
        };
        if !self.ephemeral {
            core.remember(record.to_object(&created.id)).await?;
        }
        if let Some(addressee) = &record.for_identity {
            core.peers.hint(addressee);
        }
        info!(token = crate::logging::short(&created.id), ephemeral = self.ephemeral, "token created");
        let token = record.into_dto(created.id, core.base_url(), self.ephemeral)?;
        core.events.publish(Event::TokenCreated(Box::new(token.clone())));
        Ok(token)
    }
}

pub(super) async fn hash(password: Option<&StoredPassword>) -> Option<String> {
    match password {
        Some(password) => Some(password.backbone_hash().await),
        None => None,
    }
}
