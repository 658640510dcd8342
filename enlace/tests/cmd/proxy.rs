//! A hostile or broken line between a node and its backbone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What happens to a large answer; everything smaller than [`LARGE`] passes unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Nothing more arrives.
    Stall,
    /// One bit is flipped.
    Flip,
    /// The connection is closed.
    Cut,
}

/// Bytes of an answer after which the mischief happens.
pub(crate) const LARGE: usize = 200_000;

/// A TCP proxy on a free port of this machine.
pub(crate) struct Proxy {
    port: u16,
    happened: Arc<AtomicBool>,
}

impl Proxy {
    /// Forwards to a port.
    pub(crate) fn start(to: u16, mischief: Mischief) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let happened = Arc::new(AtomicBool::new(false));
        let flag = happened.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
                let (requests_in, requests_out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || forward(requests_in, requests_out, None));
                let flag = flag.clone();
                std::thread::spawn(move || forward(server, client, Some((mischief, flag))));
            }
        });
        Self { port, happened }
    }

    /// A URL at the backbone as a URL through here.
    pub(crate) fn through(&self, url: &str) -> String {
        let (_, rest) = url.split_once("://localhost:").unwrap();
        format!("http://localhost:{}{}", self.port, rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    /// Whether the mischief was done.
    pub(crate) fn happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }
}

/// Copies until an end is reached. With mischief, a burst of answers that exceeds [`LARGE`] is meddled with.
fn forward(mut from: TcpStream, mut to: TcpStream, mischief: Option<(Mischief, Arc<AtomicBool>)>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        total += count;
        if let Some((mischief, happened)) = &mischief
            && total > LARGE
            && !happened.swap(true, Ordering::SeqCst)
        {
            match mischief {
                Mischief::Flip => buffer[count / 2] ^= 1,
                Mischief::Cut => break,
                Mischief::Stall => loop {
                    std::thread::park();
                },
            }
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
