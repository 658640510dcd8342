//! `/v1`: the storage interface of Appwrite, as its published clients use it.
//!
//! Buckets and files are those of [`StorageFacade`](runtime::facade::StorageFacade), which has all the rules; here are the forms
//! that the clients know: their headers, arguments, lists, failures and texts. Who presents no key of the node, or a wrong one, is a
//! guest, and may do what buckets and files permit to `any` and `guests`, and what a file token opens.
//!
//! Refusals come in this order: an unknown project, a missing scope, an argument, and then what storage says.

mod arguments;
mod buckets;
mod config;
mod content;
mod files;
mod list;
mod model;
mod page;
mod presented;
mod preview;
mod rates;
mod refusal;
mod table;
mod tokens;
mod upload;

use std::num::NonZeroU32;
use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use runtime::Timestamp;
use runtime::storage::Caller;
use serde::Serialize;

pub use config::{AppwriteConfig, UnknownScopes};

use self::config::needed;
use self::rates::Rates;
use crate::auth::{Gate, Need, Roles, Sender};
use crate::call::Call;
use crate::face::{Counting, Face, Schemas, authenticating, unlimited};
use crate::finish::RESOURCE_POLICY;
use crate::problem::Problem;
use crate::protocol::parse_query;
use crate::reply::Reply;

const KEY: &str = "x-appwrite-key";
const PROJECT: &str = "x-appwrite-project";
/// What guests may do; what buckets and files permit decides further.
const GUEST_SCOPES: [&str; 2] = ["files.read", "files.write"];
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Content-Type, Content-Range, Range, X-Appwrite-Project, X-Appwrite-Key, X-Appwrite-Id, X-Appwrite-Response-Format, \
     Authorization, X-File-Token, X-Claim, \
     X-SDK-Name, X-SDK-Platform, X-SDK-Language, X-SDK-Version, X-Correlation-Id",
);
/// Ids, as the document shows them; the rules are those of [`StorageId`](runtime::storage::StorageId).
const ID: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$";
/// Ids of new things.
const NEW_ID: &str = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,35}|unique\(\))$";
/// Names.
const NAME: &str = r"^[\s\S]{1,128}$";
/// Answers are data, never pages.
const CONTENT_POLICY: &str = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none';sandbox";
/// Clients ask for the type of every answer, also of those without a content, and read JSON from those that have its type.
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NEVER_STORED: HeaderValue = HeaderValue::from_static("no-cache, no-store, must-revalidate");

/// Pages of any site may show contents, as they do with those of Appwrite: `<img src>` sends no `Origin`, so it cannot be answered for configured sites
/// only. A page does not get to read what it shows, and what it can show is what guests may read, or whoever has the URL: keys are in
/// headers, which no element of a page sends, and there are no cookies. So no page gets anybody else's rights. Everything else of this interface stays `same-origin`.
const ANY_PAGE: HeaderValue = HeaderValue::from_static("cross-origin");

static GUEST: LazyLock<Roles> = LazyLock::new(|| Roles::new(&GUEST_SCOPES.map(needed)));

/// The face.
pub(crate) fn face(config: &AppwriteConfig) -> Face {
    let project = config.project.clone();
    Face {
        name: "appwrite",
        prefix: &["v1"],
        resources: table::resources(),
        authenticate: authenticating(move |gate, parts, now| authenticate(gate, parts, now, &project)),
        forbidden,
        allowance: allowance(config),
        envelope,
        problem,
        content_policy: CONTENT_POLICY,
        request_headers: REQUEST_HEADERS,
        schemas: Schemas {
            components: model::components,
            enveloped: |schema| schema,
            problem: "AppwriteError",
            security: "appwriteKey",
            for_guests: |need| GUEST.satisfy(need),
            key_header: "X-Appwrite-Key",
            pattern: |name| (name != "claimId").then_some(ID),
            headers: &[("X-Appwrite-Project", "The project; plain URLs name it in the parameter `project`.")],
            query: &[("project", "The project, unless the header has it.")],
            is_exact: true,
        },
    }
}

fn allowance(config: &AppwriteConfig) -> Counting {
    match NonZeroU32::new(config.guest_writes_per_minute) {
        None => unlimited(),
        Some(limit) => {
            let rates = Rates::new(limit);
            Box::new(move |parts, sender, matched, now| rates.count(parts, sender, matched, now))
        }
    }
}

