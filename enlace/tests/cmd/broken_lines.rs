//! Receiving over a line that changes, cuts or holds what it carries.

use std::process::Stdio;
use std::time::Duration;

use crate::proxy::{LARGE, Mischief, Proxy};
use crate::sandbox::{Ended, Sandbox, Serving, bytes, signal};

fn share_behind(sandbox: &Sandbox, mischief: Mischief) -> (Serving, Proxy, String) {
    let shared = sandbox.share(&sandbox.file("in/data.bin", bytes(5 * LARGE)), &[]);
    let port = shared.text("/backbone/url").rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(port, mischief);
    let reference = proxy.through(shared.reference());
    std::fs::create_dir(sandbox.path("out")).unwrap();
    (shared, proxy, reference)
}

#[test]
fn a_flipped_bit_is_refused_and_nothing_is_kept() {
    let sandbox = Sandbox::new();
    let (_shared, proxy, reference) = share_behind(&sandbox, Mischief::Flip);
    sandbox.receive(&reference, &["--output", "out"]).refused(6, &["nothing was kept"]);
    assert!(proxy.happened());
    assert!(sandbox.names("out").is_empty());
    assert!(sandbox.names("receiver/tmp").is_empty());
}

#[test]
fn a_cut_connection_loses_nothing_and_leaves_nothing_half() {
    let sandbox = Sandbox::new();
    let (_shared, proxy, reference) = share_behind(&sandbox, Mischief::Cut);
    let ended = sandbox.receive(&reference, &["--output", "out"]);
    assert!(proxy.happened());
    if ended.code == 0 {
        // Safe requests are tried again.
        assert_eq!(std::fs::read(sandbox.path("out/data.bin")).unwrap(), bytes(5 * LARGE));
    } else {
        ended.refused(5, &[]);
        assert!(sandbox.names("out").is_empty());
        sandbox.receive(&reference, &["--output", "out"]).json();
    }
}

#[test]
fn a_download_stopped_by_ctrl_c_leaves_nothing() {
    let sandbox = Sandbox::new();
    let (_shared, proxy, reference) = share_behind(&sandbox, Mischief::Stall);
    let args = ["receive", &reference, "--data-dir", "receiver", "--output", "out"];
    let child = sandbox.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !proxy.happened() {
        std::thread::sleep(Duration::from_millis(5)); // another process is awaited, no clock can be injected there
    }
    signal(&child, "INT");
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.refused(130, &["nothing was kept"]);
    assert!(sandbox.names("out").is_empty());
    assert!(sandbox.names("receiver/tmp").is_empty());
}
