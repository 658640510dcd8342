//! Changes of other devices: logs as a backbone may serve them, and payloads as any holder of the key may seal them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::crypto::{CryptoObject as _, KdfContext, SecretKey};
use transport::datawallet::{Changes, Tombstone, open_payload, seal_payload};
use transport::wire::backbone::datawallet::Modification;

fuzz_target!(|data: (u64, &str, &str)| {
    let (index, payload, log) = data;
    let key = SecretKey::from_bytes([7; 32]);
    let index = index % (1 << 31);
    let sealed = key.derive(&KdfContext::DataSync, index).expect("in range").encrypt(payload.as_bytes()).to_byte_text();
    if let Ok(properties) = open_payload(&key, index, &sealed) {
        let again = seal_payload(&key, index, &properties).expect("in range");
        assert_eq!(open_payload(&key, index, &again).ok(), Some(properties));
    }
    let Ok(mut log) = serde_json::from_str::<Vec<Modification>>(log) else { return };
    for modification in &mut log {
        modification.index %= 1 << 31;
        let place = key.derive(&KdfContext::DataSync, modification.index).expect("in range");
        modification.encrypted_payload = Some(place.encrypt(payload.as_bytes()).to_byte_text());
    }
    if let Ok(changes) = Changes::read(&log, None, &key) {
        for change in changes.objects {
            let _ = change.apply(None, &Tombstone::default());
        }
    }
});
