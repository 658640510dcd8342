//! What is removed without a request: files of deleted buckets, and uploads and file tokens whose time is over.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{info, warn};

use super::{StorageResult, records, token, upload};
use crate::Error;
use crate::facade::{FilesFacade, Node};
use crate::store::Batch;

/// How often uploads whose time is over are given up while the node runs.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Names of files that are read at a time.
const PAGE: usize = 128;

/// Goes on with the deletion of buckets, and gives up uploads from then on. None of it keeps the node from being dropped.
pub(crate) fn start(node: &Arc<Node>) {
    let background = &node.core.background;
    drop(background.run(delete_files_of_gone(Arc::downgrade(node))));
    drop(background.run(sweep_again_and_again(Arc::downgrade(node))));
}

async fn sweep_again_and_again(node: Weak<Node>) {
    loop {
        sweep_tokens(&node).await;
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(node) = node.upgrade() else { return };
        if let Err(error) = upload::give_up_expired(&node.core).await {
            warn!(%error, "uploads to buckets whose time is over are not given up yet");
        }
    }
}

async fn sweep_tokens(node: &Weak<Node>) {
    let Some(node) = node.upgrade() else { return };
    if let Err(error) = token::sweep(&node.core).await {
        warn!(%error, "file tokens whose time is over are not removed yet");
    }
}

/// Deletes the files of deleted buckets. What cannot be deleted, because the backbone cannot be reached for instance, is left for the
/// next time.
pub(crate) async fn delete_files_of_gone(node: Weak<Node>) {
    if let Err(error) = delete_files(&node).await {
        warn!(%error, "files of deleted buckets are not deleted yet");
    }
}

async fn delete_files(node: &Weak<Node>) -> StorageResult<()> {
    let gone = match node.upgrade() {
        Some(node) => records::gone(&node.core.store.view())?,
        None => return Ok(()),
    };
    for bucket in gone {
        let is_empty = delete_files_of(node, bucket).await?;
        let Some(node) = node.upgrade().filter(|_| is_empty) else { continue };
        let mut batch = Batch::new();
        records::Edit::forget_bucket(&mut batch, bucket);
        node.core.store.commit(batch).await?;
    }
    Ok(())
}

/// Whether none is left.
async fn delete_files_of(node: &Weak<Node>, bucket: u64) -> StorageResult<bool> {
    let prefix = records::files_of(bucket);
    let (mut from, mut is_empty) = (prefix.clone(), true);
    loop {
        let names = match node.upgrade() {
            Some(node) => node.core.store.view().value_names(&prefix, &from, PAGE)?,
            None => return Ok(false),
        };
        for name in &names {
            let Some(node) = node.upgrade() else { return Ok(false) };
            let Some(file) = node.core.store.value::<records::FileEntry>(name)? else { continue };
            if let Err(error) = remove(&node, &file).await {
                warn!(%error, "a file of a deleted bucket is not deleted yet");
                is_empty = false;
            }
        }
        match names.last().filter(|_| names.len() == PAGE) {
            Some(last) => from = format!("{last}\0"),
            None => return Ok(is_empty),
        }
    }
}

/// Removes an entry with what it points to.
pub(crate) async fn remove(node: &Arc<Node>, file: &records::FileEntry) -> StorageResult<()> {
    if let Some(content) = &file.content {
        // The entry goes in the commit that removes the ordinary file.
        match FilesFacade::new(node.clone()).delete_file(&content.file).await {
            Ok(()) => return Ok(()),
            Err(Error::RecordNotFound(_)) => info!("the ordinary file was gone already"),
            Err(error) => return Err(error.into()),
        }
    }
    upload::remove_entry(&node.core, file).await
}
