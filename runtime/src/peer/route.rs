//! Which peers have what: where a node that shares a token or file can be reached, and how far that has worked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use transport::crypto::PasswordHash;
use transport::peer::{Direct, FileTarget, MAX_ADDRESSES, MultiaddrText, PeerId};
use transport::wire::{ClaimId, FileId, TokenId};

/// Routes that are remembered. The oldest one goes first; what it was for is loaded from the backbone then.
pub(crate) const MAX_ROUTES: usize = 1024;

/// For how long an origin that failed once for a file is asked after the other one; doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these times.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// For how long who has failed again after so many failures is left.
pub(super) fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(MAX_PAUSE)
}

/// The peer that shares something, and by which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where the device can be reached that made the token.
    pub(crate) direct: Direct,
    /// Other devices of its identity, which are asked when it cannot be reached; `None` if only a reference has told of it.
    pub(crate) others: Option<Vec<Direct>>,
    /// The token by which the file was found; a stranger can ask by this only.
    pub(crate) token: Option<TokenId>,
    /// What the token takes of a stranger, each time. Never stored.
    pub(crate) password: Option<PasswordHash>,
    /// The use of the token that requests by it are.
    pub(crate) claim: Option<ClaimId>,
    /// The backbone that the reference names.
    pub(crate) backbone: Option<String>,
    /// Devices whose bytes of the file were wrong, so they are not asked. Never stored.
    pub(crate) left_out: Vec<PeerId>,
}

impl Route {
    /// A route that is for nothing yet.
    pub(crate) fn to(direct: Direct) -> Self {
        Self { direct, others: None, token: None, password: None, claim: None, backbone: None, left_out: Vec::new() }
    }

    /// The route to the peer that is named in place of this one. The others know no passwords.
    pub(super) fn to_other(&self, other: &Direct) -> Self {
        Self { direct: other.clone(), others: None, password: None, ..self.clone() }
    }

    /// Other devices of the identity, if any are known.
    pub(crate) fn others(&self) -> &[Direct] {
        self.others.as_deref().unwrap_or_default()
    }

    /// The devices that can be asked, the one that made the token first. Others know no passwords.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &Direct> {
        let others = self.others().iter().filter(|_| self.password.is_none());
        std::iter::once(&self.direct).chain(others).filter(|device| !self.left_out.contains(&device.peer_id))
    }

    /// The peer that it leads to, if there is only one.
    pub(crate) fn only_peer(&self) -> Option<PeerId> {
        let mut devices = self.devices();
        let first = devices.next()?.peer_id;
        devices.next().is_none().then_some(first)
    }

    /// As what the peer is asked for a file.
    pub(crate) fn target(&self, file: &FileId) -> FileTarget {
        self.token.clone().map_or_else(|| FileTarget::File(file.clone()), FileTarget::Token)
    }

    /// What this route and an older one know together.
    fn with(mut self, older: &Self) -> Self {
        if self.direct.peer_id != older.direct.peer_id {
            return self;
        }
        let add = |texts: &mut Vec<MultiaddrText>, more: &[MultiaddrText]| {
            let new: Vec<_> = more.iter().filter(|text| !texts.contains(text)).cloned().collect();
            texts.extend(new);
            texts.truncate(MAX_ADDRESSES);
        };
        add(&mut self.direct.addresses, &older.direct.addresses);
        add(&mut self.direct.relays, &older.direct.relays);
        self.others = self.others.or_else(|| older.others.clone());
        if self.token == older.token || self.token.is_none() {
            self.password = self.password.or_else(|| older.password.clone());
            self.claim = self.claim.or_else(|| older.claim.clone());
        }
        self.token = self.token.or_else(|| older.token.clone());
        self.backbone = self.backbone.or_else(|| older.backbone.clone());
        self
    }
}

/// Who brings the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The peer of the route.
    Peer,
    /// The backbone of this node.
    Backbone,
}

/// Routes by the id of what they lead to, and what became of asking there.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    routes: HashMap<String, Entry>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    route: Route,
    peer: Standing,
    backbone: Standing,
    /// Devices of the route whose bytes were wrong.
    dropped: Vec<PeerId>,
}

/// How far an origin has worked for a file.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// Failures since something verified came from it.
    failures: u32,
    left_until: Option<Instant>,
    /// Its bytes were wrong.
    is_dropped: bool,
}

impl Routes {
    /// Remembers where a token can be loaded. Returns the id of what had to be forgotten for it.
    pub(crate) fn learn_token(&self, id: &TokenId, route: Route) -> Option<String> {
        self.learn(id.as_str(), route)
    }

    /// Remembers where a file can be loaded. Returns the id of what had to be forgotten for it.
    pub(crate) fn learn_file(&self, id: &FileId, route: Route) -> Option<String> {
        self.learn(id.as_str(), route)
    }

