//! Where we listen, and how the outside sees us.

use super::{Config, ConfigError, invalid};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::Url;

/// `TOKI_ADDR`.
pub fn listen(text: Option<&str>) -> Result<SocketAddr, ConfigError> {
    match text {
        None => Ok(SocketAddr::from(([127, 0, 0, 1], 3000))),
        Some(text) => text.parse().map_err(|_| invalid("TOKI_ADDR", "must be an address and port, like 127.0.0.1:3000")),
    }
}

/// `TOKI_METRICS_ADDR`, unset or empty for none. Never where callers connect, which is `public`.
pub fn metrics(text: Option<&str>, public: SocketAddr) -> Result<Option<SocketAddr>, ConfigError> {
    const NAME: &str = "TOKI_METRICS_ADDR";
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let addr: SocketAddr = text.parse().map_err(|_| invalid(NAME, "must be an address and port, like 127.0.0.1:9464"))?;
    // Port 0 is a new one each time.
    let same_port = addr.port() == public.port() && addr.port() != 0;
    if same_port && (addr.ip() == public.ip() || addr.ip().is_unspecified() || public.ip().is_unspecified()) {
        return Err(invalid(NAME, "must not be where TOKI_ADDR listens: callers have no business with metrics"));
    }
    Ok(Some(addr))
}

/// `TOKI_PUBLIC_URL`; by default, of the address that we listen on.
pub fn public_url(text: Option<&str>, addr: SocketAddr) -> Result<Url, ConfigError> {
    let text = text.map_or_else(|| format!("http://{addr}"), str::to_string);
    let url = Url::parse(&text).map_err(|_| invalid("TOKI_PUBLIC_URL", "must be a URL like https://toki.example"))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if matches!(url.scheme(), "http" | "https") && url.host().is_some() && bare {
        Ok(url)
    } else {
        Err(invalid("TOKI_PUBLIC_URL", "must be http(s)://host[:port] and nothing more"))
    }
}

impl Config {
    /// Takes the address that was really bound: `TOKI_ADDR` may leave the port to the system, and the public URL follows it.
    pub fn set_bound_addr(&mut self, addr: SocketAddr) {
        self.addr = addr;
        if self.public_url.port() == Some(0) && self.public_url.set_port(Some(addr.port())).is_err() {
            tracing::warn!("the public URL keeps its port");
        }
    }

    /// Where this server reaches itself: a listener on every address is reached on this machine's own.
    pub fn own_address(&self) -> SocketAddr {
        let ip = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.addr.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_off_or_elsewhere_than_callers() {
        let at = |metrics: &str, public: &str| metrics_of(metrics, public.parse().expect("an address"));
        assert_eq!(at("", "127.0.0.1:3000"), Ok(None));
        for text in ["9464", "localhost:9464", "127.0.0.1"] {
            assert!(at(text, "127.0.0.1:3000").is_err_and(|error| error.contains("TOKI_METRICS_ADDR")), "{text}");
        }
        for (metrics, public) in [
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("127.0.0.1:3000", "0.0.0.0:3000"),
            ("10.0.0.1:3000", "[::]:3000"),
        ] {
            assert!(at(metrics, public).is_err_and(|error| error.contains("TOKI_ADDR")), "{metrics} {public}");
        }
        for (metrics, public) in [
            ("127.0.0.1:9464", "127.0.0.1:3000"),
            ("10.0.0.1:3000", "127.0.0.1:3000"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:9464", "[::]:3000"),
        ] {
            assert_eq!(at(metrics, public), Ok(metrics.parse().ok()), "{metrics} {public}");
        }
    }

    fn metrics_of(text: &str, public: SocketAddr) -> Result<Option<SocketAddr>, String> {
        metrics(Some(text), public).map_err(|error| error.to_string())
    }
}
