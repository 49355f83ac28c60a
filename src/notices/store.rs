//! SQL about notices: who wants which, from which browsers users have signed in, and what they are to be told.
//!
//! That somebody was told is a row, written with the letter in one transaction, so that nobody is told twice, whichever replicas look at
//! the same time.

use crate::accounts::rights::{Origin, Reader};
use crate::accounts::types::Email;
use crate::error::{ConsoleError, unavailable};
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_of_user_in};
use crate::journal::types::Kind;
use crate::mail::outbox::{Outbox, OutboxError};
use crate::notices::letters;
use crate::notices::types::NoticeSettings;
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// For how long a browser is known that nobody signs in from any more, and it is known that somebody was told.
const KNOWN_DAYS: i32 = 400;
const TOLD_DAYS: i32 = 30;

#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    #[error("a notice could not be posted")]
    Outbox(#[from] OutboxError),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

impl From<NoticeError> for ConsoleError {
    fn from(error: NoticeError) -> ConsoleError {
        match error {
            NoticeError::Db(error) | NoticeError::Outbox(OutboxError::Db(error)) => unavailable(&error),
            NoticeError::Outbox(OutboxError::Sealing) => ConsoleError::Internal,
        }
    }
}

/// What somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Balance {
        left: Tokens,
        below: Tokens,
    },
    /// `soon`: within a day; else within a week.
    Expires {
        left: Tokens,
        at: DateTime<Utc>,
        soon: bool,
    },
    Quota {
        key: String,
        left: Tokens,
        quota: Tokens,
        period: bool,
    },
}

impl What {
    pub fn kind(&self) -> &'static str {
        match self {
            What::Balance { .. } => "balance",
            What::Expires { soon: false, .. } => "expires_week",
            What::Expires { soon: true, .. } => "expires_day",
            What::Quota { period: false, .. } => "key_quota",
            What::Quota { period: true, .. } => "key_period",
        }
    }
}

/// A notice that is yet to be written.
#[derive(Clone, Debug)]
pub struct Due {
    pub user_id: UserId,
    pub email: String,
    /// The account's name.
    pub account: String,
    pub subject_id: Uuid,
    pub what: What,
}

pub async fn settings_of(db: impl PgExecutor<'_>, reader: &Reader) -> Result<NoticeSettings, NoticeError> {
    let row =
        sqlx::query!("SELECT new_device, expiring, key_quota, balance_below FROM notice_settings WHERE user_id = $1", reader.user_id().0);
    Ok(row.fetch_optional(db).await?.map_or_else(NoticeSettings::default, |row| NoticeSettings {
        new_device: row.new_device,
        expiring: row.expiring,
        key_quota: row.key_quota,
        balance_below: row.balance_below.map(Tokens),
    }))
}

/// Keeps what a user wants. Whoever sets another balance is told of that one, if it is below it already.
pub async fn save_settings(db: &PgPool, reader: &Reader, wanted: NoticeSettings) -> Result<(), NoticeError> {
    let NoticeSettings { new_device, expiring, key_quota, balance_below } = wanted;
    let mut tx = db.begin().await?;
    let below = balance_below.map(|tokens| tokens.0);
    sqlx::query!(
        "DELETE FROM notices n WHERE user_id = $1 AND kind = 'balance'
            AND NOT EXISTS (SELECT FROM notice_settings s WHERE s.user_id = n.user_id AND s.balance_below IS NOT DISTINCT FROM $2)",
        reader.user_id().0,
        below
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO notice_settings (user_id, new_device, expiring, key_quota, balance_below) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT notice_settings_pkey DO UPDATE SET
             new_device = excluded.new_device, expiring = excluded.expiring, key_quota = excluded.key_quota,
             balance_below = excluded.balance_below",
        reader.user_id().0,
        new_device,
        expiring,
        key_quota,
        below
    )
    .execute(&mut *tx)
    .await?;
    record_of_user_in(&mut tx, reader.user_id(), Actor::of(reader), Entry::of(Kind::NoticesChanged)).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets what was kept of a user, who is no longer one.
pub async fn forget_user_in(tx: &mut PgConnection, user_id: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM devices WHERE user_id = $1", user_id.0).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM notice_settings WHERE user_id = $1", user_id.0).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM notices WHERE user_id = $1", user_id.0).execute(tx).await?;
    Ok(())
}

