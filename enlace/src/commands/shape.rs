//! Files and tokens as they are printed: with `--json` what `/api/v2` answers, and the format of files; otherwise tables.

use api::Dialect;
use runtime::Timestamp;
use runtime::dto::{
    ChangedAnyToken, ChangedToken, File, FileFormat, ListedToken, Token, TokenDelivery, TokenPath, TokenStatus,
    TokenTerms,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tokens::{ShownAnyToken, ShownToken};
use crate::output::{bytes, printable, table};
use crate::paths::Paths;
use crate::receive::{Listed, Saved};
use crate::time;

/// The dialect that `--json` promises.
const JSON: Dialect = Dialect::V2;

/// A file in JSON, with its format, which the dialect does not tell.
pub(crate) fn file(file: &File) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct WithFormat<T> {
        #[serde(flatten)]
        file: T,
        format: FileFormat,
    }
    WithFormat { file: JSON.file(file), format: file.format }
}

/// A token in JSON.
pub(crate) fn token(token: &Token) -> impl Serialize + use<> {
    JSON.token(token)
}

/// Whether others can load a token, as far as this node knows.
pub(crate) fn status(token: &Token, now: Timestamp) -> TokenStatus {
    match token.revoked_at {
        Some(_) => TokenStatus::Revoked,
        None if token.expires_at <= now => TokenStatus::Expired,
        None if token.not_before.is_some_and(|begin| begin > now) => TokenStatus::NotYetValid,
        None => TokenStatus::Active,
    }
}

/// A token in JSON, with what the dialect does not tell.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldToken<T> {
    #[serde(flatten)]
    token: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    direct_reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TokenStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<TokenTerms>,
}

/// A token in JSON, with its status, which the dialect does not tell.
pub(crate) fn token_with_status(token: &Token, status: TokenStatus) -> impl Serialize + use<> {
    let (status, revoked_at) = (Some(status), token.revoked_at);
    ToldToken { token: JSON.token(token), direct_reference: None, revoked_at, status, terms: None }
}

/// A token whose terms were changed, in JSON, with its terms as they are now if they are known.
pub(crate) fn changed_token(changed: &ChangedAnyToken, terms: Option<&TokenTerms>, now: Timestamp) -> Value {
    match changed {
        ChangedAnyToken::Node(changed) => json!(changed),
        ChangedAnyToken::E2e(changed) => changed_own(changed, status_within(&changed.token, terms, now)),
    }
}

fn changed_own(changed: &ChangedToken, status: TokenStatus) -> Value {
    json!({
        "token": token_with_status(&changed.token, status), "backbone": changed.backbone, "peers": changed.peers
    })
}

/// Whether others can load a token, as its terms tell.
fn status_within(token: &Token, terms: Option<&TokenTerms>, now: Timestamp) -> TokenStatus {
    terms.map_or_else(|| status(token, now), |terms| terms.status)
}

/// A token whose terms were changed as text: as it is now, and what the change has done path by path.
pub(crate) fn changed_text(changed: &ChangedAnyToken, terms: Option<&TokenTerms>, now: Timestamp) -> String {
    let changed = match changed {
        ChangedAnyToken::Node(changed) => {
            let done = [("Node", path_text(changed.node).to_owned())];
            return labelled(&file_token_rows(&changed.token).into_iter().chain(done).collect::<Vec<_>>());
        }
        ChangedAnyToken::E2e(changed) => changed,
    };
    let token = &changed.token;
    let status = status_text(status_within(token, terms, now));
    let mut rows = vec![("ID", token.id.to_string()), ("Status", status.to_owned())];
    rows.extend(expiry_rows(token, terms));
    rows.extend(settings_rows(token));
    rows.push(("Backbone", path_text(changed.backbone).to_owned()));
    rows.push(("Peers", path_text(changed.peers).to_owned()));
    labelled(&rows)
}

