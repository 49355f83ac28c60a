//! Money and calls of one account at once, on two replicas: its Tokens are bought, queued, refunded, disputed, transferred and taken back
//! while they are spent, held, left behind and rolled over. Much of it is refused; the books add up at every moment.

use super::*;
use crate::ids::{AccountId, GrantId, ReplicaId};
use crate::operators::credit::OperatorError;
use crate::operators::moves::{take_back, transfer};
use crate::wallet::ledger::LedgerError;
use sqlx::postgres::PgPoolOptions;
use std::time::{Duration, Instant};

const LASTS: Duration = Duration::from_secs(4);

struct Traffic {
    /// The same shop as each replica sees it.
    shops: [Shop; 2],
    owners: [ReplicaId; 2],
    secret: KeySecret,
    bob: AccountId,
    until: Instant,
}

impl Traffic {
    /// A package that lasts a second, so that purchases end, begin and roll over all the while.
    async fn begin(db: &PgPool) -> Traffic {
        let shop = Shop::open(db, "ada").await;
        for sql in ["ALTER TABLE packages DROP CONSTRAINT packages_valid_for_s_check", "UPDATE packages SET valid_for_s = 1"] {
            sqlx::query(sql).execute(db).await.expect(sql);
        }
        let supplier_id = fixtures::supplier(db, "acme").await;
        fixtures::model(db, "acme/m", supplier_id).await;
        let (_, secret) = fixtures::key(db, &shop.ada, fixtures::plain_key("k")).await;
        let bob = member(db, "bob@example.com").await.account_id();
        let replica = async || {
            let pool = PgPoolOptions::new().max_connections(6).connect_with(db.connect_options().as_ref().clone());
            Shop { db: pool.await.expect("connected"), ada: shop.ada.clone(), package_id: shop.package_id }
        };
        let shops = [replica().await, replica().await];
        let owners = [fixtures::replica(db).await, fixtures::replica(db).await];
        Traffic { shops, owners, secret, bob, until: Instant::now() + LASTS }
    }

    /// After a moment: the shop at the replica whose turn it is, until time is over.
    async fn next(&self, n: &mut usize, pause_ms: u64) -> Option<&Shop> {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        *n += 1;
        (Instant::now() < self.until).then(|| &self.shops[*n % 2])
    }

    /// Calls of all sizes at one replica. How many it settled.
    async fn calls(&self, replica: usize) -> usize {
        let (db, owner) = (&self.shops[replica].db, self.owners[replica]);
        let (mut n, mut settled) = (0, 0);
        while self.next(&mut n, 1).await.is_some() {
            let input = [900, 60_000, 300_000][n % 3];
            let request = fixtures::request(&self.secret, "acme/m", input, 20);
            // Some are the reaper's at once.
            let silent = n % 4 == 0;
            let hold_for = if silent { TimeDelta::milliseconds(1) } else { TimeDelta::seconds(60) };
            let decisions = admit_calls(db, &[request], owner, hold_for, false).await.expect("decided");
            let Some(Verdict::Admitted(call)) = decisions.into_iter().next().map(|decision| decision.verdict) else { continue };
            tokio::time::sleep(Duration::from_millis((n % 7) as u64 * 5)).await;
            // Of half of those nothing is heard any more; the others report late.
            if silent && n % 8 == 0 {
                continue;
            }
            fixtures::settle(db, &call, Used { input: input / 2, cached: 0, output: 5 }, Utc::now()).await;
            settled += 1;
        }
        settled
    }

    async fn buys(&self) {
        let mut n = 0;
        while let Some(shop) = self.next(&mut n, 100).await {
            shop.buy(if n % 3 == 0 { Start::AfterCurrent } else { Start::Now }).await;
        }
    }

    /// All of an order or a part, of which some comes to nothing at the provider.
    async fn refunds(&self) {
        let mut n = 0;
        while let Some(shop) = self.next(&mut n, 40).await {
            let Some(order_id) = shop.some_order().await else { continue };
            let part = if n % 4 == 0 { RefundPart::All } else { RefundPart::Tokens(Tokens(50_000)) };
            match request_refund(&shop.db, Operator::command_line(), order_id, part, None).await {
                Ok(refund) => {
                    let status = if n % 3 == 0 { RefundStatus::Failed } else { RefundStatus::Succeeded };
                    let answer = RefundAnswer { id: Some(format!("re_{}", refund.refund_id)), status };
                    until_done(async || note_answer(&shop.db, order_id, refund.refund_id, &answer).await).await;
                }
                Err(CheckoutError::NotRefundable(_) | CheckoutError::RefundOutOfRange) => {}
                Err(CheckoutError::Ledger(LedgerError::NotEnoughLeft)) => {}
                Err(error) => assert!(is_deadlock(&error), "{error:?}"),
            }
        }
    }

    /// Each order once.
    async fn disputes(&self) {
        let (mut n, mut disputed) = (0, Vec::<OrderId>::new());
        while let Some(shop) = self.next(&mut n, 100).await {
            let Some(order_id) = shop.some_order().await.filter(|order_id| !disputed.contains(order_id)) else { continue };
            disputed.push(order_id);
            until_done(async || shop.told(order_id, "needs_response").await).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let end = if n % 2 == 0 { "won" } else { "lost" };
            until_done(async || shop.told(order_id, end).await).await;
        }
    }

