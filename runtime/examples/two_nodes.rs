//! Two nodes and a backbone in one process: Alice shares a file with Bob alone, Bob receives it.
//!
//! ```text
//! cargo run -p enlace-runtime --example two_nodes
//! ```

use std::error::Error;
use std::path::Path;

use backbone_mock::Backbone;
use runtime::facade::{CreateTokenForFile, LoadFile, UploadOwnFile};
use runtime::{BackboneConfig, Config, Runtime, Secret};
use tokio::io::AsyncReadExt as _;

const CONTENT: &[u8] = b"The meeting is at nine.";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let settings = backbone_mock::Config::new(directory.path().join("backbone")).with_client("example", "secret");
    let backbone = Backbone::start(settings).await?;
    println!("a backbone at {}", backbone.url());

    let alice = start(&directory.path().join("alice"), &backbone).await?;
    let bob = start(&directory.path().join("bob"), &backbone).await?;
    let address = bob.account().identity_info().await?.address;
    println!("alice is {}", alice.account().identity_info().await?.address);
    println!("bob is {address}");

    let file = alice.files().upload_own_file(note()).await?;
    println!("alice uploaded {:?} as {}", file.filename, file.id);
    let request = CreateTokenForFile { ephemeral: true, for_identity: Some(address), ..CreateTokenForFile::default() };
    let token = alice.files().create_token_for_file(&file.id, request).await?;
    println!("alice hands on {}", token.reference.url);

    let loaded = bob.files().get_or_load_file(LoadFile { reference: token.reference.url, password: None }).await?;
    let download = bob.files().download_file(&loaded.id, None).await?;
    let mut received = Vec::new();
    download.content.into_reader().read_to_end(&mut received).await?;
    assert_eq!(received, CONTENT);
    println!("bob received {:?}: {}", loaded.filename, String::from_utf8_lossy(&received));

    alice.shutdown().await?;
    bob.shutdown().await?;
    backbone.shutdown().await?;
    Ok(())
}

async fn start(data_dir: &Path, backbone: &Backbone) -> Result<Runtime, runtime::Error> {
    let settings = BackboneConfig::new(backbone.url(), "example", Secret::new("secret"));
    Runtime::builder(Config::new(data_dir, settings)).start().await
}

fn note() -> UploadOwnFile {
    let filename = "note.txt".parse().expect("a file name");
    let mimetype = "text/plain".parse().expect("a media type");
    UploadOwnFile { title: Some("Tomorrow".into()), ..UploadOwnFile::new(CONTENT, filename, mimetype) }
}
