//! Admission: one decision in Postgres for key, account, supplier, model, quota and wallet, batched over concurrent calls. A
//! second round trip only where the cheap bound of the input would refuse or clamp the call, and a count may not.

use crate::gateway::answered::answered;
use crate::gateway::batch::{Batcher, Closed};
use crate::gateway::count;
use crate::gateway::error::GatewayError;
use crate::gateway::live::LiveCalls;
use crate::gateway::wire::Request;
use crate::ids::{AccountId, ReplicaId, RequestId};
use crate::wallet::ledger::{self, Admission, AdmissionRequest, LedgerError, Verdict};
use chrono::TimeDelta;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// How long a replica may be silent before its calls are taken for dead. It extends its holds every half second.
pub const HOLD_FOR: TimeDelta = TimeDelta::seconds(60);
/// Deadlocks, serialization failures and connections that died are nobody's fault: they are tried again for so long. What took
/// longer to fail, as a lock or a database that is away, is the caller's answer.
const RETRY_FOR: Duration = Duration::from_secs(3);
/// Postgres itself gives up on a lock after 10 s. A connection that answers nothing for longer is given up, long before holds pass
/// their deadline.
pub const SILENT: Duration = Duration::from_secs(12);

/// Keys whose account is remembered, at most.
const MOST_LANES: usize = 100_000;

/// None = the database did not decide.
type Answer = Option<Verdict>;

#[derive(Clone)]
pub struct Admissions {
    batches: Batcher<Lane, AdmissionRequest, Answer>,
    lanes: Lanes,
}

impl Admissions {
    pub fn spawn(tasks: &TaskTracker, db: PgPool, owner: ReplicaId, live: LiveCalls) -> Admissions {
        let batches = Batcher::spawn(tasks, move |requests| {
            let (db, live) = (db.clone(), live.clone());
            async move { decide(&db, requests, owner, &live).await }
        });
        Admissions { batches, lanes: Lanes::default() }
    }

    /// Decides about a call and, when it may run, holds what it may cost.
    pub async fn admit(
        &self,
        request: &Request<'_>,
        request_id: RequestId,
        secret_hash: [u8; 32],
        public_url: &str,
    ) -> Result<Admission, GatewayError> {
        let mut asked = AdmissionRequest {
            request_id,
            secret_hash,
            model_id: request.model.clone(),
            protocol: request.endpoint.protocol.as_str(),
            input_tokens: request.input_bound(),
            output_limit: request.output_limit,
            choices: request.choices,
            exact: false,
            endpoint: request.endpoint.path,
            streamed: request.stream,
        };
        let mut verdict = self.ask(&asked).await?;
        if matches!(verdict, Verdict::CountInput) {
            asked.input_tokens = count::bound_prompt(request.prompt_text(), request.template_bound(), request.input_bound()).await;
            asked.exact = true;
            verdict = self.ask(&asked).await?;
        }
        let model = || request.model.clone();
        Err(match verdict {
            Verdict::Admitted(admission) => {
                self.lanes.learn(secret_hash, admission.account_id);
                return Ok(admission);
            }
            Verdict::UnknownKey => GatewayError::InvalidKey,
            Verdict::KeyDisabled => GatewayError::KeyDisabled,
            Verdict::KeyExpired => GatewayError::KeyExpired,
            Verdict::AccountSuspended => GatewayError::AccountSuspended,
            Verdict::ModelNotFound => GatewayError::ModelNotFound { model: model() },
            Verdict::NoChannel => GatewayError::NoChannel { model: model() },
            Verdict::BalanceExhausted => GatewayError::BalanceExhausted { public_url: public_url.to_string() },
            Verdict::QuotaExhausted => GatewayError::QuotaExhausted,
            Verdict::CountInput | Verdict::HoldsForgotten => GatewayError::Internal,
        })
    }

    async fn ask(&self, request: &AdmissionRequest) -> Result<Verdict, GatewayError> {
        match self.batches.ask(self.lanes.of(request.secret_hash), request.clone()).await {
            Ok(Some(verdict)) => Ok(verdict),
            Ok(None) | Err(Closed) => Err(GatewayError::Unavailable),
        }
    }
}

/// In whose turn a call waits: its account's, however many keys that has. A key seen for the first time waits in its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Account(AccountId),
    Key([u8; 32]),
}

/// Which account a key belongs to. It never changes, and decides nothing but whose turn it is.
#[derive(Clone, Default)]
struct Lanes(Arc<Mutex<HashMap<[u8; 32], AccountId>>>);

impl Lanes {
    fn of(&self, secret_hash: [u8; 32]) -> Lane {
        self.lock().get(&secret_hash).map_or(Lane::Key(secret_hash), |account_id| Lane::Account(*account_id))
    }

    fn learn(&self, secret_hash: [u8; 32], account_id: AccountId) {
        let mut known = self.lock();
        if known.len() >= MOST_LANES {
            known.clear();
        }
        known.insert(secret_hash, account_id);
    }

    /// A panic while the map was locked leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], AccountId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn decide(db: &PgPool, requests: Vec<AdmissionRequest>, owner: ReplicaId, live: &LiveCalls) -> Vec<Answer> {
    let error = match admit_with_retries(db, &requests, owner, live, false).await {
        Ok(verdicts) => return verdicts.into_iter().map(Some).collect(),
        Err(error) => error,
    };
    tracing::error!(%error, source = ?std::error::Error::source(&error), calls = requests.len(), "admission failed");
    if requests.len() == 1 || error.is_transient() {
        return requests.iter().map(|_| None).collect();
    }
    // One call that the database cannot take must not refuse its neighbours.
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let alone = admit_with_retries(db, std::slice::from_ref(&request), owner, live, true).await;
        answers.push(alone.ok().and_then(|mut verdicts| verdicts.pop()));
    }
    answers
}

async fn admit_with_retries(
    db: &PgPool,
    requests: &[AdmissionRequest],
    owner: ReplicaId,
    live: &LiveCalls,
    again: bool,
) -> Result<Vec<Verdict>, LedgerError> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut again = again;
    loop {
        let result = admit_once(db, requests, owner, again).await;
        let in_time = begun.elapsed() < RETRY_FOR;
        match result {
            Ok(verdicts) if in_time && verdicts.iter().any(|verdict| matches!(verdict, Verdict::HoldsForgotten)) => {
                live.restore(db, owner).await?;
            }
            Err(error) if in_time && error.is_transient() => {
                again = true;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(200));
            }
            result => return result,
        }
    }
}

async fn admit_once(db: &PgPool, requests: &[AdmissionRequest], owner: ReplicaId, again: bool) -> Result<Vec<Verdict>, LedgerError> {
    let mut connection = db.acquire().await?;
    let verdicts = tokio::time::timeout(SILENT, ledger::admit_calls(&mut *connection, requests, owner, HOLD_FOR, again)).await;
    answered(connection, verdicts)
}
