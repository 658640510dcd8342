//! How many contents of files are being sent.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::StreamExt as _;

/// Contents that are being sent. Clones count the same ones.
#[derive(Clone, Default)]
pub(crate) struct Downloads(Arc<()>);

impl Downloads {
    /// Counts a content from now on, until it was sent or nobody receives it any more.
    pub(crate) fn count<S: Stream>(&self, content: S) -> impl Stream<Item = S::Item> + use<S> {
        let counted = self.clone();
        // The stream owns what counts it.
        content.inspect(move |_| _ = &counted)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_content_counts_until_its_stream_is_dropped() {
        let downloads = Downloads::default();
        let (mut first, second) = (downloads.count(stream::iter([1, 2])), downloads.count(stream::empty::<u8>()));
        assert_eq!(downloads.open(), 2);
        drop(second);
        assert_eq!((first.next().await, first.next().await, downloads.open()), (Some(1), Some(2), 1));
        drop(first);
        assert_eq!(downloads.open(), 0);
    }
}
