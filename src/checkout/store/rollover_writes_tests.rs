//! Tests of what is done to a wallet while a grant of it has ended, rolls over to a queued purchase, and was not swept yet. All of it comes
//! to what it would after the sweep.

use super::*;
use crate::ids::GrantId;
use crate::notices::store::{save_settings, tell_all};
use crate::notices::types::NoticeSettings;
use crate::operators::credit::OperatorError;
use crate::operators::moves::{take_back, transfer};
use crate::wallet::ledger::LedgerError;

impl Shop {
    /// The first of two purchases has ended, and the other has begun.
    async fn ended(db: &PgPool) -> (Shop, OrderId, OrderId) {
        let shop = Shop::open(db, "ada").await;
        let (first, queued) = (shop.buy(Start::Now).await, shop.buy(Start::AfterCurrent).await);
        shop.month_passes().await;
        assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (WHOLE, WHOLE, 0));
        (shop, first, queued)
    }

    async fn grant_of(&self, order_id: OrderId) -> GrantId {
        let grant_id = sqlx::query_scalar("SELECT grant_id FROM grants WHERE order_id = $1").bind(order_id.0);
        GrantId(grant_id.fetch_one(&self.db).await.expect("a grant"))
    }
}

#[sqlx::test]
async fn a_transfer_gives_what_rolls_over_too(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    let (ada, bob) = (shop.ada.account_id(), member(&db, "bob@example.com").await.account_id());
    let refused = transfer(&db, Operator::command_line(), ada, bob, Tokens(2 * WHOLE + 1), None).await;
    assert!(matches!(refused, Err(OperatorError::Ledger(LedgerError::NotEnoughLeft))), "{refused:?}");
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (WHOLE, WHOLE, 0), "nothing of it was done");
    let given = transfer(&db, Operator::command_line(), ada, bob, Tokens(2 * WHOLE - 1), None).await.expect("given");
    assert_eq!((given.len(), shop.left(first).await, shop.left(queued).await, shop.moves().await), (1, 0, 1, 2));
    assert_eq!(shop.standing().await, (1, 0));
    assert_eq!(standing_of(&db, bob).await.expect("a standing").balance, Tokens(2 * WHOLE - 1));
}

#[sqlx::test]
async fn what_rolls_over_is_taken_back_from_where_it_goes(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    let (ended, next) = (shop.grant_of(first).await, shop.grant_of(queued).await);
    let refused = take_back(&db, Operator::command_line(), ended, Tokens(1), None).await;
    assert!(matches!(refused, Err(OperatorError::Ledger(LedgerError::NotEnoughLeft))), "{refused:?}");
    take_back(&db, Operator::command_line(), next, Tokens(2 * WHOLE - 1), None).await.expect("taken back");
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 1, 1));
    assert_eq!(shop.standing().await, (1, 2 * WHOLE - 1));
}

#[sqlx::test]
async fn a_purchase_that_begins_at_once_takes_over_what_rolls_over_to_one_before(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    let third = shop.buy(Start::Now).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.left(third).await), (0, 0, 3 * WHOLE));
    assert_eq!(shop.standing().await, (3 * WHOLE, 0));
}

#[sqlx::test]
async fn a_purchase_is_queued_after_one_that_has_only_what_rolls_over_to_it(db: PgPool) {
    let (shop, first, queued, secret) = Shop::bought_ahead(&db, true).await;
    shop.month_passes().await;
    // The queued one pays for just this, so nothing moves.
    let call = fixtures::admit(&db, &secret, "acme/m", 999_960, 20).await;
    fixtures::settle(&db, &call, Used { input: 999_960, cached: 0, output: 20 }, Utc::now()).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (WHOLE, 0, 0));
    let third = shop.buy(Start::AfterCurrent).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.left(third).await), (0, WHOLE, WHOLE));
    let sql = "SELECT t.starts_at = q.expires_at FROM grants t, grants q WHERE t.order_id = $1 AND q.order_id = $2";
    let follows: bool = sqlx::query_scalar(sql).bind(third.0).bind(queued.0).fetch_one(&db).await.expect("both");
    assert!(follows);
    assert_eq!(shop.standing().await, (WHOLE, 0));
}

#[sqlx::test]
async fn money_goes_back_for_what_rolls_over(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    let before = shop.entries().await;
    let offer = shop.offer(first).await;
    assert_eq!((offer.tokens, offer.amount.minor), (Tokens(WHOLE), 500));
    assert_eq!(shop.entries().await, before, "what is only looked at stays where it is");
    assert_eq!(shop.give_back(first).await, (WHOLE, 500));
    assert_eq!((shop.standing().await, shop.left(queued).await), ((WHOLE, WHOLE), WHOLE));
}

#[sqlx::test]
async fn a_refund_by_an_operator_takes_what_rolls_over(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    assert_eq!(shop.refund(first).await.tokens, Tokens(WHOLE));
    assert_eq!((shop.standing().await, shop.left(queued).await), ((WHOLE, WHOLE), WHOLE));
}

#[sqlx::test]
async fn a_dispute_of_the_ended_purchase_freezes_what_rolls_over(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    shop.dispute(first, "needs_response").await;
    assert_eq!((shop.standing().await, shop.left(first).await, shop.left(queued).await), ((WHOLE, 0), WHOLE, WHOLE));
    shop.dispute(first, "won").await;
    assert_eq!(shop.standing().await, (2 * WHOLE, 0));
}

#[sqlx::test]
async fn a_dispute_of_the_queued_purchase_leaves_what_rolls_over(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    shop.dispute(queued, "needs_response").await;
    assert_eq!((shop.standing().await, shop.left(first).await, shop.left(queued).await), ((WHOLE, 0), WHOLE, WHOLE));
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 0, "it has the time of the queued one");
    shop.dispute(queued, "lost").await;
    assert_eq!((shop.standing().await, shop.left(first).await), ((WHOLE, WHOLE), WHOLE));
}

#[sqlx::test]
async fn transfers_and_sweeps_at_once_move_what_rolls_over_once(db: PgPool) {
    let (shop, first, queued) = Shop::ended(&db).await;
    let (ada, bob) = (shop.ada.account_id(), member(&db, "bob@example.com").await.account_id());
    let gifts = join_all((0..8).map(|_| transfer(&db, Operator::command_line(), ada, bob, Tokens(WHOLE / 4), None)));
    let sweeps = join_all((0..2).map(|_| sweep_expired_grants(&db, 10)));
    let (gifts, sweeps) = join(gifts, sweeps).await;
    assert!(gifts.iter().all(Result::is_ok), "{gifts:?}");
    let visited: i32 = sweeps.into_iter().map(|sweep| sweep.expect("swept")).sum();
    assert!(visited <= 1, "{visited} sweeps of one grant");
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 0, 1 + 8));
    assert_eq!(shop.standing().await, (0, 0));
}

#[sqlx::test]
async fn nobody_is_told_of_a_low_balance_before_what_rolls_over_is_there(db: PgPool) {
    let (shop, ..) = Shop::ended(&db).await;
    let wanted = NoticeSettings { balance_below: Some(Tokens(WHOLE + 1)), ..NoticeSettings::default() };
    save_settings(&db, &shop.ada, wanted).await.expect("saved");
    let told = async || tell_all(&db, &outbox(), 10).await.expect("told");
    assert_eq!(told().await, 0, "the balance is about to be higher");
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 1);
    assert_eq!(told().await, 0, "it is");
    // The other ends as well, and nothing takes over what is left.
    shop.month_passes().await;
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 1);
    assert_eq!((told().await, told().await), (1, 0));
}
