//! What this device keeps of an own token beside the synchronized object: what its creator settled beyond the published protocol, and
//! what is known of its uses, so that lists show it without asking the backbone.
//!
//! It is a value of this device, because the schema of the object has no members for it: other devices and published clients see the
//! ordinary token only.
//!
//! ```text
//! TokenSettings/<token>  label, terms and paths as they were set last, last known uses, whether and where it is locked, the token that replaces it
//! ```

use serde::{Deserialize, Serialize};
use transport::access::LEASE;
use transport::wire::backbone::token_terms::TokenTerms;
use transport::wire::{Timestamp, TokenId};

use super::given;
use crate::Error;
use crate::dto::{self, MaxDownloads, Notify, TokenLabel, TokenServices, TokenTransport, TokenTransports};
use crate::storage::Endpoints;
use crate::store::token_values::SETTINGS;
use crate::store::{Batch, StoreError, View, collection};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What a creator settles for a new token beyond the published protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewTerms {
    /// A note for this identity, kept on this device beside the token. One that is not stored has it in this answer only.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given::new::label")]
    pub label: Option<TokenLabel>,
    /// From when on others can load it; before its expiry. Needs a backbone with terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// How often others can load it. Needs a backbone with terms, which counts also if the token is not stored here.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given::new::max_downloads")]
    pub max_downloads: Option<MaxDownloads>,
    /// With [`max_downloads`](Self::max_downloads): whether a use counts as soon as it is begun, so that it is never given back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_uses: bool,
    /// Of which uses this identity is told, on this device; of none if absent. For tokens of a backbone that are stored here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// By which paths others may load it; by all if absent. This node enforces those between peers.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given::new::transports")]
    pub transports: Option<TokenTransports>,
    /// What its content may be asked for. Nobody could enforce less than everything: whoever loads the token has the key of its content.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "given::new::allow")]
    pub allow: Option<Endpoints>,
}

impl NewTerms {
    /// Whether a backbone has to enforce something that the published protocol does not have.
    pub(crate) fn are_enforced(&self) -> bool {
        self.not_before.is_some() || self.max_downloads.is_some()
    }

    /// Whether it depends on the backbone what becomes of them.
    #[must_use]
    pub fn depend_on_backbone(&self) -> bool {
        self.are_enforced() || self.are_told()
    }

    /// Whether this identity wants to be told of uses.
    fn are_told(&self) -> bool {
        self.notify.is_some_and(|notify| !notify.is_none())
    }

    /// Refuses what a backbone that offers this cannot enforce or tell, and what nobody could enforce: for callers that upload a file for the
    /// token first, too. Without terms that [depend on the backbone](Self::depend_on_backbone) it does not matter what that offers.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] and [`Error::NotSupported`].
    pub fn check(&self, services: &TokenServices) -> Result<(), Error> {
        self.check_at_backbone()?;
        if services.terms || !self.depend_on_backbone() {
            return Ok(());
        }
        let missing = if self.are_enforced() { NO_TERMS } else { NO_NOTICES };
        Err(Error::NotSupported(missing.to_owned()))
    }

    /// Whether a use counts as soon as it is begun: that says something of a limit only.
    pub(crate) fn are_strict(&self) -> bool {
        self.strict_uses && self.max_downloads.is_some()
    }

    /// The paths by which others may load it.
    pub(crate) fn paths(&self) -> TokenTransports {
        self.transports.unwrap_or_default()
    }

    /// Whether other devices of the identity must leave the token to this one, because they do not know its terms.
    pub(crate) fn are_of_this_device(&self) -> bool {
        self.are_enforced() || self.paths().limit_peers()
    }

    /// Refuses what nobody could enforce of a token that a backbone has.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`].
    pub(crate) fn check_at_backbone(&self) -> Result<(), Error> {
        check_allowed(self.allow)?;
        check_stored(self.transports)
    }

    /// Refuses to tell of uses of a token that is not stored: the backbone is asked only about those that are.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`].
    pub(crate) fn check_ephemeral(&self) -> Result<(), Error> {
        match self.are_told() {
            true => Err(Error::InvalidPropertyValue(NOT_ASKED.to_owned())),
            false => Ok(()),
        }
    }

