//! Terms of own tokens: look at them, change them, revoke.

use serde::{Deserialize, Deserializer, Serialize};
use tracing::{info, instrument};
use transport::wire::backbone::token_terms::{ChangeTokenTerms, TokenTerms as BackboneTerms};
use transport::wire::{Timestamp, TokenId};

use super::TokensFacade;
use crate::core::Core;
use crate::dto::{
    ChangedToken, MaxDownloads, Notify, TokenLabel, TokenPath, TokenServices, TokenTerms, TokenTransports,
};
use crate::event::Event;
use crate::held::{self, Edit, HeldToken};
use crate::logging::short;
use crate::storage::Endpoints;
use crate::store::{Batch, Object, View, collection};
use crate::token::{
    self, NOT_TOLD, Revocation, TokenJson, TokenRecord, TokenSettings, check_allowed, check_beginning, check_future,
    check_stored, given,
};
use crate::{Error, Result};

/// New terms of an own token. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateToken {
    /// Another expiry, earlier or later; must lie in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Another beginning; `Some(None)`, which is `null`, for none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub not_before: Option<Option<Timestamp>>,
    /// Another limit; `Some(None)`, which is `null`, for none. If it is lower than what is used already, no use is left.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub max_downloads: Option<Option<MaxDownloads>>,
    /// Another note; `Some(None)`, which is `null`, for none. Kept on this device.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub label: Option<Option<TokenLabel>>,
    /// Of which uses this identity is told, on this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// By which paths others may load it; `null` means all. Enforced by this node.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given::transports")]
    pub transports: Option<TokenTransports>,
    /// As for [a new token](crate::facade::NewTerms::allow): everything, or it is refused.
    #[serde(skip_serializing_if = "Option::is_none", with = "given::allow")]
    pub allow: Option<Endpoints>,
}

impl UpdateToken {
    /// Another expiry, and nothing else.
    #[must_use]
    pub fn until(expires_at: Timestamp) -> Self {
        Self { expires_at: Some(expires_at), ..Self::default() }
    }

    /// Whether anything else is changed than what only this node keeps: whoever enforces the terms is asked then.
    #[must_use]
    pub fn changes_terms(&self) -> bool {
        self.enforced().is_some()
    }

    /// What the backbone has to be told, if that is anything.
    fn enforced(&self) -> Option<ChangeTokenTerms> {
        let max_uses = self.max_downloads.map(|most| most.map(MaxDownloads::get));
        let change = ChangeTokenTerms { expires_at: self.expires_at, not_before: self.not_before, max_uses };
        Some(change).filter(|change| *change != ChangeTokenTerms::default())
    }

    /// Whether nobody may load the token here any more without the backbone being asked.
    fn limits(&self) -> bool {
        self.max_downloads.is_some_and(|most| most.is_some()) || self.not_before.is_some_and(|begin| begin.is_some())
    }
}

/// Refuses a change of nothing.
pub(super) fn check_some(request: &UpdateToken) -> Result<()> {
    match *request == UpdateToken::default() {
        true => Err(Error::InvalidPropertyValue(NO_MEMBER.to_owned())),
        false => Ok(()),
    }
}

/// Reads a member that is there, be it `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

const NO_CHANGE: &str =
    "The backbone cannot change the terms of a token; delete the token instead, and create another one.";
pub(super) const NO_REVOCATION: &str =
    "The backbone cannot revoke tokens; delete the token instead, which ends it for everybody.";
pub(super) const IS_REVOKED: &str = "The token is revoked, which cannot be taken back; create another one.";
const NO_MEMBER: &str =
    "at least one of expiresAt, notBefore, maxDownloads, label, notify and transports must be given";
const ENFORCED_ELSEWHERE: &str = "'transports' is enforced by the device that made the token, which is another one; change it there, or revoke the token and create another one here.";
const NOT_OWN: &str = "Only the identity that has made a token has access to its terms.";

