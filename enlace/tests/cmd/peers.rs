//! What the program says of peers.

use serde_json::json;

use crate::sandbox::Sandbox;

const SERVE: [&str; 7] = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];

#[test]
fn peers_are_asked_of_the_process_that_serves() {
    let sandbox = Sandbox::new();
    let peers = ["peers", "--data-dir", "d", "--json"];
    sandbox.run(&peers).refused(5, &["no process serves the data directory", "enlace serve", "enlace share"]);
    let serving = sandbox.serve(&SERVE);
    assert_eq!(sandbox.run(&peers).json(), json!({"peers": [], "self": null}));
    let ended = sandbox.run(&peers[..3]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "no peer is connected\n"), "{ended:?}");
    assert!(ended.stderr.contains("--no-direct"), "{ended:?}");
    let doctor = sandbox.run(&["doctor", "--data-dir", "d"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("they are switched off"), "{doctor:?}");
    serving.stop();
}

#[test]
fn options_of_peers_that_contradict_each_other_are_refused() {
    let sandbox = Sandbox::new();
    let listen = ["--peer-listen", "/ip4/127.0.0.1/tcp/0"];
    for (args, words) in [
        (vec!["share", "x", "--local", listen[0], listen[1]], "--local"),
        (vec!["serve", "--no-direct", listen[0], listen[1]], "--no-direct"),
        (vec!["receive", "x", "--peer-listen", "127.0.0.1:80"], "such as /ip4/0.0.0.0/tcp/4712"),
    ] {
        sandbox.run(&args).refused(2, &[words]);
    }
}

#[test]
fn the_configuration_shows_what_options_of_peers_stand_for() {
    let sandbox = Sandbox::new();
    let shown = |args: &[&str]| {
        let printed = sandbox.run(&[&["serve", "--print-config", "--json"], args].concat());
        printed.json()["enlace"]["peers"].clone()
    };
    let options = ["--peer-listen", "/ip6/::1/udp/0/quic-v1", "--peer-listen", "/ip4/127.0.0.1/tcp/4712"];
    let peers = shown(&[&options[..], &["--no-mdns", "--no-dht", "--no-relay"]].concat());
    assert_eq!(peers["listen"], json!(["/ip6/::1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/4712"]));
    // Over the variable that switches them off in these tests.
    assert_eq!([&peers["enabled"], &peers["mdns"], &peers["relaying"]], [true, false, false]);
    assert_eq!(peers["dht"]["protocol"], "");
    assert_eq!(shown(&["--no-direct"])["enabled"], false);
}
