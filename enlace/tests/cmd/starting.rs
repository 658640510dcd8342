//! Starting again, starting twice, starting where somebody else is.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use crate::sandbox::{Sandbox, bytes, skipped};

#[test]
fn a_second_start_has_the_same_identity_files_and_addresses() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let first = sandbox.share(&file, &[]);
    let reference = first.reference().to_owned();
    let before = first.line.clone();
    first.stop();
    // Without any port: the remembered ones are taken.
    let second = sandbox.serve(&["share", &file, "--data-dir", "sender"]);
    assert_eq!(second.line["token"]["createdBy"], before["token"]["createdBy"]);
    assert_eq!(second.line["file"]["id"], before["file"]["id"], "the same file is uploaded only once");
    assert_eq!(second.line["backbone"], before["backbone"]);
    assert_eq!(second.line["rest"], before["rest"]);
    sandbox.receive(&reference, &["--output", "x"]).json();
    second.stop();
}

#[test]
fn a_changed_file_is_uploaded_again() {
    let sandbox = Sandbox::new();
    let first = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let id = first.line["file"]["id"].clone();
    first.stop();
    let second = sandbox.share(&sandbox.file("a.txt", "hallo"), &[]);
    assert_ne!(second.line["file"]["id"], id);
    sandbox.receive(second.reference(), &["--output", "x"]).json();
    assert_eq!(std::fs::read_to_string(sandbox.path("x")).unwrap(), "hallo");
}

#[test]
fn a_killed_process_leaves_everything_it_had_announced() {
    let sandbox = Sandbox::new();
    let content = bytes(300_000);
    let shared = sandbox.share(&sandbox.file("a.bin", &content), &[]);
    let reference = shared.reference().to_owned();
    shared.kill();
    let again = sandbox.serve(&["serve", "--data-dir", "sender"]);
    sandbox.receive(&reference, &["--output", "x"]).json();
    assert_eq!(std::fs::read(sandbox.path("x")).unwrap(), content);
    again.stop();
}

#[test]
fn a_second_process_on_one_data_directory_is_refused_and_the_holder_is_named() {
    let sandbox = Sandbox::new();
    let serving =
        sandbox.serve(&["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"]);
    let pid = serving.pid().to_string();
    let began = std::time::Instant::now();
    sandbox.run(&["serve", "--data-dir", "d"]).refused(7, &["is in use by process", &pid, "--data-dir"]);
    sandbox.run(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "d/backbone"]).refused(7, &["process", &pid]);
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "nobody waits who wants to serve");
    serving.stop();
    assert!(!sandbox.path("d/lock").exists(), "one lock file");
    assert!(!sandbox.path("d/running.json").exists());
}

#[test]
fn a_remembered_port_that_is_taken_is_reported_with_the_option_that_helps() {
    let sandbox = Sandbox::new();
    let first =
        sandbox.serve(&["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"]);
    let port_of = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let backbone = port_of(first.text("/backbone/url"));
    let rest = port_of(first.text("/rest/url"));
    first.stop();
    let guard = TcpListener::bind(("127.0.0.1", backbone)).unwrap();
    sandbox.run(&["serve", "--data-dir", "d"]).refused(5, &["in use", &backbone.to_string(), "--backbone-listen"]);
    drop(guard);
    let _guard = TcpListener::bind(("127.0.0.1", rest)).unwrap();
    sandbox.run(&["serve", "--data-dir", "d"]).refused(5, &["in use", &rest.to_string(), "--listen 127.0.0.1:0"]);
    sandbox.serve(&["serve", "--data-dir", "d", "--listen", "127.0.0.1:0"]).stop();
}

/// Whether this machine has both loopback addresses. Continuous integration has.
fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        skipped("there is no IPv6 loopback address; run: sysctl net.ipv6.conf.lo.disable_ipv6=0");
    }
    has
}

#[test]
fn a_port_that_somebody_has_at_the_other_loopback_address_is_refused_and_nobody_connects_there() {
    if !has_ipv6() {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let first = sandbox.share(&file, &[]);
    let port_of = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let (backbone, rest) = (port_of(first.text("/backbone/url")), port_of(first.text("/rest/url")));
    for port in [backbone, rest] {
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("both loopback addresses are served");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("both loopback addresses are served");
    }
    first.stop();
    for (port, option) in [(backbone, "--backbone-listen"), (rest, "--listen")] {
        let squatter = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
        squatter.set_nonblocking(true).unwrap();
        let address = format!("[::1]:{port}");
        sandbox.run(&["serve", "--data-dir", "sender"]).refused(5, &[&address, "in use", option]);
        let doctor = sandbox.run(&["doctor", "--data-dir", "sender"]);
        assert!(doctor.stdout.contains("is in use"), "{doctor:?}");
        assert!(squatter.accept().is_err(), "somebody connects to the squatter");
    }
}

#[test]
fn a_standalone_backbone_serves_nodes_with_its_clients_and_refuses_others() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&[
        "backbone",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        "b",
        "--did-domain-name",
        "localhost",
        "--client",
        "me:secret",
    ]);
    let url = backbone.text("/url");
    assert!(url.starts_with("http://localhost:"), "{url}");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--backbone", url];
    let refused = sandbox.run(&[&serve[..], &["--data-dir", "x", "--client", "me:wrong"]].concat());
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(!refused.stderr.contains("me:wrong"), "{refused:?}");
    let client = sandbox.file("client", "me:secret\n");
    let node = sandbox.serve(&[&serve[..], &["--data-dir", "n", "--client-file", &client]].concat());
    assert!(node.text("/identity/address").starts_with("did:e:localhost:dids:"));
    assert_eq!(node.text("/backbone/url"), url);
    node.stop();
    // Backbone and client are remembered.
    let again = sandbox.serve(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "n"]);
    assert_eq!(again.text("/backbone/url"), url);
}

