//! Taking Tokens back and transferring them between accounts: an operator's deeds, written down in the same transaction.

use crate::ids::{AccountId, GrantId};
use crate::journal::record::{Entry, record_in};
use crate::journal::types::Kind;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::credit::OperatorError;
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::ledger;
use serde_json::json;
use sqlx::PgPool;

/// Takes Tokens of a grant back: what is spent or held stays.
pub async fn take_back(
    db: &PgPool,
    operator: Operator,
    grant_id: GrantId,
    tokens: Tokens,
    note: Option<&str>,
) -> Result<(), OperatorError> {
    if tokens < Tokens(1) {
        return Err(OperatorError::AmountRange);
    }
    let mut tx = db.begin().await?;
    let account_id = ledger::account_of_in(&mut tx, grant_id).await?;
    let action = Action {
        action: "grant.take_back",
        subject_id: grant_id.to_string(),
        after: Some(json!({ "account_id": account_id, "tokens": tokens })),
        reason: note,
        ..Action::default()
    };
    let action_id = insert_action_in(&mut tx, operator, action).await?;
    ledger::take_back_in(&mut tx, grant_id, tokens, action_id).await?;
    record_in(&mut tx, account_id, operator.into(), Entry::of(Kind::TokensTakenBack).saying(tokens.exact())).await?;
    tx.commit().await?;
    Ok(())
}

/// Moves Tokens to another account, which keeps their scope and expiry. Returns the receiver's new grants.
pub async fn transfer(
    db: &PgPool,
    operator: Operator,
    from: AccountId,
    to: AccountId,
    tokens: Tokens,
    note: Option<&str>,
) -> Result<Vec<GrantId>, OperatorError> {
    if tokens < Tokens(1) {
        return Err(OperatorError::AmountRange);
    }
    if from == to {
        return Err(OperatorError::SameAccount);
    }
    let mut tx = db.begin().await?;
    let action = Action {
        action: "account.transfer",
        subject_id: from.to_string(),
        after: Some(json!({ "to_account_id": to, "tokens": tokens })),
        reason: note,
        ..Action::default()
    };
    let action_id = insert_action_in(&mut tx, operator, action).await?;
    let grants = ledger::transfer_in(&mut tx, from, to, tokens, action_id, note).await?;
    record_in(&mut tx, from, operator.into(), Entry::of(Kind::TokensGiven).saying(tokens.exact())).await?;
    record_in(&mut tx, to, operator.into(), Entry::of(Kind::TokensReceived).saying(tokens.exact())).await?;
    tx.commit().await?;
    Ok(grants)
}