/// What a change has done on a path, in words.
fn path_text(path: TokenPath) -> &'static str {
    match path {
        TokenPath::Changed => "changed",
        TokenPath::Unchanged => "unchanged",
        TokenPath::Revoked => "revoked",
        TokenPath::Gone => "not there any more",
        TokenPath::NotOffered => "not offered",
    }
}

/// Until when a token can be loaded, and since when it is revoked. A revoked one keeps its expiry in its terms only.
fn expiry_rows(token: &Token, terms: Option<&TokenTerms>) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let expires_at = match (terms, token.revoked_at) {
        (Some(terms), _) => Some(terms.expires_at),
        (None, None) => Some(token.expires_at),
        (None, Some(_)) => None,
    };
    let revoked_at = token.revoked_at.or(terms.and_then(|terms| terms.revoked_at));
    let rows = [expires_at.map(|at| ("Expires", time::expiry(at))), revoked_at.map(|at| ("Revoked", time::expiry(at)))];
    rows.into_iter().flatten()
}

/// A token that replaces another one, in JSON.
pub(super) fn rotated_token(shown: &ShownToken, old: &ChangedToken, now: Timestamp) -> Value {
    let token = told(shown, Some(status(&shown.token, now)), None);
    json!({ "token": token, "old": changed_own(old, status(&old.token, now)) })
}

/// The reference that other machines need in place of the one of the token.
fn direct_reference(shown: &ShownToken) -> Option<String> {
    shown.passed_on.is_direct.then(|| shown.passed_on.reference.clone())
}

/// What the creator of a token has settled beyond the published protocol, as rows.
fn settings_rows(token: &Token) -> impl Iterator<Item = (&'static str, String)> {
    let begin = token.not_before.map(|begin| ("Not before", time::expiry(begin)));
    let limit = token.max_downloads.map(|most| ("Downloads", format!("at most {most}")));
    let label = token.label.as_ref().map(|label| ("Label", label.to_string()));
    let notify = token.notify.map(|notify| ("Notify", notify.to_string()));
    let transports = token.transports.map(|transports| ("Transports", transports.to_string()));
    [begin, limit, label, notify, transports].into_iter().flatten()
}

/// A token in JSON, with the reference that other machines need.
pub(super) fn token_to_pass_on(shown: &ShownToken) -> impl Serialize + use<> {
    told(shown, None, None)
}

/// A token of either kind in JSON, with its status, and its terms if they are known.
pub(super) fn any_token(token: &ShownAnyToken, terms: Option<&TokenTerms>, now: Timestamp) -> Value {
    match token {
        ShownAnyToken::E2e(shown) => json!(told(shown, Some(status_within(&shown.token, terms, now)), terms)),
        // What is told of it has the time of its revocation, and its status.
        ShownAnyToken::Node(token) => {
            json!(ToldToken { token, direct_reference: None, revoked_at: None, status: None, terms: terms.cloned() })
        }
    }
}

fn told(
    shown: &ShownToken,
    status: Option<TokenStatus>,
    terms: Option<&TokenTerms>,
) -> ToldToken<impl Serialize + use<>> {
    let (token, revoked_at) = (JSON.token(&shown.token), shown.token.revoked_at);
    ToldToken { token, direct_reference: direct_reference(shown), revoked_at, status, terms: terms.cloned() }
}

/// The same as text.
pub(super) fn any_token_text(token: &ShownAnyToken, terms: Option<&TokenTerms>) -> String {
    match token {
        ShownAnyToken::E2e(token) => token_text(token, terms),
        ShownAnyToken::Node(token) => labelled(&file_token_rows(token)),
    }
}

