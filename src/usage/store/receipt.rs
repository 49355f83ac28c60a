//! The whole record of one call, for whoever made it.

use super::{UsageError, UsageRow, draws_of, rows_of};
use crate::ids::{AccountId, RequestId};
use crate::usage::types::Draw;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

pub struct Receipt {
    pub call: UsageRow,
    /// The supplier's report, every field of it; none when it made none.
    pub upstream_usage: Option<Box<RawValue>>,
    /// The grants that paid, in the order they were drawn on.
    pub drawn: Vec<Draw>,
}

/// A finished call of the account; none when there is no such call, or it is somebody else's.
pub async fn receipt_of(db: &mut PgConnection, account_id: AccountId, request_id: RequestId) -> Result<Option<Receipt>, UsageError> {
    let Some(call) = rows_of(&mut *db, account_id, &[request_id.0]).await?.pop() else { return Ok(None) };
    let upstream_usage = sqlx::query_scalar!(
        r#"SELECT upstream_usage AS "usage: Json<Box<RawValue>>" FROM usage_records WHERE account_id = $1 AND request_id = $2"#,
        account_id.0,
        request_id.0
    )
    .fetch_one(&mut *db)
    .await?;
    let drawn = draws_of(&mut *db, account_id, &[request_id]).await?.remove(&request_id).unwrap_or_default();
    Ok(Some(Receipt { call, upstream_usage: upstream_usage.map(|Json(raw)| raw), drawn }))
}
