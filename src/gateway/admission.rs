//! Admission: one decision in Postgres for key, account, supplier, model, quota and wallet, batched over concurrent calls. A
//! second round trip only where the cheap bound of the input would refuse or clamp the call, and a count may not.

use crate::gateway::batch::{Batcher, Closed};
use crate::gateway::count;
use crate::gateway::error::GatewayError;
use crate::gateway::wire::chat::ChatRequest;
use crate::ids::{ReplicaId, RequestId};
use crate::wallet::ledger::{self, Admission, AdmissionRequest, LedgerError, Verdict};
use chrono::TimeDelta;
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How long a replica may be silent before its calls are taken for dead. It extends its holds every half second.
pub const HOLD_FOR: TimeDelta = TimeDelta::seconds(60);
/// Deadlocks and serialization failures are nobody's fault and are tried again, this often.
pub const RETRIES: usize = 5;

/// None = the database did not decide.
type Answer = Option<Verdict>;

#[derive(Clone)]
pub struct Admissions(Batcher<AdmissionRequest, Answer>);

impl Admissions {
    pub fn spawn(tasks: &TaskTracker, db: PgPool, owner: ReplicaId) -> Admissions {
        Admissions(Batcher::spawn(tasks, move |requests| {
            let db = db.clone();
            async move { decide(&db, requests, owner).await }
        }))
    }

    /// Decides about a chat completion and, when it may run, holds what it may cost.
    pub async fn admit(
        &self,
        request: &ChatRequest<'_>,
        request_id: RequestId,
        secret_hash: [u8; 32],
        public_url: &str,
    ) -> Result<Admission, GatewayError> {
        let mut asked = AdmissionRequest {
            request_id,
            secret_hash,
            model_id: request.model.clone(),
            protocol: "openai",
            input_tokens: request.input_bound(),
            output_limit: request.output_limit,
            choices: request.choices,
            exact: false,
            endpoint: "chat/completions",
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
            Verdict::Admitted(admission) => return Ok(admission),
            Verdict::UnknownKey => GatewayError::InvalidKey,
            Verdict::KeyDisabled => GatewayError::KeyDisabled,
            Verdict::KeyExpired => GatewayError::KeyExpired,
            Verdict::AccountSuspended => GatewayError::AccountSuspended,
            Verdict::ModelNotFound => GatewayError::ModelNotFound { model: model() },
            Verdict::NoChannel => GatewayError::NoChannel { model: model() },
            Verdict::BalanceExhausted => GatewayError::BalanceExhausted { public_url: public_url.to_string() },
            Verdict::QuotaExhausted => GatewayError::QuotaExhausted,
            Verdict::CountInput => GatewayError::Internal,
        })
    }

    async fn ask(&self, request: &AdmissionRequest) -> Result<Verdict, GatewayError> {
        match self.0.ask(request.clone()).await {
            Ok(Some(verdict)) => Ok(verdict),
            Ok(None) | Err(Closed) => Err(GatewayError::Unavailable),
        }
    }
}

async fn decide(db: &PgPool, requests: Vec<AdmissionRequest>, owner: ReplicaId) -> Vec<Answer> {
    let error = match admit_with_retries(db, &requests, owner).await {
        Ok(verdicts) => return verdicts.into_iter().map(Some).collect(),
        Err(error) => error,
    };
    tracing::error!(%error, source = ?std::error::Error::source(&error), calls = requests.len(), "admission failed");
    if requests.len() == 1 || is_outage(&error) {
        return requests.iter().map(|_| None).collect();
    }
    // One call that the database cannot take must not refuse its neighbours.
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let alone = admit_with_retries(db, std::slice::from_ref(&request), owner).await;
        answers.push(alone.ok().and_then(|mut verdicts| verdicts.pop()));
    }
    answers
}

async fn admit_with_retries(db: &PgPool, requests: &[AdmissionRequest], owner: ReplicaId) -> Result<Vec<Verdict>, LedgerError> {
    let mut tried = 0;
    loop {
        match ledger::admit_calls(db, requests, owner, HOLD_FOR).await {
            Err(error) if error.is_transient() && tried < RETRIES => tried += 1,
            result => return result,
        }
        tokio::time::sleep(Duration::from_millis(5 << tried)).await;
    }
}

/// Whether the database could not be asked at all.
fn is_outage(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Db(error) if error.as_database_error().is_none())
}
