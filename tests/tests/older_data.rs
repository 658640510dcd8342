//! Data directories that version 0.1 of the program made, with sled databases: they open, are converted once, and nothing
//! is lost, whatever interrupts the conversion.
//!
//! `data/older` holds two of them: of a program that was stopped, and of one that was killed right after its last answer.
//! `make.mjs` there made them, with the released program of that version, and noted what the program had answered.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use enlace_tests::{Node, Process, Rest, World, copy_tree, http};
use flate2::read::GzDecoder;
use runtime::{BackboneConfig, Config, Secret};
use serde_json::{Value, json};
use transport::wire::TokenReference;

/// Wrong passwords after which the backbone locks a token.
const LOCK_AFTER: u64 = 100;
/// Rounds of the conversion that is killed.
const ROUNDS: u64 = 12;
/// The longest time between the beginning of a conversion and the kill.
const LONGEST_DELAY: Duration = Duration::from_millis(60);

const VARIANTS: [&str; 2] = ["stopped", "killed"];

/// A data directory of the older program and what is known of it.
struct Older {
    data: PathBuf,
    note: Value,
}

impl Older {
    /// Unpacks a variant.
    fn unpack(variant: &str, data: PathBuf) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/older").join(variant);
        let mut archive = Vec::new();
        let packed = fs::read(source.with_extension("tar.gz")).unwrap();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut archive).unwrap();
        untar(&archive, &data);
        let note = serde_json::from_slice(&fs::read(source.with_extension("json")).unwrap()).unwrap();
        let older = Self { data, note };
        assert!(older.stores().iter().all(|store| store.join("db").is_file()), "sled databases");
        older
    }

    /// The node's store and the backbone's records.
    fn stores(&self) -> [PathBuf; 2] {
        [self.data.join("store"), self.data.join("backbone/records")]
    }

    fn arguments(&self) -> Vec<String> {
        let start = ["serve", "--json", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0", "--data-dir"];
        // A token is locked from this machine.
        let limit = "--enlace:backbone:limits:wrongPasswords=0";
        start.into_iter().chain(self.data.to_str()).chain([limit]).map(str::to_owned).collect()
    }

    async fn start(&self) -> Process {
        let process = Process::start(self.arguments()).await.expect("an older data directory opens");
        self.is_converted();
        process
    }

    /// New stores are in place, and nothing else is left.
    fn is_converted(&self) {
        for store in self.stores() {
            assert!(store.join("format").is_file() && !store.join("db").exists(), "{} is a store", store.display());
            for beside in ["new", "old"].map(|suffix| store.with_extension(suffix)) {
                assert!(!beside.exists(), "{} is left", beside.display());
            }
            assert_eq!(mode(&store), 0o700, "{}", store.display());
        }
    }

    /// What tells the stores from others: a conversion makes new ones.
    fn ids(&self) -> [Vec<u8>; 2] {
        self.stores().map(|store| fs::read(store.join("format")).unwrap())
    }
}

