//! Downloads that are interrupted and go on, and several files in one share.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use backbone_mock::fault::{Fault, Faults, Matching};
use backbone_mock::{Backbone, OAuthClient};
use runtime::facade::{ContentFormat, CreateTokenForFile, NewTerms, UploadOwnFile};
use runtime::manifest::RelativePath;
use runtime::source::{Source, SourceEntry};
use runtime::{BackboneConfig, Config, DEFAULT_CODE_LIFETIME, PeerConfig, Runtime, Secret};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use transport::crypto::SecretKey;
use transport::file::FileMetadataV2;
use transport::wire::FileReference;
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::sandbox::{Ended, Sandbox, bytes, signal};
use crate::valve::Valve;

const MIB: usize = 1 << 20;
const LARGE: usize = 8 * MIB + 12_345;

/// A sender in this process, and a line to its backbone.
struct World {
    sandbox: Sandbox,
    threads: tokio::runtime::Runtime,
    sender: Runtime,
    valve: Valve,
    faults: Faults,
    backbone: Backbone,
}

impl World {
    fn new() -> Self {
        Self::of(|config| config)
    }

    /// With a sender whose codes can be used on this machine.
    fn with_codes() -> Self {
        Self::of(|config| Config { peers: Some(PeerConfig::on_this_machine()), ..config })
    }

    fn of(change: impl FnOnce(Config) -> Config) -> Self {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("out")).unwrap();
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let faults = Faults::new();
        let (backbone, sender) = threads.block_on(async {
            let mut config = backbone_mock::Config::new(sandbox.path("backbone")).with_client("test", "secret");
            config.clients.push(OAuthClient::guest("enlace-guest", "enlace-guest"));
            config.faults = Some(faults.clone());
            let backbone = Backbone::start(config).await.unwrap();
            let settings = BackboneConfig::new(backbone.url(), "test", Secret::new("secret"));
            let sender = Runtime::builder(change(Config::new(sandbox.path("sender"), settings))).start().await.unwrap();
            (backbone, sender)
        });
        let valve = Valve::start(&backbone.url());
        Self { sandbox, threads, sender, valve, faults, backbone }
    }

    /// Uploads, and returns a reference that leads through the line.
    fn share(&self, request: UploadOwnFile) -> String {
        let request = UploadOwnFile { format: ContentFormat::V2, ..request };
        let url = self.threads.block_on(async {
            let file = self.sender.files().upload_own_file(request).await.unwrap();
            // Through the line, and not beside it.
            let terms = NewTerms { transports: Some("store".parse().unwrap()), ..NewTerms::default() };
            let terms = CreateTokenForFile { terms, ..CreateTokenForFile::default() };
            let token = self.sender.files().create_token_for_file(&file.id, terms).await;
            token.unwrap().reference.url
        });
        self.valve.through(&url)
    }

    fn share_file(&self, name: &str, content: &[u8]) -> String {
        let content = std::io::Cursor::new(content.to_vec());
        self.share(UploadOwnFile::new(content, name.parse().unwrap(), "text/plain".parse().unwrap()))
    }

    fn share_tree(&self, files: &[(&str, &[u8])]) -> String {
        let root = self.sandbox.path("in");
        std::fs::create_dir(&root).unwrap();
        let mut entries = Vec::new();
        for (number, (path, content)) in files.iter().enumerate() {
            let local = root.join(number.to_string());
            std::fs::write(&local, content).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&local, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let modified = std::fs::FileTimes::new().set_modified(changed());
            std::fs::File::options().write(true).open(&local).unwrap().set_times(modified).unwrap();
            entries.push(SourceEntry { path: RelativePath::new(*path).unwrap(), local });
        }
        entries.push(SourceEntry { path: RelativePath::new("empty folder").unwrap(), local: root });
        let source = Source::tree(entries).unwrap();
        self.share(UploadOwnFile::from_source(source, "several".parse().unwrap(), "text/plain".parse().unwrap()))
    }

    /// Shares a content and makes the backbone say that its first bytes are a list of files.
    fn share_listed(&self, content: Vec<u8>, length: usize) -> String {
        let request = UploadOwnFile::new(
            std::io::Cursor::new(content),
            "several".parse().unwrap(),
            "text/plain".parse().unwrap(),
        );
        let request = UploadOwnFile { format: ContentFormat::V2, ..request };
        let file = self.threads.block_on(self.sender.files().upload_own_file(request)).unwrap();
        let key = SecretKey::from(&FileReference::parse(&file.reference.url).unwrap().key);
        self.faults.tamper(Matching::path("/Metadata"), move |_, body| {
            let mut answer: Value = serde_json::from_slice(&body).unwrap();
            let sealed = from_base64url(answer["result"]["encryptedProperties"].as_str().unwrap()).unwrap();
            let mut metadata = FileMetadataV2::open(&sealed, &key).unwrap();
            metadata.manifest_length = Some(length as u64);
            answer["result"]["encryptedProperties"] = to_base64url(&metadata.seal(&key).0).into();
            answer.to_string().into()
        });
        self.valve.through(&file.reference.url)
    }

    fn receive(&self, reference: &str, more: &[&str]) -> Ended {
        self.sandbox.receive(reference, &[&["--output", "out"], more].concat())
    }

    /// Starts to receive and waits until so many bytes are in the partial file or folder, and the line holds.
    fn receive_until(&self, reference: &str, held: usize, here: usize) -> Child {
        // Something small first: an identity, and a login.
        self.receive(reference, &["--max-size", "1"]).refused(4, &["--max-size"]);
        self.valve.hold_after(held as u64);
        self.begin(&[reference], here)
    }

    /// Starts to receive by a reference or a code, and waits until so many bytes are here.
    fn begin(&self, what: &[&str], here: usize) -> Child {
        let args = [&["receive"], what, &["--data-dir", "receiver", "--json", "--output", "out"]].concat();
        let mut command = self.sandbox.command(&args);
        // A code needs peers.
        command.env_remove("enlace__peers__enabled");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let started = std::time::Instant::now();
        while bytes_below(&self.out()) < here {
            assert!(started.elapsed() < Duration::from_secs(60), "{} bytes arrived", bytes_below(&self.out()));
            std::thread::sleep(Duration::from_millis(5)); // another process is awaited, no clock can be injected there
        }
        child
    }

    fn out(&self) -> PathBuf {
        self.sandbox.path("out")
    }

    /// The only partial file or folder.
    fn partial(&self) -> PathBuf {
        let names = self.sandbox.names("out");
        let mut partial = names.iter().filter(|name| name.starts_with('.') && name.ends_with(".part"));
        let name = partial.next().unwrap_or_else(|| panic!("{names:?}"));
        assert!(partial.next().is_none(), "{names:?}");
        self.out().join(name)
    }

    /// Interrupts a download of this file and leaves some MiB of it.
    fn interrupted(&self, reference: &str) -> PathBuf {
        let mut child = self.receive_until(reference, 6 * MIB, 2 * MIB);
        child.kill().unwrap();
        child.wait().unwrap();
        self.valve.open();
        self.partial()
    }
}

