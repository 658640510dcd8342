//! What is to be uploaded: a file on this machine, or several with folders, exactly as they are when they are opened, or a failure
//! that names the one that changes. Or what standard input or a pipe gives, which is read to its end first.

use std::io::Error;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::facade::UploadOwnFile;
use runtime::file_name::{MAX_LENGTH, shorten, shown};
use runtime::media_type::InvalidMediaType;
use runtime::source::{Manifest, Source};
use runtime::{FileName, MediaType};
use sha2::{Digest as _, Sha512};
use tokio::io::AsyncReadExt as _;

use crate::failure::{Failure, reason};
use crate::output::{self, Output, is_invisible};
use crate::size;
use crate::source_stream::{self, PutAside};
use crate::source_text;
use crate::source_tree::SourceTree;

/// Most bytes of a file that does not tell its size, as in `/proc`; they are kept in memory.
const MAX_UNSIZED: u64 = 16 * 1024 * 1024;
/// Paths that mean standard input. The second cannot be opened if it is a socket.
const STANDARD_INPUT: [&str; 2] = ["-", "/dev/stdin"];
/// The name of what comes from standard input.
const STREAM_NAME: &str = "stdin";
/// The name of a text.
const TEXT_NAME: &str = "text.txt";
/// The media type of several files and folders (`docs/content-v2.md`, section 10.1).
const TREE_MEDIA_TYPE: &str = "application/vnd.enlace.files";
/// Bytes that are hashed at a time.
const PIECE: usize = 256 * 1024;

/// A content with what its path and its directory entry tell.
#[derive(Debug)]
pub(crate) struct SourceFile {
    content: SourceContent,
    /// How many bytes are sent.
    pub(crate) length: u64,
    /// The name that is sent: the last segment of the path without what other systems do not take in a name.
    pub(crate) name: String,
    /// Unless the name tells another one.
    media_type: mime_guess::Mime,
    path: PathBuf,
}

#[derive(Debug)]
enum SourceContent {
    Files(Source),
    Memory(Vec<u8>),
    Stream(Box<PutAside>),
}

/// Knows what went wrong with the files while they were sent, whatever the other side made of it.
#[derive(Debug, Clone)]
pub(crate) struct ReadFailure(Option<Source>);

impl ReadFailure {
    /// The failure of an upload: that of the files, if there is one, since the other one only follows from it.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        self.0.as_ref().and_then(Source::failure).map_or(failure, Failure::from)
    }
}

