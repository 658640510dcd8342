//! A third face needs this file only: its own paths, key header, envelope, failures, policy and types.

use axum::Router;
use axum::body::Body;
use backbone_mock::Backbone;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use runtime::{BackboneConfig, Config, Runtime, Secret, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use utoipa::openapi::{RefOr, Schema};

use super::*;
use crate::auth::{Gate, Need, Sender};
use crate::call::Call;
use crate::config::ApiConfig;
use crate::face::{Description, Input, Output, authenticating};
use crate::face::{Operation, Resource, Schemas, unlimited};
use crate::openapi::Components;
use crate::pipeline::Api;
use crate::problem::Problem;
use crate::protocol::Media;
use crate::reply::Reply;
use crate::router::serving;
use crate::{ApiKey, ApiKeys};

const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";
const LIMITED: &str = "This_is_another_APIKEY_with_30_chars+";
const MARKDOWN: &[Media] = &[Media::new("text", "markdown")];

/// A note.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Note {
    /// Its text.
    text: String,
}

fn notes() -> Face {
    let description = |output| Description { summary: "A note", input: Input::Query(vec!["language"]), output };
    Face {
        name: "notes",
        prefix: &["third"],
        resources: vec![
            Resource {
                path: "notes/{id}",
                need: Need("notes:read"),
                operations: vec![Operation {
                    method: Method::GET,
                    produces: MARKDOWN,
                    handler: Box::new(|call| Box::pin(read(call.with("note ")))),
                    description: description(Output::One("Note")),
                }],
            },
            Resource {
                path: "notes",
                need: Need("notes:read"),
                operations: vec![Operation {
                    method: Method::POST,
                    produces: &[],
                    handler: Box::new(|_| Box::pin(async { panic!("defect") })),
                    description: description(Output::New("Note")),
                }],
            },
        ],
        authenticate: authenticating(authenticate),
        forbidden: |_, _| Problem::forbidden(),
        allowance: unlimited(),
        envelope: |reply| reply.wrapped("{\"data\":", ",\"version\":1}"),
        problem: |problem, _, _| {
            let body = json!({"type": problem.code(), "code": problem.status().as_u16()});
            Reply::problem(problem, &body)
        },
        content_policy: "sandbox",
        request_headers: HeaderValue::from_static("X-Notes-Key"),
        schemas: Schemas {
            components: || Components::default().with::<Note>().into_vec(),
            enveloped: |schema: RefOr<Schema>| schema,
            problem: "Note",
            security: "notesKey",
            for_guests: |_| false,
            key_header: "X-Notes-Key",
            pattern: |_| None,
            headers: &[],
            query: &[],
            is_exact: false,
        },
    }
}

fn authenticate<'a>(gate: &'a Gate, parts: &Parts, now: Timestamp) -> Result<Sender<'a>, Problem> {
    let presented = parts.headers.get("x-notes-key").ok_or_else(Problem::unauthorized)?;
    gate.admit(presented.as_bytes(), parts, now)
}

async fn read(call: Call<&'static str>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&Note { text: format!("{}{}", call.context, call.parameter()) }))
}

struct World {
    router: Router,
    _backbone: Backbone,
    _dirs: [tempfile::TempDir; 2],
}

