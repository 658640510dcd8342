//! Addresses: an accepted text is the address, and its parts make it up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::identity::check_address;
use transport::wire::Address;

fuzz_target!(|text: &str| {
    let Ok(address) = text.parse::<Address>() else { return };
    assert_eq!(address.as_str(), text);
    assert_eq!(format!("did:e:{}:dids:{}{}", address.host(), address.key_digits(), address.checksum_digits()), text);
    let _ = check_address(&address);
});
