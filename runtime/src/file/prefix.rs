//! How much of a content is here already. Sealing is deterministic, so each chunk is sealed again and its hash compared with the
//! one in the tree: what is here needs no other record of how far it is, and is not trusted.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;
use transport::content::{ContentKey, Layout, chunk_buffer};
use transport::wire::FileId;

use super::FileRecord;
use super::chunks::{Access, Chunks, ContentId};
use super::record::ContentRecord;
use crate::Result;
use crate::blocking::joined;
use crate::core::Core;

/// Chunks that are compared, each on a thread of its own, while the next one is read.
const AHEAD: usize = 3;

/// Bytes at the start of `content` that are those of the file, in whole chunks.
pub(crate) async fn verified_prefix(
    core: &Arc<Core>,
    id: &FileId,
    record: &FileRecord,
    content: impl AsyncRead,
) -> Result<u64> {
    let ContentRecord::V2 { root, layout, key } = record.content(core)? else { return Ok(0) };
    let mut content = pin!(content);
    // Nothing is asked for if nothing is here.
    let Some(mut chunk) = next_chunk(&layout, 0, content.as_mut()).await else { return Ok(0) };
    let sealer = Arc::new(ContentKey::new(&key));
    let identified = ContentId { id: id.clone(), root, layout, key, expires_at: record.expires_at };
    let mut chunks = Chunks::start(core.clone(), &identified, 0..0, Access::InOrder, None).await?;
    let (mut comparing, mut verified) = (VecDeque::new(), 0);
    for index in 0.. {
        comparing.push_back((index, compare(&sealer, &layout, index, chunk, &mut chunks).await?));
        if comparing.len() == AHEAD && !take_first(&mut comparing, &mut verified).await {
            comparing.clear();
            break;
        }
        match next_chunk(&layout, index + 1, content.as_mut()).await {
            Some(next) => chunk = next,
            None => break,
        }
    }
    while !comparing.is_empty() && take_first(&mut comparing, &mut verified).await {}
    if verified == 0 {
        return Ok(0);
    }
    chunks.were_verified(0..verified);
    Ok(layout.content_of(verified - 1).end)
}

/// A whole chunk of plaintext, if there is one. What cannot be read is not there.
async fn next_chunk(layout: &Layout, index: u64, content: Pin<&mut impl AsyncRead>) -> Option<Vec<u8>> {
    let place = layout.content_of(index);
    let length = place.end - place.start;
    let mut chunk = chunk_buffer();
    content.take(length).read_to_end(&mut chunk).await.ok()?;
    (length > 0 && chunk.len() as u64 == length).then_some(chunk)
}

async fn compare(
    sealer: &Arc<ContentKey>,
    layout: &Layout,
    index: u64,
    mut chunk: Vec<u8>,
    chunks: &mut Chunks,
) -> Result<JoinHandle<bool>> {
    let hash = chunks.hash(index).await?;
    let (sealer, place) = (sealer.clone(), layout.place(index));
    Ok(tokio::task::spawn_blocking(move || place.and_then(|place| sealer.seal_again(place, &mut chunk, &hash)).is_ok()))
}

/// Counts the chunk that was read first, if it is that of the file.
async fn take_first(comparing: &mut VecDeque<(u64, JoinHandle<bool>)>, verified: &mut u64) -> bool {
    let Some((index, mut outcome)) = comparing.pop_front() else { return false };
    let is_same = joined(&mut outcome).await;
    if is_same {
        *verified = index + 1;
    }
    is_same
}
