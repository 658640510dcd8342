//! The journal on a simulated disk with power cuts, torn and reordered writes, and failures: recovery finds every acknowledged
//! commit, and no commit that was not submitted.

use proptest::prelude::*;

use super::recovery::find;
use super::*;
use crate::simulation::{Chance, SimulatedDisk};

const STORE: StoreId = [7; 16];

fn commit(number: u64, length: usize) -> Commit {
    let mut commit = Commit::new();
    commit.put(&number.to_be_bytes(), &vec![number as u8; length]).unwrap();
    commit
}

fn number_of(commit: &Commit) -> u64 {
    u64::from_be_bytes(commit.body()[commit.entries()[0].key.clone()].try_into().unwrap())
}

/// Opens the journal and returns the numbers of its commits.
fn reopen(disk: &SimulatedDisk) -> Result<(Journal, Vec<u64>)> {
    let found = find(Arc::new(disk.clone()), STORE)?.expect("there is a journal");
    let (mut numbers, from) = (Vec::new(), found.beginning());
    let journal = found.replay(from, |replayed| {
        numbers.push(number_of(&replayed.commit));
        Ok(())
    })?;
    Ok((journal, numbers))
}

fn write(journal: &Journal, commits: &[Commit]) -> std::result::Result<usize, WriteError> {
    let commits: Vec<_> = commits.iter().collect();
    let count = journal.reserve(&commits)?;
    journal.write(&commits[..count]).map_err(WriteError::Failed)?;
    Ok(count)
}

/// Writes random groups until an operation fails or `operations` have succeeded. Returns the number of the first commit that
/// was not acknowledged, and of the first that was not sent.
fn work(journal: &Journal, chance: &mut Chance, first: u64, operations: u64) -> (u64, u64) {
    let mut next = first;
    for _ in 0..operations {
        let group: Vec<Commit> = (0..=chance.below(4))
            .map(|index| {
                let length = if chance.below(20) == 0 { 600_000 } else { chance.below(2000) as usize };
                commit(next + index, length)
            })
            .collect();
        match write(journal, &group) {
            Ok(count) => next += count as u64,
            Err(WriteError::Full | WriteError::Refused(_)) => return (next, next),
            Err(WriteError::Failed(_)) => return (next, next + group.len() as u64),
        }
    }
    (next, next)
}

/// Several runs on one journal, each of which ends with a power cut or a kill.
fn crash_repeatedly(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut disk = SimulatedDisk::new(seed, 40 * 1024 * 1024);
    let mut journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    let mut next = 0;
    for _ in 0..6 {
        if chance.below(3) == 0 {
            disk.fail_in(chance.below(60) as u32);
        }
        if chance.below(4) == 0 {
            disk.set_capacity(chance.below(40 * 1024 * 1024) as usize);
        }
        let operations = chance.below(40);
        let (acknowledged, sent) = work(&journal, &mut chance, next, operations);
        // In a third of the runs, the process is killed and the power stays on.
        disk.heal();
        if chance.below(3) > 0 {
            disk = disk.cut();
        }
        disk.set_capacity(usize::MAX);
        if chance.below(3) == 0 {
            // Another power cut during recovery.
            disk.fail_in(chance.below(20) as u32);
            let _ = reopen(&disk);
            disk = disk.cut();
        }
        let (reopened, numbers) = reopen(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "seed {seed}: in order and without a gap");
        let recovered = numbers.len() as u64;
        assert!((acknowledged..=sent).contains(&recovered), "seed {seed}: {acknowledged} <= {recovered} <= {sent}");
        (journal, next) = (reopened, recovered);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn recovery_finds_every_acknowledged_commit_and_none_that_was_not_sent(seed in any::<u64>()) {
        crash_repeatedly(seed);
    }
}

#[test]
fn a_flipped_bit_before_the_end_is_reported_with_file_and_offset() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    for number in 0..3 {
        write(&journal, &[commit(number, 100)]).unwrap();
    }
    let name = segment::file_name(1);
    let second = (HEADER as usize + frame::size(commit(0, 100).size())) * 8;
    disk.flip(&name, second + 300);
    let refusal = reopen(&disk).unwrap_err();
    assert!(matches!(&refusal, Error::Damaged { offset, .. } if *offset == second as u64 / 8), "{refusal}");
    assert!(refusal.to_string().contains(&name) && refusal.to_string().contains("restore"), "{refusal}");
    disk.flip(&name, second + 300);
    assert_eq!(reopen(&disk).unwrap().1, [0, 1, 2], "nothing was changed");
}

/// Recovery time was quadratic in the length: 11 seconds for 1 MB, 15 minutes for these 4 MB.
#[test]
fn an_interrupted_write_full_of_fake_frame_heads_is_removed_quickly() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    write(&journal, &[commit(0, 100)]).unwrap();
    // At every offset: a plausible length and sequence numbers.
    let start = HEADER as usize + frame::size(commit(0, 100).size());
    let before = start + frame::HEAD + crate::commit::ENTRY_HEAD + 1;
    let mut value = vec![0; before.next_multiple_of(frame::ALIGNMENT) - before];
    (0..500_000).for_each(|_| value.extend_from_slice(&1_000_000_u64.to_le_bytes()));
    let mut hostile = Commit::new();
    hostile.put(b"k", &value).unwrap();
    write(&journal, &[hostile]).unwrap();
    disk.flip(&segment::file_name(1), (start + 4) * 8);
    assert_eq!(reopen(&disk).unwrap().1, [0]);
}

