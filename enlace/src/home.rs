//! The backbone at which the identity of a data directory was created. Its login is sent to no other one without consent: a
//! backbone that gets it can act as this device.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use runtime::{Runtime, StoreKey};

use crate::code::Kind;
use crate::data_dir::{self, DataDir, Held};
use crate::failure::Failure;
use crate::memory::{self, Memory};

/// Says where a first start is creating an identity. Until the start has succeeded there is no `start.json`, and if the
/// process ends in between, the identity may exist all the same.
const BEGUN_FILE: &str = "begun.json";
/// Longest such file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 64 * 1024;

/// A backbone at which an identity was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Home {
    /// The one that is embedded in the node itself, at this port of this machine.
    Embedded(u16),
    /// Another one.
    At(String),
    /// One that nothing names: there is an identity, and `start.json` is missing.
    Unknown,
}

impl Home {
    /// Where the identity of a directory that this process holds lives; `None` before a first start, and after one that has
    /// created nothing, whose note is removed.
    ///
    /// # Errors
    /// A failure that names the file that cannot be read, or the store.
    pub(crate) fn of_held(held: &Held, store_key: &StoreKey) -> Result<Option<Self>, Failure> {
        let dir = held.dir();
        if let Some(home) = Memory::recall(dir)?.home() {
            return Ok(Some(home));
        }
        if Runtime::holds_identity(held.lock(), dir.path(), store_key)? {
            return Ok(Some(Self::of(dir)?.unwrap_or(Self::Unknown)));
        }
        Self::settle(dir);
        Ok(None)
    }

    /// What the files say of where the identity of a directory lives, if they do. Without `start.json` that may be wrong.
    ///
    /// # Errors
    /// A failure that names the file that cannot be read.
    pub(crate) fn of(dir: &DataDir) -> Result<Option<Self>, Failure> {
        if let Some(home) = Memory::recall(dir)?.home() {
            return Ok(Some(home));
        }
        let path = begun(dir);
        let Some(text) = data_dir::read_private(&path, MAX_FILE_SIZE)? else { return Ok(None) };
        Ok(memory::parse(&path, &text)?.home())
    }

    /// Notes where a first start is about to create an identity.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn begin(&self, dir: &DataDir) -> Result<(), Failure> {
        let memory = match self {
            Self::Embedded(port) => Memory { backbone_port: Some(*port), ..Memory::default() },
            Self::At(url) => Memory { backbone_url: Some(url.clone()), ..Memory::default() },
            Self::Unknown => return Ok(()),
        };
        let text = serde_json::to_vec(&memory).map_err(|error| Failure::general(error.to_string()))?;
        data_dir::write_private(&begun(dir), &text)
    }

    /// Removes that note, because the start has succeeded, or has created nothing.
    pub(crate) fn settle(dir: &DataDir) {
        // Beside a `start.json` it means nothing; alone it names the backbone that was asked, so it can stay at worst.
        let _ = std::fs::remove_file(begun(dir));
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Embedded(port) => format!("http://localhost:{port}"),
            Self::At(url) => url.clone(),
            Self::Unknown => "an unknown backbone".to_owned(),
        }
    }

    /// Whether an address is that of this backbone.
    pub(crate) fn is(&self, url: &str) -> bool {
        match self {
            Self::Embedded(port) => {
                ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| same(url, &format!("http://{host}:{port}")))
            }
            Self::At(home) => same(url, home),
            Self::Unknown => false,
        }
    }

    /// The failure for a start with another backbone.
    pub(crate) fn refusal(&self, dir: &DataDir, url: &str) -> Failure {
        let (home, dir) = (self.sentence(dir), dir.path().display());
        let message = match self {
            Self::Unknown => format!("{url} may not be the backbone of the identity in {dir}: {home}"),
            _ => format!("{url} is not the backbone of the identity in {dir}: {home}"),
        };
        Failure::new(Kind::Refused, message).hint(format!(
            "use another directory with --data-dir DIR for {url}; if it is the same backbone under a new address, or the \
             identity's login may go there, add --change-backbone"
        ))
    }

    /// The same as a question.
    pub(crate) fn question(&self, dir: &DataDir, url: &str) -> String {
        let (home, dir) = (self.sentence(dir), dir.path().display());
        format!("The identity in {dir}: {home}. Send its login to {url} and use that backbone from now on?")
    }

    /// What is known of the backbone of the identity.
    pub(crate) fn sentence(&self, dir: &DataDir) -> String {
        match self {
            Self::Unknown => "its backbone is not known, because start.json is missing".to_owned(),
            _ if Memory::recall(dir).is_ok_and(|memory| memory.home().is_some()) => {
                format!("its backbone is {}", self.url())
            }
            _ => format!("a first start at {} was interrupted and may have created it there", self.url()),
        }
    }
}

