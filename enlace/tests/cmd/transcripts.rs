//! Whole conversations as data: `transcripts/*.txt`.
//!
//! `$ enlace …` runs the program in a fresh directory for each file, `< name text` writes a file before the next run.
//! Lines after a run are what it writes: on standard output as they are, on standard error after `! `, the exit code
//! after `? ` (0 if absent). `…` in a line stands for anything.

use crate::sandbox::Sandbox;

#[derive(Default)]
struct Run {
    words: Vec<String>,
    stdout: Vec<String>,
    stderr: Vec<String>,
    code: i32,
}

#[test]
fn transcripts_hold() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/transcripts");
    let mut played = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        play(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        played += 1;
    }
    assert!(played >= 3);
}

fn play(name: &str, transcript: &str) {
    let sandbox = Sandbox::new();
    let mut run: Option<Run> = None;
    for line in transcript.lines().chain(["$ end"]) {
        if let Some(command) = line.strip_prefix("$ ") {
            if let Some(run) = run.take() {
                check(name, &sandbox, &run);
            }
            run = Some(Run { words: words(command), ..Run::default() });
        } else if let Some(file) = line.strip_prefix("< ") {
            if let Some(run) = run.take() {
                check(name, &sandbox, &run);
            }
            let (file, content) = file.split_once(' ').unwrap();
            sandbox.file(file, content);
        } else if let Some(run) = &mut run {
            match (line.strip_prefix("! ").or((line == "!").then_some("")), line.strip_prefix("? ")) {
                (Some(text), _) => run.stderr.push(text.to_owned()),
                (_, Some(code)) => run.code = code.parse().unwrap(),
                _ => run.stdout.push(line.to_owned()),
            }
        }
    }
}

fn check(name: &str, sandbox: &Sandbox, run: &Run) {
    let args: Vec<&str> = run.words.iter().skip(1).map(String::as_str).collect();
    let ended = sandbox.run(&args);
    let place = format!("{name}: {:?}", run.words);
    assert_eq!(ended.code, run.code, "{place}: {ended:?}");
    compare(&place, &run.stdout, &ended.stdout);
    compare(&place, &run.stderr, &ended.stderr);
}

fn compare(place: &str, expected: &[String], written: &str) {
    let written: Vec<&str> = written.lines().collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let fits = expected.len() == written.len() && expected.iter().zip(&written).all(|(line, text)| fits(line, text));
    assert!(fits, "{place}\nexpected:\n{}\nwritten:\n{}", expected.join("\n"), written.join("\n"));
}

/// Whether a text is a pattern in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(text) = text.strip_prefix(start) else { return false };
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| fits(rest, &text[at..]))
        }
    }
}

/// Words at blanks; quotes keep blanks.
fn words(command: &str) -> Vec<String> {
    let quoted = command.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    });
    quoted.collect()
}
