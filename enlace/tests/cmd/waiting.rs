//! Several processes on one data directory: whoever can waits, or asks the one that serves.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::sandbox::{Ended, Sandbox, signal};

const SERVE: [&str; 7] = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];

/// Holds a data directory as a process does that does not serve: this one.
fn hold(sandbox: &Sandbox) -> durable::DirectoryLock {
    durable::DirectoryLock::take(&sandbox.path("d"), runtime::LOCK_FILE).unwrap()
}

fn spawn(sandbox: &Sandbox, args: &[&str]) -> Child {
    sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads the line that says for whom it waits.
fn notice(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (pid, dir) = (std::process::id(), "/d\n");
    assert!(line.starts_with(&format!("waiting for process {pid}, which uses ")) && line.ends_with(dir), "{line}");
    line
}

#[test]
fn short_commands_wait_name_the_holder_and_continue() {
    let sandbox = Sandbox::new();
    sandbox.serve(&SERVE).stop();
    let lock = hold(&sandbox);
    let commands =
        [vec!["files", "list"], vec!["tokens", "list"], vec!["identity"], vec!["doctor", "--listen", "127.0.0.1:0"]];
    let mut waiting: Vec<Child> =
        commands.iter().map(|args| spawn(&sandbox, &[args, &["--data-dir", "d"][..]].concat())).collect();
    waiting.iter_mut().for_each(|child| drop(notice(child)));
    drop(lock);
    for child in waiting {
        let ended = Ended::from(child.wait_with_output().unwrap());
        // One after the other, they wait for each other, too.
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

#[test]
fn short_commands_ask_a_process_that_begins_to_serve_meanwhile() {
    let sandbox = Sandbox::new();
    sandbox.serve(&SERVE).stop();
    let lock = hold(&sandbox);
    let mut waiting = spawn(&sandbox, &["files", "list", "--data-dir", "d", "--json"]);
    drop(lock);
    // Whoever is first: both get what they want.
    let _serving = loop {
        let ended = match sandbox.try_serve(&SERVE) {
            Ok(serving) => break serving,
            Err(ended) => ended,
        };
        assert!(ended.code == 7 && ended.stderr.contains("is in use by process"), "{ended:?}");
    };
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn a_wait_ends_with_ctrl_c() {
    let sandbox = Sandbox::new();
    sandbox.serve(&SERVE).stop();
    let _lock = hold(&sandbox);
    let mut stopped = spawn(&sandbox, &["files", "list", "--data-dir", "d"]);
    notice(&mut stopped);
    signal(&stopped, "INT");
    assert_eq!(stopped.wait().unwrap().code(), Some(130));
}

#[test]
fn several_shares_and_lists_on_one_new_directory_all_do_their_work() {
    let sandbox = Sandbox::new();
    let files = ["a", "b", "c"].map(|name| sandbox.file(name, name));
    let shared = std::thread::scope(|scope| {
        let shares = files.each_ref().map(|file| scope.spawn(|| sandbox.share(file, &[])));
        let lists = [(); 2].map(|()| spawn(&sandbox, &["files", "list", "--data-dir", "sender", "--json"]));
        for list in lists {
            let ended = Ended::from(list.wait_with_output().unwrap());
            assert_eq!(ended.code, 0, "{ended:?}");
        }
        shares.map(|share| share.join().unwrap())
    });
    let receives = shared.each_ref().map(|shared| {
        let name = shared.text("/file/filename");
        spawn(&sandbox, &["receive", shared.reference(), "--data-dir", "receiver", "--output", &format!("got-{name}")])
    });
    for (receive, name) in receives.into_iter().zip(["a", "b", "c"]) {
        let ended = Ended::from(receive.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(std::fs::read_to_string(sandbox.path(&format!("got-{name}"))).unwrap(), name);
    }
    let urls: Vec<&str> = shared.iter().map(|shared| shared.text("/rest/url")).collect();
    assert!(urls.iter().all(|url| *url == urls[0]), "one process serves: {urls:?}");
}

#[test]
fn a_second_share_uses_the_process_that_serves_and_ends() {
    let sandbox = Sandbox::new();
    let first = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let second = sandbox.share(&sandbox.file("b.txt", "world"), &["--expires-in", "1h"]);
    for member in ["/rest/url", "/rest/listen", "/rest/apiKeyFile", "/backbone/url"] {
        assert_eq!(second.text(member), first.text(member));
    }
    let again = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    assert_eq!(again.text("/file/id"), first.text("/file/id"), "by its stored hash");
    sandbox.receive(second.reference(), &["--output", "copy"]).json();
    assert_eq!(std::fs::read(sandbox.path("copy")).unwrap(), b"world");
    let args = ["share", "b.txt", "--data-dir", "sender"];
    let third = sandbox.run(&args);
    assert_eq!(third.code, 0, "{third:?}");
    assert!(third.stderr.contains(&format!("process {} serves it", first.pid())), "{third:?}");
    let elsewhere = sandbox.run(&[&args[..], &["--backbone", "https://b.example.org"]].concat());
    elsewhere.refused(4, &[first.text("/backbone/url"), "https://b.example.org"]);
    first.stop();
}

#[test]
fn two_receives_into_one_directory_both_arrive() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &[]);
    let args = |output| ["receive", shared.reference(), "--data-dir", "receiver", "--output", output];
    let children = ["x", "y", "z"].map(|output| spawn(&sandbox, &args(output)));
    for child in children {
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    for output in ["x", "y", "z"] {
        assert_eq!(std::fs::read(sandbox.path(output)).unwrap(), b"hello");
    }
}

#[test]
fn a_receive_into_a_directory_that_is_served_asks_the_process_that_serves_it() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &["--password-file", &sandbox.file("pw", "secret")]);
    let backbone = shared.text("/backbone/url").to_owned();
    let serve = ["serve", "--data-dir", "receiver", "--listen", "127.0.0.1:0", "--backbone", &backbone];
    let receiver = sandbox.serve(&serve);
    let pw = sandbox.path("pw").to_str().unwrap().to_owned();
    let saved = sandbox.receive(shared.reference(), &["--output", "x", "--password-file", &pw]).json();
    assert_eq!((&saved["bytes"], std::fs::read(sandbox.path("x")).unwrap()), (&5.into(), b"hello".to_vec()));
    let wrong = sandbox.file("wrong", "other");
    let refused = sandbox.receive(shared.reference(), &["--output", "y", "--password-file", &wrong]);
    // What is known already needs no password.
    assert!(matches!(refused.code, 0 | 4), "{refused:?}");
    receiver.stop();
}
