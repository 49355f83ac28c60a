//! What is remembered of calls that were sent under an Idempotency-Key; `admit_groups()` writes their rows and reads them.

use super::{LedgerError, SentBefore};
use crate::ids::RequestId;
use sqlx::{PgExecutor, PgPool};

/// Keeps the answer of a call, if it was sent under a key. Before it is settled, so that from its settlement on there is one; the
/// settlement is behind it in the log, and carries it to the disk. False where more than `most` bytes would be kept of the API key; of
/// answers that are kept at the same moment each may be the last.
pub async fn keep_answer(db: impl PgExecutor<'_>, request_id: RequestId, answer: &[u8], most: i64) -> Result<bool, LedgerError> {
    let kept = sqlx::query!(
        "WITH room AS (
             INSERT INTO kept_answers AS k (key_id, hour, bytes)
             SELECT i.key_id, date_trunc('hour', i.created_at, 'UTC'), octet_length($2::bytea)
               FROM (SELECT set_config('synchronous_commit', 'off', true)) AS commit, idempotent_calls i
              WHERE i.request_id = $1
                AND octet_length($2::bytea) + (
                    SELECT coalesce(sum(o.bytes), 0) FROM kept_answers o
                     WHERE o.key_id = i.key_id AND o.hour > now() - interval '25 hours') <= $3::bigint
             ON CONFLICT ON CONSTRAINT kept_answers_pkey DO UPDATE SET bytes = k.bytes + excluded.bytes
             RETURNING k.key_id)
         UPDATE idempotent_calls i SET answer = $2::bytea FROM room r WHERE i.request_id = $1 AND i.key_id = r.key_id",
        request_id.0,
        answer,
        most
    );
    Ok(kept.execute(db).await?.rows_affected() > 0)
}

