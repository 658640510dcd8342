//! An application that shares a file: its own identity, one upload, one token.
//!
//! ```text
//! cargo run -p enlace-runtime --example share -- http://localhost:8090 client secret ./data README.md
//! ```

use std::error::Error;
use std::time::Duration;

use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use runtime::{BackboneConfig, Config, Runtime, Secret};

const USAGE: &str = "usage: share <backbone url> <client id> <client secret> <data directory> <file>";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: [String; 5] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| USAGE)?;
    let [url, client, secret, data_dir, path] = arguments;

    let node =
        Runtime::builder(Config::new(data_dir, BackboneConfig::new(url, client, Secret::new(secret)))).start().await?;
    eprintln!("sharing as {}", node.account().identity_info().await?.address);

    let content = tokio::fs::File::open(&path).await?;
    let file = UploadOwnFile::new(content, path.parse()?, "application/octet-stream".parse()?);
    let file = node.files().upload_own_file(file).await?;
    let in_a_week = node.clock().now().saturating_add(Duration::from_secs(7 * 24 * 60 * 60));
    let request = CreateTokenForFile { expires_at: Some(in_a_week), ephemeral: true, ..CreateTokenForFile::default() };
    let token = node.files().create_token_for_file(&file.id, request).await?;

    println!("{}", token.reference.url);
    node.shutdown().await?;
    Ok(())
}
