//! The statuses of failures, in one table by the kind of route.
//!
//! The document of a face lists them for each operation, each as a reference to a response that all operations share.

use http::Method;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::face::{Face, Input, Operation, Output};

/// A status, what it means, and which operations can answer it.
struct Failure {
    status: &'static str,
    meaning: &'static str,
    can: fn(&Operation) -> bool,
}

const fn failure(status: &'static str, meaning: &'static str, can: fn(&Operation) -> bool) -> Failure {
    Failure { status, meaning, can }
}

const FAILURES: [Failure; 17] = [
    failure("400", "The request, or a value in it, is not valid", everywhere),
    failure("401", "No valid key or token, or none that may do this", everywhere),
    failure("403", "The host, the site or the sender is refused", everywhere),
    failure("404", "There is no such thing", everywhere),
    failure("406", "The client does not accept what the route makes", is_negotiated),
    failure("408", "The body did not come in time", everywhere),
    failure("409", "It is there already, or its state does not allow it", can_conflict),
    failure("412", "The file does not have the entity tag that is asked for", is_content),
    failure("413", "The body is too large", everywhere),
    failure("414", "The path and the query are too long", everywhere),
    failure("415", "The body has an encoding that is not known", everywhere),
    failure("416", "The file does not have these bytes", is_content),
    failure("429", "Too many requests; try again after Retry-After seconds", everywhere),
    failure("431", "The headers are too large", everywhere),
    failure("500", "The node or its backbone failed", everywhere),
    failure("503", "The node or its backbone cannot do this now; try again after Retry-After seconds", everywhere),
    failure("507", "There is no room", everywhere),
];
/// Those of which browsers are told on a page.
const ON_PAGES: [&str; 3] = ["401", "409", "429"];

fn everywhere(_: &Operation) -> bool {
    true
}

fn is_negotiated(operation: &Operation) -> bool {
    !operation.produces.is_empty()
}

fn is_content(operation: &Operation) -> bool {
    matches!(operation.description.output, Output::Content)
}

/// What changes something, and what takes a use of a token.
fn can_conflict(operation: &Operation) -> bool {
    operation.method != Method::GET || is_content(operation) || matches!(operation.description.output, Output::Image)
}

/// Whether a browser is told of failures of an operation on pages.
fn has_pages(operation: &Operation) -> bool {
    let leads = matches!(operation.description.output, Output::NewOrLeading(_));
    leads || matches!(operation.description.input, Input::ByToken(_))
}

/// The failures of an operation by their statuses.
pub(super) fn of(face: &Face, operation: &Operation) -> Vec<(&'static str, RefOr<Response>)> {
    let all = FAILURES.iter().filter(|failure| (failure.can)(operation));
    let reference = |status| {
        let is_page = has_pages(operation) && ON_PAGES.contains(&status);
        RefOr::Ref(Ref::from_response_name(name(face, status, is_page)))
    };
    all.map(|failure| (failure.status, reference(failure.status))).collect()
}

/// What the failures of a face refer to.
pub(super) fn components(face: &Face) -> Vec<(String, Response)> {
    let operations = || face.resources.iter().flat_map(|resource| &resource.operations);
    let mut all = Vec::new();
    for Failure { status, meaning, can } in &FAILURES {
        if operations().any(can) {
            all.push((name(face, status, false), response(face, meaning).build()));
        }
        if ON_PAGES.contains(status) && operations().any(has_pages) {
            all.push((name(face, status, true), with_page(response(face, meaning)).build()));
        }
    }
    all
}

fn name(face: &Face, status: &str, is_page: bool) -> String {
    format!("{}{status}{}", face.schemas.problem, if is_page { "Page" } else { "" })
}

/// A failure in the form of a face.
pub(super) fn response(face: &Face, meaning: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name(face.schemas.problem);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(meaning).content("application/json", content)
}

fn with_page(response: ResponseBuilder) -> ResponseBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some("A page for browsers."));
    response.content("text/html", ContentBuilder::new().schema(Some(Schema::Object(text.build()))).build())
}
