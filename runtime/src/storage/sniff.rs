//! What a file is by its content, and the signature of a content.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, ReadBuf};

use crate::MediaType;

/// Bytes at the start of a content that are looked at.
pub(super) const SNIFFED: usize = 8 * 1024;

/// The media type of a content that starts with these bytes.
pub(super) fn media_type(start: &[u8]) -> MediaType {
    let known = infer::get(start).map(|known| known.mime_type());
    let name = known.unwrap_or(if is_text(start) { "text/plain" } else { "application/octet-stream" });
    MediaType::of_header(Some(name))
}

/// Whether these bytes can be the start of a text in UTF-8.
fn is_text(start: &[u8]) -> bool {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => match std::str::from_utf8(&start[..error.valid_up_to()]) {
            Ok(text) => text,
            Err(_) => return false,
        },
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}'))
}

/// The MD5 of what a [`SignedReader`] has read.
#[derive(Clone, Default)]
pub(super) struct Signature(Arc<Mutex<Md5>>);

impl Signature {
    /// As 32 hexadecimal digits.
    pub(super) fn digits(&self) -> String {
        let hash = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Passes a content on and hashes it.
pub(super) struct SignedReader<R> {
    pub(super) content: R,
    pub(super) signature: Signature,
}

impl<R: AsyncRead + Unpin> AsyncRead for SignedReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.content).poll_read(context, out))?;
        self.signature.0.lock().unwrap_or_else(PoisonError::into_inner).update(&out.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[test]
    fn contents_are_recognised_by_their_first_bytes() {
        for (start, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
            (b"plain text\r\n\twith tabs", "text/plain"),
            ("Grüße 日本".as_bytes(), "text/plain"),
            (&"ä".as_bytes()[..1], "text/plain"),
            (b"a\0b", "application/octet-stream"),
            (b"\xff\xfe\xfd", "application/octet-stream"),
        ] {
            assert_eq!(media_type(start).as_str(), expected, "{start:?}");
        }
    }

    #[tokio::test]
    async fn the_signature_is_the_md5_of_what_was_read() {
        let signature = Signature::default();
        assert_eq!(signature.digits(), "d41d8cd98f00b204e9800998ecf8427e");
        let mut reader = SignedReader { content: &b"abc"[..], signature: signature.clone() };
        reader.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(signature.digits(), "900150983cd24fb0d6963f7d28e17f72");
    }
}
