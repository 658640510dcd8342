//! content-v2-manifest.json and content-v2-manifest-bad.json: several files as one content of format `v2`.
//!
//! `UPDATE_CONTENT_VECTORS=1 cargo test -p enlace-transport --test formats content` writes content-v2-manifest.json anew.

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use transport::content::MAX_CONTENT_LENGTH;
use transport::content::manifest::{
    Entry, EntryKind, MAX_ENTRIES, MAX_MANIFEST_LENGTH, MAX_MODE, Manifest, ManifestError, RelativePath,
};
use transport::wire::Timestamp;

use crate::vectors::{Vector, load};

fn path(path: &str) -> RelativePath {
    RelativePath::new(path).unwrap()
}

fn file(name: &str, size: u64) -> Entry {
    Entry { path: path(name), kind: EntryKind::File { size }, mode: None, modified_at: None }
}

fn folder(name: &str) -> Entry {
    Entry { kind: EntryKind::Folder, ..file(name, 0) }
}

fn with(entry: Entry, mode: u16, milliseconds: i64) -> Entry {
    Entry { mode: Some(mode), modified_at: Some(Timestamp::from_unix_milliseconds(milliseconds)), ..entry }
}

fn cases() -> Vec<(&'static str, Vec<Entry>)> {
    let numbered = |count: usize| (0..count).map(|index| file(&format!("{index:05}"), index as u64)).collect();
    vec![
        ("one file", vec![file("a", 0)]),
        ("one folder", vec![folder("a")]),
        (
            "a folder with files",
            vec![
                with(folder("photos"), 0o755, 1_764_400_000_000),
                with(file("photos/a.jpg", 23), 0o644, 1_764_400_000_123),
                with(file("photos/b/c.jpg", 1 << 40), 0o600, -1),
                file("photos-of-others/ä€😀.txt", 65_536),
                file("photos.txt", 4_294_967_296),
            ],
        ),
        ("modes and times", vec![with(file("a", 24), 0, 0), with(file("b", 255), MAX_MODE, 253_402_300_799_999)]),
        ("24 entries", numbered(24)),
        ("256 entries", numbered(256)),
    ]
}

fn to_value(entry: &Entry) -> Value {
    let size = match entry.kind {
        EntryKind::File { size } => Some(size),
        EntryKind::Folder => None,
    };
    json!([entry.path.as_str(), size, entry.mode, entry.modified_at.map(Timestamp::as_unix_milliseconds)])
}

fn vector((name, entries): (&str, Vec<Entry>)) -> Value {
    let manifest = Manifest::new(entries).unwrap();
    let hex: String = manifest.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "name": name,
        "entries": manifest.entries().iter().map(to_value).collect::<Vec<_>>(),
        "manifestHex": hex,
        "contentLength": manifest.content_length(),
    })
}

#[test]
fn manifests_are_written_as_the_vectors_say() {
    let current = json!({ "producedBy": "enlace", "manifests": cases().into_iter().map(vector).collect::<Vec<_>>() });
    if std::env::var_os("UPDATE_CONTENT_VECTORS").is_some() {
        let path = format!("{}/tests/vectors/content-v2-manifest.json", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, format!("{current:#}\n")).unwrap();
    }
    assert_eq!(load("content-v2-manifest"), current, "see the head of this file");
}

#[test]
fn manifests_are_read_as_the_vectors_say() {
    for vector in load("content-v2-manifest").list("manifests") {
        let bytes = vector.hex("manifestHex");
        let manifest = Manifest::decode(&bytes, vector.number("contentLength")).unwrap();
        assert_eq!(manifest.entries().iter().map(to_value).collect::<Vec<_>>(), vector.list("entries"));
        assert_eq!((manifest.encode(), manifest.length()), (bytes.clone(), bytes.len() as u64));
        assert_eq!(Manifest::decode(&bytes, vector.number("contentLength") + 1), Err(ManifestError::Sizes));
    }
}

#[test]
fn bad_manifests_are_refused_as_the_vectors_say() {
    let bad = load("content-v2-manifest-bad");
    for case in bad.list("cases") {
        let bytes = case.hex("manifestHex");
        let length = case.number("contentLength");
        let error = Manifest::decode(&bytes, length).unwrap_err();
        assert!(format!("{error:?}").starts_with(case.text("error")), "{}: {error:?}", case.text("name"));
    }
    assert_eq!(bad.list("cases").len() as u64, bad.number("count"));
}

#[test]
fn each_entry_is_reached_on_its_own() {
    let manifest =
        Manifest::new(vec![file("b", 5), folder("c"), file("a/x", 7), file("c/y", 0), file("d", 1)]).unwrap();
    let head = manifest.length();
    let places: Vec<_> = (0..5).map(|index| manifest.content_of(index).unwrap()).collect();
    assert_eq!(
        places,
        [head..head + 7, head + 7..head + 12, head + 12..head + 12, head + 12..head + 12, head + 12..head + 13]
    );
    assert_eq!(manifest.content_length(), head + 13);
    assert_eq!(manifest.content_of(5), None);
    assert_eq!(manifest.find(&path("b")), Some(1));
    assert_eq!(manifest.find(&path("a")), None);
}

fn refused(entries: Vec<Entry>) -> ManifestError {
    Manifest::new(entries).unwrap_err()
}

