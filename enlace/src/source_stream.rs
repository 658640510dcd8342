//! What standard input or a pipe gives, to be uploaded.
//!
//! A stream is put aside first, because its length has to be known. Its bytes may never have been on a disk before, so the
//! temporary file holds them encrypted, under a key that is in memory only, and has no name.

use std::io::{self, IsTerminal, Read, Seek, Write};

use runtime::{TransientReader, transient_cipher};
use tokio::fs::File;

use crate::code::Kind;
use crate::failure::{Failure, reason};
use crate::output;

/// Bytes that are put aside at a time.
const PIECE: usize = 64 * 1024;

/// The bytes of a stream, decrypted as they are read.
pub(crate) type PutAside = TransientReader<File>;

/// Puts standard input aside.
///
/// # Errors
/// As [`put_aside`], and a failure if it is a terminal.
pub(crate) fn standard_input(limit: u64) -> Result<(PutAside, u64), Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is a terminal")
            .hint("name a file, or pipe the output of another program into this command with |"));
    }
    put_aside(io::stdin().lock(), "standard input", limit)
}

/// Reads a stream of at most `limit` bytes to its end, and returns what gives its bytes again, and how many they are.
///
/// # Errors
/// A failure if it cannot be read or put aside, or has more bytes.
pub(crate) fn put_aside(mut stream: impl Read, name: &str, limit: u64) -> Result<(PutAside, u64), Failure> {
    let unreadable = |error: io::Error| Failure::local(format!("cannot read {name}: {}", reason(&error)));
    let unusable = |error: &io::Error| {
        Failure::local(format!("cannot copy {name} to a temporary file: {}", reason(error)))
            .hint("free some space, or set the environment variable TMPDIR to a directory on another disk")
    };
    let mut file = tempfile::tempfile().map_err(|error| unusable(&error))?;
    let (mut encryptor, decryptor) = transient_cipher();
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        let count = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        length += count as u64;
        if length > limit {
            let message = format!("{name} has more than the limit of {}", output::bytes(limit));
            return Err(beyond_limit(message, limit.saturating_mul(2)));
        }
        encryptor.encrypt(&mut piece[..count]).map_err(|error| unusable(&io::Error::other(error)))?;
        file.write_all(&piece[..count]).map_err(|error| unusable(&error))?;
    }
    file.rewind().map_err(|error| unusable(&error))?;
    Ok((decryptor.reading(File::from_std(file)), length))
}

/// The failure for more bytes than a node sends, with the option that allows `length` of them.
pub(crate) fn beyond_limit(message: String, length: u64) -> Failure {
    Failure::new(Kind::Refused, message)
        .hint(format!("raise the limit with --transportLibrary:platformMaxUnencryptedFileSize={length}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_is_read_to_its_end_and_no_further_than_the_limit() {
        use tokio::io::AsyncReadExt;
        for length in [0, 1, PIECE, 3 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let (mut content, told) = put_aside(bytes.as_slice(), "x", length as u64).unwrap();
            let mut read = Vec::new();
            content.read_to_end(&mut read).await.unwrap();
            assert!(read == bytes && told == length as u64, "{length}");
        }
        let refused = put_aside(io::repeat(0), "x", 10).err().unwrap();
        assert_eq!(refused.kind, Kind::Refused);
        assert!(refused.message.contains("x has more than the limit of 10 bytes"), "{refused}");
    }

    #[tokio::test]
    async fn a_stream_is_put_aside_encrypted() {
        use tokio::io::AsyncReadExt;
        const MARKER: &[u8] = b"planted plaintext";
        let (content, _) = put_aside(MARKER, "x", 100).unwrap();
        let mut stored = Vec::new();
        content.into_inner().read_to_end(&mut stored).await.unwrap();
        assert!(stored.len() == MARKER.len() && stored != MARKER);
    }
}
