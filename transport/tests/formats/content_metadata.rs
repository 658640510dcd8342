//! content-v2-metadata.json: metadata of files of format `v2`, and how readers of one format take those of another.

use proptest::option;
use proptest::prelude::*;
use transport::content::manifest::MAX_MANIFEST_LENGTH;
use transport::content::{MAX_CONTENT_LENGTH, Root};
use transport::crypto::{CryptoObject as _, SecretKey, SignatureKeypair};
use transport::file::{AnyFileMetadata, Extent, FileError, FileMetadata, FileMetadataV2, sign_content_ownership};
use transport::wire::Timestamp;

use crate::vectors::{Vector, load};

fn metadata(extent: Extent) -> FileMetadataV2 {
    FileMetadataV2 {
        description: None,
        modified_at: None,
        filename: "photos".into(),
        extent,
        manifest_length: None,
        mimetype: "application/octet-stream".into(),
        secret_key: SecretKey::from_bytes(std::array::from_fn(|at| at as u8)),
        tags: None,
        title: None,
    }
}

fn complete(length: u64) -> Extent {
    Extent::Complete { length, root: Root::from_bytes([7; 32]) }
}

#[test]
fn metadata_are_written_and_read_as_the_vectors_say() {
    let all = FileMetadataV2 {
        description: Some("d".into()),
        modified_at: Some(Timestamp::from_unix_milliseconds(1_764_400_000_123)),
        manifest_length: Some(60),
        tags: Some(vec!["x:a".into()]),
        title: Some("t".into()),
        ..metadata(complete(3_000_000))
    };
    let expected = [
        all,
        metadata(complete(0)),
        metadata(Extent::Growing { length: Some(5) }),
        metadata(Extent::Growing { length: None }),
    ];
    let vectors = load("content-v2-metadata");
    assert_eq!(vectors.list("good").len(), expected.len());
    for (vector, metadata) in vectors.list("good").iter().zip(expected) {
        assert_eq!(metadata.to_text(), vector.as_str().unwrap());
        assert_eq!(FileMetadataV2::parse(vector.as_str().unwrap()).unwrap(), metadata);
        assert_eq!(AnyFileMetadata::parse(vector.as_str().unwrap()).unwrap(), AnyFileMetadata::V2(metadata));
    }
}

#[test]
fn other_metadata_are_refused_as_the_vectors_say() {
    let vectors = load("content-v2-metadata");
    for case in vectors.list("bad") {
        let error = AnyFileMetadata::parse(case.text("text")).unwrap_err();
        assert_eq!(format!("{error:?}"), case.text("error"), "{}", case.text("name"));
        assert!(FileMetadata::parse(case.text("text")).is_err(), "{}", case.text("name"));
    }
    assert_eq!(vectors.list("bad").len() as u64, vectors.number("badCount"));
}

#[test]
fn a_reader_of_v1_says_that_it_needs_a_newer_one() {
    let key = SecretKey::generate();
    let sealed = metadata(complete(5)).seal(&key);
    assert!(matches!(FileMetadata::open(&sealed.0, &key), Err(FileError::NeedsNewerReader)));
    let vectors = load("content-v2-metadata");
    for text in vectors.list("good") {
        assert!(matches!(FileMetadata::parse(text.as_str().unwrap()), Err(FileError::NeedsNewerReader)));
        // What readers that know no other format go by: they require the hash, and only those of `v1` have it.
        assert!(!text.as_str().unwrap().contains("plaintextHash"));
        assert!(serde_json::from_str::<FileMetadata>(text.as_str().unwrap()).is_err());
    }
}

#[test]
fn metadata_of_v1_are_read_as_ever() {
    let file = load("file");
    let text = file.text("metadataPlaintext");
    let AnyFileMetadata::V1(metadata) = AnyFileMetadata::parse(text).unwrap() else { panic!("v1") };
    assert_eq!(metadata.to_text(), text);
    assert!(matches!(FileMetadataV2::parse(text), Err(FileError::InvalidMetadata)));
    let key = SecretKey::from_bytes(file.hex_array("metadataKeyHex"));
    let sealed = metadata.seal(&key);
    assert_eq!(AnyFileMetadata::open(&sealed.0, &key).unwrap(), AnyFileMetadata::V1(metadata));
    assert!(matches!(AnyFileMetadata::open(&sealed.0, &SecretKey::generate()), Err(FileError::Decryption)));
}

#[test]
fn lengths_hold_at_their_bounds() {
    let parse = |extent, manifest_length| {
        let text = FileMetadataV2 { manifest_length, ..metadata(extent) }.to_text();
        FileMetadataV2::parse(&text).is_ok()
    };
    assert!(parse(complete(MAX_CONTENT_LENGTH), None));
    assert!(!parse(complete(MAX_CONTENT_LENGTH + 1), None));
    assert!(!parse(Extent::Growing { length: Some(MAX_CONTENT_LENGTH + 1) }, None));
    let longest = MAX_MANIFEST_LENGTH as u64;
    assert!(parse(complete(longest), Some(longest)));
    assert!(!parse(complete(longest + 1), Some(longest + 1)));
    assert!(!parse(complete(longest - 1), Some(longest)));
    assert!(parse(Extent::Growing { length: None }, Some(longest)));
    assert!(!parse(complete(5), Some(0)));
}

#[test]
fn the_owner_signs_the_root() {
    let vectors = load("content-v2-metadata");
    let owner = &vectors["owner"];
    let device = SignatureKeypair::from_seed(&owner.hex_array("deviceSeedHex"));
    let root = Root::from_bytes(owner.hex_array("rootHex"));
    assert_eq!(sign_content_ownership(&root, &device).to_base64(), owner.text("ownerSignatureField"));
}

#[test]
fn what_is_shown_has_no_name_and_no_key() {
    let root = Root::from_bytes([0; 32]);
    let shown = format!("{:?}", metadata(Extent::Complete { length: 5, root }));
    let zeros = "A".repeat(43);
    assert_eq!(shown, format!("FileMetadataV2 {{ extent: Complete {{ length: 5, root: {zeros} }}, .. }}"));
}

proptest! {
    #[test]
    fn metadata_survive_sealing(
        (filename, mimetype, title) in (".*", ".*", option::of(".*")),
        (length, root, manifest_length) in (0..=MAX_CONTENT_LENGTH, any::<[u8; 32]>(), option::of(1..1000_u64)),
    ) {
        let key = SecretKey::generate();
        let extent = Extent::Complete { length: length.max(1000), root: Root::from_bytes(root) };
        let metadata = FileMetadataV2 { filename, mimetype, title, manifest_length, ..metadata(extent) };
        let text = metadata.to_text();
        prop_assert!(FileMetadataV2::parse(&text[..text.len() - 1]).is_err());
        prop_assert!(FileMetadataV2::parse(&(text + "x")).is_err());
        prop_assert_eq!(FileMetadataV2::open(&metadata.seal(&key).0, &key).unwrap(), metadata);
    }

    #[test]
    fn no_text_makes_the_reader_of_metadata_panic(text in "\\PC{0,80}") {
        let _ = AnyFileMetadata::parse(&text);
        let _ = AnyFileMetadata::parse(&format!("{{\"format\":{text}}}"));
    }
}
