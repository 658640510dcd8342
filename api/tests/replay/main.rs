//! Replays recorded requests of the published connectors and compares the answers.
//!
//! Status and error code are equal everywhere, bodies after masking as well, except where [`deviations`] lists a
//! deliberate improvement with its reason. Areas that do not exist here yet are skipped and counted.
#![allow(clippy::unwrap_used, reason = "tests")]

mod compare;
mod deviations;
mod mask;
mod recording;
mod request;
mod sources;
mod world;

use api::Dialect;

use crate::compare::compare;
use crate::recording::Recording;
use crate::world::World;

/// First words of the names of entries whose areas come later.
const LATER: [&str; 12] = [
    "announcements",
    "deletion",
    "flow",
    "load template",
    "message",
    "messages",
    "notification",
    "relationship",
    "relationships",
    "role present on Relationships",
    "template",
    "file reference template",
];

#[tokio::test(flavor = "multi_thread")]
async fn generation_6_answers_are_the_same() {
    replay(include_str!("../recorded/connector-v6.json"), Dialect::V2, 685).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generation_7_answers_are_the_same() {
    replay(include_str!("../recorded/connector-v7.json"), Dialect::CoreV1, 691).await;
}

/// `expected` is how many entries are of areas that exist here: one that is skipped by mistake is a failure.
async fn replay(text: &str, dialect: Dialect, expected: usize) {
    let recording: Recording = serde_json::from_str(text).unwrap();
    let mut world = World::start(dialect).await;
    let (mut replayed, mut skipped, mut failures) = (0, 0, Vec::new());
    for entry in &recording.entries {
        if LATER.iter().any(|area| entry.name.starts_with(area)) {
            skipped += 1;
            continue;
        }
        world.prepare(&entry.name).await;
        let answer = world.send(entry).await;
        if let Err(difference) = compare(&world, entry, &answer) {
            failures.push(format!("{}: {difference}", entry.name));
        }
        world.remember(&entry.name, &answer);
        replayed += 1;
    }
    println!("{dialect:?}: {replayed} replayed, {skipped} of later areas skipped, {} differ", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(replayed, expected, "of {} recorded entries", recording.entries.len());
    deviations::assert_all_used(dialect, &recording);
    world.stop().await;
}
