//! The channel of notifications. Orders and grants announce themselves by trigger. Calls do not: a notification takes one lock for all of
//! Postgres, so what settles calls is announced beside them, a statement for many (`hub`).

use crate::ids::AccountId;
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};

const CHANNEL: &str = "account_changes";

/// Announces that something of these accounts changed.
pub async fn notify_changes(db: &PgPool, accounts: &[AccountId]) -> Result<(), sqlx::Error> {
    let accounts: Vec<_> = accounts.iter().map(|id| id.0).collect();
    sqlx::query!("SELECT pg_notify('account_changes', a::text) FROM unnest($1::uuid[]) a", &accounts).execute(db).await?;
    Ok(())
}

/// Hears of changes on a connection of its own, which no pool waits for when it closes.
pub struct Listener(PgListener);

impl Listener {
    pub async fn listen(db: &PgPool) -> Result<Listener, sqlx::Error> {
        let options = db.connect_options().as_ref().clone();
        let alone = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_with(options).await?;
        let mut listener = PgListener::connect_with(&alone).await?;
        listener.listen(CHANNEL).await?;
        Ok(Listener(listener))
    }

    /// The next account that changed; none when the connection was lost and others may have gone unheard.
    pub async fn next(&mut self) -> Result<Option<AccountId>, sqlx::Error> {
        loop {
            match self.0.try_recv().await? {
                None => return Ok(None),
                Some(notification) => {
                    if let Ok(id) = notification.payload().parse() {
                        return Ok(Some(AccountId(id)));
                    }
                }
            }
        }
    }
}