    /// Refuses what nobody could enforce of a token that no backbone has, and one that nobody could load.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`].
    pub(crate) fn check_shared_directly(&self) -> Result<(), Error> {
        check_allowed(self.allow)?;
        match self.paths().reach_peers() {
            true => Ok(()),
            false => Err(Error::InvalidPropertyValue(NO_PEERS.to_owned())),
        }
    }
}

const NO_TERMS: &str = "The backbone cannot limit how often a token is used, nor from when on; leave out 'maxDownloads' and 'notBefore', or \
                        use a backbone that has terms of tokens.";
const NO_NOTICES: &str =
    "The backbone does not tell how a token was used; leave out 'notify', or use a backbone that has terms of tokens.";
const NOT_ASKED: &str = "'notify' would tell nothing, because nobody asks the backbone how an ephemeral token was used; leave out 'notify', or make the \
                         token not ephemeral; one that is answered as a picture always is.";
/// What is said of a backbone that does not tell uses.
pub(crate) const NOT_TOLD: &str = "The backbone does not tell how a token was used.";
const NO_PEERS: &str = "'transports' must contain direct or relay, because no backbone has a file that is shared without one; add one of them, \
                        or upload the file and share that";
const NO_STORE: &str = "'transports' must contain store, because the backbone has the token and gives it to everybody who may load it; add store, or \
                        share the file without a backbone: POST Files/Direct, or `enlace share --direct-only`";
const NOT_ALLOWED: &str = "'allow' must be view, preview and download, because whoever loads a token of the protocol opens its content without asking \
                           anybody what for; leave it out, or use a token of /v1, by which this node shows the content itself";

/// Refuses a limit of what a content may be asked for.
///
/// # Errors
/// [`Error::InvalidPropertyValue`].
pub(crate) fn check_allowed(allow: Option<Endpoints>) -> Result<(), Error> {
    match allow.unwrap_or_default() == Endpoints::ALL {
        true => Ok(()),
        false => Err(Error::InvalidPropertyValue(NOT_ALLOWED.to_owned())),
    }
}

/// Refuses paths without the backbone, for a token that it has.
///
/// # Errors
/// [`Error::InvalidPropertyValue`].
pub(crate) fn check_stored(transports: Option<TokenTransports>) -> Result<(), Error> {
    match transports.unwrap_or_default().contain(TokenTransport::Store) {
        true => Ok(()),
        false => Err(Error::InvalidPropertyValue(NO_STORE.to_owned())),
    }
}

/// What this device keeps of an own token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenSettings {
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<TokenLabel>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<Timestamp>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_downloads: Option<MaxDownloads>,
    /// Of tokens that an earlier version made it is known once their terms were asked for.
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) strict_uses: bool,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub(crate) notify: Option<Notify>,
    /// None before they were asked for.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(crate) uses: Option<KnownUses>,
    /// The highest number of uses that was ever told. A use that is given back does not lower it.
    #[serde(rename = "o", default, skip_serializing_if = "is_zero")]
    pub(crate) told: u32,
    /// The token that replaces it.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotation: Option<Rotation>,
    /// Whether too many wrong passwords have locked it, as far as this device was told.
    #[serde(rename = "k", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_locked: bool,
    /// Whether wrong passwords of peers have locked it at this node, which counts them for itself.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_locked_for_peers: bool,
    /// When something of it was changed last, as far as this device knows: its expiry, or one of these settings that its creator chooses.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed_at: Option<Timestamp>,
    /// By which paths others may load it; absent for all. The node enforces what is held beside the token ([`crate::held`]).
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(crate) transports: Option<TokenTransports>,
}

/// A token that replaces another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotation {
    /// The new token.
    #[serde(rename = "t")]
    pub(crate) to: TokenId,
    /// How often the old one was used when its uses were carried over.
    #[serde(rename = "u")]
    pub(crate) used: u32,
    /// How many uses were carried over; none without a limit.
    #[serde(rename = "m")]
    pub(crate) limit: Option<MaxDownloads>,
    /// Whether the old one has ended, and what was used of it meanwhile was taken off the new one.
    #[serde(rename = "c")]
    pub(crate) is_complete: bool,
}

