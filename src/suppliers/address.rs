//! Which addresses a channel may have: public ones, at ports where models are served, and the networks that the operator allowed, at any.
//! Checked when a channel is saved and again when it is connected to, since a name may point elsewhere by then.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the address must begin with http:// or https://")]
    Scheme,
    #[error("the address must not hold a user name, a query or a fragment")]
    Extras,
    #[error("the address has no host")]
    NoHost,
    #[error("{0} is not a public address; allow its network with TOKI_SUPPLIER_NETWORKS if it is meant")]
    NotPublic(IpAddr),
    #[error(
        "port {0} is not one that models are served on: that is 80, 443, or one from 1024 on that no other well-known service has; \
         only an IP address in a network of TOKI_SUPPLIER_NETWORKS may have any"
    )]
    Port(u16),
}

/// Ports from 1024 on that a channel has no business at: what listens there would read a call as something else, or obey whoever is let
/// near. A short list on purpose, since models are served on any other port: 1234, 3000, 5000, 8000, 8080, 9000, 11434 and so on.
const OTHER_SERVICES: [u16; 40] = [
    // What browsers refuse too, as "bad ports" of the Fetch standard: telephony, file and mail services, X11, IRC, backups.
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    // Databases, caches and queues: SQL Server, Oracle, MySQL, Postgres, AMQP, Redis, Cassandra, Kafka, Elasticsearch, memcached, MongoDB.
    1433, 1521, 3306, 5432, 5672, 6379, 9042, 9092, 9200, 9300, 11211, 27017,
    // What runs machines: ZooKeeper, Docker, etcd, remote desktops, Kubernetes.
    2181, 2375, 2376, 2379, 2380, 3389, 5900, 6443, 10250,
];

/// Checks a base URL as far as it can be checked without asking the name service.
pub fn check(url: &Url, allowed: &[IpNet]) -> Result<(), AddressError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Extras);
    }
    // The URL parser has turned decimal, octal and hexadecimal forms into plain addresses.
    let ip = match url.host() {
        None => return Err(AddressError::NoHost),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
    };
    if let Some(ip) = ip.filter(|ip| !is_permitted(*ip, allowed)) {
        return Err(AddressError::NotPublic(ip));
    }
    // Whether a name leads into an allowed network is known only when it is connected to, when nobody looks at the port any more, and may
    // be otherwise the next time. So a name never has any port: who needs that writes the address that they allowed.
    let any_port = ip.is_some_and(|ip| is_listed(ip, allowed));
    match url.port() {
        Some(port) if !any_port && !serves_models(port) => Err(AddressError::Port(port)),
        // None is the scheme's own.
        _ => Ok(()),
    }
}

fn serves_models(port: u16) -> bool {
    matches!(port, 80 | 443 | 1024..=u16::MAX) && !OTHER_SERVICES.contains(&port)
}

/// Whether a channel may connect to this address.
pub fn is_permitted(ip: IpAddr, allowed: &[IpNet]) -> bool {
    is_listed(ip, allowed)
        || match plain(ip) {
            IpAddr::V4(ip) => is_public_v4(ip),
            IpAddr::V6(ip) => is_public_v6(ip),
        }
}

/// Whether the operator allowed its network.
fn is_listed(ip: IpAddr, allowed: &[IpNet]) -> bool {
    allowed.iter().any(|network| network.contains(&ip) || network.contains(&plain(ip)))
}

/// The address that is meant, where one lies inside another.
fn plain(ip: IpAddr) -> IpAddr {
    embedded_v4(ip).map(IpAddr::V4).unwrap_or(ip)
}

/// The IPv4 address inside a v4-mapped (::ffff:0:0/96), v4-compatible, NAT64 (64:ff9b::/96) or 6to4 (2002::/16) address.
fn embedded_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let low = |octets: [u8; 16]| Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(low(ip.octets())),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(low(ip.octets())),
        [0x2002, a, b, ..] => Some(Ipv4Addr::from(u32::from(a) << 16 | u32::from(b))),
        _ => None,
    }
}

