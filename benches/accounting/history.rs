//! Accounts, and years of their calls in one INSERT … SELECT a table: what an old database holds, adding up as the audit wants it. A test
//! writes them too, so that they keep up with the schema.

use sqlx::{AssertSqlSafe, PgPool};

/// Who made the calls of the past, and on how many grants each.
pub struct Past {
    whose: &'static str,
    grants: i64,
}

/// The first account, which has bought for years.
pub const OLD: Past = Past { whose: "a.name = 'account 1'", grants: 380 };
pub const OTHERS: Past = Past { whose: "a.name <> 'account 1'", grants: 1 };

/// Tokens of a past call.
const CHARGE: i64 = 30;

/// Makes a supplier, a model, and accounts with a key and a grant each.
pub async fn accounts(db: &PgPool, accounts: usize) -> sqlx::Result<()> {
    let mut session = db.acquire().await?;
    let statements = include_str!("accounts.sql").replace("$accounts", &accounts.to_string());
    for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_string())).execute(&mut *session).await?;
    }
    Ok(())
}

/// Gives the old account 619 grants more: 600 that expired with Tokens left and were swept, 19 to spend.
pub async fn old_grants(db: &PgPool) -> sqlx::Result<()> {
    for statement in [
        "WITH made AS (
             INSERT INTO grants (grant_id, account_id, source, action_id, tokens, left_, expired, starts_at, created_at, expires_at, swept_at)
             SELECT gen_random_uuid(), account_id, 'credit', action_id, 1000000, 0, 1000000, now() - interval '200 days',
                    now() - interval '200 days', now() - interval '1 day', now()
               FROM accounts, operator_actions, generate_series(1, 600) WHERE name = 'account 1'
             RETURNING *)
         INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, action_id, at)
         SELECT account_id, grant_id, 'issued', 'grant', tokens, action_id, starts_at FROM made
          UNION ALL SELECT account_id, grant_id, 'grant', 'expired', tokens, NULL, expires_at FROM made",
        "WITH made AS (
             INSERT INTO grants (grant_id, account_id, source, action_id, tokens, left_, expires_at)
             SELECT gen_random_uuid(), account_id, 'credit', action_id, 1000000000000, 1000000000000, now() + n * interval '1 year'
               FROM accounts, operator_actions, generate_series(2, 20) n WHERE name = 'account 1'
             RETURNING *)
         INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, action_id)
         SELECT account_id, grant_id, 'issued', 'grant', tokens, action_id FROM made",
    ] {
        sqlx::query(statement).execute(db).await?;
    }
    Ok(())
}

/// Usage records over the last 90 days, oldest first, with their ledger rows, what their keys spent, and the grants that paid for
/// them in turn: used up, but not expired.
pub async fn records(db: &PgPool, past: &Past, records: i64) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    for statement in [
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL work_mem = '64MB'",
        "CREATE TEMP TABLE payers (n bigint, account_id uuid, key_id uuid, grant_id uuid, calls bigint) ON COMMIT DROP",
        "CREATE TEMP TABLE past (request_id uuid, n bigint, at timestamptz) ON COMMIT DROP",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    let payers = format!(
        "INSERT INTO payers
         SELECT n, account_id, key_id, gen_random_uuid(), ($2 - n + count(*) OVER () - 1) / count(*) OVER ()
           FROM (SELECT row_number() OVER () - 1 AS n, k.account_id, k.key_id
                   FROM api_keys k JOIN accounts a USING (account_id), generate_series(1, $1)
                  WHERE {}) numbered",
        past.whose
    );
    sqlx::query(AssertSqlSafe(payers)).bind(past.grants).bind(records).execute(&mut *tx).await?;
    // UUIDv7 of their time, as RequestId makes them: new calls then go to the end of the index, not into its middle.
    sqlx::query(
        "INSERT INTO past
         SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(gen_random_uuid()::text, 16, 3)
                 || substr(replace(gen_random_uuid()::text, '-', ''), 17))::uuid, i % (SELECT count(*) FROM payers), at
           FROM (SELECT i, now() - interval '90 days' + i * (interval '90 days' / $1) AS at FROM generate_series(0, $1 - 1) i) times",
    )
    .bind(records)
    .execute(&mut *tx)
    .await?;
    sqlx::query("ANALYZE payers, past").execute(&mut *tx).await?;
    // A CHECK refuses a grant without Tokens: those that paid for no call are left out.
    for statement in [
        "INSERT INTO grants (grant_id, account_id, source, action_id, tokens, left_, spent, starts_at, created_at, expires_at)
         SELECT grant_id, account_id, 'credit', action_id, calls * $1, 0, calls * $1, now() - interval '90 days', now() - interval '90 days',
                now() + interval '90 days'
           FROM payers, operator_actions WHERE calls > 0",
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, action_id, at)
         SELECT account_id, grant_id, 'issued', 'grant', calls * $1, action_id, now() - interval '90 days'
           FROM payers, operator_actions WHERE calls > 0",
        "INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, outcome, basis,
                                    http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off, upstream_usage,
                                    started_at, first_byte_ms, latency_ms, recorded_at)
         SELECT past.request_id, account_id, key_id, model_id, supplier_id, price_version, 'chat/completions', false, 'ok', 'measured',
                200, 10, 0, $1 - 10, 2 * $1, $1, 0, '{\"prompt_tokens\": 10, \"completion_tokens\": 20, \"total_tokens\": 30}', at, 20, 100, at
           FROM past JOIN payers USING (n), models ORDER BY at",
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
         SELECT account_id, grant_id, 'grant', 'spent', $1, request_id, at FROM past JOIN payers USING (n) ORDER BY at",
        "UPDATE api_keys k SET spent = spent + $1 * calls
           FROM (SELECT key_id, sum(calls)::bigint AS calls FROM payers GROUP BY key_id) p WHERE k.key_id = p.key_id",
    ] {
        sqlx::query(statement).bind(CHARGE).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// What autovacuum and the checkpointer would do in the minutes after, so that they do not do it during a measurement.
pub async fn settle_down(db: &PgPool) -> sqlx::Result<()> {
    let mut session = db.acquire().await?;
    for statement in ["SET statement_timeout = 0", "VACUUM ANALYZE", "CHECKPOINT", "RESET statement_timeout"] {
        sqlx::query(statement).execute(&mut *session).await?;
    }
    Ok(())
}

pub async fn ledger_rows(db: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(db).await
}

/// The least that any recount must do.
pub async fn read_once(db: &PgPool) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    sqlx::query("SELECT (SELECT sum(tokens) FROM ledger), (SELECT sum(charge) FROM usage_records)").execute(&mut *tx).await?;
    tx.rollback().await
}
