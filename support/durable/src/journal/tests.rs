//! The journal on a simulated disk: whatever is cut, torn, reordered or failing, what was acknowledged is recovered, and
//! nothing is that was not sent.

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

/// Writes random groups until something fails or `operations` were done. Returns the number of the first commit that was not
/// acknowledged, and of the first that was not sent.
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

/// Several lives of a journal, each of which ends with a cut.
fn lives(seed: u64) {
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
        // In a third of all lives the process is killed, and the power goes on.
        disk.heal();
        if chance.below(3) > 0 {
            disk = disk.cut();
        }
        disk.set_capacity(usize::MAX);
        if chance.below(3) == 0 {
            // The power fails again during recovery.
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
    fn what_was_acknowledged_is_recovered_and_nothing_that_was_not_sent(seed in any::<u64>()) {
        lives(seed);
    }
}

#[test]
fn a_flipped_bit_before_the_end_is_refused_with_the_file_and_the_place() {
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

/// The time grew with the square of the length: eleven seconds for one megabyte, a quarter of an hour for these four.
#[test]
fn an_interrupted_write_of_what_looks_like_frames_is_removed_at_once() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    write(&journal, &[commit(0, 100)]).unwrap();
    // At every place: a length, and numbers of a frame that is about to come.
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
fn a_segment_that_was_not_completed_is_removed() {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
    write(&journal, &[commit(0, 10)]).unwrap();
    disk.create(&segment::file_name(2)).unwrap().write_at(&[0; 500], 0).unwrap();
    assert_eq!(reopen(&disk).unwrap().1, [0]);
    assert_eq!(disk.names().unwrap(), [segment::file_name(1)]);
}

#[test]
fn names_that_a_killed_process_left_are_durable_once_the_journal_is_open() {
    for step in 0..40 {
        let disk = SimulatedDisk::new(step, usize::MAX);
        let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
        for number in 0..15 {
            write(&journal, &[commit(number, 1_000_000)]).unwrap();
        }
        // Killed somewhere while the second segment is made.
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
fn what_a_failed_synchronisation_left_in_the_cache_is_written_once_more() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed, usize::MAX);
        let journal = Journal::create(Arc::new(disk.clone()), STORE).unwrap();
        write(&journal, &[commit(0, 3000)]).unwrap();
        disk.fail_in(1);
        assert!(matches!(write(&journal, &[commit(1, 3000)]), Err(WriteError::Failed(_))));
        // The process is started anew; the power stays on, and goes later.
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
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
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
fn a_disk_that_somebody_else_fills_refuses_also_where_zeros_were_written_ahead() {
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
