//! Programs at a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::sandbox::{Ended, Sandbox, Serving, bytes};

/// A terminal of which the test is the person in front.
struct Terminal {
    person: File,
    device: OwnedFd,
}

impl Terminal {
    fn open() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let device = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Self { person: person.into(), device }
    }

    fn device(&self) -> Stdio {
        self.device.try_clone().unwrap().into()
    }

    fn type_in(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).unwrap();
    }

    /// Everything that programs have written, once none of them has the terminal any more.
    fn screen(self) -> String {
        drop(self.device);
        let (mut person, mut screen) = (self.person, Vec::new());
        // The end is an error on Linux.
        let _ = person.read_to_end(&mut screen);
        String::from_utf8(screen).unwrap()
    }
}

#[test]
fn a_file_goes_to_a_terminal_only_if_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "from afar"), &[]);
    let receive = ["receive", shared.reference(), "--data-dir", "receiver", "--output", "-"];
    let to_terminal = |args: &[&str]| {
        let terminal = Terminal::open();
        let mut command = sandbox.command(args);
        let child = command.stdout(terminal.device()).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        (Ended::from(child.wait_with_output().unwrap()), terminal.screen())
    };
    let (refused, screen) = to_terminal(&receive);
    refused.refused(2, &["standard output is a terminal", "hint: redirect it to a file", "--force"]);
    assert_eq!(screen, "");
    assert!(!sandbox.path("receiver").exists(), "refused before anything starts");
    let (forced, screen) = to_terminal(&[&receive[..], &["--force"]].concat());
    assert_eq!((forced.code, screen.as_str()), (0, "from afar"), "{forced:?}");
    let download = ["files", "download", shared.text("/file/id"), "--data-dir", "sender", "--output", "-"];
    let (refused, screen) = to_terminal(&download);
    refused.refused(2, &["standard output is a terminal"]);
    assert_eq!(screen, "");
}

#[test]
fn a_text_is_asked_for_at_a_terminal_and_ends_with_the_key_for_it() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::open();
    terminal.type_in("first line\nsecond line\n\u{4}");
    let args =
        ["share", "--text", "--data-dir", "sender", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let shared = Serving::try_start(sandbox.command(&args).stdin(terminal.device())).unwrap();
    let received = sandbox.receive(shared.reference(), &["--output", "-"]);
    assert_eq!(received.stdout, "first line\nsecond line\n", "{received:?}");
    let talk = shared.stop().stderr;
    assert!(talk.contains("text to share, ended by Ctrl-D"), "{talk}");
}

#[test]
fn people_see_rate_and_time_left_while_a_file_is_transferred() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.bin", bytes(3_000_000)), &[]);
    let terminal = Terminal::open();
    let mut command = sandbox.command(&["receive", shared.reference(), "--data-dir", "receiver", "--output", "b"]);
    command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(terminal.device());
    let mut child = command.spawn().unwrap();
    // It has the terminal as well.
    drop(command);
    let screen = terminal.screen();
    assert!(child.wait().unwrap().success(), "{screen}");
    assert!(screen.contains("/s ") && screen.contains(" left"), "{screen:?}");
}
