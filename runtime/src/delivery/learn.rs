//! How a node learns which peer has what: from references and from the contents of tokens.
//!
//! Routes are in memory ([`Core::routes`]). Those to files that are stored are also values of the store, which no other device sees, so
//! that a later download takes the direct path after a restart, too. They are at most as many as in memory, and go with their files.

use serde::{Deserialize, Serialize};
use transport::crypto::PasswordHash;
use transport::peer::{Direct, DirectDevices, MAX_DEVICES, PeerKey};
use transport::token::TokenContent;
use transport::wire::bytes::from_base64;
use transport::wire::{ClaimId, FileId, FileReference, Timestamp, TokenId, TokenReference};

use crate::Result;
use crate::core::Core;
use crate::file;
use crate::peer::{MAX_ROUTES, Route};
use crate::store::{Batch, StoreError, collection};

/// The names of the values begin with this; the id of the file follows.
const ROUTE: &str = "FileRoute/";
/// Values that are removed with one commit.
const REMOVED_AT_ONCE: usize = 1000;

/// What is stored of a route.
#[derive(Serialize, Deserialize)]
struct RouteRecord {
    /// [`Direct::to_reference_text`].
    #[serde(rename = "d")]
    direct: String,
    /// The same of other devices.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    others: Option<Vec<String>>,
    /// One without a password. It once was `t`, which may have one: that is not read any more.
    #[serde(rename = "o", default)]
    open_token: Option<TokenId>,
    /// The use of this token that the file belongs to.
    #[serde(rename = "c", default)]
    claim: Option<ClaimId>,
    #[serde(rename = "b")]
    backbone: Option<String>,
    #[serde(rename = "a")]
    learned_at: Timestamp,
}

/// What a reference says of where its token can be loaded.
pub(crate) fn of_token_reference(core: &Core, reference: &TokenReference) {
    if let Some(direct) = direct_of(core, reference.direct.as_deref()) {
        let backbone = reference.backbone_base_url.clone();
        let token = Some(reference.id.clone());
        core.routes.learn_token(&reference.id, Route { token, backbone, ..Route::to(direct) });
    }
}

/// What a reference says of where its file can be loaded.
///
/// # Errors
/// Those of the store.
pub(crate) async fn of_file_reference(core: &Core, reference: &FileReference) -> Result<()> {
    let Some(direct) = direct_of(core, reference.direct.as_deref()) else { return Ok(()) };
    let backbone = reference.backbone_base_url.clone();
    learn_file(core, &reference.id, Route { backbone, ..Route::to(direct) }).await
}

/// Whether the content of a token, or the reference to it, says where its file can be loaded.
pub(crate) fn is_reachable(core: &Core, reference: &TokenReference, content: &TokenContent) -> bool {
    routes_of(core, reference, content).next().is_some()
}

/// What a token that was loaded says of where it and its file can be loaded. `password_hash` is what it took, and `claim` the use of it
/// to which the file belongs.
///
/// # Errors
/// Those of the store.
pub(crate) async fn of_token(
    core: &Core,
    reference: &TokenReference,
    content: &TokenContent,
    password_hash: Option<&str>,
    claim: Option<&ClaimId>,
) -> Result<()> {
    let TokenContent::File { file_id, .. } = content else { return Ok(()) };
    let hash = password_hash.and_then(|text| from_base64(text).ok()?.try_into().ok()).map(PasswordHash::from_bytes);
    for (direct, others) in routes_of(core, reference, content) {
        let (token, backbone) = (Some(reference.id.clone()), reference.backbone_base_url.clone());
        let (password, claim) = (hash.clone(), claim.cloned());
        let route = Route { others, token, password, claim, backbone, ..Route::to(direct) };
        core.routes.learn_token(&reference.id, route.clone());
        learn_file(core, file_id, route).await?;
    }
    Ok(())
}

/// What the reference says, then what the content says, which is authentic by the key of the reference. Only the content says whether there are other
/// devices.
fn routes_of(
    core: &Core,
    reference: &TokenReference,
    content: &TokenContent,
) -> impl Iterator<Item = (Direct, Option<Vec<Direct>>)> {
    let by_reference = direct_of(core, reference.direct.as_deref()).map(|direct| (direct, None));
    let by_content = DirectDevices::of(content).filter(|devices| is_other(core, &devices.first));
    let by_content = by_content.map(|DirectDevices { first, mut others }| {
        others.retain(|other| is_other(core, other));
        (first, Some(others))
    });
    by_reference.into_iter().chain(by_content)
}

fn direct_of(core: &Core, text: Option<&str>) -> Option<Direct> {
    Direct::of_reference_text(text?).filter(|direct| is_other(core, direct))
}