impl SourceFile {
    /// Opens a file for reading. `-` is standard input; that and pipes are read to their end.
    ///
    /// # Errors
    /// A failure if it cannot be read, is a directory, or has more than `limit` bytes.
    pub(crate) fn open(path: &Path, limit: u64) -> Result<Self, Failure> {
        let shown = path.display();
        let unreadable = |error: Error| unreadable(path, &error);
        if is_standard_input(path) {
            return Ok(Self::of_stream(source_stream::standard_input(limit)?, path, STREAM_NAME.to_owned()));
        }
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{shown} is a directory"))
                .hint("`enlace share` takes directories and several files"));
        }
        if !metadata.is_file() {
            let stream = std::fs::File::open(path).map_err(unreadable)?;
            let put_aside = source_stream::put_aside(stream, &shown.to_string(), limit)?;
            return Ok(Self::of_stream(put_aside, path, sent_name(path)));
        }
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let bytes = match file.metadata().map_err(unreadable)?.len() {
            0 => unsized_content(&mut file, path)?,
            _ => None,
        };
        let (length, content) = match bytes {
            Some(bytes) => (bytes.len() as u64, SourceContent::Memory(bytes)),
            None => {
                let source = Source::file(path)?;
                (source.length(), SourceContent::Files(source))
            }
        };
        if length > limit {
            return Err(too_large(path, length, limit));
        }
        Ok(Self::new(content, length, path, sent_name(path)))
    }

    /// The text on standard input.
    ///
    /// # Errors
    /// As [`source_text::standard_input`].
    pub(crate) fn text(limit: u64) -> Result<Self, Failure> {
        let text = source_text::standard_input(limit)?;
        let (length, path) = (text.len() as u64, Path::new(STANDARD_INPUT[0]));
        let media_type = mime_guess::mime::TEXT_PLAIN;
        Ok(Self { media_type, ..Self::new(SourceContent::Memory(text), length, path, TEXT_NAME.to_owned()) })
    }

    /// Several files and folders.
    pub(crate) fn tree(tree: SourceTree) -> Self {
        let SourceTree { source, path, .. } = tree;
        let (length, name) = (source.length(), sent_name(&path));
        Self::new(SourceContent::Files(source), length, &path, name)
    }

    fn of_stream((stream, length): (PutAside, u64), path: &Path, name: String) -> Self {
        Self::new(SourceContent::Stream(Box::new(stream)), length, path, name)
    }

    fn new(content: SourceContent, length: u64, path: &Path, name: String) -> Self {
        Self { content, length, name, media_type: mime_guess::mime::APPLICATION_OCTET_STREAM, path: path.to_owned() }
    }

    /// The same under the name that the sender chose, if any; else says so if the file is sent under another name than its
    /// own.
    pub(crate) fn named(self, name: Option<&str>, output: Output) -> Self {
        match name {
            Some(name) => Self { name: name.to_owned(), ..self },
            None => {
                self.explain_name(output);
                self
            }
        }
    }

    /// The media type that goes with the name, or else with the kind of source.
    pub(crate) fn media_type(&self) -> MediaType {
        if self.manifest().is_some() {
            return MediaType::of_header(Some(TREE_MEDIA_TYPE));
        }
        let guessed = mime_guess::from_path(&self.name).first();
        MediaType::of_header(Some(guessed.as_ref().unwrap_or(&self.media_type).essence_str()))
    }

    /// Whether its bytes can be read once only.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.content, SourceContent::Stream(_))
    }

    /// The list of files, if there may be several.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match &self.content {
            SourceContent::Files(source) => source.manifest(),
            _ => None,
        }
    }

    fn explain_name(&self, output: Output) {
        if !is_standard_input(&self.path) && self.path.file_name().is_some_and(|name| name != self.name.as_str()) {
            let message = format!("it is sent as {}, because its own name cannot be used everywhere", self.name);
            output.warning(&message, "rename it first if you want another name");
        }
    }

    /// SHA-512 of the bytes as nodes note it: base64url without padding. The file is read once more when it is sent; a stream
    /// cannot be, see [`SourceFile::is_stream`].
    ///
    /// # Errors
    /// A failure if it cannot be read, or has another length than when it was opened.
    pub(crate) async fn plaintext_hash(&self) -> Result<String, Failure> {
        let mut hash = Sha512::new();
        match &self.content {
            SourceContent::Memory(bytes) => hash.update(bytes),
            SourceContent::Stream(_) => return Err(Failure::general("a stream can be read only once")),
            SourceContent::Files(source) => {
                let (mut reader, mut piece) = (source.reader(), vec![0; PIECE]);
                loop {
                    let count = reader.read(&mut piece).await;
                    match count.map_err(|error| self.read_failure().explain(unreadable(&self.path, &error)))? {
                        0 => break,
                        count => hash.update(&piece[..count]),
                    }
                }
            }
        }
        Ok(URL_SAFE_NO_PAD.encode(hash.finalize()))
    }

    /// What to ask when the upload has failed.
    pub(crate) fn read_failure(&self) -> ReadFailure {
        match &self.content {
            SourceContent::Files(source) => ReadFailure(Some(source.clone())),
            _ => ReadFailure(None),
        }
    }

    /// Whether it is read again from its start when its upload is continued.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self.content, SourceContent::Files(_))
    }

    /// The request to upload it under a name. It has exactly [`length`](Self::length) bytes: files that have changed are an error.
    pub(crate) fn into_request(self, filename: FileName, mimetype: MediaType) -> UploadOwnFile {
        match self.content {
            SourceContent::Memory(bytes) => UploadOwnFile::new(std::io::Cursor::new(bytes), filename, mimetype),
            SourceContent::Stream(stream) => UploadOwnFile::new(stream, filename, mimetype),
            SourceContent::Files(source) => UploadOwnFile::from_source(source, filename, mimetype),
        }
    }
}

