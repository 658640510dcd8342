//! Which peers have what: where a node that shares a token or file can be reached.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use transport::peer::Direct;
use transport::wire::{FileId, TokenId};

/// Routes that are remembered. The oldest one goes first; what it was for is loaded from the backbone then.
pub(crate) const MAX_ROUTES: usize = 1024;

/// The peer that shares something, and by which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where it can be reached.
    pub(crate) direct: Direct,
    /// The token by which the file was found; a stranger can ask by this only.
    pub(crate) token: Option<TokenId>,
}

/// Routes by the id of what they lead to.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    routes: HashMap<String, Route>,
    order: VecDeque<String>,
}

impl Routes {
    /// Remembers where a token can be loaded.
    pub(crate) fn learn_token(&self, id: &TokenId, direct: Direct) {
        self.learn(id.as_str(), Route { direct, token: Some(id.clone()) });
    }

    /// Remembers where a file can be loaded.
    pub(crate) fn learn_file(&self, id: &FileId, route: Route) {
        self.learn(id.as_str(), route);
    }

    /// Where a token can be loaded.
    pub(crate) fn to_token(&self, id: &TokenId) -> Option<Route> {
        self.get(id.as_str())
    }

    /// Where a file can be loaded.
    pub(crate) fn to_file(&self, id: &FileId) -> Option<Route> {
        self.get(id.as_str())
    }

    fn get(&self, id: &str) -> Option<Route> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).routes.get(id).cloned()
    }

    fn learn(&self, id: &str, route: Route) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.routes.insert(id.to_owned(), route).is_some() {
            return;
        }
        known.order.push_back(id.to_owned());
        if known.order.len() > MAX_ROUTES
            && let Some(oldest) = known.order.pop_front()
        {
            known.routes.remove(&oldest);
        }
    }
}