#[test]
fn paths_that_collide_somewhere_are_refused_before_they_are_sent() {
    let collision = |first: &str, second: &str| ManifestError::Collision { first: path(first), second: path(second) };
    for (one, other) in
        [("README", "readme"), ("a/b/C", "a/b/c"), ("Photos/a", "photos/b"), ("x/\u{e9}", "x/e\u{301}"), ("A/b/c", "a")]
    {
        let entries = vec![file("0", 1), file(one, 1), folder("m"), file(other, 1), file("z", 1)];
        let error = refused(entries);
        assert!(error == collision(one, other) || error == collision(other, one), "{error:?}");
    }
    assert_eq!(refused(vec![file("a", 1), file("a/b", 1)]), ManifestError::FileAsFolder { path: path("a") });
    assert_eq!(
        refused(vec![file("a", 1), file("a/b/c", 1), file("a-", 1)]),
        ManifestError::FileAsFolder { path: path("a") }
    );
    assert_eq!(refused(vec![file("a", 1), folder("b"), file("a", 2)]), ManifestError::Order { index: 1 });
    assert!(Manifest::new(vec![folder("a"), file("a/b", 1), file("a-b", 1), file("ab", 1)]).is_ok());
}

#[test]
fn limits_hold_at_their_bounds() {
    let numbered = |count: usize| -> Vec<Entry> { (0..count).map(|index| file(&format!("{index:06}"), 1)).collect() };
    let most = Manifest::new(numbered(MAX_ENTRIES)).unwrap();
    assert_eq!(Manifest::decode(&most.encode(), most.content_length()).as_ref(), Ok(&most));
    assert_eq!(refused(numbered(MAX_ENTRIES + 1)), ManifestError::TooManyEntries);
    assert_eq!(refused(Vec::new()), ManifestError::Empty);
    assert_eq!(
        refused(vec![Entry { mode: Some(MAX_MODE + 1), ..file("a", 1) }]),
        ManifestError::Attributes { index: 0 }
    );

    let largest = MAX_CONTENT_LENGTH - Manifest::new(vec![file("a", MAX_CONTENT_LENGTH / 2)]).unwrap().length();
    assert!(Manifest::new(vec![file("a", largest)]).is_ok());
    assert_eq!(refused(vec![file("a", largest + 1)]), ManifestError::Sizes);
    assert_eq!(refused(vec![file("a", u64::MAX), file("b", u64::MAX)]), ManifestError::Sizes);
}

#[test]
fn the_longest_manifest_is_read_and_a_longer_one_is_not() {
    let numbered = |index: usize| file(&format!("{index:06}/{}", "n".repeat(240)), 0);
    let tail = |length: usize| {
        let text: String = (0..length).map(|at| if at % 51 == 50 && at + 1 < length { '/' } else { '~' }).collect();
        file(&text, 0)
    };
    let count = MAX_MANIFEST_LENGTH / 253 - 2;
    let mut entries: Vec<_> = (0..count).map(numbered).collect();
    let without_tail = Manifest::new(entries.clone()).unwrap().length();
    // an array of four, a text of more than 255 bytes, a zero and two nulls
    let last = MAX_MANIFEST_LENGTH - usize::try_from(without_tail).unwrap() - (1 + 3 + 3);
    assert!(last > 255);
    entries.push(tail(last));
    let longest = Manifest::new(entries.clone()).unwrap();
    assert_eq!(longest.length(), MAX_MANIFEST_LENGTH as u64);
    assert_eq!(Manifest::decode(&longest.encode(), longest.content_length()).as_ref(), Ok(&longest));
    entries.pop();
    entries.push(tail(last + 1));
    assert_eq!(refused(entries), ManifestError::TooLong);
    assert_eq!(Manifest::decode(&vec![0; MAX_MANIFEST_LENGTH + 1], 0), Err(ManifestError::TooLong));
}

/// Size, mode and time.
type Attributes = (Option<u64>, Option<u16>, Option<i64>);

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let attributes = (option::of(0..1_u64 << 40), option::of(0..=MAX_MODE), option::of(any::<i64>()));
    (btree_set("[a-zé€]{1,6}(/[0-9 ]{1,5}){0,3}", 1..20), vec(attributes, 20)).prop_map(|(paths, attributes)| {
        let entry = |(path, (size, mode, time)): (String, Attributes)| Entry {
            path: RelativePath::new(path).unwrap(),
            kind: size.map_or(EntryKind::Folder, |size| EntryKind::File { size }),
            mode,
            modified_at: time.map(Timestamp::from_unix_milliseconds),
        };
        paths.into_iter().zip(attributes).map(entry).collect()
    })
}

proptest! {
    #[test]
    fn manifests_survive_their_encoding_and_no_other_is_accepted(entries in entries(), at: usize, bit in 0..8_u32) {
        let Ok(manifest) = Manifest::new(entries) else { return Ok(()) };
        let bytes = manifest.encode();
        let length = manifest.content_length();
        prop_assert_eq!(Manifest::decode(&bytes, length), Ok(manifest));
        prop_assert!(Manifest::decode(&bytes[..bytes.len() - 1], length - 1).is_err());
        prop_assert!(Manifest::decode(&[&bytes[..], &[0]].concat(), length + 1).is_err());
        let mut altered = bytes.clone();
        altered[at % bytes.len()] ^= 1 << bit;
        if let Ok(other) = Manifest::decode(&altered, length) {
            prop_assert_eq!(other.encode(), altered);
        }
    }

    #[test]
    fn no_bytes_make_the_manifest_reader_panic(bytes in vec(any::<u8>(), 0..200), length: u64) {
        let _ = Manifest::decode(&bytes, length);
        let _ = Manifest::decode(&[&[0x82, 1][..], &bytes].concat(), length);
        let _ = Manifest::decode(&[&[0x82, 1, 0x81, 0x84][..], &bytes].concat(), length);
    }
}
