//! What is to be uploaded: a file on this machine, or what standard input or a pipe gives.
//!
//! A stream is put aside first, because its length has to be known. Its bytes may never have been on a disk before, so the
//! temporary file holds them encrypted, under a key that is in memory only, and has no name.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use runtime::{TransientDecryptor, transient_cipher};
use tokio::io::{AsyncRead, ReadBuf};

use crate::failure::{Failure, Kind, reason};
use crate::output;

/// Paths that mean standard input. The second cannot be opened if it is a socket.
const STANDARD_INPUT: [&str; 2] = ["-", "/dev/stdin"];
/// The name of what comes from standard input.
const STREAM_NAME: &str = "stdin";
/// Bytes that are put aside at a time.
const PIECE: usize = 64 * 1024;

/// An open file with what its path and its directory entry tell.
pub(crate) struct SourceFile {
    /// The bytes.
    pub(crate) content: Pin<Box<dyn AsyncRead + Send>>,
    /// How many.
    pub(crate) length: u64,
    /// Last segment of the path; what is not UTF-8 in it is replaced.
    pub(crate) name: String,
}

impl SourceFile {
    /// Opens a file for reading. `-` is standard input; that and pipes are read to their end.
    ///
    /// # Errors
    /// A failure if it cannot be read, is a directory, or has more than `limit` bytes.
    pub(crate) fn open(path: &Path, limit: u64) -> Result<Self, Failure> {
        let shown = path.display();
        let unreadable = |error: io::Error| Failure::local(format!("cannot read {shown}: {}", reason(&error)));
        if path.to_str().is_some_and(|path| STANDARD_INPUT.contains(&path)) {
            return Self::from_standard_input(limit);
        }
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{shown} is a directory"))
                .hint("pack it into one file first, for example with tar"));
        }
        let name = path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
        let file = File::open(path).map_err(unreadable)?;
        if !metadata.is_file() {
            let (content, length) = put_aside(file, &shown.to_string(), limit)?;
            return Ok(Self { content: Box::pin(content), length, name });
        }
        if metadata.len() > limit {
            return Err(too_large(&format!("{shown} has {}", output::bytes(metadata.len())), limit));
        }
        Ok(Self { content: Box::pin(tokio::fs::File::from_std(file)), length: metadata.len(), name })
    }

    fn from_standard_input(limit: u64) -> Result<Self, Failure> {
        if io::stdin().is_terminal() {
            return Err(Failure::usage("standard input is a terminal")
                .hint("give a file, or lead the output of another program here with |"));
        }
        let (content, length) = put_aside(io::stdin().lock(), "standard input", limit)?;
        Ok(Self { content: Box::pin(content), length, name: STREAM_NAME.to_owned() })
    }
}

/// Reads a stream of at most `limit` bytes to its end, and returns what gives its bytes again, and how many they are.
fn put_aside(mut stream: impl Read, name: &str, limit: u64) -> Result<(Decrypting, u64), Failure> {
    let unreadable = |error: io::Error| Failure::local(format!("cannot read {name}: {}", reason(&error)));
    let unusable = |error: &io::Error| {
        Failure::local(format!("cannot put {name} aside in a temporary file: {}", reason(error)))
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
            return Err(too_large(&format!("{name} has more than {}", output::bytes(limit)), limit));
        }
        encryptor.encrypt(&mut piece[..count]).map_err(|error| unusable(&io::Error::other(error)))?;
        file.write_all(&piece[..count]).map_err(|error| unusable(&error))?;
    }
    file.rewind().map_err(|error| unusable(&error))?;
    Ok((Decrypting { file: tokio::fs::File::from_std(file), decryptor }, length))
}

fn too_large(what: &str, limit: u64) -> Failure {
    Failure::new(Kind::Refused, format!("{what}; the limit is {}", output::bytes(limit)))
        .hint(format!("raise it with --transportLibrary:platformMaxUnencryptedFileSize=BYTES (now {limit})"))
}

/// Reads the temporary file and decrypts what it holds.
struct Decrypting {
    file: tokio::fs::File,
    decryptor: TransientDecryptor,
}

impl AsyncRead for Decrypting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.file).poll_read(context, buffer))?;
        Poll::Ready(self.decryptor.decrypt(&mut buffer.filled_mut()[before..]).map_err(io::Error::other))
    }
}

/// The media type that goes with a name's extension.
pub(crate) fn media_type(name: &str) -> &'static str {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let known = |extension: &str| MEDIA_TYPES.iter().find(|(known, _)| known.contains(&extension));
    extension.as_deref().and_then(known).map_or("application/octet-stream", |(_, media_type)| media_type)
}

const MEDIA_TYPES: &[(&[&str], &str)] = &[
    (&["txt", "log", "text"], "text/plain"),
    (&["md", "markdown"], "text/markdown"),
    (&["html", "htm"], "text/html"),
    (&["css"], "text/css"),
    (&["csv"], "text/csv"),
    (&["js", "mjs"], "text/javascript"),
    (&["json"], "application/json"),
    (&["xml"], "application/xml"),
    (&["pdf"], "application/pdf"),
    (&["zip"], "application/zip"),
    (&["gz", "tgz"], "application/gzip"),
    (&["tar"], "application/x-tar"),
    (&["doc"], "application/msword"),
    (&["docx"], "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (&["xls"], "application/vnd.ms-excel"),
    (&["xlsx"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (&["odt"], "application/vnd.oasis.opendocument.text"),
    (&["ods"], "application/vnd.oasis.opendocument.spreadsheet"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["webp"], "image/webp"),
    (&["svg"], "image/svg+xml"),
    (&["mp3"], "audio/mpeg"),
    (&["ogg", "oga"], "audio/ogg"),
    (&["wav"], "audio/wav"),
    (&["mp4"], "video/mp4"),
    (&["webm"], "video/webm"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_tell_the_media_type_whatever_their_case() {
        assert_eq!(media_type("a.PDF"), "application/pdf");
        assert_eq!(media_type("README.md"), "text/markdown");
        assert_eq!(media_type("archive.tar.gz"), "application/gzip");
        assert_eq!(media_type("noextension"), "application/octet-stream");
        assert_eq!(media_type(".png"), "application/octet-stream");
    }

    #[tokio::test]
    async fn directories_and_large_files_are_refused_before_anything_starts() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path, limit| SourceFile::open(path, limit).err().unwrap();
        assert!(refused(dir.path(), 10).message.contains("is a directory"));
        let path = dir.path().join("x");
        std::fs::write(&path, [0; 11]).unwrap();
        assert!(refused(&path, 10).message.contains("has 11 bytes; the limit is 10 bytes"));
        assert_eq!(SourceFile::open(&path, 11).unwrap().length, 11);
    }

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
        assert!(refused.message.contains("x has more than 10 bytes"), "{refused}");
    }

    #[tokio::test]
    async fn a_stream_is_put_aside_encrypted() {
        use tokio::io::AsyncReadExt;
        const MARKER: &[u8] = b"planted plaintext";
        let (mut content, _) = put_aside(MARKER, "x", 100).unwrap();
        let mut stored = Vec::new();
        content.file.read_to_end(&mut stored).await.unwrap();
        assert!(stored.len() == MARKER.len() && stored != MARKER);
    }
}
