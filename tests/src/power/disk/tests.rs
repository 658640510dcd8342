//! The rules in the documentation of `power`.

use proptest::prelude::*;

use super::*;

const DATA: u64 = 2;
const FILE: u64 = 3;

/// A root with a directory `data` in it, both durable.
fn disk() -> Disk {
    let entries = [("", Entry::Directory(0o755)), ("data", Entry::Directory(0o700))];
    let image = Image(entries.into_iter().map(|(path, entry)| (path.into(), entry)).collect());
    Disk::new(image, &BTreeMap::from([("".into(), 1), ("data".into(), DATA)]))
}

fn after(records: impl IntoIterator<Item = Record>) -> Disk {
    let mut disk = disk();
    for record in records {
        disk.apply(record).unwrap();
    }
    disk
}

fn create(node: u64, name: &str) -> Record {
    Record::Create { node, parent: DATA, name: name.into(), mode: 0o100_600 }
}

fn write(node: u64, offset: u64, bytes: &[u8]) -> Record {
    Record::Write { node, offset, bytes: bytes.to_vec() }
}

fn sync(node: u64) -> [Record; 2] {
    [begin(node), end(node)]
}

fn begin(node: u64) -> Record {
    Record::SyncBegin { node, number: node, path: PathBuf::new() }
}

fn end(node: u64) -> Record {
    Record::SyncEnd { node, number: node }
}

fn rename(node: u64, from: &str, to: &str) -> Record {
    Record::Rename { node, parent: DATA, name: from.into(), new_parent: DATA, new_name: to.into() }
}

/// Bytes of the files in `data`.
fn files(image: &Image) -> Vec<(String, Vec<u8>)> {
    let file = |(path, entry): (&PathBuf, &Entry)| match entry {
        Entry::File(_, bytes) => Some((path.strip_prefix("data").unwrap().to_str().unwrap().to_owned(), bytes.clone())),
        Entry::Directory(_) => None,
    };
    image.0.iter().filter_map(file).collect()
}

fn strict(disk: &Disk) -> Vec<(String, Vec<u8>)> {
    files(&disk.after_power_cut(Tear::Strict, &mut Chance::new(1)))
}

fn file(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    (name.to_owned(), bytes.to_vec())
}

#[test]
fn a_file_that_is_flushed_with_its_name_survives() {
    let disk = after([create(FILE, "a"), write(FILE, 0, b"old")].into_iter().chain(sync(FILE)).chain(sync(DATA)));
    assert_eq!(strict(&disk), [file("a", b"old")]);
    let seeds = 0..50;
    assert!(seeds.map(|seed| disk.after_power_cut(Tear::Random, &mut Chance::new(seed))).all(|i| i == disk.written()));
}

#[test]
fn a_flushed_file_without_a_durable_name_is_lost() {
    assert_eq!(strict(&after([create(FILE, "a"), write(FILE, 0, b"bytes")].into_iter().chain(sync(FILE)))), []);
}

#[test]
fn a_durable_name_without_flushed_bytes_is_an_empty_file() {
    assert_eq!(
        strict(&after([create(FILE, "a"), write(FILE, 0, b"bytes")].into_iter().chain(sync(DATA)))),
        [file("a", b"")]
    );
}

#[test]
fn a_directory_whose_parent_is_not_flushed_is_lost_with_its_entries() {
    let make = Record::Create { node: 9, parent: DATA, name: "inner".into(), mode: 0o040_700 };
    let inside = Record::Create { node: FILE, parent: 9, name: "a".into(), mode: 0o100_600 };
    let mut disk = after([make, inside].into_iter().chain(sync(FILE)).chain(sync(9)));
    assert_eq!(strict(&disk), []);
    sync(DATA).into_iter().for_each(|record| disk.apply(record).unwrap());
    assert_eq!(strict(&disk), [file("inner/a", b"")]);
}

#[test]
fn a_write_during_a_flush_is_not_covered_by_it() {
    let records = [create(FILE, "a"), write(FILE, 0, b"early"), begin(FILE), write(FILE, 5, b"late"), end(FILE)];
    assert_eq!(strict(&after(records.into_iter().chain(sync(DATA)))), [file("a", b"early")]);
}

#[test]
fn an_unfinished_flush_covers_nothing() {
    let records = [create(FILE, "a"), write(FILE, 0, b"bytes")].into_iter().chain(sync(DATA)).chain([begin(FILE)]);
    assert_eq!(strict(&after(records)), [file("a", b"")]);
}

#[test]
fn a_rename_without_its_directory_keeps_the_old_name_and_the_file_that_it_replaced() {
    let made = [create(FILE, "new"), create(4, "old"), write(FILE, 0, b"new"), write(4, 0, b"old")];
    let made = made.into_iter().chain(sync(FILE)).chain(sync(4)).chain(sync(DATA));
    let mut disk = after(made.chain([rename(FILE, "new", "old")]));
    assert_eq!(strict(&disk), [file("new", b"new"), file("old", b"old")]);
    sync(DATA).into_iter().for_each(|record| disk.apply(record).unwrap());
    assert_eq!(strict(&disk), [file("old", b"new")]);
}

#[test]
fn a_removal_without_its_directory_leaves_the_file() {
    let made = [create(FILE, "a"), write(FILE, 0, b"bytes")].into_iter().chain(sync(FILE)).chain(sync(DATA));
    let mut disk = after(made.chain([Record::Unlink { parent: DATA, name: "a".into() }]));
    assert_eq!(strict(&disk), [file("a", b"bytes")]);
    sync(DATA).into_iter().for_each(|record| disk.apply(record).unwrap());
    assert_eq!(strict(&disk), []);
}

