//! Who the caller is: whoever is connected or, where that is a proxy we were told to trust, whom it speaks for.

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Each proxy adds the address it was reached from to the right, so what stands left of the first stranger is what that stranger says.
/// An entry that is no address ends the search.
pub fn address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut found = peer.ip().to_canonical();
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let mut entries = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    while trusted.iter().any(|network| network.contains(&found)) {
        match entries.next().and_then(read) {
            Some(address) => found = address,
            None => break,
        }
    }
    found
}

/// An address, perhaps with a port.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let address = entry.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stranger_is_the_caller() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().expect("a network")).collect();
        for (peer, lines, caller) in [
            ("10.0.0.1:1", &[][..], "10.0.0.1"),
            ("203.0.113.9:1", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1:1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["1.2.3.4,198.51.100.1 , 10.1.1.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["1.2.3.4", "198.51.100.1", "10.1.1.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
            ("10.0.0.1:1", &["198.51.100.1, nonsense, 10.1.1.1"], "10.1.1.1"),
            ("10.0.0.1:1", &["198.51.100.1,"], "10.0.0.1"),
            ("10.0.0.1:1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.1\u{e9}"], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1:1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1:1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1:1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("[::ffff:10.0.0.1]:1", &["198.51.100.1"], "198.51.100.1"),
            ("[fd00::1]:1", &["198.51.100.1, ::ffff:10.1.1.1"], "198.51.100.1"),
            ("[::ffff:203.0.113.9]:1", &["198.51.100.1"], "203.0.113.9"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, axum::http::HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
            }
            let peer = peer.parse().expect("an address");
            assert_eq!(address(peer, &headers, &trusted).to_string(), caller, "{peer} {lines:?}");
            assert_eq!(address(peer, &headers, &[]), peer.ip().to_canonical(), "nobody is trusted unless we were told");
        }
    }
}