fn changed() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000)
}

fn bytes_below(directory: &Path) -> usize {
    crate::sandbox::files_below(directory)
        .iter()
        .map(|path| path.metadata().map_or(0, |found| found.len() as usize))
        .sum()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn progress_lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line.get("progress").cloned()).collect()
}

#[test]
fn a_killed_download_goes_on_with_what_had_arrived() {
    let world = World::new();
    let content = bytes(LARGE);
    let reference = world.share_file("large.bin", &content);
    let partial = world.interrupted(&reference);
    assert!(partial.file_name().unwrap().to_str().unwrap().starts_with(".large.bin."));
    let ended = world.receive(&reference, &[]);
    let line = ended.json();
    let resumed = line["resumed"].as_u64().unwrap() as usize;
    assert!((2 * MIB..LARGE).contains(&resumed) && resumed.is_multiple_of(MIB), "{line}");
    assert_eq!((&line["bytes"], &line["sha256"]), (&LARGE.into(), &sha256(&content).into()));
    assert!(line.get("files").is_none(), "{line}");
    assert!(std::fs::read(world.out().join("large.bin")).unwrap() == content);
    assert_eq!(world.sandbox.names("out"), ["large.bin"]);
    let (passed, left) = (world.valve.passed() as usize, LARGE - resumed);
    assert!((left..left + MIB / 2).contains(&passed), "{passed} bytes for {left}");
    let lines = progress_lines(&ended);
    assert!(lines.iter().all(|line| line["resumed"] == resumed && line["bytes"].as_u64().unwrap() >= resumed as u64));
    assert_eq!(lines.last().unwrap()["bytes"], LARGE);
}

