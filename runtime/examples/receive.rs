//! An application that receives a file by its reference.
//!
//! ```text
//! cargo run -p enlace-runtime --example receive -- http://localhost:8090 client secret ./other-data <reference> copy.md
//! ```

use std::error::Error;

use runtime::facade::LoadFile;
use runtime::{BackboneConfig, Config, Runtime, Secret};

const USAGE: &str = "usage: receive <backbone url> <client id> <client secret> <data directory> <reference> <target>";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: [String; 6] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| USAGE)?;
    let [url, client, secret, data_dir, reference, target] = arguments;

    let node =
        Runtime::builder(Config::new(data_dir, BackboneConfig::new(url, client, Secret::new(secret)))).start().await?;
    let file = node.files().get_or_load_file(LoadFile { reference, password: None }).await?;
    eprintln!("{} shares {:?}, {} bytes", file.owner, file.filename, file.filesize);

    let download = node.files().download_file(&file.id, None).await?;
    // The sender chose `file.filename`, so the target is ours; an existing file is not overwritten.
    let mut copy = tokio::fs::File::create_new(&target).await?;
    tokio::io::copy(&mut download.content.into_reader(), &mut copy).await?;
    copy.sync_all().await?;

    println!("{target}");
    node.shutdown().await?;
    Ok(())
}
