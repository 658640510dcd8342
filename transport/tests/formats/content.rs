//! content-v2.json and content-v2-bad.json: sealing, verifying and opening contents of format `v2`.
//!
//! `UPDATE_CONTENT_VECTORS=1 cargo test -p enlace-transport --test formats content` writes content-v2.json anew; no byte of it may
//! change, or what has been stored cannot be read any more.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use serde_json::{Value, json};
use transport::content::{
    CHUNK_LENGTH, ChunkHash, ChunkPlace, ContentError, ContentKey, HEADER_LENGTH, Header, Layout, MAX_CHUNKS,
    MAX_KEPT_NODES, Opener, ReceivingBlob, Root, SEALED_CHUNK_LENGTH, Sealer, Tree, TreeBuilder, Verifier,
    chunk_buffer,
};
use transport::crypto::SecretKey;
use transport::crypto::hash::sha256;

use crate::vectors::{Vector, load};

const CHUNK: usize = CHUNK_LENGTH as usize;
const SEALED: usize = SEALED_CHUNK_LENGTH as usize;

/// Name, first byte of the key, seed and length of the contents with vectors.
const CONTENTS: [(&str, u8, u64, usize); 9] = [
    ("empty", 1, 0, 0),
    ("one byte", 2, 1, 1),
    ("one chunk less a byte", 3, 2, CHUNK - 1),
    ("one chunk", 4, 3, CHUNK),
    ("one chunk and a byte", 5, 4, CHUNK + 1),
    ("two chunks", 6, 5, 2 * CHUNK),
    ("four chunks", 7, 6, 3 * CHUNK + 12_345),
    ("four chunks, other key", 8, 6, 3 * CHUNK + 12_345),
    ("four chunks, other content", 9, 7, 3 * CHUNK + 12_345),
];

/// Chunks and length of the contents of which only the tree has a vector.
const TREES: [u64; 5] = [256, 257, 65_536, 65_537, 66_000];

/// The content of a seed; the rule stands in the vectors.
fn plaintext(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at * 31 + (at >> 8) * 7 + (at >> 20) * 13 + seed) as u8).collect()
}

fn key(first: u8) -> SecretKey {
    SecretKey::from_bytes(std::array::from_fn(|at| first.wrapping_add(at as u8)))
}

fn seal(key: &SecretKey, content: &[u8], piece: usize) -> (Vec<u8>, Tree) {
    let mut blob = Vec::new();
    let mut sealer = Sealer::new(key, &mut blob);
    content.chunks(piece).for_each(|piece| sealer.push(piece, &mut blob).unwrap());
    let tree = sealer.finish(&mut blob).unwrap();
    (blob, tree)
}