#[cfg(unix)]
#[test]
fn ctrl_c_says_how_to_continue_and_a_second_process_has_to_wait() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let content = bytes(LARGE);
    let reference = world.share_file("large.bin", &content);
    let child = world.receive_until(&reference, 6 * MIB, 2 * MIB);
    let partial = world.partial();
    assert_eq!(partial.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    // Not through the line, which holds.
    let direct = format!("{}/r/{}", world.backbone.url(), reference.split_once("/r/").unwrap().1);
    let second = world.sandbox.run(&["receive", &direct, "--data-dir", "other", "--output", "out"]);
    second.refused(7, &["another process is receiving", "wait until it has ended", "--output"]);
    signal(&child, "INT");
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.refused(130, &["run the same command to continue", partial.file_name().unwrap().to_str().unwrap()]);
    world.valve.open();
    assert!(world.receive(&reference, &[]).json()["resumed"].as_u64() >= Some(2 << 20));
    assert!(std::fs::read(world.out().join("large.bin")).unwrap() == content);
}

#[test]
fn what_a_code_began_is_continued_by_the_command_that_the_hint_names() {
    let world = World::with_codes();
    let content = bytes(LARGE);
    let reference = world.share_file("large.bin", &content);
    world.receive(&reference, &["--max-size", "1"]).refused(4, &["--max-size"]);
    let peers = world.sender.peers();
    let offered = world.threads.block_on(async { peers.offer_code(&reference, DEFAULT_CODE_LIFETIME).unwrap() });
    let address = format!("{}/p2p/{}", peers.dial_addresses()[0], peers.connectivity().unwrap().id);
    world.valve.hold_after(6 * MIB as u64);
    let child = world.begin(&[offered.text(), "--no-mdns", "--peer-address", &address], 2 * MIB);
    signal(&child, "INT");
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.refused(130, &["what arrived is kept", &reference]);
    let error: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
    let hint = error["error"]["hint"].as_str().unwrap();
    let (command, _) = hint.split_once("run `enlace ").unwrap().1.split_once('`').unwrap();
    world.valve.open();
    let words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
    let continued = world.sandbox.run(&words).json();
    assert!(continued["resumed"].as_u64().unwrap() >= 2 * MIB as u64, "{continued}");
    assert!(std::fs::read(world.out().join("large.bin")).unwrap() == content);
}

#[test]
fn a_backbone_that_breaks_off_and_then_refuses_leaves_what_arrived() {
    let world = World::new();
    let content = bytes(LARGE);
    let reference = world.share_file("large.bin", &content);
    let child = world.receive_until(&reference, 6 * MIB, 2 * MIB);
    world.faults.inject(Matching::path("/Files/"), Fault::RefuseBefore(reqwest::StatusCode::FORBIDDEN));
    world.valve.cut();
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.refused(4, &["run the same command to continue", world.partial().file_name().unwrap().to_str().unwrap()]);
    world.faults.clear();
    let ended = world.sandbox.run(&["receive", &reference, "--data-dir", "receiver", "--output", "out"]);
    assert!(ended.code == 0 && ended.stderr.contains("continuing at "), "{ended:?}");
    assert!(std::fs::read(world.out().join("large.bin")).unwrap() == content);
}

#[test]
fn what_was_altered_on_the_disk_is_fetched_again() {
    let world = World::new();
    let content = bytes(LARGE);
    let reference = world.share_file("large.bin", &content);
    let partial = world.interrupted(&reference);
    let changed = |place: usize| {
        let mut other = content.clone();
        other[place] ^= 1;
        other
    };
    for (left, resumed) in [
        (changed(0), 0),
        (changed(3 * MIB - 1), 2 * MIB),
        (changed(LARGE - 1), 8 * MIB),
        ([&content[..], b"more"].concat(), LARGE),
        (content.clone(), LARGE),
        (content[..LARGE - 1].to_vec(), 8 * MIB),
        (content[..MIB + 1].to_vec(), MIB),
        (vec![0; LARGE], 0),
        (Vec::new(), 0),
    ] {
        std::fs::write(&partial, &left).unwrap();
        let line = world.receive(&reference, &["--force"]).json();
        assert_eq!(line["resumed"], resumed, "{} bytes", left.len());
        assert_eq!(line["sha256"], sha256(&content));
        assert!(std::fs::read(world.out().join("large.bin")).unwrap() == content);
        assert_eq!(world.sandbox.names("out"), ["large.bin"]);
    }
}

