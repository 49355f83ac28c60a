//! Whether holds end. The reaper settles what is past its deadline within seconds; what stays is nobody's, and keeps Tokens from being
//! spent.

use super::{Account, Difference, Found};
use sqlx::{PgConnection, PgPool};

/// A hold is extended by the replica that runs its call, or reaped. Ten minutes are more than a reaper waits for anything.
pub(super) async fn overdue_holds(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'hold ' || h.request_id AS "subject!", 'minutes past its deadline' AS "what!", 0::bigint AS "expected!",
                  floor(extract(epoch FROM now() - h.deadline) / 60)::bigint AS "found!"
             FROM holds h
            WHERE h.deadline < now() - interval '10 minutes' AND ($1::uuid IS NULL OR h.account_id = $1)
            ORDER BY h.request_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// How many holds are so long past their deadline that no reaper gets at them.
pub async fn holds_left_over(db: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "overdue!" FROM holds WHERE deadline < now() - interval '10 minutes'"#).fetch_one(db).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::audit::audit;
    use crate::wallet::fixtures;
    use chrono::TimeDelta;

    #[sqlx::test]
    async fn a_hold_that_is_left_over_is_found(db: PgPool) {
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        let ada = fixtures::member(&db, "ada").await;
        fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(30)).await;
        let (_, secret) = fixtures::key(&db, &ada, fixtures::plain_key("bot")).await;
        let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
        sqlx::query("UPDATE holds SET deadline = now() - interval '9 minutes'").execute(&db).await.expect("late");
        assert_eq!(audit(&db, None).await.expect("audit").differences, [], "a reaper may be slow");
        assert_eq!(holds_left_over(&db).await.expect("counted"), 0);
        sqlx::query("UPDATE holds SET deadline = now() - interval '75 minutes 20 seconds'").execute(&db).await.expect("late");
        let found =
            Difference { subject: format!("hold {}", call.request_id), what: "minutes past its deadline".into(), expected: 0, found: 75 };
        for account in [None, Some(ada.account_id())] {
            assert_eq!(audit(&db, account).await.expect("audit").differences, std::slice::from_ref(&found));
        }
        assert_eq!(holds_left_over(&db).await.expect("counted"), 1);
    }
}