/// Notes from which browser a user signs in, and tells them if they never did from that one. Their first is no news.
pub async fn note_device(
    db: &PgPool,
    outbox: &Outbox,
    user_id: UserId,
    device_hash: &[u8; 32],
    origin: &Origin,
) -> Result<(), NoticeError> {
    let mut tx = db.begin().await?;
    let known =
        sqlx::query!("UPDATE devices SET last_seen_at = now() WHERE user_id = $1 AND device_hash = $2", user_id.0, &device_hash[..]);
    if known.execute(&mut *tx).await?.rows_affected() == 0 {
        let told = sqlx::query!(
            r#"SELECT u.email, now() AS "now!",
                      EXISTS (SELECT FROM devices d WHERE d.user_id = u.user_id) AND coalesce(s.new_device, true) AS "told!"
                 FROM users u LEFT JOIN notice_settings s USING (user_id) WHERE u.user_id = $1"#,
            user_id.0
        )
        .fetch_one(&mut *tx)
        .await?;
        let insert = sqlx::query!(
            "INSERT INTO devices (user_id, device_hash) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT devices_pkey DO NOTHING",
            user_id.0,
            &device_hash[..]
        );
        let new = insert.execute(&mut *tx).await?.rows_affected() == 1;
        if let (true, true, Ok(email)) = (new, told.told, Email::parse(&told.email)) {
            outbox.post_in(&mut tx, &email, || letters::new_device(outbox, origin, told.now)).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Tells a user, unless they were told. Whether it did.
pub async fn tell(db: &PgPool, outbox: &Outbox, due: &Due) -> Result<bool, NoticeError> {
    let mut tx = db.begin().await?;
    let insert = sqlx::query!(
        "INSERT INTO notices (user_id, kind, subject_id) VALUES ($1, $2, $3) ON CONFLICT ON CONSTRAINT notices_pkey DO NOTHING",
        due.user_id.0,
        due.what.kind(),
        due.subject_id
    );
    let new = insert.execute(&mut *tx).await?.rows_affected() == 1;
    if let (true, Ok(email)) = (new, Email::parse(&due.email)) {
        outbox.post_in(&mut tx, &email, || letters::notice(outbox, &due.account, &due.what)).await?;
    }
    tx.commit().await?;
    Ok(new)
}

/// Owners and admins whose account has less than they set, and who do not know. What running calls hold is still there: else each large
/// call would cross the threshold, there and back. So may be what is left of a grant whose time is over, if it rolls over: an account that
/// has such a grant has its turn when the sweep was there.
pub async fn low_balances(db: &PgPool, most: i64) -> Result<Vec<Due>, NoticeError> {
    let rows = sqlx::query!(
        r#"SELECT u.user_id, u.email, a.account_id, a.name, s.balance_below AS "below!", b.balance AS "balance!"
             FROM notice_settings s
             JOIN users u ON u.user_id = s.user_id AND u.suspended_at IS NULL
             JOIN members m ON m.user_id = s.user_id AND m.role IN ('owner', 'admin')
             JOIN accounts a ON a.account_id = m.account_id AND a.suspended_at IS NULL
            CROSS JOIN LATERAL (
                  SELECT coalesce(sum(left_), 0)::bigint AS balance, coalesce(sum(left_ + held), 0) AS with_held FROM grants g
                   WHERE g.account_id = a.account_id AND swept_at IS NULL AND starts_at <= now() AND expires_at > now()) b
            WHERE s.balance_below IS NOT NULL AND b.with_held < s.balance_below
              AND NOT EXISTS (SELECT FROM notices n WHERE n.user_id = s.user_id AND n.kind = 'balance' AND n.subject_id = a.account_id)
              AND NOT EXISTS (SELECT FROM grants g JOIN orders o ON o.order_id = g.order_id AND o.rolls_over
                               WHERE g.account_id = a.account_id AND g.swept_at IS NULL AND g.left_ > 0 AND g.expires_at <= now())
            LIMIT $1"#,
        most
    );
    let due = |left, below| What::Balance { left: Tokens(left), below: Tokens(below) };
    let rows = rows.fetch_all(db).await?.into_iter().map(|row| Due {
        user_id: UserId(row.user_id),
        email: row.email,
        account: row.name,
        subject_id: row.account_id,
        what: due(row.balance, row.below),
    });
    Ok(rows.collect())
}

/// Grants with Tokens left that end within a week or a day, and whose owners and admins do not know. What lives no longer than that anyway
/// is not worth a letter.
pub async fn expiring_grants(db: &PgPool, most: i64) -> Result<Vec<Due>, NoticeError> {
    let rows = sqlx::query!(
        r#"SELECT u.user_id, u.email, a.name, g.grant_id, g.left_, g.expires_at, x.soon AS "soon!"
             FROM grants g
            CROSS JOIN LATERAL (SELECT g.expires_at <= now() + interval '1 day' AS soon) x
             JOIN accounts a ON a.account_id = g.account_id AND a.suspended_at IS NULL
             JOIN members m ON m.account_id = g.account_id AND m.role IN ('owner', 'admin')
             JOIN users u ON u.user_id = m.user_id AND u.suspended_at IS NULL
             LEFT JOIN notice_settings s ON s.user_id = u.user_id
            WHERE g.swept_at IS NULL AND g.expires_at > now() AND g.expires_at <= now() + interval '7 days'
              AND g.starts_at <= now() AND g.left_ > 0
              AND g.expires_at - g.starts_at > CASE WHEN x.soon THEN interval '1 day' ELSE interval '7 days' END
              AND coalesce(s.expiring, true)
              AND NOT EXISTS (
                  SELECT FROM notices n
                   WHERE n.user_id = u.user_id AND n.subject_id = g.grant_id
                     AND n.kind = CASE WHEN x.soon THEN 'expires_day' ELSE 'expires_week' END)
            ORDER BY g.expires_at LIMIT $1"#,
        most
    );
    let rows = rows.fetch_all(db).await?.into_iter().map(|row| Due {
        user_id: UserId(row.user_id),
        email: row.email,
        account: row.name,
        subject_id: row.grant_id,
        what: What::Expires { left: Tokens(row.left_), at: row.expires_at, soon: row.soon },
    });
    Ok(rows.collect())
}

/// Keys that work and have a tenth of their quota or less left, for ever or of this period; to owners, admins and whoever made them, who do
/// not know.
pub async fn keys_near_quota(db: &PgPool, most: i64) -> Result<Vec<Due>, NoticeError> {
    let rows = sqlx::query!(
        r#"SELECT u.user_id, u.email, a.name AS account, k.key_id, k.name, q.period AS "period!", q.quota AS "quota!", q.used AS "used!"
             FROM api_keys k
            CROSS JOIN LATERAL (
                  SELECT false AS period, k.quota AS quota, k.spent AS used WHERE k.quota > 0
                   UNION ALL
                  SELECT true, k.period_quota, used_of_period(k, now()) WHERE k.period_quota > 0) q
             JOIN accounts a ON a.account_id = k.account_id AND a.suspended_at IS NULL
             JOIN members m ON m.account_id = k.account_id AND (m.role IN ('owner', 'admin') OR m.user_id = k.created_by)
             JOIN users u ON u.user_id = m.user_id AND u.suspended_at IS NULL
             LEFT JOIN notice_settings s ON s.user_id = u.user_id
            WHERE k.deleted_at IS NULL AND (k.quota > 0 OR k.period_quota > 0) AND k.status = 'enabled'
              AND (k.expires_at IS NULL OR k.expires_at > now())
              AND (q.quota - q.used)::numeric * 10 <= q.quota
              AND coalesce(s.key_quota, true)
              AND NOT EXISTS (
                  SELECT FROM notices n
                   WHERE n.user_id = u.user_id AND n.subject_id = k.key_id
                     AND n.kind = CASE WHEN q.period THEN 'key_period' ELSE 'key_quota' END)
            LIMIT $1"#,
        most
    );
    let rows = rows.fetch_all(db).await?.into_iter().map(|row| {
        let (left, quota) = (Tokens((row.quota - row.used).max(0)), Tokens(row.quota));
        let what = What::Quota { key: row.name, left, quota, period: row.period };
        Due { user_id: UserId(row.user_id), email: row.email, account: row.account, subject_id: row.key_id, what }
    });
    Ok(rows.collect())
}

/// Forgets that somebody was told of what is over, so that they are told when it comes again.
pub async fn forget_what_is_over(db: &PgPool) -> Result<u64, NoticeError> {
    let balances = sqlx::query!(
        "DELETE FROM notices n USING notice_settings s
          WHERE n.kind = 'balance' AND s.user_id = n.user_id
            AND (s.balance_below IS NULL OR s.balance_below <= (
                 SELECT coalesce(sum(left_ + held), 0) FROM grants g
                  WHERE g.account_id = n.subject_id AND swept_at IS NULL AND starts_at <= now() AND expires_at > now()))"
    );
    let quotas = sqlx::query!(
        "DELETE FROM notices n USING api_keys k
          WHERE n.kind IN ('key_quota', 'key_period') AND k.key_id = n.subject_id
            AND (k.deleted_at IS NOT NULL
                 OR (n.kind = 'key_quota' AND (k.quota IS NULL OR (k.quota - k.spent)::numeric * 10 > k.quota))
                 OR (n.kind = 'key_period'
                     AND (k.period_quota IS NULL OR (k.period_quota - used_of_period(k, now()))::numeric * 10 > k.period_quota)))"
    );
    let grants = sqlx::query!(
        "DELETE FROM notices WHERE kind IN ('expires_week', 'expires_day') AND told_at < now() - make_interval(days => $1)",
        TOLD_DAYS
    );
    let devices = sqlx::query!("DELETE FROM devices WHERE last_seen_at < now() - make_interval(days => $1)", KNOWN_DAYS);
    let mut gone = 0;
    for statement in [balances, quotas, grants, devices] {
        gone += statement.execute(db).await?.rows_affected();
    }
    Ok(gone)
}

/// Looks for all that users are to be told, and tells them; how many letters there are of it.
pub async fn tell_all(db: &PgPool, outbox: &Outbox, most: i64) -> Result<i64, NoticeError> {
    forget_what_is_over(db).await?;
    let mut told = 0;
    for dues in [low_balances(db, most).await?, expiring_grants(db, most).await?, keys_near_quota(db, most).await?] {
        for due in dues {
            told += i64::from(tell(db, outbox, &due).await?);
        }
    }
    Ok(told)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
