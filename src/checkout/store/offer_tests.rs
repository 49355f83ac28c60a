//! Tests of buying again: when what is queued begins, what rolls over when, how often a package may be bought.

use super::*;
use crate::accounts::rights::Owner;
use crate::catalog::store::{PackageEdit, package_on_sale, update_package};
use crate::checkout::store::fixtures::{member, open_order, open_order_that_starts, package, pay, request};
use crate::checkout::store::{CheckoutError, cancel_unopened_order, place_order};
use crate::checkout::types::Start;
use crate::checkout::types_placing::OrderRequest;
use crate::operators::rights::Operator;
use crate::wallet::audit::audit;
use crate::wallet::ledger::sweep_expired_grants;
use crate::wallet::store::{balance_in, grants_of, totals_in};
use futures::future::join_all;

const MONTH_S: i64 = 2_592_000;

struct Shop {
    db: PgPool,
    ada: Owner,
    package_id: PackageId,
}

impl Shop {
    async fn open(db: PgPool) -> Shop {
        let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
        Shop { db, ada, package_id }
    }

    async fn edit(&self, edit: PackageEdit) {
        update_package(&self.db, Operator::command_line(), self.package_id, edit).await.expect("edited");
    }

    async fn rolls_over(self) -> Shop {
        self.edit(PackageEdit { rolls_over: Some(true), ..PackageEdit::default() }).await;
        self
    }

    /// Buys it.
    async fn buy(&self, starts: Start) -> OrderId {
        let order = open_order_that_starts(&self.db, &self.ada, self.package_id, starts).await;
        pay(&self.db, &order).await;
        order.0
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.db).await.expect(sql);
    }

    /// From when to when, of an order's grant.
    async fn validity(&self, order_id: OrderId) -> (DateTime<Utc>, DateTime<Utc>) {
        let row = sqlx::query!("SELECT starts_at, expires_at FROM grants WHERE order_id = $1", order_id.0);
        let row = row.fetch_one(&self.db).await.expect("a grant");
        (row.starts_at, row.expires_at)
    }

    async fn left(&self) -> Vec<i64> {
        sqlx::query_scalar!("SELECT left_ FROM grants ORDER BY created_at").fetch_all(&self.db).await.expect("grants")
    }

    /// A month, and a little.
    async fn month_passes(&self) {
        let sql = "UPDATE grants SET starts_at = starts_at - interval '31 days', expires_at = expires_at - interval '31 days',
                                     created_at = created_at - interval '31 days' WHERE swept_at IS NULL";
        self.execute(sql).await;
    }

    async fn facts(&self) -> OfferFacts {
        let card = package_on_sale(&self.db, self.package_id).await.expect("on sale");
        offer_facts(&self.db, &self.ada, Provider::Stripe, &card, None).await.expect("facts")
    }

    async fn assert_exact(&self) {
        let report = audit(&self.db, None).await.expect("audit");
        assert!(report.differences.is_empty(), "{:?}", report.differences);
    }
}

#[sqlx::test]
async fn what_is_queued_begins_where_the_last_of_it_ends_and_is_previewed_so(db: PgPool) {
    let shop = Shop::open(db).await;
    assert_eq!(shop.facts().await.if_queued, None, "nothing to follow");
    let mut end = shop.validity(shop.buy(Start::Now).await).await.1;
    for _ in 0..3 {
        let previewed = shop.facts().await.if_queued.expect("a preview");
        let (starts_at, expires_at) = shop.validity(shop.buy(Start::AfterCurrent).await).await;
        assert_eq!((starts_at, expires_at), (end, end + TimeDelta::seconds(MONTH_S)));
        assert_eq!(previewed, Validity { starts_at: starts_at.into(), expires_at: expires_at.into() });
        end = expires_at;
    }
    // Beside them, one may still begin at once.
    let (starts_at, expires_at) = shop.validity(shop.buy(Start::Now).await).await;
    assert!(starts_at < end - TimeDelta::seconds(3 * MONTH_S) && expires_at < end);
    shop.assert_exact().await;
}

/// An order is confirmed while something runs; this happens until its payment arrives; then there is nothing to wait for.
const OVERTAKEN: [(&str, &str); 4] = [
    ("it is used up", "UPDATE grants SET tokens = 0, left_ = 0"),
    ("it ends", "UPDATE grants SET starts_at = now() - interval '2 days', expires_at = now() - interval '1 second'"),
    ("it is disputed", "UPDATE grants SET frozen_at = now(), swept_at = now()"),
    ("it was of another package", "UPDATE orders SET package_id = package_id WHERE false"),
];

