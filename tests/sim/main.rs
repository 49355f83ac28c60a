//! The accounting simulator: random operations on the real stores and a real Postgres, beside a model in memory, equal after every
//! step. A seed is a run. `SIM_SEED` and `SIM_OPS` say which and how long; a failure prints both. Only what runs at once may come out
//! in another order the second time, and grants of the same age burn in the order of the ids that the product gave them: then the run
//! goes another way from there.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "clippy knows test functions, and not what they share"
)]

mod clock;
mod compare;
mod crashes;
mod dice;
mod generate;
mod idempotency;
mod limits;
mod lost_answer;
mod model;
mod money;
mod op;
mod purchase;
mod run;
mod settlements;
mod together;
mod traffic;
mod world;

use crate::run::Run;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::collections::BTreeMap;
use std::time::Instant;

/// Operations of one run, at most: a run that fails is then short enough to follow, and its database small.
const LONGEST: u64 = 5_000;
/// Without SIM_OPS, in each of the tests below.
const DEFAULT: u64 = 3_000;
const REPORT_EVERY: u64 = 10_000;
/// Answers that runs of this length have had. When one is missing, the operations drawn no longer reach it.
const COMMON: [&str; 29] = [
    "admitted",
    "restored",
    "settled",
    "transferred",
    "taken",
    "BalanceExhausted",
    "QuotaExhausted",
    "PeriodExhausted",
    "MemberExhausted",
    "MemberMonthExhausted",
    "CountInput",
    "KeyDisabled",
    "AccountSuspended",
    "ModelNotFound",
    "UnknownKey",
    "RequestsPerMinute",
    "TokensPerMinute",
    "ConcurrentCalls",
    "IdempotencyMismatch",
    "IdempotencyRunning",
    "IdempotencyAnswered",
    "IdempotencyEnded",
    "kept",
    "given",
    "fulfilled",
    "partly_refunded",
    "disputed",
    "redeemed",
    "UsedUp",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Two, as two replicas have them, which see the model's clock.
async fn pools(options: &PgPoolOptions, connect: &PgConnectOptions) -> [PgPool; 2] {
    let connect = clock::seen_by(connect);
    let pool = async || options.clone().max_connections(6).connect_with(connect.clone()).await.expect("a pool");
    let pools = [pool().await, pool().await];
    clock::install(&pools[0]).await;
    together::install(&pools[0]).await;
    pools
}

/// One of two lanes of runs, each of a seed of its own, until the lane's half of SIM_OPS is done.
async fn lane(options: PgPoolOptions, connect: PgConnectOptions, lane: u64) {
    let pools = pools(&options, &connect).await;
    let ops = number("SIM_OPS").map_or(DEFAULT, |ops| ops.div_ceil(2));
    let (mut seed, mut done, mut reported) = (number("SIM_SEED").unwrap_or(1) * 2 + lane, 0, 0);
    let (begun, mut seen) = (Instant::now(), BTreeMap::new());
    // What runs at once has a short run go another way each time: one in five lacks an answer that the next runs have.
    let missing = |seen: &BTreeMap<String, u64>| COMMON.into_iter().filter(|answer| !seen.contains_key(*answer)).collect::<Vec<_>>();
    while done < ops || ((DEFAULT..4 * DEFAULT).contains(&done) && !missing(&seen).is_empty()) {
        let length = LONGEST.min(if done < ops { ops - done } else { DEFAULT });
        for (answer, times) in Run::new(pools.clone(), seed, length).await.go().await {
            *seen.entry(answer).or_default() += times;
        }
        (seed, done) = (seed + 2, done + length);
        if done - reported >= REPORT_EVERY || done == ops {
            reported = done;
            let rate = u128::from(done) * 1_000 / begun.elapsed().as_millis().max(1);
            eprintln!("lane {lane}: {done} of {ops} operations, up to seed {}, {rate} a second; {}", seed - 2, rarest(&seen));
        }
    }
    assert!(done < DEFAULT || missing(&seen).is_empty(), "nothing was ever answered with {:?}", missing(&seen));
}

/// The answers nearest to going unseen: whoever changes what is drawn looks here.
fn rarest(seen: &BTreeMap<String, u64>) -> String {
    let mut times = COMMON.map(|answer| (seen.get(answer).copied().unwrap_or_default(), answer));
    times.sort_unstable();
    times[..6].iter().map(|(times, answer)| format!("{times} {answer}")).collect::<Vec<_>>().join(", ")
}

#[sqlx::test]
async fn lane_of_even_seeds(options: PgPoolOptions, connect: PgConnectOptions) {
    lane(options, connect, 0).await;
}

#[sqlx::test]
async fn lane_of_odd_seeds(options: PgPoolOptions, connect: PgConnectOptions) {
    lane(options, connect, 1).await;
}

/// One run: what a failure of the others asks for.
#[sqlx::test]
async fn replay(options: PgPoolOptions, connect: PgConnectOptions) {
    let pools = pools(&options, &connect).await;
    let ops = number("SIM_OPS").unwrap_or(DEFAULT).min(LONGEST);
    Run::new(pools, number("SIM_SEED").unwrap_or(1), ops).await.go().await;
}
