//! Uploads that were stopped: the same command continues them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox, bytes, signal};

/// Takes some time to send.
const LENGTH: usize = 18 * 1024 * 1024 + 1;
/// So many bytes have arrived when more are on their way.
const PIECE: u64 = 4 * 1024 * 1024;

/// Runs a command until it has sent some of the file, then sends a signal.
fn stop(sandbox: &Sandbox, args: &[&str], by: &str) -> Ended {
    let mut child = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let sent = |line: &Value| line["progress"]["bytes"].as_u64().unwrap_or(0);
    let enough = |line: &String| sent(&serde_json::from_str(line).unwrap()) > PIECE + PIECE / 8;
    let mut stderr = lines.find(enough).expect("it was told how far it is");
    signal(&child, by);
    lines.for_each(|line| stderr += &line);
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    Ended { code: child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
}

#[test]
fn the_same_command_continues_an_upload_after_ctrl_c_and_after_a_kill() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let node = ["--data-dir", "d", "--backbone", backbone.text("/url")];
    let content = bytes(LENGTH);
    for (name, by, is_text) in [("one.bin", "INT", false), ("other.bin", "KILL", false), ("third.bin", "INT", true)] {
        let path = sandbox.file(name, &content);
        let upload = [&["files", "upload", &path, "--format", "v2"], &node[..]].concat();
        let json = [&upload[..], &["--json"]].concat();
        let stopped = stop(&sandbox, &json, by);
        assert_eq!((stopped.code, stopped.stdout.as_str()), (if by == "INT" { 130 } else { -1 }, ""), "{stopped:?}");
        assert_eq!(stopped.stderr.contains("run the same command again to continue the upload"), by == "INT");
        let ended = sandbox.run(if is_text { &upload } else { &json });
        if is_text {
            let percent = ended.stderr.split("resuming at ").nth(1).and_then(|rest| rest.split('%').next());
            assert!((20..100).contains(&percent.unwrap().parse::<u64>().unwrap()), "{ended:?}");
            continue;
        }
        let resumed = ended.json()["resumed"].as_u64().unwrap();
        assert!((PIECE - 1024..LENGTH as u64).contains(&resumed), "{resumed}");
        let lines = ended.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let progress: Vec<Value> = lines.filter_map(|mut line| Some(line.get_mut("progress")?.take())).collect();
        assert!(!progress.is_empty());
        for line in &progress {
            assert_eq!((&line["total"], &line["resumed"]), (&LENGTH.into(), &resumed.into()), "{line}");
            assert!(line["bytes"].as_u64().unwrap() >= resumed, "{line}");
        }
        let id = ended.json()["id"].as_str().unwrap().to_owned();
        let copy = sandbox.path(&format!("copy-{name}"));
        let to = copy.to_str().unwrap();
        sandbox.run(&[&["files", "download", &id, "--output", to, "--json"], &node[..]].concat()).json();
        assert!(std::fs::read(copy).unwrap() == content, "{name}");
    }
    let listed = sandbox.run(&[&["files", "list", "--json"], &node[..]].concat()).json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[test]
fn a_share_that_was_stopped_goes_on_and_says_so() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let path = sandbox.file("large.bin", bytes(LENGTH));
    let url = backbone.text("/url");
    let share = ["share", &path, "--data-dir", "d", "--backbone", url, "--listen", "127.0.0.1:0"];
    let stopped = stop(&sandbox, &[&share[..], &["--json"]].concat(), "TERM");
    assert!(stopped.stderr.contains("run the same command again to continue the upload"), "{stopped:?}");
    let shared = sandbox.serve(&share);
    assert!(shared.line["resumed"].as_u64().unwrap() >= PIECE - 1024, "{}", shared.line);
    let received = sandbox.receive(shared.reference(), &["--output", "copy.bin", "--backbone", url]);
    assert_eq!(received.json()["bytes"], LENGTH);
    assert!(std::fs::read(sandbox.path("copy.bin")).unwrap() == bytes(LENGTH));
}
