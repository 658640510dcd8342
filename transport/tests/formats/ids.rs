//! ids.json

use transport::wire::{FileId, TokenId};

use crate::vectors::{Vector, load};

/// Other clients search for an id anywhere in the text; here an id must be the whole text, 20 characters.
const STRICTER: [&str; 2] = ["xxTOKabcDEF123ghiJKL45yy", "FIL0OIl00000000000000"];

#[test]
fn ids_of_other_clients_are_accepted_if_they_are_the_whole_text() {
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