fn authenticate<'a>(gate: &'a Gate, parts: &Parts, now: Timestamp, project: &str) -> Result<Sender<'a>, Problem> {
    if !names_project(parts, project)? {
        let message =
            "There is no project with this id. Set the header X-Appwrite-Project to the project of this node.";
        return Err(Problem::of_face(StatusCode::NOT_FOUND, "project_not_found", message));
    }
    let guest = Sender { roles: &GUEST, has_key: false };
    let Some(presented) = parts.headers.get(KEY).filter(|key| !key.is_empty()) else { return Ok(guest) };
    match gate.admit(presented.as_bytes(), parts, now) {
        Err(unknown) if unknown.status() == StatusCode::UNAUTHORIZED => Ok(guest),
        admitted => admitted,
    }
}

fn names_project(parts: &Parts, project: &str) -> Result<bool, Problem> {
    if let Some(named) = parts.headers.get(PROJECT) {
        return Ok(named.as_bytes() == project.as_bytes());
    }
    let query = parse_query(parts.uri.query().unwrap_or_default())?;
    Ok(query.iter().any(|(name, value)| name == "project" && value == project))
}

fn forbidden(sender: Sender<'_>, need: Need) -> Problem {
    let role = if sender.has_key { "applications" } else { "guests" };
    let message = format!("User (role: {role}) missing scopes ([\"{}\"])", config::scope_of(need));
    Problem::of_face(StatusCode::UNAUTHORIZED, "general_unauthorized_scope", message)
}

fn envelope(reply: Reply) -> Reply {
    if reply.headers.contains_key(header::CONTENT_TYPE) {
        return reply;
    }
    let media = reply.content.media().cloned().unwrap_or(PLAIN);
    reply.with(header::CONTENT_TYPE, media)
}

/// A failed request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AppwriteError {
    /// For people.
    message: String,
    /// The status.
    code: u16,
    /// Stable; programs decide by it.
    #[serde(rename = "type")]
    #[schema(example = "storage_file_not_found")]
    kind: String,
    /// Of this program.
    version: &'static str,
}

fn problem(problem: &Problem, parts: &Parts, _: Timestamp) -> Reply {
    if page::is_told(problem, parts) {
        return page::refused(problem);
    }
    let body = AppwriteError {
        message: problem.message().to_owned(),
        code: problem.status().as_u16(),
        kind: refusal::kind_of(problem).to_owned(),
        version: env!("CARGO_PKG_VERSION"),
    };
    Reply::problem(problem, &body).with(header::CACHE_CONTROL, NEVER_STORED)
}

/// Who asks, for the rules of storage.
fn caller(call: &Call<()>) -> Caller {
    if call.has_key { Caller::Key } else { Caller::Guest }
}

/// A content, which pages of any site may show.
fn embeddable(reply: Reply) -> Reply {
    reply.with(RESOURCE_POLICY, ANY_PAGE)
}

/// A parameter of the path by its place; the pattern of the path has it.
fn parameter(call: &Call<()>, at: usize) -> &str {
    call.parameters.get(at).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_the_scopes_of_files_and_no_other() {
        for scope in config::SCOPES {
            let expected = GUEST_SCOPES.contains(&scope);
            let need = Need(Box::leak(needed(scope).into_boxed_str()));
            assert_eq!(GUEST.satisfy(need), expected, "{scope}");
        }
    }

    #[test]
    fn a_missing_scope_is_named() {
        let guest = Sender { roles: &GUEST, has_key: false };
        let problem = forbidden(guest, Need("appwrite:tokens.read"));
        assert_eq!(problem.message(), r#"User (role: guests) missing scopes (["tokens.read"])"#);
        let key = Sender { has_key: true, ..guest };
        assert!(forbidden(key, Need("appwrite:tokens.read")).message().contains("(role: applications)"));
    }

    #[test]
    fn every_answer_has_a_content_type() {
        assert_eq!(envelope(Reply::no_content()).headers[header::CONTENT_TYPE], PLAIN);
        assert_eq!(envelope(Reply::ok(&1)).headers[header::CONTENT_TYPE], "application/json; charset=utf-8");
        let own = Reply::no_content().with(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
        assert_eq!(envelope(own).headers[header::CONTENT_TYPE], "image/png");
    }
}
