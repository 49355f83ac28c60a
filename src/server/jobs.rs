//! What runs beside requests on every replica, each safe to run on all of them at once.

use crate::accounts::session_store::delete_expired_sessions;
use crate::accounts::store::attempts::delete_old_attempts;
use crate::accounts::store::invitations::delete_expired_invitations;
use crate::accounts::store::tokens::delete_expired_tokens;
use crate::checkout::reconcile::{reconcile, settle_left_events};
use crate::checkout::refunding::finish_refunds;
use crate::checkout::store::receipts::set_seller;
use crate::checkout::store::refunds::take_leftovers;
use crate::mail::outbox::forget_old_mails;
use crate::mail::sending::send_due;
use crate::notices::store::tell_all;
use crate::server::state::AppState;
use crate::wallet::audit::nightly::audit_once_a_day;
use crate::wallet::ledger;
use chrono::{TimeDelta, Utc};
use std::future::Future;
use std::time::Duration;

/// Longer than any statement may take (`server::run::connect`).
const MOST: Duration = Duration::from_secs(60);
/// The audit reads everything.
const AUDIT_MOST: Duration = Duration::from_secs(3600);
/// One mail takes a minute at most, and there may be many.
const MAIL_MOST: Duration = Duration::from_secs(1800);
/// A payment provider is asked one thing after the other, and may be slow.
const PROVIDER_MOST: Duration = Duration::from_secs(1800);

/// Starts the reaper, the nightly audit, the expiry sweep, the payment reconciliation, the mail, the clean-up and the partitions; they end with
/// `shutdown`.
pub fn spawn(app: &AppState) {
    let db = app.db.clone();
    every(app, "reap holds", Duration::from_secs(5), MOST, move || {
        let db = db.clone();
        async move { ledger::reap_holds(&db, 500).await.map(i64::from).map_err(|error| error.to_string()) }
    });
    let db = app.db.clone();
    every(app, "audit", Duration::from_secs(600), AUDIT_MOST, move || {
        let db = db.clone();
        async move {
            let report = audit_once_a_day(&db).await.map_err(|error| error.to_string())?;
            let differences = report.map(|report| report.differences).unwrap_or_default();
            for difference in &differences {
                tracing::error!(%difference, "THE BOOKS DO NOT ADD UP");
            }
            if differences.is_empty() { Ok(0) } else { Err(format!("the nightly audit found {} differences", differences.len())) }
        }
    });
    let db = app.db.clone();
    every(app, "sweep expired grants", Duration::from_secs(10), MOST, move || {
        let db = db.clone();
        async move { ledger::sweep_expired_grants(&db, 500).await.map(i64::from).map_err(|error| error.to_string()) }
    });
    note_seller(app);
    payments(app);
    mail(app);
    clean_up(app);
    partitions(app);
}

/// Letters leave soon after they were posted. What comes to its end is looked for every few minutes.
fn mail(app: &AppState) {
    let (db, outbox) = (app.db.clone(), app.outbox.clone());
    every(app, "tell users", Duration::from_secs(180), MAIL_MOST, move || {
        let (db, outbox) = (db.clone(), outbox.clone());
        async move { tell_all(&db, &outbox, 500).await.map_err(|error| error.to_string()) }
    });
    let (db, outbox, config) = (app.db.clone(), app.outbox.clone(), app.config.clone());
    every(app, "send mail", Duration::from_secs(2), MAIL_MOST, move || {
        let (db, outbox, config) = (db.clone(), outbox.clone(), config.clone());
        async move { send_due(&db, &outbox, &config.mail).await.map_err(|error| error.to_string()) }
    });
}

/// What is kept for a while, and what is over.
fn clean_up(app: &AppState) {
    let db = app.db.clone();
    every(app, "delete what is over", Duration::from_secs(600), MOST, move || {
        let db = db.clone();
        async move {
            let sessions = delete_expired_sessions(&db).await.map_err(|error| error.to_string())?;
            let calls = ledger::forget_old_idempotent_calls(&db).await.map_err(|error| error.to_string())?;
            let mails = forget_old_mails(&db).await.map_err(|error| error.to_string())?;
            let tokens = delete_expired_tokens(&db).await.map_err(|error| error.to_string())?;
            let invitations = delete_expired_invitations(&db).await.map_err(|error| error.to_string())?;
            let attempts = delete_old_attempts(&db).await.map_err(|error| error.to_string())?;
            Ok((sessions + calls + mails + tokens + invitations + attempts) as i64)
        }
    });
}

/// Usage records go into a partition a month, which are made ahead.
fn partitions(app: &AppState) {
    let db = app.db.clone();
    every(app, "make partitions of usage records", Duration::from_secs(3_600), MOST, move || {
        let db = db.clone();
        async move { ledger::create_usage_partitions(&db, Utc::now()).await.map_err(|error| error.to_string()) }
    });
}

/// Has receipts name the seller that this replica was configured with, as soon as the database takes it; once, so that an older replica
/// does not take it back.
fn note_seller(app: &AppState) {
    let Some(seller) = app.config.seller.clone() else { return };
    let (db, shutdown) = (app.db.clone(), app.shutdown.clone());
    app.tasks.spawn(async move {
        while let Err(error) = set_seller(&db, &seller).await {
            tracing::error!(%error, "the seller could not be noted; trying again");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    });
}

/// What nobody tells us, or told us in vain.
fn payments(app: &AppState) {
    let (db, outbox) = (app.db.clone(), app.outbox.clone());
    every(app, "settle left payment events", Duration::from_secs(60), MOST, move || {
        let (db, outbox) = (db.clone(), outbox.clone());
        async move { settle_left_events(&db, &outbox, 100).await.map_err(|error| error.to_string()) }
    });
    // The first at once: whatever happened while nobody listened is asked for.
    let (db, outbox, payments) = (app.db.clone(), app.outbox.clone(), app.payments.clone());
    every(app, "reconcile payments", Duration::from_secs(3_600), PROVIDER_MOST, move || {
        let (db, outbox, payments) = (db.clone(), outbox.clone(), payments.clone());
        async move {
            let done = reconcile(&db, &outbox, &payments).await.map_err(|error| error.to_string())?;
            Ok(done.new_events + done.credited + done.closed + done.refunds)
        }
    });
    let (db, payments) = (app.db.clone(), app.payments.clone());
    every(app, "finish refunds", Duration::from_secs(60), PROVIDER_MOST, move || {
        let (db, payments) = (db.clone(), payments.clone());
        async move {
            let taken = take_leftovers(&db, 100).await.map_err(|error| error.to_string())?;
            let finished = finish_refunds(&db, &payments, TimeDelta::seconds(60), 100).await.map_err(|error| error.to_string())?;
            Ok(taken + finished)
        }
    });
}

/// Runs a job every `period`. One that takes longer than `most` waits on a connection that fell silent: it is given up, and the next
/// run has another.
fn every<F>(app: &AppState, name: &'static str, period: Duration, most: Duration, job: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = Result<i64, String>> + Send,
{
    let shutdown = app.shutdown.clone();
    app.tasks.spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match tokio::time::timeout(most, job()).await {
                Ok(Ok(0)) => {}
                Ok(Ok(done)) => tracing::info!(job = name, done),
                Ok(Err(error)) => tracing::error!(job = name, error, "job failed"),
                Err(_) => tracing::error!(job = name, "job got no answer"),
            }
        }
    });
}
