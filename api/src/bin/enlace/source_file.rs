//! A file on this machine that is to be uploaded.

use std::path::Path;

use crate::failure::Failure;
use crate::output;

/// An open file with what its path and its directory entry tell.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// The bytes.
    pub(crate) content: tokio::fs::File,
    /// How many.
    pub(crate) length: u64,
    /// Last segment of the path; what is not UTF-8 in it is replaced.
    pub(crate) name: String,
}

impl SourceFile {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// A failure if it cannot be read, is not a plain file, or is larger than `limit` bytes.
    pub(crate) fn open(path: &Path, limit: u64) -> Result<Self, Failure> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| Failure::local(format!("cannot read {shown}: {error}"));
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{shown} is a directory"))
                .hint("pack it into one file first, for example with tar"));
        }
        if !metadata.is_file() {
            return Err(Failure::usage(format!("{shown} is not a plain file")));
        }
        if metadata.len() > limit {
            let sizes = format!(
                "{shown} has {}, more than the limit of {}",
                output::bytes(metadata.len()),
                output::bytes(limit)
            );
            return Err(Failure::new(crate::failure::Kind::Refused, sizes)
                .hint("the limit is the configuration key transportLibrary.platformMaxUnencryptedFileSize"));
        }
        let content = tokio::fs::File::from_std(std::fs::File::open(path).map_err(unreadable)?);
        let name = path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { content, length: metadata.len(), name })
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
        assert!(SourceFile::open(dir.path(), 10).unwrap_err().message.contains("is a directory"));
        let path = dir.path().join("x");
        std::fs::write(&path, [0; 11]).unwrap();
        assert!(SourceFile::open(&path, 10).unwrap_err().message.contains("more than the limit of 10 bytes"));
        assert_eq!(SourceFile::open(&path, 11).unwrap().length, 11);
    }
}
