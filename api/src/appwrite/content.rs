//! Contents of files, all bytes or a range of them (RFC 9110, sections 13 and 14; see [`listener::range`]).

use std::ops::ControlFlow;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use listener::range::{self, Representation, Selection};
use runtime::Timestamp;
use runtime::facade::{BucketContent, ByToken, ContentRequest, SENT_UNASKED, StorageFacade};
use runtime::storage::{ContentUse, StorageError, TokenRefusal, inline_type};

use super::presented::{secret, token_use};
use super::{caller, embeddable, page, parameter};
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::{Disposition, disposition};
use crate::reply::{Reply, without_bytes};
use crate::rest::download::streamed;

/// Clients may keep a content for 45 days; its entity tag tells whether it is still the same one.
const KEPT_SECONDS: u64 = 45 * 24 * 60 * 60;
/// What a use of a token has paid for is not had a second time from a cache.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("private, no-store");
/// Contents are no pages of ours: they may not act.
const VIEW_POLICY: &str = "script-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'self'";

/// `GET storage/buckets/{bucketId}/files/{fileId}/view`
pub(super) async fn view(call: Call<()>) -> Result<Reply, Problem> {
    let reply = send(call, ContentUse::View, Disposition::Inline, inline_type).await?;
    Ok(Reply { content_policy: reply.content_policy.or(Some(VIEW_POLICY)), ..reply })
}

/// `GET storage/buckets/{bucketId}/files/{fileId}/download`
pub(super) async fn download(call: Call<()>) -> Result<Reply, Problem> {
    send(call, ContentUse::Download, Disposition::Attachment, |stored| stored).await
}

async fn send(
    call: Call<()>,
    used_as: ContentUse,
    kind: Disposition,
    media: fn(&str) -> &str,
) -> Result<Reply, Problem> {
    let storage = call.runtime().storage();
    let content = match open(&call, used_as)? {
        ControlFlow::Continue(content) => content,
        ControlFlow::Break(page) => return Ok(page),
    };
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
        _ if call.method == Method::HEAD => without_bytes(),
        Selection::NotModified => {
            storage.use_token(&content, None).await?;
            without_bytes()
        }
        _ => {
            let first = range.as_ref().map_or(0, |range| range.start);
            let bytes = storage.read(&content, range).await?;
            // It is counted when there is something to send, and before any of it is sent.
            storage.use_token(&content, Some(first)).await?;
            let body = streamed(bytes, &mut headers);
            match content.by_token.clone() {
                Some(by) => while_given(storage, by, body),
                None => body,
            }
        }
    };
    let reply = Reply::stream(selection.status(), media(&content.file.mime_type), headers, body);
    let reply = reply.with(header::CONTENT_DISPOSITION, disposition(kind, &content.file.name));
    let now = call.runtime().clock().now();
    let kept = kept(KEPT_SECONDS, content.by_token.as_ref(), now);
    Ok(embeddable(reply.with(header::CACHE_CONTROL, kept)))
}

/// The bytes, up to where the token by which they are had gives no more. They end with an error then, so that nobody takes them for the whole.
fn while_given(storage: StorageFacade, by: ByToken, body: Body) -> Body {
    let mut unasked = 0;
    let ask = move |bytes: Result<Bytes, axum::Error>| {
        let bytes = bytes?;
        unasked += bytes.len() as u64;
        if unasked > SENT_UNASKED {
            storage.check_still_given(&by).map_err(axum::Error::new)?;
            unasked = bytes.len() as u64;
        }
        Ok::<_, axum::Error>(bytes)
    };
    Body::from_stream(body.into_data_stream().map(ask))
}

/// The content that a request asks for, by permissions or by the token that it presents; or a page where a person uses the token first.
pub(super) fn open(call: &Call<()>, used_as: ContentUse) -> Result<ControlFlow<Reply, BucketContent>, Problem> {
    let request = ContentRequest { token: token_use(call)?, used_as };
    match call.runtime().storage().content(caller(call), parameter(call, 0), parameter(call, 1), request) {
        Err(StorageError::Token(TokenRefusal::ClaimRequired)) if page::is_wanted(call) => {
            Ok(ControlFlow::Break(page::offer(call, secret(call).unwrap_or_default(), used_as)))
        }
        content => Ok(ControlFlow::Continue(content?)),
    }
}

/// How long a client may keep what it gets: so many seconds, but not longer than the token is valid by which it gets it.
pub(super) fn kept(seconds: u64, by_token: Option<&ByToken>, now: Timestamp) -> HeaderValue {
    let expire = match by_token {
        Some(by) if by.is_limited => return NOT_KEPT,
        by => by.and_then(|by| by.expire),
    };
    let left = expire.map(|expire| expire.as_unix_milliseconds().saturating_sub(now.as_unix_milliseconds()) / 1000);
    let seconds = left.map_or(seconds, |left| seconds.min(u64::try_from(left).unwrap_or(0)));
    HeaderValue::from_str(&format!("private, max-age={seconds}")).unwrap_or(NOT_KEPT)
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
