//! What `toki doctor` says about mail: whether the mail server answers, and whether anything waits.

use crate::cli::doctor::Check;
use crate::cli::output::cause_chain;
use crate::i18n::Language;
use crate::mail::delivery::Delivery;
use crate::mail::outbox::{Census, census};
use crate::utc::UtcTime;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

/// Connects to the mail server, signs in, and sends nothing.
pub async fn check_mail(delivery: &Delivery) -> Check {
    let name = "mail";
    match delivery {
        Delivery::Folder { path, .. } => Check::ok(name, format!("SMTP_URL is not set: mails are written to {}", path.display())),
        Delivery::Nowhere => Check::warn(
            name,
            "SMTP_URL is not set: nobody can reset a password or confirm an address, and sign-up tells which addresses have an account",
            "set SMTP_URL and TOKI_MAIL_FROM",
        ),
        Delivery::Smtp { server, .. } => match server.test_connection().await {
            Ok(true) => Check::ok(name, "the mail server answers"),
            Ok(false) => Check::fail(name, "the mail server closed the connection", "see its log"),
            Err(error) => Check::fail(name, cause_chain(&error), "start the mail server, or correct SMTP_URL"),
        },
    }
}

pub async fn check_outbox(db: &PgPool) -> Check {
    let name = "outbox";
    match census(db).await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok(Census { given_up, .. }) if given_up > 0 => {
            Check::warn(name, format!("{given_up} mail(s) of the last 7 days were given up"), "see mails.last_error, and the server's log")
        }
        Ok(Census { waiting, oldest_waiting: Some(oldest), .. }) if Utc::now() - oldest > TimeDelta::minutes(10) => {
            let since = UtcTime::from(oldest).minute(Language::English);
            Check::warn(name, format!("{waiting} mail(s) wait, the oldest since {since}"), "keep `toki serve` running; see its log")
        }
        Ok(Census { waiting: 0, .. }) => Check::ok(name, "empty"),
        Ok(Census { waiting, .. }) => Check::ok(name, format!("{waiting} mail(s) are about to leave")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Health;

    #[tokio::test]
    async fn a_server_that_mails_nobody_is_warned_of_with_what_that_tells() {
        let check = check_mail(&Delivery::Nowhere).await;
        assert_eq!(check.status, Health::Warn);
        assert!(check.detail.contains("SMTP_URL is not set") && check.detail.contains("sign-up tells which addresses"), "{check:?}");
        assert!(check.remedy.is_some_and(|remedy| remedy.contains("TOKI_MAIL_FROM")));
    }
}