/// Unpacks an archive in the ustar format: headers of 512 bytes, each followed by the file in whole blocks.
fn untar(archive: &[u8], to: &Path) {
    let mut rest = archive;
    let mut count = 0;
    fs::create_dir(to).unwrap();
    while rest[0] != 0 {
        let (header, body) = rest.split_at(512);
        let text = |from: usize, length: usize| {
            let field = header[from..from + length].split(|byte| *byte == 0).next().unwrap();
            std::str::from_utf8(field).unwrap()
        };
        let octal = |from, length| usize::from_str_radix(text(from, length).trim(), 8).unwrap();
        let (path, size) = (to.join(text(0, 100)), octal(124, 12));
        match header[156] {
            b'5' => fs::create_dir_all(&path).unwrap(),
            _ => fs::write(&path, &body[..size]).unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(octal(100, 8) as u32)).unwrap();
        rest = &body[size.next_multiple_of(512)..];
        count += 1;
    }
    assert!(count > 10, "an archive of files");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn get(rest: &Rest, path: &str) -> Value {
    let answer = rest.get(path).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {status} {body}");
    serde_json::from_str::<Value>(&body).unwrap()["result"].take()
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// An answer without what follows from the port of the backbone, which is another one here.
fn without_backbone(mut answer: Value) -> Value {
    let members = answer.as_object_mut().unwrap();
    members.remove("truncatedReference");
    let reference = members["reference"].as_object_mut().unwrap();
    reference.remove("truncated");
    let url = reference["url"].as_str().unwrap();
    reference["url"] = url[url.find("/r/").unwrap()..].into();
    answer
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}

fn ids_of<'a>(list: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let mut ids: Vec<String> = list.into_iter().map(|item| text(item, "id").to_owned()).collect();
    ids.sort_unstable();
    ids
}

/// Everything that the older program acknowledged is there and equal, and what it deleted is not.
async fn nothing_is_lost(older: &Older, process: &Process) {
    let (note, rest) = (&older.note, Rest::of(process));
    assert_eq!(process.announcement["identity"]["address"], note["address"], "the same identity");
    let (files, tokens) = (note["files"].as_array().unwrap(), note["tokens"].as_array().unwrap());
    assert!(files.len() == 2 && tokens.len() == 4, "{note}");
    assert_eq!(ids_of(get(&rest, "Files").await.as_array().unwrap()), ids_of(files.iter().map(|file| &file["answer"])));
    for file in files {
        let (answer, length) = (file["answer"].clone(), file["length"].as_u64().unwrap() as usize);
        let path = format!("Files/{}", text(&answer, "id"));
        assert_eq!(without_backbone(get(&rest, &path).await), without_backbone(answer));
        let content = rest.get(&format!("{path}/Download")).send().await.unwrap().bytes().await.unwrap();
        assert!(content.len() == length && (0..length).all(|i| content[i] == (i % 251) as u8), "{path} is torn");
    }
    assert_eq!(ids_of(get(&rest, "Tokens/Own").await.as_array().unwrap()), ids_of(tokens));
    for token in tokens {
        let found = get(&rest, &format!("Tokens/{}", text(token, "id"))).await;
        assert_eq!(without_backbone(found), without_backbone(token.clone()));
    }
    let metadata = rest.get("IdentityMetadata").query(&[("reference", text(note, "address")), ("key", "colour")]);
    let metadata: Value = metadata.send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["result"], note["metadata"]);
    for (resource, deleted) in [("Files", &note["deleted"]["file"]), ("Tokens", &note["deleted"]["token"])] {
        let id = text(deleted, "id");
        assert_eq!(status(rest.get(&format!("{resource}/{id}"))).await, 404, "{id} is back");
        let reference = moved(text(&deleted["reference"], "url"), process);
        let load = rest.post(&format!("{resource}/Peer")).json(&json!({ "reference": reference }));
        assert_eq!(status(load).await, 404, "{id} is back at the backbone");
    }
}

/// A reference that leads to where the backbone is now.
fn moved(reference: &str, process: &Process) -> String {
    format!("{}{}", text(&process.announcement["backbone"], "url"), &reference[reference.find("/r/").unwrap()..])
}

/// What others see: tokens open, with the right password only, and the wrong ones of before are counted.
async fn others_are_served(older: &Older, process: &Process, world: &World) {
    let backbone = text(&process.announcement["backbone"], "url");
    let client = fs::read_to_string(older.data.join("backbone-client")).unwrap();
    let (id, secret) = client.trim().split_once(':').unwrap();
    let backbone_config = BackboneConfig::new(backbone, id, Secret::new(secret));
    let bob = Node::start(Config::new(world.directory("bob"), backbone_config), world.clock().clone()).await.unwrap();
    let file = &older.note["files"][1]["answer"];
    for token in [&older.note["ephemeral"], &older.note["tokens"][0]] {
        bob.fetch(&moved(text(&token["reference"], "url"), process)).await.unwrap();
    }
    let guarded = older.note["guarded"].as_array().unwrap();
    let [open, locked] = guarded.as_slice() else { panic!("two tokens with a password") };
    let before = |token: &Value| token["attempts"].as_u64().unwrap();
    assert!(before(open) > 0 && before(locked) == before(open) + 1, "{guarded:?}");
    let guesses = LOCK_AFTER - before(locked);
    let client = http();
    for (token, is_locked) in [(open, false), (locked, true)] {
        for number in 1..=guesses {
            let guess = client.get(format!("{backbone}/api/v2/Tokens/{}", text(token, "token")));
            let answer = guess.query(&[("password", format!("{number:0>42}8="))]).send().await.unwrap();
            let refused_as_locked = answer.status() != 404;
            let expected = is_locked && number == guesses;
            assert_eq!(refused_as_locked, expected, "guess {number} after {}: {}", before(token), answer.status());
        }
        let tokens = older.note["tokens"].as_array().unwrap();
        let reference = tokens.iter().find(|known| known["id"] == token["token"]).unwrap();
        let reference = moved(text(&reference["reference"], "url"), process);
        assert!(TokenReference::parse(&reference).unwrap().password_protection.is_some());
        let outcome = bob.receive_with(&reference, "right").await;
        assert_eq!(outcome.is_err(), is_locked, "{outcome:?}");
        assert!(outcome.is_err() || outcome.unwrap().id.as_str() == text(file, "id"));
    }
    let upload = Rest::of(process).upload("new", b"content".to_vec());
    assert_eq!(status(upload).await, 201, "it goes on");
}