/// Whether a path means standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.to_str().is_some_and(|path| STANDARD_INPUT.contains(&path))
}

fn unreadable(path: &Path, error: &Error) -> Failure {
    Failure::local(format!("cannot read {}: {}", path.display(), reason(error)))
}

/// A file has more bytes than the limit allows.
pub(crate) fn too_large(path: &Path, length: u64, limit: u64) -> Failure {
    let (length_text, limit_text) = size::different(length, limit);
    let shown = path.display();
    source_stream::beyond_limit(format!("{shown} has {length_text}, more than the limit of {limit_text}"), length)
}

/// The bytes of a file that says that it is empty and is not.
fn unsized_content(file: &mut std::fs::File, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    file.take(MAX_UNSIZED + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_UNSIZED {
        let limit = output::bytes(MAX_UNSIZED);
        return Err(Failure::local(format!("{} does not tell its size and has more than {limit}", path.display()))
            .hint("copy it to a plain file first, and share the copy"));
    }
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

/// The last segment of a path, as it can be a name on every system: what is not UTF-8 is replaced, a backslash, which would
/// be the end of a directory's name elsewhere, and control characters become underscores.
fn sent_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| runtime::file_name::FALLBACK.into(), |name| name.to_string_lossy());
    shorten(&name.replace(|c: char| c.is_control() || c == '\\', "_"))
}

/// A name that was given on the command line.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    // As receivers show it: a name that they would change is not the one that was meant.
    let is_name = !text.is_empty() && !text.contains(is_invisible) && shown(text) == text;
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        format!("a name must be one of a file, up to {MAX_LENGTH} bytes long, without slashes and invisible characters")
    })
}