    /// Where a token can be loaded.
    pub(crate) fn to_token(&self, id: &TokenId) -> Option<Route> {
        self.get(id.as_str())
    }

    /// Where a file can be loaded.
    pub(crate) fn to_file(&self, id: &FileId) -> Option<Route> {
        self.get(id.as_str())
    }

    /// Forgets where a file can be loaded.
    pub(crate) fn forget_file(&self, id: &FileId) {
        self.forget(id.as_str());
    }

    /// Forgets where a token can be loaded.
    pub(crate) fn forget_token(&self, id: &TokenId) {
        self.forget(id.as_str());
    }

    fn forget(&self, id: &str) {
        let mut known = self.known();
        if known.routes.remove(id).is_some() {
            known.order.retain(|known| known != id);
        }
    }

    /// Whom to ask for a file, in this order: the peer first, but whoever failed lately after the other one, and nobody whose
    /// bytes were wrong.
    pub(crate) fn origins(&self, id: &FileId, now: Instant) -> Vec<Origin> {
        let known = self.known();
        let Some(entry) = known.routes.get(id.as_str()) else { return vec![Origin::Backbone] };
        let standing = |origin: &Origin| *entry.standing(*origin);
        let mut origins = vec![Origin::Peer, Origin::Backbone];
        origins.retain(|origin| !entry.is_dropped(*origin));
        origins.sort_by_key(|origin| standing(origin).left_until.filter(|until| *until > now));
        origins
    }

    /// Whether the first one of the [`origins`](Self::origins) of a file may be asked now.
    pub(crate) fn is_any_ready(&self, id: &FileId, now: Instant) -> bool {
        let known = self.known();
        known.routes.get(id.as_str()).is_some_and(|entry| {
            let is_ready = |standing: &Standing| standing.left_until.is_none_or(|until| until <= now);
            let mut origins = [Origin::Peer, Origin::Backbone].into_iter();
            origins.any(|origin| !entry.is_dropped(origin) && is_ready(entry.standing(origin)))
        })
    }

    /// An origin of a file failed, in a way that may pass.
    pub(crate) fn failed(&self, id: &FileId, origin: Origin, now: Instant) {
        self.change(id, origin, |standing| {
            standing.left_until = Some(now + pause_after(standing.failures));
            standing.failures = standing.failures.saturating_add(1);
        });
    }

    /// An origin of a file is not asked before this time, if there is another one.
    pub(crate) fn pause(&self, id: &FileId, origin: Origin, until: Instant) {
        self.change(id, origin, |standing| standing.left_until = Some(until));
    }

    /// An origin of a file can be reached after all.
    pub(crate) fn reached(&self, id: &FileId, origin: Origin) {
        self.change(id, origin, |standing| standing.left_until = None);
    }

    /// Something came from an origin of a file that was complete.
    pub(crate) fn worked(&self, id: &FileId, origin: Origin) {
        self.change(id, origin, |standing| (standing.failures, standing.left_until) = (0, None));
    }

    /// The bytes of an origin of a file were wrong. It is not asked for this file again; returns whether anybody else may be. A backbone
    /// that is the last one is asked again in a later call: its operator may repair the file, and nobody else has it.
    pub(crate) fn drop_origin(&self, id: &FileId, origin: Origin) -> bool {
        self.drop_with(id, |entry| entry.standing_mut(origin).is_dropped = true)
    }

    /// The bytes of one device were wrong. The same holds for it; the other devices of the route can be asked.
    pub(crate) fn drop_device(&self, id: &FileId, peer: PeerId) -> bool {
        self.drop_with(id, |entry| {
            let is_new = !entry.dropped.contains(&peer);
            if is_new && entry.route.devices().any(|device| device.peer_id == peer) {
                entry.dropped.push(peer);
            }
        })
    }

    fn drop_with(&self, id: &FileId, change: impl FnOnce(&mut Entry)) -> bool {
        let mut known = self.known();
        let Some(entry) = known.routes.get_mut(id.as_str()) else { return false };
        change(entry);
        let is_anybody_left = !entry.is_dropped(Origin::Peer) || !entry.is_dropped(Origin::Backbone);
        if !is_anybody_left {
            entry.backbone.is_dropped = false;
        }
        is_anybody_left
    }

    fn change(&self, id: &FileId, origin: Origin, change: impl FnOnce(&mut Standing)) {
        if let Some(entry) = self.known().routes.get_mut(id.as_str()) {
            change(entry.standing_mut(origin));
        }
    }

    fn get(&self, id: &str) -> Option<Route> {
        self.known().routes.get(id).map(|entry| Route { left_out: entry.dropped.clone(), ..entry.route.clone() })
    }