#[test]
fn an_address_that_other_machines_reach_is_printed_with_a_warning() {
    let sandbox = Sandbox::new();
    for (listen, reachable, is_warned) in [
        ("0.0.0.0:0", "http://", true),
        ("[::]:0", "http://", true),
        ("127.0.0.1:0", "http://127.0.0.1:", false),
        ("localhost:0", "http://127.0.0.1:", false),
        ("127.0.0.2:0", "http://127.0.0.2:", false),
        ("[::1]:0", "http://[::1]:", false),
    ] {
        if listen.starts_with('[') && !has_ipv6() {
            continue;
        }
        let serve = ["serve", "--data-dir", "d", "--backbone-listen", "127.0.0.1:0", "--listen", listen];
        let serving = sandbox.serve(&serve);
        let (bound, url) = (serving.text("/rest/listen").to_owned(), serving.text("/rest/url").to_owned());
        let asked = listen.replace("localhost", "127.0.0.1");
        assert!(bound.starts_with(asked.trim_end_matches('0')) && url.starts_with(reachable), "{bound} {url}");
        let socket = url.strip_prefix("http://").unwrap();
        assert!(!socket.starts_with("0.0.0.0") && !socket.starts_with("[::]"), "{url}");
        TcpStream::connect(socket).unwrap_or_else(|error| panic!("{url}: {error}"));
        let doctor = sandbox.run(&["doctor", "--data-dir", "d"]);
        assert!(doctor.stdout.contains(&format!("listens on {bound}")), "{doctor:?}");
        let talk = serving.stop().stderr;
        assert_eq!(talk.contains(&format!("listens on {bound}: every machine")), is_warned, "{talk}");
        assert_eq!(talk.contains("is not encrypted"), is_warned, "{talk}");
    }
    let client = ["--client", "me:secret", "--did-domain-name", "localhost"];
    let backbone = sandbox.serve(&[&["backbone", "--listen", "0.0.0.0:0", "--data-dir", "b"], &client[..]].concat());
    assert!(backbone.stop().stderr.contains("the backbone listens on 0.0.0.0:"));
}

#[test]
fn a_backbone_on_a_network_works_with_what_its_messages_say() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "0.0.0.0:0", "--guests", "--data-dir", "b"]);
    let url = backbone.text("/url").to_owned();
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    if address.ip().is_loopback() {
        skipped("this machine has no network but its loopback interface");
        return;
    }
    sandbox.file("a.txt", "hello");
    let share = ["share", "a.txt", "--data-dir", "sender", "--listen", "127.0.0.1:0", "--backbone", &url];
    let refused = sandbox.run(&share);
    refused.refused(2, &["plain http", "--allow-plain-http"]);
    assert!(!refused.stderr.contains("error.") && !refused.stderr.contains("Name"), "{refused:?}");
    let shared = sandbox.serve(&[&share[..], &["--allow-plain-http"]].concat());
    assert!(shared.reference().starts_with(&url), "{}", shared.reference());
    sandbox.receive(shared.reference(), &["--allow-private"]).refused(2, &["--allow-plain-http"]);
    let received = sandbox.receive(shared.reference(), &["--allow-private", "--allow-plain-http", "--output", "copy"]);
    assert_eq!(received.json()["bytes"], 5);
}

#[test]
fn a_backbone_that_other_machines_reach_needs_a_client() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["backbone", "--listen", "0.0.0.0:0", "--data-dir", "b"]);
    ended.refused(2, &["OAuth client", "--client-file"]);
}

#[cfg(unix)]
#[test]
fn everything_in_the_data_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let mut program = sandbox.command(&["share", &sandbox.file("a.bin", bytes(3_000_000)), "--data-dir", "sender"]);
    program.args(["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"]);
    // Whatever the shell lets others read.
    let shared = sandbox.serve_command(&without_umask(&program));
    sandbox.receive(shared.reference(), &["--output", "x"]).json();
    let assert_private = |name: &str| {
        let mut checked = 0;
        for path in crate::sandbox::everything_below(&sandbox.path(name)) {
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.permissions().mode() & 0o777, wanted, "{}", path.display());
            checked += 1;
        }
        assert!(checked > 10, "{name} has few files: {checked}");
    };
    assert_private("sender");
    shared.stop();
    assert_private("sender");
    assert_private("receiver");
}

/// The same command where new files can be read by everybody unless the program says otherwise.
#[cfg(unix)]
fn without_umask(program: &std::process::Command) -> Vec<String> {
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let script = ["sh", "-c", "umask 0; exec \"$@\"", "sh"].map(str::to_owned);
    script.into_iter().chain(words.map(|word| word.to_str().unwrap().to_owned())).collect()
}
