//! relationship.json: keys, ciphers and signatures of a relationship; its messages' own formats are not part of this
//! crate yet.

use serde_json::Value;
use transport::crypto::{
    BaseNonce, Cipher, CryptoObject, ExchangeKeypair, Form, KdfContext, SecretKey, Signature, SignatureHash,
    SignatureKeypair,
};
use transport::wire::bytes::from_base64url;

use crate::vectors::{Vector, load};

fn exchange(vectors: &Value, name: &str) -> ExchangeKeypair {
    let pair = ExchangeKeypair::from_private_bytes(vectors["inputs"][name].hex_array("privateKeyHex"));
    assert_eq!(pair.public_key().as_raw(), &vectors["inputs"][name].hex_array("publicKeyHex"));
    pair
}

fn signature_key(vectors: &Value, name: &str) -> SignatureKeypair {
    SignatureKeypair::from_seed(&vectors["inputs"][name].hex_array("seedHex"))
}

#[test]
fn both_sides_derive_the_keys_of_a_relationship() {
    let vectors = load("relationship");
    let template = exchange(&vectors, "templateKeypair");
    let ephemeral = exchange(&vectors, "requestorEphemeralKeypair");
    let of_requestor = ephemeral.agree_as_requestor(&template.public_key()).unwrap().transmission;
    let of_templator = template.agree_as_templator(&ephemeral.public_key()).unwrap().receiving;
    for key in [of_requestor, of_templator] {
        let request = key.derive(&KdfContext::RelationshipRequest, 1).unwrap();
        assert_eq!(request.expose(), &vectors.hex_array("requestSecretKeyHex"));
    }

    let (templator, requestor) =
        (exchange(&vectors, "templatorExchangeKeypair"), exchange(&vectors, "requestorExchangeKeypair"));
    let a = templator.agree_as_templator(&requestor.public_key()).unwrap();
    let b = requestor.agree_as_requestor(&templator.public_key()).unwrap();
    assert_eq!(a.receiving.expose(), &vectors["derived"]["kxA"].hex_array("rxHex"));
    assert_eq!(a.transmission.expose(), &vectors["derived"]["kxA"].hex_array("txHex"));
    for (key, context, name) in [
        (&a.transmission, KdfContext::TemplatorToRequestor, "templatorToRequestorKeyHex"),
        (&b.receiving, KdfContext::TemplatorToRequestor, "templatorToRequestorKeyHex"),
        (&a.receiving, KdfContext::RequestorToTemplator, "requestorToTemplatorKeyHex"),
        (&b.transmission, KdfContext::RequestorToTemplator, "requestorToTemplatorKeyHex"),
    ] {
        assert_eq!(key.derive(&context, 1).unwrap().expose(), &vectors["derived"].hex_array(name));
    }
}

#[test]
fn templates_and_requests_are_sealed_and_signed_as_by_other_clients() {
    let vectors = load("relationship");
    let template = &vectors["template"];
    let key = SecretKey::from_bytes(template.hex_array("keyHex"));
    let sealed = key.encrypt_with_nonce(template.text("signedText").as_bytes(), template.hex_array("nonceHex"));
    assert_eq!(sealed.to_base64(), template.text("contentField"));

    let creation = &vectors["creation"];
    let text = creation.text("contentWrapperText").as_bytes();
    for (key, name, hash) in [
        ("deviceKeyB", "deviceSignatureHex", SignatureHash::Sha512),
        ("requestorSignatureKey", "relationshipSignatureHex", SignatureHash::Sha256),
    ] {
        assert_eq!(signature_key(&vectors, key).sign(text, hash).as_raw(), &creation.hex_array(name));
    }
    let key = SecretKey::from_bytes(vectors.hex_array("requestSecretKeyHex"));
    let sealed =
        key.encrypt_with_nonce(creation.text("signedTextNonVerbose").as_bytes(), creation.hex_array("nonceHex"));
    let container: Value = serde_json::from_str(creation.text("cipherContainerText")).unwrap();
    assert_eq!(sealed.to_value(Form::Compact), container["cipher"]);
}

#[test]
fn a_template_is_signed_with_the_identity_key() {
    let vectors = load("relationship");
    let signed: Value = serde_json::from_str(vectors["template"].text("signedText")).unwrap();
    let signature = Signature::from_value(&signed["deviceSignature"]).unwrap();
    let key = signature_key(&vectors, "identityKeyA").public_key();
    assert_eq!(key.verify(signed.text("serializedTemplate").as_bytes(), &signature), Ok(()));
}

#[test]
fn message_keys_travel_in_counter_form() {
    let vectors = load("relationship");
    let key = SecretKey::from_bytes(vectors["derived"].hex_array("templatorToRequestorKeyHex"));
    let base = BaseNonce::from_bytes(vectors["inputs"].hex_array("templatorNonceHex"));
    let from_templator = vectors.list("messages").iter().filter(|message| message.text("from").starts_with('A'));
    let mut count = 0;
    for message in from_templator {
        count += 1;
        let counter = u32::try_from(message.number("counter")).unwrap();
        let plaintext = message.text("messageKeyPlaintext");
        let cipher = key.encrypt_with_counter(plaintext.as_bytes(), &base, counter);
        assert_eq!(cipher.to_base64(), message.text("encryptedKeyField"));

        let message_key = SecretKey::from_json(plaintext).unwrap();
        assert_eq!(message_key.to_json(Form::Compact), plaintext);
        let body = Cipher::from_bytes(&from_base64url(message.text("bodyField")).unwrap()).unwrap();
        assert_eq!(*message_key.decrypt(&body).unwrap(), message.text("signedMessageText").as_bytes());
    }
    assert!(count > 0);
}
