//! Files whose upload has not ended: what is shown of them, and their bytes as they come.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use transport::wire::backbone::previews::{CreatedPreview, FilePreview, LAST_BYTE, NewPreview};
use transport::wire::{FileId, UploadId};

use crate::domain::resumable;
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::identified::Identified;
use crate::web::json::LargeJsonBody;
use crate::web::problem::Problem;
use crate::web::session::LoggedIn;

/// `PUT /Uploads/{id}/Preview`: shows an upload, or changes what is shown of it.
pub(super) async fn show(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<UploadId>,
    LargeJsonBody(new): LargeJsonBody<NewPreview>,
) -> Result<Answer<CreatedPreview>, Problem> {
    Ok(Answer::ok(resumable::show(&core, &caller, &id, new).await?))
}

/// `GET /Files/{id}/Preview`.
pub(super) async fn read(
    State(core): State<AppState>,
    LoggedIn(_): LoggedIn,
    Identified(id): Identified<FileId>,
) -> Result<Answer<FilePreview>, Problem> {
    Ok(Answer::ok(resumable::read_preview(&core, &id).await?))
}

/// `GET /Files/{id}/Content`: the bytes behind an offset, up to the end of the upload.
pub(super) async fn follow(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<FileId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let first = first_byte(&headers)?;
    let downloads = core.downloads.clone();
    let bytes = resumable::follow(core, &caller, id, first.unwrap_or(0)).await?;
    let mut response = Response::new(Body::from_stream(downloads.count(bytes)));
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Some(first) = first {
        let range = format!("bytes {first}-{LAST_BYTE}/*");
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("numbers are a header value"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The first byte of a range without an end; `None` without a range.
fn first_byte(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(range) = headers.get(RANGE) else { return Ok(None) };
    let first = || {
        let first = range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?;
        let is_number = !first.is_empty() && first.bytes().all(|digit| digit.is_ascii_digit());
        first.parse().ok().filter(|first| is_number && *first <= LAST_BYTE)
    };
    first().map(Some).ok_or_else(|| Problem::unreadable("'Range': must be 'bytes=', a number, and '-'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_anywhere_and_has_no_end() {
        let read = |range: &str| {
            let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_str(range).unwrap())]);
            first_byte(&headers).ok()
        };
        assert_eq!(first_byte(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(read("bytes=0-"), Some(Some(0)));
        assert_eq!(read("bytes=9007199254740991-"), Some(Some(LAST_BYTE)));
        for bad in ["bytes=9007199254740992-", "bytes=-5", "bytes=0-5", "bytes=+1-", "bytes=-", "bytes=0-,7-", "0-", ""]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
