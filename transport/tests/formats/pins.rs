//! One hash per format over 1,024 seeded encodings: a byte that changes anywhere is a visible change of
//! `tests/vectors/pins.json`.
//!
//! The vectors show that single encodings equal those of other clients; these hashes show that no other encoding moves
//! unnoticed. `UPDATE_PINS=1 cargo test -p enlace-transport --test formats pins` writes the file anew: a change of it needs the
//! reason in its commit, and a vector that shows that the other side agrees.

use serde_json::{Map, Value, json};
use transport::challenge::{Challenge, ChallengeType};
use transport::content::manifest::{Entry, EntryKind, Manifest, RelativePath};
use transport::content::{Root, Sealer};
use transport::crypto::hash::{Sha512Hash, sha256};
use transport::crypto::{CryptoObject, ExchangeKeypair, Form, SecretKey, SignatureHash, SignatureKeypair};
use transport::datawallet::{PayloadCategory, PendingModification};
use transport::file::{self, Extent, FileMetadata, FileMetadataV2};
use transport::identity::{DeviceSharedSecret, PublicIdentity, derive_address};
use transport::secret_container::SecretContainer;
use transport::token::TokenContent;
use transport::wire::backbone::datawallet::{ModificationType, NewModification};
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::password::{PasswordLocationIndicator, PasswordType, SharedPasswordProtection};
use transport::wire::reference::Referable;
use transport::wire::{Address, Reference, ReferenceKey, Timestamp, json as json_text};

use crate::vectors::load;

/// Encodings per format.
const ENCODINGS: usize = 1024;

/// Random numbers that are the same for ever: SplitMix64, not a generator of some crate that may change.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    fn pick(&mut self, alphabet: &str, count: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| letters[self.below(letters.len() as u64)]).collect()
    }

    /// Letters that are written in different ways.
    fn text(&mut self) -> String {
        let count = self.below(12);
        self.pick("aZ0 \"\\/\n\t\u{8}\u{c}\u{1f}\u{7f}ä€\u{2028}\u{fffd}\u{1f600}<>&'", count)
    }

    fn optional<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    fn id<I: std::str::FromStr<Err: std::fmt::Debug>>(&mut self, prefix: &str) -> I {
        let rest = self.pick("ABCXYZabcxyz0189", 17);
        format!("{prefix}{rest}").parse().unwrap()
    }

    fn timestamp(&mut self) -> Timestamp {
        let span = (Timestamp::MAX.as_unix_milliseconds() - Timestamp::MIN.as_unix_milliseconds()).unsigned_abs();
        let offset = i64::try_from(self.next() % (span + 1)).unwrap();
        Timestamp::from_unix_milliseconds(Timestamp::MIN.as_unix_milliseconds() + offset)
    }

    fn key(&mut self) -> SecretKey {
        SecretKey::from_bytes(self.bytes())
    }

    fn signer(&mut self) -> SignatureKeypair {
        SignatureKeypair::from_seed(&self.bytes())
    }

    fn address(&mut self) -> Address {
        let host = ["localhost", "example.org", "a-b.c3.example"][self.below(3)];
        derive_address(&self.signer().public_key(), host).unwrap()
    }

    fn protection(&mut self) -> SharedPasswordProtection {
        let digits = u8::try_from(4 + self.below(13)).unwrap();
        let place = u8::try_from(self.below(100)).unwrap();
        SharedPasswordProtection {
            password_type: if self.flag() { PasswordType::Pw } else { PasswordType::Pin(digits) },
            location: self.optional(|_| PasswordLocationIndicator::new(place).unwrap()),
            salt: self.bytes(),
        }
    }

    fn reference<I: Referable>(&mut self, id: I) -> String {
        let mut reference = Reference::new(id, ReferenceKey::from_bytes(self.bytes()));
        let place = ["http://localhost:8090", "https://a.b/c/d", "https://example.org"][self.below(3)];
        reference = if self.flag() { reference.at(place).unwrap() } else { reference };
        reference.for_identity_truncated = self.optional(|seeded| seeded.pick("0123456789abcdef", 4));
        reference.password_protection = self.optional(Self::protection);
        let app = self.optional(Self::text);
        format!("{}\n{:?}", reference.to_truncated(), reference.to_url(app.as_deref()))
    }

    fn members(&mut self, depth: u64) -> Map<String, Value> {
        let name = |seeded: &mut Self| if seeded.flag() { seeded.text() } else { seeded.below(40).to_string() };
        (0..self.below(5)).map(|_| (name(self), self.value(depth))).collect()
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => self.flag().into(),
            2 => self.next().into(),
            3 => i64::from_le_bytes(self.bytes()).into(),
            4 => f64::from_bits(self.next()).into(),
            5 => self.text().into(),
            6 => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
            _ => self.members(depth - 1).into(),
        }
    }
}

