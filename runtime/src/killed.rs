//! For tests in which a process is killed: runs one of the tests of this program in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the ignored test `name` with the directory in the variable `variable`, passes its lines to `acknowledge`, which says whether
/// one is an acknowledgement, and kills the process at the acknowledgement `count`. What comes before its end is passed on, too.
pub(crate) fn kill_after(
    count: usize,
    name: &str,
    (variable, directory): (&str, &Path),
    mut acknowledge: impl FnMut(&str) -> bool,
) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(variable, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = 0;
    for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if acknowledge(&line) {
            seen += 1;
            if seen == count {
                process.kill().unwrap();
            }
        }
    }
    process.wait().unwrap();
    assert!(seen >= count, "the process ended by itself");
}
