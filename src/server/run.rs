//! Puts the program together: pool, state, routers, listener, jobs, and the orderly end.

use crate::accounts::second_factor::Vault;
use crate::app::{App, shell};
use crate::changes::hub::{Changes, Moment};
use crate::checkout::payments::Payments;
use crate::checkout::webhook;
use crate::connections::{BELIEVED, Connections};
use crate::gateway::{self, Database, Gateway, Threads, half_of_processors};
use crate::keys::secret::Pepper;
use crate::mail::outbox::Outbox;
use crate::seal::Seal;
use crate::secrets::hash_key::{HashKey, HashKeyError};
use crate::server::config::{Config, Environment};
use crate::server::metrics::{self, Metrics};
use crate::server::request_ctx::PageReader;
use crate::server::state::{AppState, Shared};
use crate::server::{apart, edge, jobs, last_form, layers, live};
use crate::suppliers::sandbox;
use crate::suppliers::sealed::SealingKey;
use crate::ui::hydration::SiteFiles;
use crate::ui::style_guide::{self, ShowStyleGuide};
use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::routing::get;
use leptos::config::LeptosOptions;
use leptos::nonce::Nonce;
use leptos::prelude::provide_context;
use leptos_axum::{LeptosRoutes, generate_route_list_with_exclusions};
use secrecy::ExposeSecret;
use sqlx::PgExecutor;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::services::ServeDir;

/// The migrations of `migrations/`, in the binary.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Connects to the database. Statement and lock timeouts keep one stuck session from holding the others.
pub async fn connect(config: &Config) -> sqlx::Result<Connections> {
    let options: PgConnectOptions = config.database_url.expose_secret().parse()?;
    let options = options.application_name("toki").options([
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "60s"),
    ]);
    let pool = PgPoolOptions::new().max_connections(32).acquire_timeout(Duration::from_secs(5));
    let connections = Connections::lazy(pool, options, BELIEVED);
    drop(connections.acquire().await?);
    Ok(connections)
}

/// Settings under which the database may forget what it committed, when its machine crashes, by their names; as this connection has them.
pub async fn forgetful_settings(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM pg_settings
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name"#
    )
    .fetch_all(db)
    .await
}

/// Customers are told that they bought, and suppliers are paid, on the word of the database.
async fn warn_of_forgetting(app: &AppState) {
    if app.config.environment != Environment::Production {
        return;
    }
    match forgetful_settings(&app.db).await {
        Ok(off) if off.is_empty() => {}
        Ok(off) => tracing::error!(off = off.join(", "), "THE DATABASE MAY FORGET WHAT IT COMMITTED; turn these settings on"),
        Err(error) => tracing::error!(%error, "the settings of the database could not be read"),
    }
}

/// The state of one replica of a database that is up to date. Fails where the configured key is not the database's.
pub async fn app_state(config: Config, db: Connections) -> Result<AppState, HashKeyError> {
    let leptos =
        LeptosOptions::builder().output_name("toki").site_root(config.site_root.to_string_lossy().as_ref()).site_addr(config.addr).build();
    let hash_key = HashKey::of(&db, config.secret_keys()).await?;
    Ok(AppState::from(Shared {
        pepper: Pepper::derive(hash_key.bytes()),
        sealing_key: SealingKey::derive(config.secret_keys()),
        vault: Vault::derive(config.secret_keys(), hash_key.bytes()),
        hash_key,
        payments: Payments::from_config(&config),
        outbox: Outbox::new(config.secret_keys(), &config.public_url),
        config,
        db,
        leptos,
        changes: Changes::default(),
        metrics: Metrics::default(),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    }))
}

/// Every route. Console and `/v1` are siblings: the console's layers never see a call, and its pages are made on other threads.
pub fn router(app: &AppState, gateway: Arc<Gateway>) -> Router {
    let router = if app.config.sandbox { sandbox::router() } else { Router::new() };
    let others = router.route("/readyz", get(ready).with_state(app.clone())).merge(webhook::router(app.clone())).merge(console(app));
    let threads = Handle::current();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .merge(gateway::router(gateway))
        .fallback(move |request| apart::answer(threads.clone(), others.clone(), request));
    if app.config.secure_cookies() { router.layer(axum::middleware::from_fn(layers::strict_transport)) } else { router }
}

/// The gateway gets what it needs and no more: it never sees the console's state.
fn gateway_setup(app: &AppState, db: Database, threads: Threads) -> gateway::Setup {
    gateway::Setup {
        db,
        pepper: app.pepper.clone(),
        sealing_key: app.sealing_key.clone(),
        // With a key that is never replaced: answers are kept for a day, and a rotation need not move them.
        answers: Seal::derive(app.hash_key.bytes(), b"toki kept answers v1"),
        public_url: app.config.public_url.as_str().trim_end_matches('/').to_string(),
        supplier_networks: app.config.supplier_networks.clone(),
        timeouts: app.config.upstream,
        limits: app.config.limits,
        spool_dir: app.config.spool_dir.clone(),
        settle_wait: app.config.settle_wait,
        body_memory: app.config.body_memory,
        tasks: app.tasks.clone(),
        threads,
        others: Handle::current(),
        changes: app.changes.clone(),
    }
}

