//! The owner's side.

use super::super::answer::Answer;
use super::super::request::{Caller, FileTarget, Format, HeldContent, Holder};
use super::super::{Message as _, Now, PasswordProof, Refusal};
use super::{ContentAnswer, ContentHeader, MetadataAnswer};
use crate::peer::Channel;

/// Decides about a request for content. The content is read while the answer is written.
pub async fn serve_content<H: Holder>(
    holder: &H,
    channel: &Channel,
    (target, start, end, proof): (&FileTarget, u64, Option<u64>, Option<PasswordProof>),
    now: Now,
) -> (Answer, Option<H::Content>) {
    let refuse = |refusal| (Answer::new(ContentAnswer::Refused(refusal).to_frame(), 0..0, now.instant), None);
    let held = match holder.content(target, Caller::new(channel, proof, now.time)).await {
        Ok(held) => held,
        Err(refusal) => return refuse(refusal),
    };
    let HeldContent { file, format, length, content } = held;
    // Nothing less than all of a format `v1` file can be verified.
    let (start, end) = if format == Format::V1 { (0, length) } else { (start, end.unwrap_or(length)) };
    if start > end || end > length {
        return refuse(Refusal::Range);
    }
    let header = ContentHeader { file, format, length, start, end };
    (Answer::new(ContentAnswer::Header(header).to_frame(), start..end, now.instant), Some(content))
}

/// Decides about a request for metadata.
pub async fn serve_metadata<H: Holder>(
    holder: &H,
    channel: &Channel,
    (target, proof): (&FileTarget, Option<PasswordProof>),
    now: Now,
) -> Answer {
    let answer = match holder.metadata(target, Caller::new(channel, proof, now.time)).await {
        Ok(metadata) => MetadataAnswer::Metadata(Box::new(metadata)),
        Err(refusal) => MetadataAnswer::Refused(refusal),
    };
    let answer = if answer.is_within_bounds() { answer } else { MetadataAnswer::Refused(Refusal::Unavailable) };
    Answer::new(answer.to_frame(), 0..0, now.instant)
}