impl Memory {
    /// The backbone of the identity; `None` before the first start.
    pub(crate) fn home(&self) -> Option<Home> {
        let embedded = || self.backbone_port.map(Home::Embedded);
        self.backbone_url.clone().map(Home::At).or_else(embedded)
    }
}

fn begun(dir: &DataDir) -> PathBuf {
    dir.join(BEGUN_FILE)
}

/// Whether two addresses name the same backbone: scheme, host, port and path.
pub(crate) fn same(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => place(&one) == place(&other),
        _ => one == other,
    }
}

/// The IP address that a URL has instead of a host name.
pub(crate) fn literal_address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The same text for every spelling of the address of a backbone.
pub(crate) fn place_of(url: &str) -> String {
    let normal = |url: Url| {
        let (scheme, host, port, path) = place(&url);
        format!("{scheme}://{}:{}{path}", host.unwrap_or_default(), port.unwrap_or_default())
    };
    Url::parse(url).map_or_else(|_| url.to_owned(), normal)
}

fn place(url: &Url) -> (&str, Option<&str>, Option<u16>, &str) {
    (url.scheme(), url.host_str(), url.port_or_known_default(), url.path().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_the_same_and_everything_else_is_another_backbone() {
        for url in ["https://b.example.org", "https://B.example.org/", "https://b.example.org:443"] {
            assert!(same(url, "https://b.example.org"), "{url}");
        }
        for url in [
            "http://b.example.org",
            "https://b.example.org:444",
            "https://b.example.org/x",
            "https://b.example.org.evil.example",
            "nonsense",
        ] {
            assert!(!same(url, "https://b.example.org"), "{url}");
        }
    }

    #[test]
    fn an_embedded_backbone_is_found_at_every_spelling_of_its_port() {
        let home = Home::Embedded(4710);
        for url in ["http://localhost:4710", "http://127.0.0.1:4710/", "http://[::1]:4710"] {
            assert!(home.is(url), "{url}");
        }
        for url in ["http://localhost:4711", "https://localhost:4710", "http://evil.example:4710", ""] {
            assert!(!home.is(url), "{url}");
        }
    }

    #[test]
    fn a_start_that_was_cut_off_has_a_home_until_it_is_settled() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().to_owned()).unwrap();
        assert_eq!(Home::of(&dir).unwrap(), None);
        for home in [Home::Embedded(4710), Home::At("https://b.example.org".to_owned())] {
            home.begin(&dir).unwrap();
            assert!(home.sentence(&dir).contains("a first start at"));
            assert_eq!(Home::of(&dir).unwrap(), Some(home));
        }
        let known = Memory { backbone_url: Some("https://c.example.org".to_owned()), ..Memory::default() };
        known.keep(&dir).unwrap();
        assert_eq!(Home::of(&dir).unwrap(), Some(Home::At("https://c.example.org".to_owned())));
        Home::settle(&dir);
        assert!(!dir.join(BEGUN_FILE).exists());
    }
}