    fn learn(&self, id: &str, route: Route) -> Option<String> {
        let mut known = self.known();
        if let Some(entry) = known.routes.get_mut(id) {
            if entry.route.direct.peer_id != route.direct.peer_id {
                (entry.peer, entry.backbone, entry.dropped) = Default::default();
            }
            // Its node may be there again.
            entry.peer.left_until = None;
            entry.route = Route { left_out: Vec::new(), ..route.with(&entry.route) };
            let devices: Vec<_> = entry.route.devices().map(|device| device.peer_id).collect();
            // So that there are no more than devices.
            entry.dropped.retain(|peer| devices.contains(peer));
            return None;
        }
        known.routes.insert(id.to_owned(), Entry::new(route));
        known.order.push_back(id.to_owned());
        if known.order.len() <= MAX_ROUTES {
            return None;
        }
        let oldest = known.order.pop_front()?;
        known.routes.remove(&oldest);
        Some(oldest)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(route: Route) -> Self {
        let route = Route { left_out: Vec::new(), ..route };
        Self { route, peer: Standing::default(), backbone: Standing::default(), dropped: Vec::new() }
    }

    /// Whether nobody is asked there any more.
    fn is_dropped(&self, origin: Origin) -> bool {
        let has_no_device = || self.route.devices().all(|device| self.dropped.contains(&device.peer_id));
        self.standing(origin).is_dropped || (origin == Origin::Peer && has_no_device())
    }

    fn standing(&self, origin: Origin) -> &Standing {
        match origin {
            Origin::Peer => &self.peer,
            Origin::Backbone => &self.backbone,
        }
    }

    fn standing_mut(&mut self, origin: Origin) -> &mut Standing {
        match origin {
            Origin::Peer => &mut self.peer,
            Origin::Backbone => &mut self.backbone,
        }
    }
}

#[cfg(test)]
mod tests {
    use transport::crypto::SignatureKeypair;
    use transport::peer::PeerKey;

    use super::*;

    fn route(seed: u8, address: &str) -> Route {
        let peer_id = PeerKey::derive(&SignatureKeypair::from_seed(&[seed; 32])).peer_id();
        let addresses = vec![MultiaddrText::new(address).unwrap()];
        Route::to(Direct { peer_id, addresses, relays: Vec::new() })
    }

    fn file(number: usize) -> FileId {
        format!("FIL{number:017}").parse().unwrap()
    }

    #[test]
    fn as_many_routes_are_remembered_and_the_oldest_goes_first() {
        let routes = Routes::default();
        for number in 0..MAX_ROUTES {
            assert_eq!(routes.learn_file(&file(number), route(1, "/a")), None);
        }
        assert_eq!(routes.learn_file(&file(0), route(1, "/b")), None, "it is known already");
        assert!(routes.to_file(&file(0)).is_some());
        assert_eq!(routes.learn_file(&file(MAX_ROUTES), route(1, "/a")), Some(file(0).to_string()));
        assert_eq!(routes.to_file(&file(0)), None);
        routes.forget_file(&file(1));
        assert_eq!(routes.to_file(&file(1)), None);
        assert_eq!(routes.learn_file(&file(0), route(1, "/a")), None, "there is room again");
    }

    #[test]
    fn routes_to_the_same_peer_add_up_and_another_peer_replaces_it() {
        let routes = Routes::default();
        let token: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let password = Some(PasswordHash::from_bytes([1; 32]));
        let claim: Option<ClaimId> = Some("CLMabcdefghijklmno12".parse().unwrap());
        let (of_token, claimed) = (Some(token.clone()), claim.clone());
        let others = Some(vec![route(3, "/z").direct]);
        let first = Route { others, token: of_token, password: password.clone(), claim: claimed, ..route(1, "/a") };
        routes.learn_file(&file(1), first);
        routes.learn_file(&file(1), route(1, "/b"));
        let both = routes.to_file(&file(1)).unwrap();
        let texts: Vec<_> = both.direct.addresses.iter().map(MultiaddrText::as_str).collect();
        assert_eq!((texts, &both.token, &both.password), (vec!["/b", "/a"], &Some(token), &password));
        assert_eq!((&both.claim, both.others().len()), (&claim, 1), "a reference says nothing of others");
        routes.learn_file(&file(1), Route { others: Some(Vec::new()), ..route(1, "/b") });
        assert_eq!(routes.to_file(&file(1)).unwrap().others(), [], "a newer content names no others");
        for number in 0..20 {
            routes.learn_file(&file(1), route(1, &format!("/{number}")));
        }
        let most = routes.to_file(&file(1)).unwrap().direct.addresses;
        assert_eq!((most.len(), most[0].as_str()), (MAX_ADDRESSES, "/19"));
        routes.learn_file(&file(1), route(2, "/c"));
        assert_eq!(routes.to_file(&file(1)), Some(route(2, "/c")));
    }

