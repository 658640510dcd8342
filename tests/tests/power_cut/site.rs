//! The machines of a scenario and the programs on them.

use std::time::{Duration, Instant};

use enlace_tests::power::{Chance, Machine, Tear};
use enlace_tests::{Line, OAUTH_CLIENT, ProcessError, Rest, World};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::{KEEP, Loss, Summary, Terms};

/// Starts that are cut before the one that may finish, at most.
const INTERRUPTED_STARTS: u64 = 3;
/// How long a start is thought to take, before one was seen.
const EXPECTED_START: Duration = Duration::from_millis(800);

/// Which programs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A node and a backbone, on two machines.
    Apart,
    /// A node with its own backbone, on one machine.
    Embedded,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Apart, Self::Embedded];
}

/// A machine with what it runs.
struct Seat {
    machine: Machine,
    arguments: Vec<String>,
    start_takes: Duration,
    what_is_lost: Option<Tear>,
}

/// Machines, and how clients reach them.
pub(crate) struct Site {
    kind: Kind,
    node: Seat,
    /// With the line that leads to it.
    backbone: Option<(Seat, Line)>,
    /// Keeps the port of an embedded backbone ours while nothing listens.
    port: TcpSocket,
    /// Address and API key that the node announced first.
    identity: Option<(Value, String)>,
}

impl Site {
    /// Machines with empty disks.
    pub(crate) async fn new(world: &World, kind: Kind, terms: &Terms) -> Self {
        let machine = |name| {
            let mut machine = Machine::new(&world.directory(name), terms.shim.clone(), terms.omit).unwrap();
            machine.keep_copies(std::env::var_os(KEEP).is_some());
            machine
        };
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let mut backbone = None;
        let mut node =
            vec!["serve", "--json", "--listen", "127.0.0.1:0"].into_iter().map(str::to_owned).collect::<Vec<_>>();
        match kind {
            Kind::Apart => {
                let line = Line::new().await;
                node.extend(["--backbone".to_owned(), line.url(), "--client".to_owned(), OAUTH_CLIENT.to_owned()]);
                let start = ["backbone", "--json", "--listen", "127.0.0.1:0", "--did-domain-name", "localhost"];
                // The check counts on locking tokens from this machine.
                let more = ["--client", OAUTH_CLIENT, "--limit", "wrongPasswords=0"];
                let arguments = start.into_iter().chain(more).map(str::to_owned).collect();
                backbone = Some((Seat::new(machine("backbone"), arguments, terms.tear), line));
            }
            Kind::Embedded => {
                node.extend(["--backbone-listen".to_owned(), port.local_addr().unwrap().to_string()]);
                node.push("--enlace:backbone:limits:wrongPasswords=0".to_owned());
            }
        }
        Self { kind, node: Seat::new(machine("node"), node, terms.tear), backbone, port, identity: None }
    }

    /// The node's REST API.
    pub(crate) fn rest(&self) -> Rest {
        Rest::of(self.node.machine.process().expect("the node runs"))
    }

    /// Where the backbone is, whoever asks.
    pub(crate) fn backbone_url(&self) -> String {
        match &self.backbone {
            Some((_, line)) => line.url(),
            None => format!("http://localhost:{}", self.port.local_addr().unwrap().port()),
        }
    }

    /// The header by which the node logs in, if it was seen since the last start.
    pub(crate) fn login(&self) -> Option<String> {
        let (_, line) = self.backbone.as_ref()?;
        let seen = line.recording().into_iter().rev();
        seen.filter_map(|seen| seen.headers.get("authorization")?.to_str().ok().map(str::to_owned)).next()
    }

