//! Who listens between a node and its backbone (T13).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use enlace_tests::{Node, World};
use runtime::{BackboneConfig, BackboneFailure, Config, Error, Secret};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const CERTIFICATE: &[u8] = include_bytes!("data/self-signed.crt.der");
const KEY: &[u8] = include_bytes!("data/self-signed.key.der");

async fn start_at(world: &World, url: &str) -> Result<Node, Error> {
    let backbone = BackboneConfig::new(url, "test", Secret::new("test"));
    Node::start(Config::new(world.directory("node"), backbone), world.clock().clone()).await
}

#[tokio::test]
async fn plain_http_to_a_machine_that_is_not_this_one_is_refused_before_anything_is_sent() {
    for url in
        ["http://backbone.example.com", "http://192.0.2.1:8080", "http://localhost.example.com", "http://[2001:db8::1]"]
    {
        let world = World::new();
        match start_at(&world, url).await {
            Err(Error::Config(invalid)) => {
                assert!(invalid.to_string().contains("https"), "{invalid} names the next step");
            }
            Err(other) => panic!("{url}: {other}"),
            Ok(_) => panic!("{url} was accepted"),
        }
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_ends_the_connection_before_anything_is_sent() {
    let world = World::new();
    let (address, received) = tls_server();
    let outcome = start_at(&world, &format!("https://localhost:{}", address.port())).await;
    match outcome {
        Err(Error::Backbone(error)) if error.failure() == BackboneFailure::Unreachable => {
            assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a self-signed certificate was accepted"),
    }
    assert_eq!(received.join().unwrap(), b"", "nothing was said to the wrong server");
}

/// Talks TLS with a certificate it signed itself. Ends after one connection with what it could read.
fn tls_server() -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY.to_vec()));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE.to_vec())], key)
        .unwrap();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        received
    });
    (address, server)
}
