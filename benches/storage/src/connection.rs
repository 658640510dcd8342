//! A minimal HTTP/1.1 client: one connection, one request at a time, prebuilt requests.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Maximum number of bytes per read.
const READ_BYTES: usize = 64 * 1024;

/// A prebuilt request.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Builds a request. `headers` are complete lines without line ends.
    #[must_use]
    pub fn new(method: &str, path: &str, headers: &[String], body: &[u8]) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if method != "GET" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes }
    }

    /// Builds a POST with a JSON body.
    #[must_use]
    pub fn json(path: &str, headers: &[String], body: &[u8]) -> Self {
        let headers = [headers, &["content-type: application/json".to_owned()]].concat();
        Self::new("POST", path, &headers, body)
    }
}

/// An answer without its body.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// When the first byte arrived.
    pub first_byte: Instant,
    /// Length of the body in bytes.
    pub length: u64,
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Received bytes that are not consumed yet.
    buffer: Vec<u8>,
}

enum Framing {
    Length(u64),
    Chunked,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn open(authority: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends a request and appends the body of the answer to `body`.
    ///
    /// # Errors
    /// If the connection breaks or the answer is not HTTP.
    pub async fn exchange(&mut self, request: &Request, body: &mut Vec<u8>) -> io::Result<Answer> {
        self.exchange_into(request, |bytes| body.extend_from_slice(bytes)).await
    }

    /// Sends a request and drops the body of the answer.
    ///
    /// # Errors
    /// The errors of [`Connection::exchange`].
    pub async fn discard(&mut self, request: &Request) -> io::Result<Answer> {
        self.exchange_into(request, |_| ()).await
    }

    async fn exchange_into(&mut self, request: &Request, mut sink: impl FnMut(&[u8])) -> io::Result<Answer> {
        self.stream.write_all(&request.bytes).await?;
        self.fill().await?;
        let first_byte = Instant::now();
        let head = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await?,
            }
        };
        let (status, framing) = parse_head(&self.buffer[..head])?;
        self.buffer.drain(..head);
        let length = match framing {
            Framing::Length(length) => {
                self.take(length, &mut sink).await?;
                length
            }
            Framing::Chunked => self.chunks(&mut sink).await?,
        };
        Ok(Answer { status, first_byte, length })
    }

    async fn chunks(&mut self, sink: &mut impl FnMut(&[u8])) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let line = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(end) => break end,
                    None => self.fill().await?,
                }
            };
            let size = std::str::from_utf8(&self.buffer[..line])
                .ok()
                .and_then(|text| u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16).ok());
            let size = size.ok_or_else(|| malformed("the size of a chunk"))?;
            self.buffer.drain(..line + 2);
            self.take(size, sink).await?;
            self.take(2, &mut |_| ()).await?;
            if size == 0 {
                return Ok(total);
            }
            total += size;
        }
    }

    async fn take(&mut self, mut left: u64, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            sink(&self.buffer[..now]);
            self.buffer.drain(..now);
            left -= now as u64;
        }
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Framing)> {
    let text = std::str::from_utf8(head).map_err(|_| malformed("a head"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| malformed("a status"))?;
    let mut framing = Framing::Length(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.trim().parse().map_err(|_| malformed("a length"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        }
    }
    Ok((status, framing))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has no readable {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use tokio::net::TcpListener;

    async fn answered_with(answer: &'static [u8]) -> (u16, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            for byte in answer {
                stream.write_all(&[*byte]).await.unwrap();
            }
            let _ = stream.read(&mut request).await;
        });
        let mut body = Vec::new();
        let mut connection = Connection::open(&authority).await.unwrap();
        let answer = connection.exchange(&Request::new("GET", "/", &[], b""), &mut body).await.unwrap();
        assert_eq!(answer.length, body.len() as u64);
        (answer.status, body)
    }

    #[tokio::test]
    async fn bodies_of_both_framings_are_read_completely() {
        let plain = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(answered_with(plain).await, (201, b"hello".to_vec()));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(answered_with(chunked).await, (200, b"hello".to_vec()));
        assert_eq!(answered_with(b"HTTP/1.1 204 No Content\r\n\r\n").await, (204, Vec::new()));
    }
}
