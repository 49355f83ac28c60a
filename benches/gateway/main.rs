//! `make bench`: what the gateway costs a call, beside nginx, which only passes bytes on, and the supplier asked directly. Supplier and
//! callers live in this process and on the same cores. Every figure is a ratio of one round, and the median of the rounds.
#![expect(clippy::disallowed_methods, reason = "the environment is read here; the program's own configuration has no part in this")]
#![expect(clippy::print_stdout, reason = "a table for people")]

mod http;
mod processes;
#[path = "../report.rs"]
mod report;
mod supplier;

use crate::http::Connection;
use crate::processes::{Running, Toki, nginx, postgres_cpu};
use crate::report::{AtLeast, AtMost, Bar, Line, heading, median, note};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Calls a second at [`BUSY`] callers ÷ nginx.
const WHOLE_OVER_NGINX: Bar = AtLeast(0.25);
const STREAMS_OVER_NGINX: Bar = AtLeast(0.8);
/// Processor time a call, toki and Postgres together ÷ nginx.
const CPU_OVER_NGINX: Bar = AtMost(6.0);
/// What a lone caller waits longer than without us ÷ what it may be.
const ADDED_OVER_ALLOWED: Bar = AtMost(1.0);
/// Kilobytes of an open stream.
const STREAM_KILOBYTES: Bar = AtMost(64.0);

const BUSY: usize = 64;
const OPEN_STREAMS: usize = 1_000;
/// How long callers call in one measurement.
const PHASE: Duration = Duration::from_secs(2);
/// How many answers a lone caller waits for in one measurement.
const WAITS: usize = 500;
/// What a lone caller may wait beside commits and round trips, in µs.
const MARGIN: f64 = 200.0;

fn main() -> Result<(), Failed> {
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5_usize).max(1);
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is unset: `make bench` brings a database of its own")?;
    let supplier = supplier::start()?;
    let folder = TempDir::new()?;
    // Not multi-threaded: the callers must not take more of the cores than they need.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (db, data_directory) = runtime.block_on(database(&url))?;
    let toki = Toki::start(db.connect_options().to_url_lossy().as_str(), supplier, &[])?;
    let nginx = nginx(folder.path(), supplier)?;
    let bench = Bench { supplier, nginx, toki, db, data_directory };

    bench.report_throughput(&runtime, rounds)?;
    bench.report_waits(&runtime, rounds)?;
    bench.report_memory(&runtime)?;
    let audit = bench.toki.audit()?;
    note(&format!("audited: {} calls, the books add up: {}", audit["usage_records"], audit["ok"]));
    if audit["ok"] == true { Ok(()) } else { Err("the books do not add up".into()) }
}

/// A database of the benchmark's own, and where its cluster keeps its files.
async fn database(url: &str) -> sqlx::Result<(PgPool, String)> {
    let cluster = PgPool::connect(url).await?;
    sqlx::query("CREATE DATABASE bench_gateway").execute(&cluster).await?;
    let db = PgPool::connect_with(cluster.connect_options().as_ref().clone().database("bench_gateway")).await?;
    sqlx::query("CREATE TABLE bench_floor (id bigint PRIMARY KEY, left_ bigint NOT NULL)").execute(&db).await?;
    sqlx::query("INSERT INTO bench_floor VALUES (1, 0)").execute(&db).await?;
    let data_directory: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&cluster).await?;
    Ok((db, data_directory))
}

type Failed = Box<dyn std::error::Error>;

struct Bench {
    supplier: SocketAddr,
    nginx: Running,
    toki: Toki,
    db: PgPool,
    data_directory: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Stream,
}

/// What a target did in one measurement.
#[derive(Clone, Copy)]
struct Rate {
    calls_per_second: f64,
    /// Processor time a call, in µs: of the program, and of its database.
    program: f64,
    database: f64,
}

impl Bench {
    fn request(&self, kind: Kind, words: &str) -> Vec<u8> {
        let stream = if kind == Kind::Stream { r#""stream":true,"# } else { "" };
        let body = format!(
            r#"{{"model":"bench/model",{stream}"messages":[{{"role":"user","content":"Why do databases write to a log before they write to their tables? {words}"}}],"max_tokens":128}}"#
        );
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.toki.key,
            body.len()
        )
        .into_bytes()
    }

