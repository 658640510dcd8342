//! Heads of requests as others write them.
//!
//! The HTTP library answers a head that it cannot read by itself, with an empty body and before any service sees it. Clients
//! expect the form of failures that a server has for everything else. So each head is read here first, by the library's own
//! parser, and instead of one that is malformed the library gets a request in its place, whose service finds [`Malformed`]
//! among the extensions, answers it in its own form, and ends the connection.
//!
//! `curl 'http://…/Files/Own?createdAt=>2026-01-01'` sends the `>` as it is. The library refuses a target with `"`, `<`, `>`,
//! a back quote, a control character or broken UTF-8. Such bytes are percent-encoded on their way to it, which means the same
//! to whoever decodes the target. Nothing else changes.
//!
//! The bytes of a connection are followed as far as needed to know where a head begins. After a body in chunks with
//! extensions or trailers nobody looks any more, and the library's rules hold again: what is malformed then gets 400 with an
//! empty body. A connection is closed without an answer if a head does not come to its end in time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::{Method, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once where a head is.
const PIECE: usize = 4 * 1024;
/// Header lines of a head, as many as the library takes.
const MAX_HEADERS: usize = 100;
/// Bytes of a target, as many as the library takes.
const MAX_TARGET: usize = u16::MAX as usize - 1;
/// Largest `Content-Length` that the library takes.
const MAX_LENGTH: u64 = u64::MAX - 2;
/// Bytes of empty lines before a head: clients of HTTP/1.0 sent one line more behind a form.
const MAX_EMPTY: usize = 16;
/// Bytes of a path that is kept of a malformed request.
const MAX_KEPT_PATH: usize = 1024;
/// Bytes that are read without a look when a connection ends after a malformed head: closing a socket with unread bytes may
/// take the answer back.
const MAX_DISCARDED: usize = 256 * 1024;

/// An extension of a request that stands for one whose head cannot be read: what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first line is not one of HTTP/1.1.
    #[error("its first line is not `METHOD TARGET HTTP/1.1`")]
    RequestLine,
    /// More than one space between method and version.
    #[error("its target contains a space; write it as %20")]
    Blank,
    /// The target is neither a path nor a URL.
    #[error("its target is neither a path nor a URL")]
    Target,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("its version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// A header line is not `name: value`.
    #[error("a header line is not `name: value`")]
    Header,
    /// It does not say how long its body is.
    #[error("Content-Length or Transfer-Encoding is invalid")]
    Length,
    /// The target is too long.
    #[error("its target is longer than {MAX_TARGET} bytes")]
    TargetTooLong,
    /// Too many bytes or header lines.
    #[error("its head has more bytes than this server reads, or more than {MAX_HEADERS} header lines")]
    TooLarge,
}

impl Malformed {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Which request of a connection is malformed, counted from 0. At most one is: the connection ends with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<OnceLock<(u64, Malformed)>>);

impl Verdict {
    /// What is wrong with a request of the connection.
    pub(crate) fn on(&self, request: u64) -> Option<Malformed> {
        self.0.get().filter(|(malformed, _)| *malformed == request).map(|(_, why)| *why)
    }
}

/// A stream whose heads the HTTP library takes.
#[derive(Debug)]
pub(crate) struct ReadableHeads<Io> {
    io: Io,
    scanner: Scanner,
    /// What was read and not handed on yet, from `at`.
    pending: Vec<u8>,
    at: usize,
}

impl<Io> ReadableHeads<Io> {
    /// Reads heads of at most so many bytes.
    pub(crate) fn new(io: Io, max_head: usize) -> (Self, Verdict) {
        let scanner = Scanner::new(max_head);
        let verdict = scanner.verdict.clone();
        (Self { io, scanner, pending: Vec::new(), at: 0 }, verdict)
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = buf.remaining().min(self.pending.len() - self.at);
        buf.put_slice(&self.pending[self.at..self.at + count]);
        self.at += count;
        if self.at == self.pending.len() {
            self.pending = Vec::new();
            self.at = 0;
        }
    }
}

impl<Io: AsyncRead + Unpin> ReadableHeads<Io> {
    /// Throws away what has come already.
    fn discard(&mut self, cx: &mut Context<'_>) {
        let mut discarded = 0;
        let mut piece = [0; PIECE];
        while discarded < MAX_DISCARDED {
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.io).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => discarded += piece.filled().len(),
                _ => return,
            }
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for ReadableHeads<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.pending.is_empty() {
            if matches!(this.scanner.place, Place::Refused) {
                // The library only looks whether the peer is still there; it is answered whatever it does.
                return Poll::Pending;
            }
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
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.scanner.read(piece.filled(), &mut this.pending);
        }
        this.hand_on(buf);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ReadableHeads<Io> {
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
        let closed = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
        if matches!(self.scanner.place, Place::Refused) {
            self.discard(cx);
        }
        Poll::Ready(closed)
    }
}

