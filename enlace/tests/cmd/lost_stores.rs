//! A data directory that has had an identity never gets another one by itself.

use std::path::Path;

use crate::sandbox::{Sandbox, everything_below};

const SERVE: [&str; 7] = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];

/// What a program must neither add to nor take from.
fn content(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut paths = everything_below(directory);
    paths.retain(|path| !path.ends_with("node.lock"));
    paths.sort();
    paths
}

/// Takes these entries away: a start is refused, names what to restore and makes nothing. With them back it is the same
/// identity.
fn lose(names: &[&str], words: &[&str]) {
    let sandbox = Sandbox::new();
    let serving = sandbox.serve(&SERVE);
    let address = serving.text("/identity/address").to_owned();
    serving.stop();
    std::fs::create_dir(sandbox.path("away")).unwrap();
    for name in names {
        std::fs::rename(sandbox.path("d").join(name), sandbox.path("away").join(name)).unwrap();
    }
    let before = content(&sandbox.path("d"));
    let refused = sandbox.run(&SERVE);
    refused.refused(7, words);
    assert_eq!(refused.stderr.matches(" missing").count(), 1, "said once: {refused:?}");
    assert!(refused.stderr.contains("\nhint: restore"), "{refused:?}");
    let doctor = sandbox.run(&["doctor", "--data-dir", "d", "--listen", "127.0.0.1:0"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(words.iter().all(|word| doctor.stdout.contains(word)), "{doctor:?}");
    assert!(!doctor.stdout.contains("nothing was started"), "{doctor:?}");
    assert_eq!(content(&sandbox.path("d")), before, "nothing is made, nothing is removed");
    for name in names {
        std::fs::rename(sandbox.path("away").join(name), sandbox.path("d").join(name)).unwrap();
    }
    assert_eq!(sandbox.serve(&SERVE).text("/identity/address"), address);
}

#[test]
fn a_store_beside_its_key_is_not_replaced() {
    lose(&["store"], &["/d/store is missing", "store.key is there", "restore it from a backup"]);
}

#[test]
fn a_store_without_its_key_is_not_given_a_new_one() {
    lose(&["store.key"], &["store.key is missing", "/d/store exists", "restore the key file"]);
}

#[test]
fn a_store_and_its_key_are_not_replaced_where_a_start_has_succeeded() {
    lose(&["store", "store.key"], &["/d/store and", "store.key are missing", "start.json is there", "restore both"]);
}

#[test]
fn records_of_the_embedded_backbone_are_not_replaced() {
    let sandbox = Sandbox::new();
    sandbox.serve(&SERVE).stop();
    let (records, gone) = (sandbox.path("d/backbone/records"), sandbox.path("gone"));
    std::fs::rename(&records, &gone).unwrap();
    let refused = sandbox.run(&SERVE);
    refused.refused(7, &["/d/backbone/records is missing", "server.key is there", "hint: restore it from a backup"]);
    assert_eq!(refused.stderr.matches("records").count(), 1, "named once: {refused:?}");
    std::fs::rename(&gone, &records).unwrap();
    sandbox.serve(&SERVE).stop();
}

#[test]
fn an_embedded_backbone_that_is_gone_altogether_is_not_replaced() {
    lose(&["backbone"], &["/d/backbone is missing", "start.json is there", "restore it from a backup"]);
}

#[test]
fn an_api_key_that_was_put_there_beforehand_is_no_trace_of_a_store() {
    let sandbox = Sandbox::new();
    sandbox.file("d/api-key", "prepared_ABcd1234567890123456789012345678\n");
    #[cfg(unix)]
    for (name, mode) in [("d", 0o700), ("d/api-key", 0o600)] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let doctor = sandbox.run(&["doctor", "--data-dir", "d", "--listen", "127.0.0.1:0"]);
    assert!(doctor.stdout.contains("nothing has been started here yet"), "{doctor:?}");
    sandbox.serve(&SERVE).stop();
}
