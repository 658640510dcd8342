//! Downloads: verified bytes as a stream.

use axum::body::Body;
use runtime::FileId;
use tokio_util::io::ReaderStream;

use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// `GET Files/{id}/Download`
pub(crate) async fn download(call: Call) -> Result<Reply, Problem> {
    let id: FileId = call.id("id", "File")?;
    let download = call.runtime().files().download_file(&id, None).await?;
    let (file, content) = (download.file, download.content);
    let length = content.length();
    let body = Body::from_stream(ReaderStream::with_capacity(content.into_reader(), CHUNK));
    // The bytes of a file never change, so its id says whether a client has them already.
    Ok(Reply::download(&file.filename, &file.mimetype, length, id.to_string(), body))
}
