//! What other users of the machine can do to a data directory, and what they can see of a process.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::sandbox::Sandbox;

/// Somebody without rights.
const USER: u32 = 54321;
const OTHER_USER: u32 = 54322;
const SERVE: [&str; 7] = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
const BACKBONE: [&str; 5] = ["backbone", "--data-dir", "b", "--listen", "127.0.0.1:0"];

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether files can be given away here. Continuous integration has the right to.
fn is_superuser(sandbox: &Sandbox) -> bool {
    let is = fs::metadata(sandbox.path("")).unwrap().uid() == 0;
    if !is {
        crate::sandbox::skipped("only the superuser can act as several users; run the tests as root");
    }
    is
}

/// The program as another user, from a copy that this user can reach.
fn command_as(sandbox: &Sandbox, user: u32, args: &[&str]) -> Command {
    let program = sandbox.path("enlace");
    if !program.exists() {
        // By a process of its own: a test that starts a program at this moment would inherit the file while it is open for writing, and a program
        // that somebody can write to is not started (ETXTBSY).
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_enlace")).arg(&program).status().unwrap().success());
        set_mode(&program, 0o755);
        set_mode(&sandbox.path(""), 0o755);
    }
    let mut command = Command::new(program);
    command.args(args).current_dir(sandbox.path("")).env_clear().env("HOME", sandbox.path("home"));
    command.stdin(std::process::Stdio::null()).uid(user).gid(user);
    command
}

#[test]
fn a_directory_that_others_can_open_or_replace_is_refused_with_the_command_that_helps() {
    let sandbox = Sandbox::new();
    for (args, name) in [(&SERVE[..], "d"), (&BACKBONE[..], "b")] {
        let directory = sandbox.path(name);
        fs::create_dir(&directory).unwrap();
        for mode in [0o777, 0o770, 0o702] {
            set_mode(&directory, mode);
            sandbox.run(args).refused(7, &["is open to other users", "run: chmod 0700 ", name]);
            assert_eq!(sandbox.names(name), Vec::<String>::new(), "nothing is written there");
        }
        // What a backbone holds is sealed, and its files have permissions of their own.
        set_mode(&directory, 0o755);
        match name {
            "b" => drop(sandbox.serve(args).stop()),
            _ => sandbox.run(args).refused(7, &["is open to other users", "run: chmod 0700 ", name]),
        }
        set_mode(&directory, 0o700);
        set_mode(&sandbox.path(""), 0o777);
        sandbox.run(args).refused(7, &["can be replaced by other users", "run: chmod go-w "]);
        set_mode(&sandbox.path(""), 0o1777);
        sandbox.serve(args).stop();
        set_mode(&sandbox.path(""), 0o700);
    }
}

#[test]
fn what_another_user_owns_is_refused_with_the_command_that_helps() {
    let sandbox = Sandbox::new();
    if !is_superuser(&sandbox) {
        return;
    }
    sandbox.serve(&SERVE).stop();
    sandbox.serve(&BACKBONE).stop();
    let owned = ["d", "d/store", "d/store.key", "d/api-key", "d/backbone-client", "d/start.json", "d/backbone"];
    let of_the_backbone = ["b", "b/records", "b/server.key"];
    let cases = owned.map(|name| (&SERVE[..], name)).into_iter();
    for (args, name) in cases.chain(of_the_backbone.map(|name| (&BACKBONE[..], name))) {
        chown(sandbox.path(name), Some(USER), None).unwrap();
        sandbox.run(args).refused(7, &[name, "belongs to user 54321", "run: chown 0 "]);
        chown(sandbox.path(name), Some(0), None).unwrap();
        sandbox.serve(args).stop();
    }
}

#[test]
fn a_user_is_served_in_a_directory_of_their_own_only() {
    let sandbox = Sandbox::new();
    if !is_superuser(&sandbox) {
        return;
    }
    for (name, owner) in [("mine", USER), ("theirs", OTHER_USER)] {
        fs::create_dir(sandbox.path(name)).unwrap();
        set_mode(&sandbox.path(name), 0o755);
        chown(sandbox.path(name), Some(owner), Some(owner)).unwrap();
    }
    fs::create_dir(sandbox.path("theirs/d")).unwrap();
    set_mode(&sandbox.path("theirs/d"), 0o700);
    chown(sandbox.path("theirs/d"), Some(USER), Some(USER)).unwrap();
    let run = |directory: &str| {
        let mut args = SERVE;
        args[2] = directory;
        command_as(&sandbox, USER, &args)
    };
    let ended = crate::sandbox::Ended::from(run("theirs/d").output().unwrap());
    ended.refused(7, &["can be replaced by user 54322", "below your own"]);
    crate::sandbox::Serving::try_start(&mut run("mine/d")).unwrap().stop();
    // A group of one's own may write, as it can by default on many systems.
    set_mode(&sandbox.path("mine"), 0o775);
    crate::sandbox::Serving::try_start(&mut run("mine/d")).unwrap().stop();
    chown(sandbox.path("mine"), None, Some(OTHER_USER)).unwrap();
    let ended = crate::sandbox::Ended::from(run("mine/d").output().unwrap());
    ended.refused(7, &["can be replaced by other users", "chmod go-w ", "only you may write"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_node_leaves_no_core_dump() {
    let sandbox = Sandbox::new();
    let node = sandbox.serve(&SERVE);
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_memory_of_a_node_is_closed_to_other_processes_of_its_user() {
    let sandbox = Sandbox::new();
    if !is_superuser(&sandbox) {
        return;
    }
    fs::create_dir(sandbox.path("mine")).unwrap();
    chown(sandbox.path("mine"), Some(USER), Some(USER)).unwrap();
    let mut args = SERVE;
    args[2] = "mine/d";
    let node = crate::sandbox::Serving::try_start(&mut command_as(&sandbox, USER, &args)).unwrap();
    // What /proc shows of a process belongs to its user only if the process may be dumped and traced.
    let memory = format!("/proc/{}/mem", node.pid());
    assert_eq!(fs::metadata(&memory).unwrap().uid(), 0);
    let reading = Command::new("cat").arg(format!("/proc/{}/environ", node.pid())).uid(USER).gid(USER).output();
    assert!(!reading.unwrap().status.success(), "its user can read its environment");
    node.stop();
}

#[test]
fn what_a_user_cannot_read_is_named_before_anything_is_sent_and_can_be_left_out() {
    let sandbox = Sandbox::new();
    if !is_superuser(&sandbox) {
        return;
    }
    for (file, closed) in [("folders/mine/a", "folders/closed/b"), ("files/mine", "files/closed")] {
        sandbox.file(file, "a");
        sandbox.file(closed, "b");
    }
    set_mode(&sandbox.path("folders/closed"), 0o700);
    set_mode(&sandbox.path("files/closed"), 0o600);
    for (folder, closed) in
        [("folders", "folders/closed: permission denied"), ("files", "files/closed: permission denied")]
    {
        // Nothing answers there.
        let share = ["share", folder, "--data-dir", "d", "--backbone", "http://127.0.0.1:1"];
        let run = |more: &[&str]| {
            let mut command = command_as(&sandbox, USER, &[&share[..], more].concat());
            crate::sandbox::Ended::from(command.output().unwrap())
        };
        run(&[]).refused(7, &["cannot read ", closed, "--exclude GLOB"]);
        assert!(!run(&["--exclude", "closed"]).stderr.contains("closed"));
    }
}
