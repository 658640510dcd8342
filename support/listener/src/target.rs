//! Request targets as others write them.
//!
//! `curl 'http://…/Files/Own?createdAt=>2026-01-01'` sends the `>` as it is. The HTTP library refuses a head with `"`, `<`,
//! `>`, a back quote, a control character or broken UTF-8 in the target, before any service sees it and with an empty answer.
//! Here such bytes are percent-encoded on their way to the library, which means the same to whoever decodes the target.
//!
//! The bytes of a connection are followed as far as needed to know where a head begins: after a body in chunks nobody looks
//! any more, and the library's rules hold again. Nothing but the target changes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once where a head is.
const PIECE: usize = 4 * 1024;
/// Most bytes of a line that are kept, to see whether it says how long the body is.
const MAX_LINE: usize = 64;

/// A stream whose request targets the HTTP library takes.
#[derive(Debug)]
pub(crate) struct EncodedTargets<Io> {
    io: Io,
    scanner: Scanner,
    /// What was read and not handed on yet, from `at`: at most three times a piece.
    pending: Vec<u8>,
    at: usize,
}

impl<Io> EncodedTargets<Io> {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, scanner: Scanner::default(), pending: Vec::new(), at: 0 }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = buf.remaining().min(self.pending.len() - self.at);
        buf.put_slice(&self.pending[self.at..self.at + count]);
        self.at += count;
        if self.at == self.pending.len() {
            self.pending.clear();
            self.at = 0;
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for EncodedTargets<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.pending.is_empty() {
            let as_it_is = this.scanner.passes_on(buf.remaining());
            if as_it_is > 0 {
                let mut body = ReadBuf::new(buf.initialize_unfilled_to(as_it_is));
                ready!(Pin::new(&mut this.io).poll_read(cx, &mut body))?;
                let count = body.filled().len();
                this.scanner.passed_on(count);
                buf.advance(count);
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut piece))?;
            this.scanner.encode(piece.filled(), &mut this.pending);
        }
        this.hand_on(buf);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for EncodedTargets<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Where in the bytes of a connection the next one is.
#[derive(Debug, Default)]
enum Place {
    /// Before the method of a request.
    #[default]
    Start,
    Method,
    Target,
    /// Behind the target, up to the end of the line.
    Version,
    /// In a line behind the first one.
    Line,
    /// So many bytes belong to the body.
    Body(u64),
    /// It is not known any more where a head begins.
    Unknown,
}

/// How long the body of a request is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Bytes(u64),
    /// In chunks, or contradictory: the library decides.
    Unknown,
}

#[derive(Debug, Default)]
struct Scanner {
    place: Place,
    length: Length,
    line: Vec<u8>,
}

impl Scanner {
    /// How many of the next `count` bytes belong to no head for certain.
    fn passes_on(&self, count: usize) -> usize {
        match self.place {
            Place::Unknown => count,
            Place::Body(left) => usize::try_from(left).unwrap_or(usize::MAX).min(count),
            _ => 0,
        }
    }

    fn passed_on(&mut self, count: usize) {
        if let Place::Body(left) = &mut self.place {
            *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
            if *left == 0 {
                self.place = Place::Start;
            }
        }
    }

    /// Appends what the library gets to read instead of `bytes`.
    fn encode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((first, rest)) = bytes.split_first() {
            let as_it_is = self.passes_on(bytes.len());
            if as_it_is > 0 {
                let (body, rest) = bytes.split_at(as_it_is);
                out.extend(body);
                self.passed_on(as_it_is);
                bytes = rest;
            } else {
                self.encode_byte(*first, out);
                bytes = rest;
            }
        }
    }

    fn encode_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if matches!(self.place, Place::Target) && must_be_encoded(byte) {
            out.extend(format!("%{byte:02X}").bytes());
            return;
        }
        out.push(byte);
        self.place = match (std::mem::take(&mut self.place), byte) {
            // The library passes over empty lines before a request.
            (Place::Start, b'\r' | b'\n') => Place::Start,
            (Place::Start, _) => Place::Method,
            (Place::Method | Place::Target | Place::Version, b'\n') => Place::Line,
            (Place::Method, b' ') => Place::Target,
            (Place::Target, b' ' | b'\r') => Place::Version,
            (Place::Line, b'\n') => self.end_line(),
            (Place::Line, _) => {
                if self.line.len() <= MAX_LINE {
                    self.line.push(byte);
                }
                Place::Line
            }
            (place, _) => place,
        };
    }

    fn end_line(&mut self) -> Place {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if !line.is_empty() {
            self.read_length(line);
            return Place::Line;
        }
        match std::mem::take(&mut self.length) {
            Length::None | Length::Bytes(0) => Place::Start,
            Length::Bytes(length) => Place::Body(length),
            Length::Unknown => Place::Unknown,
        }
    }

    fn read_length(&mut self, line: &[u8]) {
        let name_end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(name_end);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.length = Length::Unknown;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(&value[1.min(value.len())..]).unwrap_or_default().trim();
            let given = text.parse().ok().filter(|_| line.len() <= MAX_LINE).map_or(Length::Unknown, Length::Bytes);
            let fits = self.length == Length::None || self.length == given;
            self.length = if fits { given } else { Length::Unknown };
        }
    }
}

