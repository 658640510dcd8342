//! The content of several files that comes as a stream: its list of files, and then the files (`docs/content-v2.md`, section 9).

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use transport::content::manifest::{MAX_MANIFEST_LENGTH, Manifest};

use super::blob::unreadable;
use super::upload::{Content, NewContent};
use crate::error::{Property, PropertyRule};
use crate::{Error, Result};

/// Several files of which the list was read and checked.
pub struct SeveralFiles {
    manifest: Manifest,
    /// The whole content. Reading it fails if it has not as many bytes as the list says.
    content: Content,
}

impl NewContent {
    /// Several files in a stream whose first `manifest_length` bytes are their list. The list is read and checked now; the content has
    /// as many bytes as it says, or reading it fails.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for a list that is not valid, [`Error::Unknown`] if it cannot be read.
    pub async fn several(content: impl AsyncRead + Send + 'static, manifest_length: u64) -> Result<Self> {
        let longest = MAX_MANIFEST_LENGTH as u64;
        if !(1..=longest).contains(&manifest_length) {
            return Err(invalid(format!("has from 1 to {longest} bytes")));
        }
        let (mut content, mut list): (Content, _) = (Box::pin(content), Vec::new());
        (&mut content).take(manifest_length).read_to_end(&mut list).await.map_err(unreadable)?;
        let manifest = Manifest::decode_ahead(&list).map_err(|error| invalid(format!("is not valid: {error}")))?;
        let left = manifest.content_length() - manifest.length();
        let content = io::Cursor::new(list).chain(Exactly { content, left });
        Ok(Self::Several(SeveralFiles { manifest, content: Box::pin(content) }))
    }
}

fn invalid(reason: String) -> Error {
    Error::InvalidPropertyValue(format!("the list of files {reason}"))
}

impl SeveralFiles {
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Nothing is left of it.
    pub(super) fn take_reader(&mut self) -> Content {
        std::mem::replace(&mut self.content, Box::pin(tokio::io::empty()))
    }
}

/// The files are more or fewer bytes than their list says.
#[derive(Debug, thiserror::Error)]
#[error("the content has not as many bytes as its list of files says")]
pub(super) struct WrongLength;

impl From<WrongLength> for Error {
    fn from(_: WrongLength) -> Self {
        Self::invalid_property(Property::Content, PropertyRule::AsListed)
    }
}

/// A stream of so many bytes.
struct Exactly {
    content: Content,
    left: u64,
}

impl AsyncRead for Exactly {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, has_room) = (buf.filled().len(), buf.remaining() > 0);
        ready!(self.content.as_mut().poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        let is_cut_off = read == 0 && has_room && self.left > 0;
        match self.left.checked_sub(read).filter(|_| !is_cut_off) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => {
                // Whoever fails has read nothing.
                buf.set_filled(before);
                Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, WrongLength)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use transport::content::manifest::{Entry, EntryKind, RelativePath};

    use super::*;

    fn list(size: u64) -> Vec<u8> {
        let entry =
            |path: &str, kind| Entry { path: RelativePath::new(path).unwrap(), kind, mode: None, modified_at: None };
        let entries = vec![entry("a", EntryKind::File { size }), entry("b", EntryKind::Folder)];
        Manifest::new(entries).unwrap().encode()
    }

    async fn read(content: Vec<u8>, manifest_length: usize) -> Result<Vec<u8>> {
        let content = NewContent::several(io::Cursor::new(content), manifest_length as u64).await?;
        assert_eq!(content.manifest_length(), Some(manifest_length as u64));
        let mut read = Vec::new();
        content.into_reader().read_to_end(&mut read).await.map_err(unreadable)?;
        Ok(read)
    }

    #[tokio::test]
    async fn a_content_is_as_long_as_its_list_says() {
        let list = list(5);
        let content = [&list[..], b"12345"].concat();
        assert_eq!(read(content.clone(), list.len()).await.unwrap(), content);
        for wrong in [content[..content.len() - 1].to_vec(), [&content[..], b"6"].concat(), list.clone()] {
            let refused = read(wrong, list.len()).await.unwrap_err();
            assert_eq!(refused.to_string(), "'content' must have as many bytes as its list of files says");
        }
        assert_eq!(read(self::list(0), list.len()).await.unwrap(), self::list(0), "empty files have no bytes");
    }

    #[tokio::test]
    async fn what_is_not_a_list_is_refused_before_the_files_are_read() {
        let list = list(5);
        let mut damaged = list.clone();
        damaged[0] ^= 1;
        for (content, length) in
            [(damaged, list.len()), (list[..3].to_vec(), list.len()), (list.clone(), list.len() - 1), (Vec::new(), 1)]
        {
            let refused = NewContent::several(io::Cursor::new(content), length as u64).await.err().unwrap();
            assert!(
                matches!(&refused, Error::InvalidPropertyValue(text) if text.contains("is not valid")),
                "{refused}"
            );
        }
        for length in [0, MAX_MANIFEST_LENGTH as u64 + 1, u64::MAX] {
            let refused = NewContent::several(tokio::io::empty(), length).await.err().unwrap();
            assert!(refused.to_string().contains("bytes"), "{refused}");
        }
    }
}
