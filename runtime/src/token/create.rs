//! Creates a token: seals it, creates it at the backbone, and stores it.

use tracing::info;
use transport::crypto::{PasswordHash, SecretKey};
use transport::peer::{Direct, DirectDevices};
use transport::token::TokenContent;
use transport::wire::backbone::token_terms::CreateTokenWithTerms;
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::{Address, FileId, Timestamp, TokenId};

use super::password::{NewPassword, StoredPassword};
use super::{NewTerms, Rotation, TokenJson, TokenRecord, TokenSettings};
use crate::clock::Clock;
use crate::core::Core;
use crate::delivery::{self, Delivery as _};
use crate::dto::{self, JsonText, MaxDownloads};
use crate::error::{Property, PropertyRule};
use crate::event::Event;
use crate::file;
use crate::held::{self, Edit, HeldToken};
use crate::store::{Batch, Object, View};
use crate::{Error, Result};

/// A token whose values have all been checked.
pub(crate) struct NewToken {
    pub(crate) content: TokenJson,
    pub(crate) expires_at: Timestamp,
    pub(crate) ephemeral: bool,
    pub(crate) for_identity: Option<Address>,
    pub(crate) password: Option<NewPassword>,
    /// The own file that it shares, if peers can load it from here by this token.
    pub(crate) shares: Option<FileId>,
    /// What the published protocol does not have.
    pub(crate) terms: NewTerms,
    /// The own token in whose place it is made.
    pub(crate) replaces: Option<Replaced>,
}

/// A token that is replaced by a new one.
pub(crate) struct Replaced {
    pub(crate) id: TokenId,
    /// How often it was used when its uses were carried over.
    pub(crate) used: u32,
}

/// Refuses terms that nobody could enforce, a limit or a beginning if the backbone does not, and to tell of uses if the backbone does not tell of them or
/// nobody asks.
///
/// # Errors
/// [`Error::InvalidPropertyValue`], [`Error::NotSupported`], and the backbone's errors.
async fn check_terms(core: &Core, terms: &NewTerms, is_ephemeral: bool) -> Result<()> {
    if is_ephemeral {
        terms.check_ephemeral()?;
    }
    // A backbone on which nothing depends is not asked.
    let services = match terms.depend_on_backbone() {
        true => core.account.token_services().await?,
        false => None,
    };
    terms.check(&services.into())
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
    ///
    /// # Errors
    /// Before anything is made [`Error::InvalidPropertyValue`] for a beginning that is not before the expiry and for terms that nobody
    /// could enforce or tell, and [`Error::NotSupported`] for those that the backbone does not; the backbone's errors, and those of the store.
    pub(crate) async fn create(self, core: &Core) -> Result<dto::Token> {
        check_beginning(self.terms.not_before, self.expires_at)?;
        check_terms(core, &self.terms, self.ephemeral).await?;
        let secret_key = SecretKey::generate();
        let password = self.password.map(NewPassword::protect);
        let (transports, content) = (self.terms.paths(), JsonText::from(self.content.value()));
        // What is held keeps peers from the file by its own id, too, also those that are on later only.
        let shares = match (transports.limit_peers(), self.shares) {
            (true, None) => shared_file(&core.store.view(), content.as_str())?,
            (is_limited, shares) => shares.filter(|_| is_limited || core.config.peers.is_some()),
        };
        // Only in what is sealed: this identity is shown the content as it asked for it, in the form that published clients know.
        let direct = shares.as_ref().and_then(|_| core.direct()).and_then(|direct| transports.narrow(direct));
        // What is counted in one place is given by one device only.
        let is_counted = password.is_some() || self.terms.are_of_this_device();
        let others = if shares.is_none() || is_counted { Vec::new() } else { core.stand_ins(&core.store.view())? };
        let most = core.config.backbone.max_token_content;
        let devices = named_devices(direct, others);
        let sealed =
            devices.map_or_else(|| self.content.clone(), |devices| self.content.reachable_within(devices, most));
        let (sealed, hash) = (sealed.seal(&secret_key), password_hash(password.as_ref()).await);
        let request = CreateToken {
            content: Some(sealed.clone()),
            expires_at: self.expires_at,
            for_identity: self.for_identity.clone(),
            password: hash.as_ref().map(PasswordHash::to_backbone_text),
        };
        let request = CreateTokenWithTerms {
            token: request,
            not_before: self.terms.not_before,
            max_uses: self.terms.max_downloads.map(MaxDownloads::get),
            strict_uses: self.terms.are_strict(),
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
            content,
            password_protection: password,
            has_terms: self.terms.are_of_this_device(),
        };
        let held = shares.map(|file| {
            let held = HeldToken::new(file, (record.created_at, record.expires_at), sealed);
            let held = held.limited(record.for_identity.clone(), hash);
            held.used_within(self.terms.not_before, self.terms.max_downloads.is_some()).given_by(transports)
        });
        let settings = TokenSettings::of(&self.terms);
        let replaced = self.replaces.map(|Replaced { id, used }| {
            (id, Rotation { to: created.id.clone(), used, limit: self.terms.max_downloads, is_complete: false })
        });
        let object = record.to_object(&created.id);
        let stored = (!self.ephemeral).then(|| Remembered { object, settings: settings.clone(), replaced });
        remember(core, &created.id, stored, held).await?;
        if let Some(addressee) = &record.for_identity {
            core.peers.hint(addressee);
        }
        info!(token = crate::logging::short(&created.id), ephemeral = self.ephemeral, "token created");
        let token = settings.show_in(record.into_dto(created.id, core.base_url(), self.ephemeral)?);
        core.events.publish(Event::TokenCreated(Box::new(token.clone())));
        Ok(token)
    }
}

