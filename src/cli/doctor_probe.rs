//! What a channel does when it is called: does it report usage in streams, does it honour an output limit, does it stop when its caller
//! leaves? Asked of the supplier itself with two calls, which cost the operator some hundred Tokens there; nobody's wallet pays.
//!
//! Whether a supplier stops cannot be seen once the connection is closed. So it is closed in one direction only, as TCP allows: we
//! say that we leave, and go on listening.

use crate::cli::doctor::Check;
use crate::cli::doctor_channel::{self, presented};
use crate::cli::output::cause_chain;
use crate::suppliers::resolver::{LeadsNowhere, PermittedAddresses};
use crate::suppliers::store::{OnLeave, Protocol};
use reqwest::header::HOST;
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

const PROMPT: &str = "Write the numbers from one to one thousand in words, one on each line, without anything else.";
/// What may be answered to the first call, in Tokens, and to the second.
const SHORT: i64 = 16;
const LONG: i64 = 2_000;
/// How long the supplier is listened to after we left.
const LISTEN: Duration = Duration::from_secs(5);
/// What is still said so long after we left was not on its way before.
const LATE: Duration = Duration::from_secs(1);
/// How long an answer may take to begin, and a pause in it.
const PATIENCE: Duration = Duration::from_secs(60);
/// More of an answer is read by nobody.
const MOST_BYTES: usize = 8 << 20;

/// What is probed.
pub struct Subject<'a> {
    pub supplier: &'a str,
    pub base_url: &'a str,
    pub protocol: Protocol,
    pub secret: Option<SecretString>,
    /// Where its name may lead.
    pub names: Arc<PermittedAddresses>,
    /// The supplier's own name for the model.
    pub upstream_id: &'a str,
    pub on_leave: OnLeave,
}

