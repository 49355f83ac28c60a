//! Where the names of suppliers lead, at the moment of connecting: what is connected to is the very answer that was checked, so that a name
//! which leads elsewhere by then leads nowhere. Whoever shows a supplier its secret connects through this.

use crate::suppliers::address::{self, AddressError};
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;
use url::Url;

/// Resolves names to addresses that a channel may connect to.
#[derive(Clone)]
pub struct PermittedAddresses {
    allowed: Arc<[IpNet]>,
    ask: Ask,
}

/// A name service. The addresses that it finds have no port.
pub type Ask = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// A name that a channel cannot be reached by.
#[derive(Debug, thiserror::Error)]
pub enum LeadsNowhere {
    #[error("{name} is not found")]
    NotFound {
        name: String,
        #[source]
        error: io::Error,
    },
    #[error("{name} leads to {addresses}, which no channel may have")]
    Refused { name: String, addresses: String },
}

impl PermittedAddresses {
    /// Public addresses, and those in the `allowed` networks.
    pub fn new(allowed: impl Into<Arc<[IpNet]>>) -> PermittedAddresses {
        PermittedAddresses { allowed: allowed.into(), ask: ask_system }
    }

    /// As another name service has it.
    #[cfg(test)]
    pub fn asking(ask: Ask, allowed: &[IpNet]) -> PermittedAddresses {
        PermittedAddresses { allowed: allowed.into(), ask }
    }

    /// Checks a base URL as far as it can be checked without asking the name service.
    pub fn check(&self, url: &Url) -> Result<(), AddressError> {
        address::check(url, &self.allowed)
    }

    /// The addresses of a name that may be connected to, one at the least, without a port.
    pub fn of(&self, name: &str) -> impl Future<Output = Result<Vec<SocketAddr>, LeadsNowhere>> + Send + use<> {
        let (name, allowed, asked) = (name.to_string(), self.allowed.clone(), (self.ask)(name.to_string()));
        async move {
            let found = match asked.await {
                Ok(found) => found,
                Err(error) => return Err(LeadsNowhere::NotFound { name, error }),
            };
            let (permitted, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| address::is_permitted(found.ip(), &allowed));
            if permitted.is_empty() {
                let addresses = refused.iter().map(|found| found.ip().to_string()).collect::<Vec<_>>().join(", ");
                return Err(LeadsNowhere::Refused { name, addresses });
            }
            Ok(permitted)
        }
    }
}

fn ask_system(name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
}

impl Resolve for PermittedAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.of(name.as_str());
        Box::pin(async move { Ok(Box::new(found.await?.into_iter()) as Addrs) })
    }
}

impl Service<dns::Name> for PermittedAddresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = LeadsNowhere;
    type Future = BoxFuture<'static, Result<Self::Response, LeadsNowhere>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LeadsNowhere>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        let found = self.of(name.as_str());
        Box::pin(async move { Ok(found.await?.into_iter()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// A name service whose owner changes the answer once it was checked: a public address first, ours ever after.
    fn ask_rebinding(_: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let first = ASKED.fetch_add(1, Ordering::Relaxed) == 0;
        // Public, and nobody answers there within the time of the test.
        let ip: IpAddr = if first { [192, 31, 196, 1].into() } else { Ipv4Addr::LOCALHOST.into() };
        Box::pin(async move { Ok(vec![(ip, 0).into()]) })
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_once_it_was_checked_leads_nowhere() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://rebinding.example:{}/v1", listener.local_addr().expect("bound").port());
        assert_eq!(address::check(&Url::parse(&url).expect("a URL"), &[]), Ok(()), "a name may be saved");
        let client = |allowed: &[IpNet]| {
            let client = reqwest::Client::builder().no_proxy().dns_resolver(PermittedAddresses::asking(ask_rebinding, allowed));
            client.connect_timeout(Duration::from_millis(100)).timeout(Duration::from_millis(500)).build().expect("a client")
        };
        let strict = client(&[]);
        for _ in 0..20 {
            assert!(strict.get(&url).send().await.is_err());
        }
        let reached = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(reached.is_err(), "nobody came");
        // The same way leads here when the operator allows it.
        let _ = client(&["127.0.0.0/8".parse().expect("a network")]).get(&url).send().await;
        assert!(tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.is_ok(), "it would have been found");
    }

    #[tokio::test]
    async fn of_several_addresses_the_permitted_are_taken() {
        let several: Ask = |_| Box::pin(async { Ok(vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv4Addr::new(8, 8, 8, 8), 0).into()]) });
        let found = PermittedAddresses::asking(several, &[]).of("two.example").await.expect("one of them");
        assert_eq!(found, [SocketAddr::from((Ipv4Addr::new(8, 8, 8, 8), 0))]);
        let ours: Ask = |_| Box::pin(async { Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()]) });
        let refused = PermittedAddresses::asking(ours, &[]).of("ours.example").await.expect_err("none of them");
        assert_eq!(refused.to_string(), "ours.example leads to 127.0.0.1, which no channel may have");
    }
}
