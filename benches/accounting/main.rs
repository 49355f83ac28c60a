//! `make bench`: what accounting costs, measured on the store code as it is and a Postgres that waits for its disk. Machines differ
//! by more than code does, so every figure is a ratio against a baseline taken in the same round, and the median of the rounds.
#![expect(clippy::disallowed_methods, reason = "the environment is read here; the program's own configuration has no part in this")]
#![expect(clippy::print_stdout, clippy::panic, reason = "a table for people, and a benchmark that cannot go on must not print one")]

mod callers;
mod history;
#[path = "../report.rs"]
mod report;
mod world;

use crate::callers::Rates;
use crate::history::{OLD, OTHERS};
use crate::report::{AtLeast, AtMost, Bar, Line, heading, note};
use crate::world::World;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::time::Instant;
use toki::wallet::audit::{Difference, audit};

/// Settlements at [`BUSY`] callers ÷ one durable commit a call.
const SETTLEMENTS_OVER_COMMITS: Bar = AtLeast(5.0);
/// One hot account ÷ calls spread over [`ACCOUNTS`].
const HOT_OVER_SPREAD: Bar = AtLeast(0.7);
/// Admission of a lone caller ÷ `SELECT 1`, medians.
const ADMISSION_OVER_SELECT: Bar = AtMost(3.0);
/// The cost of a call in a full database ÷ in an empty one.
const FULL_OVER_EMPTY: Bar = AtMost(1.2);
/// Seconds of `toki audit` a million ledger rows.
const AUDIT_SECONDS: Bar = AtMost(60.0);

const CALLERS: [usize; 4] = [1, 8, 64, 256];
const BUSY: usize = 64;
const ACCOUNTS: usize = 1_000;
const AUDITS: usize = 3;

/// How much history there is, and how often everything is measured.
struct Size {
    records: i64,
    ledger_rows: i64,
    rounds: usize,
}

impl Size {
    fn from_env() -> Result<Size, String> {
        let number = |name: &str, default: i64| match std::env::var(name) {
            Ok(text) => text.replace('_', "").parse().map_err(|_| format!("{name}: {text} is no number")),
            Err(_) => Ok(default),
        };
        let rounds = number("BENCH_ROUNDS", 5)?.clamp(1, 1_000) as usize;
        Ok(Size { records: number("BENCH_RECORDS", 200_000)?, ledger_rows: number("BENCH_LEDGER_ROWS", 200_000)?, rounds })
    }
}

/// On one thread, as the gateway's calls are (`gateway::threads`): between threads each step costs as much as what is done in it, and that is
/// no part of what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = Size::from_env()?;
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is unset: `make bench` brings a database of its own")?;
    let cluster: PgConnectOptions = url.parse()?;
    let server = PgPool::connect_with(cluster.clone()).await?;
    note(&format!("Postgres {}", world::settings(&server).await?));

    let world = World::create(&server, &cluster, "bench_calls", ACCOUNTS).await?;
    throughput(&world, size.rounds).await;
    latency(&world, size.rounds).await;
    adds_up(&world.audit().await?)?;
    world.drop(&server).await?;

    let empty = World::create(&server, &cluster, "bench_empty", 1).await?;
    let full = World::create(&server, &cluster, "bench_full", ACCOUNTS).await?;
    with_history(&empty, &full, &size).await?;
    empty.drop(&server).await?;
    audits(&full, &size).await?;
    full.drop(&server).await?;
    Ok(())
}

/// What one round measured at one number of callers.
struct Round {
    hot_commits: f64,
    hot: Rates,
    spread_commits: f64,
    spread: Rates,
}

/// Calls a second of one hot account, and spread over many, beside one bare durable UPDATE a call on as many rows.
async fn throughput(world: &World, rounds: usize) {
    let (one, all) = (world.keys(0..1), world.keys(0..ACCOUNTS));
    // Connections, plans and caches as a replica has them after its first moments.
    world.commits(1, BUSY).await;
    world.calls(&one, BUSY).await;
    world.calls(&all, BUSY).await;
    let mut measured: Vec<(usize, Vec<Round>)> = CALLERS.map(|callers| (callers, Vec::new())).into();
    for _ in 0..rounds {
        for (callers, rounds) in &mut measured {
            rounds.push(Round {
                hot_commits: world.commits(1, *callers).await,
                hot: world.calls(&one, *callers).await,
                spread_commits: world.commits(ACCOUNTS, *callers).await,
                spread: world.calls(&all, *callers).await,
            });
        }
    }

    heading("Calls a second, over one durable UPDATE a call on as many rows");
    for (callers, rounds) in &measured {
        let line = |what: &str, over: fn(&Round) -> (f64, f64)| Line::rates(what, *callers, rounds.iter().map(over)).print(None);
        line("admissions, one account", |round| (round.hot.admissions, round.hot_commits));
        line("settlements, one account", |round| (round.hot.settlements, round.hot_commits));
        line("admissions, 1,000 accounts", |round| (round.spread.admissions, round.spread_commits));
        line("settlements, 1,000 accounts", |round| (round.spread.settlements, round.spread_commits));
    }
    heading("Settlements over one durable commit a call");
    for (callers, rounds) in measured.iter().filter(|(callers, _)| *callers == BUSY) {
        let line = |what: &str, over: fn(&Round) -> (f64, f64)| {
            Line::rates(what, *callers, rounds.iter().map(over)).print(Some(SETTLEMENTS_OVER_COMMITS));
        };
        line("one account ÷ UPDATE of one row", |round| (round.hot.settlements, round.hot_commits));
        line("1,000 accounts ÷ UPDATE of one row", |round| (round.spread.settlements, round.hot_commits));
        line("one account ÷ UPDATE of 1,000 rows", |round| (round.hot.settlements, round.spread_commits));
        line("1,000 accounts ÷ UPDATE of 1,000 rows", |round| (round.spread.settlements, round.spread_commits));
    }
    heading("One hot account over 1,000");
    for (callers, rounds) in &measured {
        let line = |what: &str, over: fn(&Round) -> (f64, f64)| {
            Line::rates(what, *callers, rounds.iter().map(over)).print(Some(HOT_OVER_SPREAD));
        };
        line("admissions", |round| (round.hot.admissions, round.spread.admissions));
        line("settlements", |round| (round.hot.settlements, round.spread.settlements));
    }
}

