//! The owner's side.

use super::super::answer::Answer;
use super::super::request::{Caller, Format, HeldContent, Holder};
use super::super::{Channel, FileRequestV2, Message as _, Now, Refusal};
use super::{ContentAnswer, ContentHeader, FileRequest, MetadataAnswer};
use crate::wire::backbone::files::FileMetadata;

/// Decides about a request of either version. Answers with the content, if that was asked for and is granted; it is read while the answer is
/// written.
pub async fn serve_file<H: Holder>(
    holder: &H,
    channel: &Channel,
    FileRequestV2 { request, claim }: &FileRequestV2,
    now: Now,
) -> (Answer, Option<H::Content>) {
    let caller = |proof| Caller::new(channel, proof, now.time).under(claim.as_ref());
    match request {
        FileRequest::Content { target, start, end, proof } => {
            let held = holder.content(target, caller(*proof)).await;
            answer_content(held, (*start, *end), now)
        }
        FileRequest::Metadata { target, proof } => {
            let metadata = holder.metadata(target, caller(*proof)).await;
            (answer_metadata(metadata, now), None)
        }
    }
}

fn answer_content<C>(
    held: Result<HeldContent<C>, Refusal>,
    (start, end): (u64, Option<u64>),
    now: Now,
) -> (Answer, Option<C>) {
    let granted = held.and_then(|held| Ok((header(&held, start, end)?, held.content)));
    match granted {
        Ok((header, content)) => {
            let range = header.start..header.end;
            (Answer::new(ContentAnswer::Header(header).to_frame(), range, now.instant), Some(content))
        }
        Err(refusal) => (Answer::new(ContentAnswer::Refused(refusal).to_frame(), 0..0, now.instant), None),
    }
}

fn answer_metadata(metadata: Result<FileMetadata, Refusal>, now: Now) -> Answer {
    let answer = match metadata {
        Ok(metadata) => MetadataAnswer::Metadata(Box::new(metadata)),
        Err(refusal) => MetadataAnswer::Refused(refusal),
    };
    let answer = if answer.is_within_bounds() { answer } else { MetadataAnswer::Refused(Refusal::Unavailable) };
    Answer::new(answer.to_frame(), 0..0, now.instant)
}

/// What stands in front of the bytes. Of a format `v1` file all follow, because nothing less can be verified.
fn header<C>(held: &HeldContent<C>, start: u64, end: Option<u64>) -> Result<ContentHeader, Refusal> {
    let (start, end) = if held.format == Format::V1 { (0, held.length) } else { (start, end.unwrap_or(held.length)) };
    if start > end || end > held.length {
        return Err(Refusal::Range);
    }
    Ok(ContentHeader { file: held.file.clone(), format: held.format, length: held.length, start, end })
}
