//! serialization.json

use transport::wire::{Timestamp, json};

use crate::vectors::{Vector, load};

/// Rust strings cannot hold a lone surrogate: it becomes U+FFFD.
const DIFFERENT: &str = "lone surrogate";

#[test]
fn untyped_texts_are_written_as_by_other_clients() {
    let mut count = 0;
    for case in load("serialization").list("cases") {
        let Some(input) = case.optional_text("input") else { continue };
        count += 1;
        let text = json::to_text(&json::from_text(input).unwrap());
        if case.text("case") == DIFFERENT {
            assert_eq!(text, case.text("serialized").replace("\\ud800", "\u{fffd}"));
        } else {
            assert_eq!(text, case.text("serialized"), "{}", case.text("case"));
        }
    }
    assert!(count >= 8);
}

#[test]
fn dates_are_read_and_written_as_by_other_clients() {
    for case in load("serialization").list("dates") {
        let date: Timestamp = case.text("input").parse().unwrap();
        assert_eq!(date.to_string(), case.text("output"));
    }
}
