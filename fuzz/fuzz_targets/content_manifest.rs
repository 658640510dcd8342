//! Manifests: what is accepted is the only encoding of its entries, and no path leaves the folder.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use transport::content::manifest::{Manifest, RelativePath};

fuzz_target!(|input: (u64, &[u8], &str)| {
    let (length, bytes, path) = input;
    // The sum of the sizes is in the way of everything else, so a content of no bytes but the manifest is tried as well.
    for length in [length, bytes.len() as u64] {
        if let Ok(manifest) = Manifest::decode(bytes, length) {
            assert_eq!(manifest.encode(), bytes);
            manifest.entries().iter().for_each(|entry| stays_below(&entry.path));
        }
    }
    if let Ok(path) = RelativePath::new(path) {
        stays_below(&path);
    }
});

fn stays_below(path: &RelativePath) {
    assert!(Path::new(path.as_str()).components().all(|name| matches!(name, Component::Normal(_))));
}
