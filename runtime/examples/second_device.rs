//! An application that becomes another device of an identity: everything that the other devices keep appears here.
//!
//! ```text
//! cargo run -p enlace-runtime --example second_device -- http://localhost:8090 client secret ./data < shared-secret.json
//! ```
//!
//! The shared secret is what one of the identity's devices handed out. It comes on standard input, because arguments can
//! be read by everybody on the machine.

use std::error::Error;

use runtime::{BackboneConfig, Config, DeviceSharedSecret, Runtime, Secret};

const USAGE: &str =
    "usage: second_device <backbone url> <client id> <client secret> <data directory> < shared-secret.json";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: [String; 4] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| USAGE)?;
    let [url, client, secret, data_dir] = arguments;
    let shared_secret: DeviceSharedSecret = serde_json::from_reader(std::io::stdin())?;

    let backbone = BackboneConfig::new(url, client, Secret::new(secret));
    let node = Runtime::builder(Config::new(data_dir, backbone)).onboard(shared_secret).start().await?;
    node.account().sync_datawallet().await?;

    let device = node.account().device_info().await?;
    println!("{} {}", node.account().identity_info().await?.address, device.id);
    node.shutdown().await?;
    Ok(())
}
