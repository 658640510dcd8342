//! Recovery of a journal: any files are read or refused, and what was read once is read again, also after a loss of power.
//!
//! Most inputs describe a journal and what happened to its files. Checksums can be made right again afterwards; otherwise
//! nothing but checksums would ever be tested. The rest of the inputs are files as they are.
#![no_main]

use durable::Commit;
use durable::simulation::{SimulatedDisk, journal_of, recover};
use libfuzzer_sys::fuzz_target;

const STORE: [u8; 16] = [7; 16];
const SALT: u32 = 9;
/// Bytes of the header of a segment, and of the head of a frame.
const HEADER: usize = 64;
const HEAD: usize = 24;
/// Zeros after the last frame: enough to be an end, and few enough to be fast.
const ZEROS: usize = 4096;
/// A file never gets longer.
const MAX_FILE_BYTES: usize = 1024 * 1024;

type Files = Vec<(String, Vec<u8>)>;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    if input.byte() % 4 == 0 {
        check(arbitrary(&mut input), None);
    } else {
        let (mut files, count) = journal(&mut input);
        let is_altered = alter(&mut files, &mut input);
        check(files, (!is_altered).then_some(count));
    }
});

/// Recovers twice and after a loss of power. `expected` is known of files that nothing happened to.
fn check(files: Files, expected: Option<u64>) {
    let disk = SimulatedDisk::with_files(files);
    let first = recover(&disk, STORE);
    if let Some(expected) = expected {
        assert_eq!(first.as_ref().ok(), Some(&Some(expected)), "{first:?}");
    }
    if let Ok(count) = first {
        assert_eq!(recover(&disk, STORE).ok(), Some(count), "again");
        assert_eq!(recover(&disk.cut(), STORE).ok(), Some(count), "after a loss of power");
    }
}

/// Numbers out of the bytes of the fuzzer; zeros after their end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u32 {
        self.take(4).iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

fn name(number: u32) -> String {
    format!("{number:010}.journal")
}

/// Files with any content, of which some begin with a right header.
fn arbitrary(input: &mut Input<'_>) -> Files {
    let mut files = Files::new();
    while !input.is_empty() && files.len() < 5 {
        let (kind, number) = (input.byte(), u32::from(input.byte() % 8));
        let length = input.number() as usize % 4096;
        let mut content = input.take(length).to_vec();
        if kind % 4 > 0 {
            content.resize(content.len().max(HEADER + usize::from(input.byte())), 0);
            content[..HEADER - 4].copy_from_slice(&header(number, input.number() % 8192, u64::from(input.byte())));
            seal_header(&mut content);
        }
        files.retain(|(other, _)| *other != name(number));
        files.push((name(number), content));
    }
    files
}

/// The files of a journal, with a known salt, in up to five segments; and how many commits are in it.
fn journal(input: &mut Input<'_>) -> (Files, u64) {
    let mut commits = Vec::new();
    for _ in 0..input.byte() % 12 {
        let mut commit = Commit::new();
        for _ in 0..=input.byte() % 3 {
            let (kind, length) = (input.byte(), usize::from(input.byte()) * usize::from(input.byte() % 8));
            let key = [kind, length as u8];
            let change = if kind % 4 == 0 { commit.remove(&key) } else { commit.put(&key, &vec![kind; length]) };
            change.expect("it is within bounds");
        }
        commits.push(commit);
    }
    let mut files = journal_of(&commits, STORE).expect("commits within bounds");
    let [(_, first)] = files.as_mut_slice() else { panic!("one segment") };
    first[12..16].copy_from_slice(&SALT.to_le_bytes());
    seal_header(first);
    let end = seal_frames(first);
    first.truncate(end + ZEROS);
    for _ in 0..input.byte() % 5 {
        split(&mut files, input.byte());
    }
    (files, commits.len() as u64)
}

