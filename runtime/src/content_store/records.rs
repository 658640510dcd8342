//! What the node's store remembers of contents and segments. All of it is sealed there; the names of the values are numbers
//! that were drawn at random.

use ciborium::Value;
use serde::{Deserialize, Serialize};
use transport::content::{Layout, Root};
use transport::crypto::{SecretKey, compact};
use transport::wire::{FileId, Timestamp};

use super::KnownContent;
use super::state::{Kind, Number, Part};
use crate::source::Source;
use crate::store::{Batch, Store, StoreError};

const CONTENT: &str = "Content/";
const SEGMENT: &str = "ContentSegment/";
const SOURCE: &str = "ContentSource/";

/// Most bytes of a stored source. The paths of some 100,000 files have so many; a source with more is not kept.
pub(super) const MAX_SOURCE_BYTES: usize = 16 << 20;

/// A content of which something is here.
#[derive(Serialize, Deserialize)]
pub(super) struct ContentRecord {
    #[serde(rename = "f")]
    file: FileId,
    #[serde(rename = "r")]
    root: Root,
    /// Bytes of plaintext.
    #[serde(rename = "l")]
    length: u64,
    #[serde(rename = "e")]
    expires_at: Timestamp,
    #[serde(rename = "p")]
    pub(super) is_pinned: bool,
    /// Coarse: a read writes nothing.
    #[serde(rename = "u")]
    pub(super) used_at: Timestamp,
    #[serde(rename = "s")]
    pub(super) has_source: bool,
}

/// A file with parts of one content.
#[derive(Serialize, Deserialize)]
pub(super) struct SegmentRecord {
    #[serde(rename = "c")]
    pub(super) content: Number,
    #[serde(rename = "k")]
    pub(super) kind: Kind,
    #[serde(rename = "p")]
    pub(super) parts: Vec<Part>,
}

/// Files of this machine with a content, and the key by which they are sealed again.
#[derive(Serialize, Deserialize)]
struct SourceRecord {
    #[serde(rename = "k", with = "compact")]
    key: SecretKey,
    #[serde(rename = "b")]
    source: Value,
}

impl ContentRecord {
    pub(super) fn new(known: &KnownContent, is_pinned: bool, used_at: Timestamp, has_source: bool) -> Self {
        let KnownContent { file, root, layout, expires_at } = known.clone();
        Self { file, root, length: layout.length(), expires_at, is_pinned, used_at, has_source }
    }

    /// What it is a record of; none if no content has this length.
    pub(super) fn known(&self) -> Option<KnownContent> {
        let layout = Layout::of(self.length).ok()?;
        Some(KnownContent { file: self.file.clone(), root: self.root, layout, expires_at: self.expires_at })
    }
}

/// The name of a segment's file, and the last part of the name of its record.
pub(super) fn name_of(number: Number) -> String {
    format!("{number:016x}")
}

/// The number in such a name.
pub(super) fn number_of(name: &str) -> Option<Number> {
    u64::from_str_radix(name, 16).ok().filter(|number| name_of(*number) == name)
}

pub(super) fn put_content(batch: &mut Batch, number: Number, record: &ContentRecord) -> Result<(), StoreError> {
    batch.put_value(&format!("{CONTENT}{}", name_of(number)), record).map(drop)
}

pub(super) fn remove_content(batch: &mut Batch, number: Number) {
    batch.remove_value(&format!("{CONTENT}{}", name_of(number)));
    remove_source(batch, number);
}

pub(super) fn put_segment(batch: &mut Batch, number: Number, record: &SegmentRecord) -> Result<(), StoreError> {
    batch.put_value(&format!("{SEGMENT}{}", name_of(number)), record).map(drop)
}

pub(super) fn remove_segment(batch: &mut Batch, number: Number) {
    batch.remove_value(&format!("{SEGMENT}{}", name_of(number)));
}

/// `source` has the bytes of [`Source::to_bytes`].
pub(super) fn put_source(
    batch: &mut Batch,
    number: Number,
    key: &SecretKey,
    source: Vec<u8>,
) -> Result<(), StoreError> {
    let record = SourceRecord { key: key.clone(), source: Value::Bytes(source) };
    batch.put_value(&format!("{SOURCE}{}", name_of(number)), &record).map(drop)
}

pub(super) fn remove_source(batch: &mut Batch, number: Number) {
    batch.remove_value(&format!("{SOURCE}{}", name_of(number)));
}

/// The source of a content of this length, and its key.
pub(super) fn source(store: &Store, number: Number, length: u64) -> Result<Option<(Source, SecretKey)>, StoreError> {
    let Some(record) = store.value::<SourceRecord>(&format!("{SOURCE}{}", name_of(number)))? else { return Ok(None) };
    let bytes = record.source.as_bytes().ok_or(StoreError::Damaged)?;
    let source = Source::from_bytes(bytes, length).ok_or(StoreError::Damaged)?;
    Ok(Some((source, record.key)))
}

/// All contents.
pub(super) fn contents(store: &Store) -> Result<Vec<(Number, ContentRecord)>, StoreError> {
    numbered(store, CONTENT)
}

/// All segments.
pub(super) fn segments(store: &Store) -> Result<Vec<(Number, SegmentRecord)>, StoreError> {
    numbered(store, SEGMENT)
}

/// The contents that have a source.
pub(super) fn sources(store: &Store) -> Result<Vec<Number>, StoreError> {
    Ok(numbered::<serde::de::IgnoredAny>(store, SOURCE)?.into_iter().map(|(number, _)| number).collect())
}

fn numbered<T: serde::de::DeserializeOwned>(store: &Store, prefix: &str) -> Result<Vec<(Number, T)>, StoreError> {
    let named = store.values::<T>(prefix)?;
    named
        .map(|pair| {
            let (name, value) = pair?;
            Ok((number_of(&name).ok_or(StoreError::Damaged)?, value))
        })
        .collect()
}
