//! Where a reference leads on the network. The sender chose the address, so it must not make this machine talk to what only
//! this machine, or its network, can reach.
//!
//! One address passes without a question: a backbone on this machine, which is where `share` puts one. Whether a port of this
//! machine is one is asked with a single read of a fixed path, which a web page in a browser here could send as well.
//!
//! The host name is resolved here and once more by the connection. A name server that answers differently in between gains
//! a TLS handshake that fails, because the certificate has to be the name's; plain http to a name needs
//! `--allow-plain-http`, and who gives that trusts the network. A proxy resolves names by itself and is not judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use reqwest::Url;
use runtime::leads_to_this_machine;
use serde::Deserialize;

use crate::code::Kind;
use crate::confirm;
use crate::failure::Failure;
use crate::home::literal_address;
use crate::rest_client;

/// Longest wait for a name server or for a port of this machine.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer of a port of this machine that is read, in bytes: a backbone's has some fifty.
const MAX_ANSWER: usize = 4096;
/// What every backbone answers without a login.
const VERSION_PATH: &str = "/api/v2/Version";

/// Networks that are not the Internet: address and length of the prefix in bits.
const PRIVATE_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The same for version 6; those that hold an address of version 4 are judged by it.
const PRIVATE_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::UNSPECIFIED, 127),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Goes on if the address is on the Internet, is a backbone on this machine, or is allowed by the option or by a person.
///
/// # Errors
/// A failure that names the address and the option.
pub(crate) async fn check(url: &str, allow_private: bool) -> Result<(), Failure> {
    let Some(reason) = (if allow_private { None } else { objection(url).await }) else { return Ok(()) };
    if confirm::confirmed(&format!("The reference leads to {url}: {reason}. Connect to it?")) {
        return Ok(());
    }
    Err(Failure::new(Kind::Refused, format!("the reference leads to {url}: {reason}"))
        .hint("if you expect a backbone there, add --allow-private"))
}

/// Why a person has to be asked, if so.
async fn objection(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok()?;
    let host = parsed.host_str()?;
    if leads_to_this_machine(url) {
        return not_a_backbone(&parsed).await;
    }
    if let Some(address) = literal_address(&parsed) {
        return is_private(address).then(|| "an address in a private network".to_owned());
    }
    let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host, 0))).await;
    // What has no address here is either refused by the connection as well, or resolved by a proxy.
    let address = found.ok()?.ok()?.map(|found| found.ip()).find(|address| is_private(*address))?;
    Some(format!("{host} is {address}, an address of this machine or in a private network"))
}

/// Whether the host of a URL is an address in a private network, for which the receiver is asked.
pub(crate) fn is_in_private_network(url: &str) -> bool {
    let address = Url::parse(url).ok().and_then(|url| literal_address(&url));
    address.is_some_and(is_private) && !leads_to_this_machine(url)
}

/// A port of this machine that is no backbone, as far as it says itself. A port at which nobody listens is no objection:
/// nobody is reached.
async fn not_a_backbone(url: &Url) -> Option<String> {
    match who_answers(url).await {
        Here::Backbone | Here::Nobody => None,
        Here::Other => Some("no backbone answers at this address of this machine".to_owned()),
    }
}

/// Whether a backbone answers at an address of this machine.
pub(crate) async fn has_backbone(url: &str) -> bool {
    match Url::parse(url) {
        Ok(parsed) if leads_to_this_machine(url) => who_answers(&parsed).await == Here::Backbone,
        _ => false,
    }
}

/// Who listens at a port of this machine.
#[derive(Debug, PartialEq, Eq)]
enum Here {
    Backbone,
    Nobody,
    Other,
}

async fn who_answers(url: &Url) -> Here {
    // A path is the sender's as well, and a backbone that `share` or `serve` started has none.
    if url.path() != "/" || url.scheme() != "http" {
        return Here::Other;
    }
    let Ok(address) = url.join(VERSION_PATH) else { return Here::Other };
    let Ok(client) = rest_client::on_this_machine(Some(TIMEOUT)) else { return Here::Other };
    match client.get(address).timeout(TIMEOUT).send().await {
        Ok(answer) => match is_version(answer).await {
            true => Here::Backbone,
            false => Here::Other,
        },
        Err(error) if error.is_connect() => Here::Nobody,
        Err(_) => Here::Other,
    }
}

#[derive(Deserialize)]
struct Answer {
    result: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    major_version: String,
}