impl TokensFacade {
    /// The terms of an own token, and how often it was used, as the backbone tells them; of a file that is
    /// [shared directly](super::FilesFacade::share_directly), as this node has counted.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, [`Error::NotSupported`] for a peer's token and if the backbone has no terms,
    /// and the backbone's errors.
    #[instrument(skip_all, fields(token = short(id)))]
    pub async fn token_terms(&self, id: &TokenId) -> Result<TokenTerms> {
        let core = self.core();
        if let Some(terms) = held::terms(core, id)? {
            let transports = held::transports(core, id)?;
            return Ok(TokenTerms::of(terms, core.clock.now()).by(transports));
        }
        self.check_own(id)?;
        check_services(core, NOT_TOLD).await?;
        let terms = self.ask_for_terms(id).await?;
        let TokenSettings { transports, is_locked_for_peers, .. } = TokenSettings::stored(&core.store.view(), id)?;
        Ok(TokenTerms::of(terms, core.clock.now()).locked_for_peers(is_locked_for_peers).by(transports))
    }

    /// Asks the backbone for the terms of an own token, and keeps the answer. The lock is held from the question on: an answer from before a
    /// change must not be kept after it.
    pub(super) async fn ask_for_terms(&self, id: &TokenId) -> Result<BackboneTerms> {
        let core = self.core();
        let _changing = core.held.changing.hold(id.clone()).await;
        let terms = core.account.session().token_terms(id).await?;
        self.note(id, &terms).await?;
        Ok(terms)
    }

    /// What the backbone enforces and tells of tokens.
    ///
    /// # Errors
    /// Those of the backbone.
    pub async fn services(&self) -> Result<TokenServices> {
        Ok(self.core().account.token_services().await?.into())
    }

    /// Changes terms of an own token: at the backbone and at this node; the expiry also at the other devices of the identity when they
    /// synchronize. Those who have loaded the token before may do so for 30 days after any expiry. Peers that load
    /// the token from this node are counted by the backbone, too.
    ///
    /// The backbone comes first; it is not asked if only `label`, `notify` and `transports` change. If the change fails afterwards, it is to
    /// be repeated. Transfers by a path that is not permitted any more end; addresses that the content at the backbone tells stay there.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] if nothing is to be changed, for terms that nobody could enforce, and for an expiry that is not in the future or a
    /// beginning that is not before the expiry, [`Error::RecordNotFound`] if it is not known here, [`Error::NotSupported`] for a peer's token, for one that is
    /// revoked, for `transports` that limit peers, or of one with terms, if another device has made it, and if the backbone cannot do it; the backbone's errors.
    #[instrument(skip_all, fields(token = short(id)))]
    pub async fn update_token(&self, id: &TokenId, request: UpdateToken) -> Result<ChangedToken> {
        let core = self.core();
        check_some(&request)?;
        check_allowed(request.allow)?;
        check_stored(request.transports)?;
        if let Some(expires_at) = request.expires_at {
            check_future(expires_at, &*core.clock)?;
        }
        self.check_own(id)?;
        if let Some(transports) = request.transports {
            let record = self.record(id)?;
            if (record.has_terms || transports.limit_peers()) && is_of_other_device(core, &record) {
                return Err(Error::NotSupported(ENFORCED_ELSEWHERE.to_owned()));
            }
        }
        // A rotation takes the terms over before it has ended the token: no change may come in between, and be lost.
        let _rotating = core.held.rotating.hold(id.clone()).await;
        let _changing = core.held.changing.hold(id.clone()).await;
        let enforced = request.enforced();
        if let Some(change) = &enforced {
            self.change_enforced(id, &request, change).await?;
        }
        let held = match request.transports {
            Some(transports) if transports.limit_peers() => self.to_be_held(id).await?,
            _ => None,
        };
        self.store_notes(id, &request, held).await?;
        info!("the terms of a token were changed");
        let path = |is_changed| if is_changed { TokenPath::Changed } else { TokenPath::Unchanged };
        let at_backbone = enforced.is_some();
        let changed = self.changed(id, path(at_backbone), path(at_backbone || request.transports.is_some())).await?;
        core.events.publish(Event::TokenChanged(Box::new(changed.token.clone())));
        Ok(changed)
    }