/// A token of `/v1` as rows.
fn file_token_rows(token: &ListedToken) -> Vec<(&'static str, String)> {
    let expiry = token.expires_at.map_or_else(|| "never".to_owned(), time::expiry);
    let file = token.resource_id.iter().map(|resource| ("File", format!("{resource} of /v1")));
    let left = token.max_downloads.zip(token.remaining).map(|(most, left)| ("Uses left", format!("{left} of {most}")));
    let told = [
        token.revoked_at.map(|at| ("Revoked", time::expiry(at))),
        token.not_before.map(|at| ("Not before", time::expiry(at))),
        left,
        token.accessed_at.map(|at| ("Last access", time::expiry(at))),
        token.label.clone().map(|label| ("Label", label)),
    ];
    let rows = [("ID", token.id.clone())].into_iter().chain(file);
    let rows = rows.chain([("Status", status_text(token.status).to_owned()), ("Expires", expiry)]);
    // With that of one that is over nobody gets anything.
    let is_over = matches!(token.status, TokenStatus::Revoked | TokenStatus::Expired);
    let secret = (!is_over).then(|| ("Secret", format!("to be had at GET /v1/tokens/{}", token.id)));
    rows.chain(told.into_iter().flatten()).chain(secret).collect()
}

/// The terms of a token as rows.
fn terms_rows(terms: &TokenTerms) -> impl Iterator<Item = (&'static str, String)> {
    let left = terms.max_uses.map(|most| {
        let used = terms.committed_uses.saturating_add(terms.leased_uses);
        ("Uses left", format!("{} of {most}", most.saturating_sub(used)))
    });
    let accessed = terms.last_read_at.map(|at| ("Last access", time::expiry(at)));
    [("Status", status_text(terms.status).to_owned())].into_iter().chain(left).chain(accessed)
}

/// Whether others can load a token, in words.
fn status_text(status: TokenStatus) -> &'static str {
    match status {
        TokenStatus::Active => "active",
        TokenStatus::NotYetValid => "not valid yet",
        TokenStatus::Exhausted => "no use is left",
        TokenStatus::Locked => "locked",
        TokenStatus::Expired => "expired",
        TokenStatus::Revoked => "revoked",
    }
}

/// A file that was written here: what commands print that fetch one.
pub(crate) fn saved(fetched: &File, saved: &Saved, paths: &Paths) -> Value {
    let mut value = json!({ "file": file(fetched), "savedTo": saved.path.to_string_lossy(), "bytes": saved.bytes });
    if let Some(sha256) = &saved.sha256 {
        value["sha256"] = json!(sha256);
    }
    value["resumed"] = json!(saved.resumed);
    paths.add_to(&mut value);
    if let Some(files) = &saved.files {
        value["files"] = files.iter().map(|file| json!({ "path": file.path, "bytes": file.bytes })).collect();
    }
    value
}

/// The same as rows with labels.
pub(crate) fn saved_rows(saved: &Saved, paths: &Paths) -> Vec<(&'static str, String)> {
    let mut rows = vec![("Saved to", printable(&saved.path.display().to_string())), ("Size", bytes(saved.bytes))];
    rows.extend(saved.files.as_ref().map(|files| ("Files", files.len().to_string())));
    rows.extend(paths.description().map(|path| ("Path", path)));
    rows
}

/// The files that a reference is to. Folders have no bytes.
pub(crate) fn listed(fetched: &File, listed: &Listed) -> Value {
    let entries = listed.entries.iter().map(|entry| json!({ "path": entry.path, "bytes": entry.bytes }));
    json!({ "file": file(fetched), "files": entries.collect::<Vec<_>>() })
}