/// Moves the frames from the `index`th of the last segment on to one of their own, if there are as many.
fn split(files: &mut Files, index: u8) {
    let number = files.len() as u32;
    let (_, last) = files.last_mut().expect("there is a segment");
    let (mut place, mut sequence) = (HEADER, u64_at(last, 40));
    for _ in 0..index % 8 {
        let Some(size) = frame_size(last, place) else { return };
        (place, sequence) = (place + size, sequence + 1);
    }
    let mut next = header(number + 1, place as u32, sequence);
    next.resize(HEADER, 0);
    next.extend_from_slice(&last[place..]);
    last[place..].fill(0);
    seal_header(&mut next);
    files.push((name(number + 1), next));
}

/// What can happen to files. Returns whether something did.
fn alter(files: &mut Files, input: &mut Input<'_>) -> bool {
    let mut is_altered = false;
    while !input.is_empty() && !files.is_empty() {
        is_altered = true;
        let (kind, index) = (input.byte() % 10, usize::from(input.byte()) % files.len());
        let content = &mut files[index].1;
        let place = input.number() as usize % (content.len() + 1);
        match kind {
            0 => {
                let patch = input.byte();
                let patch = input.take(usize::from(patch % 32));
                let end = (place + patch.len()).min(content.len());
                content[place..end].copy_from_slice(&patch[..end - place]);
            }
            1 => content.truncate(place),
            2 => content.resize((content.len() + place).min(MAX_FILE_BYTES), input.byte()),
            3 => drop(files.remove(index)),
            4 => {
                let copy = (name(input.number() % 8), content.clone());
                files.retain(|(other, _)| *other != copy.0);
                files.push(copy);
            }
            5 => seal_header(content),
            6 => seal_frame(content, place / 8 * 8),
            7 => {
                seal_header(content);
                seal_frames(content);
            }
            8 => {
                let end = (place / 512 * 512 + 512).min(content.len());
                content[place / 512 * 512..end].fill(0);
            }
            _ => {
                let bytes: Vec<u8> = content.iter().copied().skip(place).take(usize::from(input.byte()) * 8).collect();
                let to = input.number() as usize % (content.len() + 1) / 8 * 8;
                let end = (to + bytes.len()).min(content.len());
                content[to..end].copy_from_slice(&bytes[..end - to]);
            }
        }
    }
    is_altered
}

/// A header up to its checksum.
fn header(number: u32, previous_end: u32, first_sequence: u64) -> Vec<u8> {
    let mut bytes = b"enlacejl".to_vec();
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&SALT.to_le_bytes());
    bytes.extend_from_slice(&STORE);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&previous_end.to_le_bytes());
    bytes.extend_from_slice(&first_sequence.to_le_bytes());
    bytes.resize(HEADER - 4, 0);
    bytes
}

fn seal_header(content: &mut [u8]) {
    if let Some(header) = content.first_chunk_mut::<HEADER>() {
        let checksum = crc32c::crc32c(&header[..HEADER - 4]);
        header[HEADER - 4..].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Makes the checksums of all frames right. Returns where they end.
fn seal_frames(content: &mut [u8]) -> usize {
    let mut place = HEADER;
    while let Some(size) = frame_size(content, place) {
        seal_frame(content, place);
        place += size;
    }
    place
}

fn seal_frame(content: &mut [u8], place: usize) {
    if frame_size(content, place).is_some() {
        let (salt, length) = (u32_at(content, 12), u32_at(content, place));
        let seeded = crc32c::crc32c_append(salt, &length.to_le_bytes());
        let checksum = crc32c::crc32c_append(seeded, &content[place + 8..place + HEAD + length as usize]);
        content[place + 4..place + 8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Bytes of the frame at a place, if there can be one.
fn frame_size(content: &[u8], place: usize) -> Option<usize> {
    let room = content.len().checked_sub(place).filter(|room| *room >= HEAD)?;
    let length = u32_at(content, place) as usize;
    let size = (HEAD + length).next_multiple_of(8);
    (length > 0 && size <= room).then_some(size)
}

fn u32_at(content: &[u8], place: usize) -> u32 {
    u32::from_le_bytes(content[place..place + 4].try_into().expect("four bytes"))
}

fn u64_at(content: &[u8], place: usize) -> u64 {
    u64::from_le_bytes(content[place..place + 8].try_into().expect("eight bytes"))
}
