//! Admission: one decision in Postgres for key, account, supplier, model, quota and wallet, batched over concurrent calls. A
//! second round trip only where the cheap bound of the input would refuse or clamp the call, and a count may not.

use crate::gateway::batch::{Batcher, Locked, NoAnswer, run_around_locks};
use crate::gateway::count;
use crate::gateway::database::Database;
use crate::gateway::error::{Budget, Exhausted, GatewayError};
use crate::gateway::live::LiveCalls;
use crate::gateway::metrics::BatchMeter;
use crate::gateway::wire::{ANTHROPIC_BETA, Request};
use crate::ids::{AccountId, ReplicaId, RequestId};
use crate::keys::store::replacement_of;
use crate::wallet::ledger::{self, Admission, AdmissionRequest, Decision, Idempotency, LedgerError, Verdict};
use axum::http::HeaderMap;
use chrono::TimeDelta;
use memchr::memmem;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// How long a replica may be silent before its calls are taken for dead. It extends its holds when half of that is over.
pub const HOLD_FOR: TimeDelta = TimeDelta::seconds(60);
/// Deadlocks, serialization failures and connections that died are nobody's fault: they are tried again for so long. What took
/// longer to fail, as a database that is away, is the caller's answer.
const RETRY_FOR: Duration = Duration::from_secs(3);
/// How long a call waits for an account that somebody keeps locked, and how long before it asks again: the connections of
/// [`Database`] give up on a lock after a second.
const LOCKED_FOR: Duration = Duration::from_secs(10);
const LOCKED_PAUSE: Duration = Duration::from_millis(100);
/// A connection that answers nothing for so long is given up, long before holds pass their deadline.
pub const SILENT: Duration = Duration::from_secs(12);

/// Keys whose account is remembered, at most.
const MOST_LANES: usize = 100_000;

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub request_id: RequestId,
    pub secret_hash: [u8; 32],
    pub address: IpAddr,
    pub idempotency: Option<Idempotency>,
}

/// None = the database did not decide.
type Answer = Option<Decision>;

#[derive(Clone)]
pub struct Admissions {
    db: Database,
    batches: Batcher<Lane, AdmissionRequest, Answer>,
    lanes: Lanes,
}

impl Admissions {
    pub fn spawn(tasks: &TaskTracker, db: Database, owner: ReplicaId, live: LiveCalls) -> Admissions {
        let lanes = Lanes::default();
        let desk = Desk { db: db.clone(), owner, live, lanes: lanes.clone() };
        let batches = Batcher::spawn(tasks, move |requests| {
            let desk = desk.clone();
            async move { desk.decide(requests).await }
        });
        Admissions { db, batches, lanes }
    }

    pub fn meter(&self) -> &BatchMeter {
        self.batches.meter()
    }

    /// Decides about a call and, when it may run, holds what it may cost.
    pub async fn admit(&self, request: &Request<'_>, asked: Asked, public_url: &str) -> Result<Admission, GatewayError> {
        let mut asked = AdmissionRequest {
            request_id: asked.request_id,
            secret_hash: asked.secret_hash,
            address: asked.address,
            idempotency: asked.idempotency,
            model_id: request.model.clone(),
            protocol: request.endpoint.protocol.as_str(),
            input_tokens: request.input_bound(),
            output_limit: request.output_limit,
            choices: request.choices,
            exact: false,
            endpoint: request.endpoint.path,
            streamed: request.stream,
        };
        let mut decision = self.ask(&asked).await?;
        if matches!(decision.verdict, Verdict::UnknownKey)
            && let Some(secret_hash) = self.replacement_of(asked.secret_hash).await?
        {
            asked.secret_hash = secret_hash;
            decision = self.ask(&asked).await?;
        }
        if matches!(decision.verdict, Verdict::CountInput) {
            asked.input_tokens = count::bound_prompt(request.prompt_text(), request.template_bound(), request.input_bound()).await;
            asked.exact = true;
            decision = self.ask(&asked).await?;
        }
        let model = || request.model.clone();
        let exhausted = |budget| GatewayError::Exhausted(Exhausted { budget, public_url: public_url.to_string(), rates: decision.rates });
        Err(match decision.verdict {
            Verdict::Admitted(mut admission) => {
                fit_into_context(request, &mut admission).await;
                return Ok(admission);
            }
            Verdict::UnknownKey => GatewayError::InvalidKey,
            Verdict::KeyDisabled => GatewayError::KeyDisabled,
            Verdict::KeyExpired => GatewayError::KeyExpired,
            Verdict::AccountSuspended => GatewayError::AccountSuspended,
            Verdict::ModelNotFound => GatewayError::ModelNotFound { model: model() },
            Verdict::NoChannel => GatewayError::NoChannel { model: model() },
            Verdict::BalanceExhausted => exhausted(Budget::Wallet),
            Verdict::QuotaExhausted => exhausted(Budget::Quota),
            Verdict::PeriodExhausted { ends_at } => exhausted(Budget::Period { ends_at }),
            Verdict::MemberExhausted { ends_at } => exhausted(Budget::Member { ends_at }),
            Verdict::AddressRefused => GatewayError::AddressRefused,
            Verdict::Limited(limited) => GatewayError::RateLimited(limited),
            Verdict::SentBefore { original, state } => GatewayError::SentBefore { original, state },
            Verdict::CountInput | Verdict::HoldsForgotten => GatewayError::Internal,
        })
    }