/// Where in the bytes of a connection the next one is.
#[derive(Debug, Clone, Copy, Default)]
enum Place {
    /// Before the method of a request.
    #[default]
    Start,
    Method,
    Target,
    /// Behind the target, up to the end of the line.
    Version,
    /// In a line behind the first one, which begins there in the head.
    Line(usize),
    /// So many bytes belong to the body.
    Body(u64),
    /// In a body in chunks.
    Chunks(Chunks),
    /// It is not known any more where a head begins.
    Unknown,
    /// Behind a malformed head.
    Refused,
}

/// Where in a body in chunks the next byte is. Whatever has another form than this is not followed.
#[derive(Debug, Clone, Copy)]
enum Chunks {
    Size { digits: u8, size: u64 },
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    LastReturn,
    LastLineFeed,
}

#[derive(Debug)]
struct Scanner {
    place: Place,
    /// What has come of a head, as the library is going to get it.
    head: Vec<u8>,
    max_head: usize,
    /// Bytes of empty lines since the last head.
    empty: usize,
    /// Where in the head the target begins and ends.
    target: (usize, usize),
    /// Heads that were handed on.
    requests: u64,
    verdict: Verdict,
}

impl Scanner {
    fn new(max_head: usize) -> Self {
        let (place, head, verdict) = Default::default();
        Self { place, head, max_head, empty: 0, target: (0, 0), requests: 0, verdict }
    }

    /// How many of the next `count` bytes belong to no head for certain.
    fn passes_on(&self, count: usize) -> usize {
        match self.place {
            Place::Unknown => count,
            Place::Body(left) | Place::Chunks(Chunks::Data(left)) => {
                usize::try_from(left).unwrap_or(usize::MAX).min(count)
            }
            _ => 0,
        }
    }

    fn passed_on(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.place = match self.place {
            Place::Body(left) if left <= count => Place::Start,
            Place::Body(left) => Place::Body(left - count),
            Place::Chunks(Chunks::Data(left)) if left <= count => Place::Chunks(Chunks::DataReturn),
            Place::Chunks(Chunks::Data(left)) => Place::Chunks(Chunks::Data(left - count)),
            place => place,
        };
    }

    /// Appends what the library gets to read instead of `bytes`.
    fn read(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((first, rest)) = bytes.split_first() {
            let as_it_is = self.passes_on(bytes.len());
            if as_it_is > 0 {
                let (body, rest) = bytes.split_at(as_it_is);
                out.extend(body);
                self.passed_on(as_it_is);
                bytes = rest;
                continue;
            }
            bytes = rest;
            if let Place::Chunks(chunks) = self.place {
                out.push(*first);
                self.place = chunks.after(*first);
            } else if let Err(why) = self.read_head(*first, out) {
                self.refuse(why, out);
                return;
            }
        }
    }

    fn read_head(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if matches!(self.place, Place::Target) && must_be_encoded(byte) {
            self.head.extend(format!("%{byte:02X}").bytes());
        } else if matches!((self.place, byte), (Place::Start, b'\r' | b'\n')) {
            // The library skips empty lines before a request. They count, or a client could send nothing else for ever.
            self.empty += 1;
        } else {
            self.head.push(byte);
        }
        if self.head.len() > self.max_head || self.empty > MAX_EMPTY {
            return Err(Malformed::TooLarge);
        }
        let end = self.head.len();
        self.place = match (self.place, byte) {
            (Place::Start, b'\r' | b'\n') => Place::Start,
            (Place::Start | Place::Method, b' ') if end > 1 => {
                self.target = (end, end);
                Place::Target
            }
            // Nobody waits for the end of what is not HTTP, such as the first bytes of TLS.
            (Place::Start | Place::Method, _) if !is_token(byte) => return Err(Malformed::RequestLine),
            (Place::Start | Place::Method, _) => Place::Method,
            (Place::Target | Place::Version, b'\n') => {
                check_line(&self.head)?;
                Place::Line(end)
            }
            (Place::Target, b' ' | b'\r') => Place::Version,
            (Place::Target, _) => {
                self.target.1 = end;
                Place::Target
            }
            (Place::Line(begin), b'\n') if matches!(&self.head[begin..], b"\n" | b"\r\n") => {
                let body = check(&self.head)?;
                // Not `append`, which would keep the buffer while the connection is idle.
                out.extend(std::mem::take(&mut self.head));
                self.requests += 1;
                self.empty = 0;
                body
            }
            (Place::Line(_), b'\n') => Place::Line(end),
            (place, _) => place,
        };
        Ok(())
    }