    /// Changes what the backbone enforces, and then what this node does.
    async fn change_enforced(&self, id: &TokenId, request: &UpdateToken, change: &ChangeTokenTerms) -> Result<()> {
        let core = self.core();
        check_beginning(request.not_before.flatten(), request.expires_at.unwrap_or(self.record(id)?.expires_at))?;
        check_services(core, NO_CHANGE).await?;
        check_not_revoked(&core.store.view(), id)?;
        // Peers are counted before the backbone has the new terms. Without a limit it grants all uses.
        let is_counted_before = if request.limits() { self.count_uses(id, true).await? } else { true };
        let terms = match core.account.session().change_token_terms(id, change).await {
            Ok(terms) => terms,
            Err(error) => {
                // What the backbone may have changed stays counted.
                if !is_counted_before && error.failure().is_refusal() {
                    self.count_uses(id, false).await?;
                }
                return Err(error.into());
            }
        };
        self.note(id, &terms).await?;
        if let Some(at) = terms.revoked_at {
            // Another device has revoked it.
            self.close(id, at).await?;
            return Err(Error::NotSupported(IS_REVOKED.to_owned()));
        }
        self.store_expiry(id, terms.expires_at).await
    }

    /// Says whether the backbone is asked about each use of the token that a peer makes here, and returns whether it was before.
    async fn count_uses(&self, id: &TokenId, is_counted: bool) -> Result<bool> {
        let count = |view: &View<'_>| {
            let mut batch = Batch::new();
            let mut edit = Edit::of(view, &mut batch)?;
            let before = edit.count_uses(id, is_counted)?;
            edit.finish()?;
            Ok((batch, before))
        };
        self.core().store.change(count).await
    }

    /// Keeps what only this device knows, and serves peers by it from now on.
    async fn store_notes(&self, id: &TokenId, request: &UpdateToken, held: Option<HeldToken>) -> Result<()> {
        let (core, now) = (self.core(), self.core().clock.now());
        let store = |view: &View<'_>| {
            let before = TokenSettings::stored(view, id)?;
            let mut settings = before.clone();
            if let Some(label) = &request.label {
                settings.label = label.clone().filter(|label| !label.is_empty());
            }
            settings.notify = request.notify.or(settings.notify);
            let object = view.object(collection::TOKENS, id.as_str())?.ok_or(Error::RecordNotFound("Token"))?;
            let mut batch = Batch::new();
            if let Some(transports) = request.transports {
                settings.transports = Some(transports).filter(|transports| *transports != TokenTransports::ALL);
                let known = HeldToken::stored(view, id)?;
                let file = known.as_ref().or(held.as_ref()).map(|held| held.file.clone());
                let mut edit = Edit::of(view, &mut batch)?;
                match held.filter(|_| known.is_none()) {
                    Some(held) => edit.add(id, &held.given_by(transports), now)?,
                    None => edit.give_by(id, transports)?,
                }
                edit.finish()?;
                if transports.limit_peers() {
                    leave_to_this_device(&mut batch, object);
                    let limit = |file| held::leave_to_this_device(core, (view, &mut batch), &file);
                    file.map(limit).transpose()?;
                }
            }
            if settings != before {
                settings.changed(now).put(&mut batch, id)?;
            }
            Ok((batch, ()))
        };
        self.core().change(store).await
    }

    /// What is held of a token of an own file that was not held before, because peers were off; none for others.
    async fn to_be_held(&self, id: &TokenId) -> Result<Option<HeldToken>> {
        let core = self.core();
        let record = self.record(id)?;
        if HeldToken::stored(&core.store.view(), id)?.is_some() {
            return Ok(None);
        }
        let Some(file) = token::shared_file(&core.store.view(), record.content.as_str())? else { return Ok(None) };
        let settings = TokenSettings::stored(&core.store.view(), id)?;
        let sealed = TokenJson::stored(record.content.to_value()).seal(&record.secret_key);
        let hash = token::password_hash(record.password_protection.as_ref()).await;
        let held = HeldToken::new(file, (record.created_at, record.expires_at), sealed);
        let held = held.limited(record.for_identity, hash);
        Ok(Some(held.used_within(settings.not_before, settings.max_downloads.is_some())))
    }

    /// Revokes an own token: nobody else gets it any more, neither from the backbone nor from this node, not even those who have
    /// loaded it before. Transfers by it from this node to peers end. Whoever has loaded it before knows the key of its file, and
    /// loads that from the backbone until the file is deleted. The token stays in the list. Revoking it again changes nothing.
    ///
    /// This node comes first. If the backbone fails afterwards, the token is not shown as revoked, and the call is to be repeated.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, [`Error::NotSupported`] for a peer's token and if the backbone cannot do it
    /// (then nothing is changed), and the backbone's errors.
    #[instrument(skip_all, fields(token = short(id)))]
    pub async fn revoke_token(&self, id: &TokenId) -> Result<ChangedToken> {
        let core = self.core();
        self.check_own(id)?;
        check_services(core, NO_REVOCATION).await?;
        let _changing = core.held.changing.hold(id.clone()).await;
        self.begin_revocation(id).await?;
        let (backbone, at) = match core.account.session().revoke_token(id).await {
            Ok(terms) => {
                self.note(id, &terms).await?;
                (TokenPath::Revoked, terms.revoked_at.unwrap_or_else(|| core.clock.now()))
            }
            Err(error) if error.is_record_not_found() => (TokenPath::Gone, core.clock.now()),
            Err(error) => return Err(error.into()),
        };
        self.close(id, at).await?;
        info!("a token was revoked");
        let changed = self.changed(id, backbone, TokenPath::Revoked).await?;
        core.events.publish(Event::TokenRevoked(Box::new(changed.token.clone())));
        Ok(changed)
    }

    pub(super) fn core(&self) -> &Core {
        &self.node.core
    }

    pub(super) fn check_own(&self, id: &TokenId) -> Result<()> {
        if self.record(id)?.is_own { Ok(()) } else { Err(Error::NotSupported(NOT_OWN.to_owned())) }
    }

    /// Keeps what the backbone says of terms and uses, for as long as the token is stored. Peers are served by these terms from then on.
    /// The caller has held [`changing`](crate::core::Core::held) since before the backbone was asked.
    async fn note(&self, id: &TokenId, terms: &BackboneTerms) -> Result<()> {
        let now = self.core().clock.now();
        let note = |view: &View<'_>| {
            let mut batch = Batch::new();
            let mut edit = Edit::of(view, &mut batch)?;
            edit.use_within(id, terms.not_before, terms.max_uses.is_some())?;
            edit.finish()?;
            let Some(object) = view.object(collection::TOKENS, id.as_str())? else { return Ok((batch, false)) };
            let before = TokenSettings::stored(view, id)?;
            let after = before.clone().refreshed(terms, now);
            if after != before {
                after.put(&mut batch, id)?;
            }
            // Whoever has set them: the other devices must not give what is counted elsewhere.
            if terms.not_before.is_some() || terms.max_uses.is_some() {
                leave_to_this_device(&mut batch, object);
            }
            Ok((batch, after != before && after.is_to_be_told_after(&before)))
        };
        if self.core().change(note).await? {
            let uses = terms.committed_uses.saturating_add(terms.leased_uses);
            let remaining = terms.max_uses.map(|most| most.saturating_sub(uses));
            let token = Box::new(self.token(id).await?);
            self.core().events.publish(Event::TokenUsed { token, uses, remaining });
        }
        Ok(())
    }

    /// From now on this node gives it to nobody.
    async fn begin_revocation(&self, id: &TokenId) -> Result<()> {
        let now = self.core().clock.now();
        let begin = |view: &View<'_>| {
            let mut batch = Batch::new();
            if Revocation::stored(view, id)?.is_none() {
                view.object(collection::TOKENS, id.as_str())?.ok_or(Error::RecordNotFound("Token"))?;
                Revocation { at: now, is_complete: false }.put(&mut batch, id)?;
            }
            Ok((batch, ()))
        };
        self.core().change(begin).await
    }

    /// The backbone has revoked it.
    async fn close(&self, id: &TokenId, at: Timestamp) -> Result<()> {
        let close = |view: &View<'_>| {
            let mut batch = Batch::new();
            if Revocation::stored(view, id)?.is_some_and(|revocation| revocation.is_complete) {
                return Ok((batch, ()));
            }
            let object = view.object(collection::TOKENS, id.as_str())?;
            let mut object = object.ok_or(Error::RecordNotFound("Token"))?;
            let over = at.min(self.core().clock.now());
            if token::stored(view, id)?.is_some_and(|record| record.expires_at > over) {
                object.properties.insert(EXPIRES_AT.to_owned(), over.to_string().into());
                batch.record_update(object);
            }
            Revocation { at, is_complete: true }.put(&mut batch, id)?;
            Ok((batch, ()))
        };
        self.core().change(close).await
    }

    async fn store_expiry(&self, id: &TokenId, expires_at: Timestamp) -> Result<()> {
        let now = self.core().clock.now();
        let store = |view: &View<'_>| {
            check_not_revoked(view, id)?;
            let object = view.object(collection::TOKENS, id.as_str())?;
            let mut object = object.ok_or(Error::RecordNotFound("Token"))?;
            let mut batch = Batch::new();
            let expiry = serde_json::Value::from(expires_at.to_string());
            if object.properties.insert(EXPIRES_AT.to_owned(), expiry.clone()) != Some(expiry) {
                TokenSettings::stored(view, id)?.changed(now).put(&mut batch, id)?;
            }
            let mut edit = Edit::of(view, &mut batch)?;
            edit.expire_at(id, expires_at)?;
            edit.finish()?;
            batch.record_update(object);
            Ok((batch, ()))
        };
        self.core().change(store).await
    }

    async fn changed(&self, id: &TokenId, backbone: TokenPath, peers: TokenPath) -> Result<ChangedToken> {
        let token = self.token(id).await?;
        let is_offered = held::is_offered(self.core(), id)?;
        Ok(ChangedToken { token, backbone, peers: if is_offered { peers } else { TokenPath::NotOffered } })
    }
}