/// How often a token was used when the side that counts was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownUses {
    /// Uses that count for ever.
    #[serde(rename = "c")]
    pub(crate) committed: u32,
    /// Uses that are open.
    #[serde(rename = "l")]
    pub(crate) leased: u32,
    /// When its content was sent last.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_read_at: Option<Timestamp>,
    /// Since when that is known; with open uses, when it was told last.
    #[serde(rename = "a")]
    pub(crate) at: Timestamp,
}

impl KnownUses {
    /// Open uses that may still be open. A lease ends by itself, and nobody tells that it has.
    pub(crate) fn leased_at(&self, now: Timestamp) -> u32 {
        if self.next_end(now).is_some() { self.leased } else { 0 }
    }

    /// When the last of the open uses ends unless it is renewed; none if that is over.
    pub(crate) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.at.saturating_add(LEASE)).filter(|end| self.leased > 0 && *end > now)
    }

    fn all(self) -> u32 {
        self.committed.saturating_add(self.leased)
    }

    fn are_none(&self) -> bool {
        (self.committed, self.leased, self.last_read_at) == (0, 0, None)
    }
}

/// How settings are written, by the version of the form.
#[derive(Serialize, Deserialize)]
enum Stored<T> {
    #[serde(rename = "1")]
    V1(T),
}

impl TokenSettings {
    /// Those of a new token.
    pub(crate) fn of(terms: &NewTerms) -> Self {
        Self {
            label: terms.label.clone().filter(|label| !label.is_empty()),
            not_before: terms.not_before,
            max_downloads: terms.max_downloads,
            strict_uses: terms.are_strict(),
            notify: terms.notify,
            transports: terms.transports.filter(|transports| *transports != TokenTransports::ALL),
            ..Self::default()
        }
    }

    /// Those of a token; without any if nothing is kept of it.
    pub(crate) fn stored(view: &View<'_>, id: &TokenId) -> Result<Self> {
        let stored: Option<Stored<Self>> = view.value(&name(id))?;
        Ok(stored.map(|Stored::V1(settings)| settings).unwrap_or_default())
    }

    /// Keeps them; those that say nothing are removed.
    pub(crate) fn put(&self, batch: &mut Batch, id: &TokenId) -> Result<()> {
        match *self == Self::default() {
            true => batch.remove_value(&name(id)),
            false => batch.put_value(&name(id), &Stored::V1(self))?,
        };
        Ok(())
    }

    /// Forgets them, with their token.
    pub(crate) fn remove(batch: &mut Batch, id: &TokenId) {
        batch.remove_value(&name(id));
    }

    /// With what the side that counts says.
    pub(crate) fn refreshed(self, terms: &TokenTerms, now: Timestamp) -> Self {
        let uses = KnownUses {
            committed: terms.committed_uses,
            leased: terms.leased_uses,
            last_read_at: terms.last_read_at,
            at: now,
        };
        // Leases that are told again may have been renewed.
        let known = self.uses.filter(|known| known.leased == 0 && KnownUses { at: now, ..*known } == uses);
        let refreshed = Self {
            not_before: terms.not_before,
            max_downloads: terms.max_uses.and_then(|most| u64::from(most).try_into().ok()),
            strict_uses: terms.strict_uses,
            uses: known.or(Some(uses)).filter(|uses| self.uses.is_some() || !uses.are_none()),
            is_locked: terms.is_locked,
            told: self.most_uses().max(uses.all()),
            ..self
        };
        let has_same_terms = (refreshed.not_before, refreshed.max_downloads) == (self.not_before, self.max_downloads);
        if has_same_terms { refreshed } else { refreshed.changed(now) }
    }

    /// With the time of a change by its creator.
    #[must_use]
    pub(crate) fn changed(self, now: Timestamp) -> Self {
        Self { changed_at: Some(now), ..self }
    }

    /// What keeps that a token was locked or unlocked, for as long as it is stored.
    pub(crate) fn locking(view: &View<'_>, id: &TokenId, is_locked: bool) -> Result<Batch> {
        let mut batch = Batch::new();
        let before = Self::stored(view, id)?;
        if before.is_locked != is_locked && view.object(collection::TOKENS, id.as_str())?.is_some() {
            Self { is_locked, ..before }.put(&mut batch, id)?;
        }
        Ok(batch)
    }

