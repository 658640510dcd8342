//! Uploads that were stopped: the same command continues them.

use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox, bytes, signal};
use crate::valve::Valve;

/// Takes some time to send.
const LENGTH: usize = 18 * 1024 * 1024 + 1;
/// So many bytes have arrived when more are on their way.
const PIECE: u64 = 4 * 1024 * 1024;

/// Runs a command until it has sent more than a piece of the file and not all of it, then sends a signal.
fn stop(sandbox: &Sandbox, valve: &Valve, args: &[&str], by: &str) -> Ended {
    valve.hold_requests_after(PIECE + PIECE / 2);
    let mut command = sandbox.command(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    valve.wait_for_requests();
    signal(&child, by);
    let ended = Ended::from(child.wait_with_output().unwrap());
    valve.cut();
    ended
}

#[test]
fn the_same_command_continues_an_upload_after_ctrl_c_and_after_a_kill() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"]);
    let valve = Valve::start(backbone.text("/url"));
    let url = valve.through(backbone.text("/url"));
    let node = ["--data-dir", "d", "--backbone", &url];
    let content = bytes(LENGTH);
    for (name, by, is_text) in [("one.bin", "INT", false), ("other.bin", "KILL", false), ("third.bin", "INT", true)] {
        let path = sandbox.file(name, &content);
        let upload = [&["files", "upload", &path, "--format", "v2"], &node[..]].concat();
        let json = [&upload[..], &["--json"]].concat();
        let stopped = stop(&sandbox, &valve, &json, by);
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
    let valve = Valve::start(backbone.text("/url"));
    let url = &valve.through(backbone.text("/url"));
    let share = ["share", &path, "--data-dir", "d", "--backbone", url, "--listen", "127.0.0.1:0"];
    let stopped = stop(&sandbox, &valve, &[&share[..], &["--json"]].concat(), "TERM");
    assert!(stopped.stderr.contains("run the same command again to continue the upload"), "{stopped:?}");
    let shared = sandbox.serve(&share);
    assert!(shared.line["resumed"].as_u64().unwrap() >= PIECE - 1024, "{}", shared.line);
    let received = sandbox.receive(shared.reference(), &["--output", "copy.bin", "--backbone", url]);
    assert_eq!(received.json()["bytes"], LENGTH);
    assert!(std::fs::read(sandbox.path("copy.bin")).unwrap() == bytes(LENGTH));
}