#[tokio::test]
async fn directories_of_version_0_1_open_and_are_converted_once() {
    for variant in VARIANTS {
        let world = World::new();
        let older = Older::unpack(variant, world.directory("data"));
        let mut process = older.start().await;
        nothing_is_lost(&older, &process).await;
        let ids = older.ids();
        process.kill();
        let mut process = older.start().await;
        assert_eq!(older.ids(), ids, "converted again");
        nothing_is_lost(&older, &process).await;
        others_are_served(&older, &process, &world).await;
        process.kill();
    }
}

/// An instant of a conversion at which it can be interrupted, as it is found on disk.
struct Interruption {
    what: &'static str,
    /// Whether the older databases are at their place still, beside it, or gone.
    older: Option<&'static str>,
    /// Where the new store is.
    new: &'static str,
    is_new_complete: bool,
}

const INTERRUPTIONS: [Interruption; 6] = [
    Interruption { what: "while it is filled", older: Some(""), new: ".new", is_new_complete: false },
    Interruption { what: "when it is complete", older: Some(""), new: ".new", is_new_complete: true },
    Interruption { what: "between the two moves", older: Some(".old"), new: ".new", is_new_complete: true },
    Interruption {
        what: "and what was not synchronized is lost",
        older: Some(".old"),
        new: ".new",
        is_new_complete: false,
    },
    Interruption { what: "before the older one is removed", older: Some(".old"), new: "", is_new_complete: true },
    Interruption { what: "after it", older: None, new: "", is_new_complete: true },
];

#[tokio::test]
async fn a_conversion_that_was_interrupted_ends_well() {
    for variant in VARIANTS {
        let world = World::new();
        let older = Older::unpack(variant, world.directory("older"));
        let converted = Older { data: world.directory("converted"), note: older.note.clone() };
        copy_tree(&older.data, &converted.data);
        converted.start().await.kill();
        for Interruption { what, older: at, new, is_new_complete } in &INTERRUPTIONS {
            let found = Older { data: world.directory(what), note: older.note.clone() };
            copy_tree(&older.data, &found.data);
            for ((store, before), after) in found.stores().iter().zip(older.stores()).zip(converted.stores()) {
                fs::remove_dir_all(store).unwrap();
                let named = |suffix: &str| PathBuf::from(format!("{}{suffix}", store.display()));
                if let Some(suffix) = at {
                    copy_tree(&before, &named(suffix));
                }
                copy_tree(&after, &named(new));
                if !is_new_complete {
                    fs::rename(named(new).join("format"), named(new).join("format.new")).unwrap();
                    for journal in fs::read_dir(named(new).join("journal")).unwrap() {
                        fs::OpenOptions::new()
                            .write(true)
                            .open(journal.unwrap().path())
                            .unwrap()
                            .set_len(1000)
                            .unwrap();
                    }
                }
            }
            let mut process = found.start().await;
            println!("{variant}, {what}");
            nothing_is_lost(&found, &process).await;
            process.kill();
            fs::remove_dir_all(&found.data).unwrap();
        }
    }
}

#[tokio::test]
async fn a_conversion_that_is_killed_is_repeated_or_finished() {
    let mut unfinished = 0;
    for round in 0..ROUNDS {
        let variant = VARIANTS[round as usize % 2];
        let world = World::new();
        let older = Older::unpack(variant, world.directory("data"));
        // The backbone's records are converted first.
        for store in older.stores().into_iter().rev() {
            let beside = store.with_extension("new");
            let delay = LONGEST_DELAY * round as u32 / ROUNDS as u32;
            let mut began = None;
            let is_over = move || {
                if began.is_none() && beside.exists() {
                    began = Some(Instant::now());
                }
                began.is_some_and(|began: Instant| began.elapsed() >= delay)
            };
            Process::kill_when(older.arguments(), is_over).await;
            unfinished += usize::from(store.join("db").exists());
        }
        let mut process = older.start().await;
        nothing_is_lost(&older, &process).await;
        process.kill();
    }
    assert!(unfinished > 0, "no kill met a conversion, so nothing was tested");
    println!("{unfinished} of {} conversions were unfinished", 2 * ROUNDS);
}