#[test]
fn a_part_of_another_file_with_the_same_name_stays() {
    let world = World::new();
    let (one, other) = (world.share_file("a.bin", &bytes(LARGE)), world.share_file("a.bin", b"another"));
    let partial = world.interrupted(&one);
    let before = std::fs::read(&partial).unwrap();
    let line = world.receive(&other, &[]).json();
    assert_eq!((&line["resumed"], &line["bytes"]), (&0.into(), &7.into()));
    assert!(std::fs::read(&partial).unwrap() == before);
    // The name is taken, and what is there is not touched.
    world.receive(&one, &[]).refused(7, &["exists already"]);
    assert_eq!(std::fs::read(world.out().join("a.bin")).unwrap(), b"another");
    assert!(world.receive(&one, &["--force"]).json()["resumed"].as_u64() > Some(0));
    assert!(std::fs::read(world.out().join("a.bin")).unwrap() == bytes(LARGE));
}

#[cfg(unix)]
#[test]
fn what_somebody_put_in_the_place_of_a_part_is_not_written_to() {
    let world = World::new();
    let reference = world.share_file("large.bin", &bytes(LARGE));
    let partial = world.interrupted(&reference);
    let victim = world.sandbox.file("victim", "mine");
    std::fs::remove_file(&partial).unwrap();
    std::os::unix::fs::symlink(&victim, &partial).unwrap();
    world.receive(&reference, &[]).refused(7, &["is a link, not what an earlier download left", "remove it"]);
    std::fs::remove_file(&partial).unwrap();
    std::fs::hard_link(&victim, &partial).unwrap();
    world.receive(&reference, &[]).refused(7, &["several names"]);
    std::fs::remove_file(&partial).unwrap();
    std::fs::create_dir(&partial).unwrap();
    world.receive(&reference, &[]).refused(7, &["not a plain file"]);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    std::fs::remove_dir(&partial).unwrap();
    world.receive(&reference, &[]).json();
}

#[test]
fn a_small_file_or_standard_output_leaves_no_part() {
    let world = World::new();
    let (small, large) = (world.share_file("a.txt", b"hello"), world.share_file("b.bin", &bytes(LARGE)));
    world.receive(&small, &[]).json();
    assert_eq!(world.sandbox.names("out"), ["a.txt"]);
    let ended =
        world.sandbox.command(&["receive", &large, "--data-dir", "receiver", "--output", "-"]).output().unwrap();
    assert!(ended.status.success() && ended.stdout == bytes(LARGE));
    assert_eq!(world.sandbox.names("out"), ["a.txt"]);
}

#[test]
fn several_files_arrive_in_a_new_folder_and_a_killed_download_goes_on() {
    let world = World::new();
    let (first, second) = (bytes(5 * MIB), bytes(4 * MIB + 3));
    let files: [(&str, &[u8]); 4] =
        [("a/first.bin", &first), ("a/hello.txt", b"hello"), ("b", b""), ("second", &second)];
    let reference = world.share_tree(&files);
    let mut child = world.receive_until(&reference, 7 * MIB, 3 * MIB);
    child.kill().unwrap();
    child.wait().unwrap();
    world.valve.open();
    assert_eq!(world.sandbox.names("out").len(), 1, "no folder yet");
    let line = world.receive(&reference, &[]).json();
    let resumed = line["resumed"].as_u64().unwrap() as usize;
    assert!(resumed >= 3 * MIB, "{line}");
    assert!(
        (world.valve.passed() as usize) < first.len() + second.len() - resumed + 3 * MIB / 2,
        "{}",
        world.valve.passed()
    );
    let listed: Vec<_> =
        files.iter().map(|(path, content)| serde_json::json!({ "path": path, "bytes": content.len() })).collect();
    assert_eq!(line["files"], Value::from(listed));
    assert!(line.get("sha256").is_none() && line["savedTo"].as_str().unwrap().ends_with("/out/several"), "{line}");
    assert_eq!(line["bytes"], first.len() + second.len() + 5);
    assert_eq!(world.sandbox.names("out"), ["several"]);
    assert_eq!(world.sandbox.names("out/several"), ["a", "b", "empty folder", "second"]);
    for (path, content) in files {
        let path = world.out().join("several").join(path);
        assert!(std::fs::read(&path).unwrap() == content, "{}", path.display());
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.modified().unwrap(), changed());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111, 0);
    }
    for more in [&[][..], &["--force"]] {
        world.receive(&reference, more).refused(7, &["several exists already"]);
    }
    world.sandbox.receive(&reference, &["--output", "out/other"]).json();
    assert_eq!(world.sandbox.names("out"), ["other", "several"]);
}

