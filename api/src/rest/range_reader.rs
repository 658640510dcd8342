//! The one place that knows what reading a part of a file costs.

use std::io;

use runtime::facade::VerifiedContent;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::problem::Problem;

/// A verified content of which some consecutive bytes are wanted.
///
/// The authentication tag and the hashes of a content in format v1 cover the whole file. So each range costs the download
/// and the verification of the whole file, and what stands before the range is decrypted and dropped. For a content
/// that can seek, [`RangeReader::read`] is what has to change.
pub(super) struct RangeReader {
    content: VerifiedContent,
}

impl RangeReader {
    pub(super) fn new(content: VerifiedContent) -> Self {
        Self { content }
    }

    /// Exactly `length` bytes, without the `offset` bytes before them.
    ///
    /// # Errors
    /// 500 if the content has fewer bytes before the range, or can no longer be read here.
    pub(super) async fn read(self, offset: u64, length: u64) -> Result<impl AsyncRead + Send + 'static, Problem> {
        let mut reader = self.content.into_reader();
        skip(&mut reader, offset).await.map_err(|error| {
            tracing::error!(%error, "a verified content could not be read");
            Problem::unexpected()
        })?;
        Ok(reader.take(length))
    }
}

async fn skip(reader: &mut (impl AsyncRead + Unpin), count: u64) -> io::Result<()> {
    let skipped = tokio::io::copy(&mut reader.take(count), &mut tokio::io::sink()).await?;
    if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_bytes_are_skipped_as_are_there() {
        for (count, left) in [(0, Some("abc")), (2, Some("c")), (3, Some("")), (4, None)] {
            let mut reader = "abc".as_bytes();
            let skipped = skip(&mut reader, count).await;
            assert_eq!(skipped.ok().map(|()| reader), left.map(str::as_bytes), "{count}");
        }
    }
}
