//! Every environment variable, read once, here and nowhere else. A wrong value stops the program with a line that says which.

mod addresses;
mod edge;
mod limits;
mod mail;
mod payments;
mod variables;

pub use variables::{log_filter, secret_from_env, sudo_user};

use crate::checkout::payments::StripeConfig;
use crate::checkout::types_receipt::Seller;
use crate::gateway::{Limits, Timeouts};
use crate::mail::delivery::Delivery;
use crate::seal::SecretKeys;
use crate::server::edge::Settings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// How the program was configured. Built by [`Config::from_env`]; tests build their own.
pub struct Config {
    pub database_url: SecretString,
    pub addr: SocketAddr,
    /// Where Prometheus finds `/metrics`; none = nowhere.
    pub metrics_addr: Option<SocketAddr>,
    pub public_url: Url,
    pub secret_key: SecretBox<[u8; 32]>,
    /// Opens what was sealed before `secret_key` was the current one.
    pub secret_key_old: Option<SecretBox<[u8; 32]>>,
    pub environment: Environment,
    pub supplier_networks: Vec<IpNet>,
    /// Payments through Stripe; `None` = no checkout is offered, unless the sandbox offers its own.
    pub stripe: Option<StripeConfig>,
    /// Where mail to people goes.
    pub mail: Delivery,
    /// Who sells, as receipts name them.
    pub seller: Option<Seller>,
    /// Sandbox supplier and sandbox payments, for development and rehearsal.
    pub sandbox: bool,
    /// Where `make build` put the site.
    pub site_root: PathBuf,
    /// How long a supplier may take.
    pub upstream: Timeouts,
    /// How much of a call is read.
    pub limits: Limits,
    /// Where settlements wait on disk while the database is away. Replicas may share it.
    pub spool_dir: PathBuf,
    /// How long an answer waits for the database before its settlement goes to the spool.
    pub settle_wait: Duration,
    /// How long running calls may go on once the replica is asked to end.
    pub drain: Duration,
    /// What callers may take of us: time, connections, and in bytes the memory for the bodies of their calls.
    pub edge: Settings,
    pub body_memory: usize,
}

