//! Crediting Tokens: a grant whose cause is an operator's deed, written down in the same transaction.

use crate::accounts::store::AccountError;
use crate::connections::again;
use crate::error::{ConsoleError, Field, Problem, unavailable};
use crate::ids::{AccountId, GrantId};
use crate::journal::record::{Entry, record_in};
use crate::journal::types::Kind;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::suppliers::store::{SupplierError, supplier_by_slug};
use crate::tokens::Tokens;
use crate::wallet::ledger::{self, GrantCause, LedgerError, NewGrant, Scope};
use chrono::TimeDelta;
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("no such account")]
    NotFound,
    #[error("this user has no second factor")]
    NoTwoFactor,
    #[error("no supplier {0}")]
    UnknownSupplier(String),
    #[error("a credit is 1 to {} Tokens", Tokens::MOST.exact())]
    AmountRange,
    #[error("nothing is left of the grant, or its time is over; running calls hold {} Tokens of it", .held.exact())]
    NothingLeft { held: Tokens },
    #[error("an account cannot give to itself")]
    SameAccount,
    #[error("a credit is valid for 1 minute to 3,650 days")]
    ValidityRange,
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Ledger(LedgerError),
    #[error("a limit is at most 1,000,000 requests or 1,000,000,000,000 Tokens a minute, and 100,000 calls at once")]
    LimitRange,
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OperatorError {
    fn from(error: sqlx::Error) -> OperatorError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("accounts_requests_per_minute_check" | "accounts_tokens_per_minute_check" | "accounts_concurrent_calls_check") => {
                OperatorError::LimitRange
            }
            _ => OperatorError::Db(error),
        }
    }
}

impl From<LedgerError> for OperatorError {
    fn from(error: LedgerError) -> OperatorError {
        let LedgerError::Db(error) = error else { return OperatorError::Ledger(error) };
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("grants_account_id_fkey") => OperatorError::NotFound,
            _ => OperatorError::Db(error),
        }
    }
}

impl From<OperatorError> for ConsoleError {
    fn from(error: OperatorError) -> ConsoleError {
        match error {
            OperatorError::NotFound
            | OperatorError::NoTwoFactor
            | OperatorError::SameAccount
            | OperatorError::Ledger(LedgerError::NoGrant) => ConsoleError::NotFound,
            OperatorError::UnknownSupplier(_) => ConsoleError::SupplierUnavailable,
            OperatorError::LimitRange => ConsoleError::BadRequest,
            OperatorError::AmountRange | OperatorError::NothingLeft { .. } | OperatorError::Ledger(LedgerError::NotEnoughLeft) => {
                ConsoleError::invalid(Field::Quota, Problem::Malformed)
            }
            OperatorError::ValidityRange => ConsoleError::invalid(Field::Expiration, Problem::Malformed),
            OperatorError::Account(error) => error.into(),
            OperatorError::Ledger(LedgerError::Db(error)) | OperatorError::Db(error) => unavailable(&error),
            OperatorError::Ledger(LedgerError::AlreadyGranted | LedgerError::BatchMismatch) => ConsoleError::Internal,
        }
    }
}

/// Credits an account, spendable by the next call. No slugs = on every supplier.
pub async fn credit_account(
    db: &PgPool,
    operator: Operator,
    account_id: AccountId,
    tokens: Tokens,
    valid_for: TimeDelta,
    supplier_slugs: &[String],
    note: Option<&str>,
) -> Result<GrantId, OperatorError> {
    if tokens < Tokens(1) || tokens > Tokens::MOST {
        return Err(OperatorError::AmountRange);
    }
    if valid_for < TimeDelta::minutes(1) || valid_for > TimeDelta::days(3650) {
        return Err(OperatorError::ValidityRange);
    }
    let mut supplier_ids = Vec::with_capacity(supplier_slugs.len());
    for slug in supplier_slugs {
        supplier_ids.push(supplier_by_slug(db, slug).await.map_err(|error| unknown_supplier(slug, error))?.0);
    }
    again(|| async {
        let mut tx = db.begin().await?;
        let action = Action {
            action: "account.credit",
            subject_id: account_id.to_string(),
            after: Some(serde_json::json!({ "tokens": tokens, "valid_for_s": valid_for.num_seconds(), "suppliers": supplier_slugs })),
            reason: note,
            ..Action::default()
        };
        let action_id = insert_action_in(&mut tx, operator, action).await?;
        let new = NewGrant {
            account_id,
            cause: GrantCause::Credit(action_id),
            tokens,
            scope: Scope { supplier_ids: supplier_ids.clone(), model_ids: Vec::new() },
            valid_for,
            note: note.map(str::to_string),
        };
        let grant_id = ledger::issue_grant_in(&mut tx, &new).await?;
        record_in(&mut tx, account_id, operator.into(), Entry::of(Kind::TokensCredited).saying(tokens.exact())).await?;
        tx.commit().await?;
        Ok::<_, OperatorError>(grant_id)
    })
    .await
}

fn unknown_supplier(slug: &str, error: SupplierError) -> OperatorError {
    match error {
        SupplierError::Db(error) => OperatorError::Db(error),
        _ => OperatorError::UnknownSupplier(slug.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::accounts::create_account;
    use crate::suppliers::store::insert_supplier;

    #[sqlx::test]
    async fn credit_account_writes_deed_grant_and_entry_together(db: PgPool) {
        let operator = Operator::command_line();
        let email = crate::accounts::types::Email::parse("ada@example.com").expect("email");
        let password = crate::accounts::types::Password::parse("correct horse".into()).expect("password");
        let account_id = create_account(&db, operator, &email, password, false).await.expect("account").account_id;
        insert_supplier(&db, operator, "acme", "Acme").await.expect("supplier");
        let credit = async |tokens, days, slugs: &[String]| {
            credit_account(&db, operator, account_id, Tokens(tokens), TimeDelta::days(days), slugs, Some("why")).await
        };

        let grant_id = credit(500, 30, &["acme".into()]).await.expect("credit");
        let row = sqlx::query!(
            r#"SELECT g.left_, g.scoped, l.tokens AS entry, a.reason FROM grants g JOIN ledger l USING (grant_id)
                 JOIN operator_actions a ON a.action_id = g.action_id WHERE grant_id = $1"#,
            grant_id.0
        )
        .fetch_one(&db)
        .await
        .expect("row");
        assert_eq!((row.left_, row.scoped, row.entry, row.reason.as_deref()), (500, true, 500, Some("why")));

        assert!(matches!(credit(500, 30, &["nobody".into()]).await, Err(OperatorError::UnknownSupplier(_))));
        assert!(matches!(credit(0, 30, &[]).await, Err(OperatorError::AmountRange)));
        assert!(matches!(credit(500, 0, &[]).await, Err(OperatorError::ValidityRange)));
        let stranger = credit_account(&db, operator, AccountId::generate(), Tokens(1), TimeDelta::days(1), &[], None).await;
        assert!(matches!(stranger, Err(OperatorError::NotFound)));
        let deeds = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM operator_actions WHERE action = 'account.credit'"#);
        assert_eq!(deeds.fetch_one(&db).await.expect("count"), 1, "a refused credit leaves no audit row");
    }
}
