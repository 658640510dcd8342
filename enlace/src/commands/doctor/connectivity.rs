//! What a node says of how peers reach it.

use runtime::Timestamp;
use runtime::dto::Connectivity;

use super::checks::Finding;
use crate::time;

/// How long the node has been able to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// It was started for these checks.
    Now,
    /// It serves.
    Earlier,
}

/// A finding for each thing by which peers are reached. `None`: peers are switched off.
pub(super) fn judge(connectivity: Option<&Connectivity>, since: Since, now: Timestamp) -> Vec<Finding> {
    let Some(connectivity) = connectivity else {
        return vec![Finding::skipped("peers", "they are switched off; everything goes through the backbone")];
    };
    let mut findings = vec![
        Finding::good("peers", format!("{} connected; the peer ID is {}", connectivity.connections, connectivity.id)),
        addresses(connectivity),
        observed(connectivity, since),
        nat(connectivity, since),
    ];
    findings.extend(relays(connectivity, since));
    findings.push(mdns(connectivity));
    findings.push(certificate(connectivity, now));
    findings
}

fn addresses(connectivity: &Connectivity) -> Finding {
    const CHECK: &str = "peer addresses";
    let Connectivity { listen, addresses, .. } = connectivity;
    match (listen.is_empty(), addresses.is_empty()) {
        (true, true) => {
            Finding::skipped(CHECK, "this node listens for no peers; it reaches others, and they cannot reach it")
        }
        (false, true) => Finding::wrong(
            CHECK,
            format!(
                "listens on {}, but tells nobody: allow it with enlace.peers.privateAddresses or \
                 enlace.peers.loopbackAddresses",
                listen.join(", ")
            ),
        ),
        (_, false) => Finding::good(CHECK, format!("references say {}", addresses.join(", "))),
    }
}

fn observed(connectivity: &Connectivity, since: Since) -> Finding {
    const CHECK: &str = "observed address";
    match (connectivity.observed.as_slice(), since) {
        ([], Since::Now) => Finding::skipped(CHECK, "only known while a process serves this data directory"),
        ([], Since::Earlier) => Finding::skipped(CHECK, "no peer outside of this network has said one yet"),
        (observed, _) => Finding::good(CHECK, observed.join(", ")),
    }
}

fn nat(connectivity: &Connectivity, since: Since) -> Finding {
    const CHECK: &str = "NAT";
    let is_reserved = connectivity.relays.iter().any(|relay| relay.is_reserved);
    match connectivity.nat.as_str() {
        "public" => Finding::good(CHECK, "peers reach this node from other networks"),
        "private" if is_reserved => Finding::good(
            CHECK,
            "peers in other networks reach this node through a relay, and then directly if the NAT allows it",
        ),
        // Not a fault: in the local network peers connect directly, and the backbone is there for all others.
        "private" => Finding::good(
            CHECK,
            "peers in other networks cannot connect to this node, and use the backbone; for direct paths, forward a port of \
             your router to it, or name a relay with enlace.peers.relays",
        ),
        _ if since == Since::Now => Finding::skipped(CHECK, "only known while a process serves this data directory"),
        _ => Finding::skipped(CHECK, "not known yet; a relay or another peer has to try to connect"),
    }
}

fn relays(connectivity: &Connectivity, since: Since) -> Vec<Finding> {
    const CHECK: &str = "relay";
    let relays = connectivity.relays.iter().map(|relay| match (relay.is_reserved, since) {
        (true, _) => Finding::good(CHECK, format!("{} passes connections on to this node", relay.address)),
        (false, Since::Now) => Finding::skipped(CHECK, format!("{}: no reservation yet", relay.address)),
        (false, Since::Earlier) => Finding::wrong(
            CHECK,
            format!(
                "{} has given no reservation; check that it runs, that its address and peer ID are right, and that it has room",
                relay.address
            ),
        ),
    });
    match connectivity.relays.is_empty() {
        true => vec![Finding::skipped(CHECK, "none is configured, and the backbone offers none")],
        false => relays.collect(),
    }
}