/// Globally reachable according to IANA's special-purpose registry (RFC 6890).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Only 2000::/3 is handed out; of it, documentation, benchmarking, ORCHID and Teredo addresses are no hosts.
    let segments = ip.segments();
    let special = matches!(segments, [0x2001, 0xdb8, ..] | [0x2001, 0..0x200, ..] | [0x3fff, 0..0x1000, ..]);
    (segments[0] & 0xe000) == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, allowed: &[&str]) -> Result<(), AddressError> {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().expect("network")).collect();
        check(&Url::parse(text).expect("URL"), &allowed)
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for url in
            ["https://api.openai.com/v1", "http://8.8.8.8/v1", "https://[2606:4700::1111]/v1", "http://172.32.0.1/", "http://100.128.0.1/"]
        {
            assert_eq!(check_text(url, &[]), Ok(()), "{url}");
        }
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://10.0.0.1/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://192.0.0.1/",
            "http://192.0.2.1/",
            "http://198.18.0.1/",
            "http://198.51.100.1/",
            "http://203.0.113.1/",
            "http://224.0.0.1/",
            "http://240.0.0.1/",
            "http://255.255.255.255/",
            "http://0.0.0.0/",
            "http://0.1.2.3/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::a00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2002:a00:1::]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://[fd12:3456::1]/",
            "http://[ff02::1]/",
            "http://[2001:db8::1]/",
            "http://[2001::1]/",
            "http://[100::1]/",
            "http://[fec0::1]/",
            // The same once more, as parsers of addresses read them.
            "http://127.0.1/",
            "http://127.0.0.1./",
            "http://017700000001/",
            "http://0x7f.1/",
            "http://0x7F.0x0.0x0.0x1/",
            "http://%31%32%37.0.0.1/",
            "http://①②⑦.⓪.⓪.①/",
            "http://127。0。0。1/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.170.2/",
            "http://100.100.100.200/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:7f00:1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b:1::7f00:1]/",
            "http://[2002:a9fe:a9fe::]/",
            "http://[fd00:ec2::254]/",
            "http://[3fff::1]/",
            "http://[5f00::1]/",
            // At the port of a service that many a network has.
            "http://127.0.0.1:6379/",
            "http://10.0.0.1:2375/",
            "http://169.254.169.254:80/latest/meta-data",
            "https://[::1]:8443/",
            "http://[::ffff:10.0.0.1]:22/",
        ] {
            assert!(matches!(check_text(url, &[]), Err(AddressError::NotPublic(_))), "{url}: {:?}", check_text(url, &[]));
        }
    }

    #[test]
    fn allowed_networks_are_allowed_and_no_more() {
        assert_eq!(check_text("http://10.1.2.3:8000/v1", &["10.1.0.0/16"]), Ok(()));
        assert_eq!(check_text("http://[::ffff:10.1.2.3]/v1", &["10.1.0.0/16"]), Ok(()));
        assert!(check_text("http://10.2.2.3/v1", &["10.1.0.0/16"]).is_err());
    }

    #[test]
    fn odd_ports_are_refused_at_addresses_and_names() {
        let odd = [
            0, 1, 7, 21, 22, 23, 25, 53, 79, 81, 110, 143, 389, 444, 445, 465, 587, 636, 993, 1023, 2049, 2375, 3306, 5060, 5432, 6000,
            6379, 6443, 6667, 9200, 10080, 11211, 27017,
        ];
        for port in odd {
            for host in ["8.8.8.8", "[2606:4700::1111]", "api.example.com", "localhost"] {
                for scheme in ["http", "https"] {
                    let url = format!("{scheme}://{host}:{port}/v1");
                    assert_eq!(check_text(&url, &["10.0.0.0/8"]), Err(AddressError::Port(port)), "{url}");
                }
            }
        }
        // Those of the other scheme are no others; and nobody moves a port out of sight by writing it at length.
        for url in ["http://8.8.8.8:443/", "https://api.example.com:80/", "https://api.example.com:443/", "http://api.example.com:/"] {
            assert_eq!(check_text(url, &[]), Ok(()), "{url}");
        }
        assert_eq!(check_text("http://8.8.8.8:00022/", &[]), Err(AddressError::Port(22)));
    }

    #[test]
    fn ports_that_models_are_served_on_pass() {
        for port in [1024, 1234, 1337, 3000, 4000, 5000, 5001, 7860, 8000, 8001, 8080, 8081, 8443, 8888, 9000, 9997, 11434, 30000, 65535] {
            for host in ["8.8.8.8", "[2606:4700::1111]", "api.example.com"] {
                let url = format!("http://{host}:{port}/v1");
                assert_eq!(check_text(&url, &[]), Ok(()), "{url}");
            }
        }
    }

    #[test]
    fn an_allowed_network_has_any_port_and_a_name_that_may_lead_there_has_not() {
        for url in ["http://10.1.2.3:22/v1", "http://10.1.2.3:6379/v1", "http://[::ffff:10.1.2.3]:81/v1", "http://167838211:1/v1"] {
            assert_eq!(check_text(url, &["10.1.0.0/16"]), Ok(()), "{url}");
        }
        assert_eq!(check_text("http://models.internal:81/v1", &["10.1.0.0/16"]), Err(AddressError::Port(81)));
        assert_eq!(check_text("http://8.8.8.8:81/v1", &["10.1.0.0/16"]), Err(AddressError::Port(81)));
    }

    #[test]
    fn odd_schemes_and_extras_are_refused() {
        assert_eq!(check_text("ftp://example.com/", &[]), Err(AddressError::Scheme));
        assert_eq!(check_text("file:///etc/passwd", &[]), Err(AddressError::Scheme));
        for url in ["http://user@example.com/", "http://:pw@example.com/", "http://example.com/?x=1", "http://example.com/#x"] {
            assert_eq!(check_text(url, &[]), Err(AddressError::Extras), "{url}");
        }
    }
}