/// Whether another device of the identity has made the token, and with it keeps and enforces what no other device knows.
pub(super) fn is_of_other_device(core: &Core, record: &TokenRecord) -> bool {
    record.created_by_device != *core.account.device_id()
}

/// Has the other devices of the identity serve a token no more, because they do not know its terms.
fn leave_to_this_device(batch: &mut Batch, mut object: Object) {
    if object.properties.get(HAS_TERMS) != Some(&true.into()) {
        object.properties.insert(HAS_TERMS.to_owned(), true.into());
        batch.record_update(object);
    }
}

/// Members of the object.
const EXPIRES_AT: &str = "expiresAt";
const HAS_TERMS: &str = "hasTerms";

pub(super) async fn check_services(core: &Core, otherwise: &str) -> Result<()> {
    let services = core.account.token_services().await?;
    match services.is_some_and(|services| services.terms) {
        true => Ok(()),
        false => Err(Error::NotSupported(otherwise.to_owned())),
    }
}

pub(super) fn check_not_revoked(view: &View<'_>, id: &TokenId) -> Result<()> {
    match Revocation::stored(view, id)? {
        Some(_) => Err(Error::NotSupported(IS_REVOKED.to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use backbone_mock::Backbone;
    use backbone_mock::fault::{Fault, Faults, Matching};
    use http::{Method, StatusCode};

    use super::*;
    use crate::clock::SystemClock;
    use crate::config::{BackboneConfig, Config, PeerConfig, Secret};
    use transport::wire::FileId;

    use crate::facade::{CreateTokenForFile, FilesFacade, NewTerms, Node, UploadOwnFile};
    use crate::store::{Store, StoreKeySource};
    use crate::sync::Synchronizer;

    /// A node that offers its tokens to peers, if it has any.
    pub(in crate::facade) async fn node(directory: &Path, backbone: &Backbone, peers: Option<PeerConfig>) -> Arc<Node> {
        std::fs::create_dir_all(directory).unwrap();
        let settings = BackboneConfig::new(backbone.url(), "test", Secret::new("test"));
        let config = Config::new(directory, settings);
        let key = StoreKeySource::File(directory.join("store.key"));
        let store = Arc::new(Store::open_in(directory, &key, true).unwrap());
        let account = crate::account::load_or_create(&config, &store, &SystemClock).await.unwrap();
        let mut core = Core::new(config, Arc::new(SystemClock), store, account, directory.join("tmp"));
        Arc::get_mut(&mut core).unwrap().config.peers = peers;
        Arc::new(Node { core, sync: Synchronizer::idle(), server: None })
    }

    /// A backbone, and what makes it fail.
    pub(in crate::facade) async fn backbone(directory: &Path) -> (Backbone, Faults) {
        let faults = Faults::new();
        let mut config = backbone_mock::Config::new(directory.join("backbone")).with_client("test", "test");
        config.faults = Some(faults.clone());
        (Backbone::start(config).await.unwrap(), faults)
    }

    async fn upload(node: &Arc<Node>) -> FileId {
        let request = UploadOwnFile::new(&b"x"[..], "a".parse().unwrap(), "text/plain".parse().unwrap());
        FilesFacade::new(node.clone()).upload_own_file(request).await.unwrap().id
    }

    fn by_store() -> CreateTokenForFile {
        let terms = NewTerms { transports: Some("store".parse().unwrap()), ..NewTerms::default() };
        CreateTokenForFile { terms, ..CreateTokenForFile::default() }
    }

    #[tokio::test]
    async fn a_token_whose_paths_another_device_keeps_is_rotated_and_changed_there() {
        let directory = tempfile::tempdir().unwrap();
        let (backbone, _) = backbone(directory.path()).await;
        let node = node(&directory.path().join("node"), &backbone, Some(PeerConfig::default())).await;
        let (file, tokens) = (upload(&node).await, TokensFacade::new(node.clone()));
        let files = FilesFacade::new(node.clone());
        let [here, there] = [(); 2].map(|()| files.create_token_for_file(&file, by_store()));
        let (here, there) = (here.await.unwrap(), there.await.unwrap());
        let mut batch = Batch::new();
        let mut object = node.core.store.object(collection::TOKENS, there.id.as_str()).unwrap().unwrap();
        object.properties.insert("createdByDevice".to_owned(), "DVCotherotherother12".into());
        batch.put_object(object);
        node.core.store.commit(batch).await.unwrap();
        let refused = tokens.rotate_token(&there.id).await.unwrap_err();
        assert!(refused.to_string().contains("on the device that made it"), "{refused}");
        let change = UpdateToken { transports: Some(TokenTransports::ALL), ..UpdateToken::default() };
        let refused = tokens.update_token(&there.id, change).await.unwrap_err();
        assert!(refused.to_string().contains("change it there"), "{refused}");
        let label = UpdateToken { label: Some(Some("a".parse().unwrap())), ..UpdateToken::default() };
        tokens.update_token(&there.id, label).await.unwrap();
        assert_eq!(tokens.rotate_token(&here.id).await.unwrap().token.transports, by_store().terms.transports);
    }

    #[tokio::test]
    async fn a_token_with_paths_is_held_while_peers_are_off() {
        let directory = tempfile::tempdir().unwrap();
        let (backbone, _) = backbone(directory.path()).await;
        let node = node(&directory.path().join("node"), &backbone, None).await;
        let (file, tokens) = (upload(&node).await, TokensFacade::new(node.clone()));
        let files = FilesFacade::new(node.clone());
        let held = |id| HeldToken::stored(&node.core.store.view(), id).unwrap().map(|held| held.file);
        let limited = files.create_token_for_file(&file, by_store()).await.unwrap();
        assert_eq!(held(&limited.id), Some(file.clone()));
        let token = files.create_token_for_file(&file, CreateTokenForFile::default()).await.unwrap();
        assert_eq!(held(&token.id), None);
        let change = UpdateToken { transports: by_store().terms.transports, ..UpdateToken::default() };
        let changed = tokens.update_token(&token.id, change).await.unwrap();
        assert_eq!((changed.peers, held(&token.id)), (TokenPath::NotOffered, Some(file)));
    }

    #[tokio::test]
    async fn peers_are_counted_after_a_change_that_may_have_happened_and_not_after_a_refused_one() {
        let directory = tempfile::tempdir().unwrap();
        let (backbone, faults) = backbone(directory.path()).await;
        let node = node(&directory.path().join("node"), &backbone, Some(PeerConfig::default())).await;
        let files = FilesFacade::new(node.clone());
        let file = upload(&node).await;
        let token = files.create_token_for_file(&file, CreateTokenForFile::default()).await.unwrap();
        let is_counted = || HeldToken::stored(&node.core.store.view(), &token.id).unwrap().unwrap().is_counted;
        for (fault, expected) in [
            (Fault::RefuseBefore(StatusCode::BAD_REQUEST), false),
            (Fault::DropBefore, true),
            // It was before.
            (Fault::RefuseBefore(StatusCode::BAD_REQUEST), true),
        ] {
            faults.inject(Matching::path("/Terms").method(Method::PATCH).times(1), fault);
            let limit = UpdateToken { max_downloads: Some(Some(1.try_into().unwrap())), ..UpdateToken::default() };
            assert!(TokensFacade::new(node.clone()).update_token(&token.id, limit).await.is_err());
            assert_eq!(is_counted(), expected);
        }
    }
}
