//! What is said when something does not work: in the words of the command line, once, with the documented exit code.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::sandbox::{Ended, Sandbox};

/// Answers every request with this status and an empty object. Runs until the test ends.
fn answering(status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let _ = connection.read(&mut [0; 16 * 1024]);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}

/// Checks that nothing in a message is for callers of an API, and that the hint does not repeat it.
#[track_caller]
fn assert_plain(ended: &Ended) {
    for word in
        ["error.", "/api/", "POST ", "GET ", "/connect/", "os error", "must NOT", "passwordProtection", "'content'"]
    {
        assert!(!ended.stderr.contains(word), "{word:?} in {ended:?}");
    }
    let line =
        |start: &str| ended.stderr.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default().to_owned();
    let (error, hint) = (line("error: "), line("hint: "));
    assert!(!error.is_empty(), "{ended:?}");
    assert!(!error.contains("running") || !hint.contains("running"), "{ended:?}");
}

#[test]
fn whatever_answers_in_place_of_a_backbone_is_reported_without_routes() {
    let sandbox = Sandbox::new();
    for (status, code, words) in [
        (500, 5, "status 500"),
        (404, 5, "no backbone answers at this URL"),
        (200, 5, "cannot be read"),
        (400, 5, "without giving a reason"),
        (401, 4, "refused the login"),
        (403, 4, "does not allow"),
        (301, 5, "status 301"),
    ] {
        let directory = format!("d{status}");
        let ended = sandbox.run(&["identity", "--data-dir", &directory, "--backbone", &answering(status)]);
        ended.refused(code, &[words]);
        assert_plain(&ended);
    }
    let ended = sandbox.run(&["identity", "--data-dir", "none", "--backbone", "http://127.0.0.1:1"]);
    ended.refused(5, &["cannot be reached", "hint: "]);
    assert_plain(&ended);
}

#[test]
fn refusals_of_values_and_records_have_no_codes_and_no_property_names() {
    let sandbox = Sandbox::new();
    let at = ["--data-dir", "d", "--backbone-listen", "127.0.0.1:0"];
    let serve = [&["serve", "--listen", "127.0.0.1:0"], &at[..]].concat();
    sandbox.file("a.txt", "hello");
    let uploaded = sandbox.run(&[&["files", "upload", "a.txt", "--json"], &at[..]].concat()).json();
    let file = uploaded["id"].as_str().unwrap();
    let pin = sandbox.file("pin", "12\n");
    let deep = sandbox.file("deep.json", format!(r#"{{"a": {}1{}}}"#, "[".repeat(100), "]".repeat(100)));
    let cases: [(&[&str], i32, &str); 6] = [
        (&["tokens", "create", file, "--pin-file", &pin], 2, "4 to 16 digits"),
        (&["tokens", "create", "--content", &deep, "--expires-in", "1h"], 2, "the content must not have more"),
        (&["files", "list", "--query", "nonsense=1"], 2, "the filter names a property"),
        (&["files", "download", "FIL00000000000000000"], 3, "file not found"),
        (&["tokens", "show", "TOK00000000000000000"], 3, "token not found"),
        (&["identity", "--data-dir", "/proc/x"], 7, "no such file or directory"),
    ];
    // In the same words by a node in this process and by one that serves.
    for is_served in [false, true] {
        let _serving = is_served.then(|| sandbox.serve(&serve));
        for (args, code, words) in &cases {
            let directory: &[&str] = if args.contains(&"--data-dir") { &[] } else { &["--data-dir", "d"] };
            let ended = sandbox.run(&[args, directory].concat());
            ended.refused(*code, &[words]);
            assert_plain(&ended);
        }
    }
    let fresh = ["identity", "--data-dir", "fresh", "--backbone-listen", "127.0.0.1:0"];
    let ended = sandbox.run(&[&fresh[..], &["--transportLibrary:allowIdentityCreation=false"]].concat());
    ended.refused(7, &["there is no identity in this data directory", "--data-dir"]);
    assert_plain(&ended);
}