    /// What a secret has been replaced by, while it still works.
    async fn replacement_of(&self, secret_hash: [u8; 32]) -> Result<Option<[u8; 32]>, GatewayError> {
        let found = self.db.ask(SILENT, async |db| replacement_of(db, secret_hash).await).await;
        found.map_err(|error| GatewayError::of_database(&error))
    }

    async fn ask(&self, request: &AdmissionRequest) -> Result<Decision, GatewayError> {
        let begun = Instant::now();
        loop {
            match self.batches.ask(self.lanes.of(request.secret_hash), request.clone()).await {
                Ok(Some(decision)) => {
                    if let Some(account_id) = decision.account_id {
                        self.lanes.learn(request.secret_hash, account_id);
                    }
                    return Ok(decision);
                }
                Err(NoAnswer::Locked) if begun.elapsed() < LOCKED_FOR => tokio::time::sleep(LOCKED_PAUSE).await,
                Ok(None) | Err(NoAnswer::Locked | NoAnswer::Failed) => return Err(GatewayError::Unavailable),
            }
        }
    }
}

/// Of a context, at least so large a part is left to an answer without a limit: what the input takes of it is not known exactly.
const LEAST_PART: i64 = 16;

/// Where the caller set no limit, and input and the model's whole output may not fit into its context together: suppliers refuse such a
/// call. Its hold stays, and pays for more than is sent.
async fn fit_into_context(request: &Request<'_>, admission: &mut Admission) {
    if request.output_limit.is_some() || !request.limits_output() {
        return;
    }
    let context = admission.context_tokens - admission.prompt_overhead;
    let mut room = context - request.input_bound();
    // Where half of it is left at worst, that is enough, and no count is waited for.
    if room < admission.output_limit && room < context / 2 {
        room = context - count::likely_prompt(request.prompt_text(), request.template_bound()).await;
    }
    admission.output_limit = admission.output_limit.min(room.max(context / LEAST_PART).max(1));
}

/// With this in it, thinking may go on between tools, and take more than one answer may.
const BETWEEN_TOOLS: &[u8] = b"interleaved-thinking";

/// Why an admitted call is not sent: its limit is what can be paid for, or what the model has, and its supplier would refuse it for that.
pub fn too_little_output(request: &Request<'_>, headers: &HeaderMap, admission: &Admission, public_url: &str) -> Option<GatewayError> {
    let (least, affordable, most) = (request.least_limit, admission.output_limit, admission.max_output_tokens);
    let mut betas = headers.get_all(ANTHROPIC_BETA).iter();
    if affordable >= least || betas.any(|betas| memmem::find(betas.as_bytes(), BETWEEN_TOOLS).is_some()) {
        return None;
    }
    if most < least {
        let message = format!("'thinking.budget_tokens' must be below what this model puts out at most, which is {most} Tokens.");
        return Some(GatewayError::InvalidField { param: "thinking", message });
    }
    let budget = Budget::Output { affordable, least };
    Some(GatewayError::Exhausted(Exhausted { budget, public_url: public_url.to_string(), rates: admission.rates }))
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

/// Where the batches of one replica are decided.
#[derive(Clone)]
struct Desk {
    db: Database,
    owner: ReplicaId,
    live: LiveCalls,
    lanes: Lanes,
}

impl Desk {
    async fn decide(&self, requests: Vec<AdmissionRequest>) -> Vec<Result<Answer, Locked>> {
        run_around_locks(requests, |request| self.lanes.of(request.secret_hash), |part| self.decide_together(part)).await
    }

    async fn decide_together(&self, requests: Arc<[AdmissionRequest]>) -> Result<Vec<Answer>, Locked> {
        let error = match self.admit_with_retries(&requests, false).await {
            Ok(decisions) => return Ok(decisions.into_iter().map(Some).collect()),
            Err(error) if error.is_locked() => return Err(Locked),
            Err(error) => error,
        };
        tracing::error!(%error, source = ?std::error::Error::source(&error), calls = requests.len(), "admission failed");
        if error.is_transient() {
            return Ok(requests.iter().map(|_| None).collect());
        }
        // One call that the database cannot take must not refuse its neighbours; and one that was admitted before, unheard, and then waited
        // for a lock, is in its own way unless it is asked for again.
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests.iter() {
            let alone = self.admit_with_retries(std::slice::from_ref(request), true).await;
            answers.push(alone.ok().and_then(|mut decisions| decisions.pop()));
        }
        Ok(answers)
    }

    async fn admit_with_retries(&self, requests: &[AdmissionRequest], mut again: bool) -> Result<Vec<Decision>, LedgerError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let result = self.admit_once(requests, again).await;
            let in_time = begun.elapsed() < RETRY_FOR;
            match result {
                Ok(decisions) if in_time && decisions.iter().any(|decision| matches!(decision.verdict, Verdict::HoldsForgotten)) => {
                    self.live.restore(&self.db, self.owner).await?;
                }
                Err(error) if in_time && error.is_transient() && !error.is_locked() => {
                    again = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(200));
                }
                result => return result,
            }
        }
    }

    async fn admit_once(&self, requests: &[AdmissionRequest], again: bool) -> Result<Vec<Decision>, LedgerError> {
        self.db.ask(SILENT, async |db| ledger::admit_calls(db, requests, self.owner, HOLD_FOR, again).await).await
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