fn metadata(seeded: &mut Seeded) -> String {
    let metadata = FileMetadata {
        description: seeded.optional(Seeded::text),
        modified_at: seeded.optional(Seeded::timestamp),
        filename: seeded.text(),
        filesize: seeded.next() >> 11,
        mimetype: seeded.text(),
        plaintext_hash: Sha512Hash::from_bytes(seeded.bytes()),
        secret_key: seeded.key(),
        tags: seeded.optional(|seeded| (0..seeded.below(4)).map(|_| seeded.text()).collect()),
        title: seeded.optional(Seeded::text),
    };
    metadata.to_text()
}

fn metadata_v2(seeded: &mut Seeded) -> String {
    let length = seeded.next() >> 20;
    let root = Root::from_bytes(seeded.bytes());
    let extents =
        [Extent::Complete { length, root }, Extent::Growing { length: Some(length) }, Extent::Growing { length: None }];
    let metadata = FileMetadataV2 {
        description: seeded.optional(Seeded::text),
        modified_at: seeded.optional(Seeded::timestamp),
        filename: seeded.text(),
        extent: extents[seeded.below(3)],
        manifest_length: seeded.optional(|seeded| seeded.next() >> 44),
        mimetype: seeded.text(),
        secret_key: seeded.key(),
        tags: seeded.optional(|seeded| (0..seeded.below(4)).map(|_| seeded.text()).collect()),
        title: seeded.optional(Seeded::text),
    };
    metadata.to_text()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Short ones: those of several chunks have vectors.
fn content_blob(seeded: &mut Seeded) -> String {
    let mut blob = Vec::new();
    let mut sealer = Sealer::new(&seeded.key(), &mut blob);
    let length = seeded.below(100);
    (0..length).for_each(|_| sealer.push(&seeded.bytes::<1>(), &mut blob).unwrap());
    let tree = sealer.finish(&mut blob).unwrap();
    format!("{} {}", hex(&blob), tree.root())
}

fn content_manifest(seeded: &mut Seeded) -> String {
    let entry = |seeded: &mut Seeded, index: usize| Entry {
        path: RelativePath::new(format!("{}{index}/{}", seeded.pick("aä€", 3), seeded.pick("b c", 2))).unwrap(),
        kind: if seeded.flag() { EntryKind::Folder } else { EntryKind::File { size: seeded.next() >> 30 } },
        mode: seeded.optional(|seeded| u16::try_from(seeded.below(512)).unwrap()),
        modified_at: seeded.optional(Seeded::timestamp),
    };
    let count = 1 + seeded.below(30);
    hex(&Manifest::new((0..count).map(|index| entry(seeded, index)).collect()).unwrap().encode())
}

fn challenge(seeded: &mut Seeded) -> String {
    let kinds = [ChallengeType::Identity, ChallengeType::Device, ChallengeType::Relationship];
    let challenge = Challenge {
        created_by: seeded.optional(Seeded::address),
        created_by_device: seeded.optional(|seeded| seeded.id("DVC")),
        expires_at: seeded.timestamp(),
        id: seeded.id("CHL"),
        kind: kinds[seeded.below(3)],
    };
    challenge.sign(&seeded.signer()).to_json()
}

fn content(seeded: &mut Seeded) -> String {
    let content = match seeded.below(3) {
        0 => TokenContent::file(seeded.id("FIL"), seeded.key()),
        1 => TokenContent::RelationshipTemplate {
            for_identity: seeded.optional(Seeded::address),
            password_protection: seeded.optional(Seeded::protection),
            secret_key: seeded.key(),
            template_id: seeded.id("RLT"),
        },
        _ => TokenContent::Json(seeded.members(2)),
    };
    content.to_text()
}

/// All text forms of a cryptographic object.
fn forms(object: &impl CryptoObject) -> String {
    [object.to_json(Form::Verbose), object.to_json(Form::Compact), object.to_base64()].join("\n")
}

fn signature(seeded: &mut Seeded) -> String {
    let signer = seeded.signer();
    let hash = if seeded.flag() { SignatureHash::Sha256 } else { SignatureHash::Sha512 };
    let signature = signer.sign(seeded.text().as_bytes(), hash);
    [forms(&signature), forms(&signer.public_key()), signer.expose_private_key(Form::Verbose).to_string()].join("\n")
}

fn exchange(seeded: &mut Seeded) -> String {
    let keypair = ExchangeKeypair::from_private_bytes(seeded.bytes());
    forms(&keypair.public_key()) + &keypair.expose_private_key(Form::Verbose).to_string()
}

fn created_token(seeded: &mut Seeded) -> String {
    let sealed = seeded.key().encrypt_with_nonce(seeded.text().as_bytes(), seeded.bytes());
    let token = CreateToken {
        content: seeded.optional(|_| sealed.to_byte_text()),
        expires_at: seeded.timestamp(),
        for_identity: seeded.optional(Seeded::address),
        password: seeded.optional(Seeded::text),
    };
    serde_json::to_string(&token).unwrap()
}

fn modification(seeded: &mut Seeded) -> String {
    let kinds = [ModificationType::Create, ModificationType::Update, ModificationType::Delete];
    let sealed = seeded.key().encrypt_with_nonce(seeded.text().as_bytes(), seeded.bytes());
    let modification = NewModification {
        kind: kinds[seeded.below(3)],
        object_identifier: seeded.text(),
        payload_category: seeded.optional(Seeded::text),
        collection: seeded.text(),
        encrypted_payload: seeded.optional(|_| sealed.to_byte_text()),
        datawallet_version: 1,
    };
    serde_json::to_string(&modification).unwrap()
}

fn secret_container(seeded: &mut Seeded) -> String {
    let container = SecretContainer {
        active: seeded.flag(),
        cipher: seeded.key().encrypt_with_nonce(seeded.text().as_bytes(), seeded.bytes()),
        created_at: seeded.timestamp(),
        description: seeded.text(),
        id: seeded.pick("ABCXYZabcxyz0189", 20),
        name: seeded.text(),
        nonce: seeded.next() % (1 << 31),
        valid_from: seeded.timestamp(),
        valid_to: seeded.optional(Seeded::timestamp),
    };
    serde_json::to_string(&container).unwrap()
}

fn device_shared_secret(seeded: &mut Seeded) -> String {
    let public_key = seeded.signer().public_key();
    let secret = DeviceSharedSecret {
        created_at: seeded.timestamp(),
        created_by_device: seeded.id("DVC"),
        description: seeded.optional(Seeded::text),
        device_index: seeded.next() >> 11,
        id: seeded.id("DVC"),
        identity: PublicIdentity { address: derive_address(&public_key, "example.org").unwrap(), public_key },
        identity_private_key: seeded.optional(Seeded::signer),
        is_backup_device: seeded.flag(),
        name: seeded.optional(Seeded::text),
        password: seeded.text().into(),
        profile_name: seeded.optional(Seeded::text),
        secret_base_key: seeded.key(),
        synchronization_key: seeded.key(),
        username: seeded.id("USR"),
    };
    serde_json::to_string(&secret).unwrap()
}

/// Bodies of which every hundredth has more than one piece.
fn file_body(seeded: &mut Seeded) -> String {
    let most = if seeded.below(100) == 0 { 60_000 } else { 100 };
    let plaintext: Vec<u8> = (0..seeded.below(most)).map(|_| seeded.next().to_le_bytes()[0]).collect();
    let mut body = Vec::new();
    let mut sealer = file::Sealer::with_nonce(&seeded.key(), seeded.bytes(), &mut body);
    let (first, second) = plaintext.split_at(seeded.below(plaintext.len() as u64 + 1));
    for piece in [first, second] {
        sealer.push(piece, &mut body).unwrap();
    }
    let sealed = sealer.finish(&mut body);
    format!("{} {} {}", String::from_utf8(body).unwrap(), sealed.plaintext_hash, sealed.cipher_hash)
}

/// Labels and payloads as they are sealed for a place in the log.
fn datawallet_payload(seeded: &mut Seeded) -> String {
    let kinds = [ModificationType::Create, ModificationType::Update];
    let categories = [
        PayloadCategory::TechnicalData,
        PayloadCategory::Content,
        PayloadCategory::Metadata,
        PayloadCategory::Userdata,
    ];
    let pending = PendingModification {
        kind: kinds[seeded.below(2)],
        collection: seeded.text(),
        object_identifier: seeded.text(),
        payload: Some((categories[seeded.below(4)], seeded.members(2))),
    };
    let index = seeded.next() % (1 << 31);
    let sealed = pending.seal_with_nonce(&seeded.key(), index, seeded.bytes()).unwrap();
    serde_json::to_string(&sealed).unwrap()
}

type Encode = fn(&mut Seeded) -> String;

const FORMATS: &[(&str, Encode)] = &[
    ("address", |seeded| seeded.address().to_string()),
    ("challenge", challenge),
    ("cipher", |seeded| forms(&seeded.key().encrypt_with_nonce(seeded.text().as_bytes(), seeded.bytes()))),
    ("contentBlob", content_blob),
    ("contentManifest", content_manifest),
    ("createToken", created_token),
    ("datawalletPayload", datawallet_payload),
    ("deviceSharedSecret", device_shared_secret),
    ("exchangeKeypair", exchange),
    ("fileBody", file_body),
    ("fileMetadata", metadata),
    ("fileMetadataV2", metadata_v2),
    ("fileReference", |seeded| {
        let id: transport::wire::FileId = seeded.id("FIL");
        seeded.reference(id)
    }),
    ("jsonText", |seeded| json_text::to_text(&seeded.value(3))),
    ("newModification", modification),
    ("relationshipTemplateReference", |seeded| {
        let id: transport::wire::RelationshipTemplateId = seeded.id("RLT");
        seeded.reference(id)
    }),
    ("secretContainer", secret_container),
    ("secretKey", |seeded| forms(&seeded.key())),
    ("signature", signature),
    ("timestamp", |seeded| seeded.timestamp().to_string()),
    ("tokenContent", content),
    ("tokenReference", |seeded| {
        let id: transport::wire::TokenId = seeded.id("TOK");
        seeded.reference(id)
    }),
];

/// Of each encoding, with its length before it.
fn pin(encode: Encode) -> String {
    let mut seeded = Seeded(1024);
    let mut encodings = Vec::new();
    for _ in 0..ENCODINGS {
        let encoding = encode(&mut seeded);
        encodings.extend(u64::try_from(encoding.len()).unwrap().to_le_bytes());
        encodings.extend(encoding.bytes());
    }
    sha256(&encodings).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn no_byte_of_a_format_changed() {
    let current: Value = FORMATS.iter().map(|(name, encode)| ((*name).to_owned(), json!(pin(*encode)))).collect();
    if std::env::var_os("UPDATE_PINS").is_some() {
        let path = format!("{}/tests/vectors/pins.json", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, format!("{current:#}\n")).unwrap();
    }
    assert_eq!(load("pins"), current, "see the head of this file");
}

#[test]
fn a_changed_byte_is_a_changed_pin() {
    let plain = pin(|seeded| seeded.timestamp().to_string());
    assert_eq!(pin(|seeded| seeded.timestamp().to_string()), plain);
    assert_ne!(pin(|seeded| seeded.timestamp().to_string().replacen("99", "98", 1)), plain);
}