/// Whether real customers are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Development,
    Production,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{name}: {problem}")]
    Invalid { name: &'static str, problem: String },
    #[error("{0} is not a variable of toki; see README for the list")]
    Unknown(String),
    #[error("in production, {0}")]
    Unsafe(&'static str),
    #[error("{0} is not set, or empty")]
    NoSecret(String),
}

const KNOWN: [&str; 31] = [
    "TOKI_ADDR",
    "TOKI_BODY_MEMORY_MB",
    "TOKI_BODY_TIMEOUT_MS",
    "TOKI_DRAIN_MS",
    "TOKI_ENV",
    "TOKI_HEADER_TIMEOUT_MS",
    "TOKI_IDLE_TIMEOUT_MS",
    "TOKI_LOG",
    "TOKI_MAIL_FROM",
    "TOKI_MAX_BODY_MB",
    "TOKI_MAX_CONNECTIONS",
    "TOKI_MAX_HEADER_KB",
    "TOKI_MAX_JSON_DEPTH",
    "TOKI_MAX_MESSAGES",
    "TOKI_METRICS_ADDR",
    "TOKI_PUBLIC_URL",
    "TOKI_SECRET_KEY",
    "TOKI_SECRET_KEY_FILE",
    "TOKI_SECRET_KEY_OLD",
    "TOKI_SELLER_ADDRESS",
    "TOKI_SELLER_NAME",
    "TOKI_SELLER_TAX_ID",
    "TOKI_SELLER_TAX_RATE",
    "TOKI_SETTLE_WAIT_MS",
    "TOKI_SPOOL_DIR",
    "TOKI_SUPPLIER_CONNECT_SECONDS",
    "TOKI_SUPPLIER_FIRST_BYTE_SECONDS",
    "TOKI_SUPPLIER_IDLE_SECONDS",
    "TOKI_SUPPLIER_NETWORKS",
    "TOKI_SUPPLIER_TOTAL_SECONDS",
    "TOKI_TRUSTED_PROXIES",
];

/// Where a development secret key is kept when none is set.
const SECRET_KEY_FILE: &str = ".data/secret-key";

impl Config {
    /// Reads the process environment. `sandbox` comes from the command line.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn from_env(sandbox: bool) -> Result<Config, ConfigError> {
        let env: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Config::from_map(&env, sandbox)
    }

    fn from_map(env: &BTreeMap<String, String>, sandbox: bool) -> Result<Config, ConfigError> {
        if let Some(name) = env.keys().find(|name| name.starts_with("TOKI_") && !KNOWN.contains(&name.as_str())) {
            return Err(ConfigError::Unknown(name.clone()));
        }
        let get = |name: &str| env.get(name).map(|value| value.trim());
        let environment = match get("TOKI_ENV") {
            None | Some("development") => Environment::Development,
            Some("production") => Environment::Production,
            Some(_) => return Err(invalid("TOKI_ENV", "must be development or production")),
        };
        let addr = addresses::listen(get("TOKI_ADDR"))?;
        let public_url = addresses::public_url(get("TOKI_PUBLIC_URL"), addr)?;
        let mut supplier_networks = networks("TOKI_SUPPLIER_NETWORKS", get("TOKI_SUPPLIER_NETWORKS"))?;
        if sandbox {
            supplier_networks.extend(loopback_networks());
        }
        let body_memory = edge::body_memory(get)?;
        let mail = mail::mail(get("SMTP_URL"), get("TOKI_MAIL_FROM"), environment, &public_url)?;
        let config = Config {
            mail,
            database_url: get("DATABASE_URL").filter(|url| !url.is_empty()).ok_or(ConfigError::Missing("DATABASE_URL"))?.into(),
            addr,
            metrics_addr: addresses::metrics(get("TOKI_METRICS_ADDR"), addr)?,
            public_url,
            secret_key: secret_key(get("TOKI_SECRET_KEY"), get("TOKI_SECRET_KEY_FILE"), environment)?,
            secret_key_old: secret_key_old(get("TOKI_SECRET_KEY_OLD"))?,
            environment,
            supplier_networks,
            stripe: payments::stripe(get)?,
            seller: payments::seller(get)?,
            sandbox,
            site_root: site_root(),
            upstream: limits::timeouts(get)?,
            limits: limits::limits(get, body_memory)?,
            spool_dir: get("TOKI_SPOOL_DIR").filter(|folder| !folder.is_empty()).unwrap_or(".data/spool").into(),
            settle_wait: milliseconds("TOKI_SETTLE_WAIT_MS", get("TOKI_SETTLE_WAIT_MS"), 5_000, 100..=60_000)?,
            drain: milliseconds("TOKI_DRAIN_MS", get("TOKI_DRAIN_MS"), 30_000, 0..=3_600_000)?,
            edge: edge::settings(get)?,
            body_memory,
        };
        if config.secret_key_old.as_ref().is_some_and(|old| old.expose_secret() == config.secret_key.expose_secret()) {
            return Err(invalid("TOKI_SECRET_KEY_OLD", "is the same as TOKI_SECRET_KEY; unset it, or set the key of before"));
        }
        config.refuse_unsafe_production()?;
        Ok(config)
    }

    fn refuse_unsafe_production(&self) -> Result<(), ConfigError> {
        if self.environment != Environment::Production {
            return Ok(());
        }
        if self.sandbox {
            return Err(ConfigError::Unsafe("--sandbox is refused: it hands out Tokens for play money"));
        }
        if self.public_url.scheme() != "https" {
            return Err(ConfigError::Unsafe("TOKI_PUBLIC_URL must be https: passwords and keys travel over it"));
        }
        Ok(())
    }

    /// With which secrets at rest are sealed and opened.
    pub fn secret_keys(&self) -> SecretKeys<'_> {
        let old = self.secret_key_old.as_ref().map(ExposeSecret::expose_secret);
        SecretKeys { current: self.secret_key.expose_secret(), old }
    }

    /// Whether cookies may be marked Secure (and carry the `__Host-` prefix).
    pub fn secure_cookies(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

/// 127.0.0.0/8 and ::1, where the sandbox supplier lives.
pub fn loopback_networks() -> [IpNet; 2] {
    [IpNet::new_assert(Ipv4Addr::LOCALHOST.into(), 8), IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128)]
}

fn invalid(name: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { name, problem: problem.into() }
}

