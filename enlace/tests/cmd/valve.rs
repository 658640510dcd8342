//! A line between a node and its backbone that lets some bytes pass, and then holds or cuts.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A TCP proxy on a free port of this machine.
pub(crate) struct Valve {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Gate,
    answers: Gate,
}

/// One direction of all connections.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes that may still pass.
    left: u64,
    passed: u64,
    /// How often connections were ended.
    cuts: u32,
}

impl Valve {
    /// Forwards to a backbone on this machine, everything at first.
    pub(crate) fn start(backbone: &str) -> Self {
        let to: u16 = backbone.rsplit(':').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let (this, state) = (Self { port, shared: shared.clone() }, shared);
        this.open();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { break };
                let (requests, out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (state.clone(), state.clone());
                std::thread::spawn(move || there.requests.forward(requests, out));
                std::thread::spawn(move || back.answers.forward(server, client));
            }
        });
        this
    }

    /// A URL at the backbone as a URL through here.
    pub(crate) fn through(&self, url: &str) -> String {
        let (_, rest) = url.split_once("://localhost:").unwrap();
        format!("http://localhost:{}{}", self.port, rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    /// Lets everything pass, and counts from zero.
    pub(crate) fn open(&self) {
        self.shared.requests.set(u64::MAX);
        self.shared.answers.set(u64::MAX);
    }

    /// Lets so many bytes of answers pass, and then none.
    pub(crate) fn hold_after(&self, bytes: u64) {
        self.shared.answers.set(bytes);
    }

    /// Lets so many bytes of requests pass, and then none.
    pub(crate) fn hold_requests_after(&self, bytes: u64) {
        self.shared.requests.set(bytes);
    }

    /// Waits until as many bytes of requests have passed as may.
    pub(crate) fn wait_for_requests(&self) {
        let gate = &self.shared.requests;
        drop(gate.changed.wait_while(gate.state.lock().unwrap(), |state| state.left > 0).unwrap());
    }

    /// Ends all connections, and lets everything pass on those that come.
    pub(crate) fn cut(&self) {
        self.shared.requests.cut();
        self.shared.answers.cut();
    }

    /// Bytes of answers that passed since the last change.
    pub(crate) fn passed(&self) -> u64 {
        self.shared.answers.state.lock().unwrap().passed
    }
}

impl Gate {
    fn set(&self, left: u64) {
        let mut state = self.state.lock().unwrap();
        *state = State { left, passed: 0, cuts: state.cuts };
        self.changed.notify_all();
    }

    fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        *state = State { left: u64::MAX, passed: 0, cuts: state.cuts + 1 };
        self.changed.notify_all();
    }

    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let cuts = self.state.lock().unwrap().cuts;
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut piece = &buffer[..count];
            while !piece.is_empty() {
                let Some(taken) = self.take(piece.len(), cuts) else { return close(&from, &to) };
                if to.write_all(&piece[..taken]).is_err() {
                    return close(&from, &to);
                }
                piece = &piece[taken..];
            }
        }
        close(&from, &to);
    }

    /// Waits until some bytes may pass; nothing if the connection is to end.
    fn take(&self, wanted: usize, cuts: u32) -> Option<usize> {
        let mut state = self.state.lock().unwrap();
        while state.left == 0 && state.cuts == cuts {
            state = self.changed.wait(state).unwrap();
        }
        if state.cuts != cuts {
            return None;
        }
        let taken = state.left.min(wanted as u64);
        state.left -= taken;
        state.passed += taken;
        if state.left == 0 {
            self.changed.notify_all();
        }
        Some(taken as usize)
    }
}

fn close(from: &TcpStream, to: &TcpStream) {
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
