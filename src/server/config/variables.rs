//! Variables that are read one by one: what the log shows, and what a command is told.

use super::ConfigError;
use secrecy::SecretString;

/// The filter of the logs, for [`telemetry::init`](crate::server::telemetry::init).
pub fn log_filter() -> Option<String> {
    variable("TOKI_LOG")
}

/// A secret in a variable that the operator named on the command line.
pub fn secret_from_env(name: &str) -> Result<SecretString, ConfigError> {
    variable(name).map(SecretString::from).ok_or_else(|| ConfigError::NoSecret(name.to_string()))
}

/// Who called `sudo`, as that tells the command that it runs.
pub fn sudo_user() -> Option<String> {
    variable("SUDO_USER")
}

#[expect(clippy::disallowed_methods, reason = "this folder is the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
}