    /// To bob, and some of it back.
    async fn transfers(&self) {
        let mut n = 0;
        while let Some(shop) = self.next(&mut n, 20).await {
            let ada = shop.ada.account_id();
            let (from, to, tokens) = if n % 3 == 0 { (self.bob, ada, 20_000) } else { (ada, self.bob, 40_000) };
            let given = transfer(&shop.db, Operator::command_line(), from, to, Tokens(tokens), None).await;
            assert!(matches!(given, Ok(_) | Err(OperatorError::Ledger(LedgerError::NotEnoughLeft))), "{given:?}");
        }
    }

    async fn take_backs(&self) {
        let mut n = 0;
        while let Some(shop) = self.next(&mut n, 30).await {
            let sql = "SELECT grant_id FROM grants WHERE account_id = $1 AND left_ > 0 ORDER BY random() LIMIT 1";
            let grant_id = sqlx::query_scalar(sql).bind(shop.ada.account_id().0).fetch_optional(&shop.db).await.expect("read");
            let Some(grant_id) = grant_id else { continue };
            let taken = take_back(&shop.db, Operator::command_line(), GrantId(grant_id), Tokens(3_000), None).await;
            assert!(matches!(taken, Ok(()) | Err(OperatorError::Ledger(LedgerError::NotEnoughLeft))), "{taken:?}");
        }
    }

    /// What every replica does beside.
    async fn jobs(&self, replica: usize) {
        let (db, mut n) = (&self.shops[replica].db, 0);
        while self.next(&mut n, 10).await.is_some() {
            reap_holds(db, 50).await.expect("reaped");
            sweep_expired_grants(db, 10).await.expect("swept");
            if let Err(error) = take_leftovers(db, 10).await {
                assert!(is_deadlock(&error), "{error:?}");
            }
        }
    }

    /// As clean as those of an idle system.
    async fn audits(&self) {
        let mut n = 0;
        while let Some(shop) = self.next(&mut n, 200).await {
            assert_eq!(audit(&shop.db, None).await.expect("audit").differences, []);
        }
    }
}

impl Shop {
    /// One that a customer may still have refunded or disputed.
    async fn some_order(&self) -> Option<OrderId> {
        let sql =
            "SELECT order_id FROM orders WHERE account_id = $1 AND status IN ('fulfilled', 'partly_refunded') ORDER BY random() LIMIT 1";
        let order_id = sqlx::query_scalar(sql).bind(self.ada.account_id().0).fetch_optional(&self.db).await.expect("read");
        order_id.map(OrderId)
    }
}

/// Deadlocks are tried again by whoever asks; nothing was done.
async fn until_done<T>(ask: impl AsyncFn() -> Result<T, CheckoutError>) {
    while let Err(error) = ask().await {
        assert!(is_deadlock(&error), "{error:?}");
    }
}

fn is_deadlock(error: &CheckoutError) -> bool {
    let CheckoutError::Db(error) = error else { return false };
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "40P01")
}

#[sqlx::test]
async fn money_and_calls_of_one_account_at_once_leave_books_that_add_up(db: PgPool) {
    let traffic = Traffic::begin(&db).await;
    let (settled, ..) = tokio::join!(
        join_all([0, 1, 0, 1].map(|replica| traffic.calls(replica))),
        traffic.buys(),
        traffic.refunds(),
        traffic.disputes(),
        traffic.transfers(),
        traffic.take_backs(),
        join_all([0, 1].map(|replica| traffic.jobs(replica))),
        traffic.audits(),
    );
    assert!(settled.iter().all(|settled| *settled > 0), "{settled:?}");
    let sql = "SELECT DISTINCT from_book || ' to ' || to_book FROM ledger";
    let moved: Vec<String> = sqlx::query_scalar(sql).fetch_all(&db).await.expect("books");
    for books in ["issued to grant", "grant to spent", "grant to grant", "grant to refunded"] {
        assert!(moved.iter().any(|moved| moved == books), "nothing moved from {books}: {moved:?}");
    }

    // Whoever is silent stays so, and the jobs find nothing more to do.
    sqlx::query("UPDATE holds SET deadline = now() - interval '2 minutes'").execute(&db).await.expect("silent");
    while reap_holds(&db, 500).await.expect("reaped") > 0 {}
    while sweep_expired_grants(&db, 100).await.expect("swept") > 0 {}
    take_leftovers(&db, 1_000).await.expect("taken");
    assert_eq!(audit(&db, None).await.expect("audit").differences, []);
    for sql in [
        "SELECT count(*) FROM holds",
        "SELECT count(*) FROM grants WHERE held <> 0 OR least(tokens, left_, spent, expired, refunded) < 0",
        "SELECT count(*) FROM api_keys WHERE held <> 0 OR running <> 0 OR least(spent, period_used) < 0",
        "SELECT count(*) FROM usage_records WHERE least(charge, written_off) < 0",
    ] {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&db).await.expect(sql);
        assert_eq!(found, 0, "{sql}");
    }
    for shop in traffic.shops {
        shop.db.close().await;
    }
}