/// What a lone caller waits for its admission.
async fn latency(world: &World, rounds: usize) {
    let key = world.keys(0..1);
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let select = world.select_micros().await;
        measured.push((world.admission_micros(&key).await, select));
    }
    heading("Admission of a lone caller over SELECT 1, p50");
    Line::micros("admission", measured.into_iter()).print(Some(ADMISSION_OVER_SELECT));
}

/// The cost of a call once there is history: of others, and of the account itself.
async fn with_history(empty: &World, full: &World, size: &Size) -> sqlx::Result<()> {
    let begun = Instant::now();
    history::old_grants(&full.db).await?;
    history::records(&full.db, &OLD, size.records / 10).await?;
    history::records(&full.db, &OTHERS, size.records - size.records / 10).await?;
    history::settle_down(&full.db).await?;
    note(&format!("{} usage records and as many ledger rows written in {:.0} s", size.records, begun.elapsed().as_secs_f64()));

    let (fresh, old, young) = (empty.keys(0..1), full.keys(0..1), full.keys(1..2));
    let mut measured = Vec::new();
    for (world, key) in [(empty, &fresh), (full, &old), (full, &young)] {
        world.calls(key, BUSY).await;
    }
    for _ in 0..size.rounds {
        measured.push((empty.calls(&fresh, BUSY).await, full.calls(&young, BUSY).await, full.calls(&old, BUSY).await));
    }
    heading(&format!("Cost of a call with {} usage records over its cost in an empty database", size.records));
    let line = |what: &str, over: fn(&(Rates, Rates, Rates)) -> (f64, f64)| {
        // As what a call costs: the slower the dearer.
        let what = format!("{what}, {BUSY} callers");
        Line::new(&what, measured.iter().map(over), |full, empty| empty / full, "/s").print(Some(FULL_OVER_EMPTY));
    };
    line("admission, account with 2 grants", |(empty, young, _)| (young.admissions, empty.admissions));
    line("settlement, account with 2 grants", |(empty, young, _)| (young.settlements, empty.settlements));
    line("admission, account with 1,000 grants", |(empty, _, old)| (old.admissions, empty.admissions));
    line("settlement, account with 1,000 grants", |(empty, _, old)| (old.settlements, empty.settlements));
    Ok(())
}

/// `toki audit` over everything, beside reading the two large tables once.
async fn audits(full: &World, size: &Size) -> Result<(), Box<dyn std::error::Error>> {
    let missing = size.ledger_rows - history::ledger_rows(&full.db).await?;
    if missing > 0 {
        history::records(&full.db, &OTHERS, missing).await?;
        history::settle_down(&full.db).await?;
    }
    let rows = history::ledger_rows(&full.db).await?;
    let (mut measured, mut differences) = (Vec::new(), Vec::new());
    for _ in 0..AUDITS {
        let begun = Instant::now();
        history::read_once(&full.plain).await?;
        let read = begun.elapsed();
        let begun = Instant::now();
        differences = audit(&full.plain, None).await?.differences;
        measured.push((begun.elapsed().as_secs_f64(), read.as_secs_f64()));
    }
    heading(&format!("Audit of {rows} ledger rows"));
    let per_million = measured.iter().map(|(seconds, _)| seconds * 1e6 / rows as f64);
    Line::plain("seconds a million ledger rows", per_million).print(Some(AUDIT_SECONDS));
    Line::new("over reading ledger and usage records once", measured.iter().copied(), |audit, read| audit / read, " s").print(None);
    adds_up(&differences)
}

/// Figures of books that do not add up are worth nothing.
fn adds_up(differences: &[Difference]) -> Result<(), Box<dyn std::error::Error>> {
    match differences {
        [] => {
            note("the audit found no difference");
            Ok(())
        }
        [first, ..] => Err(format!("the audit found {} differences, the first of them {first}", differences.len()).into()),
    }
}