    /// What keeps that a token is unlocked, at the backbone and for peers.
    pub(crate) fn unlocking(view: &View<'_>, id: &TokenId) -> Result<Batch> {
        let mut batch = Batch::new();
        let before = Self::stored(view, id)?;
        let after = Self { is_locked: false, is_locked_for_peers: false, ..before.clone() };
        if after != before {
            after.put(&mut batch, id)?;
        }
        Ok(batch)
    }

    /// Keeps, beside other changes, whether peers are locked out, for as long as the token is stored.
    pub(crate) fn lock_for_peers(batch: &mut Batch, view: &View<'_>, id: &TokenId, is_locked: bool) -> Result<()> {
        let before = Self::stored(view, id)?;
        if before.is_locked_for_peers != is_locked && view.object(collection::TOKENS, id.as_str())?.is_some() {
            Self { is_locked_for_peers: is_locked, ..before }.put(batch, id)?;
        }
        Ok(())
    }

    /// Whether its creator wants to be told of what was used since `before`: of the first use once, although it may be given back.
    pub(crate) fn is_to_be_told_after(&self, before: &Self) -> bool {
        let all = |settings: &Self| settings.uses.map_or(0, KnownUses::all);
        match self.notify.unwrap_or_default() {
            Notify::None => false,
            Notify::First => before.most_uses() == 0 && self.most_uses() > 0,
            Notify::Each => all(self) > all(before),
        }
    }

    /// The most uses that this device has known of at a time. What an earlier version kept has the last ones only.
    pub(crate) fn most_uses(&self) -> u32 {
        self.told.max(self.uses.map_or(0, KnownUses::all))
    }

