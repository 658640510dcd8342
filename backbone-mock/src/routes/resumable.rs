//! `/Uploads`: uploads in the tus protocol, and files made of them.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use transport::wire::UploadId;
use transport::wire::backbone::files::CreatedFile;
use transport::wire::backbone::uploads::{self, FinishUpload, header};
use transport::wire::backbone::{peer_services, previews};

use crate::core::Core;
use crate::domain::resumable::{self, Algorithm, Append, UploadRefusal};
use crate::web::AppState;
use crate::web::answer::{Answer, NoContent};
use crate::web::body::BodyError;
use crate::web::identified::Identified;
use crate::web::json::LargeJsonBody;
use crate::web::problem::Problem;
use crate::web::session::LoggedIn;
use crate::web::tus::{self, Creation, Metadata};

/// Names the method that a client means where it can send no other than `POST`.
const METHOD_OVERRIDE: &str = "x-http-method-override";

/// `OPTIONS /Uploads`: what is spoken here. Tells nothing that needs a login.
pub(super) async fn probe(State(core): State<AppState>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::TUS_VERSION, HeaderValue::from_static(uploads::VERSION));
    headers.insert(header::TUS_EXTENSION, HeaderValue::from_static(tus::EXTENSIONS));
    headers.insert(header::TUS_MAX_SIZE, core.config.limits.max_large_file_bytes.into());
    headers.insert(header::TUS_CHECKSUM_ALGORITHM, HeaderValue::from_static(Algorithm::NAMES));
    headers.insert(header::ENLACE_EXTENSION, extensions(&core));
    response
}

/// What the server does beyond tus.
fn extensions(core: &Core) -> HeaderValue {
    let peers = core.peers.as_ref().map(|_| peer_services::EXTENSION);
    let names = [Some(previews::EXTENSION), peers];
    let list = names.into_iter().flatten().collect::<Vec<_>>().join(",");
    HeaderValue::from_str(&list).expect("names of extensions are header values")
}

/// `POST /Uploads`.
pub(super) async fn create(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let upload = match tus::creation(&headers)? {
        Creation::New(new) => resumable::create(&core, &caller, new).await?,
        Creation::Whole(parts, metadata) => {
            // A connection that breaks off takes this handler with it. The turn has to last until the commit is decided.
            let shared = core.clone();
            let putting_together =
                shared.appending.spawn(async move { resumable::concatenate(&core, &caller, parts, metadata).await });
            putting_together.await.expect("putting together does not panic")?
        }
    };
    let mut response = StatusCode::CREATED.into_response();
    let location = format!("{}/{}", uploads::PATH, upload.id);
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_str(&location).expect("an id is a header value"));
    headers.insert(header::UPLOAD_EXPIRES, tus::http_date(upload.expires_at));
    Ok(response)
}

/// `HEAD /Uploads/{id}`.
pub(super) async fn status(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<UploadId>,
) -> Result<Response, Problem> {
    let upload = resumable::read(&core, &caller, &id).await?;
    let mut response = StatusCode::OK.into_response();
    tus::describe(&upload, response.headers_mut(), uploads::PATH);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `PATCH /Uploads/{id}`: the bytes go to disk as they arrive.
pub(super) async fn append(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<UploadId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != uploads::CONTENT_TYPE) {
        return Err(UploadRefusal::WrongContentType.into());
    }
    let append = Append {
        offset: tus::offset(&headers)?,
        length: tus::length(&headers)?,
        announced: headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()),
        checksum: tus::checksum(&headers)?,
        pieces: body.into_data_stream().map_err(BodyError::from),
    };
    // A connection that breaks off takes this handler with it, but not what has arrived.
    let shared = core.clone();
    let appending = shared.appending.spawn(async move { resumable::append(&core, &caller, &id, append).await });
    let appended = appending.await.expect("appending does not panic")?;
    match appended.broken {
        Some(BodyError::TooSlow) => return Err(Problem::BodyTooSlow),
        Some(error) => return Err(Problem::unreadable(error)),
        None => {}
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::UPLOAD_OFFSET, appended.upload.offset().into());
    response.headers_mut().insert(header::UPLOAD_EXPIRES, tus::http_date(appended.upload.expires_at));
    Ok(response)
}

/// `DELETE /Uploads/{id}`.
pub(super) async fn terminate(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<UploadId>,
) -> Result<NoContent, Problem> {
    resumable::terminate(&core, &caller, &id).await?;
    Ok(NoContent)
}

/// `POST /Uploads/{id}` that stands for another method.
pub(super) async fn overridden(
    core: State<AppState>,
    caller: LoggedIn,
    id: Identified<UploadId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let method = headers.get(METHOD_OVERRIDE).and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    match method {
        Some(Method::PATCH) => append(core, caller, id, headers, body).await,
        Some(Method::DELETE) => terminate(core, caller, id).await.map(IntoResponse::into_response),
        Some(Method::HEAD) => status(core, caller, id).await,
        _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
    }
}

/// `POST /Uploads/{id}/File`: makes a file of a complete upload.
pub(super) async fn finish(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<UploadId>,
    LargeJsonBody(request): LargeJsonBody<FinishUpload>,
) -> Result<Answer<CreatedFile>, Problem> {
    let upload = resumable::read(&core, &caller, &id).await?;
    let described = Metadata::parse(&upload.metadata)?.completed_by(request)?;
    Ok(Answer::created(resumable::finish(&core, caller, &id, described).await?))
}
