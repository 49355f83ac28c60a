//! What `toki doctor` says about the database: whether it keeps what it committed, and whether holds stay that nobody gives back.

use crate::cli::Context;
use crate::cli::doctor::Check;
use crate::cli::output::cause_chain;
use crate::server::config::Environment;
use crate::server::run::forgetful_settings;
use crate::wallet::audit::holds::holds_left_over;
use crate::wallet::ledger::{LedgerError, overdue_holds};

pub async fn check_durability(ctx: &Context) -> Check {
    let name = "durability";
    match forgetful_settings(&ctx.db).await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok(off) if off.is_empty() => Check::ok(name, "what was committed is on the database's disk"),
        Ok(off) if ctx.config.environment == Environment::Production => Check::warn(
            name,
            format!("a crash of the database's machine may take back what was committed; off is {}", off.join(", ")),
            "turn it on in the settings of Postgres",
        ),
        Ok(off) => Check::ok(name, format!("off is {}, which production must not have", off.join(", "))),
    }
}

pub async fn check_holds(ctx: &Context) -> Check {
    let name = "holds";
    let counted = async { Ok::<_, LedgerError>((overdue_holds(&ctx.db).await?, holds_left_over(&ctx.db).await?)) };
    match counted.await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok((0, _)) => Check::ok(name, "none is past its deadline"),
        Ok((overdue, 0)) => Check::warn(
            name,
            format!("{overdue} past their deadline hold Tokens of calls that are over"),
            "a running `toki serve` gives them back, and its log names those that it cannot",
        ),
        Ok((_, left_over)) => Check::fail(
            name,
            format!("{left_over} more than ten minutes past their deadline hold Tokens of calls that are over"),
            "start `toki serve`, which gives them back, and whose log names those that it cannot",
        ),
    }
}
