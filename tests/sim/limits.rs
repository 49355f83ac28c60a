//! Limits of keys and accounts, set as operators set them.

use crate::model::{CallLimits, PeriodQuota};
use crate::op::Subject;
use crate::world::{Answer, key_error, operator, rolled_back};
use sqlx::PgPool;
use toki::ids::KeyId;
use toki::keys::store::{KeyOwner, LimitsEdit, update_limits};
use toki::operators::store_limits::{AccountLimitsEdit, limit_account};
use toki::tokens::Tokens;

pub async fn limit_period(db: &PgPool, key_id: KeyId, limit: Option<PeriodQuota>) -> Answer {
    let period = limit.map(|quota| (quota.period, Tokens(quota.tokens)));
    limit_key(db, key_id, LimitsEdit { period: Some(period), ..LimitsEdit::default() }).await
}

pub async fn limit_calls(db: &PgPool, subject: Subject, limits: CallLimits) -> Answer {
    let number = |limit: Option<i64>| Some(limit.map(|limit| i32::try_from(limit).expect("a small limit")));
    let (requests_per_minute, concurrent_calls) = (number(limits.requests), number(limits.calls));
    let tokens_per_minute = Some(limits.tokens.map(Tokens));
    match subject {
        Subject::Key(key_id) => {
            let edit = LimitsEdit { requests_per_minute, tokens_per_minute, concurrent_calls, ..LimitsEdit::default() };
            limit_key(db, key_id, edit).await
        }
        Subject::Account(account_id) => {
            let edit = AccountLimitsEdit { requests_per_minute, tokens_per_minute, concurrent_calls };
            limit_account(db, operator(), account_id, edit).await.expect("limited");
            Answer::says("edited")
        }
    }
}

async fn limit_key(db: &PgPool, key_id: KeyId, edit: LimitsEdit) -> Answer {
    match update_limits(db, KeyOwner::Operator(operator()), key_id, edit).await {
        Ok(()) => Answer::says("edited"),
        Err(error) => {
            rolled_back(db, "SELECT 1 FROM api_keys WHERE key_id = $1 FOR NO KEY UPDATE", key_id.0).await;
            Answer::says(key_error(&error))
        }
    }
}
