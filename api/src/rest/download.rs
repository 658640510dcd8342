//! Downloads: verified bytes as a stream, all of them or a range (RFC 9110, sections 13 and 14; see [`listener::range`]).
//!
//! Conditions, ranges and the headers of `HEAD` are decided by what is stored here about the file. Only an answer that
//! has bytes asks the backbone for the content.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method};
use listener::range::{self, Representation, Selection};
use runtime::FileId;
use runtime::dto::File;
use runtime::facade::{Download, VerifiedContent};
use tokio_util::io::ReaderStream;

use crate::connector::Call;
use crate::finish::CORRELATION_ID;
use crate::problem::Problem;
use crate::reply::{PATH, Reply, without_bytes};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// `GET Files/{id}/Download`
pub(crate) async fn download(call: Call) -> Result<Reply, Problem> {
    let id: FileId = call.id("id", "File")?;
    let file = call.runtime().files().file(&id).await?;
    let etag = entity_tag(&file);
    let representation = Representation { etag: &etag, size: file.filesize };
    let selection = range::select(&call.method, &call.headers, representation);
    let mut headers = selection.headers(representation);
    let body = match selection {
        Selection::Whole if call.method == Method::HEAD => without_bytes(),
        Selection::Whole => {
            let download = call.runtime().files().download_file(&id, None).await?;
            body(&call, download, &mut headers)
        }
        Selection::Part(part) => {
            let range = part.offset()..part.offset() + part.length();
            let download = call.runtime().files().read_range(&id, range).await?;
            body(&call, download, &mut headers)
        }
        Selection::NotModified => without_bytes(),
        Selection::Unsatisfiable => return Err(Problem::range_not_satisfiable(file.filesize, headers)),
        Selection::PreconditionFailed => return Err(Problem::precondition_failed(headers)),
    };
    Ok(Reply::download(&file.filename, &file.mimetype, selection.status(), headers, body))
}

/// The bytes of a file never change, so its id says whether a client has them already.
fn entity_tag(file: &File) -> HeaderValue {
    let tag = format!("\"{:x}-{}\"", file.filesize, file.id);
    HeaderValue::from_str(&tag).expect("an id is visible ASCII")
}

/// The bytes of a download, and the header that says by which path they come. How it goes on can be asked for.
fn body(call: &Call, download: Download, headers: &mut HeaderMap) -> Body {
    if let Some(id) = call.headers.get(CORRELATION_ID).and_then(|id| id.to_str().ok()) {
        call.downloads.add(id, download.content.path_log());
    }
    streamed(download.content, headers)
}

/// The bytes, and the header that says by which path they come.
pub(crate) fn streamed(content: VerifiedContent, headers: &mut HeaderMap) -> Body {
    if let Some(path) = content.path() {
        headers.insert(PATH, HeaderValue::from_static(path.name()));
    }
    Body::from_stream(ReaderStream::with_capacity(content.into_reader(), CHUNK))
}