fn mdns(connectivity: &Connectivity) -> Finding {
    match connectivity.mdns {
        true => Finding::good("mDNS", "peers in the local network find this node by multicast DNS"),
        false => Finding::skipped("mDNS", "it is switched off"),
    }
}

fn certificate(connectivity: &Connectivity, now: Timestamp) -> Finding {
    const CHECK: &str = "certificate";
    match connectivity.certificate_valid_until {
        Some(until) if until > now => {
            Finding::good(CHECK, format!("proves the identity to peers until {}", time::expiry(until)))
        }
        Some(until) => Finding::wrong(
            CHECK,
            format!(
                "it was valid until {}; correct the clock of this machine, or restart the node",
                time::expiry(until)
            ),
        ),
        None => Finding::skipped(
            CHECK,
            "this device cannot prove the identity to peers yet, because it does not hold the key of the identity; they treat it as \
             a stranger until a device that holds it has synchronized, and then this one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use runtime::dto::Relay;

    use super::super::checks::Verdict;
    use super::*;

    fn now() -> Timestamp {
        "2030-01-01".parse().unwrap()
    }

    fn fine() -> Connectivity {
        let text = |text: &str| vec![text.to_owned()];
        Connectivity {
            id: "12D3KooW".to_owned(),
            listen: text("/ip4/192.168.1.2/tcp/4712"),
            observed: text("/ip4/203.0.113.5/tcp/4712"),
            addresses: text("/ip4/192.168.1.2/tcp/4712"),
            nat: "private".to_owned(),
            relays: vec![Relay { address: "/dns4/relay.example.org/tcp/1/p2p/x".to_owned(), is_reserved: true }],
            rendezvous: Vec::new(),
            mdns: true,
            dht: false,
            certificate_valid_until: Some("2030-01-02".parse().unwrap()),
            connections: 2,
        }
    }

    fn verdicts(connectivity: &Connectivity, since: Since) -> Vec<(&'static str, Verdict)> {
        judge(Some(connectivity), since, now()).iter().map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[test]
    fn nothing_is_wrong_with_a_node_that_is_reached() {
        assert!(verdicts(&fine(), Since::Earlier).iter().all(|(_, verdict)| *verdict == Verdict::Good));
        assert_eq!(judge(None, Since::Earlier, now())[0].verdict, Verdict::Skipped);
    }

    #[test]
    fn each_problem_is_named_with_a_next_step() {
        type Change = fn(&mut Connectivity);
        let cases: [(Change, &str, &str); 4] = [
            (|it| it.addresses.clear(), "peer addresses", "enlace.peers.privateAddresses"),
            (|it| it.relays[0].is_reserved = false, "relay", "peer ID"),
            (|it| it.certificate_valid_until = Some(now()), "certificate", "clock"),
            (|it| it.certificate_valid_until = "2029-12-31".parse().ok(), "certificate", "restart"),
        ];
        for (change, check, step) in cases {
            let mut connectivity = fine();
            change(&mut connectivity);
            let findings = judge(Some(&connectivity), Since::Earlier, now());
            let wrong: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).collect();
            assert!(wrong.len() == 1 && wrong[0].check == check && wrong[0].detail.contains(step), "{wrong:?}");
        }
    }

    #[test]
    fn what_a_node_cannot_know_yet_is_not_wrong() {
        let new = Connectivity {
            observed: Vec::new(),
            nat: "unknown".to_owned(),
            relays: vec![Relay { is_reserved: false, ..fine().relays[0].clone() }],
            certificate_valid_until: None,
            ..fine()
        };
        let skipped: Vec<_> =
            verdicts(&new, Since::Now).into_iter().filter(|(_, it)| *it == Verdict::Skipped).collect();
        assert_eq!(
            skipped.iter().map(|(check, _)| *check).collect::<Vec<_>>(),
            ["observed address", "NAT", "relay", "certificate"]
        );
        let alone = Connectivity { relays: Vec::new(), listen: Vec::new(), addresses: Vec::new(), ..fine() };
        assert!(verdicts(&alone, Since::Earlier).iter().all(|(_, verdict)| *verdict != Verdict::Wrong));
    }
}
