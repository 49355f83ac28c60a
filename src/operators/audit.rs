//! The audit log: who did what to what, before, after, why. Append-only.

use crate::ids::ActionId;
use crate::operators::rights::Operator;
use serde_json::Value;
use sqlx::PgConnection;

/// One deed of an operator.
#[derive(Debug, Default)]
pub struct Action<'a> {
    /// `noun.verb`: `package.add`, `account.suspend`.
    pub action: &'a str,
    pub subject_id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// What the deed itself asks for; what the operator says besides counts more.
    pub reason: Option<&'a str>,
}

/// Writes the deed down, in the transaction that does it.
pub async fn insert_action_in(tx: &mut PgConnection, operator: Operator, action: Action<'_>) -> sqlx::Result<ActionId> {
    let action_id = ActionId::generate();
    sqlx::query!(
        "INSERT INTO operator_actions (action_id, actor_user_id, system_user_name, action, subject_id, before, after, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        action_id.0,
        operator.user_id().map(|user| user.0),
        operator.system_user_name(),
        action.action,
        action.subject_id,
        action.before,
        action.after,
        operator.reason().or(action.reason)
    )
    .execute(tx)
    .await?;
    Ok(action_id)
}

/// Whether they still have the right, which nobody takes before this transaction ends: a request that began before is not done.
pub async fn hold_right_in(tx: &mut PgConnection, operator: Operator) -> sqlx::Result<bool> {
    let Some(user_id) = operator.user_id() else { return Ok(true) };
    let held = sqlx::query_scalar!(r#"SELECT true AS "held!" FROM users WHERE user_id = $1 AND operator FOR SHARE"#, user_id.0);
    Ok(held.fetch_optional(tx).await?.is_some())
}
