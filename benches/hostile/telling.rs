//! Whether the time of an answer tells a known address from an unknown one: tries of both in random order, and how often one of the one
//! takes longer than one of the other.

use crate::report::median;
use rand::seq::SliceRandom;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Failed = Box<dyn std::error::Error>;

/// Work after an answer, as posting a mail, is over by then.
const PAUSE: Duration = Duration::from_millis(30);

pub struct Told {
    /// 0.5 = not at all, 1 = always: the area under the curve, whichever way round.
    pub apart: f64,
    /// Median times, in µs.
    pub known: f64,
    pub unknown: f64,
}

pub async fn apart(addr: SocketAddr, db: &PgPool, path: &str, tries: usize) -> Result<Told, Failed> {
    let mut order: Vec<bool> = (0..tries * 2).map(|number| number % 2 == 0).collect();
    order.shuffle(&mut rand::rng());
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for is_known in order {
        // How often somebody tried is another matter, and the same for both.
        sqlx::query("DELETE FROM attempts").execute(db).await?;
        tokio::time::sleep(PAUSE).await;
        let took = answered(addr, path, if is_known { "bench" } else { "nobodyatall" }).await?;
        if is_known { known.push(took) } else { unknown.push(took) }
    }
    Ok(Told { apart: area(&known, &unknown), known: median(&mut known), unknown: median(&mut unknown) })
}

/// How long one answer takes, in µs.
async fn answered(addr: SocketAddr, path: &str, who: &str) -> Result<f64, Failed> {
    // A form is taken with its own fields only.
    let password = if path.ends_with("sign_in") { "&password=not+the+password" } else { "" };
    let body = format!("email={who}%40example.com{password}");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nsec-fetch-site: same-origin\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (begun, mut answer) = (Instant::now(), Vec::new());
    stream.write_all(request.as_bytes()).await?;
    stream.read_to_end(&mut answer).await?;
    let took = begun.elapsed().as_secs_f64() * 1e6;
    let expected = ["HTTP/1.1 401", "HTTP/1.1 200", "HTTP/1.1 302"].iter().any(|status| answer.starts_with(status.as_bytes()));
    if expected { Ok(took) } else { Err(String::from_utf8_lossy(&answer).into_owned().into()) }
}

/// Mann–Whitney: the share of pairs in which the one takes longer than the other, ties as halves; and the larger of both directions.
fn area(ones: &[f64], others: &[f64]) -> f64 {
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    let halves: u64 = pairs.map(|(one, other)| 2 * u64::from(one > other) + u64::from(one == other)).sum();
    let share = halves as f64 / 2.0 / (ones.len() * others.len()) as f64;
    share.max(1.0 - share)
}
