//! The two dialects of the published connectors, a face each.

mod dialect;
pub(crate) mod table;

use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use runtime::{Timestamp, dto};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

pub use dialect::Dialect;
pub(crate) use dialect::{Differences, Shown, sync_info};

use crate::auth::{Gate, Sender};
use crate::face::{Face, Schemas, authenticating, unlimited};
use crate::openapi::Components;
use crate::problem::{ErrorBody, Problem};
use crate::reply::Reply;
use crate::rest::monitoring;

/// An authenticated request to a handler of a connector's interface.
pub(crate) type Call = crate::call::Call<Differences>;

const API_KEY: &str = "x-api-key";
pub(crate) const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("Content-Type, X-API-KEY, X-Correlation-Id");
/// Creations say where the new thing is; clients expect this placeholder.
const NOWHERE: HeaderValue = HeaderValue::from_static("_");
/// Answers are data, never pages: they may load nothing and may not be framed.
const CONTENT_POLICY: &str = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none';sandbox";

/// The face of a dialect.
pub(crate) fn face(dialect: Dialect) -> Face {
    let differences = dialect.differences();
    Face {
        name: differences.name,
        prefix: differences.prefix,
        resources: table::resources(differences),
        authenticate: authenticating(authenticate),
        forbidden: |_, _| Problem::forbidden(),
        allowance: unlimited(),
        envelope,
        problem,
        content_policy: CONTENT_POLICY,
        request_headers: REQUEST_HEADERS,
        schemas: Schemas {
            components,
            enveloped,
            problem: "ErrorBody",
            security: "apiKey",
            for_guests: |_| false,
            key_header: "X-API-KEY",
            pattern: |_| None,
            headers: &[],
            query: &[],
            is_exact: false,
        },
    }
}

/// What answers where no face does: every path is unknown, and what connectors have beside their dialects, health and
/// monitoring, has their form.
pub(crate) fn root() -> Face {
    Face { name: "root", prefix: &[], resources: Vec::new(), ..face(Dialect::CoreV1) }
}

impl Call {
    /// In what this dialect differs.
    pub(crate) fn differences(&self) -> Differences {
        self.context
    }
}

fn authenticate<'a>(gate: &'a Gate, parts: &Parts, now: Timestamp) -> Result<Sender<'a>, Problem> {
    let presented = parts.headers.get(API_KEY).filter(|key| !key.is_empty()).ok_or_else(Problem::unauthorized)?;
    gate.admit(presented.as_bytes(), parts, now)
}

fn envelope(reply: Reply) -> Reply {
    let is_new = reply.status == StatusCode::CREATED && reply.is_result;
    let reply = reply.wrapped("{\"result\":", "}");
    if is_new { reply.with(header::LOCATION, NOWHERE) } else { reply }
}

fn problem(problem: &Problem, _: &Parts, now: Timestamp) -> Reply {
    Reply::problem(problem, &problem.body(now))
}

fn components() -> Vec<(String, RefOr<Schema>)> {
    Components::default()
        .with::<dto::IdentityInfo>()
        .with_changed::<dto::SyncInfo>(dialect::describe_sync_info)
        .with::<dto::Challenge>()
        .with::<dto::ChallengeValidation>()
        .with_changed::<dto::File>(dialect::describe_shown)
        .with::<dto::IdentityMetadata>()
        .with_changed::<dto::Token>(dialect::describe_shown)
        .with::<ErrorBody>()
        .with::<monitoring::Health>()
        .into_vec()
}

fn enveloped(schema: RefOr<Schema>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::Object).property("result", schema).required("result");
    Schema::Object(object.build()).into()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::protocol::segments;

    fn lookup(method: Method, path: &str) -> Result<&'static str, (u16, String)> {
        let (faces, root, segments) = (Dialect::ALL.map(face), root(), segments(path));
        let covering = faces.iter().find(|face| face.covers(&segments)).unwrap_or(&root);
        match covering.find(&segments, &method) {
            Ok(matched) => Ok(matched.operation.description.summary),
            Err(problem) => {
                let allow = problem.headers().get(header::ALLOW).map(|value| value.to_str().unwrap().to_owned());
                Err((problem.status().as_u16(), allow.unwrap_or_default()))
            }
        }
    }

    #[test]
    fn paths_match_in_any_case_and_unknown_ones_are_404() {
        assert!(lookup(Method::GET, "/API/CORE/V1/FILES/OWN/").is_ok());
        assert!(lookup(Method::HEAD, "/api/v2/Files").is_ok());
        for path in ["/", "/api", "/api/v2", "/api/v3/Files", "/api/v2/Tokens", "/api/v2//Files", "/api/v2/Messages"] {
            assert_eq!(lookup(Method::GET, path), Err((404, String::new())), "{path}");
        }
    }

    #[test]
    fn the_methods_of_the_first_matching_path_are_allowed() {
        let refused = |allow: &str| Err((405, allow.to_owned()));
        assert_eq!(lookup(Method::PUT, "/api/v2/Files/Own"), refused("POST, GET, HEAD"));
        assert_eq!(lookup(Method::OPTIONS, "/api/v2/Files"), refused("GET, HEAD"));
        assert_eq!(lookup(Method::POST, "/api/v2/IdentityMetadata"), refused("PUT, GET, HEAD, DELETE"));
        assert_eq!(lookup(Method::PUT, "/api/v2/Tokens/x"), refused("GET, HEAD"));
        assert_eq!(lookup(Method::PUT, "/api/core/v1/Tokens/x"), refused("DELETE, GET, HEAD"));
    }

    #[test]
    fn parameters_match_fixed_words_too() {
        assert_eq!(lookup(Method::DELETE, "/api/v2/Files/Own"), Ok("Deletes a file"));
    }

    #[test]
    fn tokens_are_deleted_in_one_dialect_only() {
        assert_eq!(lookup(Method::DELETE, "/api/v2/Tokens/x"), Err((405, "GET, HEAD".to_owned())));
        assert_eq!(lookup(Method::DELETE, "/api/core/v1/Tokens/x"), Ok("Deletes a token"));
    }
}