/// What the library refuses in a target. A blank ends it.
fn must_be_encoded(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x7f..) || byte < b' ' && !matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn read(bytes: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        EncodedTargets::new(bytes).read_to_end(&mut read).await.unwrap();
        read
    }

    #[tokio::test]
    async fn targets_are_encoded_and_nothing_else_is() {
        let sent = "\r\nGET /a<b\"?c=>1&d=\u{e9}`{|}^#\u{7f}\t HTTP/1.1\r\nx: <\">\r\n\r\n\
                    POST /<?> HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /<> HTTPGET /> HTTP/1.1\n\nPUT /> HTTP/1.1\r\n";
        let expected = "\r\nGET /a%3Cb%22?c=%3E1&d=%C3%A9%60{|}^#%7F%09 HTTP/1.1\r\nx: <\">\r\n\r\n\
                    POST /%3C?%3E HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /<> HTTPGET /%3E HTTP/1.1\n\nPUT /%3E HTTP/1.1\r\n";
        assert_eq!(String::from_utf8(read(sent.as_bytes()).await).unwrap(), expected);
    }

    #[tokio::test]
    async fn where_the_next_head_begins_is_not_guessed() {
        let long = format!("content-length: {}4", " ".repeat(MAX_LINE));
        for length in [
            "transfer-encoding: chunked",
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Content-Length: 4\r\ncontent-length: 5",
            "content-length: x",
            "content-length",
            &long,
        ] {
            let sent = format!("POST / HTTP/1.1\r\n{length}\r\n\r\nGET /> HTTP/1.1\r\n\r\n");
            assert_eq!(String::from_utf8(read(sent.as_bytes()).await).unwrap(), sent);
        }
        let sent = b"POST / HTTP/1.1\r\ncontent-length: 2\r\nContent-Length:2 \r\n\r\n>>GET /> HTTP/1.1\r\n\r\n";
        assert!(read(sent).await.ends_with(b"\r\n\r\n>>GET /%3E HTTP/1.1\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn how_the_bytes_come_makes_no_difference(
            bytes in r"((GET|POST) [/<>?a ]{0,8} HTTP/1.1\r?\n(content-length: [0-9]\r\n|a: <\r\n)*\r\n[<a]{0,9}){1,4}",
            size in 1_usize..20,
        ) {
            let (mut whole, mut parts) = (Vec::new(), Vec::new());
            Scanner::default().encode(bytes.as_bytes(), &mut whole);
            let mut scanner = Scanner::default();
            for part in bytes.as_bytes().chunks(size) {
                scanner.encode(part, &mut parts);
            }
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn the_library_takes_every_encoded_target(target in proptest::collection::vec(any::<u8>(), 0..40)) {
            let target: Vec<u8> = target.into_iter().filter(|byte| !b" \r\n".contains(byte)).collect();
            let mut out = Vec::new();
            Scanner::default().encode(&[b"GET /", &target[..], b" HTTP/1.1\r\n"].concat(), &mut out);
            let encoded = out.strip_prefix(b"GET ").unwrap().strip_suffix(b" HTTP/1.1\r\n").unwrap();
            prop_assert!(http::Uri::try_from(encoded).is_ok(), "{:?}", String::from_utf8_lossy(encoded));
        }
    }
}
