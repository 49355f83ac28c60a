//! Callers that do one thing over and over for a while: admit, settle, commit, wait for an answer.

use crate::report::median;
use crate::world::{Keys, World};
use chrono::Utc;
use serde_json::value::RawValue;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use toki::gateway::Asked;
use toki::ids::RequestId;
use toki::tokens::Tokens;
use toki::wallet::ledger::{Admission, Basis, Outcome, RunningHold, Settlement, settle_calls};
use tokio::task::JoinSet;

/// How long callers call in one measurement.
const PHASE: Duration = Duration::from_millis(500);
/// How many answers a lone caller waits for in one measurement.
const WAITS: usize = 400;

/// Calls a second.
pub struct Rates {
    pub admissions: f64,
    pub settlements: f64,
}

impl World {
    /// Admits for a while, then settles what was admitted, each through the batches of one replica.
    pub async fn calls(&self, keys: &Keys, callers: usize) -> Rates {
        let admitted = Arc::new(Mutex::new(Vec::new()));
        let admissions = {
            let (world, keys, admitted, next) = (self.clone(), keys.clone(), admitted.clone(), Arc::new(AtomicUsize::new(0)));
            rate(callers, move || {
                let (world, admitted) = (world.clone(), admitted.clone());
                let key = keys[next.fetch_add(1, Ordering::Relaxed) % keys.len()];
                async move {
                    let admission = world.admit(key).await;
                    admitted.lock().unwrap_or_else(PoisonError::into_inner).push(admission);
                    true
                }
            })
            .await
        };
        let admitted: Vec<Admission> = std::mem::take(&mut *admitted.lock().unwrap_or_else(PoisonError::into_inner));
        let owed: Arc<Vec<Settlement>> = Arc::new(admitted.into_iter().map(settlement).collect());
        let next = Arc::new(AtomicUsize::new(0));
        let settlements = {
            let (world, owed, next) = (self.clone(), owed.clone(), next.clone());
            rate(callers, move || {
                let (world, settlement) = (world.clone(), owed.get(next.fetch_add(1, Ordering::Relaxed)).cloned());
                async move {
                    let Some(settlement) = settlement else { return false };
                    let hold = hold(&settlement);
                    let settled = world.settlements.settle(settlement, hold).await;
                    if !settled.is_some_and(|settled| settled.first) {
                        panic!("a call was not settled");
                    }
                    true
                }
            })
            .await
        };
        // The next measurement must not find the holds of this one.
        for rest in owed[next.load(Ordering::Relaxed).min(owed.len())..].chunks(256) {
            settle_calls(&self.db, rest).await.unwrap_or_else(|error| panic!("settling the rest: {error:?}"));
        }
        Rates { admissions, settlements }
    }

    /// The floor: what a call costs at the least when each one commits by itself, durably.
    pub async fn commits(&self, rows: usize, callers: usize) -> f64 {
        let (world, next) = (self.clone(), Arc::new(AtomicUsize::new(0)));
        rate(callers, move || {
            let (db, id) = (world.db.clone(), (next.fetch_add(1, Ordering::Relaxed) % rows) as i64);
            async move {
                let statement = sqlx::query("UPDATE bench_floor SET left_ = left_ - $2 WHERE id = $1 AND left_ >= $2");
                match statement.bind(id).bind(160_i64).execute(&db).await {
                    Ok(done) => done.rows_affected() == 1,
                    Err(error) => panic!("bare UPDATE: {error}"),
                }
            }
        })
        .await
    }

    /// The median wait of a lone caller for `SELECT 1`.
    pub async fn select_micros(&self) -> f64 {
        let mut waits = Vec::with_capacity(WAITS);
        for _ in 0..WAITS {
            let begun = Instant::now();
            let answer: Result<i32, sqlx::Error> = sqlx::query_scalar("SELECT 1").fetch_one(&self.db).await;
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
            answer.unwrap_or_else(|error| panic!("SELECT 1: {error}"));
        }
        median(&mut waits)
    }

    /// The median wait of a lone caller for its admission.
    pub async fn admission_micros(&self, keys: &Keys) -> f64 {
        let (mut waits, mut admitted) = (Vec::with_capacity(WAITS), Vec::with_capacity(WAITS));
        for _ in 0..WAITS {
            let begun = Instant::now();
            admitted.push(self.admit(keys[0]).await);
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        for rest in admitted.into_iter().map(settlement).collect::<Vec<_>>().chunks(256) {
            settle_calls(&self.db, rest).await.unwrap_or_else(|error| panic!("settling: {error:?}"));
        }
        median(&mut waits)
    }

    async fn admit(&self, key: [u8; 32]) -> Admission {
        let asked = Asked { request_id: RequestId::generate(), secret_hash: key, address: Ipv4Addr::LOCALHOST.into(), idempotency: None };
        match self.admissions.admit(&self.request, asked, "").await {
            Ok(admission) => admission,
            Err(error) => panic!("a call was not admitted: {error:?}"),
        }
    }
}

/// A call as it usually ends: complete, and measured by its supplier.
fn settlement(admission: Admission) -> Settlement {
    let report = r#"{"prompt_tokens":60,"completion_tokens":100,"total_tokens":160,"prompt_tokens_details":{"cached_tokens":0}}"#;
    Settlement {
        request_id: admission.request_id,
        account_id: admission.account_id,
        key_id: admission.key_id,
        model_id: admission.model_id,
        supplier_id: admission.supplier_id,
        channel_id: admission.channels.first().map(|channel| channel.channel_id),
        price_version: admission.price_version,
        endpoint: "chat/completions".into(),
        streamed: false,
        outcome: Outcome::Ok,
        basis: Basis::Measured,
        http_status: 200,
        input_tokens: 60,
        cached_tokens: 0,
        output_tokens: 100,
        held: Some(admission.held),
        charge: Tokens(160),
        upstream_usage: RawValue::from_string(report.into()).ok(),
        started_at: Utc::now(),
        first_byte_ms: Some(20),
        latency_ms: 100,
    }
}

/// What a replica keeps of a call for as long as its settlement waits on the disk; here none does.
fn hold(call: &Settlement) -> RunningHold {
    RunningHold {
        request_id: call.request_id,
        account_id: call.account_id,
        key_id: call.key_id,
        model_id: call.model_id.clone(),
        supplier_id: call.supplier_id,
        price_version: call.price_version,
        endpoint: "chat/completions",
        streamed: call.streamed,
        tokens: call.charge,
        created_at: call.started_at,
    }
}

/// How often a second `callers`, each one call after the other, get through `call`; a caller stops when it says false.
async fn rate<F>(callers: usize, call: impl Fn() -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = bool> + Send + 'static,
{
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let call = call.clone();
        running.spawn(async move {
            let mut calls = 0_u32;
            while begun.elapsed() < PHASE && call().await {
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = running.join_all().await.into_iter().sum();
    f64::from(calls) / begun.elapsed().as_secs_f64()
}
