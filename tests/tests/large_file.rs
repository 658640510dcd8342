//! A file of any length goes from disk to disk in little memory: sender, backbone and receiver are processes of their own, and
//! the peak of each is read.
//!
//! `ENLACE_LARGE_BYTES` is the length of the file; 64 MiB if nothing is said. The receiver and the backbone need that much room
//! in the temporary directory, each.
#![allow(clippy::unwrap_used, reason = "a test")]

/// Memory that each process may have taken at most, in bytes; without the pages of the program itself.
#[cfg(target_os = "linux")]
const CEILING: u64 = 32 << 20;

#[cfg(not(target_os = "linux"))]
#[test]
fn each_process_takes_little_memory_for_a_large_file() {
    eprintln!("skipped: peaks of memory are read from /proc, which this system does not have");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_takes_little_memory_for_a_large_file() {
    use enlace_tests::{OAUTH_CLIENT, Process};

    let length: u64 =
        std::env::var("ENLACE_LARGE_BYTES").map_or(64 << 20, |text| text.parse().expect("a number of bytes"));
    // Reached only if a program hangs: a hundredth of what a debug build does.
    let longest = std::time::Duration::from_secs(60 + (length >> 20));
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    linux::sparse_file(&place("sent.bin"), length);

    let (listen, data) = (["--json", "--listen", "127.0.0.1:0"], place("backbone"));
    let backbone = ["backbone", "--data-dir", &data, "--client", OAUTH_CLIENT].into_iter().chain(listen);
    let backbone = Process::start(backbone).await.unwrap();
    let url = backbone.announcement["url"].as_str().unwrap();
    let client = ["--backbone", url, "--client", OAUTH_CLIENT];

    let (file, data) = (place("sent.bin"), place("sender"));
    let share = ["share", &file, "--format", "v2", "--data-dir", &data].into_iter().chain(listen).chain(client);
    let sender = Process::start_within(longest, share).await.unwrap();
    let reference = sender.announcement["token"]["reference"]["url"].as_str().unwrap();

    let (output, data, limit) = (place("received.bin"), place("receiver"), length.to_string());
    let receive = ["receive", reference, "--json", "--max-size", &limit, "--output", &output, "--data-dir", &data];
    let (saved, receiver) = Process::run_measured(longest, receive.into_iter().chain(client)).await;

    assert_eq!(saved["bytes"], length);
    linux::assert_same_content(&file, &output);
    let peaks = [("sender", sender.peak_memory()), ("backbone", backbone.peak_memory()), ("receiver", receiver)];
    for (who, peak) in peaks {
        eprintln!("{who}: at most {} MiB for a file of {} MiB", peak >> 20, length >> 20);
    }
    for (who, peak) in peaks {
        assert!(peak <= CEILING, "the {who} took {} MiB", peak >> 20);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::FileExt as _;

    /// Bytes that are compared at a time.
    const PIECE: usize = 1 << 20;
    /// Bytes between two places that hold something; an odd number, so that they lie anywhere in their chunks.
    const DISTANCE: usize = 5_000_011;

    /// A file of zeros that takes no room on the disk, with a number here and there and at its end.
    pub(super) fn sparse_file(path: &str, length: u64) {
        let file = File::create_new(path).unwrap();
        file.set_len(length).unwrap();
        for place in (0..length.saturating_sub(8)).step_by(DISTANCE).chain(length.checked_sub(8)) {
            file.write_all_at(&place.to_le_bytes(), place).unwrap();
        }
    }

    /// Compares two files piece by piece.
    pub(super) fn assert_same_content(one: &str, other: &str) {
        let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
        assert_eq!(one.metadata().unwrap().len(), other.metadata().unwrap().len());
        let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
        for place in 0u64.. {
            let [first, second] = &mut pieces;
            let count = fill(&mut one, first);
            assert_eq!(fill(&mut other, second), count);
            assert!(first[..count] == second[..count], "MiB {place} differs");
            if count < PIECE {
                break;
            }
        }
    }

    /// Reads until the piece is full or the file ends, and returns how many bytes that were.
    fn fill(file: &mut File, piece: &mut [u8]) -> usize {
        let mut count = 0;
        loop {
            match file.read(&mut piece[count..]).unwrap() {
                0 => return count,
                more => count += more,
            }
        }
    }
}
