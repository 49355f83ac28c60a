//! What `toki doctor` says about secrets at rest: whether the configured key is the database's, and what another one sealed.

use crate::cli::Context;
use crate::cli::doctor::Check;
use crate::cli::output::cause_chain;
use crate::seal::Mark;
use crate::secrets::hash_key::{HashKey, HashKeyError};
use crate::secrets::rotation::waiting;

pub async fn check_secrets(ctx: &Context) -> Check {
    let name = "secrets at rest";
    let keys = ctx.config.secret_keys();
    match HashKey::find(&ctx.db, keys).await {
        Ok(_) => {}
        Err(error @ HashKeyError::Db(_)) => return Check::fail(name, cause_chain(&error), "see the database's log"),
        Err(error) => return Check::fail(name, cause_chain(&error), "correct TOKI_SECRET_KEY and TOKI_SECRET_KEY_OLD"),
    }
    let waiting = match waiting(&ctx.db, Mark::of(keys.current)).await {
        Ok(waiting) => waiting,
        Err(error) => return Check::fail(name, cause_chain(&error), "see the database's log"),
    };
    let rows: i64 = waiting.iter().map(|(_, rows)| rows).sum();
    let places = waiting.iter().filter(|(_, rows)| *rows > 0).map(|(column, rows)| format!("{rows} in {}", column.name()));
    let places = places.collect::<Vec<_>>().join(", ");
    match (rows, keys.old) {
        (0, None) => Check::ok(name, "all are sealed with TOKI_SECRET_KEY"),
        (0, Some(_)) => Check::warn(name, "none needs TOKI_SECRET_KEY_OLD any more", "unset it everywhere, and destroy that key"),
        (_, Some(_)) => Check::warn(name, format!("{rows} still need the old key: {places}"), "run `toki secrets rotate`"),
        (_, None) => Check::warn(
            name,
            format!("{rows} do not say that TOKI_SECRET_KEY sealed them: {places}"),
            "run `toki secrets rotate`; those that it cannot open need the key that sealed them as TOKI_SECRET_KEY_OLD",
        ),
    }
}