fn part(blob: &[u8], range: &Range<u64>) -> Vec<u8> {
    blob[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
}

fn verifier(blob: &[u8], root: &Root, layout: Layout) -> Result<Verifier, ContentError> {
    if blob.len() as u64 != layout.blob_length() {
        return Err(ContentError::Length);
    }
    let mut verifier = Verifier::new(root, layout, &blob[..HEADER_LENGTH], &part(blob, &layout.top()))?;
    for missing in verifier.missing(&(0..layout.chunk_count()))? {
        verifier.add(&missing, &part(blob, &missing.blob))?;
    }
    Ok(verifier)
}

/// Reads all of a blob as somebody with the root but without the key.
fn verify(blob: &[u8], root: &Root, layout: Layout) -> Result<(), ContentError> {
    let verifier = verifier(blob, root, layout)?;
    let tree = Tree::verify(root, &layout, verifier.header(), &part(blob, &layout.tree()))?;
    (0..layout.chunk_count()).try_for_each(|index| {
        assert_eq!(verifier.chunk(index), tree.chunk(index));
        verifier.verify(index, &part(blob, &layout.sealed_chunk(index)?)).map(|_| ())
    })
}

/// With root and key.
fn open(blob: &[u8], root: &Root, layout: Layout, key: &SecretKey) -> Result<Vec<u8>, ContentError> {
    let opener = Opener::new(key, verifier(blob, root, layout)?)?;
    let mut content = Vec::new();
    for index in 0..layout.chunk_count() {
        let mut chunk = part(blob, &layout.sealed_chunk(index)?);
        opener.open_chunk(index, &mut chunk).inspect_err(|_| assert!(chunk.is_empty()))?;
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

/// With the key but without a root, as long as an upload goes on.
fn follow(blob: &[u8], layout: Layout, key: &SecretKey) -> Result<Vec<u8>, ContentError> {
    if blob.len() as u64 != layout.blob_length() {
        return Err(ContentError::Length);
    }
    let key = ContentKey::new(key);
    key.check(&Header::parse(&blob[..HEADER_LENGTH])?)?;
    let mut content = Vec::new();
    for index in 0..layout.chunk_count() {
        let mut chunk = part(blob, &layout.sealed_chunk(index)?);
        key.open_chunk(layout.place(index)?, &mut chunk).inspect_err(|_| assert!(chunk.is_empty()))?;
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content_vector((name, first, seed, length): (&str, u8, u64, usize)) -> Value {
    let (blob, tree) = seal(&key(first), &plaintext(seed, length), CHUNK);
    let hashes = (0..tree.layout().chunk_count()).map(|index| to_hex(tree.chunk(index).unwrap().as_bytes()));
    json!({
        "name": name,
        "fileKeyHex": to_hex(key(first).expose()),
        "seed": seed,
        "length": length,
        "headerHex": to_hex(&blob[..HEADER_LENGTH]),
        "firstSealedBytesHex": to_hex(&blob[HEADER_LENGTH..HEADER_LENGTH + 16]),
        "lastTagHex": to_hex(&part(&blob, &(tree.layout().tree().start - 16..tree.layout().tree().start))),
        "chunkHashesHex": hashes.collect::<Vec<_>>(),
        "rootHex": to_hex(tree.root().as_bytes()),
        "rootText": tree.root().to_string(),
        "blobLength": blob.len(),
        "blobSha256Hex": to_hex(&sha256(&blob)),
    })
}

fn synthetic_tree(chunks: u64) -> Tree {
    let mut hashes = TreeBuilder::new();
    (0..chunks).for_each(|index| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&index.to_le_bytes());
        hashes.push(&ChunkHash::from_bytes(hash));
    });
    let layout = Layout::of(chunks * CHUNK_LENGTH - 1).unwrap();
    hashes.finish(ContentKey::new(&key(1)).header(), &layout).unwrap()
}

fn tree_vector(chunks: u64) -> Value {
    let tree = synthetic_tree(chunks);
    json!({
        "chunks": chunks,
        "length": tree.layout().length(),
        "treeLength": tree.as_bytes().len(),
        "treeSha256Hex": to_hex(&sha256(tree.as_bytes())),
        "rootHex": to_hex(tree.root().as_bytes()),
    })
}

#[test]
fn contents_are_sealed_as_the_vectors_say() {
    let current = json!({
        "producedBy": "enlace; a second implementation by the same author, in Python with the libraries blake3 and PyNaCl, gives the same",
        "plaintextRule": "byte i of a content is i * 31 + floor(i / 2^8) * 7 + floor(i / 2^20) * 13 + seed, modulo 256",
        "treeRule": "header of the content \"empty\"; hash i of a chunk is i as 8 bytes little-endian and 24 zero bytes",
        "contents": CONTENTS.map(content_vector),
        "trees": TREES.map(tree_vector),
    });
    if std::env::var_os("UPDATE_CONTENT_VECTORS").is_some() {
        let path = format!("{}/tests/vectors/content-v2.json", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, format!("{current:#}\n")).unwrap();
    }
    assert_eq!(load("content-v2"), current, "see the head of this file");
}

#[test]
fn sealed_contents_open_with_root_key_or_both() {
    for vector in load("content-v2").list("contents") {
        let key = SecretKey::from_bytes(vector.hex_array("fileKeyHex"));
        let length = usize::try_from(vector.number("length")).unwrap();
        let content = plaintext(vector.number("seed"), length);
        let (blob, tree) = seal(&key, &content, 777_777);
        let root = Root::from_bytes(vector.hex_array("rootHex"));
        assert_eq!(root, vector.text("rootText").parse().unwrap());
        assert_eq!((tree.root(), sha256(&blob)), (&root, vector.hex_array("blobSha256Hex")));
        let layout = Layout::of_blob(vector.number("blobLength")).unwrap();
        assert_eq!(Layout::of(length as u64), Ok(layout));
        assert_eq!(verify(&blob, &root, layout), Ok(()));
        assert!(open(&blob, &root, layout, &key).unwrap() == content);
        assert!(follow(&blob, layout, &key).unwrap() == content);
    }
}

/// What a case of content-v2-bad.json is applied to.
struct Victim {
    blob: Vec<u8>,
    root: Root,
    layout: Layout,
    key: SecretKey,
}

type Contents = BTreeMap<&'static str, (Vec<u8>, Tree, SecretKey)>;

fn contents() -> Contents {
    let sealed = |(name, first, seed, length): (&'static str, u8, u64, usize)| {
        let (blob, tree) = seal(&key(first), &plaintext(seed, length), CHUNK);
        (name, (blob, tree, key(first)))
    };
    CONTENTS.into_iter().map(sealed).collect()
}

fn chunk_range(index: u64) -> Range<usize> {
    let start = HEADER_LENGTH + usize::try_from(index).unwrap() * SEALED;
    start..start + SEALED
}

impl Victim {
    fn apply(&mut self, step: &Value, contents: &Contents) {
        let number = |name: &str| usize::try_from(step.number(name)).unwrap();
        match step.text("op") {
            "flip" => self.blob[number("at")] ^= 1 << number("bit"),
            "truncate" => self.blob.truncate(number("to")),
            "append" => self.blob.extend(step.hex("bytesHex")),
            "drop" => drop(self.blob.drain(chunk_range(step.number("chunk")))),
            "replace" => {
                let source = step.optional_text("from").map_or(self.blob.clone(), |name| contents[name].0.clone());
                let to = chunk_range(step.number("to"));
                self.blob[to].copy_from_slice(&source[chunk_range(step.number("chunk"))]);
            }
            "swap" => {
                let (one, other) = (chunk_range(step.number("chunk")), chunk_range(step.number("with")));
                let taken = self.blob[one.clone()].to_vec();
                self.blob.copy_within(other.clone(), one.start);
                self.blob[other].copy_from_slice(&taken);
            }
            "claimLength" => self.layout = Layout::of(step.number("length")).unwrap(),
            "claimRootOf" => self.root = *contents[step.text("content")].1.root(),
            "claimKeyOf" => self.key = contents[step.text("content")].2.clone(),
            "headerOf" => {
                let header = &contents[step.text("content")].0[..HEADER_LENGTH];
                self.blob[..HEADER_LENGTH].copy_from_slice(header);
            }
            "rehash" => self.rehash(),
            op => panic!("unknown operation {op}"),
        }
    }

    /// What an attacker without the key can do: a tree and a root over altered chunks, of the length that is claimed.
    fn rehash(&mut self) {
        self.blob.truncate(usize::try_from(self.layout.tree().start).unwrap());
        let mut hashes = TreeBuilder::new();
        for index in 0..self.layout.chunk_count() {
            hashes.push(&ChunkHash::of(&part(&self.blob, &self.layout.sealed_chunk(index).unwrap())));
        }
        let header = Header::parse(&self.blob[..HEADER_LENGTH]).unwrap();
        let tree = hashes.finish(&header, &self.layout).unwrap();
        self.blob.extend_from_slice(tree.as_bytes());
        self.root = *tree.root();
    }
}

/// `AlteredChunk { index: 1 }` is "AlteredChunk 1" in the vectors.
fn outcome<T>(outcome: Result<T, ContentError>) -> String {
    outcome.map_or_else(|error| format!("{error:?}").replace(" { index:", "").replace(" }", ""), |_| "ok".to_owned())
}

#[test]
fn bad_contents_are_refused_as_the_vectors_say() {
    let (contents, bad) = (contents(), load("content-v2-bad"));
    for case in bad.list("cases") {
        let (blob, tree, key) = &contents[case.text("content")];
        let (root, layout) = (*tree.root(), *tree.layout());
        let mut victim = Victim { blob: blob.clone(), root, layout, key: key.clone() };
        case.list("steps").iter().for_each(|step| victim.apply(step, &contents));
        let Victim { blob, root, layout, key } = victim;
        let name = case.text("name");
        assert_eq!(outcome(verify(&blob, &root, layout)), case.text("verify"), "verify: {name}");
        assert_eq!(outcome(open(&blob, &root, layout, &key)), case.text("open"), "open: {name}");
        assert_eq!(outcome(follow(&blob, layout, &key)), case.text("follow"), "follow: {name}");
    }
    assert_eq!(bad.list("cases").len() as u64, bad.number("count"));
}

#[test]
fn a_flipped_bit_anywhere_is_refused_whoever_reads() {
    let (blob, tree) = seal(&key(7), &plaintext(6, 2 * CHUNK + 5), CHUNK);
    let (layout, root) = (*tree.layout(), tree.root());
    let chunks: Vec<usize> = (0..3).map(|index| chunk_range(index).start).collect();
    let end = usize::try_from(layout.tree().start).unwrap();
    let places = (0..HEADER_LENGTH).chain(chunks.iter().flat_map(|at| *at - 16..*at + 3)).chain(end - 20..blob.len());
    for place in places {
        let mut altered = blob.clone();
        altered[place] ^= 1 << (place % 8);
        let refused = verify(&altered, root, layout).unwrap_err();
        assert_eq!(open(&altered, root, layout, &key(7)), Err(refused), "{place}");
        assert_eq!(follow(&altered, layout, &key(7)).is_err(), place < end, "{place}");
    }
}

#[test]
fn no_prefix_of_a_blob_is_one_with_another_length() {
    let (blob, tree) = seal(&key(7), &plaintext(6, 2 * CHUNK), CHUNK);
    for length in [0, 47, 48, 64, 96, HEADER_LENGTH + SEALED, HEADER_LENGTH + SEALED + 32, blob.len() - 1] {
        let cut = &blob[..length];
        let Ok(layout) = Layout::of_blob(length as u64) else { continue };
        assert!(verify(cut, tree.root(), layout).is_err(), "{length}");
        assert!(follow(cut, layout, &key(7)).is_err(), "{length}");
    }
}

#[test]
fn chunks_are_sealed_alike_in_any_order_and_on_any_thread() {
    let content = plaintext(3, 3 * CHUNK + 7);
    let (blob, tree) = seal(&key(2), &content, 1000);
    let key = ContentKey::new(&key(2));
    let layout = *tree.layout();
    let sealed: Vec<(ChunkHash, Vec<u8>)> = std::thread::scope(|scope| {
        let threads = (0..4).rev().map(|index| {
            let (key, chunk) = (&key, part(&content, &layout.content_of(index)));
            scope.spawn(move || {
                let mut buffer = chunk_buffer();
                buffer.extend_from_slice(&chunk);
                let hash = key.seal_chunk(layout.place(index).unwrap(), &mut buffer).unwrap();
                assert_eq!(buffer.capacity(), chunk_buffer().capacity());
                (hash, buffer)
            })
        });
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (index, (hash, chunk)) in (0..4).rev().zip(sealed) {
        assert_eq!(tree.chunk(index), Ok(hash));
        assert!(part(&blob, &layout.sealed_chunk(index).unwrap()) == chunk);
    }
}

#[test]
fn a_chunk_that_changed_is_not_sealed_again() {
    let key = ContentKey::new(&key(2));
    let place = ChunkPlace { index: 3, is_last: true };
    let mut chunk = b"some bytes".to_vec();
    let hash = key.seal_chunk(place, &mut chunk).unwrap();

    let mut same = b"some bytes".to_vec();
    assert_eq!(key.seal_again(place, &mut same, &hash), Ok(()));
    assert_eq!(same, chunk);
    for changed in [&b"same bytes"[..], b"some byte", b"some bytes and more", b""] {
        let mut changed = changed.to_vec();
        assert_eq!(key.seal_again(place, &mut changed, &hash), Err(ContentError::SourceChanged { index: 3 }));
        assert!(changed.is_empty());
    }
}

#[test]
fn chunks_of_impossible_lengths_are_not_sealed() {
    let key = ContentKey::new(&key(2));
    for (index, is_last, length) in
        [(0, false, 0), (0, false, CHUNK - 1), (0, false, CHUNK + 1), (1, true, 0), (0, true, CHUNK + 1)]
    {
        let mut chunk = vec![0; length];
        let refused = key.seal_chunk(ChunkPlace { index, is_last }, &mut chunk);
        assert_eq!(refused, Err(ContentError::ChunkLength { index }));
        assert_eq!(chunk.len(), length);
        chunk.extend([0; 16]);
        let refused = key.open_chunk(ChunkPlace { index, is_last }, &mut chunk);
        assert_eq!(refused, Err(ContentError::ChunkLength { index }));
        assert!(chunk.is_empty());
    }
    for (index, expected) in [(MAX_CHUNKS - 1, true), (MAX_CHUNKS, false), (u64::MAX, false)] {
        let sealed = key.seal_chunk(ChunkPlace { index, is_last: true }, &mut vec![0; CHUNK]);
        assert_eq!(sealed.is_ok(), expected);
        assert!(expected || sealed == Err(ContentError::TooLong));
    }
    let mut short = vec![0; 15];
    assert_eq!(
        key.open_chunk(ChunkPlace { index: 0, is_last: true }, &mut short),
        Err(ContentError::ChunkLength { index: 0 })
    );
}

#[test]
fn the_hashes_of_a_chunk_are_asked_for_with_few_requests() {
    let tree = synthetic_tree(66_000);
    let layout = *tree.layout();
    let start = layout.tree().start;
    let bytes = |range: &Range<u64>| part(tree.as_bytes(), &(range.start - start..range.end - start));
    let header = ContentKey::new(&key(1)).header().clone();
    let mut verifier = Verifier::new(tree.root(), layout, header.as_bytes(), &bytes(&layout.top())).unwrap();
    assert_eq!(bytes(&layout.top()).len(), 2 * 32);
    assert_eq!(verifier.chunk(65_999), Err(ContentError::MissingHashes { index: 65_999 }));

    let missing = verifier.missing(&(65_998..66_000)).unwrap();
    let lengths: Vec<u64> = missing.iter().map(|part| part.blob.end - part.blob.start).collect();
    assert_eq!(
        lengths,
        [2 * 32, (66_000 % 256) * 32],
        "from the top on: the second node of level 1, the last of level 0"
    );
    // what depends on another part cannot be added before it
    assert_eq!(verifier.add(&missing[1], &bytes(&missing[1].blob)), Err(ContentError::Tree));
    for part in &missing {
        let mut altered = bytes(&part.blob);
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(verifier.add(part, &altered), Err(ContentError::Tree));
        assert_eq!(verifier.add(part, &altered[1..]), Err(ContentError::Tree));
        assert_eq!(verifier.add(part, &bytes(&part.blob)), Ok(()));
    }
    assert_eq!(verifier.chunk(65_999), tree.chunk(65_999));
    assert_eq!(verifier.missing(&(65_990..66_000)), Ok(Vec::new()));
    assert_eq!(verifier.missing(&(5..5)), Ok(Vec::new()));
    assert_eq!(verifier.missing(&(0..66_001)), Err(ContentError::Range));
}

#[test]
fn a_verifier_keeps_a_bounded_number_of_hashes() {
    let chunks = (MAX_KEPT_NODES as u64 + 2) * 256;
    let tree = synthetic_tree(chunks);
    let layout = *tree.layout();
    let start = layout.tree().start;
    let bytes = |range: &Range<u64>| part(tree.as_bytes(), &(range.start - start..range.end - start));
    let header = ContentKey::new(&key(1)).header().clone();
    let mut verifier = Verifier::new(tree.root(), layout, header.as_bytes(), &bytes(&layout.top())).unwrap();
    let add_all = |verifier: &mut Verifier, chunks: Range<u64>| {
        for missing in verifier.missing(&chunks).unwrap() {
            verifier.add(&missing, &bytes(&missing.blob)).unwrap();
        }
    };
    // one request asks for no more than is kept
    add_all(&mut verifier, 0..chunks);
    assert_eq!(verifier.chunk(0), tree.chunk(0));
    assert_eq!(verifier.chunk(MAX_KEPT_NODES as u64 * 256 - 1), tree.chunk(MAX_KEPT_NODES as u64 * 256 - 1));
    assert!(verifier.chunk(MAX_KEPT_NODES as u64 * 256).is_err());
    // one more, and the oldest is gone
    add_all(&mut verifier, MAX_KEPT_NODES as u64 * 256..MAX_KEPT_NODES as u64 * 256 + 1);
    assert_eq!(verifier.chunk(0), Err(ContentError::MissingHashes { index: 0 }));
    assert_eq!(verifier.chunk(256), tree.chunk(256));
    add_all(&mut verifier, 0..1);
    assert_eq!(verifier.chunk(0), tree.chunk(0));
    assert_eq!(verifier.chunk(256), Err(ContentError::MissingHashes { index: 256 }));
}

#[test]
fn a_tree_of_another_size_is_refused() {
    let (header, layout) = (ContentKey::new(&key(1)).header().clone(), Layout::of(CHUNK_LENGTH + 1).unwrap());
    let mut hashes = TreeBuilder::new();
    hashes.push(&ChunkHash::of(b""));
    assert_eq!(hashes.clone().finish(&header, &layout).unwrap_err(), ContentError::Length);
    hashes.push(&ChunkHash::of(b""));
    let tree = hashes.finish(&header, &layout).unwrap();
    let refused = Tree::verify(tree.root(), &layout, &header, &tree.as_bytes()[1..]);
    assert_eq!(refused.unwrap_err(), ContentError::Tree);
    let other_length = Layout::of(CHUNK_LENGTH + 2).unwrap();
    assert_eq!(Tree::verify(tree.root(), &other_length, &header, tree.as_bytes()).unwrap_err(), ContentError::Root);
}

fn receive(blob: &[u8], root: &Root, layout: Layout, piece: usize) -> Result<Tree, ContentError> {
    let mut receiving = ReceivingBlob::new(layout);
    blob.chunks(piece).try_for_each(|piece| receiving.push(piece))?;
    assert_eq!(receiving.position(), blob.len() as u64);
    receiving.finish(root)
}

#[test]
fn a_blob_that_arrives_altered_is_refused() {
    let (blob, tree) = seal(&key(7), &plaintext(6, 2 * CHUNK + 5), CHUNK);
    let (root, layout) = (tree.root(), *tree.layout());
    let end = usize::try_from(layout.tree().start).unwrap();
    for (place, expected) in [
        (0, ContentError::Header),
        (9, ContentError::NeedsNewerReader),
        (16, ContentError::Root),
        (48, ContentError::Tree),
        (48 + SEALED, ContentError::Tree),
        (end - 1, ContentError::Tree),
        (end, ContentError::Tree),
        (blob.len() - 1, ContentError::Tree),
    ] {
        let mut altered = blob.clone();
        altered[place] ^= 1;
        assert_eq!(receive(&altered, root, layout, 100_000).unwrap_err(), expected, "{place}");
    }
    for cut in [0, 20, 48, 48 + SEALED, end - 1, end, blob.len() - 1] {
        assert_eq!(receive(&blob[..cut], root, layout, 100_000).unwrap_err(), ContentError::Length, "{cut}");
    }
    let longer = [&blob[..], &[0]].concat();
    assert_eq!(receive(&longer, root, layout, 100_000).unwrap_err(), ContentError::Length);
    let other = Root::from_bytes([7; 32]);
    assert_eq!(receive(&blob, &other, layout, 100_000).unwrap_err(), ContentError::Root);
}

#[test]
fn hashes_that_were_kept_are_continued() {
    let (_, tree) = seal(&key(7), &plaintext(6, 2 * CHUNK + 5), CHUNK);
    let mut hashes = TreeBuilder::new();
    (0..2).for_each(|index| hashes.push(&tree.chunk(index).unwrap()));
    let mut continued = TreeBuilder::from_bytes(hashes.as_bytes()).unwrap();
    assert_eq!(continued.count(), 2);
    continued.push(&tree.chunk(2).unwrap());
    let finished = continued.finish(ContentKey::new(&key(7)).header(), tree.layout()).unwrap();
    assert_eq!(finished, tree);
    assert!(TreeBuilder::from_bytes(&hashes.as_bytes()[1..]).is_err());
}

fn around_chunks() -> impl Strategy<Value = usize> {
    (0..3_usize, -2..=2_isize).prop_map(|(chunks, more)| (chunks * CHUNK).saturating_add_signed(more))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn contents_survive_whatever_the_pieces(length in prop_oneof![around_chunks(), 0..5000_usize, 0..3 * CHUNK], piece in 1..2 * CHUNK, seed: u64) {
        let (key, content) = (SecretKey::generate(), plaintext(seed % 1000, length));
        let (blob, tree) = seal(&key, &content, piece.max(length / 1000));
        let layout = Layout::of(length as u64).unwrap();
        prop_assert_eq!(tree.layout(), &layout);
        prop_assert_eq!(blob.len() as u64, layout.blob_length());
        prop_assert_eq!(verify(&blob, tree.root(), layout), Ok(()));
        prop_assert_eq!(receive(&blob, tree.root(), layout, piece.max(length / 1000)), Ok(tree.clone()));
        prop_assert!(open(&blob, tree.root(), layout, &key).unwrap() == content);
    }

    #[test]
    fn any_range_is_read_alone(length in 1..3 * CHUNK, a in 0..1000_usize, b in 0..1000_usize) {
        let (key, content) = (SecretKey::generate(), plaintext(5, length));
        let (blob, tree) = seal(&key, &content, CHUNK);
        let (a, b) = (a * length / 1000, b * length / 1000);
        let wanted = a.min(b) as u64..a.max(b) as u64;
        let layout = *tree.layout();
        let verifier = Verifier::new(tree.root(), layout, &blob[..HEADER_LENGTH], &part(&blob, &layout.top())).unwrap();
        let opener = Opener::new(&key, verifier).unwrap();
        let mut read = Vec::new();
        for index in layout.chunks_with(&wanted).unwrap() {
            let mut chunk = part(&blob, &layout.sealed_chunk(index).unwrap());
            opener.open_chunk(index, &mut chunk).unwrap();
            read.extend_from_slice(&chunk[layout.part_of_chunk(index, &wanted)]);
        }
        prop_assert!(read == content[a.min(b)..a.max(b)]);
    }

    #[test]
    fn a_growing_blob_is_followed_at_any_cut(length in 0..4 * CHUNK, cut in 0..1000_usize) {
        let (key, content) = (SecretKey::generate(), plaintext(5, length));
        let (blob, _) = seal(&key, &content, CHUNK);
        let available = &blob[..cut * blob.len() / 1000];
        let key = ContentKey::new(&key);
        for index in 0..Layout::chunks_within(available.len() as u64) {
            let mut chunk = available[chunk_range(index)].to_vec();
            prop_assert_eq!(key.open_chunk(ChunkPlace { index, is_last: false }, &mut chunk), Ok(()));
            prop_assert!(chunk == content[usize::try_from(index).unwrap() * CHUNK..][..CHUNK]);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), length: u64, index: u64) {
        let _ = Header::parse(&bytes);
        let root = Root::from_bytes([7; 32]);
        let layout = Layout::of_blob(length).or(Layout::of(length)).or(Layout::of(length >> 22)).unwrap();
        prop_assert!(Verifier::new(&root, layout, &bytes, &bytes).is_err());
        for is_last in [true, false] {
            let place = ChunkPlace { index: index % 3, is_last };
            prop_assert!(ContentKey::new(&key(1)).open_chunk(place, &mut bytes.clone()).is_err());
        }
    }
}
