//! `SMTP_URL` and `TOKI_MAIL_FROM`: where mail goes, and from whom it is.

use super::{ConfigError, Environment, invalid};
use crate::mail::delivery::Delivery;
use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// Where development puts mails.
const FOLDER: &str = ".data/mail";

/// How long the mail server may be silent.
const SILENCE: Duration = Duration::from_secs(20);

pub fn mail(smtp_url: Option<&str>, from: Option<&str>, environment: Environment, public_url: &Url) -> Result<Delivery, ConfigError> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_string);
    let from = given(from).map(|from| from.parse::<Mailbox>()).transpose();
    let from = from.map_err(|_| invalid("TOKI_MAIL_FROM", "must be an address like `TOKI <toki@toki.example>`"))?;
    let Some(url) = given(smtp_url) else {
        return Ok(match environment {
            Environment::Production => Delivery::Nowhere,
            Environment::Development => Delivery::Folder { path: FOLDER.into(), from: from.unwrap_or_else(nobody) },
        });
    };
    let from = from.ok_or(ConfigError::Missing("TOKI_MAIL_FROM"))?;
    let malformed = || invalid("SMTP_URL", "must be smtps://user:password@host, or smtp://host:587?tls=required");
    let url = Url::parse(&url).map_err(|_| malformed())?;
    if environment == Environment::Production && !is_private(&url) {
        return Err(ConfigError::Unsafe("SMTP_URL must be smtps://, or end in ?tls=required: links that sign people in travel over it"));
    }
    let mut server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| malformed())?.timeout(Some(SILENCE));
    if url.path().trim_matches('/').is_empty()
        && let Some(host) = public_url.host_str()
    {
        server = server.hello_name(ClientId::Domain(host.to_string()));
    }
    Ok(Delivery::Smtp { server: server.build(), from })
}

impl super::Config {
    /// Whether signing up goes on by mail, so that it tells nobody which addresses have an account. Who tries things out is let in at once.
    pub fn sign_up_by_mail(&self) -> bool {
        self.environment == Environment::Production && self.mail.reaches_people()
    }
}

/// Whether nobody on the way can read along: TLS that is not left to the server, or no way at all.
fn is_private(url: &Url) -> bool {
    // To `Url` an smtp host is text, whatever it looks like.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    here || url.scheme() == "smtps" || url.query_pairs().any(|(name, value)| name == "tls" && value == "required")
}

/// Who writes where nothing is sent.
fn nobody() -> Mailbox {
    Mailbox::new(Some("TOKI".into()), lettre::Address::new_dangerous("toki", "localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Option<&str> = Some("TOKI <toki@toki.example>");

    fn read(url: Option<&str>, from: Option<&str>, environment: Environment) -> Result<Delivery, ConfigError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        mail(url, from, environment, &"https://toki.example".parse().expect("URL"))
    }

    #[test]
    fn without_a_server_development_writes_files_and_production_nothing() {
        assert!(matches!(read(None, None, Environment::Development), Ok(Delivery::Folder { .. })));
        assert!(matches!(read(Some(""), FROM, Environment::Production), Ok(Delivery::Nowhere)));
    }

    #[test]
    fn a_server_needs_a_sender_and_in_production_a_private_way() {
        use Environment::{Development, Production};
        for (url, from, environment, fine) in [
            ("smtp://mail.example", FROM, Development, true),
            ("smtp://mail.example", None, Development, false),
            ("smtp://mail.example", Some("nobody"), Development, false),
            ("http://mail.example", FROM, Development, false),
            ("mail.example", FROM, Development, false),
            ("smtp://mail.example", FROM, Production, false),
            ("smtp://mail.example?tls=opportunistic", FROM, Production, false),
            ("smtp://user:password@mail.example:587?tls=required", FROM, Production, true),
            ("smtps://user:password@mail.example", FROM, Production, true),
            ("smtp://127.0.0.1:25", FROM, Production, true),
            ("smtp://[::1]:25", FROM, Production, true),
            ("smtp://localhost", FROM, Production, true),
        ] {
            assert_eq!(read(Some(url), from, environment).is_ok(), fine, "{url} {from:?} {environment:?}");
        }
    }
}
