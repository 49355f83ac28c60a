//! Moves everything that is sealed to the current key, row by row, beside running replicas. Whatever ends it half-way, it is only to be
//! run again: a value says itself which key it needs.

use crate::accounts::second_factor::Vault;
use crate::ids::{ChannelId, MailId, UserId};
use crate::mail::outbox::Outbox;
use crate::operators::rights::Operator;
use crate::seal::{Mark, SecretKeys};
use crate::secrets::hash_key;
use crate::secrets::store::{SealedColumn, SealedRow, next_sealed_otherwise, note_rotation, replace_sealed, sealed_otherwise};
use crate::suppliers::sealed::SealingKey;
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

/// Rows that are read at once.
const BATCH: i64 = 200;

/// What opens and seals each column.
pub struct Sealers<'a> {
    pub keys: SecretKeys<'a>,
    pub channels: &'a SealingKey,
    pub two_factors: &'a Vault,
    pub mails: &'a Outbox,
}

/// What became of a column.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rotated {
    pub column: &'static str,
    /// Sealed with the current key now; in a dry run, would be.
    pub resealed: u64,
    /// Rows whose value opens with no key that is configured. They stay as they are.
    pub unopened: Vec<Uuid>,
}

/// Seals everything with the current key; in a dry run changes nothing.
pub async fn rotate(db: &PgPool, operator: Operator, sealers: &Sealers<'_>, dry_run: bool) -> sqlx::Result<Vec<Rotated>> {
    let mark = Mark::of(sealers.keys.current);
    if !dry_run {
        let waiting = waiting(db, mark).await?;
        if waiting.iter().any(|(_, rows)| *rows > 0) {
            let waiting = waiting.iter().map(|(column, rows)| (column.name().to_string(), json!(rows)));
            note_rotation(db, operator, waiting.collect::<serde_json::Map<_, _>>().into()).await?;
        }
    }
    let mut done = Vec::new();
    for column in SealedColumn::ALL {
        done.push(rotate_column(db, column, sealers, mark, dry_run).await?);
    }
    Ok(done)
}

/// How many values of each column the current key did not seal.
pub async fn waiting(db: &PgPool, current: Mark) -> sqlx::Result<Vec<(SealedColumn, i64)>> {
    let mut waiting = Vec::new();
    for column in SealedColumn::ALL {
        waiting.push((column, sealed_otherwise(db, column, current).await?));
    }
    Ok(waiting)
}

async fn rotate_column(db: &PgPool, column: SealedColumn, sealers: &Sealers<'_>, mark: Mark, dry_run: bool) -> sqlx::Result<Rotated> {
    let mut done = Rotated { column: column.name(), ..Rotated::default() };
    let mut after = None;
    loop {
        let rows = next_sealed_otherwise(db, column, mark, after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(done) };
        after = Some(last.row_id);
        for row in &rows {
            match sealers.reseal(column, row) {
                None => done.unopened.push(row.row_id),
                Some(_) if dry_run => done.resealed += 1,
                Some(resealed) => done.resealed += u64::from(replace_sealed(db, column, row, &resealed).await?),
            }
        }
    }
}

impl Sealers<'_> {
    fn reseal(&self, column: SealedColumn, row: &SealedRow) -> Option<Vec<u8>> {
        match column {
            SealedColumn::HashKeys => hash_key::reseal(self.keys, &row.sealed).ok(),
            SealedColumn::Channels => self.channels.reseal(ChannelId(row.row_id), &row.sealed).ok(),
            SealedColumn::TwoFactors => self.two_factors.reseal(UserId(row.row_id), &row.sealed).ok(),
            SealedColumn::Mails => self.mails.reseal(MailId(row.row_id), &row.sealed).ok(),
        }
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
