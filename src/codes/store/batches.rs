//! Codes as operators make, see and disable them. A batch is what one deed made; its rows and the deed are one transaction.

use super::CodeError;
use super::plain::{CodePepper, PlainCode};
use crate::ids::{ActionId, CodeId, OrderId, PackageId};
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::ledger::Scope;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

const BATCH_MOST: usize = 10_000;
const USES_MOST: i32 = 1_000_000;

/// How many codes a list shows.
const LIST_MOST: i64 = 1_000;

/// What a code is worth.
#[derive(Clone, Debug)]
pub enum Worth {
    Tokens {
        tokens: Tokens,
        valid_for: TimeDelta,
        scope: Scope,
    },
    Off {
        off: Off,
        /// Only on prices in this currency; an amount always has one.
        currency: Option<String>,
        /// Only on these; empty = on all.
        package_ids: Vec<PackageId>,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Off {
    Percent(i32),
    AmountMinor(i64),
}

/// Codes to make, all alike.
#[derive(Clone, Debug)]
pub struct NewCodes {
    pub worth: Worth,
    pub count: usize,
    /// Of each code, by as many accounts.
    pub uses: i32,
    pub expires_at: Option<DateTime<Utc>>,
    pub note: Option<String>,
}

/// What was made. The plain codes are nowhere else.
#[derive(Debug)]
pub struct Batch {
    pub batch_id: ActionId,
    pub codes: Vec<(CodeId, PlainCode)>,
}

/// The columns of what a code is worth.
#[derive(Default, Serialize)]
struct Columns {
    kind: &'static str,
    tokens: Option<i64>,
    valid_for_s: Option<i64>,
    scope_supplier_ids: Vec<Uuid>,
    scope_model_ids: Vec<String>,
    percent_off: Option<i32>,
    amount_off_minor: Option<i64>,
    currency: Option<String>,
    package_ids: Vec<Uuid>,
}

impl Columns {
    fn of(worth: &Worth) -> Columns {
        match worth.clone() {
            Worth::Tokens { tokens, valid_for, scope } => Columns {
                kind: "redemption",
                tokens: Some(tokens.0),
                valid_for_s: Some(valid_for.num_seconds()),
                scope_supplier_ids: scope.supplier_ids,
                scope_model_ids: scope.model_ids,
                ..Columns::default()
            },
            Worth::Off { off, currency, package_ids } => {
                let (percent_off, amount_off_minor) = match off {
                    Off::Percent(percent) => (Some(percent), None),
                    Off::AmountMinor(minor) => (None, Some(minor)),
                };
                let package_ids = package_ids.into_iter().map(|id| id.0).collect();
                Columns { kind: "promotion", percent_off, amount_off_minor, currency, package_ids, ..Columns::default() }
            }
        }
    }
}

/// Makes codes. They are shown to whoever asked for them, and never again.
pub async fn insert_codes(db: &PgPool, operator: Operator, pepper: &CodePepper, new: &NewCodes, reason: &str) -> Result<Batch, CodeError> {
    let late = new.expires_at.is_some_and(|end| end <= Utc::now());
    if late || !(1..=BATCH_MOST).contains(&new.count) || !(1..=USES_MOST).contains(&new.uses) {
        return Err(CodeError::OutOfRange);
    }
    let columns = Columns::of(&new.worth);
    let codes: Vec<_> = (0..new.count).map(|_| (CodeId::generate(), PlainCode::generate())).collect();
    let ids: Vec<Uuid> = codes.iter().map(|(code_id, _)| code_id.0).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|(_, code)| code.hash(pepper).to_vec()).collect();
    let hints: Vec<String> = codes.iter().map(|(_, code)| code.hint()).collect();
    let mut tx = db.begin().await?;
    let made = json!({ "count": new.count, "uses": new.uses, "expires_at": new.expires_at, "note": new.note, "worth": columns });
    let action = Action { action: "code.create", after: Some(made), reason: Some(reason), ..Action::default() };
    let batch_id = insert_action_in(&mut tx, operator, action).await?;
    sqlx::query!(
        "INSERT INTO codes (code_id, code_hash, code_hint, batch_id, kind, tokens, valid_for_s, scope_supplier_ids, scope_model_ids,
                            percent_off, amount_off_minor, currency, package_ids, uses, expires_at, note)
         SELECT id, hash, hint, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
           FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS made (id, hash, hint)",
        &ids,
        &hashes,
        &hints,
        batch_id.0,
        columns.kind,
        columns.tokens,
        columns.valid_for_s,
        &columns.scope_supplier_ids,
        &columns.scope_model_ids,
        columns.percent_off,
        columns.amount_off_minor,
        columns.currency,
        &columns.package_ids,
        new.uses,
        new.expires_at,
        new.note
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Batch { batch_id, codes })
}

