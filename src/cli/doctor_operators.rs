//! What `toki doctor` says about operators: whether each signs in with a second factor.

use crate::accounts::store::two_factor::operators_without;
use crate::cli::Context;
use crate::cli::doctor::Check;
use crate::cli::output::cause_chain;
use crate::server::config::Environment;

pub async fn check_operators(ctx: &Context) -> Check {
    let name = "operators";
    match operators_without(&ctx.db).await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok(emails) if emails.is_empty() => Check::ok(name, "each signs in with a second factor"),
        Ok(emails) if ctx.config.environment == Environment::Production => Check::warn(
            name,
            format!("without two-factor, and so without the console: {}", emails.join(", ")),
            "they set it up at /settings/two-factor",
        ),
        Ok(emails) => Check::ok(name, format!("{} without two-factor, which production asks of each", emails.len())),
    }
}