#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("the base URL is none")]
    BaseUrl(#[from] url::ParseError),
    #[error("no connection could be made")]
    Io(#[from] std::io::Error),
    #[error("no connection may be made")]
    Name(#[from] LeadsNowhere),
    #[error("the call failed")]
    Call(#[from] reqwest::Error),
    #[error("answered {0} to a call: {1}")]
    Refused(StatusCode, String),
    #[error("said nothing for {} s", PATIENCE.as_secs())]
    Silent,
}

/// What came of a stream.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    /// Input and output, as last reported.
    usage: (Option<i64>, Option<i64>),
    /// The protocol's own end was there.
    ended: bool,
}

/// What the supplier did after we left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Stopped,
    WentOn,
    /// All had been said before.
    TooSoon,
}

/// The findings, a line each; `name` says of what.
pub async fn probe(name: &str, subject: &Subject<'_>) -> Vec<Check> {
    let failed = |error: ProbeError| {
        let remedy = "see that the model is served there, with --model another one is tried";
        Check::fail(format!("{name}: call"), cause_chain(&error), remedy)
    };
    let (limit_name, heard) = match short_call(subject).await {
        Ok(answered) => answered,
        Err(error) => return vec![failed(error)],
    };
    let mut checks = vec![usage(name, &heard), limit(name, &heard)];
    checks.push(match leave(subject, limit_name).await {
        Ok(left) => leaving(name, subject, left),
        Err(error) => failed(error),
    });
    checks
}

fn usage(name: &str, heard: &Heard) -> Check {
    let name = format!("{name}: usage in streams");
    match heard.usage {
        (Some(input), Some(output)) => Check::ok(name, format!("reported: {input} Tokens of input, {output} of output")),
        _ => Check::warn(
            name,
            "not reported: calls are charged by our own count",
            "compare its bills with ours, and set what its templates add with `toki supplier edit --prompt-overhead`",
        ),
    }
}

fn limit(name: &str, heard: &Heard) -> Check {
    let name = format!("{name}: output limit");
    // A word is a Token at the least.
    let said = heard.usage.1.unwrap_or(0).max(heard.text.split_whitespace().count() as i64);
    if said <= SHORT {
        return Check::ok(name, format!("honoured: {said} of {SHORT} Tokens at the most"));
    }
    let remedy = "charges stop at what was held, the rest is yours to pay: ask the supplier, or disable the channel";
    Check::fail(name, format!("ignored: {said} Tokens, and {SHORT} were allowed"), remedy)
}

fn leaving(name: &str, subject: &Subject<'_>, left: Left) -> Check {
    let name = format!("{name}: caller leaves");
    let edit = |policy: &str| format!("`toki supplier edit {} --on-leave {policy}`", subject.supplier);
    match (left, subject.on_leave) {
        (Left::Stopped, OnLeave::Cancel) => Check::ok(name, "stops; the policy `cancel` fits"),
        (Left::Stopped, OnLeave::Drain) => {
            Check::warn(name, "stops, but answers are read to their end, which costs more", edit(OnLeave::Cancel.as_str()))
        }
        (Left::WentOn, OnLeave::Drain) => Check::ok(name, "was not seen to stop; the policy `drain` fits"),
        (Left::WentOn, OnLeave::Cancel) => {
            let detail = "was not seen to stop: it may bill for whole answers of which callers pay a part";
            Check::warn(name, detail, edit(OnLeave::Drain.as_str()))
        }
        (Left::TooSoon, _) => Check::warn(name, "could not be seen, the answer was there too soon", "try --model with a slower one"),
    }
}

/// An answer that must be short, and what the supplier calls the limit: OpenAI's newer models know it by another name than everybody
/// else's.
async fn short_call(subject: &Subject<'_>) -> Result<(&'static str, Heard), ProbeError> {
    const USUAL: &str = "max_tokens";
    const NEWER: &str = "max_completion_tokens";
    let (client, url) = (builder(subject).build()?, Url::parse(subject.base_url)?);
    let (name, mut response) = match call(&client, &url, subject, (USUAL, SHORT)).await {
        Err(ProbeError::Refused(StatusCode::BAD_REQUEST, _)) if subject.protocol == Protocol::Openai => {
            (NEWER, call(&client, &url, subject, (NEWER, SHORT)).await?)
        }
        answer => (USUAL, answer?),
    };
    let mut reading = Reading::default();
    while let Some(chunk) = next(&mut response).await? {
        if !reading.push(&chunk) {
            break;
        }
    }
    Ok((name, reading.heard))
}

/// A long answer that we leave after its first words.
async fn leave(subject: &Subject<'_>, limit_name: &str) -> Result<Left, ProbeError> {
    let goodbye = CancellationToken::new();
    let (client, url, relay) = through_relay(subject).await?;
    let relayed = async {
        relay.run(&goodbye).await;
        std::future::pending().await
    };
    let listening = async { listen(call(&client, &url, subject, (limit_name, LONG)).await?, &goodbye).await };
    tokio::select! {
        left = listening => left,
        never = relayed => never,
    }
}

async fn listen(mut response: Response, goodbye: &CancellationToken) -> Result<Left, ProbeError> {
    let mut reading = Reading::default();
    while reading.heard.text.is_empty() {
        match next(&mut response).await? {
            Some(chunk) if reading.push(&chunk) => {}
            _ => return Ok(Left::TooSoon),
        }
    }
    goodbye.cancel();
    let left = Instant::now();
    let mut last_words = Duration::ZERO;
    loop {
        match tokio::time::timeout(LISTEN.saturating_sub(left.elapsed()), response.chunk()).await {
            Ok(Ok(Some(chunk))) if reading.push(&chunk) => last_words = left.elapsed(),
            // A connection that breaks is how most servers stop.
            Ok(Ok(None) | Err(_)) if !reading.heard.ended => return Ok(Left::Stopped),
            _ => break,
        }
    }
    Ok(match (last_words < LATE, reading.heard.ended) {
        (false, _) => Left::WentOn,
        (true, true) => Left::TooSoon,
        (true, false) => Left::Stopped,
    })
}

/// HTTP/1.1, since one connection must be one call's.
fn builder(subject: &Subject<'_>) -> ClientBuilder {
    doctor_channel::builder(&subject.names).connect_timeout(Duration::from_secs(10)).http1_only()
}

/// A client, and the base URL for it, whose connection leads through a relay of ours: TLS, where there is some, is between client and
/// supplier all the same.
async fn through_relay(subject: &Subject<'_>) -> Result<(Client, Url, Relay), ProbeError> {
    let mut url = Url::parse(subject.base_url)?;
    let (Some(host), Some(port)) = (url.host().map(|host| host.to_owned()), url.port_or_known_default()) else {
        return Err(url::ParseError::EmptyHost.into());
    };
    let upstream = match &host {
        Host::Domain(name) => TcpStream::connect(&with_port(subject.names.of(name).await?, port)[..]).await?,
        Host::Ipv4(ip) => TcpStream::connect((*ip, port)).await?,
        Host::Ipv6(ip) => TcpStream::connect((*ip, port)).await?,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let relay = listener.local_addr()?;
    let mut client = builder(subject);
    match &host {
        Host::Domain(name) => client = client.resolve(name, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        Host::Ipv4(_) | Host::Ipv6(_) => {
            // Cannot fail: it has a host already.
            url.set_ip_host(relay.ip()).unwrap_or_default();
        }
    }
    url.set_port(Some(relay.port())).unwrap_or_default();
    Ok((client.build()?, url, Relay { listener, upstream }))
}

fn with_port(addresses: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    addresses.into_iter().map(|address| SocketAddr::new(address.ip(), port)).collect()
}

/// Of one connection.
struct Relay {
    listener: TcpListener,
    upstream: TcpStream,
}

impl Relay {
    /// At `goodbye` the direction to the supplier is closed.
    async fn run(self, goodbye: &CancellationToken) {
        let Ok((caller, _)) = self.listener.accept().await else { return };
        relay(caller, self.upstream, goodbye).await;
    }
}

async fn relay(caller: TcpStream, upstream: TcpStream, goodbye: &CancellationToken) {
    let ((mut from_caller, mut to_caller), (mut from_upstream, mut to_upstream)) = (caller.into_split(), upstream.into_split());
    let there = async move {
        tokio::select! {
            _ = tokio::io::copy(&mut from_caller, &mut to_upstream) => {}
            () = goodbye.cancelled() => {}
        }
        // A supplier that has closed already has no use for it.
        drop(to_upstream.shutdown().await);
    };
    let back = async move {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from_upstream.read(&mut bytes).await {
            if to_caller.write_all(bytes.get(..read).unwrap_or_default()).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(there, back);
}

/// Begins a streamed call.
async fn call(client: &Client, base: &Url, subject: &Subject<'_>, (name, limit): (&str, i64)) -> Result<Response, ProbeError> {
    let response = tokio::time::timeout(PATIENCE, request(client, base, subject, name, limit)?.send()).await;
    let response = response.map_err(|_| ProbeError::Silent)??;
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(ProbeError::Refused(status, response.text().await.unwrap_or_default().chars().take(200).collect())),
    }
}

fn request(
    client: &Client,
    base: &Url,
    subject: &Subject<'_>,
    limit_name: &str,
    limit: i64,
) -> Result<reqwest::RequestBuilder, ProbeError> {
    let mut body = json!({"model": subject.upstream_id, "stream": true, "messages": [{"role": "user", "content": PROMPT}]});
    body[limit_name] = limit.into();
    let path = match subject.protocol {
        Protocol::Openai => {
            body["stream_options"] = json!({"include_usage": true});
            "chat/completions"
        }
        Protocol::Anthropic => "messages",
    };
    let real = Url::parse(subject.base_url)?;
    let host = real.authority().rsplit('@').next().unwrap_or_default().to_string();
    let request = client.post(format!("{}/{path}", base.as_str().trim_end_matches('/'))).header(HOST, host).json(&body);
    Ok(presented(request, subject.protocol, subject.secret.as_ref()))
}

async fn next(response: &mut Response) -> Result<Option<bytes::Bytes>, ProbeError> {
    Ok(tokio::time::timeout(PATIENCE, response.chunk()).await.map_err(|_| ProbeError::Silent)??)
}

/// Reads the events of both protocols out of a stream's lines.
#[derive(Default)]
struct Reading {
    heard: Heard,
    line: Vec<u8>,
    bytes: usize,
}

impl Reading {
    /// False when no more should be read.
    fn push(&mut self, chunk: &[u8]) -> bool {
        self.bytes += chunk.len();
        for byte in chunk {
            if matches!(byte, b'\n' | b'\r') {
                let line = std::mem::take(&mut self.line);
                self.read_line(&line);
            } else {
                self.line.push(*byte);
            }
        }
        self.bytes < MOST_BYTES
    }

    fn read_line(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return };
        if data == b"[DONE]" {
            self.heard.ended = true;
        }
        let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
        self.heard.ended |= event["type"] == "message_stop";
        for text in [&event["choices"][0]["delta"]["content"], &event["delta"]["text"]] {
            self.heard.text.push_str(text.as_str().unwrap_or_default());
        }
        let (input, output) = &mut self.heard.usage;
        for usage in [&event["usage"], &event["message"]["usage"]] {
            let either = |names: [&str; 2]| names.iter().find_map(|name| usage[name].as_i64());
            *input = either(["prompt_tokens", "input_tokens"]).or(*input);
            *output = either(["completion_tokens", "output_tokens"]).or(*output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Health;

    /// Both calls of a probe connect anew, and a name that was checked may lead here by then.
    #[tokio::test]
    async fn no_call_of_a_probe_goes_where_a_name_must_not_lead() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let base_url = format!("http://rebinding.example:{}/v1", listener.local_addr().expect("bound").port());
        let subject = Subject {
            supplier: "acme",
            base_url: &base_url,
            protocol: Protocol::Openai,
            secret: Some("sk-operators".into()),
            names: Arc::new(PermittedAddresses::asking(|_| Box::pin(async { Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()]) }), &[])),
            upstream_id: "m",
            on_leave: OnLeave::Cancel,
        };
        let checks = probe("channel", &subject).await;
        assert!(checks.iter().all(|check| check.status == Health::Fail) && checks.len() == 1, "{checks:?}");
        let refused = leave(&subject, "max_tokens").await.err().map(|error| cause_chain(&error)).unwrap_or_default();
        assert!(refused.contains("127.0.0.1, which no channel may have"), "{refused}");
        let reached = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(reached.is_err(), "nobody came");
    }
}
