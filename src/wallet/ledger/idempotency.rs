//! What is remembered of calls that were sent under an Idempotency-Key; `admit_calls()` writes their rows and reads them.

use super::{LedgerError, SentBefore};
use crate::ids::RequestId;
use sqlx::{PgExecutor, PgPool};

/// Keeps the answer of a call, if it was sent under a key. Before it is settled, so that from its settlement on there is one.
pub async fn keep_answer(db: impl PgExecutor<'_>, request_id: RequestId, answer: &[u8]) -> Result<(), LedgerError> {
    sqlx::query!("UPDATE idempotent_calls SET answer = $2 WHERE request_id = $1", request_id.0, answer).execute(db).await?;
    Ok(())
}

/// The answer that was kept of a call, or why nobody gets one: a call that is not settled has not been paid for, and what was
/// interrupted never will be.
pub async fn kept_answer(db: impl PgExecutor<'_>, request_id: RequestId) -> Result<Result<Vec<u8>, SentBefore>, LedgerError> {
    let call = sqlx::query!(
        r#"SELECT i.answer, EXISTS (SELECT 1 FROM holds h WHERE h.request_id = i.request_id) AS "running!",
                  EXISTS (SELECT 1 FROM usage_records u
                           WHERE u.key_id = i.key_id AND u.request_id = i.request_id AND u.outcome <> 'interrupted') AS "settled!"
             FROM idempotent_calls i WHERE i.request_id = $1"#,
        request_id.0
    );
    Ok(match call.fetch_optional(db).await? {
        Some(call) if call.running => Err(SentBefore::Running),
        Some(call) if call.settled => call.answer.ok_or(SentBefore::Ended),
        _ => Err(SentBefore::Ended),
    })
}

/// Lets a call be sent again under its key.
pub async fn forget_idempotent_call(db: impl PgExecutor<'_>, request_id: RequestId) -> Result<(), LedgerError> {
    sqlx::query!("DELETE FROM idempotent_calls WHERE request_id = $1", request_id.0).execute(db).await?;
    Ok(())
}

/// Forgets calls after their day. Returns how many.
pub async fn forget_old_idempotent_calls(db: &PgPool) -> Result<u64, LedgerError> {
    let gone = sqlx::query!("DELETE FROM idempotent_calls WHERE created_at < now() - interval '24 hours'").execute(db).await?;
    Ok(gone.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::audit::audit;
    use crate::wallet::fixtures::{self, Used};
    use crate::wallet::ledger::{AdmissionRequest, Idempotency, Verdict, admit_calls, reap_holds};
    use chrono::{TimeDelta, Utc};

    #[sqlx::test]
    async fn an_answer_is_given_again_once_its_call_is_paid_for(db: PgPool) {
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        let ada = fixtures::member(&db, "ada").await;
        fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(30)).await;
        let (_, secret) = fixtures::key(&db, &ada, fixtures::plain_key("bot")).await;
        for (last, given) in [("settled", Ok(b"an answer".to_vec())), ("reaped", Err(SentBefore::Ended))] {
            let idempotency = Some(Idempotency { key_hash: [last.len() as u8; 32], fingerprint: [0; 32] });
            let request = AdmissionRequest { idempotency, ..fixtures::request(&secret, "acme/m", 10, 5) };
            let owner = fixtures::replica(&db).await;
            let decisions = admit_calls(&db, &[request], owner, TimeDelta::seconds(60), false).await.expect("decided");
            let Verdict::Admitted(call) = &decisions[0].verdict else { panic!("{:?}", decisions[0].verdict) };
            keep_answer(&db, call.request_id, b"an answer").await.expect("kept");
            assert_eq!(kept_answer(&db, call.request_id).await.expect("asked"), Err(SentBefore::Running));
            if last == "settled" {
                fixtures::settle(&db, call, Used { input: 10, cached: 0, output: 5 }, Utc::now()).await;
            } else {
                sqlx::query!("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
                assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
            }
            assert_eq!(kept_answer(&db, call.request_id).await.expect("asked"), given, "{last}");
        }
        assert!(audit(&db, None).await.expect("an audit").differences.is_empty());
    }
}
