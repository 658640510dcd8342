//! Contents of files, all bytes or a range of them (RFC 9110, sections 13 and 14; see [`listener::range`]).

use http::{HeaderMap, HeaderValue, Method, header};
use listener::range::{self, Representation, Selection};
use runtime::facade::ContentRequest;
use runtime::storage::{ContentUse, inline_type};

use super::{caller, embeddable, parameter};
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::{Disposition, disposition};
use crate::reply::{Reply, without_bytes};
use crate::rest::download::streamed;

/// Clients may keep a content for 45 days; its entity tag tells whether it is still the same one.
const KEPT: HeaderValue = HeaderValue::from_static("private, max-age=3888000");
/// Contents are no pages of ours: they may not act.
const VIEW_POLICY: &str = "script-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'self'";
/// `GET storage/buckets/{bucketId}/files/{fileId}/view`
pub(super) async fn view(call: Call<()>) -> Result<Reply, Problem> {
    let reply = send(call, Disposition::Inline, inline_type).await?;
    Ok(Reply { content_policy: Some(VIEW_POLICY), ..reply })
}

/// `GET storage/buckets/{bucketId}/files/{fileId}/download`
pub(super) async fn download(call: Call<()>) -> Result<Reply, Problem> {
    send(call, Disposition::Attachment, |stored| stored).await
}

async fn send(call: Call<()>, kind: Disposition, media: fn(&str) -> &str) -> Result<Reply, Problem> {
    let storage = call.runtime().storage();
    let request = ContentRequest { token: None, used_as: ContentUse::View };
    let content = storage.content(caller(&call), parameter(&call, 0), parameter(&call, 1), request)?;
    let etag = HeaderValue::from_str(&content.etag).map_err(|_| Problem::unexpected())?;
    let representation = Representation { etag: &etag, size: content.length() };
    let selection = select(&call.method, &call.headers, representation);
    let mut headers = selection.headers(representation);
    let range = match selection {
        Selection::Part(part) => Some(part.offset()..part.offset() + part.length()),
        Selection::Unsatisfiable => return Err(Problem::range_not_satisfiable(content.length(), headers)),
        Selection::PreconditionFailed => return Err(Problem::precondition_failed(headers)),
        Selection::Whole | Selection::NotModified => None,
    };
    let body = match selection {
        Selection::NotModified => without_bytes(),
        _ if call.method == Method::HEAD => without_bytes(),
        _ => streamed(storage.read(&content, range).await?, &mut headers),
    };
    let reply = Reply::stream(selection.status(), media(&content.file.mime_type), headers, body);
    let reply = reply.with(header::CONTENT_DISPOSITION, disposition(kind, &content.file.name));
    Ok(embeddable(reply.with(header::CACHE_CONTROL, KEPT)))
}

/// What a request asks for. Ranges of bytes that cannot be read are refused here: clients of this face rely on it.
fn select(method: &Method, headers: &HeaderMap, representation: Representation<'_>) -> Selection {
    let selection = range::select(method, headers, representation);
    let is_refused = selection == Selection::Whole && method == Method::GET && is_unreadable(headers);
    if is_refused { Selection::Unsatisfiable } else { selection }
}

/// Whether a request has ranges of bytes one of which has no hyphen.
fn is_unreadable(headers: &HeaderMap) -> bool {
    let text = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let ranges = text.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    !headers.contains_key(header::IF_RANGE)
        && ranges.is_some_and(|(_, ranges)| !ranges.split(',').all(|it| it.contains('-')))
}