impl World {
    async fn start() -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let config = backbone_mock::Config::new(dirs[0].path()).with_client("test", "test");
        let backbone = Backbone::start(config).await.unwrap();
        let node = BackboneConfig::new(backbone.url(), "test", Secret::new("test"));
        let runtime = Runtime::builder(Config::new(dirs[1].path().join("node"), node)).start().await.unwrap();
        let limited = ApiKey { scopes: vec!["core:*".to_owned()], ..ApiKey::new("limited", Secret::new(LIMITED)) };
        let keys = ApiKeys::named(&[ApiKey::new("all", Secret::new(KEY)), limited], runtime.clock().now()).unwrap();
        let mut config = ApiConfig::new(keys);
        config.allowed_origins.insert("https://notes.example.org".to_owned());
        let mut faces = mounted(&config.dialects, config.own_face, None);
        faces.push(notes());
        let router = serving(Api::with_faces(runtime, config, faces));
        Self { router, _backbone: backbone, _dirs: dirs }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_face_answers_in_its_own_form_beside_the_connectors() {
    let world = World::start().await;
    let key: &[(&str, &str)] = &[("x-notes-key", KEY)];
    let (status, headers, body) = world.send(Method::GET, "/Third/notes/7/", key).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"data": {"text": "note 7"}, "version": 1})));
    assert_eq!(
        (&headers["content-security-policy"], &headers["x-content-type-options"]),
        (&"sandbox".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    assert!(headers.contains_key("x-correlation-id"));

    let refused = |code: u16, name: &str| (StatusCode::from_u16(code).unwrap(), json!({"type": name, "code": code}));
    for (method, path, headers, expected) in [
        (Method::GET, "/third/notes/7", &[][..], refused(401, "error.connector.unauthorized")),
        (Method::GET, "/third/notes/7", &[("x-api-key", KEY)], refused(401, "error.connector.unauthorized")),
        (Method::GET, "/third/notes/7", &[("x-notes-key", LIMITED)], refused(403, "error.connector.forbidden")),
        (Method::PUT, "/third/notes/7", key, refused(405, "error.connector.http.methodNotAllowed")),
        (Method::GET, "/third/other", key, refused(404, "error.connector.http.routeDoesNotExist")),
        (
            Method::GET,
            "/third/notes/7",
            &[("x-notes-key", KEY), ("accept", "text/html")],
            refused(406, "error.connector.http.notAcceptable"),
        ),
        (Method::POST, "/third/notes", key, refused(500, "error.connector.unexpected")),
    ] {
        let (status, _, body) = world.send(method.clone(), path, headers).await;
        assert_eq!((status, body), expected, "{method} {path} {headers:?}");
    }

    for (path, key) in
        [("/api/core/v1/Account/IdentityInfo", "x-api-key"), ("/api/v2/Account/IdentityInfo", "x-api-key")]
    {
        let (status, headers, body) = world.send(Method::GET, path, &[(key, KEY)]).await;
        assert_eq!((status, body["result"]["address"].is_string()), (StatusCode::OK, true), "{path}");
        assert_ne!(headers["content-security-policy"], "sandbox");
    }
    let (status, _, body) = world.send(Method::GET, "/elsewhere", &[("x-api-key", KEY)]).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("error.connector.http.routeDoesNotExist"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_site_may_send_what_the_face_takes() {
    let world = World::start().await;
    for (path, allowed) in
        [("/third/notes/7", "X-Notes-Key"), ("/api/v2/Files", "Content-Type, X-API-KEY, X-Correlation-Id")]
    {
        let asked = [("origin", "https://notes.example.org"), ("access-control-request-method", "GET")];
        let (status, headers, _) = world.send(Method::OPTIONS, path, &asked).await;
        assert_eq!(
            (status, headers["access-control-allow-headers"].to_str().unwrap()),
            (StatusCode::NO_CONTENT, allowed)
        );
    }
}

#[test]
fn the_document_describes_a_third_face_too() {
    let mut faces = all();
    faces.push(notes());
    let document = serde_json::to_value(crate::openapi::document(&faces)).unwrap();
    let operation = &document["paths"]["/third/notes/{id}"]["get"];
    assert_eq!(operation["operationId"], "notes_get_notes_id");
    assert_eq!(operation["security"], json!([{"notesKey": []}]));
    assert_eq!(document["components"]["securitySchemes"]["notesKey"]["name"], "X-Notes-Key");
    assert_eq!(document["components"]["schemas"]["Note"]["type"], "object");
    assert!(document["paths"]["/api/v2/Files"]["get"].is_object());
}

#[test]
fn faces_have_distinct_names_and_no_prefix_begins_another() {
    let faces = all();
    for (at, face) in faces.iter().enumerate() {
        for other in &faces[at + 1..] {
            assert_ne!(face.name, other.name);
            assert!(!face.covers(other.prefix) && !other.covers(face.prefix), "{} and {}", face.name, other.name);
        }
    }
}
