//! What runs beside requests on every replica, each safe to run on all of them at once.

use crate::accounts::session_store::delete_expired_sessions;
use crate::checkout::reconcile::settle_left_events;
use crate::server::state::AppState;
use crate::wallet::audit::nightly::audit_once_a_day;
use crate::wallet::ledger;
use std::future::Future;
use std::time::Duration;

/// Starts the reaper, the nightly audit, the expiry sweep, the payment reconciliation and the session clean-up; they end with `shutdown`.
pub fn spawn(app: &AppState) {
    let db = app.db.clone();
    every(app, "reap holds", Duration::from_secs(5), move || {
        let db = db.clone();
        async move { ledger::reap_holds(&db, 500).await.map(i64::from).map_err(|error| error.to_string()) }
    });
    let db = app.db.clone();
    every(app, "audit", Duration::from_secs(600), move || {
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
    every(app, "sweep expired grants", Duration::from_secs(10), move || {
        let db = db.clone();
        async move { ledger::sweep_expired_grants(&db, 500).await.map(i64::from).map_err(|error| error.to_string()) }
    });
    let db = app.db.clone();
    every(app, "settle left payment events", Duration::from_secs(60), move || {
        let db = db.clone();
        async move { settle_left_events(&db, 100).await.map_err(|error| error.to_string()) }
    });
    let db = app.db.clone();
    every(app, "delete expired sessions", Duration::from_secs(600), move || {
        let db = db.clone();
        async move { delete_expired_sessions(&db).await.map(|n| n as i64).map_err(|error| error.to_string()) }
    });
}

fn every<F>(app: &AppState, name: &'static str, period: Duration, job: impl Fn() -> F + Send + 'static)
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
            match job().await {
                Ok(0) => {}
                Ok(done) => tracing::info!(job = name, done),
                Err(error) => tracing::error!(job = name, error, "job failed"),
            }
        }
    });
}