/// The same as a table.
pub(crate) fn listed_table(listed: &Listed) -> String {
    let header = ["SIZE", "PATH"].map(str::to_owned).to_vec();
    let rows = listed.entries.iter().map(|entry| {
        let folder = if entry.bytes.is_none() { "/" } else { "" };
        vec![entry.bytes.map_or_else(|| "folder".to_owned(), bytes), format!("{}{folder}", printable(&entry.path))]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Files as a table.
pub(crate) fn file_table(files: &[File]) -> String {
    let header = ["ID", "OWN", "SIZE", "EXPIRES", "NAME"].map(str::to_owned).to_vec();
    let rows = files.iter().map(|file| {
        let own = if file.is_own { "own" } else { "peer" };
        vec![
            file.id.to_string(),
            own.to_owned(),
            bytes(file.filesize),
            time::expiry(file.expires_at),
            printable(&file.filename),
        ]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Tokens as a table.
pub(crate) fn token_table(tokens: &[ListedToken]) -> String {
    let header = ["ID", "OWN", "STATUS", "EXPIRES", "LEFT", "LAST ACCESS", "PROTECTED", "FILE", "LABEL"];
    let rows = tokens.iter().map(|token| {
        let own = match (token.delivery, token.is_own) {
            (TokenDelivery::Node, _) => "/v1",
            (TokenDelivery::E2e, true) => "own",
            (TokenDelivery::E2e, false) => "peer",
        };
        let protection = match (token.for_identity.is_some(), token.has_password) {
            (false, false) => "no",
            (true, false) => "identity",
            (false, true) => "password",
            (true, true) => "both",
        };
        let file = token.resource_id.clone().or_else(|| token.file_id.as_ref().map(ToString::to_string));
        vec![
            token.id.clone(),
            own.to_owned(),
            status_text(token.status).to_owned(),
            token.expires_at.map_or_else(|| "never".to_owned(), time::expiry),
            token.remaining.map_or_else(|| NOTHING.to_owned(), |left| left.to_string()),
            token.accessed_at.map_or_else(|| NOTHING.to_owned(), time::expiry),
            protection.to_owned(),
            file.as_deref().map_or_else(|| NOTHING.to_owned(), printable),
            token.label.as_deref().map(printable).unwrap_or_default(),
        ]
    });
    table(&std::iter::once(header.map(str::to_owned).to_vec()).chain(rows).collect::<Vec<_>>())
}

/// In a column for what a row does not have.
const NOTHING: &str = "-";

/// A token of a list in JSON: the whole token if there is one, with what the list tells besides.
pub(crate) fn listed_token(listed: &ListedToken, whole: Option<&Token>) -> Value {
    let mut value = whole.map_or_else(|| json!({}), |whole| json!(token(whole)));
    if let (Value::Object(members), Value::Object(told)) = (&mut value, json!(listed)) {
        for (name, told) in told {
            members.entry(name).or_insert(told);
        }
    }
    value
}

/// One token as text, with everything but its password.
pub(super) fn token_text(ShownToken { token, passed_on }: &ShownToken, terms: Option<&TokenTerms>) -> String {
    let mut rows = vec![("ID", token.id.to_string()), ("Reference", passed_on.reference.clone())];
    // It has no room for addresses.
    rows.extend((!passed_on.is_direct).then(|| ("Truncated", token.reference.truncated.clone())));
    rows.push(("Created by", token.created_by.to_string()));
    rows.extend(expiry_rows(token, terms));
    if let Some(address) = &token.for_identity {
        rows.push(("Only for", address.to_string()));
    }
    if token.password_protection.is_some() {
        rows.push(("Password", "needed".to_owned()));
    }
    rows.push(("Content", content(token)));
    rows.extend(settings_rows(token));
    rows.extend(terms.into_iter().flat_map(terms_rows));
    labelled(&rows)
}

/// Labels and values in two columns; whatever the values hold, the terminal is not steered by it.
pub(crate) fn labelled(rows: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|(label, value)| vec![(*label).to_owned(), printable(value)]).collect();
    table(&rows)
}

/// Members that tell what a token holds.
#[derive(Deserialize, Default)]
struct Known {
    #[serde(rename = "@type")]
    kind: Option<String>,
    #[serde(rename = "fileId")]
    file_id: Option<String>,
}

/// What a token holds in a few words; never keys.
fn content(token: &Token) -> String {
    // Lists would pass for members in their order.
    let object = Some(token.content.as_str()).filter(|text| text.starts_with('{'));
    let members: Known = object.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = |member: &Option<String>| member.as_deref().map(printable);
    match (text(&members.kind).as_deref(), text(&members.file_id)) {
        (Some("TokenContentFile"), Some(id)) => format!("file {id}"),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "JSON".to_owned(),
    }
}