#[sqlx::test]
async fn what_was_queued_begins_at_once_when_there_is_nothing_to_follow_any_more(db: PgPool) {
    for (n, (what, sql)) in OVERTAKEN.into_iter().enumerate() {
        let (ada, package_id) = (member(&db, &format!("ada{n}@example.com")).await, package(&db, what, None).await);
        let shop = Shop { db: db.clone(), ada, package_id };
        let other = if n == 3 { package(&db, "Another", None).await } else { package_id };
        let first = open_order(&db, &shop.ada, other).await;
        pay(&db, &first).await;
        let queued = open_order_that_starts(&db, &shop.ada, package_id, Start::AfterCurrent).await;
        shop.execute(sql).await;
        pay(&db, &queued).await;
        let begun = sqlx::query_scalar!(r#"SELECT starts_at = created_at AS "now!" FROM grants WHERE order_id = $1"#, queued.0.0);
        assert!(begun.fetch_one(&db).await.expect("a grant"), "{what}");
    }
}

#[sqlx::test]
async fn what_ended_before_it_was_bought_again_has_expired_whatever_was_chosen(db: PgPool) {
    let shop = Shop::open(db).await.rolls_over().await;
    let first = shop.buy(Start::Now).await;
    shop.month_passes().await;
    // Nothing has been swept yet, and there is nothing to follow.
    let second = shop.buy(Start::AfterCurrent).await;
    assert_eq!(sweep_expired_grants(&shop.db, 10).await.expect("swept"), 1);
    let rows: Vec<(uuid::Uuid, i64, i64)> =
        sqlx::query_as("SELECT order_id, left_, expired FROM grants ORDER BY expires_at").fetch_all(&shop.db).await.expect("grants");
    assert_eq!(rows, [(first.0, 0, 1_000_000), (second.0, 1_000_000, 0)]);
    shop.assert_exact().await;
}

#[sqlx::test]
async fn what_ended_before_another_was_queued_does_not_roll_over_to_it(db: PgPool) {
    let shop = Shop::open(db).await.rolls_over().await;
    shop.buy(Start::Now).await;
    shop.month_passes().await;
    // Nothing has been swept yet.
    shop.buy(Start::Now).await;
    shop.buy(Start::AfterCurrent).await;
    while sweep_expired_grants(&shop.db, 1).await.expect("swept") > 0 {}
    assert_eq!(shop.left().await, [0, 1_000_000, 1_000_000]);
    shop.assert_exact().await;
}

#[sqlx::test]
async fn queued_orders_paid_at_once_form_one_line(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.buy(Start::Now).await;
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.push(open_order_that_starts(&shop.db, &shop.ada, shop.package_id, Start::AfterCurrent).await);
    }
    join_all(orders.iter().map(|order| pay(&shop.db, order))).await;
    let gaps = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM grants g WHERE g.starts_at > g.created_at
              AND (SELECT count(*) FROM grants before WHERE before.expires_at = g.starts_at) <> 1"#
    );
    assert_eq!(gaps.fetch_one(&shop.db).await.expect("count"), 0);
    assert_eq!(shop.left().await.len(), 9);
}

#[sqlx::test]
async fn what_is_queued_pays_for_nothing_before_its_time(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.buy(Start::Now).await;
    shop.buy(Start::AfterCurrent).await;
    let grants = grants_of(&shop.db, shop.ada.account_id()).await.expect("grants");
    assert_eq!((balance_in(&grants), totals_in(&grants).left), (Tokens(1_000_000), Tokens(2_000_000)));
}

#[sqlx::test]
async fn what_is_left_rolls_over_at_once_or_when_the_queued_one_begins(db: PgPool) {
    let shop = Shop::open(db).await.rolls_over().await;
    shop.buy(Start::Now).await;
    assert_eq!(shop.facts().await.rolls_over_now, Tokens(1_000_000));
    shop.buy(Start::AfterCurrent).await;
    assert_eq!(shop.left().await, [1_000_000, 1_000_000], "what runs stays where it is");
    // Begun at once, a third takes over what runs; what is queued keeps its time.
    shop.buy(Start::Now).await;
    assert_eq!(shop.left().await, [0, 1_000_000, 2_000_000]);

    shop.month_passes().await;
    while sweep_expired_grants(&shop.db, 1).await.expect("swept") > 0 {}
    assert_eq!(shop.left().await, [0, 3_000_000, 0], "what was left of the third moved to the second");
    let moved = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM ledger WHERE to_book = 'expired'"#);
    assert_eq!(moved.fetch_one(&shop.db).await.expect("count"), 0);
    shop.assert_exact().await;

    // Nothing follows the last one.
    shop.month_passes().await;
    while sweep_expired_grants(&shop.db, 1).await.expect("swept") > 0 {}
    assert_eq!(shop.left().await, [0, 0, 0]);
    shop.assert_exact().await;
}