    /// Appends a request that the library takes, in place of one that it would answer by itself.
    fn refuse(&mut self, why: Malformed, out: &mut Vec<u8>) {
        let method = if self.head.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        let target = self.head.get(self.target.0..self.target.1).unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = std::str::from_utf8(path).ok().filter(|path| path.len() <= MAX_KEPT_PATH && path.starts_with('/'));
        let path = path.filter(|path| path.parse::<Uri>().is_ok()).unwrap_or("/");
        out.extend(format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n").bytes());
        // Only the first one counts, and no other one comes.
        let _ = self.verdict.0.set((self.requests, why));
        self.place = Place::Refused;
        self.head = Vec::new();
    }
}

impl Chunks {
    const BEGIN: Self = Self::Size { digits: 0, size: 0 };
    /// Digits of a size, as many as its type holds.
    const MAX_DIGITS: u8 = 16;

    fn after(self, byte: u8) -> Place {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        let next = match (self, byte, digit) {
            (Self::Size { digits, size }, _, Some(digit)) if digits < Self::MAX_DIGITS => {
                Self::Size { digits: digits + 1, size: size << 4 | digit }
            }
            (Self::Size { digits: 1.., size }, b'\r', _) => Self::SizeLineFeed(size),
            (Self::SizeLineFeed(0), b'\n', _) => Self::LastReturn,
            (Self::SizeLineFeed(size), b'\n', _) => Self::Data(size),
            (Self::DataReturn, b'\r', _) => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n', _) => Self::BEGIN,
            (Self::LastReturn, b'\r', _) => Self::LastLineFeed,
            (Self::LastLineFeed, b'\n', _) => return Place::Start,
            _ => return Place::Unknown,
        };
        Place::Chunks(next)
    }
}

/// Checks the first line of a head, of which more is to come.
fn check_line(head: &[u8]) -> Result<(), Malformed> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse(head) {
        Ok(_) => Ok(()),
        Err(error) => Err(why_not(error, head)),
    }
}

/// Checks a head as the library does, and says what follows it.
fn check(head: &[u8]) -> Result<Place, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).map_err(|error| why_not(error, head))?;
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    if target.len() > MAX_TARGET {
        return Err(Malformed::TargetTooLong);
    }
    Method::from_bytes(method.as_bytes()).map_err(|_| Malformed::RequestLine)?;
    target.parse::<Uri>().map_err(|_| Malformed::Target)?;
    what_follows(request.version == Some(0), request.headers)
}

fn why_not(error: httparse::Error, head: &[u8]) -> Malformed {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let blanks = line.iter().filter(|byte| **byte == b' ').count();
    match error {
        httparse::Error::TooManyHeaders => Malformed::TooLarge,
        httparse::Error::Version | httparse::Error::NewLine if blanks > 2 => Malformed::Blank,
        httparse::Error::Version if blanks == 2 => Malformed::Version,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Malformed::Header,
        httparse::Error::NewLine if head.len() > line.len() + 2 => Malformed::Header,
        _ => Malformed::RequestLine,
    }
}

/// The rules of RFC 9112 section 6.3, as the library applies them.
fn what_follows(is_old: bool, headers: &[httparse::Header<'_>]) -> Result<Place, Malformed> {
    let (mut length, mut chunked) = (None, None);
    for header in headers {
        if header.name.len() > usize::from(u16::MAX) {
            return Err(Malformed::TooLarge);
        }
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if is_old {
                return Err(Malformed::Length);
            }
            let last = header.value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
            chunked = Some(header.value.iter().all(is_visible) && last.eq_ignore_ascii_case(b"chunked"));
        } else if header.name.eq_ignore_ascii_case("content-length") && chunked.is_none() {
            let given = parse_length(header.value).ok_or(Malformed::Length)?;
            if length.is_some_and(|length| length != given) {
                return Err(Malformed::Length);
            }
            length = Some(given);
        }
    }
    match (chunked, length) {
        (Some(true), _) => Ok(Place::Chunks(Chunks::BEGIN)),
        (Some(false), _) => Err(Malformed::Length),
        (None, None | Some(0)) => Ok(Place::Start),
        (None, Some(length)) => Ok(Place::Body(length)),
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|length| *length <= MAX_LENGTH)
}

fn is_visible(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

/// Whether a method may hold it (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What the library refuses in a target. A blank ends it.
fn must_be_encoded(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x7f..) || byte < b' ' && !matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests;
