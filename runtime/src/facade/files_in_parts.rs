//! Files of which a part is wanted, or a part is here: several files in one content, and downloads that go on.

use std::ops::Range;
use std::sync::Arc;

use tokio::io::AsyncRead;
use tracing::instrument;
use transport::content::manifest::{EntryKind, Manifest, RelativePath};
use transport::wire::FileId;

use super::FilesFacade;
use super::files::Download;
use crate::file::{self, Observer, Progress, Wanted};
use crate::logging::short;
use crate::{Error, Result};

impl FilesFacade {
    /// The list of files and folders with which the content begins, if it has several; `None` if it is one file. Only this list is
    /// fetched, and checked: paths stay below the folder that a receiver chooses, no two are the same place, sizes add up.
    ///
    /// # Errors
    /// As [`download_file`](Self::download_file); `invalidFileMetadata` for a list that breaks a rule, with the rule, and
    /// `needsNewerReader` for one in a format that this program does not know.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn manifest(&self, id: &FileId) -> Result<Option<Manifest>> {
        file::manifest(&self.node.core, id, &self.record(id)?).await
    }

    /// One of several files on its own, or a range of its bytes. Nothing of the others is fetched but what is in the same chunk.
    ///
    /// The list of files is fetched each time. Who reads many entries fetches it once, with [`manifest`](Self::manifest), and calls
    /// [`read_range`](Self::read_range) with [`Manifest::content_of`].
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest); [`Error::InvalidPropertyValue`] if there is no file with this path, or the range is not
    /// within it.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn read_entry(&self, id: &FileId, path: &RelativePath, range: Option<Range<u64>>) -> Result<Download> {
        let manifest = self.manifest(id).await?;
        let place = manifest.as_ref().and_then(|manifest| {
            let index = manifest.find(path)?;
            let is_file = matches!(manifest.entries().get(index)?.kind, EntryKind::File { .. });
            manifest.content_of(index).filter(|_| is_file)
        });
        let no_file = || Error::InvalidPropertyValue(format!("there is no file \"{path}\" in it"));
        let place = place.ok_or_else(no_file)?;
        let length = place.end - place.start;
        let wanted = range.unwrap_or(0..length);
        if wanted.start > wanted.end || wanted.end > length {
            return Err(Error::InvalidPropertyValue(format!("the range is beyond the {length} bytes of the file")));
        }
        self.read_range(id, place.start + wanted.start..place.start + wanted.end).await
    }

    /// How many bytes at the start of `content` are those of the file, so that a download can go on behind them: whole chunks, and
    /// the last one if all are here. They are sealed again and compared with the hashes in the file's tree, so nothing of `content`
    /// is trusted, and only hashes are fetched: 32 bytes for each chunk of 1 MiB. Holds some MiB.
    ///
    /// Stops at the first difference; what cannot be read counts as the end of `content`. Always 0 for format `v1`.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if the file is not known here, `cipherMismatch` if the backbone does not have the hashes of the
    /// file, and its errors.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn verified_prefix(&self, id: &FileId, content: impl AsyncRead) -> Result<u64> {
        file::verified_prefix(&self.node.core, id, &self.record(id)?, content).await
    }

    /// The bytes of a file from `offset` on, for who has those before. The observer is told that they are
    /// [`resumed`](Progress::resumed). Of format `v1` everything is fetched, because nothing less can be verified, and counted.
    ///
    /// # Errors
    /// As [`read_range`](Self::read_range).
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn download_from(&self, id: &FileId, offset: u64, observer: Option<Observer>) -> Result<Download> {
        let record = self.record(id)?;
        let is_in_chunks = record.format.is_some();
        let observer = observer.map(|observer| if is_in_chunks { behind(offset, observer) } else { observer });
        let wanted = Wanted::Range(offset..record.filesize);
        let content = file::download(&self.node.core, id, &record, wanted, observer.as_ref()).await?;
        Ok(Download { file: record.into_dto(id.clone(), self.node.core.base_url())?, content })
    }
}

/// Counts what was transferred before.
fn behind(resumed: u64, observer: Observer) -> Observer {
    Arc::new(move |progress: Progress| {
        let (bytes, total) = (progress.bytes + resumed, progress.total.map(|total| total + resumed));
        observer(Progress { bytes, total, resumed, ..progress });
    })
}