#[test]
fn a_flipped_bit_in_a_header_is_refused() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    disk.flip(&segment::file_name(1), 100);
    assert!(matches!(reopen(&disk), Err(Error::Damaged { .. })));
}

#[test]
fn files_of_another_store_are_refused() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    Journal::create(Arc::new(disk.clone()), [8; 16]).unwrap();
    let refusal = reopen(&disk).unwrap_err().to_string();
    assert!(refusal.contains("another store"), "{refusal}");
}

#[test]
fn a_flipped_bit_in_the_header_of_the_last_segment_is_refused_and_nothing_is_removed() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    for number in 0..20 {
        write(&journal, &[commit(number, 1_000_000)]).unwrap();
    }
    let last = segment::file_name(2);
    disk.flip(&last, 100);
    assert!(matches!(reopen(&disk), Err(Error::Damaged { .. })));
    disk.flip(&last, 100);
    assert_eq!(reopen(&disk).unwrap().1.len(), 20);
}

#[test]
fn an_incomplete_segment_is_removed() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    write(&journal, &[commit(0, 10)]).unwrap();
    disk.create(&segment::file_name(2)).unwrap().write_at(&[0; 500], 0).unwrap();
    assert_eq!(reopen(&disk).unwrap().1, [0]);
    assert_eq!(disk.names().unwrap(), [segment::file_name(1)]);
}

#[test]
fn opening_makes_file_names_left_by_a_killed_process_durable() {
    for step in 0..40 {
        let disk = SimulatedDisk::new(step, usize::MAX);
        let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
        for number in 0..15 {
            write(&journal, &[commit(number, 1_000_000)]).unwrap();
        }
        // Killed at any step of the creation of the second segment.
        disk.fail_in(step as u32 % 8);
        let _ = write(&journal, &[commit(15, 2_000_000)]);
        disk.heal();
        let (journal, numbers) = reopen(&disk).unwrap();
        let next = numbers.len() as u64;
        write(&journal, &[commit(next, 10)]).unwrap();
        let recovered = reopen(&disk.cut()).unwrap().1.len() as u64;
        assert_eq!(recovered, next + 1, "step {step}");
    }
}

#[test]
fn opening_rewrites_what_a_failed_flush_left_in_the_cache() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed, usize::MAX);
        let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
        write(&journal, &[commit(0, 3000)]).unwrap();
        disk.fail_in(1);
        assert!(matches!(write(&journal, &[commit(1, 3000)]), Err(WriteError::Failed(_))));
        // The process restarts with the power on; the power cut comes later.
        let (journal, numbers) = reopen(&disk).unwrap();
        let next = numbers.len() as u64;
        write(&journal, &[commit(next, 3000)]).unwrap();
        assert_eq!(reopen(&disk.cut()).unwrap().1.len() as u64, next + 1, "seed {seed}");
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    for number in 0..40 {
        write(&journal, &[commit(number, 1_000_000)]).unwrap();
    }
    let names = disk.names().unwrap();
    assert_eq!(names.len(), 3, "16 MiB each");
    assert_eq!(reopen(&disk).unwrap().1.len(), 40);
    disk.remove(&segment::file_name(2)).unwrap();
    let refusal = reopen(&disk).unwrap_err().to_string();
    assert!(refusal.contains(&segment::file_name(2)) && refusal.contains("missing"), "{refusal}");
}

#[test]
fn a_full_disk_refuses_commits_until_there_is_space() {
    let disk = SimulatedDisk::new(1, 4 * 1024 * 1024);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    let mut count = 0;
    while write(&journal, &[commit(count, 10_000)]).is_ok() {
        count += 1;
    }
    assert!(matches!(write(&journal, &[commit(count, 10_000)]), Err(WriteError::Full)));
    assert!(disk.free_bytes().unwrap() >= RESERVED_BYTES, "the index still has room");
    disk.set_capacity(8 * 1024 * 1024);
    write(&journal, &[commit(count, 10_000)]).unwrap();
    assert_eq!(reopen(&disk.cut()).unwrap().1.len() as u64, count + 1);
}

#[test]
fn a_disk_filled_by_others_refuses_commits_despite_preallocation() {
    let disk = SimulatedDisk::new(1, 64 * 1024 * 1024);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    write(&journal, &[commit(0, 10)]).unwrap();
    disk.set_capacity(0);
    assert!(matches!(write(&journal, &[commit(1, 10)]), Err(WriteError::Full)));
    disk.set_capacity(64 * 1024 * 1024);
    write(&journal, &[commit(1, 10)]).unwrap();
}

#[test]
fn commits_of_the_largest_size_fit() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    write(&journal, &[commit(0, 10)]).unwrap();
    let largest = crate::MAX_COMMIT_BYTES - crate::commit::ENTRY_HEAD - 8;
    write(&journal, &[commit(1, largest)]).unwrap();
    write(&journal, &[commit(2, 10)]).unwrap();
    assert_eq!(reopen(&disk.cut()).unwrap().1, [0, 1, 2]);
}