async fn is_version(mut answer: reqwest::Response) -> bool {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > MAX_ANSWER {
            return false;
        }
        body.extend_from_slice(&chunk);
    }
    answer.status().is_success()
        && serde_json::from_slice::<Answer>(&body).is_ok_and(|answer| !answer.result.major_version.is_empty())
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            PRIVATE_V4.iter().any(|(net, length)| (net.to_bits() ^ address.to_bits()).leading_zeros() >= *length)
        }
        IpAddr::V6(address) => {
            embedded_v4(address).is_some_and(|address| is_private(address.into()))
                || PRIVATE_V6.iter().any(|(net, length)| (net.to_bits() ^ address.to_bits()).leading_zeros() >= *length)
        }
    }
}

/// The address of version 4 inside one of version 6: mapped, compatible, translated (RFC 6052) or by 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        (0x2002, _) => Some(v4(b, c)),
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => Some(v4(g, h)),
        (0, 0) if [c, d, e] == [0; 3] && (f == 0 || f == 0xffff) => Some(v4(g, h)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn private_networks_are_told_from_the_internet_at_both_of_their_ends() {
        for text in [
            "0.0.0.0",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::",
            "fdff:ffff::1",
            "fe80::1",
            "febf::",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::c0a8:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "fbff::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn literal_and_disguised_private_addresses_are_objected_to_and_public_ones_are_not() {
        for host in ["10.0.0.1", "169.254.1.1", "[fe80::1]", "[::ffff:192.168.1.1]", "0x0a.1", "167772161"] {
            let reason = objection(&format!("https://{host}")).await;
            assert!(reason.is_some_and(|reason| reason.contains("private network")), "{host}");
        }
        assert_eq!(objection("https://1.1.1.1").await, None);
        assert_eq!(objection("https://[2606:4700::1111]:8443/x").await, None);
        assert!(check("https://10.0.0.1", true).await.is_ok());
        let refused = check("https://10.0.0.1", false).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Refused);
        assert!(refused.hint.unwrap().contains("--allow-private"));
    }

    /// Answers one request on a free port, and tells its first line.
    fn answering(body: String) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let count = connection.read(&mut request).unwrap();
            let head = format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = connection.write_all(format!("{head}{body}").as_bytes());
            String::from_utf8_lossy(&request[..count]).lines().next().unwrap_or_default().to_owned()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn a_port_of_this_machine_passes_if_it_says_that_it_is_a_backbone() {
        let backbone = r#"{"result":{"majorVersion":"7"}}"#;
        let padded = |length: usize| format!("{backbone}{}", " ".repeat(length - backbone.len()));
        for (body, passes) in [
            (backbone.to_owned(), true),
            (padded(MAX_ANSWER), true),
            (padded(MAX_ANSWER + 1), false),
            ("<html>".to_owned(), false),
            (r#"{"result":{}}"#.to_owned(), false),
        ] {
            let (url, asked) = answering(body.clone());
            assert_eq!(objection(&url).await.is_none(), passes, "{} bytes", body.len());
            assert_eq!(asked.join().unwrap(), "GET /api/v2/Version HTTP/1.1");
        }
    }

    #[tokio::test]
    async fn a_path_of_the_senders_choice_is_not_asked_for_on_this_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for url in [
            format!("http://localhost:{port}/admin/stop"),
            format!("http://x.localhost:{port}/admin/stop"),
            format!("https://127.0.0.1:{port}"),
            format!("https://x.localhost:{port}"),
        ] {
            assert!(objection(&url).await.is_some(), "{url}");
        }
        assert!(listener.accept().is_err(), "it was asked");
    }

    #[tokio::test]
    async fn every_name_below_localhost_is_this_machine_and_judged_by_what_answers_there() {
        for host in ["localhost", "LocalHost", "localhost.", "x.localhost", "a.b.LOCALHOST", "x.localhost."] {
            for (body, passes) in [("hi", false), (r#"{"result":{"majorVersion":"7"}}"#, true)] {
                let (url, asked) = answering(body.to_owned());
                assert_eq!(objection(&url.replace("127.0.0.1", host)).await.is_none(), passes, "{host}");
                assert_eq!(asked.join().unwrap(), "GET /api/v2/Version HTTP/1.1", "{host}");
            }
        }
    }

    #[tokio::test]
    async fn a_port_at_which_nobody_listens_is_left_to_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        drop(listener);
        assert_eq!(objection(&url).await, None);
    }
}
