//! SQL about every column that holds something sealed: what of it another key than the current one sealed, and putting the same secret
//! there, sealed anew. What it says is the business of whoever sealed it.
//!
//! Each column has statements of its own, alike as they are: a table's name is no parameter, and what is put together while running is
//! not compared with the schema while building.

use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::seal::Mark;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// A column that holds something sealed, in rows with a UUID of their own. A test compares these with the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedColumn {
    HashKeys,
    Channels,
    TwoFactors,
    Mails,
}

impl SealedColumn {
    pub const ALL: [SealedColumn; 4] = [SealedColumn::HashKeys, SealedColumn::Channels, SealedColumn::TwoFactors, SealedColumn::Mails];

    pub fn name(self) -> &'static str {
        match self {
            SealedColumn::HashKeys => "hash_keys.key_sealed",
            SealedColumn::Channels => "channels.secret_sealed",
            SealedColumn::TwoFactors => "two_factors.seed_sealed",
            SealedColumn::Mails => "mails.body_sealed",
        }
    }
}

/// A value that does not begin with the mark of the current key.
#[derive(Debug)]
pub struct SealedRow {
    pub row_id: Uuid,
    pub sealed: Vec<u8>,
}

/// How many values the current key did not seal.
pub async fn sealed_otherwise(db: &PgPool, column: SealedColumn, current: Mark) -> sqlx::Result<i64> {
    let mark = current.bytes();
    match column {
        SealedColumn::HashKeys => {
            sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM hash_keys WHERE substr(key_sealed, 1, 5) <> $1"#, mark).fetch_one(db).await
        }
        SealedColumn::Channels => {
            sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM channels WHERE substr(secret_sealed, 1, 5) <> $1"#, mark)
                .fetch_one(db)
                .await
        }
        SealedColumn::TwoFactors => {
            sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM two_factors WHERE substr(seed_sealed, 1, 5) <> $1"#, mark)
                .fetch_one(db)
                .await
        }
        SealedColumn::Mails => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "n!" FROM mails
                    WHERE sent_at IS NULL AND given_up_at IS NULL AND substr(body_sealed, 1, 5) <> $1"#,
                mark
            )
            .fetch_one(db)
            .await
        }
    }
}

/// The next of them in the order of ids, after `after`.
pub async fn next_sealed_otherwise(
    db: &PgPool,
    column: SealedColumn,
    current: Mark,
    after: Option<Uuid>,
    most: i64,
) -> sqlx::Result<Vec<SealedRow>> {
    let mark = current.bytes();
    match column {
        SealedColumn::HashKeys => {
            sqlx::query_as!(
                SealedRow,
                "SELECT hash_key_id AS row_id, key_sealed AS sealed FROM hash_keys
                  WHERE ($1::uuid IS NULL OR hash_key_id > $1) AND substr(key_sealed, 1, 5) <> $2 ORDER BY hash_key_id LIMIT $3",
                after,
                mark,
                most
            )
            .fetch_all(db)
            .await
        }
        SealedColumn::Channels => {
            sqlx::query_as!(
                SealedRow,
                r#"SELECT channel_id AS row_id, secret_sealed AS "sealed!" FROM channels
                    WHERE ($1::uuid IS NULL OR channel_id > $1) AND substr(secret_sealed, 1, 5) <> $2 ORDER BY channel_id LIMIT $3"#,
                after,
                mark,
                most
            )
            .fetch_all(db)
            .await
        }
        SealedColumn::TwoFactors => {
            sqlx::query_as!(
                SealedRow,
                "SELECT user_id AS row_id, seed_sealed AS sealed FROM two_factors
                  WHERE ($1::uuid IS NULL OR user_id > $1) AND substr(seed_sealed, 1, 5) <> $2 ORDER BY user_id LIMIT $3",
                after,
                mark,
                most
            )
            .fetch_all(db)
            .await
        }
        SealedColumn::Mails => {
            sqlx::query_as!(
                SealedRow,
                r#"SELECT mail_id AS row_id, body_sealed AS "sealed!" FROM mails
                    WHERE ($1::uuid IS NULL OR mail_id > $1) AND sent_at IS NULL AND given_up_at IS NULL
                      AND substr(body_sealed, 1, 5) <> $2 ORDER BY mail_id LIMIT $3"#,
                after,
                mark,
                most
            )
            .fetch_all(db)
            .await
        }
    }
}

/// Replaces a value, unless it was replaced or forgotten meanwhile: a statement, and so a transaction, a row. Whether it did.
pub async fn replace_sealed(db: &PgPool, column: SealedColumn, row: &SealedRow, resealed: &[u8]) -> sqlx::Result<bool> {
    let (row_id, sealed) = (row.row_id, &row.sealed[..]);
    let replaced = match column {
        SealedColumn::HashKeys => {
            sqlx::query!("UPDATE hash_keys SET key_sealed = $3 WHERE hash_key_id = $1 AND key_sealed = $2", row_id, sealed, resealed)
                .execute(db)
                .await?
        }
        SealedColumn::Channels => {
            sqlx::query!("UPDATE channels SET secret_sealed = $3 WHERE channel_id = $1 AND secret_sealed = $2", row_id, sealed, resealed)
                .execute(db)
                .await?
        }
        SealedColumn::TwoFactors => {
            sqlx::query!("UPDATE two_factors SET seed_sealed = $3 WHERE user_id = $1 AND seed_sealed = $2", row_id, sealed, resealed)
                .execute(db)
                .await?
        }
        SealedColumn::Mails => {
            sqlx::query!("UPDATE mails SET body_sealed = $3 WHERE mail_id = $1 AND body_sealed = $2", row_id, sealed, resealed)
                .execute(db)
                .await?
        }
    };
    Ok(replaced.rows_affected() == 1)
}

/// Notes that a rotation begins; it may end half-way, and go on in another.
pub async fn note_rotation(db: &PgPool, operator: Operator, waiting: Value) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    let action = Action { action: "secrets.rotate", subject_id: "all".into(), after: Some(waiting), ..Action::default() };
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await
}
