//! `kill -9` at every point of a fulfilment and of a refund, asked for or told of, with real processes on a real cluster: whatever had
//! happened, the customer is credited once, refunded once, and the books add up.

use crate::support::cluster::Cluster;
use crate::support::fake_stripe::{FakeStripe, Plan, SECRET_KEY, Stall, WEBHOOK_SECRET};
use crate::support::installation::eventually;
use crate::support::toki::{Served, Toki};
use sqlx::{PgPool, Postgres, Transaction};
use toki::accounts::rights::Owner;
use toki::accounts::store::{account_by_email, owner_of};
use toki::accounts::types::Email;
use toki::catalog::store::package_on_sale;
use toki::checkout::payments::Payments;
use toki::checkout::placing::place;
use toki::checkout::stripe::StripePayments;
use toki::checkout::types::Start;
use toki::checkout::types_placing::{OrderRequest, Terms};
use toki::codes::types::Discount;
use toki::ids::PackageId;
use uuid::Uuid;

const EMAIL: &str = "ada@example.com";

/// Rounds after which another site is built: who reconciles reads all of the last minutes' events, so that many rounds at one site cost
/// their square.
const AT_ONE_SITE: usize = 6;

/// How often each point is visited; `FAULT_ROUNDS` says otherwise.
fn rounds() -> usize {
    std::env::var("FAULT_ROUNDS").ok().map_or(2, |text| text.parse().expect("a number of rounds"))
}

struct Site {
    db: PgPool,
    stripe: FakeStripe,
    toki: Toki,
    payments: Payments,
    ada: Owner,
    package_id: PackageId,
    /// The last to go.
    _cluster: Cluster,
}

/// An order on its way, by its session and its own id.
struct Order {
    id: String,
    session_id: String,
}

impl Site {
    async fn new() -> Site {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::start(100).await;
        let (db, stripe) = (cluster.connect().await, FakeStripe::start().await);
        let toki = Toki::at(cluster.url()).with("STRIPE_SECRET_KEY", SECRET_KEY).with("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET);
        let toki = toki.with("STRIPE_API_BASE", &stripe.base());
        toki.json(&["migrate"]);
        sqlx::raw_sql(WAIT_IN_COMMIT).execute(&db).await.expect("a trigger");
        toki.json_with_input(&["account", "create", "--email", EMAIL, "--password-stdin"], "correct horse battery\n");
        let sold = ["package", "add", "--name", "Starter", "--tokens", "1000000", "--price", "500", "--currency", "usd"];
        let sold = toki.json(&[&sold[..], &["--valid-for", "30d"]].concat());
        let package_id = sold["package_id"].as_str().and_then(|text| text.parse().ok()).expect("an id");
        let account = account_by_email(&db, &Email::parse(EMAIL).expect("an address")).await.expect("an account");
        let ada = owner_of(&db, account.user_id).await.expect("read").expect("a member");
        let payments = StripePayments::new(&stripe.config(), &"http://127.0.0.1".parse().expect("a URL")).expect("a client");
        Site { db, stripe, toki, payments: Payments::Stripe(Box::new(payments)), ada, package_id, _cluster: cluster }
    }

    /// A customer at the checkout.
    async fn order(&self) -> Order {
        let card = package_on_sale(&self.db, self.package_id).await.expect("on sale");
        let (form_key, terms) = (Uuid::new_v4(), Terms::of(card));
        let request = OrderRequest {
            package_id: self.package_id,
            form_key,
            starts: Start::Now,
            terms,
            discount: Discount::default(),
            one_order_for_s: None,
        };
        place(&self.db, &self.payments, &self.ada, &request).await.expect("placed");
        let (id, session_id) = sqlx::query_as("SELECT order_id::text, provider_session_id FROM orders ORDER BY order_id DESC LIMIT 1")
            .fetch_one(&self.db)
            .await
            .expect("an order");
        Order { id, session_id }
    }

    /// One whose payment was credited.
    async fn paid_order(&self) -> Order {
        let order = self.order().await;
        self.stripe.complete(&order.session_id, true);
        self.command(&["reconcile"]).await;
        self.stripe.deliver(Plan::Lost).await;
        order
    }

    async fn command(&self, args: &[&str]) -> serde_json::Value {
        let (toki, args) = (self.toki.clone(), args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>());
        let answer = tokio::task::spawn_blocking(move || toki.json(&args.iter().map(String::as_str).collect::<Vec<_>>()));
        answer.await.expect("no panic")
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.db).await.expect(sql)
    }