/// From the environment, or from a file that it names, as container systems mount secrets.
fn secret_key(text: Option<&str>, file: Option<&str>, environment: Environment) -> Result<SecretBox<[u8; 32]>, ConfigError> {
    let file = file.filter(|file| !file.is_empty());
    // A template of an environment may name both.
    let text = text.filter(|text| !text.is_empty() || file.is_none());
    let text = match (text, file, environment) {
        (Some(_), Some(_), _) => return Err(invalid("TOKI_SECRET_KEY_FILE", "is set beside TOKI_SECRET_KEY; unset one of them")),
        (Some(text), None, _) => SecretString::from(text),
        (None, Some(file), _) => std::fs::read_to_string(file)
            .map(|text| text.trim().into())
            .map_err(|error| invalid("TOKI_SECRET_KEY_FILE", format!("{file}: {error}")))?,
        (None, None, Environment::Production) => return Err(ConfigError::Missing("TOKI_SECRET_KEY")),
        (None, None, Environment::Development) => development_secret_key()?,
    };
    key_bytes("TOKI_SECRET_KEY", text.expose_secret())
}

/// Unset or empty: there is none, so that a template of an environment may name it always.
fn secret_key_old(text: Option<&str>) -> Result<Option<SecretBox<[u8; 32]>>, ConfigError> {
    text.filter(|text| !text.is_empty()).map(|text| key_bytes("TOKI_SECRET_KEY_OLD", text)).transpose()
}

fn key_bytes(name: &'static str, text: &str) -> Result<SecretBox<[u8; 32]>, ConfigError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| invalid(name, "must be 32 bytes in base64 (openssl rand -base64 32)"))?;
    Ok(SecretBox::new(Box::new(bytes)))
}

/// Reads the development key, or makes it. Two first starts at once agree on one: the file is created exclusively.
fn development_secret_key() -> Result<SecretString, ConfigError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let problem = |error: std::io::Error| invalid("TOKI_SECRET_KEY", format!("is not set, and {SECRET_KEY_FILE}: {error}"));
    std::fs::create_dir_all(".data").map_err(problem)?;
    let made = STANDARD.encode(rand::random::<[u8; 32]>());
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(SECRET_KEY_FILE) {
        Ok(mut file) => file.write_all(made.as_bytes()).map_err(problem)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(problem(error)),
    }
    std::fs::read_to_string(SECRET_KEY_FILE).map(|text| text.trim().into()).map_err(problem)
}

fn milliseconds(name: &'static str, text: Option<&str>, default: u64, range: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
    number(name, "milliseconds", text, default, range).map(Duration::from_millis)
}

fn number(name: &'static str, of: &str, text: Option<&str>, default: u64, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
    match text {
        None | Some("") => Ok(default),
        Some(text) => text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = range.into_inner();
            invalid(name, format!("must be a number of {of} from {least} to {most}"))
        }),
    }
}

fn networks(name: &'static str, text: Option<&str>) -> Result<Vec<IpNet>, ConfigError> {
    let text = text.unwrap_or_default();
    let networks = text.split(',').map(str::trim).filter(|_| !text.is_empty()).map(str::parse::<IpNet>);
    networks.collect::<Result<_, _>>().map_err(|_| invalid(name, "must be networks like 10.0.0.0/8, separated by commas"))
}

