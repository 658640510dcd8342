//! The memory that a large file takes, in a process of its own with its backbone.
#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(target_os = "linux")]

use runtime::dto::FileFormat;
use runtime::facade::{ContentFormat, UploadOwnFile};
use runtime::{BackboneConfig, Config, Runtime, Secret};
use tokio::io::AsyncReadExt as _;

/// Bytes of the file.
const LENGTH: u64 = 256 << 20;
/// What it may take beside what the process has before.
const ALLOWED: u64 = 64 << 20;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_any_length_takes_the_same_memory() {
    let directory = tempfile::tempdir().unwrap();
    let settings = backbone_mock::Config::new(directory.path().join("backbone")).with_client("test", "test");
    let backbone = backbone_mock::Backbone::start(settings).await.unwrap();
    let backbone_config = BackboneConfig::new(backbone.url(), "test", Secret::new("test"));
    let node = Runtime::builder(Config::new(directory.path().join("node"), backbone_config)).start().await.unwrap();
    let upload = |length: u64| {
        let content = tokio::io::repeat(7).take(length);
        let (filename, mimetype) = ("a.bin".parse().unwrap(), "application/octet-stream".parse().unwrap());
        UploadOwnFile { format: ContentFormat::V2, ..UploadOwnFile::new(content, filename, mimetype) }
    };
    node.files().upload_own_file(upload(1)).await.unwrap();
    let before = peak();
    let uploaded = node.files().upload_own_file(upload(LENGTH)).await.unwrap();
    assert_eq!((uploaded.filesize, uploaded.format), (LENGTH, FileFormat::V2));
    let mut reader = node.files().download_file(&uploaded.id, None).await.unwrap().content.into_reader();
    assert_eq!(tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.unwrap(), LENGTH);
    let taken = peak() - before;
    assert!(taken <= ALLOWED, "{taken} bytes");
}
