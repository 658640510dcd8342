//! Which backbone gets the OAuth client, and which gets the login of an identity.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use crate::recorder::Recorder;
use crate::sandbox::{Ended, Sandbox, Serving};

const PLANTED: &str = "planted-id:planted-secret";
const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];

fn run_with(sandbox: &Sandbox, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    Ended::from(sandbox.command(args).envs(environment.iter().copied()).output().unwrap())
}

/// A shared file whose reference leads through a recorder.
fn shared_behind_a_recorder(sandbox: &Sandbox) -> (Serving, Recorder, String) {
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let recorder = Recorder::start(shared.text("/backbone/url"));
    let reference = recorder.through(shared.reference());
    (shared, recorder, reference)
}

/// An address of this machine that nobody has asked.
struct Stranger {
    listener: TcpListener,
    url: String,
}

impl Stranger {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        Self { listener, url }
    }

    #[track_caller]
    fn was_not_asked(&self) {
        assert!(self.listener.accept().is_err(), "the stranger was asked");
    }
}

#[test]
fn an_oauth_client_goes_to_no_backbone_that_only_a_reference_names() {
    let sandbox = Sandbox::new();
    let (_shared, recorder, reference) = shared_behind_a_recorder(&sandbox);
    let client_file = sandbox.file("client", PLANTED);
    let stranger = Stranger::new();
    let receive = |dir: &str, options: &[&str], environment: &[(&str, &str)]| {
        let args = [&["receive", &reference, "--data-dir", dir, "--output", "copy", "--force"], options].concat();
        run_with(&sandbox, &args, environment)
    };
    for (dir, options, environment) in [
        ("r1", vec![], vec![("ENLACE_CLIENT", PLANTED)]),
        ("r2", vec!["--client-file", &client_file], vec![]),
        ("r3", vec![], vec![("PLATFORM_CLIENT_ID", "planted-id"), ("PLATFORM_CLIENT_SECRET", "planted-secret")]),
        ("r4", vec![], vec![("ENLACE_CLIENT", PLANTED), ("ENLACE_BACKBONE", &stranger.url)]),
    ] {
        let ended = receive(dir, &options, &environment);
        assert_eq!(ended.code, 0, "{ended:?}");
        for words in
            ["warning: the configured OAuth client is not sent to", "enlace-guest", "--backbone http://localhost"]
        {
            assert!(ended.stderr.contains(words), "{words:?} is missing in {ended:?}");
        }
        assert!(!recorder.heard("planted"), "{dir}");
    }
    assert!(recorder.heard("enlace-guest"));
    stranger.was_not_asked();
    // The receiver's backbone is remembered, but it was the sender who named it.
    let load = ["tokens", "load", &reference, "--data-dir", "r1", "--ephemeral"];
    assert_eq!(run_with(&sandbox, &load, &[("ENLACE_CLIENT", PLANTED)]).code, 0);
    assert!(!recorder.heard("planted"));
    // Whoever names the backbone sends the client there.
    let named = receive("r5", &["--client-file", &client_file, "--backbone", recorder.url()], &[]);
    named.refused(4, &["OAuth client"]);
    assert!(recorder.heard("planted-secret"));
}

#[test]
fn a_backbone_that_refuses_guests_leads_to_the_options_that_help() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b", "--client", "me:secret"]);
    let at = ["--backbone", backbone.text("/url"), "--client", "me:secret"];
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &at);
    let hint = format!("--client-file FILE --backbone {}", backbone.text("/url"));
    sandbox.receive(shared.reference(), &["--output", "x"]).refused(4, &["does not take guests", &hint]);
    sandbox.receive(shared.reference(), &[&["--output", "x"][..], &at].concat()).json();
}