/// The site in the build folder that this binary came from, wherever it is run from; else `target/site` here.
fn site_root() -> PathBuf {
    let built = std::env::current_exe().ok().and_then(|exe| {
        let folders = exe.ancestors().skip(1).take(3);
        folders.map(|folder| folder.join("site")).find(|site| site.join("hash.txt").is_file())
    });
    built.unwrap_or_else(|| PathBuf::from("target/site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)], sandbox: bool) -> Result<Config, ConfigError> {
        let mut env: BTreeMap<String, String> =
            [("DATABASE_URL".to_string(), "postgres://x".to_string()), ("TOKI_SECRET_KEY".to_string(), STANDARD.encode([7; 32]))].into();
        env.extend(vars.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Config::from_map(&env, sandbox)
    }

    fn refusal(vars: &[(&str, &str)], sandbox: bool) -> String {
        read(vars, sandbox).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn defaults_are_for_development() {
        let config = read(&[], false).expect("defaults");
        assert_eq!(config.addr.to_string(), "127.0.0.1:3000");
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:3000/");
        assert!(config.stripe.is_none() && config.supplier_networks.is_empty() && !config.secure_cookies());
    }

    #[test]
    fn the_secret_key_may_be_in_a_file_and_not_in_two_places() {
        let file = std::env::temp_dir().join(format!("toki-key-{}", std::process::id()));
        std::fs::write(&file, STANDARD.encode([9; 32]) + "\n").expect("a file");
        let path = file.to_string_lossy();
        let read = |text, file| secret_key(text, Some(file), Environment::Production);
        assert_eq!(read(None, &path).expect("the file's").expose_secret(), &[9; 32]);
        assert!(read(Some("a key"), &path).is_err_and(|error| error.to_string().contains("beside")));
        std::fs::remove_file(&file).expect("removed");
        assert!(read(None, &path).is_err_and(|error| error.to_string().contains("toki-key-")));
        assert!(matches!(read(None, ""), Err(ConfigError::Missing("TOKI_SECRET_KEY"))));
    }

    #[test]
    fn it_reaches_itself_where_it_listens() {
        for (listens, reached) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.1.2.3:80", "10.1.2.3:80")] {
            let config = read(&[("TOKI_ADDR", listens)], false).expect("an address");
            assert_eq!(config.own_address().to_string(), reached);
        }
    }

    #[test]
    fn wrong_values_name_their_variable() {
        for (name, value) in [
            ("TOKI_ENV", "prod"),
            ("TOKI_ADDR", "3000"),
            ("TOKI_PUBLIC_URL", "toki.example"),
            ("TOKI_PUBLIC_URL", "https://toki.example/path"),
            ("TOKI_SECRET_KEY", "c2hvcnQ="),
            ("TOKI_SECRET_KEY_OLD", "c2hvcnQ="),
            ("TOKI_SECRET_KEY_OLD", &STANDARD.encode([7; 32])),
            ("TOKI_SUPPLIER_NETWORKS", "10.0.0.0/40"),
            ("TOKI_TRUSTED_PROXIES", "10.0.0.1"),
            ("TOKI_HEADER_TIMEOUT_MS", "0"),
            ("TOKI_BODY_TIMEOUT_MS", "30s"),
            ("TOKI_IDLE_TIMEOUT_MS", "-1"),
            ("TOKI_MAX_CONNECTIONS", "0"),
            ("TOKI_BODY_MEMORY_MB", "1"),
            ("TOKI_METRICS_ADDR", "9464"),
            ("TOKI_METRICS_ADDR", "127.0.0.1:3000"),
            ("TOKI_MAX_BODY_MB", "0"),
            ("TOKI_MAX_BODY_MB", "257"),
            ("TOKI_MAX_HEADER_KB", "7"),
            ("TOKI_MAX_JSON_DEPTH", "129"),
            ("TOKI_MAX_MESSAGES", "many"),
            ("TOKI_SUPPLIER_CONNECT_SECONDS", "0"),
            ("TOKI_SUPPLIER_FIRST_BYTE_SECONDS", "2m"),
            ("TOKI_SUPPLIER_IDLE_SECONDS", "3601"),
            ("TOKI_SUPPLIER_TOTAL_SECONDS", "-1"),
            ("TOKI_TYPO", "1"),
            ("STRIPE_SECRET_KEY", "sk_test_1"),
        ] {
            let refusal = refusal(&[(name, value)], false);
            assert!(refusal.contains(name) || refusal.contains("STRIPE_WEBHOOK_SECRET"), "{name}={value}: {refusal}");
        }
    }

    #[test]
    fn readme_has_a_row_for_every_variable() {
        let readme = include_str!("../../README.md");
        let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
        let missing: Vec<_> = KNOWN.iter().filter(|name| !rows.iter().any(|row| row.contains(&format!("`{name}`")))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn production_refuses_the_sandbox_and_plain_http() {
        let production = ("TOKI_ENV", "production");
        assert!(refusal(&[production], false).contains("https"));
        assert!(refusal(&[production, ("TOKI_PUBLIC_URL", "https://toki.example")], true).contains("--sandbox"));
        assert!(read(&[production, ("TOKI_PUBLIC_URL", "https://toki.example")], false).is_ok());
    }
}