#[test]
fn a_file_that_reuses_an_inode_is_another_file() {
    let made = [create(FILE, "a"), write(FILE, 0, b"first")].into_iter().chain(sync(FILE)).chain(sync(DATA));
    let replaced = [Record::Unlink { parent: DATA, name: "a".into() }, create(FILE, "b"), write(FILE, 0, b"second")];
    let disk = after(made.chain(replaced).chain(sync(FILE)));
    assert_eq!(strict(&disk), [file("a", b"first")]);
    assert_eq!(files(&disk.written()), [file("b", b"second")]);
}

#[test]
fn an_unflushed_mode_change_is_lost() {
    let made = [create(FILE, "a")].into_iter().chain(sync(FILE)).chain(sync(DATA));
    let disk = after(made.chain([Record::Mode { node: FILE, mode: 0o100_644 }]));
    let mode = |image: Image| matches!(image.0.get(Path::new("data/a")), Some(Entry::File(0o600, _)));
    assert!(mode(disk.after_power_cut(Tear::Strict, &mut Chance::new(1))) && !mode(disk.written()));
}

#[test]
fn a_truncated_file_that_grows_again_has_zeros() {
    let records = [create(FILE, "a"), write(FILE, 0, &[7; 1000]), Record::Truncate { node: FILE, length: 10 }];
    let disk = after(records.into_iter().chain([write(FILE, 20, b"x")]));
    assert_eq!(files(&disk.written()), [file("a", &[&[7; 10][..], &[0; 10], b"x"].concat())]);
}

#[test]
fn a_change_of_an_unknown_file_is_an_error() {
    assert!(disk().apply(write(77, 0, b"x")).unwrap_err().contains("77"));
}

/// The contents of the file `a` in many images of `disk`.
fn outcomes(disk: &Disk) -> Vec<Option<Vec<u8>>> {
    let one = |seed| files(&disk.after_power_cut(Tear::Random, &mut Chance::new(seed))).pop().map(|(_, bytes)| bytes);
    (0..400).map(one).collect()
}

#[test]
fn an_unflushed_write_tears_only_at_sector_boundaries() {
    let made = [create(FILE, "a"), write(FILE, 0, &[1; 2048])].into_iter().chain(sync(FILE)).chain(sync(DATA));
    let disk = after(made.chain([write(FILE, 100, &[2; 1500])]));
    let mut torn = 0;
    for bytes in outcomes(&disk) {
        let bytes = bytes.unwrap();
        assert_eq!(bytes.len(), 2048);
        let new: Vec<bool> = [100..512, 512..1024, 1024..1536, 1536..1600]
            .map(|range: std::ops::Range<usize>| {
                assert!(bytes[range.clone()].iter().all(|byte| *byte == bytes[range.start]), "half a sector");
                bytes[range.start] == 2
            })
            .to_vec();
        assert!(bytes[..100].iter().chain(&bytes[1600..]).all(|byte| *byte == 1));
        torn += usize::from(new.contains(&true) && new.contains(&false));
    }
    assert!(torn > 20, "{torn}");
}

#[test]
fn names_survive_up_to_a_random_change() {
    let disk = after([create(FILE, "a"), rename(FILE, "a", "b"), rename(FILE, "b", "c")]);
    let names = |seed| files(&disk.after_power_cut(Tear::Random, &mut Chance::new(seed))).pop().map(|(name, _)| name);
    let found: std::collections::BTreeSet<_> = (0..100).map(names).collect();
    let expected = [None, Some("a"), Some("b"), Some("c")].map(|name| name.map(str::to_owned));
    assert_eq!(found, expected.into());
}

fn any_change() -> impl Strategy<Value = Record> {
    prop_oneof![
        3 => (0..3000_u64, 1..1500_usize, any::<u8>())
            .prop_map(|(offset, length, byte)| write(FILE, offset, &vec![byte; length])),
        1 => (0..3000_u64).prop_map(|length| Record::Truncate { node: FILE, length }),
    ]
}

/// Each state of a sector of 512 bytes since the last flush.
fn states(changes: &[Record], durable: usize, sector: usize) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut found = Vec::new();
    let mut note = |bytes: &Vec<u8>| {
        let mut padded = bytes.clone();
        padded.resize(8192, 0);
        found.push(padded[sector * 512..][..512].to_vec());
    };
    for (index, change) in changes.iter().enumerate() {
        if index >= durable {
            note(&bytes);
        }
        match change {
            Record::Write { offset, bytes: new, .. } => {
                let end = *offset as usize + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset as usize..end].copy_from_slice(new);
            }
            Record::Truncate { length, .. } => bytes.resize(*length as usize, 0),
            _ => unreachable!(),
        }
    }
    note(&bytes);
    found
}

proptest! {
    #[test]
    fn each_sector_has_a_state_since_the_last_flush(
        changes in proptest::collection::vec(any_change(), 1..8),
        durable in 0..8_usize,
        seed: u64,
    ) {
        let durable = durable.min(changes.len());
        let (early, late) = changes.split_at(durable);
        let records = [create(FILE, "a")].into_iter().chain(sync(DATA)).chain(early.to_vec()).chain(sync(FILE));
        let disk = after(records.chain(late.to_vec()));
        let written = files(&disk.written()).remove(0).1;
        for sector in 0..written.len() / 512 {
            let last = states(&changes, durable, sector).pop().unwrap();
            prop_assert_eq!(&written[sector * 512..][..512], &last[..]);
        }
        let torn = files(&disk.after_power_cut(Tear::Random, &mut Chance::new(seed))).remove(0).1;
        for sector in 0..torn.len() / 512 {
            let found = &torn[sector * 512..][..512];
            prop_assert!(states(&changes, durable, sector).iter().any(|state| state == found), "sector {}", sector);
        }
    }
}
