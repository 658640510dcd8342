//! hash.json

use transport::crypto::hash::{Sha512Hash, Sha512Stream, sha256, sha512};

use crate::vectors::{Vector, load};

#[test]
fn hashes_are_those_of_other_clients() {
    for case in load("hash").list("cases") {
        let input = case.hex("inputHex");
        assert_eq!(sha256(&input), case.hex_array("sha256Hex"));
        assert_eq!(sha512(&input), case.hex_array("sha512Hex"));
        assert_eq!(Sha512Hash::of(&input).to_string(), case.text("sha512Base64Url"));
        assert_eq!(case.text("sha512Base64Url").parse(), Ok(Sha512Hash::of(&input)));
        let mut stream = Sha512Stream::new();
        input.chunks(7).for_each(|piece| stream.update(piece));
        assert_eq!(stream.finish(), sha512(&input));
    }
}
