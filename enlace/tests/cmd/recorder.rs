//! A line between a node and its backbone that notes what the node sends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A TCP proxy on a free port of this machine.
pub(crate) struct Recorder {
    url: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Forwards to a backbone on this machine.
    pub(crate) fn start(backbone: &str) -> Self {
        Self::start_after(backbone, || {})
    }

    /// The same, with something that happens between the first connection and its first byte.
    pub(crate) fn start_after(backbone: &str, happens: impl FnOnce() + Send + 'static) -> Self {
        let to: u16 = backbone.rsplit(':').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut happens = Some(happens);
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = sent.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Some(happens) = happens.take() {
                    happens();
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { break };
                let (requests, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let record = record.clone();
                std::thread::spawn(move || forward(requests, server, Some(record)));
                std::thread::spawn(move || forward(answers, client, None));
            }
        });
        Self { url, sent }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A URL at the backbone as a URL through here.
    pub(crate) fn through(&self, url: &str) -> String {
        let (_, rest) = url.split_once("://localhost:").unwrap();
        format!("{}{}", self.url, rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    /// Whether a text was sent.
    pub(crate) fn heard(&self, text: &str) -> bool {
        self.sent.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, record: Option<Arc<Mutex<Vec<u8>>>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(record) = &record {
            record.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
