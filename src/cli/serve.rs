//! `toki serve`: from a configuration to a listening server, and from a signal to its end.

use crate::cli::CliError;
use crate::cli::migrate::require_current;
use crate::cli::output::Output;
use crate::server::config::{Config, log_filter};
use crate::server::run::{app_state, connect, serve};
use crate::server::telemetry;
use crate::suppliers::sandbox;
use serde_json::json;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub async fn run(sandbox: bool, out: &Output) -> Result<(), CliError> {
    let mut config = Config::from_env(sandbox)?;
    telemetry::init(config.environment, log_filter().as_deref());
    let mut signals = Signals::listen().map_err(CliError::Runtime)?;
    let db = connect(&config).await.map_err(CliError::Connect)?;
    require_current(&db).await?;
    let listener = listen(config.addr).await?;
    let scrapes = match config.metrics_addr {
        Some(addr) => Some(listen(addr).await?),
        None => None,
    };
    config.set_bound_addr(listener.local_addr().map_err(|error| CliError::Listen(config.addr, error))?);
    let app = app_state(config, db).await?;
    if sandbox {
        sandbox::register(&app.db, &app.sealing_key, app.config.addr).await?;
    }
    let url = format!("http://{}", app.config.addr);
    tracing::info!("toki listens on {url}");
    let metrics_url = scrapes.as_ref().and_then(|listener| Some(format!("http://{}/metrics", listener.local_addr().ok()?)));
    if let Some(url) = &metrics_url {
        tracing::info!("metrics are at {url}");
    }
    if out.is_json() {
        out.reply(&json!({ "url": url, "metrics_url": metrics_url }), String::new)?;
    }

    let shutdown = app.shutdown.clone();
    let mut serving = Box::pin(serve(app, listener, scrapes));
    tokio::select! {
        ended = &mut serving => return ended.map_err(CliError::Serve),
        () = signals.next() => {}
    }
    tracing::info!("ending: running calls may finish; a second signal ends them");
    shutdown.cancel();
    tokio::select! {
        ended = &mut serving => ended.map_err(CliError::Serve),
        () = signals.next() => Err(CliError::Interrupted),
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, CliError> {
    TcpListener::bind(addr).await.map_err(|error| CliError::Listen(addr, error))
}

/// SIGINT and SIGTERM, from before there is anything to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