    #[test]
    fn who_failed_is_asked_after_the_other_for_a_growing_time() {
        let (routes, mut now, id) = (Routes::default(), Instant::now(), file(1));
        assert_eq!(routes.origins(&id, now), [Origin::Backbone]);
        assert!(!routes.is_any_ready(&id, now), "there is nothing to choose");
        routes.learn_file(&id, route(1, "/a"));
        assert_eq!(routes.origins(&id, now), [Origin::Peer, Origin::Backbone]);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            routes.failed(&id, Origin::Peer, now);
            now += Duration::from_secs(pause) - Duration::from_millis(1);
            assert_eq!(routes.origins(&id, now), [Origin::Backbone, Origin::Peer], "{pause}");
            now += Duration::from_millis(1);
            assert_eq!(routes.origins(&id, now), [Origin::Peer, Origin::Backbone], "{pause}");
        }
        routes.worked(&id, Origin::Peer);
        routes.failed(&id, Origin::Peer, now);
        routes.failed(&id, Origin::Backbone, now);
        assert!(!routes.is_any_ready(&id, now));
        assert_eq!(routes.origins(&id, now), [Origin::Peer, Origin::Backbone], "there is nobody else");
        assert!(routes.is_any_ready(&id, now + FIRST_PAUSE));
        routes.reached(&id, Origin::Peer);
        assert!(routes.is_any_ready(&id, now));
    }

    #[test]
    fn whose_bytes_were_wrong_is_not_asked_again() {
        let (routes, now, id) = (Routes::default(), Instant::now(), file(1));
        assert!(!routes.drop_origin(&id, Origin::Backbone), "there is nobody else");
        routes.learn_file(&id, route(1, "/a"));
        assert!(routes.drop_origin(&id, Origin::Peer));
        routes.learn_file(&id, route(1, "/b"));
        assert_eq!(routes.origins(&id, now), [Origin::Backbone], "another address is the same peer");
        assert!(!routes.drop_origin(&id, Origin::Backbone));
        assert_eq!(routes.origins(&id, now), [Origin::Backbone], "it is the last one");
        routes.learn_file(&id, route(2, "/b"));
        assert_eq!(routes.origins(&id, now), [Origin::Peer, Origin::Backbone], "another peer");
        assert!(routes.drop_origin(&id, Origin::Backbone));
        assert_eq!(routes.origins(&id, now), [Origin::Peer]);
    }

    #[test]
    fn of_several_devices_those_are_left_out_whose_bytes_were_wrong() {
        let (routes, now, id) = (Routes::default(), Instant::now(), file(1));
        let [maker, other, third] = [1, 2, 3].map(|seed| route(seed, "/a").direct);
        let several = Route { others: Some(vec![other.clone(), third.clone()]), ..route(1, "/a") };
        routes.learn_file(&id, several.clone());
        let devices = || routes.to_file(&id).unwrap().devices().map(|device| device.peer_id).collect::<Vec<_>>();
        for _ in 0..2 {
            assert!(routes.drop_device(&id, maker.peer_id));
            assert_eq!(devices(), [other.peer_id, third.peer_id]);
        }
        assert!(routes.drop_device(&id, route(4, "/a").direct.peer_id), "it is no device of the route");
        routes.learn_file(&id, route(1, "/b"));
        assert!(routes.drop_device(&id, third.peer_id));
        assert_eq!(routes.to_file(&id).unwrap().only_peer(), Some(other.peer_id));
        assert_eq!(routes.origins(&id, now), [Origin::Peer, Origin::Backbone]);
        assert!(routes.drop_device(&id, other.peer_id), "the backbone is left");
        assert_eq!(routes.origins(&id, now), [Origin::Backbone]);
        assert!(!routes.drop_origin(&id, Origin::Backbone));
        // A newer content names other devices.
        routes.learn_file(&id, Route { others: Some(vec![other.clone(), route(5, "/a").direct]), ..route(1, "/a") });
        assert_eq!(routes.to_file(&id).unwrap().only_peer(), Some(route(5, "/a").direct.peer_id));
        assert_eq!(routes.known().routes[id.as_str()].dropped, [maker.peer_id, other.peer_id]);
    }

    #[test]
    fn with_a_password_there_is_one_device() {
        let (routes, id) = (Routes::default(), file(1));
        let password = Some(PasswordHash::from_bytes([1; 32]));
        routes.learn_file(&id, Route { others: Some(vec![route(2, "/a").direct]), password, ..route(1, "/a") });
        assert!(routes.drop_device(&id, route(1, "/a").direct.peer_id));
        assert_eq!(routes.origins(&id, Instant::now()), [Origin::Backbone]);
    }
}
