//! `Content-Encoding` of requests: bodies that are compressed on their way.
//!
//! Not `br`: a decoder for Brotli fills its window before it hands out any of it, up to 1 GiB for a body of 2 KiB.

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use listener::BoxError;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    /// RFC 1950, which is what HTTP calls `deflate`.
    Deflate,
}

/// A body is longer than it may be, as it comes or as it is when it is inflated.
#[derive(Debug, thiserror::Error)]
#[error("the body is too long")]
struct TooLong;

/// Whether a body was refused for its length.
pub(super) fn is_too_long(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.is::<TooLong>() || error.is::<LengthLimitError>()
}

impl Encoding {
    /// What the headers say; none for something else, or several at once.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = given.next() else { return Some(Self::Identity) };
        let known = match value.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => return None,
        };
        given.next().is_none().then_some(known)
    }

    /// Reads all of a body and inflates it. `limit` is for the bytes that come, and for those that they become: memory never
    /// holds more than the latter and a window of 32 KiB, and a body that becomes nothing ends, too.
    ///
    /// # Errors
    /// One that [`is_too_long`] for more; what the body says; that a compressed one cannot be inflated, or that its end is
    /// missing.
    pub(super) async fn collect(self, body: axum::body::Body, limit: usize) -> Result<Bytes, BoxError> {
        let limited = Limited::new(body, limit);
        let compressed =
            |body: Limited<_>| StreamReader::new(Box::pin(body.into_data_stream().map_err(std::io::Error::other)));
        match self {
            Self::Identity => Ok(limited.collect().await?.to_bytes()),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(compressed(limited));
                // RFC 1952, section 2.2.
                decoder.multiple_members(true);
                take(decoder, limit).await
            }
            Self::Deflate => take(ZlibDecoder::new(compressed(limited)), limit).await,
        }
    }
}

async fn take<R: AsyncRead + Unpin>(reader: R, limit: usize) -> Result<Bytes, BoxError> {
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    match reader.take(one_more).read_to_end(&mut bytes).await {
        Ok(_) if bytes.len() > limit => Err(TooLong.into()),
        Ok(_) => Ok(bytes.into()),
        // Errors of the body itself come back as they were.
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<LengthLimitError>()) => Err(TooLong.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::write::{GzipEncoder, ZlibEncoder};
    use tokio::io::{AsyncWrite, AsyncWriteExt as _};

    use super::*;

    const LIMIT: usize = 100_000;
    const COMPRESSED: [(&str, Encoding); 2] = [("gzip", Encoding::Gzip), ("deflate", Encoding::Deflate)];

    async fn finished(mut encoder: impl AsyncWrite + Unpin, bytes: &[u8]) {
        encoder.write_all(bytes).await.unwrap();
        encoder.shutdown().await.unwrap();
    }

    async fn compressed(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match encoding {
            Encoding::Identity => out.extend(bytes),
            Encoding::Gzip => finished(GzipEncoder::new(&mut out), bytes).await,
            Encoding::Deflate => finished(ZlibEncoder::new(&mut out), bytes).await,
        }
        out
    }

    async fn collect(encoding: Encoding, body: Vec<u8>) -> Result<Bytes, BoxError> {
        encoding.collect(axum::body::Body::from(body), LIMIT).await
    }

    #[test]
    fn one_known_encoding_is_read() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, http::HeaderValue::from_static(value));
            }
            Encoding::of(&headers)
        };
        assert_eq!(of(&[]), Some(Encoding::Identity));
        assert_eq!(of(&["Identity"]), Some(Encoding::Identity));
        assert_eq!(of(&["X-GZip"]), Some(Encoding::Gzip));
        for (name, encoding) in COMPRESSED {
            assert_eq!(of(&[name]), Some(encoding));
        }
        for values in [&["zstd"][..], &["br"], &["gzip, deflate"], &["gzip", "gzip"], &["gzip;q=1"]] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }

    #[tokio::test]
    async fn the_limit_is_for_what_a_body_becomes() {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate] {
            let body = compressed(encoding, &vec![b'x'; LIMIT]).await;
            assert_eq!(collect(encoding, body).await.unwrap().len(), LIMIT, "{encoding:?}");
            let body = compressed(encoding, &vec![b'x'; LIMIT + 1]).await;
            let error = collect(encoding, body).await.unwrap_err();
            assert!(is_too_long(error.as_ref()), "{encoding:?}: {error}");
        }
    }

    #[tokio::test]
    async fn all_members_of_gzip_are_read() {
        let mut body = compressed(Encoding::Gzip, b"first ").await;
        body.extend(compressed(Encoding::Gzip, b"second").await);
        assert_eq!(collect(Encoding::Gzip, body.clone()).await.unwrap(), "first second");
        body.extend(b"garbage");
        collect(Encoding::Gzip, body).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_body_that_becomes_nothing_has_a_limit_too() {
        // Empty blocks of deflate: five bytes each, which become nothing.
        let mut endless = vec![0x78, 0x9c];
        for _ in 0..LIMIT / 5 {
            endless.extend([0, 0, 0, 0xff, 0xff]);
        }
        let error = collect(Encoding::Deflate, endless).await.unwrap_err();
        assert!(is_too_long(error.as_ref()), "{error}");
    }

    #[tokio::test]
    async fn broken_and_truncated_bodies_are_errors() {
        for (_, encoding) in COMPRESSED {
            let mut body = compressed(encoding, b"{\"some\": \"JSON\", \"for\": \"example\"}").await;
            body.truncate(body.len() - 6);
            for body in [body, b"{}".to_vec(), Vec::new()] {
                let error = collect(encoding, body.clone()).await.map(|_| ()).unwrap_err();
                assert!(!is_too_long(error.as_ref()), "{encoding:?} {body:?}: {error}");
            }
        }
    }
}
