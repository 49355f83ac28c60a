//! Settlement: each finished call exactly once, many in one durable commit, tried again for as long as the process may live.

use crate::gateway::batch::Batcher;
use crate::wallet::ledger::{self, LedgerError, Settled, Settlement};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// How long a settlement is tried before it is given up. Its hold is then reaped, and nothing is charged.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Settlements(Batcher<Settlement, Option<Settled>>);

impl Settlements {
    pub fn spawn(tasks: &TaskTracker, db: PgPool) -> Settlements {
        Settlements(Batcher::spawn(tasks, move |settlements| {
            let db = db.clone();
            async move { settle(&db, settlements).await }
        }))
    }

    /// Returns once the settlement is durable; None when it could not be made so.
    pub async fn settle(&self, settlement: Settlement) -> Option<Settled> {
        self.0.ask(settlement).await.ok().flatten()
    }
}

async fn settle(db: &PgPool, settlements: Vec<Settlement>) -> Vec<Option<Settled>> {
    let error = match settle_with_retries(db, &settlements).await {
        Ok(settled) => return settled.into_iter().map(Some).collect(),
        Err(error) => error,
    };
    tracing::error!(%error, source = ?std::error::Error::source(&error), calls = settlements.len(), "settlement failed");
    let mut results = Vec::with_capacity(settlements.len());
    for mut settlement in settlements {
        // What the supplier reported is the one part that we did not make ourselves, and that a jsonb column may refuse.
        settlement.upstream_usage = None;
        let alone = settle_with_retries(db, std::slice::from_ref(&settlement)).await;
        if let Err(error) = &alone {
            // Someone must act: this call was delivered and will not be charged.
            tracing::error!(%error, request_id = %settlement.request_id, key_id = %settlement.key_id, charge = settlement.charge.0, "settlement lost");
        }
        results.push(alone.ok().and_then(|mut settled| settled.pop()));
    }
    results
}

async fn settle_with_retries(db: &PgPool, settlements: &[Settlement]) -> Result<Vec<Settled>, LedgerError> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match ledger::settle_calls(db, settlements).await {
            Err(error) if error.is_transient() && begun.elapsed() < PATIENCE => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
