//! Header, lengths and tree of a content: nothing has a root by chance, and positions of a blob stay within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::content::{HEADER_LENGTH, Header, Layout, Root, Tree, Verifier};

fuzz_target!(|input: (u64, u64, &[u8])| {
    let (length, index, bytes) = input;
    let Some(layout) = Layout::of_blob(length).ok().or_else(|| Layout::of(length).ok()) else { return };
    assert_eq!(Layout::of_blob(layout.blob_length()), Ok(layout));
    assert!(Layout::chunks_within(layout.blob_length()) < layout.chunk_count());
    if let Ok(sealed) = layout.sealed_chunk(index) {
        assert!(sealed.end <= layout.tree().start && layout.content_of(index).end <= layout.length());
    }
    let (head, tree) = bytes.split_at(bytes.len().min(HEADER_LENGTH));
    let root = Root::from_bytes([7; Root::LENGTH]);
    assert!(Verifier::new(&root, layout, head, tree).is_err());
    if let Ok(header) = Header::parse(head) {
        assert_eq!(header.as_bytes(), head);
        assert!(Tree::verify(&root, &layout, &header, tree).is_err());
    }
});
