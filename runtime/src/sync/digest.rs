//! What identifies a modification of the datawallet by its content.

use transport::crypto::hash::Sha512Hash;
use transport::wire::ByteText;
use transport::wire::backbone::datawallet::{Modification, ModificationType, NewModification};

/// Digest of a modification: of its label and its payload, which the device that pushes it has as well as those that pull it.
fn digest(
    kind: ModificationType,
    collection: &str,
    object: &str,
    category: Option<&str>,
    payload: Option<&ByteText>,
) -> Sha512Hash {
    let text = serde_json::to_vec(&(kind, collection, object, category, payload));
    Sha512Hash::of(&text.expect("texts can be written as JSON"))
}

/// [`digest`] of a modification in the log.
pub(super) fn digest_of(entry: &Modification) -> Sha512Hash {
    let (category, payload) = (entry.payload_category.as_deref(), entry.encrypted_payload.as_ref());
    digest(entry.kind, &entry.collection, &entry.object_identifier, category, payload)
}

/// [`digest`] of a modification as it was sent.
pub(super) fn digest_of_sent(sent: &NewModification) -> Sha512Hash {
    let (category, payload) = (sent.payload_category.as_deref(), sent.encrypted_payload.as_ref());
    digest(sent.kind, &sent.collection, &sent.object_identifier, category, payload)
}