/// A media type that was given on the command line.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse_media_type(text: &str) -> Result<MediaType, String> {
    text.parse().map_err(|error: InvalidMediaType| format!("{text:?} is {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    async fn read(source: SourceFile) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let request = source.into_request("x".parse().unwrap(), MediaType::of_header(None));
        request.content.into_reader().read_to_end(&mut bytes).await.map(|_| bytes)
    }

    #[test]
    fn extensions_tell_the_media_type_whatever_their_case() {
        for (name, expected) in [
            ("a.PDF", "application/pdf"),
            ("README.md", "text/markdown"),
            ("archive.tar.gz", "application/gzip"),
            ("x.js", "text/javascript"),
            ("x.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("x.wav", "audio/wav"),
            ("noextension", "application/octet-stream"),
            (".png", "application/octet-stream"),
        ] {
            let (content, path) = (SourceContent::Memory(Vec::new()), Path::new("x"));
            let source = SourceFile::new(content, 0, path, name.to_owned());
            assert_eq!(source.media_type().as_str(), expected, "{name}");
            let text = SourceFile { media_type: mime_guess::mime::TEXT_PLAIN, ..source };
            let expected = if expected.ends_with("octet-stream") { "text/plain" } else { expected };
            assert_eq!(text.media_type().as_str(), expected, "a text with the name {name}");
        }
    }

    #[test]
    fn a_given_name_is_one_that_receivers_show_as_it_is() {
        let longest = "n".repeat(MAX_LENGTH);
        for name in ["a.txt", "Grüße 1.txt", ".env", "-", "it's \"x\"", &longest] {
            assert_eq!(parse_name(name).as_deref(), Ok(name));
        }
        let longer = format!("{longest}n");
        for name in ["", ".", "..", "a/b", "a\\b", "/", "a\nb", "\u{1b}[1m", "gpj.\u{202e}exe", "a\u{200b}", &longer] {
            assert!(parse_name(name).unwrap_err().contains("up to 255 bytes"), "{name:?}");
        }
    }

    #[test]
    fn a_media_type_has_two_parts_and_no_parameters() {
        assert_eq!(parse_media_type("Image/PNG").unwrap().as_str(), "image/png");
        let refusal = parse_media_type("text/plain; charset=utf-8").unwrap_err();
        assert_eq!(refusal, "\"text/plain; charset=utf-8\" is not a media type such as text/plain or application/pdf");
    }

    #[tokio::test]
    async fn directories_and_large_files_are_refused_before_anything_starts() {
        let (dir, path) = file(&[0; 11]);
        assert!(SourceFile::open(dir.path(), 10).unwrap_err().message.contains("is a directory"));
        let refused = SourceFile::open(&path, 10).unwrap_err();
        assert!(refused.message.ends_with("x has 11 bytes, more than the limit of 10 bytes"), "{refused}");
        assert!(refused.hint.unwrap().ends_with("--transportLibrary:platformMaxUnencryptedFileSize=11"));
        assert_eq!(SourceFile::open(&path, 11).unwrap().length, 11);
    }

    #[tokio::test]
    async fn a_file_that_changes_is_named() {
        let (_dir, path) = file(b"hello");
        for content in ["hello!", "hell", ""] {
            std::fs::write(&path, "hello").unwrap();
            let source = SourceFile::open(&path, 10).unwrap();
            let read_failure = source.read_failure();
            std::fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
            assert!(read(source).await.is_err());
            let failure = read_failure.explain(Failure::general("the node does not answer"));
            assert!(failure.message.contains("x has changed while it was read"), "{failure}");
            assert!(failure.hint.unwrap().starts_with("share it again"));
        }
    }

    #[tokio::test]
    async fn a_file_is_hashed_and_then_read_from_its_start() {
        let (_dir, path) = file(b"abc");
        let source = SourceFile::open(&path, 10).unwrap();
        let hash = source.plaintext_hash().await.unwrap();
        assert!(hash.starts_with("3a81oZNherrMQXNJriBBMRLm-k6JqX6iCp7u5ktV05ohkpkqJ0_BqDa6PCOj") && hash.len() == 86);
        assert_eq!(read(source).await.unwrap(), b"abc");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_that_does_not_tell_its_size_is_read_up_to_a_bound() {
        let path = Path::new("/proc/self/status");
        let source = SourceFile::open(path, 1 << 20).unwrap();
        let length = source.length;
        let bytes = read(source).await.unwrap();
        assert!(length > 0 && bytes.len() as u64 == length && bytes.starts_with(b"Name:"));
        assert_eq!(SourceFile::open(path, length / 2).unwrap_err().kind, crate::code::Kind::Refused);
        let empty = SourceFile::open(Path::new("/dev/null"), 10).unwrap();
        assert!(empty.is_stream() && empty.length == 0);
    }

    #[test]
    fn what_does_not_tell_its_size_may_have_as_many_bytes_as_the_bound_says() {
        for (more, fits) in [(0, true), (1, false)] {
            let mut large = tempfile::tempfile().unwrap();
            large.set_len(MAX_UNSIZED + more).unwrap();
            assert_eq!(unsized_content(&mut large, Path::new("x")).is_ok(), fits);
        }
    }

    #[test]
    fn a_sent_name_is_one_on_every_system() {
        for (path, name) in [
            ("dir/a.txt", "a.txt"),
            ("a\\b.txt", "a_b.txt"),
            ("a\\", "a_"),
            ("a\nb\u{1b}[1m", "a_b_[1m"),
            ("Grüße.txt", "Grüße.txt"),
            ("..", "file"),
        ] {
            if cfg!(unix) {
                assert_eq!(sent_name(Path::new(path)), name, "{path:?}");
            }
        }
    }
}