async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    match sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&app.db).await {
        Ok(_) => (StatusCode::OK, "ready"),
        Err(error) => {
            tracing::error!(%error, "not ready: database");
            (StatusCode::SERVICE_UNAVAILABLE, "database unavailable")
        }
    }
}

fn console(app: &AppState) -> Router {
    let for_builders = app.config.environment != Environment::Production;
    let hidden = (!for_builders).then(|| vec![style_guide::PATH.to_string()]);
    let context = {
        let app = app.clone();
        let site = SiteFiles::of(&app.config.site_root);
        move || {
            provide_context(app.clone());
            provide_context(site.clone());
            provide_context(PageReader::default());
            if for_builders {
                provide_context(ShowStyleGuide);
            }
            layers::provide_noted::<Nonce>();
            layers::provide_noted::<Moment>();
            layers::provide_preferences();
            last_form::provide();
        }
    };
    let options = app.leptos.clone();
    let shell_options = options.clone();
    // Outermost first: compression, headers on everything, then the CSRF check, then the size, then the moment, then the session, then what
    // the last form led to, then the status of what failed.
    Router::new()
        .leptos_routes_with_context(app, generate_route_list_with_exclusions(App, hidden), context.clone(), move || {
            shell(shell_options.clone())
        })
        .route("/live", get(live::follow))
        .fallback_service(
            static_files(app)
                .fallback(leptos_axum::file_and_error_handler_with_context::<AppState, _>(context, shell).with_state(app.clone())),
        )
        .layer(axum::middleware::from_fn(layers::error_status))
        .layer(axum::middleware::from_fn_with_state(last_form::seal(app), last_form::remember))
        .layer(layers::sessions(app))
        .layer(axum::middleware::from_fn_with_state(app.changes.clone(), layers::note_moment))
        .layer(axum::middleware::from_fn(layers::body_limit))
        .layer(axum::middleware::from_fn(layers::from_our_pages))
        .layer(layers::csrf())
        .layer(axum::middleware::from_fn(layers::security_headers))
        .layer(layers::compression())
        .with_state(app.clone())
}

/// The files of the site. Leptos's own handler would serve them as well, but in a context under whichever page the thread is busy
/// with, and with that page's headers: its redirect would go out with a style sheet. It only gets what is no file.
fn static_files(app: &AppState) -> ServeDir {
    ServeDir::new(app.leptos.site_root.as_ref()).precompressed_gzip().precompressed_br().call_fallback_on_method_not_allowed(true)
}

/// How long callers and tasks may take over their end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until `shutdown` is cancelled, then lets running requests finish for `Config::drain`, ends those that still run, and
/// settles all. `scrapes`: where metrics are shown, until the last call has ended.
pub async fn serve(app: AppState, listener: TcpListener, scrapes: Option<TcpListener>) -> std::io::Result<()> {
    warn_of_forgetting(&app).await;
    jobs::spawn(&app);
    app.changes.spawn(&app.tasks, &app.db, &app.shutdown);
    let shutdown = app.shutdown.clone();
    let gateway_db = Database::connect_lazy(app.db.connect_options().as_ref().clone());
    let threads = Threads::start(half_of_processors())?;
    let gateway = Gateway::start(gateway_setup(&app, gateway_db.clone(), threads.clone())).map_err(std::io::Error::other)?;
    let scraped = CancellationToken::new();
    if let Some(scrapes) = scrapes {
        let watched = Arc::downgrade(&gateway);
        app.tasks.spawn(metrics::serve(app.clone(), watched, scrapes, threads.clone(), scraped.clone()));
    }
    let connections = edge::serve(listener, router(&app, gateway.clone()), app.config.edge.clone(), threads.clone(), shutdown.clone());
    // A call whose caller has left outlives its connection.
    let serving = async {
        connections.await;
        gateway.calls_ended().await;
    };
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(app.config.drain).await;
        gateway.end_calls();
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = serving => {}
        () = drained => tracing::warn!("some callers did not read their answers to the end"),
    }
    scraped.cancel();
    drop(gateway);
    app.shutdown.cancel();
    app.tasks.close();
    // An answer that is to be kept waits for the database once more.
    if tokio::time::timeout(app.config.settle_wait * 2 + LAST_WORDS, app.tasks.wait()).await.is_err() {
        tracing::error!("some tasks did not end");
    }
    // A pool waits for ever for a connection that is not given back to it.
    if tokio::time::timeout(LAST_WORDS, futures::future::join(gateway_db.close(), app.db.close())).await.is_err() {
        tracing::error!("some connections to the database were not given back");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::PgPool;

    #[sqlx::test]
    async fn a_database_that_does_not_wait_for_its_disk_is_named(db: PgPool) {
        let mut session = db.acquire().await.expect("a connection");
        for (value, named) in [("on", false), ("remote_apply", false), ("off", true)] {
            sqlx::query("SELECT set_config('synchronous_commit', $1, false)").bind(value).execute(&mut *session).await.expect("set");
            let off = forgetful_settings(&mut *session).await.expect("settings");
            assert_eq!(off.iter().any(|name| name == "synchronous_commit"), named, "{value}: {off:?}");
        }
    }
}
