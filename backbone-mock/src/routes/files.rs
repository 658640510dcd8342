//! `/Files`.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use listener::range::{self, Representation, Selection};
use transport::wire::FileId;
use transport::wire::backbone::files::{
    CreatedFile, FileMetadata, NewOwnershipToken, OwnershipToken, OwnershipTokenValidity,
};

use crate::domain::files::{self, FileRecord};
use crate::domain::ownership;
use crate::web::AppState;
use crate::web::answer::{Answer, NoContent};
use crate::web::identified::Identified;
use crate::web::json::JsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::LoggedIn;
use crate::web::upload;

/// `POST /Files`: the bytes go to disk as they arrive.
pub(super) async fn upload(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    request: Request,
) -> Result<Answer<CreatedFile>, Problem> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let _room = files::reserve_room(&core, &caller, length).await?;
    let new = upload::receive(&core, &caller, request).await?;
    Ok(Answer::created(files::create(&core, caller, new).await?))
}

/// `GET /Files`.
pub(super) async fn list(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    query: Query,
) -> Result<Answer<Vec<FileMetadata>>, Problem> {
    let page = query.page()?;
    let ids = query.ids()?.map(|ids| ids.into_iter().collect());
    Ok(files::list(&core, &caller, ids.as_ref(), page).await?.into())
}

/// `GET` and `HEAD /Files/{id}`: the bytes, or a range of them, as they come from disk.
pub(super) async fn download(
    State(core): State<AppState>,
    LoggedIn(_): LoggedIn,
    Identified(id): Identified<FileId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = files::read(&core, &id).await?;
    let etag = etag(&file);
    let representation = Representation { etag: &etag, size: file.cipher_size };
    let selection = range::select(&method, &headers, representation);
    let (offset, length) = match selection {
        Selection::Whole if method == Method::HEAD => (0, 0),
        Selection::Whole => (0, file.cipher_size),
        Selection::Part(part) => (part.offset(), part.length()),
        Selection::Unsatisfiable | Selection::NotModified | Selection::PreconditionFailed => (0, 0),
    };
    let mut response = Response::default();
    if length > 0 {
        let content = files::open(&core, &file, offset, length).await?.into_stream();
        *response.body_mut() = Body::from_stream(core.downloads.count(content));
    }
    *response.status_mut() = selection.status();
    *response.headers_mut() = selection.headers(representation);
    if response.status().is_success() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
    Ok(response)
}

/// The bytes of a file never change, so what its creator gave as their hash will do, even if it is wrong.
fn etag(file: &FileRecord) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", file.cipher_hash)).expect("base64url is a header value")
}

/// `GET /Files/{id}/Metadata`.
pub(super) async fn metadata(
    State(core): State<AppState>,
    LoggedIn(_): LoggedIn,
    Identified(id): Identified<FileId>,
) -> Result<Answer<FileMetadata>, Problem> {
    Ok(Answer::ok(files::read(&core, &id).await?.into_metadata()))
}

/// `DELETE /Files/{id}`.
pub(super) async fn remove(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<FileId>,
) -> Result<NoContent, Problem> {
    files::delete(&core, &caller, &id).await?;
    Ok(NoContent)
}

/// `PATCH /Files/{id}/RegenerateOwnershipToken`. Whatever the body is, it is ignored.
pub(super) async fn regenerate_ownership_token(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<FileId>,
) -> Result<Answer<NewOwnershipToken>, Problem> {
    let new_ownership_token = ownership::regenerate(&core, &caller, &id).await?;
    Ok(Answer::ok(NewOwnershipToken { new_ownership_token }))
}

/// `PATCH /Files/{id}/ClaimOwnership`.
pub(super) async fn claim_ownership(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<FileId>,
    JsonBody(body): JsonBody<OwnershipToken>,
) -> Result<Answer<NewOwnershipToken>, Problem> {
    let new_ownership_token = ownership::claim(&core, &caller, &id, &body.ownership_token).await?;
    Ok(Answer::ok(NewOwnershipToken { new_ownership_token }))
}

/// `POST /Files/{id}/ValidateOwnershipToken`.
pub(super) async fn validate_ownership_token(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<FileId>,
    JsonBody(body): JsonBody<OwnershipToken>,
) -> Result<Answer<OwnershipTokenValidity>, Problem> {
    let is_valid = ownership::validate(&core, &caller, &id, &body.ownership_token).await?;
    Ok(Answer::ok(OwnershipTokenValidity { is_valid }))
}
