//! Tests of a queued purchase whose payment is disputed when the one before it ends: it takes nothing over until the bank decides.

use super::*;

/// The queued purchase is disputed, and then the first one ends.
async fn disputed(db: &PgPool) -> (Shop, OrderId, OrderId, KeySecret) {
    let (shop, first, queued, secret) = Shop::bought_ahead(db, true).await;
    shop.dispute(queued, "needs_response").await;
    shop.month_passes().await;
    let before = shop.entries().await;
    assert!(matches!(fixtures::try_admit(db, &secret, "acme/m", 10, 20).await, Verdict::BalanceExhausted));
    assert_eq!(sweep_expired_grants(db, 10).await.expect("swept"), 0, "it waits");
    assert_eq!((shop.standing().await, shop.left(first).await, shop.entries().await), ((0, 0), WHOLE, before));
    (shop, first, queued, secret)
}

#[sqlx::test]
async fn a_dispute_that_is_won_takes_over_what_ended_meanwhile(db: PgPool) {
    let (shop, first, queued, secret) = disputed(&db).await;
    shop.dispute(queued, "won").await;
    // Before the sweep, too, for whoever needs it.
    fixtures::admit(&db, &secret, "acme/m", 1_500_000, 20).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 499_960, 1));
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 0, "there is nothing left to do");
    assert_eq!(shop.standing().await, (499_960, 0));
}

#[sqlx::test]
async fn what_ended_while_a_dispute_that_is_lost_was_open_expires_then(db: PgPool) {
    let (shop, first, queued, _) = disputed(&db).await;
    shop.dispute(queued, "lost").await;
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 1);
    assert_eq!((shop.standing().await, shop.left(first).await, shop.left(queued).await), ((0, WHOLE), 0, 0));
    let expired = sqlx::query_scalar::<_, i64>("SELECT sum(tokens)::bigint FROM ledger WHERE to_book = 'expired'");
    assert_eq!(expired.fetch_one(&db).await.expect("a sum"), WHOLE);
}

/// It was queued before the first ended, too, and nobody disputes it.
#[sqlx::test]
async fn another_purchase_that_is_queued_takes_over_at_once(db: PgPool) {
    let (shop, first, queued, _) = Shop::bought_ahead(&db, true).await;
    let third = shop.buy(Start::AfterCurrent).await;
    shop.dispute(queued, "needs_response").await;
    shop.month_passes().await;
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 1);
    assert_eq!((shop.left(first).await, shop.left(third).await), (0, 2 * WHOLE));
    shop.dispute(queued, "won").await;
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 0);
    // The third begins when the second ends.
    assert_eq!((shop.left(queued).await, shop.standing().await), (WHOLE, (WHOLE, 0)));
}
