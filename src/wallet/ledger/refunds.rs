//! What refunds and disputes do to the very grant of their order: Tokens leave it, come back when the refund failed, or stay where
//! nobody can spend them. The time of a frozen grant stands still: what was not over when it was frozen is not over. What rolled over to
//! other grants, or from others into this one, is told apart in `rolled`.

use super::rolled::{gather_in, whereabouts};
use super::{LedgerError, lock_accounts_in};
use crate::ids::{AccountId, GrantId, OrderId, RefundId};
use crate::tokens::Tokens;
use sqlx::PgConnection;

/// The grant that an order brought, with its account locked.
#[derive(Clone, Debug)]
pub struct OrderedGrant {
    pub grant_id: GrantId,
    pub order_id: OrderId,
    pub account_id: AccountId,
    /// What of the order's Tokens can go back: neither spent nor held, and their time is not over. They may have rolled over to another
    /// grant; what rolled over from others into this one is not among them.
    pub left: Tokens,
    /// What running calls hold.
    pub held: Tokens,
}

impl OrderedGrant {
    /// What the order's price is spread over: what was bought, wherever it went since.
    pub fn whole(&self, bought: Tokens) -> Tokens {
        self.left.max(bought)
    }
}

/// Locks the account, then reads the grant.
pub async fn grant_of_order_in(tx: &mut PgConnection, order_id: OrderId) -> Result<OrderedGrant, LedgerError> {
    let account_id = sqlx::query_scalar!("SELECT account_id FROM grants WHERE order_id = $1", order_id.0).fetch_optional(&mut *tx).await?;
    let account_id = account_id.map(AccountId).ok_or(LedgerError::NoGrant)?;
    lock_accounts_in(tx, &[account_id]).await?;
    let row = sqlx::query!(
        r#"SELECT grant_id, held, CASE WHEN expires_at > least(clock_timestamp(), frozen_at) THEN left_ ELSE 0 END AS "left!"
             FROM grants WHERE order_id = $1"#,
        order_id.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let left = whereabouts(tx, order_id).await?.left_of(row.left);
    Ok(OrderedGrant { grant_id: GrantId(row.grant_id), order_id, account_id, left, held: Tokens(row.held) })
}

/// Takes so many of the order's Tokens, as far as they are left, out of its grant, into which they come back for it. Returns how many.
pub async fn take_refunded_in(
    tx: &mut PgConnection,
    grant: &OrderedGrant,
    order_id: OrderId,
    refund_id: Option<RefundId>,
    most: Tokens,
) -> Result<Tokens, LedgerError> {
    let most = gather_in(tx, grant, most).await?.min(most);
    let taken = sqlx::query_scalar!(
        r#"UPDATE grants g SET left_ = g.left_ - t.tokens, refunded = g.refunded + t.tokens
             FROM (SELECT grant_id, least(left_, $2) AS tokens FROM grants
                    WHERE grant_id = $1 AND expires_at > least(clock_timestamp(), frozen_at)) t
            WHERE g.grant_id = t.grant_id AND t.tokens > 0 RETURNING t.tokens AS "tokens!""#,
        grant.grant_id.0,
        most.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(taken) = taken else { return Ok(Tokens(0)) };
    sqlx::query!(
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, order_id, refund_id)
         VALUES ($1, $2, 'grant', 'refunded', $3, $4, $5)",
        grant.account_id.0,
        grant.grant_id.0,
        taken,
        order_id.0,
        refund_id.map(|id| id.0)
    )
    .execute(tx)
    .await?;
    Ok(Tokens(taken))
}

/// Puts back all that a refund took: no money moved. The sweep takes care of what has expired meanwhile.
pub async fn return_refunded_in(tx: &mut PgConnection, grant: &OrderedGrant, refund_id: RefundId) -> Result<(), LedgerError> {
    let taken = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(tokens), 0)::bigint AS "taken!" FROM ledger WHERE refund_id = $1 AND to_book = 'refunded'"#,
        refund_id.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if taken == 0 {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE grants SET left_ = left_ + $2, refunded = refunded - $2, swept_at = CASE WHEN frozen_at IS NOT NULL THEN swept_at END
          WHERE grant_id = $1",
        grant.grant_id.0,
        taken
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, order_id, refund_id)
         VALUES ($1, $2, 'refunded', 'grant', $3, $4, $5)",
        grant.account_id.0,
        grant.grant_id.0,
        taken,
        grant.order_id.0,
        refund_id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes the grant out of the burn order: no call admitted from now on draws on it. Its account is locked.
pub async fn freeze_in(tx: &mut PgConnection, grant_id: GrantId) -> Result<(), LedgerError> {
    sqlx::query!(
        "UPDATE grants SET frozen_at = clock_timestamp(), swept_at = coalesce(swept_at, clock_timestamp())
          WHERE grant_id = $1 AND frozen_at IS NULL",
        grant_id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Puts it back in its place, with the time that it could not be spent, in full hours so that none of it is lost: none, if the clock was
/// set back behind its frost. If its time had been over before, the sweep finds it there.
pub async fn thaw_in(tx: &mut PgConnection, grant_id: GrantId) -> Result<(), LedgerError> {
    sqlx::query!(
        "UPDATE grants SET frozen_at = NULL, swept_at = NULL,
                           expires_at = CASE WHEN expires_at > frozen_at AND starts_at < clock_timestamp()
                               THEN expires_at + interval '1 hour' * greatest(0,
                                    floor(extract(epoch FROM clock_timestamp() - greatest(frozen_at, starts_at)) / 3600) + 1)::float8
                               ELSE expires_at END
          WHERE grant_id = $1 AND frozen_at IS NOT NULL",
        grant_id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Books what is left of a grant whose time was over when it was frozen, as the sweep would.
pub async fn expire_frozen_in(tx: &mut PgConnection, grant: &OrderedGrant) -> Result<(), LedgerError> {
    sqlx::query!(
        "WITH late AS (SELECT grant_id, left_ AS tokens FROM grants WHERE grant_id = $1 AND expires_at <= frozen_at AND left_ > 0),
              ended AS (UPDATE grants g SET left_ = 0, expired = g.expired + late.tokens FROM late WHERE g.grant_id = late.grant_id)
         INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens)
         SELECT $2, late.grant_id, 'grant', 'expired', late.tokens FROM late",
        grant.grant_id.0,
        grant.account_id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}
