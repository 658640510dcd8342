//! Files that are shared without a backbone.

use std::num::NonZeroU32;

use tracing::instrument;
use transport::access::Uses;
use transport::crypto::SecretKey;
use transport::token::TokenContent;
use transport::wire::{FileId, Timestamp, TokenId};

use super::files::{CreateTokenForFile, FilesFacade, UploadOwnFile};
use crate::dto::{JsonText, Token};
use crate::event::Event;
use crate::file::{ContentFormat, SealedInPlace};
use crate::held::{self, HeldToken, NewShare};
use crate::logging::short;
use crate::token::{NewPassword, TokenJson, TokenRecord, TokenSettings, check_beginning, check_future, password_hash};
use crate::{Error, Result};

impl FilesFacade {
    /// Shares a file without a backbone: no other side is asked for or told anything. The token is for
    /// [`follow_file`](Self::follow_file) and the like at other nodes, which reach this one directly.
    ///
    /// Of [files on this machine](UploadOwnFile::from_source) no second copy is made: the content is read once, for its hashes; peers
    /// then get its chunks sealed from where they are. A stream is sealed into the content store, which has to have room for all of
    /// it, and its share ends with the node.
    ///
    /// File and token are in no list and known to no other device of this identity. The share ends at its expiry, with
    /// [`stop_sharing`](Self::stop_sharing), or when a file changes: then not a byte leaves that was not shared.
    ///
    /// Its terms are this node's to enforce, without a backbone: it counts how often the token is used, in its store, and gives nothing
    /// before its beginning. Nodes of versions that know no counted uses get nothing of a share with a limit.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for terms that nobody could enforce or that let nobody load it, for an expiry that is not in the future, a
    /// beginning that is not before it, an invalid PIN or password location, or if the content store has no room for the hashes, or for a stream;
    /// [`Error::NotSupported`] for format `v1`, if the content store is off, and if no peer can reach this node by the permitted paths;
    /// [`Error::Source`] for a file that cannot be read or has changed; [`Error::Store`].
    #[instrument(skip_all)]
    pub async fn share_directly(&self, request: UploadOwnFile, terms: CreateTokenForFile) -> Result<Token> {
        let core = &self.node.core;
        let source = request.content.source().cloned();
        terms.terms.check_shared_directly()?;
        let transports = terms.terms.paths();
        let direct = core.direct().filter(|_| request.format != ContentFormat::V1);
        let direct = direct.and_then(|direct| transports.narrow(direct)).ok_or_else(|| cannot(&request))?;
        core.content_store.check_is_on()?;
        let observer = request.observer.clone();
        let mut new = Self::new_file(request)?;
        let expires_at = terms.expires_at.unwrap_or(Timestamp::NEVER).min(new.expires_at);
        for expires_at in [new.expires_at, expires_at] {
            check_future(expires_at, &*core.clock)?;
        }
        check_beginning(terms.terms.not_before, expires_at)?;
        let new_terms = terms.terms;
        let password = terms.password_protection.map(NewPassword::check).transpose()?.map(NewPassword::protect);
        new.expires_at = expires_at;
        new.check_metadata()?;
        let SealedInPlace { record: file, tree, keeping } = new.seal_in_place(core, observer.as_ref()).await?;
        let (id, secret_key): (FileId, _) = (held::local_id(), SecretKey::generate());
        let content = TokenJson::from(&TokenContent::file(id.clone(), file.secret_key.clone()));
        let created_at = file.created_at;
        let held = HeldToken::new(
            id.clone(),
            (created_at, expires_at),
            content.reachable_at(&direct.into()).seal(&secret_key),
        );
        let limit = new_terms.max_downloads.and_then(|limit| NonZeroU32::new(limit.get()));
        let token = held
            .limited(terms.for_identity.clone(), password_hash(password.as_ref()).await)
            .used_within(new_terms.not_before, limit.is_some())
            .given_by(transports);
        let (token_id, uses) = (held::local_id(), Uses::new(limit, new_terms.strict_uses));
        NewShare { id, file, tree, source, keeping, token, uses }.begin(core, &token_id).await?;
        let record = TokenRecord {
            secret_key,
            is_own: true,
            created_by: core.account.address().clone(),
            created_at,
            expires_at,
            created_by_device: core.account.device_id().clone(),
            for_identity: terms.for_identity,
            content: JsonText::from(content.value()),
            password_protection: password,
            has_terms: new_terms.are_of_this_device(),
        };
        let token = TokenSettings::of(&new_terms).show_in(record.into_dto(token_id, core.base_url(), true)?);
        core.events.publish(Event::TokenCreated(Box::new(token.clone())));
        Ok(token)
    }

    /// Ends the share of [`share_directly`](Self::share_directly) with this token.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if there is none, [`Error::Store`].
    #[instrument(skip_all, fields(token = short(token)))]
    pub async fn stop_sharing(&self, token: &TokenId) -> Result<()> {
        match held::stop(&self.node.core, token).await? {
            true => Ok(()),
            false => Err(Error::RecordNotFound("Token")),
        }
    }
}

fn cannot(request: &UploadOwnFile) -> Error {
    Error::NotSupported(match request.format {
        ContentFormat::V1 => "Only a file of format v2 can be shared without a backbone.".to_owned(),
        _ => {
            "No other node can reach this one by the permitted paths, so a file cannot be shared without a backbone; let it listen for \
             peers or use a relay, and check its network with `enlace doctor`."
                .to_owned()
        }
    })
}
