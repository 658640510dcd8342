//! By which paths downloads have come: only the end of one tells, and its headers are long gone then.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::{Error, Path, PathBytes, PathLog};
use serde::Serialize;
use utoipa::ToSchema;

use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;

/// Downloads that are remembered. For one more, the oldest is forgotten.
pub(crate) const MAX_DOWNLOADS: usize = 256;

/// By which paths the bytes of a download have come so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DownloadPaths)]
pub(crate) struct DownloadPaths {
    /// The path of the last byte; null if none had to be fetched.
    #[schema(required = true)]
    path: Option<Path>,
    /// Each path with its bytes of ciphertext, in the order of their first bytes.
    paths: Vec<PathBytes>,
}

/// The latest downloads by the correlation ids of their requests.
#[derive(Default)]
pub(crate) struct Downloads(Mutex<VecDeque<(String, PathLog)>>);

impl Downloads {
    /// Remembers a download; one that has the same id is forgotten.
    pub(crate) fn add(&self, id: &str, log: PathLog) {
        let mut downloads = self.downloads();
        downloads.retain(|(known, _)| known != id);
        if downloads.len() == MAX_DOWNLOADS {
            downloads.pop_front();
        }
        downloads.push_back((id.to_owned(), log));
    }

    fn find(&self, id: &str) -> Option<PathLog> {
        self.downloads().iter().find(|(known, _)| known == id).map(|(_, log)| log.clone())
    }

    fn downloads(&self) -> MutexGuard<'_, VecDeque<(String, PathLog)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET Downloads/{id}`
pub(crate) async fn get(call: Call) -> Result<Reply, Problem> {
    let log = call.downloads.find(call.parameter()).ok_or(Error::RecordNotFound("Download"))?;
    Ok(Reply::ok(&DownloadPaths { path: log.last(), paths: log.bytes() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_downloads_are_remembered_and_no_more() {
        let downloads = Downloads::default();
        for number in 0..=MAX_DOWNLOADS {
            downloads.add(&number.to_string(), PathLog::default());
        }
        assert!(downloads.find("0").is_none());
        assert!(downloads.find("1").is_some() && downloads.find(&MAX_DOWNLOADS.to_string()).is_some());
        downloads.add("1", PathLog::default());
        assert_eq!(downloads.downloads().len(), MAX_DOWNLOADS);
        assert!(downloads.find("2").is_some(), "the same id takes no second place");
    }
}
