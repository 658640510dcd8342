//! Another reference in place of one that has become known to the wrong people.

use tracing::{info, instrument};
use transport::wire::TokenId;

use super::tokens_terms::{IS_REVOKED, NO_REVOCATION, check_not_revoked, check_services, is_of_other_device};
use super::{TokensFacade, UpdateToken};
use crate::dto::{MaxDownloads, RotatedToken};
use crate::held;
use crate::logging::short;
use crate::store::{Batch, StoreError, View};
use crate::token::{self, NewTerms, NewToken, Replaced, Rotation, TokenJson, TokenSettings};
use crate::{Error, Result};

const NOT_OF_THIS_DEVICE: &str = "Another device has made the token and keeps its terms, which this one does not know; rotate it on the device that made it.";
const EXPIRED: &str = "The token has expired; give it another expiry first.";
const USED_UP: &str = "No use of the token is left; give it a higher limit first.";
const USED_UP_MEANWHILE: &str =
    "The last use of the token began while it was replaced. It is revoked, and there is no new one.";

impl TokensFacade {
    /// Replaces an own token by a new one with the same content, addressee, password, expiry, beginning, label, paths, and as many uses as are
    /// left, and revokes the old one. The reference of a token is its secret, so another secret takes another token.
    ///
    /// The new token is stored first, and is in the list from then on. If the revocation fails at the backbone, the old token can still be used
    /// there; this node gives it to no peer any more. The same call then goes on with it, and makes no further token. After the end it
    /// answers the same again.
    ///
    /// A use of the old token that is open counts as used. One that begins while the token is replaced is taken off the new limit.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here; [`Error::NotSupported`] for a peer's token, for one with terms that another device of
    /// the identity has made and keeps them, for one that is revoked, has expired or has no use left, and if the backbone cannot revoke tokens;
    /// the backbone's errors, and those of the store. Every error once the new token is made is in [`Error::Unreplaced`], unless no use was left
    /// when the old token ended: then there is no new one.
    #[instrument(skip_all, fields(token = short(id)))]
    pub async fn rotate_token(&self, id: &TokenId) -> Result<RotatedToken> {
        self.check_own(id)?;
        check_services(self.core(), NO_REVOCATION).await?;
        let _rotating = self.core().held.rotating.hold(id.clone()).await;
        let rotation = match self.begun(id)? {
            Some(rotation) => rotation,
            None => self.make_replacement(id).await?,
        };
        let new = rotation.to.clone();
        let unreplaced = |cause| Error::Unreplaced { new, cause: Box::new(cause) };
        let rotated = self.end_old(id, rotation).await.map_err(unreplaced)?;
        rotated.ok_or_else(|| Error::NotSupported(USED_UP_MEANWHILE.to_owned()))
    }

    /// Revokes the old token, and completes the rotation unless that is done; none if no use was left for the new one, which is deleted.
    async fn end_old(&self, id: &TokenId, rotation: Rotation) -> Result<Option<RotatedToken>> {
        let old = self.revoke_token(id).await?;
        let new = rotation.to.clone();
        if !rotation.is_complete {
            if !self.complete_rotation(id, rotation).await? {
                return Ok(None);
            }
            info!(new = short(&new), "a token was replaced");
        }
        Ok(Some(RotatedToken { token: self.token(&new).await?, old }))
    }

    /// The rotation that was begun before, unless the new token is not there any more.
    fn begun(&self, id: &TokenId) -> Result<Option<Rotation>> {
        let view = self.core().store.view();
        let Some(rotation) = TokenSettings::stored(&view, id)?.rotation else { return Ok(None) };
        Ok(token::stored(&view, &rotation.to)?.map(|_| rotation))
    }

    /// Makes the new token, and stores with it that it replaces this one.
    async fn make_replacement(&self, id: &TokenId) -> Result<Rotation> {
        let core = self.core();
        check_not_revoked(&core.store.view(), id)?;
        let record = self.record(id)?;
        if record.has_terms && is_of_other_device(core, &record) {
            return Err(Error::NotSupported(NOT_OF_THIS_DEVICE.to_owned()));
        }
        let now = core.clock.now();
        let terms = self.ask_for_terms(id).await?;
        if terms.revoked_at.is_some() {
            return Err(Error::NotSupported(IS_REVOKED.to_owned()));
        }
        if terms.expires_at <= now {
            return Err(Error::NotSupported(EXPIRED.to_owned()));
        }
        let used = terms.committed_uses.saturating_add(terms.leased_uses);
        let left = terms.max_uses.map(|most| u64::from(most.saturating_sub(used)).try_into());
        let limit = left.transpose().map_err(|_| Error::NotSupported(USED_UP.to_owned()))?;
        let settings = TokenSettings::stored(&core.store.view(), id)?;
        let new = NewToken {
            content: TokenJson::stored(record.content.to_value()),
            expires_at: terms.expires_at,
            ephemeral: false,
            shares: token::shared_file(&core.store.view(), record.content.as_str())?,
            password: record.password()?,
            for_identity: record.for_identity,
            terms: NewTerms {
                label: settings.label,
                not_before: terms.not_before.filter(|begin| *begin > now),
                max_downloads: limit,
                strict_uses: terms.strict_uses,
                notify: settings.notify,
                // Of a token that was not stored when it was made there are no settings.
                transports: settings.transports.or(held::transports(core, id)?),
                allow: None,
            },
            replaces: Some(Replaced { id: id.clone(), used }),
        };
        let to = new.create(core).await?.id;
        Ok(Rotation { to, used, limit, is_complete: false })
    }

    /// The old token has ended. What was used of it since its uses were carried over is taken off the new one. If that leaves nothing, the new
    /// one is deleted, and this is false.
    async fn complete_rotation(&self, id: &TokenId, rotation: Rotation) -> Result<bool> {
        let core = self.core();
        let uses = TokenSettings::stored(&core.store.view(), id)?.uses;
        let used = uses.map_or(0, |uses| uses.committed.saturating_add(uses.leased));
        let meanwhile = used.saturating_sub(rotation.used);
        if let Some(limit) = rotation.limit.filter(|_| meanwhile > 0) {
            let Ok(left) = MaxDownloads::try_from(u64::from(limit.get().saturating_sub(meanwhile))) else {
                self.delete_token(&rotation.to).await?;
                return Ok(false);
            };
            let change = UpdateToken { max_downloads: Some(Some(left)), ..UpdateToken::default() };
            self.update_token(&rotation.to, change).await?;
        }
        let complete = |view: &View<'_>| {
            let settings = TokenSettings::stored(view, id)?;
            let settings = TokenSettings { rotation: Some(Rotation { is_complete: true, ..rotation }), ..settings };
            let mut batch = Batch::new();
            settings.put(&mut batch, id)?;
            Ok((batch, ()))
        };
        core.store.change::<_, StoreError>(complete).await?;
        Ok(true)
    }
}
