//! Lists as they are answered: each page is written as it is read, in memory that does not depend on their length.
//!
//! A list that fits on one page is an ordinary answer, with a length and an entity tag. A longer one is sent in chunks,
//! and has neither. If the store fails in the middle, the connection is cut off: the client sees an incomplete answer,
//! never a complete one that lacks something.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use runtime::facade::List;
use serde::Serialize;

use crate::problem::Problem;
use crate::reply::Reply;

const BEGINNING: &[u8] = b"[";
const END: &[u8] = b"]";
/// Bytes to begin a chunk with. A page of tokens fits, and it is too little to be mapped and unmapped each time.
const CHUNK: usize = 120 * 1024;

/// Why a list was cut off. What happened is in the log.
#[derive(Debug, thiserror::Error)]
#[error("the list could not be completed")]
struct Incomplete;

/// Answers a list; `show` turns what the node knows into what the dialect shows.
///
/// # Errors
/// The first page could not be read.
pub(crate) async fn list<T, U>(mut list: List<T>, show: impl Fn(T) -> U + Send + 'static) -> Result<Reply, Problem>
where
    T: Send + 'static,
    U: Serialize,
{
    let mut writer = Writer { show, is_first: true };
    let mut text = BEGINNING.to_vec();
    if let Some(page) = list.next_page().await? {
        writer.append(page, &mut text)?;
    }
    if list.has_more() {
        let rest = Rest { list, writer }.into_stream();
        // Compression asks again after the end.
        let chunks = stream::once(std::future::ready(Ok(Bytes::from(text)))).chain(rest).fuse();
        return Ok(Reply::json_stream(Body::from_stream(chunks)));
    }
    text.extend(END);
    Ok(Reply::json_text(text))
}

/// Writes items as the members of a JSON array.
struct Writer<F> {
    show: F,
    is_first: bool,
}

impl<F> Writer<F> {
    fn append<T, U: Serialize>(&mut self, items: Vec<T>, text: &mut Vec<u8>) -> Result<(), Problem>
    where
        F: Fn(T) -> U,
    {
        for item in items {
            if !std::mem::replace(&mut self.is_first, false) {
                text.push(b',');
            }
            serde_json::to_writer(&mut *text, &(self.show)(item)).map_err(|error| {
                tracing::error!(%error, "an answer could not be written as JSON");
                Problem::unexpected()
            })?;
        }
        Ok(())
    }
}

/// What follows the first chunk.
struct Rest<T, F> {
    list: List<T>,
    writer: Writer<F>,
}

impl<T, U, F> Rest<T, F>
where
    T: Send + 'static,
    U: Serialize,
    F: Fn(T) -> U + Send + 'static,
{
    /// One chunk for each page on which there is something.
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Incomplete>> + Send + 'static {
        stream::unfold(Some(self), |rest| async {
            let mut rest = rest?;
            match rest.chunk().await {
                Ok(chunk) => Some((Ok(chunk), Some(rest).filter(|rest| rest.list.has_more()))),
                Err(problem) => {
                    tracing::error!(code = problem.code(), "a list was cut off");
                    Some((Err(Incomplete), None))
                }
            }
        })
    }

    async fn chunk(&mut self) -> Result<Bytes, Problem> {
        let mut text = Vec::with_capacity(CHUNK);
        while text.is_empty() {
            if let Some(page) = self.list.next_page().await? {
                self.writer.append(page, &mut text)?;
            }
            if !self.list.has_more() {
                text.extend(END);
            }
        }
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use runtime::Error;

    use super::*;
    use crate::reply::ReplyContent;

    /// A list of `pages` pages of one number each, and how many of them were read.
    fn numbered(pages: usize) -> (List<usize>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let page = move |number| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(vec![number])
        };
        (runtime::testing::list(pages, page), read)
    }

    async fn body_of(list: List<usize>) -> Body {
        match super::list(list, |number| number).await.unwrap().content {
            ReplyContent::Stream { body, .. } => body,
            other => panic!("{other:?}"),
        }
    }

    async fn next(body: &mut Body) -> Result<Bytes, axum::Error> {
        body.frame().await.unwrap().map(|frame| frame.into_data().unwrap())
    }

    #[tokio::test]
    async fn one_page_is_an_answer_of_known_length() {
        for (list, expected) in [
            (runtime::testing::list(1, |_| Ok(vec![1, 2])), "[1,2]"),
            (runtime::testing::list(1, |_| Ok(Vec::new())), "[]"),
        ] {
            match super::list(list, |number: i32| number).await.unwrap().content {
                ReplyContent::Bytes { bytes, .. } => assert_eq!(bytes, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn chunks_follow_the_reader_with_at_most_two_pages_ahead() {
        let (list, read) = numbered(100);
        let mut body = body_of(list).await;
        assert_eq!(next(&mut body).await.unwrap(), "[0");
        for number in 1..100 {
            assert!(read.load(Ordering::SeqCst) <= number + 2);
            let end = if number == 99 { "]" } else { "" };
            assert_eq!(next(&mut body).await.unwrap(), format!(",{number}{end}"));
        }
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn pages_without_a_match_send_nothing() {
        let page = |number| Ok(if number == 5 { vec![5] } else { Vec::new() });
        let mut body = body_of(runtime::testing::list(10, page)).await;
        let mut chunks = Vec::new();
        while let Some(frame) = body.frame().await {
            chunks.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(chunks, ["[", "5", "]"]);
    }

    #[tokio::test]
    async fn a_failure_on_the_first_page_is_an_answer_and_a_later_one_cuts_the_list_off() {
        let failing_at = |bad| {
            runtime::testing::list(3, move |page| if page == bad { Err(Error::InvalidPayload) } else { Ok(vec![page]) })
        };
        assert_eq!(super::list(failing_at(0), |number| number).await.unwrap_err().status(), 400);
        let mut body = body_of(failing_at(1)).await;
        assert_eq!(next(&mut body).await.unwrap(), "[0");
        assert_eq!(next(&mut body).await.unwrap_err().to_string(), "the list could not be completed");
        assert!(body.frame().await.is_none());
    }
}
