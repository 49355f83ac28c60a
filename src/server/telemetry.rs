//! Logs. One line an event, on standard error; JSON in production. Never a secret, prompt or completion.

use crate::server::config::Environment;
use tracing_subscriber::EnvFilter;

/// Installs the process's subscriber; a second call does nothing. `filter` is the value of `TOKI_LOG`, default `info`.
pub fn init(environment: Environment, filter: Option<&str>) {
    let filter = EnvFilter::try_new(filter.unwrap_or("info,sqlx=warn,hyper=warn")).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match environment {
        Environment::Production => builder.json().try_init(),
        Environment::Development => builder.with_target(false).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("a subscriber was installed already");
    }
}
