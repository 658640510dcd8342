//! Descriptors of files and sockets, of which a process has a limited number: often 1,024, and a server that has used them
//! up can neither accept a connection nor open a file.

use crate::admission::Places;

/// A server takes one in so many descriptors for connections, so that two servers in a process leave some to files.
const SHARE: u64 = 3;

/// Raises the limit of this process as far as the system lets it. To be called once, at the start.
pub fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Where that is refused, the number of places is lower.
        if setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
            tracing::debug!("the limit of open files cannot be raised");
        }
    }
}

/// As many places as there are descriptors for.
pub(crate) fn affordable(places: Places) -> Places {
    let affordable = within(places, limit());
    if affordable != places {
        let (wanted, total) = (places.total, affordable.total);
        tracing::warn!(wanted, total, "fewer connections are possible; raise the limit of open files (ulimit -n)");
    }
    affordable
}

#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

fn within(places: Places, limit: Option<u64>) -> Places {
    let affordable = limit.and_then(|limit| usize::try_from(limit / SHARE).ok());
    affordable.filter(|affordable| *affordable < places.total).map_or(places, Places::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_places_than_descriptors_allow() {
        let places = Places::of(1024);
        assert_eq!(within(places, None), places);
        assert_eq!(within(places, Some(3 * 1024)), places);
        assert_eq!(within(places, Some(3 * 1024 - 1)), Places::of(1023));
        assert_eq!(within(places, Some(1024)), Places::of(341));
        assert_eq!(within(places, Some(0)), Places::of(1));
    }
}
