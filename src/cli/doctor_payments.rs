//! What `toki doctor` says about payments beyond their configuration: whether the provider lets us read what we ask it for, and whether
//! what it told us was acted on.

use crate::checkout::payments::Payments;
use crate::checkout::store::events::{SETTLED_WITHIN, unsettled_count};
use crate::checkout::stripe::READ;
use crate::cli::doctor::Check;
use crate::cli::output::cause_chain;
use crate::server::config::Config;
use futures::future::join_all;
use sqlx::PgPool;
use std::time::Duration;

/// Whoever runs the doctor waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads one object of each kind that the reconciliation reads; nothing is written there, so what a key may write is not known from
/// this. None = no provider that could be asked.
pub async fn check_provider(config: &Config) -> Option<Check> {
    let name = "payment provider";
    let Payments::Stripe(stripe) = Payments::from_config(config) else {
        let unusable = || Check::fail(name, "Stripe's client could not be made", "correct STRIPE_SECRET_KEY and STRIPE_API_BASE");
        return config.stripe.is_some().then(unusable);
    };
    let asked = join_all(READ.iter().map(|path| tokio::time::timeout(PATIENCE, stripe.try_reading(path)))).await;
    let troubles: Vec<_> = READ
        .iter()
        .zip(asked)
        .filter_map(|(path, answer)| match answer {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{path}: {error}")),
            Err(_) => Some(format!("{path}: no answer within {} s", PATIENCE.as_secs())),
        })
        .collect();
    Some(if troubles.is_empty() {
        Check::ok(name, "Stripe lets the key read events, checkout sessions, payment intents and refunds")
    } else {
        let remedy = "see that api.stripe.com can be reached, and that STRIPE_SECRET_KEY may do what README lists";
        Check::fail(name, troubles.join("; "), remedy)
    })
}

/// Events that were stored and that nothing was done about.
pub async fn check_inbox(db: &PgPool) -> Check {
    let name = "payment inbox";
    match unsettled_count(db, SETTLED_WITHIN).await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok(0) => Check::ok(name, "every event was acted on"),
        Ok(count) => Check::fail(
            name,
            format!("{count} event(s) came over {} minutes ago and were not acted on: money may have moved", SETTLED_WITHIN.num_minutes()),
            "keep `toki serve` running; its log says why an event was not settled",
        ),
    }
}
