//! Standard input, standard output and pipes in place of files.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::sandbox::{Ended, Sandbox, Serving, bytes};

/// A program whose standard output nobody reads.
fn into_closed_pipe(mut command: Command) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Ended::from(command.stdout(writer).stderr(Stdio::piped()).output().unwrap())
}

/// The commands that write a result, each of which can run in a directory without a node of its own.
const WRITING: [&[&str]; 6] = [
    &["completions", "bash"],
    &["--help"],
    &["--version"],
    &["serve", "--print-config"],
    &["identity", "--data-dir", "d", "--backbone-listen", "127.0.0.1:0"],
    &["files", "list", "--data-dir", "d", "--backbone-listen", "127.0.0.1:0"],
];

const SERVING: [&[&str]; 3] = [
    &["share", "a.txt", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"],
    &["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"],
    &["backbone", "--data-dir", "b", "--listen", "127.0.0.1:0"],
];

#[test]
fn a_result_that_nobody_reads_is_a_failure_and_ends_even_what_serves() {
    let sandbox = Sandbox::new();
    sandbox.file("a.txt", "hello");
    for args in WRITING.iter().chain(&SERVING) {
        for json in [&[][..], &["--json"]] {
            let ended = into_closed_pipe(sandbox.command(&[args, json].concat()));
            assert_eq!(ended.code, 7, "{args:?}: {ended:?}");
            assert!(ended.stderr.contains("standard output: broken pipe"), "{args:?}: {ended:?}");
            assert!(!ended.stderr.contains("os error"), "{ended:?}");
        }
    }
    assert!(!sandbox.path("d/running.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_on_a_full_disk_is_a_failure_and_ends_even_what_serves() {
    let sandbox = Sandbox::new();
    sandbox.file("a.txt", "hello");
    for args in WRITING.iter().chain(&SERVING) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = Ended::from(sandbox.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap());
        assert_eq!(ended.code, 7, "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("standard output: no space left on device"), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("free some space"), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_file_goes_to_standard_output_and_the_line_about_it_to_standard_error() {
    let sandbox = Sandbox::new();
    let shared = sandbox.share(&sandbox.file("a.txt", "hello\n"), &[]);
    let received = sandbox.receive(shared.reference(), &["--output", "-"]);
    assert_eq!((received.code, received.stdout.as_str()), (0, "hello\n"), "{received:?}");
    let line: serde_json::Value = serde_json::from_str(received.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&line["bytes"], &line["savedTo"]), (&6.into(), &"-".into()), "{line}");
    let id = line["file"]["id"].as_str().unwrap();
    let downloaded = sandbox.run(&["files", "download", id, "--data-dir", "receiver", "--output", "-"]);
    assert_eq!((downloaded.code, downloaded.stdout.as_str()), (0, "hello\n"), "{downloaded:?}");
    assert!(!sandbox.path("-").exists());
    let command = sandbox.command(&["files", "download", id, "--data-dir", "receiver", "--output", "-"]);
    let lost = into_closed_pipe(command);
    assert_eq!(lost.code, 7, "{lost:?}");
}

#[test]
fn standard_input_is_uploaded_like_a_file() {
    let sandbox = Sandbox::new();
    let at = ["--data-dir", "d", "--backbone-listen", "127.0.0.1:0"];
    for word in ["-", "/dev/stdin"] {
        let upload = [&["files", "upload", word, "--json"], &at[..]].concat();
        let uploaded = sandbox.run_with_input(&upload, "from a pipe").json();
        assert_eq!((&uploaded["filename"], &uploaded["filesize"]), (&"stdin".into(), &11.into()), "{uploaded}");
        let id = uploaded["id"].as_str().unwrap();
        let read = sandbox.run(&[&["files", "download", id, "--output", "-"], &at[..]].concat());
        assert_eq!(read.stdout, "from a pipe", "{read:?}");
    }
    let limit = "--transportLibrary:platformMaxUnencryptedFileSize=10";
    let upload = [&["files", "upload", "-", "--format", "v1", limit], &at[..]].concat();
    sandbox
        .run_with_input(&upload, "from a pipe")
        .refused(4, &["standard input has more than the limit of 10 bytes", "platformMaxUnencryptedFileSize"]);
}

/// `share`s what is on standard input.
fn share_input(sandbox: &Sandbox, input: &str, args: &[&str]) -> Serving {
    let input = File::open(sandbox.file("input", input)).unwrap();
    let ports = ["--data-dir", "sender", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let mut command = sandbox.command(&[&["share"], args, &ports].concat());
    Serving::try_start(command.stdin(input)).unwrap()
}

#[test]
fn standard_input_and_texts_are_shared_under_the_name_that_is_given() {
    let sandbox = Sandbox::new();
    for (args, name, mimetype) in [
        (&["-"][..], "stdin", "application/octet-stream"),
        (&["-", "--name", "a.tar"], "a.tar", "application/x-tar"),
        (&["--text"], "text.txt", "text/plain"),
        (&["--text", "--name", "note"], "note", "text/plain"),
        (&["--text", "--name", "page.html"], "page.html", "text/html"),
    ] {
        let shared = share_input(&sandbox, "Grüße\n", args);
        assert_eq!((shared.text("/file/filename"), shared.text("/file/mimetype")), (name, mimetype));
        let download = ["files", "download", shared.text("/file/id"), "--data-dir", "sender", "--output", "-"];
        let read = sandbox.run(&download);
        assert_eq!(read.stdout, "Grüße\n", "{read:?}");
        shared.stop();
    }
    let file = sandbox.file("own.txt", "hello");
    let uploaded = sandbox.run(&["files", "upload", &file, "--name", "other.pdf", "--data-dir", "d", "--json"]).json();
    assert_eq!((&uploaded["filename"], &uploaded["mimetype"]), (&"other.pdf".into(), &"application/pdf".into()));
}

#[test]
fn a_text_that_is_shared_again_is_not_uploaded_again() {
    let sandbox = Sandbox::new();
    let first = share_input(&sandbox, "hello", &["--text"]).text("/file/id").to_owned();
    assert_eq!(share_input(&sandbox, "hello", &["--text"]).text("/file/id"), first);
    assert_ne!(share_input(&sandbox, "hello", &["--text", "--name", "b.txt"]).text("/file/id"), first);
}

#[test]
fn a_text_is_never_an_argument_and_neither_empty_nor_anything_else() {
    let sandbox = Sandbox::new();
    let share = ["share", "--text", "--data-dir", "d"];
    sandbox.run_with_input(&share, "").refused(2, &["the text is empty"]);
    let limit = "--transportLibrary:platformMaxUnencryptedFileSize=4";
    sandbox
        .run_with_input(&[&share[..], &["--format", "v1", limit]].concat(), "hello")
        .refused(4, &["more than the limit of 4 bytes"]);
    sandbox.run(&["share", "--text", "a secret"]).refused(2, &["cannot be used with"]);
    sandbox.run(&["share"]).refused(2, &["<PATH>"]);
    let bytes = File::open(sandbox.file("bytes", b"a\xff")).unwrap();
    let refused = Ended::from(sandbox.command(&share).stdin(bytes).stderr(Stdio::piped()).output().unwrap());
    refused.refused(2, &["not UTF-8 text", "use - instead of --text"]);
    for name in ["a/b", "x\u{202e}y", ""] {
        let args = ["share", "-", "--name", name, "--data-dir", "d"];
        sandbox.run(&args).refused(2, &["up to 255 bytes"]);
    }
    assert!(!sandbox.path("d").exists(), "refused before anything starts");
}

#[test]
fn an_oauth_client_may_come_from_standard_input() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.txt", "hello");
    let client = "me:secret\n";
    let options = ["--client", "me:secret", "--did-domain-name", "localhost"];
    let backbone = sandbox.serve(&[&["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"], &options[..]].concat());
    let at = ["--backbone", backbone.text("/url"), "--client-file", "-", "--json"];
    let upload = [&["files", "upload", &file, "--data-dir", "d"], &at[..]].concat();
    let uploaded = sandbox.run_with_input(&upload, client).json();
    let reference = uploaded["reference"]["url"].as_str().unwrap();
    let receive = [&["receive", reference, "--data-dir", "r", "--output", "copy.txt"], &at[..]].concat();
    assert_eq!(sandbox.run_with_input(&receive, client).json()["bytes"], 5);
}

#[test]
fn text_files_and_references_may_have_a_byte_order_mark() {
    let sandbox = Sandbox::new();
    let marked = |text: &str| format!("\u{feff}{text}\r\n");
    let password = sandbox.file("pw.txt", marked("secret"));
    let config = sandbox.file("c.json", marked(r#"{"modules": {"sync": {"interval": 7}}}"#));
    let shared = sandbox.share(&sandbox.file("a.txt", "hello"), &["--password-file", &password, "--config", &config]);
    let plain = sandbox.file("plain.txt", "secret");
    let receive = ["receive", "-", "--data-dir", "receiver", "--output", "-", "--password-file", &plain];
    let received = sandbox.run_with_input(&receive, &marked(shared.reference()));
    assert_eq!(received.stdout, "hello", "{received:?}");
    let content = sandbox.file("content.json", marked(r#"{"a": 1}"#));
    let create = ["tokens", "create", "--content", &content, "--expires-in", "1h", "--data-dir", "receiver", "--json"];
    sandbox.run(&create).json();
    // What Windows PowerShell writes by default.
    let utf_16 = sandbox.file("utf16.txt", b"\xff\xfes\0e\0c\0\r\0\n\0");
    sandbox
        .run(&["share", "a.txt", "--data-dir", "x", "--pin-file", &utf_16])
        .refused(2, &["utf16.txt is UTF-16", "save it as UTF-8"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_with_a_name_is_shared_like_a_file() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let content = bytes(200_000);
    let (written, path) = (content.clone(), pipe.clone());
    let writer = std::thread::spawn(move || std::fs::write(path, written).unwrap());
    let shared = sandbox.share(pipe.to_str().unwrap(), &[]);
    writer.join().unwrap();
    sandbox.receive(shared.reference(), &["--output", "copy"]).json();
    assert!(std::fs::read(sandbox.path("copy")).unwrap() == content);
    assert_eq!(shared.line["file"]["filename"], "pipe");
}

/// The lines about progress among those on standard error, as bytes of a total; all others are JSON too.
fn progress_of(stderr: &str, total: u64) -> Vec<u64> {
    let lines = stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let progress: Vec<_> = lines.filter_map(|mut line| Some(line.get_mut("progress")?.take())).collect();
    progress
        .iter()
        .map(|line| {
            let members = line.as_object().unwrap().keys().filter(|name| *name != "path");
            assert_eq!(members.collect::<Vec<_>>(), ["bytes", "total", "resumed"]);
            assert_eq!((&line["total"], &line["resumed"]), (&total.into(), &0.into()), "{line}");
            line["bytes"].as_u64().unwrap()
        })
        .collect()
}

#[test]
fn scripts_see_how_far_each_transfer_is() {
    let sandbox = Sandbox::new();
    let length = 2_000_000;
    let shared = sandbox.share(&sandbox.file("a.bin", bytes(2_000_000)), &[]);
    let id = shared.text("/file/id").to_owned();
    // Over REST, because `share` serves that directory, and in the process of the receiver.
    let download = ["files", "download", &id, "--data-dir", "sender", "--output", "b.bin", "--json"];
    let (downloaded, received) = (sandbox.run(&download), sandbox.receive(shared.reference(), &["--output", "c.bin"]));
    for ended in [&downloaded, &received] {
        assert_eq!((&ended.json()["bytes"], &ended.json()["resumed"]), (&length.into(), &0.into()));
    }
    let other = sandbox.file("d.bin", bytes(1_000_000));
    let uploaded = sandbox.run(&["files", "upload", &other, "--data-dir", "sender", "--json"]);
    uploaded.json();
    let shared = shared.stop();
    for (ended, total) in [(&shared, length), (&downloaded, length), (&received, length), (&uploaded, 1_000_000)] {
        let lines = progress_of(&ended.stderr, total);
        assert!(lines.is_sorted_by(|one, next| one < next), "{lines:?}");
        assert_eq!(lines.last(), Some(&total), "{ended:?}");
        // The path is that of a download.
        let last = ended.stderr.lines().rfind(|line| line.contains("progress")).unwrap();
        let is_download = std::ptr::eq(ended, &downloaded) || std::ptr::eq(ended, &received);
        assert_eq!(last.contains(r#""path":"backbone""#), is_download, "{last}");
    }
}

#[test]
fn people_and_logs_see_no_lines_for_scripts() {
    let sandbox = Sandbox::new();
    let uploaded = sandbox.run(&["files", "upload", &sandbox.file("a.txt", "hello"), "--data-dir", "d"]);
    assert!(uploaded.code == 0 && !uploaded.stderr.contains("progress"), "{uploaded:?}");
}
