//! The doctor's look at channels: is the address allowed, does the secret open, does the supplier answer.

use crate::cli::doctor::Check;
use crate::cli::doctor_probe::{Subject, probe};
use crate::cli::output::cause_chain;
use crate::cli::{CliError, Context};
use crate::ids::ChannelId;
use crate::server::config::{Environment, loopback_networks};
use crate::suppliers::resolver::{LeadsNowhere, PermittedAddresses};
use crate::suppliers::store::{ChannelRow, ModelRow, Protocol, Status, all_channels, all_models, all_suppliers};
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// The sandbox's own supplier, which lives on our loopback and answers only while `toki serve --sandbox` runs.
const SANDBOX: &str = "sandbox";

/// Looks at all of them at once: a supplier that does not answer takes its whole timeout.
pub async fn check_channels(ctx: &Context, channels: &[&ChannelRow]) -> Vec<Check> {
    futures::future::join_all(channels.iter().map(|channel| check_channel(ctx, channel))).await
}

/// As the gateway's client: no redirects, no proxies, and names under its rules. Whatever a name led to when it was looked at, a channel's
/// secret goes where it may.
pub fn builder(names: &Arc<PermittedAddresses>) -> ClientBuilder {
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().dns_resolver(names.clone())
}

fn client(names: &Arc<PermittedAddresses>) -> reqwest::Result<Client> {
    builder(names).connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(10)).build()
}

/// With the headers that a supplier of this protocol asks for.
pub fn presented(request: RequestBuilder, protocol: Protocol, secret: Option<&SecretString>) -> RequestBuilder {
    match (protocol, secret) {
        (Protocol::Openai, None) => request,
        (Protocol::Openai, Some(secret)) => request.bearer_auth(secret.expose_secret()),
        (Protocol::Anthropic, secret) => {
            let request = request.header("anthropic-version", "2023-06-01");
            secret.into_iter().fold(request, |request, secret| request.header("x-api-key", secret.expose_secret()))
        }
    }
}

async fn check_channel(ctx: &Context, channel: &ChannelRow) -> Check {
    let name = name_of(channel);
    let names = names(ctx, channel);
    let secret = match usable(ctx, channel, &names).await {
        Ok(secret) => secret,
        Err(check) => return check,
    };
    let client = match client(&names) {
        Ok(client) => client,
        Err(error) => return Check::fail(name, cause_chain(&error), "see that certificates are installed"),
    };
    match ask(&client, channel, secret.as_ref()).await {
        Ok(status) if status.is_success() => Check::ok(name, "answers"),
        Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            Check::fail(name, format!("refuses our secret ({status})"), "set it with `toki channel edit CHANNEL_ID --secret-env VAR`")
        }
        Ok(StatusCode::NOT_FOUND) => Check::warn(name, "answers, but has no /models", "see that the base URL is right"),
        Ok(status) => Check::warn(name, format!("answers {status} to /models"), "ask the supplier"),
        Err(error) if channel.supplier == SANDBOX => {
            Check::warn(name, format!("does not answer: {}", cause_chain(&error)), "it answers while `toki serve --sandbox` runs")
        }
        Err(error) => {
            Check::fail(name, format!("does not answer: {}", cause_chain(&error)), "see that the base URL is right and reachable from here")
        }
    }
}

/// Calls a channel, with this model or the first of its supplier, and says what it does.
pub async fn probe_channel(ctx: &Context, channel_id: ChannelId, model: Option<&str>) -> Vec<Check> {
    let name = format!("channel {channel_id}");
    let read = async { Ok::<_, CliError>((all_suppliers(&ctx.db).await?, all_channels(&ctx.db).await?, all_models(&ctx.db).await?)) };
    let (suppliers, channels, models) = match read.await {
        Ok(read) => read,
        Err(error) => return vec![Check::fail(name, cause_chain(&error), "see the database's log")],
    };
    let channel = channels.iter().find(|channel| channel.channel_id == channel_id);
    let found = channel.and_then(|channel| Some((channel, suppliers.iter().find(|supplier| supplier.slug == channel.supplier)?)));
    let Some((channel, supplier)) = found else {
        return vec![Check::fail(name, "there is no such channel", "see `toki channel list`")];
    };
    let fits = |row: &&ModelRow| row.supplier == channel.supplier && model.map_or(row.status == Status::Enabled, |id| row.model_id == id);
    let Some(model) = models.iter().find(fits) else {
        return vec![Check::fail(name, "its supplier has no such model", "see `toki model list`")];
    };
    let names = names(ctx, channel);
    let secret = match usable(ctx, channel, &names).await {
        Ok(secret) => secret,
        Err(check) => return vec![check],
    };
    let subject = Subject {
        supplier: &supplier.slug,
        base_url: &channel.base_url,
        protocol: channel.protocol,
        secret,
        names,
        upstream_id: &model.upstream_id,
        on_leave: supplier.on_leave,
    };
    probe(&format!("{}, {}", name_of(channel), model.model_id), &subject).await
}