    /// The token with what is shown of them.
    pub(crate) fn show_in(self, token: dto::Token) -> dto::Token {
        let Self { label, not_before, max_downloads, strict_uses, notify, transports, .. } = self;
        dto::Token { label, not_before, max_downloads, strict_uses, notify, transports, ..token }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn name(id: &TokenId) -> String {
    format!("{SETTINGS}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreKeySource};

    fn time(milliseconds: i64) -> Timestamp {
        Timestamp::from_unix_milliseconds(milliseconds)
    }

    fn terms() -> NewTerms {
        NewTerms {
            label: Some("for Bob".parse().unwrap()),
            not_before: Some(time(5)),
            max_downloads: Some(3.try_into().unwrap()),
            strict_uses: true,
            notify: Some(Notify::First),
            transports: Some("relay,store".parse().unwrap()),
            allow: Some(Endpoints::ALL),
        }
    }

    #[tokio::test]
    async fn settings_are_read_as_they_were_kept_and_those_that_say_nothing_are_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        let id: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let uses = Some(KnownUses { committed: 1, leased: 2, last_read_at: None, at: time(9) });
        let rotation = Some(Rotation { to: id.clone(), used: 1, limit: None, is_complete: true });
        let of_terms = TokenSettings::of(&terms());
        let full =
            TokenSettings { uses, rotation, told: 4, is_locked: true, changed_at: Some(time(7)), ..of_terms.clone() };
        let locked = TokenSettings { is_locked: true, ..TokenSettings::default() };
        let locked_for_peers = TokenSettings { is_locked_for_peers: true, ..TokenSettings::default() };
        for settings in [
            full,
            of_terms,
            locked,
            locked_for_peers,
            TokenSettings::default().changed(time(8)),
            TokenSettings::default(),
        ] {
            let mut batch = Batch::new();
            settings.put(&mut batch, &id).unwrap();
            store.commit(batch).await.unwrap();
            assert_eq!(TokenSettings::stored(&store.view(), &id).unwrap(), settings);
            let is_kept = !store.view().value_names(SETTINGS, SETTINGS, 9).unwrap().is_empty();
            assert_eq!(is_kept, settings != TokenSettings::default());
        }
    }

    #[test]
    fn what_the_backbone_says_of_terms_and_uses_counts_and_the_rest_stays() {
        let said = TokenTerms {
            expires_at: time(100),
            not_before: None,
            max_uses: Some(7),
            strict_uses: true,
            committed_uses: 4,
            leased_uses: 1,
            failed_attempts: 100,
            is_locked: true,
            revoked_at: None,
            last_read_at: Some(time(8)),
        };
        let settings = TokenSettings::of(&terms()).refreshed(&said, time(9));
        let uses = KnownUses { committed: 4, leased: 1, last_read_at: Some(time(8)), at: time(9) };
        assert_eq!(
            settings,
            TokenSettings {
                label: terms().label,
                not_before: None,
                max_downloads: Some(7.try_into().unwrap()),
                strict_uses: true,
                notify: Some(Notify::First),
                uses: Some(uses),
                rotation: None,
                is_locked: true,
                is_locked_for_peers: false,
                changed_at: Some(time(9)),
                transports: terms().transports,
                told: 5,
            }
        );
        let unlocked = settings.clone().refreshed(&TokenTerms { is_locked: false, ..said.clone() }, time(10));
        assert!(!unlocked.is_locked);
        assert_eq!(unlocked.changed_at, Some(time(9)), "its creator has changed nothing");
    }

    #[test]
    fn a_lease_that_was_told_is_over_after_its_time() {
        let at = |milliseconds| time(milliseconds).saturating_add(LEASE);
        let uses = KnownUses { committed: 1, leased: 2, last_read_at: None, at: time(5) };
        assert_eq!((uses.leased_at(at(4)), uses.next_end(at(4))), (2, Some(at(5))));
        assert_eq!((uses.leased_at(at(5)), uses.next_end(at(5))), (0, None));
        let none = KnownUses { leased: 0, ..uses };
        assert_eq!((none.leased_at(time(5)), none.next_end(time(5))), (0, None));
    }

    /// What a backbone says of a token without a limit that nobody has used.
    fn unused() -> TokenTerms {
        TokenTerms {
            expires_at: time(100),
            not_before: None,
            max_uses: None,
            strict_uses: false,
            committed_uses: 0,
            leased_uses: 0,
            failed_attempts: 0,
            is_locked: false,
            revoked_at: None,
            last_read_at: None,
        }
    }

    #[test]
    fn what_is_said_again_is_known_since_it_was_said_first() {
        let mut said = unused();
        assert_eq!(TokenSettings::default().refreshed(&said, time(1)), TokenSettings::default(), "nothing to keep");
        said.committed_uses = 1;
        let first = TokenSettings::default().refreshed(&said, time(2));
        assert_eq!(first.clone().refreshed(&said, time(3)), first);
        said.committed_uses = 0;
        let fewer = first.clone().refreshed(&said, time(4)).uses.unwrap();
        assert_eq!((fewer.committed, fewer.at), (0, time(4)));
        said.leased_uses = 1;
        let leased = first.refreshed(&said, time(5));
        assert_eq!(leased.refreshed(&said, time(6)).uses.unwrap().at, time(6), "a lease may have been renewed");
    }

    #[test]
    fn the_creator_is_told_of_the_uses_it_wants_to_know_of() {
        let used = |notify, committed| {
            let uses = Some(KnownUses { committed, leased: 0, last_read_at: None, at: time(1) });
            TokenSettings { notify: Some(notify), uses, ..TokenSettings::default() }
        };
        for (notify, told) in
            [(Notify::None, [false; 3]), (Notify::First, [true, false, false]), (Notify::Each, [true, true, false])]
        {
            let changes = [(0, 1), (1, 2), (2, 2)];
            assert_eq!(changes.map(|(from, to)| used(notify, to).is_to_be_told_after(&used(notify, from))), told);
        }
    }

    #[test]
    fn the_first_use_is_told_once_although_it_was_given_back() {
        let mut said = unused();
        let mut settings = TokenSettings { notify: Some(Notify::First), ..TokenSettings::default() };
        let mut told = Vec::new();
        for (at, leased) in [1, 0, 1, 2].into_iter().enumerate() {
            said.leased_uses = leased;
            let after = settings.clone().refreshed(&said, time(at as i64));
            told.push((after.is_to_be_told_after(&settings), after.told));
            settings = after;
        }
        assert_eq!(told, [(true, 1), (false, 1), (false, 1), (false, 2)]);
    }

    #[test]
    fn an_empty_label_is_none_and_only_what_somebody_enforces_needs_a_backbone() {
        let empty = NewTerms { label: Some(TokenLabel::default()), ..NewTerms::default() };
        assert_eq!(TokenSettings::of(&empty), TokenSettings::default());
        let only = NewTerms { not_before: None, max_downloads: None, ..terms() };
        assert!(!only.are_enforced() && terms().are_enforced());
        assert!(only.are_of_this_device(), "other devices do not know the paths");
        assert!(!NewTerms { transports: None, ..only }.are_of_this_device());
    }

    #[test]
    fn paths_that_nobody_could_enforce_or_use_are_refused_with_what_to_do() {
        let by = |names: &str| NewTerms { transports: Some(names.parse().unwrap()), ..NewTerms::default() };
        for (names, at_backbone, directly) in [
            ("all", true, true),
            ("store", true, false),
            ("direct,store", true, true),
            ("relay,store", true, true),
            ("direct", false, true),
            ("relay", false, true),
            ("direct,relay", false, true),
        ] {
            let (told, shared) = (by(names).check_at_backbone(), by(names).check_shared_directly());
            assert_eq!((told.is_ok(), shared.is_ok()), (at_backbone, directly), "{names}");
            for (refused, step) in [(told, "--direct-only"), (shared, "upload")] {
                assert!(refused.err().is_none_or(|error| error.to_string().contains(step)), "{names}");
            }
        }
    }

    #[test]
    fn what_a_backbone_cannot_enforce_or_tell_is_refused_before_something_is_uploaded() {
        let stored = NewTerms { transports: None, ..terms() };
        let told = NewTerms { not_before: None, max_downloads: None, ..stored.clone() };
        let labelled = NewTerms { notify: Some(Notify::None), ..told.clone() };
        let (none, all) = (TokenServices::default(), TokenServices { claims: true, terms: true });
        for (terms, expected) in [(&stored, Some("maxDownloads")), (&told, Some("does not tell")), (&labelled, None)] {
            assert!(terms.check(&all).is_ok());
            let refused = terms.check(&none).err().map(|error| error.to_string());
            assert_eq!(terms.depend_on_backbone(), expected.is_some());
            match expected {
                Some(expected) => assert!(refused.unwrap().contains(expected)),
                None => assert_eq!(refused, None),
            }
        }
    }

    #[test]
    fn of_uses_of_a_token_that_is_not_stored_nobody_is_told() {
        for (notify, is_refused) in
            [(None, false), (Some(Notify::None), false), (Some(Notify::First), true), (Some(Notify::Each), true)]
        {
            let refused = NewTerms { notify, ..terms() }.check_ephemeral().err().map(|error| error.to_string());
            let says_what_to_do = refused.as_ref().is_some_and(|told| told.contains("leave out 'notify', or make"));
            assert_eq!((refused.is_some(), says_what_to_do), (is_refused, is_refused), "{notify:?}");
        }
    }

    #[test]
    fn only_everything_can_be_allowed_of_a_content_that_its_receiver_opens() {
        let read = |allow: serde_json::Value| {
            serde_json::from_value::<NewTerms>(serde_json::json!({ "allow": allow })).map_err(|error| error.to_string())
        };
        for allow in [serde_json::json!(null), serde_json::json!(["download", "preview", "view"])] {
            let terms = read(allow).unwrap();
            assert!(terms.check_at_backbone().is_ok() && terms.check_shared_directly().is_ok());
        }
        for allow in [serde_json::json!(["view"]), serde_json::json!(["view", "preview"])] {
            let terms = read(allow).unwrap();
            for refused in [terms.check_at_backbone(), terms.check_shared_directly()] {
                assert!(refused.unwrap_err().to_string().contains("'allow' must be view, preview and download"));
            }
        }
        for wrong in [serde_json::json!([]), serde_json::json!(["edit"])] {
            assert!(read(wrong).unwrap_err().contains("must be one or more of view, preview, download"));
        }
    }
}
