//! ids.json

use transport::wire::{FileId, TokenId};

use crate::vectors::{Vector, load};

/// The clients' helper looks for an id anywhere in the text; an id here is the whole text, 20 characters.
const STRICTER: [&str; 2] = ["xxTOKabcDEF123ghiJKL45yy", "FIL0OIl00000000000000"];

#[test]
fn ids_that_others_accept_are_accepted_if_they_are_nothing_but_an_id() {
    for case in load("ids").list("validate") {
        let id = case.text("id");
        let accepted = match case.text("prefix") {
            "TOK" => id.parse::<TokenId>().is_ok(),
            "FIL" => id.parse::<FileId>().is_ok(),
            other => panic!("{other}"),
        };
        assert_eq!(accepted, case.flag("helperAccepts") && !STRICTER.contains(&id), "{case}");
    }
}
