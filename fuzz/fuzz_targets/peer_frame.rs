//! Frames and messages of peers: memory stays within the bound however they arrive, and what is accepted is the only encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::peer::{
    ClaimAnswer, CodeMessage, ContentAnswer, FileRequest, FileRequestV2, FrameReader, IdentityMessage, InboxMessage,
    Message, MetadataAnswer, TokenAnswer, TokenRequest, TokenRequestV2,
};

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (bound, piece, bytes) = input;
    let bound = usize::from(bound);
    let mut reader = FrameReader::new(bound);
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        if reader.receive(piece).is_err() {
            break;
        }
        assert!(reader.held() <= bound);
        if let Some(message) = reader.take() {
            assert!(message.len() <= bound);
        }
    }
    is_only_encoding::<IdentityMessage>(bytes);
    is_only_encoding::<FileRequest>(bytes);
    is_only_encoding::<ContentAnswer>(bytes);
    is_only_encoding::<MetadataAnswer>(bytes);
    is_only_encoding::<TokenRequest>(bytes);
    is_only_encoding::<TokenRequestV2>(bytes);
    is_only_encoding::<FileRequestV2>(bytes);
    is_only_encoding::<ClaimAnswer>(bytes);
    is_only_encoding::<TokenAnswer>(bytes);
    is_only_encoding::<InboxMessage>(bytes);
    is_only_encoding::<CodeMessage>(bytes);
});

fn is_only_encoding<M: Message>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        assert_eq!(message.encode(), bytes);
        assert!(bytes.len() <= M::MAX_LENGTH);
    }
}
