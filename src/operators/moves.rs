//! Taking Tokens back and transferring them between accounts: an operator's deeds, written down in the same transaction.

use crate::connections::again;
use crate::ids::{AccountId, GrantId};
use crate::journal::record::{Entry, record_in};
use crate::journal::types::Kind;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::credit::OperatorError;
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::ledger;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

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
    again(|| take_back_once(db, operator, grant_id, tokens, note)).await
}

async fn take_back_once(
    db: &PgPool,
    operator: Operator,
    grant_id: GrantId,
    tokens: Tokens,
    note: Option<&str>,
) -> Result<(), OperatorError> {
    let mut tx = db.begin().await?;
    take_back_in(&mut tx, operator, grant_id, tokens, note).await?;
    tx.commit().await?;
    Ok(())
}

/// What came of taking all of a grant back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenBack {
    pub tokens: Tokens,
    /// What running calls hold stays theirs. What they do not use comes back to the grant, and can be spent or taken back then.
    pub held: Tokens,
}

/// Takes all that is left of a grant back, in one movement.
pub async fn take_all_back(db: &PgPool, operator: Operator, grant_id: GrantId, note: Option<&str>) -> Result<TakenBack, OperatorError> {
    again(|| take_all_back_once(db, operator, grant_id, note)).await
}

async fn take_all_back_once(db: &PgPool, operator: Operator, grant_id: GrantId, note: Option<&str>) -> Result<TakenBack, OperatorError> {
    let mut tx = db.begin().await?;
    let (tokens, held) = ledger::left_and_held_in(&mut tx, grant_id).await?;
    if tokens == Tokens(0) {
        return Err(OperatorError::NothingLeft { held });
    }
    take_back_in(&mut tx, operator, grant_id, tokens, note).await?;
    tx.commit().await?;
    Ok(TakenBack { tokens, held })
}

async fn take_back_in(
    tx: &mut PgConnection,
    operator: Operator,
    grant_id: GrantId,
    tokens: Tokens,
    note: Option<&str>,
) -> Result<(), OperatorError> {
    let account_id = ledger::account_of_in(tx, grant_id).await?;
    let action = Action {
        action: "grant.take_back",
        subject_id: grant_id.to_string(),
        after: Some(json!({ "account_id": account_id, "tokens": tokens })),
        reason: note,
        ..Action::default()
    };
    let action_id = insert_action_in(tx, operator, action).await?;
    ledger::take_back_in(tx, grant_id, tokens, action_id).await?;
    record_in(tx, account_id, operator.into(), Entry::of(Kind::TokensTakenBack).saying(tokens.exact())).await?;
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
    again(|| transfer_once(db, operator, from, to, tokens, note)).await
}

async fn transfer_once(
    db: &PgPool,
    operator: Operator,
    from: AccountId,
    to: AccountId,
    tokens: Tokens,
    note: Option<&str>,
) -> Result<Vec<GrantId>, OperatorError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::audit::audit;
    use crate::wallet::fixtures::{self, Used, begin_outlasting, lock_account, until_waiting};
    use crate::wallet::store::standing_of;
    use chrono::{TimeDelta, Utc};
    use futures::future::join;

    async fn balance(db: &PgPool, account_id: AccountId) -> Tokens {
        let report = audit(db, None).await.expect("audit");
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        standing_of(db, account_id).await.expect("a standing").balance
    }

    #[sqlx::test]
    async fn all_that_is_left_is_taken_back_and_running_calls_keep_what_they_hold(db: PgPool) {
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        let ada = fixtures::member(&db, "ada").await;
        let grant_id = fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
        let (_, secret) = fixtures::key(&db, &ada, fixtures::plain_key("k")).await;
        let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
        let take = async || take_all_back(&db, Operator::command_line(), grant_id, Some("a mistake")).await;

        assert_eq!(take().await.expect("taken back"), TakenBack { tokens: Tokens(50), held: Tokens(50) });
        assert_eq!(balance(&db, ada.account_id()).await, Tokens(0));
        assert!(matches!(take().await, Err(OperatorError::NothingLeft { held: Tokens(50) })));
        fixtures::settle(&db, &call, Used { input: 10, cached: 0, output: 5 }, Utc::now()).await;
        assert_eq!(balance(&db, ada.account_id()).await, Tokens(30), "what the call did not use");
        assert_eq!(take().await.expect("taken back"), TakenBack { tokens: Tokens(30), held: Tokens(0) });
        assert!(matches!(take().await, Err(OperatorError::NothingLeft { held: Tokens(0) })));

        assert_eq!(balance(&db, ada.account_id()).await, Tokens(0));
        let entries: Vec<(i64, String, Option<String>)> = sqlx::query_as(
            "SELECT l.tokens, a.action, a.reason FROM ledger l JOIN operator_actions a USING (action_id)
              WHERE l.to_book = 'refunded' ORDER BY l.entry_id",
        )
        .fetch_all(&db)
        .await
        .expect("entries");
        let entry = |tokens| (tokens, "grant.take_back".to_string(), Some("a mistake".to_string()));
        assert_eq!(entries, [entry(50), entry(30)], "one movement each, and a refusal leaves no trace");
        let deeds = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM operator_actions WHERE action = 'grant.take_back'");
        assert_eq!(deeds.fetch_one(&db).await.expect("count"), 2);
    }

    /// Both accounts are locked by a transfer, the one with the lower id first; here by somebody else, in the other order.
    #[sqlx::test]
    async fn a_transfer_that_loses_a_deadlock_is_made_all_the_same(db: PgPool) {
        let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
        fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
        let (from, to) = (ada.account_id(), bob.account_id());
        let mut tx = begin_outlasting(&db).await;
        lock_account(&mut tx, AccountId(from.0.max(to.0))).await;
        let (moved, ()) = join(transfer(&db, Operator::command_line(), from, to, Tokens(30), None), async {
            until_waiting(&db, 1).await;
            // The other is ended, and waits for us when it tries again.
            lock_account(&mut tx, AccountId(from.0.min(to.0))).await;
            tx.commit().await.expect("unlocked");
        })
        .await;
        assert_eq!(moved.expect("tried again").len(), 1);
        assert_eq!((balance(&db, from).await, balance(&db, to).await), (Tokens(70), Tokens(30)));
        let deeds = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM operator_actions WHERE action = 'account.transfer'");
        assert_eq!(deeds.fetch_one(&db).await.expect("count"), 1, "once");
    }

    #[sqlx::test]
    async fn nothing_is_taken_of_a_grant_whose_time_is_over(db: PgPool) {
        let ada = fixtures::member(&db, "ada").await;
        let grant_id = fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
        let ended = "UPDATE grants SET starts_at = now() - interval '2 days', expires_at = now() - interval '1 second'";
        sqlx::query(ended).execute(&db).await.expect("ended");
        let refused = take_all_back(&db, Operator::command_line(), grant_id, None).await;
        assert!(matches!(refused, Err(OperatorError::NothingLeft { .. })), "{refused:?}");
        let nobodys = take_all_back(&db, Operator::command_line(), GrantId::generate(), None).await;
        assert!(matches!(nobodys, Err(OperatorError::Ledger(ledger::LedgerError::NoGrant))), "{nobodys:?}");
    }
}