#[test]
fn no_start_leads_an_identity_of_an_embedded_backbone_to_another_one() {
    let sandbox = Sandbox::new();
    let first = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let home = first.text("/backbone/url").to_owned();
    let address = first.text("/identity/address").to_owned();
    first.stop();
    sandbox.file("a.txt", "hello");
    let stranger = Stranger::new();
    let file = sandbox.file("other.json", format!(r#"{{"transportLibrary": {{"baseUrl": "{}"}}}}"#, stranger.url));
    let words: [&str; 4] = [&stranger.url, "its backbone is", &home, "--change-backbone"];
    for command in
        [vec!["serve"], vec!["share", "a.txt"], vec!["identity"], vec!["files", "list"], vec!["tokens", "list"]]
    {
        let args = [&command[..], &["--data-dir", "d", "--client", PLANTED]].concat();
        run_with(&sandbox, &[&args[..], &["--backbone", &stranger.url]].concat(), &[]).refused(4, &words);
        run_with(&sandbox, &[&args[..], &["--config", &file]].concat(), &[]).refused(4, &words);
        run_with(&sandbox, &args, &[("ENLACE_BACKBONE", &stranger.url)]).refused(4, &words);
        run_with(&sandbox, &args, &[("transportLibrary__baseUrl", &stranger.url)]).refused(4, &words);
    }
    let doctor = ["doctor", "--data-dir", "d", "--client", PLANTED, "--backbone", &stranger.url];
    let ended = run_with(&sandbox, &doctor, &[]);
    assert!(ended.code == 1 && words.iter().all(|word| ended.stdout.contains(word)), "{ended:?}");
    stranger.was_not_asked();
    // Every spelling of its own backbone is its own backbone, which it starts itself.
    let again = sandbox.serve(&["serve", "--data-dir", "d", "--backbone", &home.replace("localhost", "127.0.0.1")]);
    assert_eq!((again.text("/backbone/url"), again.text("/identity/address")), (home.as_str(), address.as_str()));
}

#[test]
fn an_identity_that_left_its_embedded_backbone_by_mistake_can_return() {
    let sandbox = Sandbox::new();
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0"];
    let embedded = ["--backbone-listen", "127.0.0.1:0"];
    let first = sandbox.serve(&[&serve[..], &embedded].concat());
    let address = first.text("/identity/address").to_owned();
    first.stop();
    // A backbone that takes everybody in: the file says what would be remembered then.
    let memory: serde_json::Value =
        serde_json::from_slice(&std::fs::read(sandbox.path("d/start.json")).unwrap()).unwrap();
    let mut left = memory.clone();
    left["backboneUrl"] = Stranger::new().url.into();
    std::fs::write(sandbox.path("d/start.json"), left.to_string()).unwrap();
    sandbox.run(&[&serve[..], &embedded].concat()).refused(4, &["embedded backbone", "--change-backbone"]);
    sandbox.serve(&[&serve[..], &embedded, &["--change-backbone"]].concat()).stop();
    let again = sandbox.serve(&serve);
    assert_eq!(again.text("/identity/address"), address);
    let now: serde_json::Value = serde_json::from_slice(&std::fs::read(sandbox.path("d/start.json")).unwrap()).unwrap();
    assert!(memory.get("backboneUrl").is_none() && now.get("backboneUrl").is_none(), "{now}");
}

#[test]
fn an_identity_of_a_configured_backbone_moves_only_if_that_is_confirmed() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b", "--client", "me:secret"]);
    let home = backbone.text("/url").to_owned();
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0"];
    sandbox.serve(&[&serve[..], &["--backbone", &home, "--client", "me:secret"]].concat()).stop();
    let recorder = Recorder::start(&home);
    let moved = [&serve[..], &["--backbone", recorder.url()]].concat();
    sandbox.run(&moved).refused(4, &[recorder.url(), "its backbone is", &home, "--change-backbone", "--data-dir"]);
    // A backbone of its own would not know the identity either.
    sandbox
        .run(&[&serve[..], &["--backbone-listen", "127.0.0.1:0"]].concat())
        .refused(4, &[&home, "--backbone-listen"]);
    assert!(!recorder.heard("secret"), "the login went there");
    assert_eq!(sandbox.serve(&serve).text("/backbone/url"), home);
    sandbox.serve(&[&moved[..], &["--change-backbone"]].concat()).stop();
    assert!(recorder.heard("client_secret=secret"));
    assert_eq!(sandbox.serve(&serve).text("/backbone/url"), recorder.url());
}

#[test]
fn a_process_that_serves_is_not_asked_in_the_name_of_another_backbone() {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&[&["serve", "--data-dir", "d"], &PORTS[..]].concat());
    let stranger = Stranger::new();
    let args = ["files", "list", "--data-dir", "d", "--backbone", &stranger.url, "--change-backbone"];
    sandbox.run(&args).refused(4, &[&stranger.url, serving.text("/backbone/url"), "stop that process"]);
    stranger.was_not_asked();
}

#[test]
fn a_first_start_that_was_killed_stays_with_the_backbone_that_may_have_created_the_identity() {
    let sandbox = Sandbox::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", silent.local_addr().unwrap().port());
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0"];
    let args = [&serve[..], &["--backbone", &url]].concat();
    let mut child = sandbox.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut connection, _) = silent.accept().unwrap();
    assert!(request(&mut connection).starts_with("POST /api/v2/Challenges "));
    let challenge = r#"{"result":{"id":"CHLabcdefghijklmno12","expiresAt":"2099-01-01T00:00:00.000Z"}}"#;
    let head =
        format!("HTTP/1.1 201 x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", challenge.len());
    connection.write_all(format!("{head}{challenge}").as_bytes()).unwrap();
    assert!(request(&mut connection).starts_with("POST /api/v2/Identities "));
    child.kill().unwrap();
    child.wait().unwrap();
    let stranger = Stranger::new();
    let other = [&serve[..], &["--backbone", &stranger.url]].concat();
    sandbox.run(&other).refused(4, &[&stranger.url, "a first start at", &url, "--change-backbone"]);
    stranger.was_not_asked();
}