    /// Takes what a statement needs, so that it waits here.
    async fn barrier(&self, sql: &'static str) -> Transaction<'static, Postgres> {
        let mut tx = self.db.begin().await.expect("begin");
        sqlx::query(sql).execute(&mut *tx).await.expect(sql);
        tx
    }

    async fn until_waiting(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        eventually(waiting, async || self.number(waiting).await > 0).await;
    }

    /// The same in its commit: somebody else may wait for a lock of the transaction that is held up there, before it is.
    async fn until_committing(&self) {
        let committing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = 'COMMIT'";
        eventually(committing, async || self.number(committing).await > 0).await;
    }

    /// Nobody of the dead is at work any more.
    async fn until_quiet(&self) {
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'toki%'";
        eventually(busy, async || self.number(busy).await == 0).await;
    }

    /// Each order that was paid brought its Tokens once, each that was refunded was refunded once, and the books add up.
    async fn assert_exact(&self, fulfilled: usize, refunded: usize) {
        assert_eq!(self.number("SELECT count(*) FROM grants").await, fulfilled as i64);
        assert_eq!(self.number("SELECT count(*) FROM ledger WHERE from_book = 'issued'").await, fulfilled as i64);
        assert_eq!(self.number("SELECT count(*) FROM orders WHERE status = 'refunded'").await, refunded as i64);
        assert_eq!(self.number("SELECT count(*) FROM orders WHERE fulfilled_at IS NOT NULL").await, fulfilled as i64);
        assert_eq!(self.stripe.all("re").len(), refunded, "at Stripe");
        assert_eq!(self.command(&["audit"]).await["ok"], true);
    }
}

/// A transaction that settles an event waits in its commit, where [`COMMIT`] is held.
const WAIT_IN_COMMIT: &str = "
    CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(5);
        RETURN NULL;
    END
    $$;
    CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT ON payment_event_outcomes DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait_in_commit()";

/// What holds up a commit: afterwards everything is done, and nobody has heard of it.
const COMMIT: &str = "SELECT pg_advisory_xact_lock(5)";

/// What holds up a fulfilment, from its first statement to its answer.
const FULFILMENT: [&str; 7] = [
    // The event is not stored.
    "LOCK TABLE payment_events IN SHARE MODE",
    // It is stored, and nothing more.
    "LOCK TABLE payment_event_outcomes IN ACCESS EXCLUSIVE MODE",
    // The order has not moved.
    "LOCK TABLE order_transitions IN SHARE MODE",
    // The grant is made, its entry is not.
    "LOCK TABLE ledger IN SHARE MODE",
    // The Tokens are there, the receipt has no number.
    "LOCK TABLE receipt_numbers IN SHARE MODE",
    // Everything is done but for the outcome.
    "LOCK TABLE payment_event_outcomes IN SHARE MODE",
    // It is committed, and not answered.
    COMMIT,
];

/// Something happens at Stripe, and the replica that is told of it is killed where this holds it up. How the deliveries were answered.
async fn kill_at(site: &Site, replica: Served, point: &'static str, happens: impl FnOnce(&FakeStripe)) -> Vec<u16> {
    let outcomes = "SELECT count(*) FROM payment_event_outcomes";
    let settled = site.number(outcomes).await;
    site.stripe.deliver_to(&format!("{}/webhooks/stripe", replica.url));
    // Before anything happens: it may also ask Stripe for events by itself.
    let mut barrier = Some(site.barrier(point).await);
    happens(&site.stripe);
    let delivery = tokio::spawn({
        let stripe = site.stripe.clone();
        async move { stripe.deliver(Plan::InOrder).await }
    });
    if point == COMMIT {
        site.until_committing().await;
        replica.freeze();
        barrier.take().expect("held").rollback().await.expect("rollback");
        eventually(outcomes, async || site.number(outcomes).await > settled).await;
    } else {
        site.until_waiting().await;
    }
    replica.kill();
    let answers = delivery.await.expect("no panic");
    if let Some(barrier) = barrier {
        barrier.rollback().await.expect("rollback");
    }
    site.until_quiet().await;
    answers
}

/// Stripe tries again, or is asked.
async fn tell_again(site: &Site, round: usize) {
    if round.is_multiple_of(2) {
        let replica = site.toki.serve(&[]);
        site.stripe.deliver_to(&format!("{}/webhooks/stripe", replica.url));
        site.stripe.deliver(Plan::Twice).await;
        assert_eq!(replica.terminate(), Some(0));
    } else {
        site.stripe.deliver(Plan::Lost).await;
        site.command(&["reconcile"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_point_of_a_fulfilment() {
    let (mut site, mut fulfilled) = (Site::new().await, 0);
    for round in 0..rounds() {
        if round > 0 && round % AT_ONE_SITE == 0 {
            (site, fulfilled) = (Site::new().await, 0);
        }
        for point in FULFILMENT {
            // It asks about open orders when it starts, so the order comes after it.
            let replica = site.toki.serve(&[]);
            let order = site.order().await;
            let answers = kill_at(&site, replica, point, |stripe| stripe.complete(&order.session_id, true)).await;
            assert!(answers == [0] || answers == [200], "{answers:?}");
            tell_again(&site, round).await;
            fulfilled += 1;
            site.assert_exact(fulfilled, 0).await;
            assert_eq!(site.number("SELECT count(*) FROM receipts").await, fulfilled as i64);
        }
    }
}

/// What holds up a refund that somebody made in Stripe's own pages, and an event tells of.
const REFUND_TOLD: [&str; 8] = [
    // The event is not stored.
    "LOCK TABLE payment_events IN SHARE MODE",
    // It is stored, and nothing more.
    "LOCK TABLE payment_event_outcomes IN ACCESS EXCLUSIVE MODE",
    // The refund is not written down; it is, and no Tokens are taken.
    "LOCK TABLE refunds IN SHARE MODE",
    "LOCK TABLE ledger IN SHARE MODE",
    // The order has not moved.
    "LOCK TABLE order_transitions IN SHARE MODE",
    // The Tokens are gone, the credit note has no number.
    "LOCK TABLE receipt_numbers IN SHARE MODE",
    // Everything is done but for the outcome.
    "LOCK TABLE payment_event_outcomes IN SHARE MODE",
    // It is committed, and not answered.
    COMMIT,
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_point_of_a_refund_that_an_event_tells_of() {
    let (mut site, mut refunded) = (Site::new().await, 0);
    for round in 0..rounds() {
        if round > 0 && round % AT_ONE_SITE == 0 {
            (site, refunded) = (Site::new().await, 0);
        }
        for point in REFUND_TOLD {
            let order = site.paid_order().await;
            let replica = site.toki.serve(&[]);
            // One event of the refund, one of the charge.
            let answers = kill_at(&site, replica, point, |stripe| stripe.refund_elsewhere(&order.session_id, 500)).await;
            assert!(answers.len() == 2 && answers.iter().all(|status| [0, 200].contains(status)), "{answers:?}");
            tell_again(&site, round).await;
            refunded += 1;
            site.assert_exact(refunded, refunded).await;
            for sql in ["SELECT count(*) FROM refunds", "SELECT count(*) FROM credit_notes"] {
                assert_eq!(site.number(sql).await, refunded as i64, "{sql}");
            }
            assert_eq!(site.number("SELECT coalesce(sum(refunded), 0)::bigint FROM grants").await, 1_000_000 * refunded as i64);
        }
    }
}

/// What holds up a refund: a lock before and in its two transactions, or Stripe between them.
#[derive(Clone, Copy, Debug)]
enum Point {
    Lock(&'static str),
    Stripe(Stall),
    LockOfTheAnswer(&'static str),
}

const REFUND: [Point; 6] = [
    Point::Lock("SELECT 1 FROM orders FOR UPDATE"),
    // The request is written down, the Tokens are not taken.
    Point::Lock("LOCK TABLE ledger IN SHARE MODE"),
    Point::Stripe(Stall::BeforeTheDeed),
    Point::Stripe(Stall::BeforeTheAnswer),
    // Stripe has answered: the answer is not noted; it is, and the order has not moved.
    Point::LockOfTheAnswer("SELECT 1 FROM refunds FOR UPDATE"),
    Point::LockOfTheAnswer("LOCK TABLE order_transitions IN SHARE MODE"),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_point_of_a_refund() {
    let (mut site, mut refunded) = (Site::new().await, 0);
    for round in 0..rounds() {
        if round > 0 && round % AT_ONE_SITE == 0 {
            (site, refunded) = (Site::new().await, 0);
        }
        for point in REFUND {
            let order = site.paid_order().await;
            let refund = ["order", "refund", &order.id, "--all", "--reason", "asked for it"];
            let (asked, made) = (site.stripe.requests().len(), site.stripe.all("re").len());
            let mut barrier = None;
            match point {
                Point::Lock(sql) => barrier = Some(site.barrier(sql).await),
                Point::Stripe(stall) => site.stripe.stall(Some(stall)),
                Point::LockOfTheAnswer(_) => site.stripe.stall(Some(Stall::BeforeTheAnswer)),
            }
            let mut command = site.toki.start(&refund);
            match point {
                Point::Lock(_) => site.until_waiting().await,
                Point::Stripe(Stall::BeforeTheDeed) => {
                    eventually("Stripe is asked", async || site.stripe.requests().len() > asked).await;
                }
                Point::Stripe(Stall::BeforeTheAnswer) => eventually("it is done", async || site.stripe.all("re").len() > made).await,
                Point::LockOfTheAnswer(sql) => {
                    eventually("it is done", async || site.stripe.all("re").len() > made).await;
                    barrier = Some(site.barrier(sql).await);
                    site.stripe.stall(None);
                    site.until_waiting().await;
                }
            }
            command.kill().expect("kill");
            command.wait().expect("dead");
            site.stripe.stall(None);
            if let Some(barrier) = barrier {
                barrier.rollback().await.expect("rollback");
            }
            site.until_quiet().await;
            match point {
                // Nothing had happened, so the operator asks again.
                Point::Lock(_) => drop(site.command(&refund).await),
                _ => drop(site.command(&["reconcile"]).await),
            }
            refunded += 1;
            site.assert_exact(refunded, refunded).await;
        }
    }
}