#[test]
fn several_files_are_listed_and_received_one_by_one() {
    let world = World::new();
    let files: [(&str, &[u8]); 3] = [("a/b.txt", b"hello"), ("a/x\u{202e}y", b"1"), ("c/Makefile", b"22")];
    let reference = world.share_tree(&files);
    let listed = world.sandbox.receive(&reference, &["--list"]).json();
    let expected = serde_json::json!([
        { "path": "a/b.txt", "bytes": 5 },
        { "path": "a/x\u{202e}y", "bytes": 1 },
        { "path": "c/Makefile", "bytes": 2 },
        { "path": "empty folder", "bytes": null },
    ]);
    assert_eq!(listed["files"], expected);
    let people = world.sandbox.run(&["receive", &reference, "--list", "--data-dir", "receiver"]);
    assert!(
        people.code == 0 && people.stdout.contains("a/x\u{fffd}y") && people.stdout.contains("empty folder/"),
        "{people:?}"
    );
    world.receive(&reference, &["--only", "a/b.txt"]).json();
    let line = world.receive(&reference, &["--only", "./c/Makefile"]).json();
    assert_eq!((&line["bytes"], &line["sha256"]), (&2.into(), &sha256(b"22").into()));
    assert_eq!(world.sandbox.names("out"), ["Makefile.received", "b.txt"]);
    // The limit is for what is fetched.
    for limit in ["4", "5"] {
        std::fs::remove_file(world.out().join("b.txt")).unwrap_or_default();
        let ended = world.receive(&reference, &["--only", "a/b.txt", "--max-size", limit]);
        match limit {
            "4" => ended.refused(4, &["the file has 5 bytes, more than the limit of 4 bytes", "--max-size 5"]),
            _ => assert_eq!(ended.json()["bytes"], 5),
        }
    }
    let one = ["receive", &reference, "--data-dir", "receiver", "--output", "-", "--only", "a/b.txt"];
    assert_eq!(world.sandbox.run(&one).stdout, "hello");
    for path in ["no", "a", "../a/b.txt", "empty folder", ""] {
        world.receive(&reference, &["--only", path]).refused(3, &["there is no file", "--list"]);
    }
    world.sandbox.receive(&reference, &["--output", "-"]).refused(2, &["standard output takes one file", "--only"]);
    let single = world.share_file("a.txt", b"hello");
    world.receive(&single, &["--only", "a.txt"]).refused(2, &["--only"]);
    let listed = world.sandbox.receive(&single, &["--list"]).json();
    assert_eq!(listed["files"], serde_json::json!([{ "path": "a.txt", "bytes": 5 }]));
    assert_eq!(world.sandbox.names("out"), ["Makefile.received", "b.txt"]);
}

#[cfg(unix)]
#[test]
fn what_was_not_sent_and_links_in_an_unfinished_folder_are_refused() {
    let world = World::new();
    let large = bytes(LARGE);
    let files: [(&str, &[u8]); 2] = [("a/large", &large), ("z/last", b"last")];
    let reference = world.share_tree(&files);
    let partial = world.interrupted(&reference);
    std::fs::write(partial.join("a/stray"), "x").unwrap();
    world.receive(&reference, &[]).refused(7, &["a/stray was not sent", "remove it", "to continue"]);
    std::fs::remove_file(partial.join("a/stray")).unwrap();
    let elsewhere = world.sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, partial.join("z")).unwrap();
    world.receive(&reference, &[]).refused(7, &["z was not sent"]);
    std::fs::remove_file(partial.join("z")).unwrap();
    std::fs::create_dir(partial.join("z")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("last"), partial.join("z/last")).unwrap();
    world.receive(&reference, &[]).refused(7, &["z/last is a link"]);
    assert!(world.sandbox.names("elsewhere").is_empty());
    std::fs::remove_file(partial.join("z/last")).unwrap();
    assert!(world.receive(&reference, &[]).json()["resumed"].as_u64() >= Some(2 << 20));
    assert!(std::fs::read(world.out().join("several/a/large")).unwrap() == large);
}