/// The devices that a content names. None without the one that makes the token: readers take the first one for it, and what that says for decided.
fn named_devices(maker: Option<Direct>, others: Vec<Direct>) -> Option<DirectDevices> {
    DirectDevices::of_all(std::iter::once(maker?).chain(others))
}

/// Refuses a beginning that comes after the end.
///
/// # Errors
/// [`Error::InvalidPropertyValue`].
pub(crate) fn check_beginning(not_before: Option<Timestamp>, expires_at: Timestamp) -> Result<()> {
    match not_before {
        Some(begin) if begin >= expires_at => {
            Err(Error::InvalidPropertyValue("'notBefore' must be before 'expiresAt'".to_owned()))
        }
        _ => Ok(()),
    }
}

/// What is stored of a token that was just created.
struct Remembered {
    object: Object,
    settings: TokenSettings,
    /// The token that it replaces, with what is noted there.
    replaced: Option<(TokenId, Rotation)>,
}

/// Stores a token that was just created with its settings, what it replaces, and what is held of it for peers, in one commit.
async fn remember(core: &Core, id: &TokenId, stored: Option<Remembered>, held: Option<HeldToken>) -> Result<()> {
    let is_limited = held.as_ref().is_some_and(|held| held.transports.limit_peers());
    let hold = |view: &View<'_>, batch: &mut Batch| {
        let Some(held) = held else { return Ok(()) };
        let mut edit = Edit::of(view, batch)?;
        edit.add(id, &held, core.clock.now())?;
        edit.finish()?;
        if is_limited {
            held::leave_to_this_device(core, (view, batch), &held.file)?;
        }
        Ok(())
    };
    match stored {
        Some(Remembered { object, settings, replaced }) => {
            let also = |view: &View<'_>, batch: &mut Batch| {
                // First, because it may change what is kept of tokens that make room.
                hold(view, &mut *batch)?;
                settings.put(batch, id)?;
                if let Some((old, rotation)) = replaced {
                    let of_old = TokenSettings::stored(view, &old)?;
                    TokenSettings { rotation: Some(rotation), ..of_old }.put(batch, &old)?;
                }
                Ok(())
            };
            core.remember_and(object, also).await
        }
        None => {
            core.remember_beside(id, hold).await?;
            if is_limited {
                core.unpushed.notify_one();
            }
            Ok(())
        }
    }
}

/// The own file that a content shares, if it is one of a file.
pub(crate) fn shared_file(view: &View<'_>, content: &str) -> Result<Option<FileId>> {
    let Ok(TokenContent::File { file_id, .. }) = TokenContent::parse_open(content, true) else { return Ok(None) };
    let file = file::stored(view, &file_id)?;
    Ok(file.filter(|file| file.is_own).map(|_| file_id))
}

/// The hash in the form that the backbone compares.
pub(super) async fn hash(password: Option<&StoredPassword>) -> Option<String> {
    password_hash(password).await.map(|hash| hash.to_backbone_text())
}

pub(crate) async fn password_hash(password: Option<&StoredPassword>) -> Option<PasswordHash> {
    match password {
        Some(password) => Some(password.hash().await),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use transport::crypto::SignatureKeypair;
    use transport::peer::PeerKey;

    use super::*;

    fn device(seed: u8) -> Direct {
        let peer_id = PeerKey::derive(&SignatureKeypair::from_seed(&[seed; 32])).peer_id();
        Direct { peer_id, addresses: Vec::new(), relays: Vec::new() }
    }

    #[test]
    fn nobody_is_named_in_the_place_of_the_device_that_makes_a_token() {
        assert_eq!(named_devices(None, vec![device(2)]), None);
        let named = named_devices(Some(device(1)), vec![device(2)]).unwrap();
        assert_eq!((named.first, named.others), (device(1), vec![device(2)]));
    }
}