fn request(connection: &mut std::net::TcpStream) -> String {
    let mut buffer = [0; 4096];
    let count = connection.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[test]
fn a_first_start_that_created_nothing_binds_the_directory_to_no_backbone() {
    let sandbox = Sandbox::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", silent.local_addr().unwrap().port());
    for (name, setting) in [("INT", "true"), ("KILL", "true"), ("", "false")] {
        let dir = format!("d{name}");
        let serve = ["serve", "--data-dir", &dir, "--listen", "127.0.0.1:0"];
        let creation = format!("--transportLibrary:allowIdentityCreation={setting}");
        let args = [&serve[..], &["--backbone", &url, &creation]].concat();
        let child = sandbox.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let waiting = (setting == "true").then(|| silent.accept().unwrap());
        if waiting.is_some() {
            crate::sandbox::signal(&child, name);
        }
        child.wait_with_output().unwrap();
        drop(waiting);
        // Without options it makes a backbone of its own, as a first start does.
        let again = sandbox.serve(&[&serve[..], &["--backbone-listen", "127.0.0.1:0"]].concat());
        assert_ne!(again.text("/backbone/url"), url);
        again.stop();
    }
}

#[test]
fn a_full_backbone_does_not_bind_the_directory() {
    let sandbox = Sandbox::new();
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", full.local_addr().unwrap().port());
    let answering = std::thread::spawn(move || {
        let (mut connection, _) = full.accept().unwrap();
        request(&mut connection);
        let body = r#"{"error":{"id":"ERR00000000000000000","code":"error.platform.insufficientStorage","message":"full","docs":"","time":"2026-01-01T00:00:00.000Z"}}"#;
        let head = format!(
            "HTTP/1.1 507 x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0"];
    assert_ne!(sandbox.run(&[&serve[..], &["--backbone", &url]].concat()).code, 0);
    answering.join().unwrap();
    assert!(!sandbox.path("d/begun.json").exists());
    sandbox.serve(&[&serve[..], &["--backbone-listen", "127.0.0.1:0"]].concat()).stop();
}

#[test]
fn a_store_without_its_start_file_gives_its_login_to_no_backbone_unasked() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b", "--client", "me:secret"]);
    let home = ["--backbone", backbone.text("/url"), "--client", "me:secret"];
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0"];
    sandbox.serve(&[&serve[..], &home].concat()).stop();
    std::fs::remove_file(sandbox.path("d/start.json")).unwrap();
    let stranger = Stranger::new();
    let words = ["start.json is missing", "--change-backbone"];
    sandbox.run(&[&serve[..], &["--backbone", &stranger.url]].concat()).refused(4, &words);
    // A new embedded backbone would not know the identity.
    sandbox.run(&[&serve[..], &["--backbone-listen", "127.0.0.1:0"]].concat()).refused(4, &words);
    stranger.was_not_asked();
    sandbox.serve(&[&serve[..], &home, &["--change-backbone"]].concat()).stop();
    assert_eq!(sandbox.serve(&serve).text("/backbone/url"), home[1]);
}

#[test]
fn an_embedded_backbone_does_not_take_the_public_client_for_its_owners() {
    let sandbox = Sandbox::new();
    let serve = [&["serve", "--data-dir", "d"], &PORTS[..]].concat();
    sandbox.run(&[&serve[..], &["--client", "enlace-guest:enlace-guest"]].concat()).refused(2, &["public client"]);
    sandbox.serve(&serve).stop();
    let path = sandbox.path("d/backbone-client");
    // As after a visit to another backbone as its guest.
    std::fs::write(&path, "enlace-guest:enlace-guest\n").unwrap();
    sandbox.serve(&serve).stop();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("enlace-node:"));
}

#[test]
fn a_first_start_that_failed_can_be_repeated_with_the_right_address() {
    let sandbox = Sandbox::new();
    let nobody = Stranger::new().url;
    let serve = [&["serve", "--data-dir", "d"], &PORTS[..]].concat();
    sandbox.run(&[&serve[..], &["--backbone", &nobody]].concat()).refused(5, &["cannot be reached"]);
    assert!(!sandbox.path("d/begun.json").exists());
    sandbox.serve(&serve).stop();
    assert!(!sandbox.path("d/begun.json").exists());
}