#[cfg(unix)]
#[test]
fn permissions_of_several_files_are_the_senders_only_if_that_is_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let reference = world.share_tree(&[("a/run", b"#!/bin/sh")]);
    for (more, mask, expected) in [("", "022", 0o644), ("--keep-modes", "022", 0o755), ("--keep-modes", "077", 0o700)] {
        let (program, to) = (env!("CARGO_BIN_EXE_enlace"), format!("out/{mask}{more}"));
        let line =
            format!("umask {mask}; exec {program} receive '{reference}' --data-dir receiver --output {to} {more}");
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &line])
            .current_dir(world.sandbox.path(""))
            .env_clear()
            .env("HOME", world.sandbox.path("home"));
        assert!(command.status().unwrap().success());
        let mode = |path: &str| world.sandbox.path(&to).join(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("a/run"), expected, "{more} {mask}");
        let folder = if mask == "022" { 0o755 } else { 0o700 };
        assert_eq!((mode("a"), mode("")), (folder, folder), "{more} {mask}");
    }
}

#[test]
fn a_list_of_files_that_leads_out_of_the_folder_is_refused_and_nothing_is_written() {
    let world = World::new();
    for (path, reason) in [("../a", "dots only"), ("/etc/x", "absolute"), ("a\u{1b}[31m", "control character")] {
        let head = [&[0x82, 1, 0x81, 0x84, 0x60 + path.len() as u8], path.as_bytes(), &[3, 0xf6, 0xf6]].concat();
        let reference = world.share_listed([&head[..], b"abc"].concat(), head.len());
        let refused = world.receive(&reference, &[]);
        refused.refused(6, &[reason, "nothing was written", "archive"]);
        assert!(!refused.stderr.contains('\u{1b}'));
        world.faults.clear();
    }
    assert!(world.sandbox.names("out").is_empty());
}

#[test]
fn several_files_are_refused_by_a_running_process_and_one_file_starts_anew() {
    let world = World::new();
    let several = world.share_tree(&[("a", b"hello")]);
    let large = world.share_file("large.bin", &bytes(LARGE));
    let partial = world.interrupted(&large);
    let backbone = several.split_once("/r/").unwrap().0;
    let serve = ["serve", "--data-dir", "receiver", "--listen", "127.0.0.1:0", "--backbone", backbone];
    let client = world.sandbox.file("client.txt", "enlace-guest:enlace-guest");
    let serving = world.sandbox.serve(&[&serve[..], &["--client-file", &client]].concat());
    world.receive(&several, &[]).refused(4, &["several files", "stop process"]);
    assert_eq!(world.receive(&large, &[]).json()["resumed"], 0);
    assert!(std::fs::read(world.out().join("large.bin")).unwrap() == bytes(LARGE));
    assert!(partial.exists(), "left for who made it");
    serving.stop();
}

/// A small disk at a directory, until it is dropped.
#[cfg(target_os = "linux")]
struct TinyDisk(PathBuf);

#[cfg(target_os = "linux")]
impl TinyDisk {
    /// Mounts one, or says why the test is skipped.
    fn mount(place: PathBuf, size: &str) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(&place);
        match mount.output() {
            Ok(ended) if ended.status.success() => Some(Self(place)),
            ended => {
                crate::sandbox::skipped(&format!("no file system can be mounted here: {ended:?}"));
                None
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_meanwhile_keeps_what_arrived() {
    let world = World::new();
    let content = bytes(LARGE);
    let (single, several) = (world.share_file("large.bin", &content), world.share_tree(&[("a/large", &content)]));
    for (reference, saved) in [(single, "large.bin"), (several, "several/a/large")] {
        let Some(_disk) = TinyDisk::mount(world.out(), "10m") else { return };
        let child = world.receive_until(&reference, 6 * MIB, 2 * MIB);
        std::fs::write(world.out().join("filler"), vec![0; LARGE]).unwrap_err();
        world.valve.open();
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.refused(7, &["cannot write", "no space left", "free some space", "to continue"]);
        assert!(!world.out().join(saved).exists());
        world.receive(&reference, &[]).refused(7, &["the rest of the file has", "free some space"]);
        std::fs::remove_file(world.out().join("filler")).unwrap();
        assert!(world.receive(&reference, &[]).json()["resumed"].as_u64() >= Some(1 << 20));
        assert!(std::fs::read(world.out().join(saved)).unwrap() == content);
    }
}