/// Whether a node can ask there: it has peers, and is not meant itself.
fn is_other(core: &Core, direct: &Direct) -> bool {
    core.config.peers.is_some() && direct.peer_id != PeerKey::derive(core.account.device_key()).peer_id()
}

async fn learn_file(core: &Core, id: &FileId, route: Route) -> Result<()> {
    // Nobody else decides from where a node takes what its identity owns.
    if file::stored(&core.store.view(), id)?.is_some_and(|record| record.is_own) {
        return Ok(());
    }
    let forgotten = core.routes.learn_file(id, route);
    if let Some(forgotten) = forgotten {
        let mut batch = Batch::new();
        batch.remove_value(&format!("{ROUTE}{forgotten}"));
        core.store.commit(batch).await?;
    }
    keep(core, id).await
}

/// Stores where a file can be loaded, if the file itself is stored.
///
/// # Errors
/// Those of the store.
pub(crate) async fn keep(core: &Core, id: &FileId) -> Result<()> {
    let Some(route) = core.routes.to_file(id) else { return Ok(()) };
    let name = format!("{ROUTE}{id}");
    let direct = route.direct.to_reference_text();
    let others = route.others.as_deref().map(|others| others.iter().map(Direct::to_reference_text).collect());
    // A password is never stored, and each request by a token without its password counts as a wrong one.
    let is_protected = route.password.is_some();
    let open_token = route.token.filter(|_| !is_protected);
    let claim = route.claim.filter(|_| open_token.is_some());
    let (backbone, learned_at) = (route.backbone, core.clock.now());
    let record = RouteRecord { direct, others, open_token, claim, backbone, learned_at };
    let put = |view: &crate::store::View<'_>| {
        let mut batch = Batch::new();
        let known = view.value::<RouteRecord>(&name)?;
        let is_known = |known: RouteRecord| {
            (&known.direct, &known.others) == (&record.direct, &record.others)
                && (&known.open_token, &known.claim) == (&record.open_token, &record.claim)
        };
        let is_new = !known.is_some_and(is_known);
        if is_new && view.record(collection::FILES, id.as_str())?.is_some() {
            batch.put_value(&name, &record)?;
        }
        Ok::<_, StoreError>((batch, ()))
    };
    Ok(core.store.change(put).await?)
}

/// Forgets where a file can be loaded that was removed. If the process ends before, the next start does it.
///
/// # Errors
/// Those of the store.
pub(crate) async fn forget(core: &Core, id: &FileId) -> Result<()> {
    core.routes.forget_file(id);
    let name = format!("{ROUTE}{id}");
    let mut batch = Batch::new();
    if !core.store.view().value_names(&name, &name, 1)?.is_empty() {
        batch.remove_value(&name);
    }
    Ok(core.store.commit(batch).await?)
}

/// Reads the stored routes at the start of a node, the oldest one first.
///
/// # Errors
/// Those of the store.
pub(crate) async fn load(core: &Core) -> Result<()> {
    forget_removed(core).await?;
    let mut stored: Vec<(String, RouteRecord)> = core.store.values(ROUTE)?.collect::<Result<_, StoreError>>()?;
    stored.sort_by_key(|(_, record)| record.learned_at);
    for (id, RouteRecord { direct, others, open_token, claim, backbone, .. }) in stored {
        if let (Ok(id), Some(direct)) = (id.parse::<FileId>(), direct_of(core, Some(&direct))) {
            let read = |texts: Vec<String>| {
                texts.iter().filter_map(|text| direct_of(core, Some(text))).take(MAX_DEVICES - 1).collect()
            };
            let others = others.map(read);
            core.routes.learn_file(&id, Route { others, token: open_token, claim, backbone, ..Route::to(direct) });
        }
    }
    Ok(())
}

/// Forgets routes to files that are not stored any more, because another device removed them.
///
/// # Errors
/// Those of the store.
pub(crate) async fn forget_removed(core: &Core) -> Result<()> {
    let view = core.store.view();
    let mut removed = Vec::new();
    for name in view.value_names(ROUTE, ROUTE, MAX_ROUTES + REMOVED_AT_ONCE)? {
        let id = name.strip_prefix(ROUTE).unwrap_or_default();
        if view.record(collection::FILES, id)?.is_none() {
            removed.push(id.to_owned());
        }
    }
    for some in removed.chunks(REMOVED_AT_ONCE) {
        let mut batch = Batch::new();
        for id in some {
            if let Ok(id) = id.parse::<FileId>() {
                core.routes.forget_file(&id);
            }
            batch.remove_value(&format!("{ROUTE}{id}"));
        }
        core.store.commit(batch).await?;
    }
    Ok(())
}