fn name_of(channel: &ChannelRow) -> String {
    format!("channel {} ({})", channel.base_url, channel.supplier)
}

/// Where the channel's name may lead.
fn names(ctx: &Context, channel: &ChannelRow) -> Arc<PermittedAddresses> {
    let mut networks = ctx.config.supplier_networks.clone();
    if channel.supplier == SANDBOX && ctx.config.environment == Environment::Development {
        networks.extend(loopback_networks());
    }
    Arc::new(PermittedAddresses::new(networks))
}

/// The secret of a channel whose address is allowed; else why it cannot be used.
async fn usable(ctx: &Context, channel: &ChannelRow, names: &PermittedAddresses) -> Result<Option<SecretString>, Check> {
    let name = name_of(channel);
    if let Err((problem, remedy)) = check_address(&channel.base_url, names).await {
        return Err(Check::fail(name, problem, remedy));
    }
    let secret = channel.secret_sealed.as_ref().map(|sealed| ctx.sealing_key().open(channel.channel_id, sealed)).transpose();
    secret
        .map_err(|error| Check::fail(name, error.to_string(), "set the right TOKI_SECRET_KEY, or the secret anew with `toki channel edit`"))
}

/// Whether the gateway would connect; else why not, and what to do. A name is looked up, since what counts is where it leads.
async fn check_address(base_url: &str, names: &PermittedAddresses) -> Result<(), (String, &'static str)> {
    const ALLOW: &str = "allow its network in TOKI_SUPPLIER_NETWORKS, or edit the channel";
    const CORRECT: &str = "see that the base URL is right, and that names are resolved here";
    let url = Url::parse(base_url).map_err(|error| (error.to_string(), CORRECT))?;
    names.check(&url).map_err(|error| (error.to_string(), ALLOW))?;
    let Some(Host::Domain(host)) = url.host() else { return Ok(()) };
    match names.of(host).await {
        Ok(_) => Ok(()),
        Err(error @ LeadsNowhere::NotFound { .. }) => Err((cause_chain(&error), CORRECT)),
        Err(error @ LeadsNowhere::Refused { .. }) => Err((cause_chain(&error), ALLOW)),
    }
}

async fn ask(client: &Client, channel: &ChannelRow, secret: Option<&SecretString>) -> reqwest::Result<StatusCode> {
    let request = client.get(format!("{}/models", channel.base_url));
    Ok(presented(request, channel.protocol, secret).send().await?.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::net::TcpListener;

    /// A public address for whoever checks, ours for whoever connects.
    fn ask_rebinding(_: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let first = ASKED.fetch_add(1, Ordering::Relaxed) == 0;
        let ip: IpAddr = if first { [8, 8, 8, 8].into() } else { Ipv4Addr::LOCALHOST.into() };
        Box::pin(async move { Ok(vec![(ip, 0).into()]) })
    }

    #[tokio::test]
    async fn a_name_that_leads_to_us_once_it_was_checked_gets_no_secret() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://rebinding.example:{}/v1", listener.local_addr().expect("bound").port());
        let names = Arc::new(PermittedAddresses::asking(ask_rebinding, &[]));
        assert_eq!(check_address(&base_url, &names).await, Ok(()));
        let request = client(&names).expect("a client").get(format!("{base_url}/models"));
        let secret = SecretString::from("sk-operators");
        assert!(presented(request, Protocol::Openai, Some(&secret)).send().await.is_err());
        let reached = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(reached.is_err(), "nobody came");
    }
}
