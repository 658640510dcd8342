//! When it is told that a content was sent: once somebody was sent all of it.

use std::ops::Range;

use transport::content::{HEADER_LENGTH, Layout};
use transport::wire::{Address, ClaimId};

use super::*;
use crate::event::EventReceiver;

/// Two chunks and a part of one.
const SIZE: u64 = 2_500_000;

/// What was told of a content that was sent.
type Served = (FileId, Option<TokenId>, Option<Address>, u64);

impl World {
    /// A file of [`SIZE`] bytes, and a token that shares it.
    async fn large(&self) -> (File, Token) {
        let file = self.upload(plain(SIZE as usize), ContentFormat::V2).await;
        let token = self.share(&file, CreateTokenForFile::default()).await;
        (file, token)
    }

    /// One request for these bytes of a blob or body, piece by piece.
    async fn send(&self, target: &FileTarget, channel: &Channel, claim: Option<&ClaimId>, bytes: Range<u64>) {
        let caller = Caller::new(channel, None, self.clock.now()).under(claim);
        let mut held = self.holder.content(target, caller).await.unwrap();
        let mut position = bytes.start;
        while position < bytes.end {
            let end = bytes.end.min(position + PIECE_LENGTH);
            held.content.read(position..end).await.unwrap();
            held.content.was_sent(end - position);
            position = end;
        }
    }
}

fn served(events: &mut EventReceiver) -> Vec<Served> {
    let event = || match events.try_recv().ok()? {
        Event::FileServed { file, token, by, bytes } => Some((file, token, by, bytes)),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(event).collect()
}

fn claim(number: usize) -> ClaimId {
    format!("CLM{number:017}").parse().unwrap()
}

/// What a receiver asks for: the top of the tree, the chunks from the start to a break, and the rest.
fn requests() -> [Range<u64>; 3] {
    let layout = Layout::of(SIZE).unwrap();
    let broken = HEADER_LENGTH as u64 + 3 * PIECE_LENGTH + 17;
    [layout.top(), 0..broken, layout.sealed_chunk(0).unwrap().start..layout.tree().start]
}

#[tokio::test]
async fn a_content_is_told_when_the_last_of_its_chunks_was_sent_and_by_its_size() {
    World::run(async |world| {
        let (file, token) = world.large().await;
        let account = memory::new_account(world.clock.now());
        let channel = channel_to(Some(&account), world.clock.now());
        let target = FileTarget::Token(token.id.clone());
        let mut events = world.node.core.events.subscribe();
        let [tree, begun, rest] = requests();
        for claim in [None, Some(&claim(1))] {
            for bytes in [tree.clone(), begun.clone(), rest.start..rest.end - 1] {
                world.send(&target, &channel, claim, bytes).await;
                assert_eq!(served(&mut events), []);
            }
            world.send(&target, &channel, claim, rest.clone()).await;
            let told = (file.id.clone(), Some(token.id.clone()), Some(account.identity.address.clone()), SIZE);
            assert_eq!(served(&mut events), [told]);
        }
        // The same use once, and an identity that names none each time.
        world.send(&target, &channel, Some(&claim(1)), 0..rest.end).await;
        assert_eq!(served(&mut events), []);
        world.send(&target, &channel, None, 0..rest.end).await;
        assert_eq!(served(&mut events).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_others_were_sent_does_not_count_nor_what_was_read_and_not_sent() {
    World::run(async |world| {
        let (file, token) = world.large().await;
        let strangers = [(); 2].map(|()| channel_to(None, world.clock.now()));
        let target = FileTarget::Token(token.id.clone());
        let mut events = world.node.core.events.subscribe();
        let [_, begun, rest] = requests();
        let end = rest.end;
        world.send(&target, &strangers[0], None, begun.clone()).await;
        world.send(&target, &strangers[1], None, begun.end..end).await;
        world.send(&target, &strangers[0], Some(&claim(1)), begun.end..end).await;
        // The connection broke while the last piece was written.
        let mut held = world.content(target.clone(), &strangers[0]).await.unwrap();
        held.content.read(end - 10..end).await.unwrap();
        drop(held);
        world.send(&target, &strangers[0], None, begun.end..end - 10).await;
        assert_eq!(served(&mut events), []);
        world.send(&target, &strangers[0], None, end - 10..end).await;
        assert_eq!(served(&mut events), [(file.id, Some(token.id), None, SIZE)]);
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_of_a_piece_counts_when_the_connection_breaks_in_it() {
    World::run(async |world| {
        let (file, token) = world.large().await;
        let stranger = channel_to(None, world.clock.now());
        let target = FileTarget::Token(token.id.clone());
        let mut events = world.node.core.events.subscribe();
        let end = requests()[2].end;
        let mut held = world.content(target.clone(), &stranger).await.unwrap();
        held.content.read(0..PIECE_LENGTH).await.unwrap();
        held.content.was_sent(PIECE_LENGTH / 2);
        drop(held);
        // It goes on at the byte where it was cut, and nothing of what it has is asked for again.
        world.send(&target, &stranger, None, PIECE_LENGTH / 2 + 1..end).await;
        assert_eq!(served(&mut events), [], "a byte is missing");
        world.send(&target, &stranger, None, PIECE_LENGTH / 2..PIECE_LENGTH).await;
        assert_eq!(served(&mut events), [(file.id, Some(token.id), None, SIZE)]);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_sent_as_a_whole_is_told_by_the_size_of_its_file() {
    World::run(async |world| {
        let file = world.upload(vec![1; 100], ContentFormat::V1).await;
        let token = world.share(&file, CreateTokenForFile::default()).await;
        let target = FileTarget::Token(token.id.clone());
        let stranger = channel_to(None, world.clock.now());
        let length = world.content(target.clone(), &stranger).await.unwrap().length;
        let mut events = world.node.core.events.subscribe();
        world.send(&target, &stranger, None, 0..length).await;
        assert_eq!(served(&mut events), [(file.id, Some(token.id), None, 100)]);
    })
    .await;
}