#[sqlx::test]
async fn a_form_posted_with_the_other_start_is_another_order(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.buy(Start::Now).await;
    let form = request(&shop.db, shop.package_id).await;
    let place = async |starts| {
        let request = OrderRequest { starts, ..form.clone() };
        place_order(&shop.db, &shop.ada, Provider::Stripe, &request).await.expect("placed").purchase.order_id
    };
    let (now, queued) = (place(Start::Now).await, place(Start::AfterCurrent).await);
    assert_eq!((place(Start::Now).await, place(Start::AfterCurrent).await), (now, queued));
    assert_ne!(now, queued);
    let open = shop.facts().await.open_order.expect("open");
    assert_eq!((open.order_id, open.starts, open.form_key), (queued, Start::AfterCurrent, form.form_key));
    let refused = sqlx::query("UPDATE orders SET starts = 'now'").execute(&shop.db).await.expect_err("a choice that cannot change");
    assert!(refused.to_string().contains("cannot change"), "{refused}");
}

/// At most two orders in any ten days.
async fn limited(db: PgPool) -> Shop {
    let shop = Shop::open(db).await;
    let edit = PackageEdit { purchase_limit: Some(Some(2)), limit_period_s: Some(Some(864_000)), ..PackageEdit::default() };
    shop.edit(edit).await;
    shop
}

#[sqlx::test]
async fn a_limit_within_a_period_counts_what_was_ordered_in_it(db: PgPool) {
    let shop = limited(db).await;
    let order = async || {
        let request = request(&shop.db, shop.package_id).await;
        place_order(&shop.db, &shop.ada, Provider::Stripe, &request).await.map(|order| order.purchase.order_id)
    };
    let refused = async || matches!(order().await, Err(CheckoutError::PurchaseLimitReached));
    let refused_for_unpaid = async || matches!(order().await, Err(CheckoutError::LastPlaceUnpaid));
    shop.buy(Start::Now).await;
    assert_eq!(shop.facts().await.limit, LimitState::Open);
    let unpaid = order().await.expect("the second");
    // It counts while it can be paid, and is said to be what stands in the way; cancelled, it frees its place before the first does.
    assert!(refused_for_unpaid().await);
    assert_eq!(shop.facts().await.limit, LimitState::TakenByUnpaid(unpaid));
    let first = sqlx::query_scalar!("SELECT created_at FROM orders WHERE fulfilled_at IS NOT NULL").fetch_one(&shop.db).await.expect("one");
    cancel_unopened_order(&shop.db, unpaid).await.expect("cancelled");
    assert_eq!(shop.facts().await.limit, LimitState::Open, "its place is free");
    let second = shop.buy(Start::Now).await;
    assert!(refused().await);
    assert_eq!(shop.facts().await.limit, LimitState::ReachedUntil((first + TimeDelta::days(10)).into()));

    shop.execute("ALTER TABLE orders DISABLE TRIGGER orders_keep_the_copy").await;
    sqlx::query("UPDATE orders SET created_at = created_at - interval '10 days' WHERE order_id <> $1")
        .bind(second.0)
        .execute(&shop.db)
        .await
        .expect("older");
    assert_eq!(shop.facts().await.limit, LimitState::Open, "the period is over for the first");
    order().await.expect("one more");
    assert!(refused_for_unpaid().await);

    // What may still be paid says no date. A limit goes together with its period, which limits nothing alone.
    shop.edit(PackageEdit { purchase_limit: Some(Some(1)), ..PackageEdit::default() }).await;
    assert_eq!(shop.facts().await.limit, LimitState::Reached);
    let period_alone = PackageEdit { purchase_limit: Some(None), ..PackageEdit::default() };
    let error = update_package(&shop.db, Operator::command_line(), shop.package_id, period_alone).await;
    assert!(matches!(error, Err(crate::catalog::store::CatalogError::PeriodWithoutLimit)), "{error:?}");
    shop.edit(PackageEdit { purchase_limit: Some(None), limit_period_s: Some(None), ..PackageEdit::default() }).await;
    order().await.expect("no limit");
}

#[sqlx::test]
async fn twenty_orders_at_once_never_exceed_the_limit(db: PgPool) {
    let shop = limited(db).await;
    let requests = join_all((0..20).map(|_| request(&shop.db, shop.package_id))).await;
    let placed = join_all(requests.iter().map(|request| place_order(&shop.db, &shop.ada, Provider::Stripe, request))).await;
    let refused = placed.iter().filter(|order| matches!(order, Err(CheckoutError::LastPlaceUnpaid))).count();
    assert_eq!((placed.iter().filter(|order| order.is_ok()).count(), refused), (2, 18));
    // A retired package, and one at another price, say so first.
    let old = request(&shop.db, shop.package_id).await;
    let price = crate::money::Money::new(700, old.terms.price.currency.clone());
    shop.edit(PackageEdit { price: Some(price), ..PackageEdit::default() }).await;
    assert!(matches!(place_order(&shop.db, &shop.ada, Provider::Stripe, &old).await, Err(CheckoutError::PackageChanged)));
    shop.edit(PackageEdit { on_sale: Some(false), ..PackageEdit::default() }).await;
    assert!(matches!(place_order(&shop.db, &shop.ada, Provider::Stripe, &old).await, Err(CheckoutError::PackageUnavailable)));
}
