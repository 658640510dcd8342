//! Requests and what happens on disks before they are answered.

use std::path::Path;
use std::time::Duration;

use enlace_tests::power::{Machine, Shim};
use enlace_tests::{OAUTH_CLIENT, World};
use reqwest::RequestBuilder;
use serde_json::Value;

/// A trace that does not grow for this long belongs to a program that has nothing left to do.
const QUIET: Duration = Duration::from_millis(100);
/// After this many looks a program that is never quiet is observed as it is.
const MOST_LOOKS: usize = 50;
/// Folder of the node's records.
pub(crate) const STORE: Needed = Needed { machine: "node", folder: "store" };
/// Folder of the backbone's records.
pub(crate) const RECORDS: Needed = Needed { machine: "backbone", folder: "records" };
/// Folder of the backbone's ciphertexts.
pub(crate) const BLOBS: Needed = Needed { machine: "backbone", folder: "blobs" };
/// Folder inside of those whose files do not count.
const INDEX: &str = "index";

/// Where something has to be written and synchronized.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    machine: &'static str,
    folder: &'static str,
}

/// Machines under observation.
#[derive(Default)]
pub(crate) struct Observer {
    machines: Vec<(&'static str, Machine)>,
    /// Requests that were looked at.
    pub(crate) requests: usize,
    /// What was not synchronized, a line each.
    pub(crate) missing: Vec<String>,
}

impl Observer {
    /// Starts a program on a machine of its own and returns its announcement.
    pub(crate) async fn start(&mut self, world: &World, shim: &Shim, name: &'static str, start: &[&str]) -> Value {
        let mut machine = Machine::new(&world.directory(name), shim.clone(), None).unwrap();
        let data_dir = machine.data_dir().to_str().unwrap().to_owned();
        let common = ["--json", "--listen", "127.0.0.1:0", "--client", OAUTH_CLIENT, "--data-dir", &data_dir];
        let arguments: Vec<String> = start.iter().chain(&common).map(|text| (*text).to_owned()).collect();
        let announcement = machine.start(&arguments).await.unwrap().announcement.clone();
        self.machines.push((name, machine));
        announcement
    }

    pub(crate) fn machine(&self, name: &str) -> &Machine {
        &self.machines.iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// Sends a request, which must be answered with this status, and looks at what was synchronized meanwhile. Returns the
    /// result.
    pub(crate) async fn observe(
        &mut self,
        route: &str,
        status: u16,
        request: RequestBuilder,
        needed: &[Needed],
    ) -> Value {
        let mut lengths = Vec::new();
        for (name, machine) in &self.machines {
            lengths.push((*name, quiet(machine).await));
        }
        let response = request.send().await.unwrap();
        let traces: Vec<_> = lengths
            .into_iter()
            .map(|(name, length)| (name, self.machine(name).trace_since(length).unwrap().synchronized_writes()))
            .collect();
        let found = response.status().as_u16();
        let body = response.text().await.unwrap();
        assert_eq!(found, status, "{route}: {body}");
        self.requests += 1;
        for Needed { machine, folder } in needed {
            // A node that embeds its backbone has the backbone's folders in its own.
            let is_apart = traces.iter().any(|(name, _)| name == machine);
            let (name, folder) =
                if is_apart { (*machine, (*folder).to_owned()) } else { ("node", format!("{machine}/{folder}")) };
            let (_, paths) = traces.iter().find(|(other, _)| *other == name).unwrap();
            let root = self.machine(name).data_dir();
            if !paths.iter().any(|path| counts(path.strip_prefix(&root).unwrap_or(path), &folder)) {
                self.missing.push(format!("{route}: no write to {folder} of the {name} was synchronized"));
            }
        }
        serde_json::from_str::<Value>(&body).unwrap_or_default()["result"].take()
    }

    /// Asserts how many requests were looked at, and that nothing was missing.
    pub(crate) fn conclude(&self, requests: usize) {
        assert_eq!(self.requests, requests, "requests that were looked at");
        assert!(self.missing.is_empty(), "answered before it was durable:\n  {}", self.missing.join("\n  "));
    }
}

fn counts(path: &Path, folder: &str) -> bool {
    path.starts_with(folder) && path.components().all(|part| part.as_os_str() != INDEX)
}

/// Waits until a program does nothing of its own accord, so that what follows belongs to the request.
async fn quiet(machine: &Machine) -> u64 {
    let mut length = machine.trace_length().unwrap();
    for _ in 0..MOST_LOOKS {
        tokio::time::sleep(QUIET).await;
        let now = machine.trace_length().unwrap();
        if now == length {
            break;
        }
        length = now;
    }
    length
}

#[test]
fn files_of_an_index_do_not_count() {
    for (path, is_right) in [
        ("store/journal/1", true),
        ("store/db", true),
        ("store/index/db", false),
        ("backbone/records/journal/1", false),
        ("storey", false),
    ] {
        assert_eq!(counts(Path::new(path), "store"), is_right, "{path}");
    }
}