    fn report_throughput(&self, runtime: &tokio::runtime::Runtime, rounds: usize) -> Result<(), Failed> {
        let mut measured: [Vec<[Rate; 3]>; 2] = Default::default();
        for _ in 0..=rounds {
            for (kind, measured) in [Kind::Whole, Kind::Stream].into_iter().zip(&mut measured) {
                let request = self.request(kind, "");
                let rate = |addr, program: Option<&Running>| {
                    let cpu = || program.map(Running::cpu).unwrap_or_default();
                    let before = (cpu(), postgres_cpu(&self.data_directory)?);
                    let (calls, seconds) = runtime.block_on(calls(addr, request.clone(), BUSY))?;
                    let micros = |time: Duration| time.as_secs_f64() * 1e6 / calls.max(1) as f64;
                    Ok::<_, Failed>(Rate {
                        calls_per_second: calls as f64 / seconds,
                        program: micros(cpu() - before.0),
                        database: micros(postgres_cpu(&self.data_directory)? - before.1),
                    })
                };
                let (nginx, toki) = (&self.nginx, &self.toki.running);
                measured.push([rate(self.supplier, None)?, rate(nginx.addr, Some(nginx))?, rate(toki.addr, Some(toki))?]);
            }
        }
        heading("Beside nginx");
        for ((what, bar), mut rounds) in [("answers", WHOLE_OVER_NGINX), ("streams of 64", STREAMS_OVER_NGINX)].into_iter().zip(measured) {
            // The first opened connections and made plans.
            rounds.remove(0);
            let over = |rate: fn(&[Rate; 3]) -> (f64, f64)| rounds.iter().map(rate);
            Line::rates(
                &format!("{what}, directly ÷ nginx"),
                BUSY,
                over(|[direct, nginx, _]| (direct.calls_per_second, nginx.calls_per_second)),
            )
            .print(None);
            Line::rates(&format!("{what}, toki ÷ nginx"), BUSY, over(|[_, nginx, toki]| (toki.calls_per_second, nginx.calls_per_second)))
                .print(Some(bar));
            let processor = |whose: &str, rate: fn(&[Rate; 3]) -> (f64, f64)| {
                Line::new(&format!("processor, {what}, {whose} ÷ nginx"), over(rate), |ours, nginx| ours / nginx, " µs")
            };
            processor("toki and Postgres", |[_, nginx, toki]| (toki.program + toki.database, nginx.program))
                .print((what == "answers").then_some(CPU_OVER_NGINX));
            processor("Postgres alone", |[_, nginx, toki]| (toki.database, nginx.program)).print(None);
        }
        Ok(())
    }

    fn report_waits(&self, runtime: &tokio::runtime::Runtime, rounds: usize) -> Result<(), Failed> {
        let (mut answers, mut first_bytes) = (Vec::new(), Vec::new());
        let targets = [self.supplier, self.nginx.addr, self.toki.running.addr];
        for _ in 0..rounds {
            let select = runtime.block_on(self.waits_for("SELECT 1"))?;
            let commit = runtime.block_on(self.waits_for("UPDATE bench_floor SET left_ = left_ + 1 WHERE id = 1"))?;
            let mut whole = [0.0; 3];
            let mut first = [0.0; 3];
            for (place, addr) in targets.into_iter().enumerate() {
                whole[place] = runtime.block_on(waits(addr, self.request(Kind::Whole, ""), Kind::Whole))?;
                first[place] = runtime.block_on(waits(addr, self.request(Kind::Stream, ""), Kind::Stream))?;
            }
            answers.push((whole[2] - whole[0], commit + 2.0 * select + MARGIN));
            first_bytes.push((first[2] - first[0], (first[1] - first[0]).max(0.0) + 2.0 * select + MARGIN));
        }
        heading("What a lone caller waits longer ÷ one commit, or nginx, + 2 SELECT 1 + 0.2 ms");
        Line::micros("answer, p50", answers.into_iter()).print(Some(ADDED_OVER_ALLOWED));
        Line::micros("first byte of a stream, p50", first_bytes.into_iter()).print(Some(ADDED_OVER_ALLOWED));
        Ok(())
    }

    /// Median time of a statement, in µs.
    async fn waits_for(&self, sql: &'static str) -> sqlx::Result<f64> {
        let mut connection = self.db.acquire().await?;
        let mut waits = Vec::with_capacity(WAITS);
        for _ in 0..WAITS {
            let begun = Instant::now();
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(median(&mut waits))
    }

    fn report_memory(&self, runtime: &tokio::runtime::Runtime) -> Result<(), Failed> {
        let request = self.request(Kind::Stream, supplier::FOR_EVER);
        let before = self.toki.running.memory()?;
        let open = runtime.block_on(async {
            let mut open = Vec::with_capacity(OPEN_STREAMS);
            for _ in 0..OPEN_STREAMS {
                let mut connection = Connection::open(self.toki.running.addr).await?;
                connection.begin(&request).await?;
                open.push(connection);
            }
            Ok::<_, std::io::Error>(open)
        })?;
        let after = self.toki.running.memory()?;
        drop(open);
        heading("Memory");
        let kilobytes = after.saturating_sub(before) as f64 / 1024.0 / OPEN_STREAMS as f64;
        Line::plain("kB of an open stream, 1,000 open", std::iter::once(kilobytes)).print(Some(STREAM_KILOBYTES));
        Ok(())
    }
}

/// Callers that call over and over for a while: how many calls, in how many seconds.
async fn calls(addr: SocketAddr, request: Vec<u8>, callers: usize) -> std::io::Result<(usize, f64)> {
    let begun = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move {
                let mut connection = Connection::open(addr).await?;
                let mut calls = 0;
                while begun.elapsed() < PHASE {
                    connection.call(&request).await?;
                    calls += 1;
                }
                Ok::<usize, std::io::Error>(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.map_err(std::io::Error::other)??;
    }
    Ok((calls, begun.elapsed().as_secs_f64()))
}

/// Median time that a lone caller waits, in µs: for a whole answer, or the first byte of a stream's body.
async fn waits(addr: SocketAddr, request: Vec<u8>, kind: Kind) -> std::io::Result<f64> {
    let mut connection = Connection::open(addr).await?;
    let mut waits = Vec::with_capacity(WAITS);
    for _ in 0..WAITS {
        let begun = Instant::now();
        connection.begin(&request).await?;
        if kind == Kind::Stream {
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
            connection.finish().await?;
        } else {
            connection.finish().await?;
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(&mut waits))
}
