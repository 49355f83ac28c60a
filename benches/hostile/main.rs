//! `BENCH=hostile make bench`: what loads that are meant to hurt cost the calls of others, and what the time of an answer tells whoever
//! tries addresses. Attackers live on a thread of their own; every ratio is of one round, and the median of the rounds. It fails when one
//! of its bars is missed: no test looks at them, whose times on a shared machine would fail by chance.
#![expect(clippy::disallowed_methods, reason = "the environment is read here; the program's own configuration has no part in this")]
#![expect(clippy::print_stdout, reason = "a table for people")]

mod attack;
#[path = "../gateway/http.rs"]
mod http;
#[expect(dead_code, reason = "shared with the other benchmark, which needs more of it")]
#[path = "../gateway/processes.rs"]
mod processes;
#[expect(dead_code, reason = "shared with the other benchmarks, which need more of it")]
#[path = "../report.rs"]
mod report;
#[path = "../gateway/supplier.rs"]
mod supplier;
mod telling;

use crate::attack::{Attack, Kind};
use crate::http::Connection;
use crate::processes::Toki;
use crate::report::{AtMost, Bar, Line, heading, note};
use sqlx::{ConnectOptions, PgPool};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// p99 of a call under attack ÷ undisturbed.
const UNDER_ATTACK: Bar = AtMost(1.5);
/// How well the time of an answer tells a known address from an unknown one: 0.5 = not at all, 1 = always (Mann–Whitney).
const TOLD_APART: Bar = AtMost(0.55);
/// Callers who go on calling, and for how long in one measurement: a p99 of half as much is that of fifteen calls, and moves by a quarter.
const CALLERS: usize = 4;
const PHASE: Duration = Duration::from_secs(8);
/// Tries of each address in a round.
const TRIES: usize = 200;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5_usize).max(1);
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is unset: `make bench` brings a database of its own")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let db = runtime.block_on(database(&url))?;
    // Attackers and visitors come from as many places as they say.
    let toki = Toki::start(db.connect_options().to_url_lossy().as_str(), supplier::start()?, &[("TOKI_TRUSTED_PROXIES", "127.0.0.0/8")])?;

    let mut met = report_attacks(&runtime, &toki, &db, rounds)?;
    heading("What the time of an answer tells (0.5: nothing; median of known and unknown, µs)");
    for (what, path) in
        [("sign-in with a wrong password", "/api/accounts/sign_in"), ("asking for a new password", "/api/accounts/forgot_password")]
    {
        let told = runtime.block_on(telling::apart(toki.running.addr, &db, path, TRIES * rounds))?;
        met &= Line::plain(&format!("{what}, {} tries each", TRIES * rounds), std::iter::once(told.apart)).print(Some(TOLD_APART));
        note(&format!("known {:.0}, unknown {:.0}", told.known, told.unknown));
    }
    let audit = toki.audit()?;
    note(&format!("audited: {} calls, the books add up: {}", audit["usage_records"], audit["ok"]));
    match (audit["ok"] == true, met) {
        (false, _) => Err("the books do not add up".into()),
        (true, false) => Err("a bar is missed".into()),
        (true, true) => Ok(()),
    }
}

async fn database(url: &str) -> sqlx::Result<PgPool> {
    let cluster = PgPool::connect(url).await?;
    sqlx::query("CREATE DATABASE bench_hostile").execute(&cluster).await?;
    PgPool::connect_with(cluster.connect_options().as_ref().clone().database("bench_hostile")).await
}

/// Whether all of their bars are met.
fn report_attacks(runtime: &tokio::runtime::Runtime, toki: &Toki, db: &PgPool, rounds: usize) -> Result<bool, Failed> {
    let addr = toki.running.addr;
    let mut measured = [const { Vec::new() }; Kind::ALL.len()];
    // The first opens connections and makes plans.
    runtime.block_on(p99(addr, &request(toki)))?;
    for _ in 0..rounds {
        for (kind, measured) in Kind::ALL.into_iter().zip(&mut measured) {
            // What was counted against whoever tried is forgotten, so that each attack goes as far as it can.
            runtime.block_on(sqlx::query("DELETE FROM attempts").execute(db))?;
            let quiet = runtime.block_on(p99(addr, &request(toki)))?;
            let attack = Attack::begin(kind, addr, &toki.key)?;
            let disturbed = runtime.block_on(p99(addr, &request(toki)));
            let sent = attack.end()?;
            measured.push((disturbed?, quiet, sent));
        }
    }
    heading("Calls under attack, p99 ÷ undisturbed");
    let mut met = true;
    for (kind, rounds) in Kind::ALL.into_iter().zip(measured) {
        let sent = rounds.iter().map(|round| round.2).min().unwrap_or_default();
        let line = Line::new(
            &format!("{}, {CALLERS} callers", kind.as_str()),
            rounds.into_iter().map(|(disturbed, quiet, _)| (disturbed, quiet)),
            |disturbed, quiet| disturbed / quiet,
            " µs",
        );
        met &= line.print(Some(UNDER_ATTACK));
        note(&format!("at least {sent} of them in {} s", PHASE.as_secs()));
    }
    Ok(met)
}

fn request(toki: &Toki) -> Vec<u8> {
    let body =
        r#"{"model":"bench/model","messages":[{"role":"user","content":"Why do databases write to a log first?"}],"max_tokens":128}"#;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n", toki.key);
    format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The time that one of a hundred calls takes longer than, in µs.
async fn p99(addr: SocketAddr, request: &[u8]) -> Result<f64, Failed> {
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|_| async {
        let mut connection = Connection::open(addr).await?;
        let mut times = Vec::new();
        while begun.elapsed() < PHASE {
            let called = Instant::now();
            connection.call(request).await?;
            times.push(called.elapsed().as_secs_f64() * 1e6);
        }
        Ok::<_, std::io::Error>(times)
    });
    let mut times = futures::future::try_join_all(callers).await?.concat();
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().ok_or_else(|| "no call came back".into())
}
