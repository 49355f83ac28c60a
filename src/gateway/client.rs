//! The HTTP client for suppliers: connections that are kept, names resolved under the rules. Nothing in a request or in the environment
//! leads elsewhere, since it knows neither redirects nor proxies.

use crate::suppliers::resolver::PermittedAddresses;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::Uri;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use std::error::Error;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// What a supplier may send on one HTTP/2 stream before we have read it: whatever a caller leaves unread lies here, once for each of them.
/// At 50 ms to the supplier and back it still lets 5 MB a second through, which no model writes.
pub const STREAM_WINDOW: u32 = 256 << 10;
/// The same on a connection. Room for 256 streams of which nobody reads anything, more than twice what a line takes: were it used up,
/// nothing would come on any other, either. hyper's own, 2 MB a stream and 5 MB a connection, are used up by three of them.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// An idle connection is closed after this, before suppliers close it.
const IDLE: Duration = Duration::from_secs(30);
/// How often the system asks whether the other side is there, and how many times in vain.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long what was sent may stay without its acknowledgement.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

pub type Client = legacy::Client<Connector, Full<Bytes>>;

/// What is spoken to a supplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/2 where it is offered, else HTTP/1.1.
    Offered,
    /// HTTP/2. Told so, a client opens one connection for all who wait for it, and not one for each of them.
    Http2,
}

/// How suppliers are spoken to over TLS: by the certificates that this machine trusts. Which protocols are offered is for [`client`] to say.
pub fn tls() -> Result<ClientConfig, rustls::Error> {
    ClientConfig::with_platform_verifier()
}

/// `connect`: how long a supplier may take to be connected to.
pub fn client(tls: &ClientConfig, names: PermittedAddresses, connect: Duration, spoken: Spoken) -> Client {
    let mut tcp = HttpConnector::new_with_resolver(names);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
    let https = match spoken {
        Spoken::Offered => https.enable_all_versions().wrap_connector(tcp),
        Spoken::Http2 => https.enable_http2().wrap_connector(tcp),
    };
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_only(spoken == Spoken::Http2)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(Connector { https, within: connect })
}

/// Connects within a time, TLS included.
#[derive(Clone)]
pub struct Connector {
    https: HttpsConnector<HttpConnector<PermittedAddresses>>,
    within: Duration,
}

/// Why there is no connection, said by whoever tried to open one.
#[derive(Debug, thiserror::Error)]
#[error("not connected")]
pub struct NotConnected(#[source] Box<dyn Error + Send + Sync>);

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector<PermittedAddresses>> as Service<Uri>>::Response;
    type Error = NotConnected;
    type Future = BoxFuture<'static, Result<Self::Response, NotConnected>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NotConnected>> {
        self.https.poll_ready(context).map_err(NotConnected)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, within) = (self.https.call(uri), self.within);
        Box::pin(async move {
            let connected = tokio::time::timeout(within, connecting).await;
            let late = |_| NotConnected(io::Error::new(io::ErrorKind::TimedOut, "not connected in time").into());
            connected.map_err(late)?.map_err(NotConnected)
        })
    }
}

/// The next piece of a body; None at its end.
pub async fn piece(body: &mut Incoming) -> hyper::Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        // All else are trailers.
        if let Ok(piece) = frame?.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::suppliers::resolver::Ask;
    use ipnet::IpNet;
    use rustls::RootCertStore;
    use std::iter::successors;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    pub fn provide_crypto() {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    /// How to speak to suppliers without TLS.
    pub fn trusting_nobody() -> ClientConfig {
        provide_crypto();
        ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    }

    #[tokio::test]
    async fn names_lead_only_where_channels_may_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let uri: Uri = format!("http://ours.example:{}/", listener.local_addr().expect("bound").port()).parse().expect("an address");
        let ours: Ask = |_| Box::pin(async { Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()]) });
        let tls = trusting_nobody();
        let asking = |allowed: &[IpNet]| {
            client(&tls, PermittedAddresses::asking(ours, allowed), Duration::from_secs(5), Spoken::Offered).get(uri.clone())
        };
        let refused = asking(&[]).await.expect_err("ours is not public");
        let causes: Vec<String> = successors(Some(&refused as &dyn Error), |&error| error.source()).map(ToString::to_string).collect();
        assert!(causes.iter().any(|cause| cause.ends_with("which no channel may have")), "{causes:?}");
        let allowed = ["127.0.0.0/8".parse().expect("a network")];
        tokio::select! {
            answer = asking(&allowed) => panic!("nobody answers: {answer:?}"),
            connected = listener.accept() => drop(connected.expect("a connection")),
        }
    }
}