/// The answer that was kept of a call, or why nobody gets one: a call that is not settled has not been paid for, and what was
/// interrupted never will be. A settlement is seen before it is on the disk, where it must be before its answer is given.
pub async fn kept_answer(db: impl PgExecutor<'_>, request_id: RequestId) -> Result<Result<Vec<u8>, SentBefore>, LedgerError> {
    let call = sqlx::query!(
        r#"SELECT i.answer, EXISTS (SELECT 1 FROM holds h WHERE h.request_id = i.request_id) AS "running!",
                  EXISTS (SELECT 1 FROM usage_records u
                           WHERE u.key_id = i.key_id AND u.request_id = i.request_id AND u.outcome <> 'interrupted') AS "settled!"
             FROM idempotent_calls i, wait_for_disk() WHERE i.request_id = $1"#,
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
    sqlx::query!("DELETE FROM kept_answers WHERE hour <= now() - interval '25 hours'").execute(db).await?;
    Ok(gone.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ReplicaId;
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
            assert!(keep_answer(&db, call.request_id, b"an answer", 1_000).await.expect("asked"));
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

    #[sqlx::test]
    async fn of_one_key_so_much_is_kept_in_a_day(db: PgPool) {
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        let ada = fixtures::member(&db, "ada").await;
        fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(30)).await;
        let (_, bot) = fixtures::key(&db, &ada, fixtures::plain_key("bot")).await;
        let (_, other) = fixtures::key(&db, &ada, fixtures::plain_key("other")).await;
        let owner = fixtures::replica(&db).await;
        let keep = async |secret, number: u8| {
            let idempotency = Some(Idempotency { key_hash: [number; 32], fingerprint: [0; 32] });
            let request = AdmissionRequest { idempotency, ..fixtures::request(secret, "acme/m", 10, 5) };
            let decisions = admit_calls(&db, &[request], owner, TimeDelta::seconds(60), false).await.expect("decided");
            let Verdict::Admitted(call) = &decisions[0].verdict else { panic!("{:?}", decisions[0].verdict) };
            keep_answer(&db, call.request_id, b"ten bytes.", 25).await.expect("asked")
        };
        assert_eq!([keep(&bot, 1).await, keep(&bot, 2).await, keep(&bot, 3).await], [true, true, false]);
        assert!(keep(&other, 1).await, "another key has room of its own");
        let hours = "SELECT count(*) FROM kept_answers WHERE hour > now() - interval '25 hours'";
        for (pass, kept) in [("23 hours", false), ("2 hours", true)] {
            let passed = sqlx::query("UPDATE kept_answers SET hour = hour - $1::text::interval").bind(pass).execute(&db).await;
            passed.expect("passed");
            assert_eq!(keep(&bot, pass.len() as u8).await, kept, "{pass}");
        }
        forget_old_idempotent_calls(&db).await.expect("forgotten");
        let [all, new]: [i64; 2] = [
            sqlx::query_scalar("SELECT count(*) FROM kept_answers").fetch_one(&db).await.expect("a number"),
            sqlx::query_scalar(hours).fetch_one(&db).await.expect("a number"),
        ];
        assert_eq!((all, new), (1, 1));
    }

    /// A replica, and what it asks for: the same call each time, under the same key and another id.
    async fn asked(db: &PgPool) -> (ReplicaId, impl Fn() -> AdmissionRequest) {
        let supplier_id = fixtures::supplier(db, "acme").await;
        fixtures::model(db, "acme/m", supplier_id).await;
        let ada = fixtures::member(db, "ada").await;
        fixtures::credit(db, ada.account_id(), 100, TimeDelta::days(30)).await;
        let (_, secret) = fixtures::key(db, &ada, fixtures::plain_key("bot")).await;
        let idempotency = Some(Idempotency { key_hash: [1; 32], fingerprint: [0; 32] });
        (fixtures::replica(db).await, move || AdmissionRequest { idempotency, ..fixtures::request(&secret, "acme/m", 10, 5) })
    }

    async fn decide(db: &PgPool, request: AdmissionRequest, owner: ReplicaId, again: bool) -> Verdict {
        let decisions = admit_calls(db, &[request], owner, TimeDelta::seconds(60), again).await.expect("decided");
        decisions.into_iter().next().expect("a decision").verdict
    }

    /// The supplier never heard of it, so it is not in the way of another.
    #[sqlx::test]
    async fn a_call_that_is_refused_when_it_is_asked_again_leaves_its_key_free(db: PgPool) {
        let (owner, request) = asked(&db).await;
        let lost = request();
        assert!(matches!(decide(&db, lost.clone(), owner, false).await, Verdict::Admitted(_)));
        sqlx::raw_sql("UPDATE api_keys SET status = 'disabled'").execute(&db).await.expect("disabled");
        assert!(matches!(decide(&db, lost, owner, true).await, Verdict::KeyDisabled));
        sqlx::raw_sql("UPDATE api_keys SET status = 'enabled'").execute(&db).await.expect("enabled");
        let verdict = decide(&db, request(), owner, false).await;
        assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
        assert!(audit(&db, None).await.expect("an audit").differences.is_empty());
    }

    #[sqlx::test]
    async fn an_answer_is_given_again_once_its_settlement_is_on_the_disk(db: PgPool) {
        let (owner, request) = asked(&db).await;
        let Verdict::Admitted(call) = decide(&db, request(), owner, false).await else { panic!("not admitted") };
        assert!(keep_answer(&db, call.request_id, b"an answer", 1_000).await.expect("asked"));
        // What others see after the first commit of a settlement.
        let mut session = db.acquire().await.expect("a connection");
        sqlx::raw_sql("SET synchronous_commit = off").execute(&mut *session).await.expect("no wait");
        let report = [fixtures::settlement(&call, Used { input: 10, cached: 0, output: 5 }, Utc::now())];
        sqlx::query("SELECT settle_calls($1)").bind(&report[..]).execute(&mut *session).await.expect("settled");
        let end: String = sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(&mut *session).await.expect("a place");
        assert_eq!(kept_answer(&db, call.request_id).await.expect("asked"), Ok(b"an answer".to_vec()));
        let on_disk = sqlx::query_scalar::<_, bool>("SELECT pg_current_wal_flush_lsn() > $1::pg_lsn").bind(end).fetch_one(&db).await;
        assert!(on_disk.expect("a comparison"));
    }
}
