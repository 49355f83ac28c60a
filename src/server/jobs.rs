//! What runs beside requests on every replica, each safe to run on all of them at once.

use crate::accounts::session_store::delete_expired_sessions;
use crate::accounts::store::attempts::delete_old_attempts;
use crate::accounts::store::invitations::delete_expired_invitations;
use crate::accounts::store::tokens::delete_expired_tokens;
use crate::checkout::reconcile::{reconcile, settle_left_events};
use crate::checkout::refunding::finish_refunds;
use crate::checkout::store::cancelling::close_sandbox_orders;
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
    every(app, "reap holds", Duration::from_secs(5), MOST, |app| async move { Ok(ledger::reap_holds(&app.db, 500).await?.into()) });
    // Beside the rounds, which wait for nobody.
    every(app, "reap overdue holds", Duration::from_secs(5), MOST, |app| async move {
        Ok(ledger::reap_overdue_holds(&app.db, 500).await?.into())
    });
    every(app, "audit", Duration::from_secs(600), AUDIT_MOST, |app| async move {
        let Some(report) = audit_once_a_day(&app.db).await? else { return Ok(0) };
        for difference in &report.differences {
            tracing::error!(%difference, "THE BOOKS DO NOT ADD UP");
        }
        if !report.differences.is_empty() {
            return Err(format!("the nightly audit found {} differences", report.differences.len()).into());
        }
        // What adds up may be marked; the next audit looks at the marks.
        Ok(ledger::mark_ledger(&app.db).await?)
    });
    every(app, "sweep expired grants", Duration::from_secs(10), MOST, |app| async move {
        Ok(ledger::sweep_expired_grants(&app.db, 500).await?.into())
    });
    note_seller(app);
    payments(app);
    mail(app);
    clean_up(app);
    partitions(app);
}

/// Letters leave soon after they were posted. What comes to its end is looked for every few minutes.
fn mail(app: &AppState) {
    every(app, "tell users", Duration::from_secs(180), MAIL_MOST, |app| async move { Ok(tell_all(&app.db, &app.outbox, 500).await?) });
    every(
        app,
        "send mail",
        Duration::from_secs(2),
        MAIL_MOST,
        |app| async move { Ok(send_due(&app.db, &app.outbox, &app.config.mail).await?) },
    );
}

/// What is kept for a while, and what is over.
fn clean_up(app: &AppState) {
    every(app, "delete what is over", Duration::from_secs(600), MOST, |app| async move {
        let sessions = delete_expired_sessions(&app.db).await?;
        let calls = ledger::forget_old_idempotent_calls(&app.db).await?;
        let mails = forget_old_mails(&app.db).await?;
        let tokens = delete_expired_tokens(&app.db).await?;
        let invitations = delete_expired_invitations(&app.db).await?;
        let attempts = delete_old_attempts(&app.db).await?;
        Ok((sessions + calls + mails + tokens + invitations + attempts) as i64)
    });
}

/// Usage records go into a partition a month, which are made ahead.
fn partitions(app: &AppState) {
    every(app, "make partitions of usage records", Duration::from_secs(3_600), MOST, |app| async move {
        Ok(ledger::create_usage_partitions(&app.db, Utc::now()).await?)
    });
}

/// Has receipts name the seller that this replica was configured with, as soon as the database takes it; once, so that an older replica
/// does not take it back.
fn note_seller(app: &AppState) {
    let Some(seller) = app.config.seller.clone() else { return };
    let of_task = app.clone();
    app.tasks.spawn(async move {
        while let Err(error) = set_seller(&of_task.db, &seller).await {
            tracing::error!(%error, "the seller could not be noted; trying again");
            tokio::select! {
                () = of_task.shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    });
}

/// What nobody tells us, or told us in vain.
fn payments(app: &AppState) {
    every(app, "settle left payment events", Duration::from_secs(60), MOST, |app| async move {
        Ok(settle_left_events(&app.db, &app.outbox, 100).await?)
    });
    // The first at once: whatever happened while nobody listened is asked for.
    every(app, "reconcile payments", Duration::from_secs(3_600), PROVIDER_MOST, |app| async move {
        // Play money is a matter of how this server was started, which no command can know.
        let unpayable = if app.config.sandbox { 0 } else { close_sandbox_orders(&app.db).await? };
        let done = reconcile(&app.db, &app.outbox, &app.payments).await?;
        Ok(unpayable + done.new_events + done.credited + done.closed + done.refunds)
    });
    every(app, "finish refunds", Duration::from_secs(60), PROVIDER_MOST, |app| async move {
        let taken = take_leftovers(&app.db, 100).await;
        // Whatever became of those.
        let finished = finish_refunds(&app.db, &app.payments, TimeDelta::seconds(60), 100).await?;
        Ok(taken? + finished)
    });
}

/// How much a job did.
type Done = Result<i64, Box<dyn std::error::Error + Send + Sync>>;

/// Runs a job every `period`. One that takes longer than `most` waits on a connection that fell silent: it is given up, and the next
/// run has another.
fn every<F>(app: &AppState, name: &'static str, period: Duration, most: Duration, job: impl Fn(AppState) -> F + Send + 'static)
where
    F: Future<Output = Done> + Send,
{
    let of_task = app.clone();
    app.tasks.spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = of_task.shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let ran = tokio::time::timeout(most, job(of_task.clone())).await;
            let result = match &ran {
                Ok(Ok(_)) => "ok",
                Ok(Err(_)) => "failed",
                Err(_) => "silent",
            };
            of_task.metrics.job_ran(name, result);
            match ran {
                Ok(Ok(0)) => {}
                Ok(Ok(done)) => tracing::info!(job = name, done),
                Ok(Err(error)) => tracing::error!(job = name, %error, "job failed"),
                Err(_) => tracing::error!(job = name, "job got no answer"),
            }
        }
    });
}