    /// Starts what does not run. Some starts are cut off before.
    ///
    /// # Errors
    /// If a program does not start by itself, or is somebody else now.
    pub(crate) async fn start(&mut self, chance: &mut Chance, summary: &mut Summary) -> Result<(), Loss> {
        if let Some((seat, line)) = &mut self.backbone {
            line.forget();
            if seat.machine.process().is_none() {
                seat.interrupt(chance, summary).await;
                let announcement = seat.start().await.map_err(|error| did_not_start("the backbone", &error))?;
                let port = announcement["url"].as_str().unwrap().rsplit(':').next().unwrap();
                line.lead_to(([127, 0, 0, 1], port.trim_end_matches('/').parse().unwrap()).into());
            }
        }
        if self.node.machine.process().is_some() {
            return Ok(());
        }
        for announcement in self.node.interrupt(chance, summary).await {
            // The machine is off again, and with it the file of the key.
            self.is_still_itself(announcement["identity"]["address"].clone(), None)?;
        }
        let announcement = self.node.start().await.map_err(|error| did_not_start("the node", &error))?;
        let key = self.rest().key().to_owned();
        self.is_still_itself(announcement["identity"]["address"].clone(), Some(key))
    }

    fn is_still_itself(&mut self, address: Value, key: Option<String>) -> Result<(), Loss> {
        let (first, first_key) =
            self.identity.get_or_insert_with(|| (address.clone(), key.clone().unwrap_or_default()));
        if *first != address {
            return Err(Loss(format!("the node announced {first} and is {address} now")));
        }
        if let Some(key) = key {
            if first_key.is_empty() {
                first_key.clone_from(&key);
            }
            if *first_key != key {
                return Err(Loss("the node has another API key now".to_owned()));
            }
        }
        Ok(())
    }

    /// Cuts the power of some machines.
    pub(crate) fn cut(&mut self, node: bool, backbone: bool, tear: Tear, chance: &mut Chance) {
        let is_node_first = chance.once_in(2);
        let mut cut = |seat: &mut Seat| seat.machine.cut(tear, chance).expect("the shim sees everything");
        if node && is_node_first {
            cut(&mut self.node);
        }
        if let Some((seat, _)) = &mut self.backbone
            && backbone
        {
            cut(seat);
        }
        if node && !is_node_first {
            cut(&mut self.node);
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

fn did_not_start(who: &str, error: &ProcessError) -> Loss {
    Loss(format!("{who} does not start by itself (exit code {:?}): {}", error.code, error.talk))
}

impl Seat {
    fn new(machine: Machine, mut arguments: Vec<String>, what_is_lost: Option<Tear>) -> Self {
        arguments.extend(["--data-dir".to_owned(), machine.data_dir().to_str().unwrap().to_owned()]);
        Self { machine, arguments, start_takes: EXPECTED_START, what_is_lost }
    }

    async fn start(&mut self) -> Result<Value, ProcessError> {
        let began = Instant::now();
        let announcement = self.machine.start(&self.arguments).await?.announcement.clone();
        self.start_takes = began.elapsed();
        Ok(announcement)
    }

    /// Cuts some starts off, at random instants of them. Returns what was announced nevertheless.
    async fn interrupt(&mut self, chance: &mut Chance, summary: &mut Summary) -> Vec<Value> {
        let mut announced = Vec::new();
        // Half of all starts are left alone.
        for _ in 0..chance.below(2 * INTERRUPTED_STARTS).saturating_sub(INTERRUPTED_STARTS - 1) {
            let longest = self.start_takes.as_micros() as u64 * 11 / 10;
            let after = Duration::from_micros(chance.below(longest));
            announced.extend(self.machine.start_for(&self.arguments, after).await);
            let tear = random_tear(self.what_is_lost, chance);
            self.machine.cut(tear, chance).expect("the shim sees everything");
            summary.start_up_cuts += 1;
        }
        announced
    }
}

/// What is given, else either kind of loss.
pub(crate) fn random_tear(given: Option<Tear>, chance: &mut Chance) -> Tear {
    given.unwrap_or_else(|| if chance.once_in(2) { Tear::Strict } else { Tear::Random })
}