/// A code as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct CodeRow {
    pub code_id: CodeId,
    pub hint: String,
    pub batch_id: ActionId,
    /// `redemption` or `promotion`.
    pub kind: String,
    pub tokens: Option<Tokens>,
    pub valid_for_s: Option<i64>,
    pub suppliers: Vec<String>,
    pub models: Vec<String>,
    pub percent_off: Option<i32>,
    pub amount_off_minor: Option<i64>,
    pub currency: Option<String>,
    pub package_ids: Vec<PackageId>,
    pub uses: i32,
    pub used: i32,
    /// `active`, `used_up`, `expired` or `disabled`.
    pub status: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub note: Option<String>,
    pub reason: Option<String>,
    /// The operator: an address, or a user of the machine that the command ran on.
    pub made_by: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Who used a code, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct RedemptionRow {
    pub email: String,
    pub redeemed_at: DateTime<Utc>,
    pub order_id: Option<OrderId>,
}

/// The last codes made, newest first; of one batch or of all.
pub async fn codes(db: &PgPool, batch_id: Option<ActionId>) -> Result<Vec<CodeRow>, CodeError> {
    rows(db, batch_id, None).await
}

/// One code, and who used it, the last first.
pub async fn code(db: &PgPool, code_id: CodeId) -> Result<(CodeRow, Vec<RedemptionRow>), CodeError> {
    let code = rows(db, None, Some(code_id)).await?.pop().ok_or(CodeError::NotFound)?;
    let redemptions = sqlx::query!(
        "SELECT u.email, r.redeemed_at, r.order_id FROM code_redemptions r JOIN users u USING (user_id)
          WHERE r.code_id = $1 ORDER BY r.redeemed_at DESC, r.redemption_id DESC LIMIT $2",
        code_id.0,
        LIST_MOST
    )
    .fetch_all(db)
    .await?;
    let redemptions = redemptions
        .into_iter()
        .map(|row| RedemptionRow { email: row.email, redeemed_at: row.redeemed_at, order_id: row.order_id.map(OrderId) })
        .collect();
    Ok((code, redemptions))
}

/// Takes a code back: nobody can use it from now on, and who has used it keeps what it brought. Twice is no error, and no second deed.
pub async fn disable_code(db: &PgPool, operator: Operator, code_id: CodeId, reason: &str) -> Result<(), CodeError> {
    let mut tx = db.begin().await?;
    let code = sqlx::query!(r#"SELECT disabled_at IS NOT NULL AS "disabled!" FROM codes WHERE code_id = $1 FOR NO KEY UPDATE"#, code_id.0)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(CodeError::NotFound)?;
    if !code.disabled {
        sqlx::query!("UPDATE codes SET disabled_at = now() WHERE code_id = $1", code_id.0).execute(&mut *tx).await?;
        let (before, after) = (Some(json!({ "disabled": false })), Some(json!({ "disabled": true })));
        let action = Action { action: "code.disable", subject_id: code_id.to_string(), before, after, reason: Some(reason) };
        insert_action_in(&mut tx, operator, action).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn rows(db: &PgPool, batch_id: Option<ActionId>, code_id: Option<CodeId>) -> Result<Vec<CodeRow>, CodeError> {
    let rows = sqlx::query!(
        r#"SELECT c.*, a.reason AS "reason?",
                  coalesce(a.system_user_name, (SELECT u.email FROM users u WHERE u.user_id = a.actor_user_id)) AS "made_by?",
                  ARRAY (SELECT s.slug FROM suppliers s WHERE s.supplier_id = ANY (c.scope_supplier_ids) ORDER BY s.slug) AS "suppliers!",
                  CASE WHEN c.disabled_at IS NOT NULL THEN 'disabled' WHEN c.used >= c.uses THEN 'used_up'
                       WHEN c.expires_at <= now() THEN 'expired' ELSE 'active' END AS "status!"
             FROM codes c JOIN operator_actions a ON a.action_id = c.batch_id
            WHERE ($1::uuid IS NULL OR c.batch_id = $1) AND ($2::uuid IS NULL OR c.code_id = $2)
            ORDER BY c.code_id DESC LIMIT $3"#,
        batch_id.map(|id| id.0),
        code_id.map(|id| id.0),
        LIST_MOST
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| CodeRow {
            code_id: CodeId(row.code_id),
            hint: row.code_hint,
            batch_id: ActionId(row.batch_id),
            kind: row.kind,
            tokens: row.tokens.map(Tokens),
            valid_for_s: row.valid_for_s,
            suppliers: row.suppliers,
            models: row.scope_model_ids,
            percent_off: row.percent_off,
            amount_off_minor: row.amount_off_minor,
            currency: row.currency,
            package_ids: row.package_ids.into_iter().map(PackageId).collect(),
            uses: row.uses,
            used: row.used,
            status: row.status,
            expires_at: row.expires_at,
            note: row.note,
            reason: row.reason,
            made_by: row.made_by,
            created_at: row.created_at,
        })
        .collect())
}
