//! The contract of [`contract`](super::contract) as tests, which run against every implementation. A further one needs a
//! [`Storage`] and a line at the end of this file.

mod blobs;
mod records;
mod typed;

use std::time::Duration;

use super::contract::Backend;
use super::embedded;
use super::memory::Memory;

/// Time after which a test counts as hanging.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The storage of a test, which can be opened several times.
trait Storage {
    /// Storage in which nothing was kept yet.
    fn new() -> Self;

    /// Opens what is kept there. What was opened before is closed, or dropped, by then.
    async fn open(&self) -> Backend;
}

impl Storage for Memory {
    fn new() -> Self {
        Self::default()
    }

    async fn open(&self) -> Backend {
        Self::open(self)
    }
}

/// A data directory.
struct Directory(tempfile::TempDir);

impl Storage for Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Backend {
        embedded::open(self.0.path()).await.unwrap()
    }
}

macro_rules! conforms {
    ($implementation:ident is $storage:ty: $($of:ident { $($claim:ident)* })*) => {
        mod $implementation {
            use super::*;

            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                let storage = <$storage>::new();
                let outcome = tokio::time::timeout(TIMEOUT, super::$of::$claim(&storage)).await;
                outcome.expect("nothing waits for ever");
            })*)*
        }
    };
}

macro_rules! implementations {
    ($($implementation:ident = $storage:ty)*) => {
        $(conforms! { $implementation is $storage:
            records {
                refused_commits_change_nothing_notify_nobody_and_give_their_claims_back
                what_was_committed_is_there_after_opening_again
                scans_are_ordered_and_bounded
                a_name_is_locked_by_one_session_at_a_time
                names_of_different_spaces_have_nothing_to_do_with_each_other
                locks_in_any_order_do_not_wait_for_each_other_for_ever
                a_session_that_is_dropped_changes_nothing_and_frees_its_locks
                a_cancelled_waiter_does_not_block_others
                sessions_that_hold_locks_can_read
                updates_are_exact_without_a_lock
                nothing_is_lost_of_what_releases_its_lock_early
                commits_that_nobody_waits_for_are_decided_when_their_locks_are_free
                a_commit_that_was_never_polled_has_no_effect
                long_keys_of_any_bytes_are_kept
                a_commit_of_the_largest_size_is_taken
                closed_records_refuse_commits
                every_receiver_gets_a_notification_once_after_the_commit_is_visible
                notifications_of_commits_that_nobody_waits_for_are_sent
                the_key_of_the_server_stays
            }
            blobs {
                blobs_of_every_length_around_a_piece_are_read_as_they_were_written
                parts_of_blobs_are_read_from_anywhere
                blobs_that_are_not_published_leave_nothing
                published_blobs_are_claimed_until_their_commit_is_decided
                a_reader_reads_on_although_the_blob_is_deleted
                deleting_what_is_not_there_does_nothing
                every_unclaimed_blob_is_listed_once
                blobs_of_records_are_there_after_opening_again
                what_is_appended_is_readable_and_hashed_after_each_synchronisation
                what_is_appended_is_there_after_opening_again_and_what_is_behind_it_is_cut_off
                one_at_a_time_appends_to_a_blob
                a_blob_that_has_fewer_bytes_than_were_acknowledged_is_an_error
                whoever_appends_can_take_back_what_is_behind_a_synchronised_byte
                appending_to_a_blob_that_is_deleted_does_not_bring_it_back
            }
            typed {
                a_transaction_that_is_dropped_changes_nothing
                a_transaction_reads_what_it_wrote
                scans_keep_to_their_prefix
                a_walk_shows_everything_once_and_can_be_broken_off
                increments_under_a_lock_are_not_lost
                contents_of_any_size_come_back_and_leave_nothing_when_released
                a_blob_that_no_record_names_is_swept_but_not_while_it_is_claimed
                a_quota_is_kept_by_those_who_store_at_the_same_time
            }
        })*
    };
}

implementations! {
    in_a_directory = Directory
    in_memory = Memory
}
