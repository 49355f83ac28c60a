//! Payments that nobody tells us of, or that only asking brings to light: what the command, a replica that starts, the operator's page and
//! the doctor make of what Stripe answers, and of what it refuses.

use crate::checkout::{confirm, package};
use crate::payments::Shop;
use crate::support::app::{PASSWORD, TestApp, another_pool};
use crate::support::fake_stripe::Plan;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use toki::accounts::store::insert_account;
use toki::accounts::types::{Email, Password};

/// A shop whose customer has paid, and whose Stripe tells nobody, now or later.
async fn untold(db: PgPool) -> Shop {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.deliver(Plan::Lost).await;
    shop.stripe.forget_events();
    shop
}

async fn cause(shop: &Shop) -> String {
    shop.app.text("SELECT cause FROM order_transitions WHERE to_status = 'fulfilled'").await
}

/// What the command says when it fails.
async fn refusal(shop: &Shop, args: &'static [&'static str]) -> String {
    let toki = shop.toki();
    tokio::task::spawn_blocking(move || toki.refusal(args)).await.expect("no panic")
}

/// What the doctor says of this.
async fn doctor(shop: &Shop, name: &str) -> Value {
    let toki = shop.toki();
    let ran = tokio::task::spawn_blocking(move || toki.run(&["doctor", "--json"])).await.expect("no panic");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let checks = document["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_else(|| panic!("{name} is not in {document}"))
}

#[sqlx::test]
async fn without_any_webhook_the_command_credits(db: PgPool) {
    let shop = Shop::open(db).await;
    let begun = Instant::now();
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.deliver(Plan::Lost).await;
    shop.stripe.forget_events();
    let done = shop.toki_json(&["reconcile"]).await;
    eprintln!("credited {} ms after the payment, by `toki reconcile`", begun.elapsed().as_millis());
    assert_eq!(done, json!({"new_events": 0, "asked": 1, "credited": 1, "closed": 0, "refunds": 0}));
    assert_eq!((shop.status().await.as_str(), cause(&shop).await.as_str()), ("fulfilled", "reconciler"));
    shop.close().await;
}

#[sqlx::test]
async fn without_any_webhook_and_without_any_page_a_replica_that_starts_credits(db: PgPool) {
    let shop = Shop::open(db).await;
    let begun = Instant::now();
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.deliver(Plan::Lost).await;
    shop.stripe.forget_events();
    let config = shop.stripe.config();
    let second = TestApp::start_with(another_pool(&shop.app.state.db).await, |ours| ours.stripe = Some(config)).await;
    second.until("SELECT count(*) FROM grants", |grants| grants == 1).await;
    eprintln!("credited {} ms after the payment, by a replica that started meanwhile", begun.elapsed().as_millis());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((shop.status().await.as_str(), cause(&shop).await.as_str()), ("fulfilled", "reconciler"));
    second.stop().await;
    shop.close().await;
}

#[sqlx::test]
async fn a_list_of_events_that_fails_keeps_no_order_from_being_credited(db: PgPool) {
    let shop = untold(db).await;
    for (status, expected) in [(500, "the payment provider could not be reached or failed"), (403, "the payment provider refused: 403")] {
        shop.stripe.fail_reads("events", Some(status));
        let said = refusal(&shop, &["reconcile"]).await;
        assert!(said.contains(expected), "{said}");
        assert_eq!(shop.status().await, "fulfilled");
    }
    shop.stripe.fail_reads("events", None);
    assert_eq!(shop.toki_json(&["reconcile"]).await["credited"], 0);
    shop.close().await;
}

#[sqlx::test]
async fn one_order_that_cannot_be_asked_about_keeps_no_other_from_its_end(db: PgPool) {
    let shop = untold(db).await;
    let second = package(&shop.app, "Second", None).await;
    confirm(&shop.browser, second).await;
    let second = shop.stripe.sessions().pop().expect("a session")["id"].as_str().expect("an id").to_string();
    shop.stripe.complete(&second, true);
    shop.stripe.deliver(Plan::Lost).await;
    // And one whose checkout was never opened, long ago.
    shop.app
        .execute(
            "INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                                 scope_supplier_ids, scope_model_ids, form_key, provider, created_at)
             SELECT gen_random_uuid(), account_id, user_id, package_id, 'Unopened', tokens, price_minor, currency, valid_for_s,
                    scope_supplier_ids, scope_model_ids, gen_random_uuid(), provider, now() - interval '26 hours'
               FROM orders WHERE package_name = 'Second'",
        )
        .await;
    let session = format!("checkout/sessions/{}", shop.session_id);
    shop.stripe.fail_reads(&session, Some(500));
    let said = refusal(&shop, &["reconcile"]).await;
    assert!(said.contains("the payment provider could not be reached or failed"), "{said}");
    let statuses = "SELECT string_agg(status, ' ' ORDER BY package_name) FROM orders";
    assert_eq!(shop.app.text(statuses).await, "fulfilled awaiting_payment expired");

    // What Stripe has decided about one session is no failure of the whole.
    shop.stripe.fail_reads(&session, Some(403));
    assert_eq!(shop.toki_json(&["reconcile"]).await, json!({"new_events": 0, "asked": 0, "credited": 0, "closed": 0, "refunds": 0}));
    shop.stripe.fail_reads(&session, None);
    assert_eq!(shop.toki_json(&["reconcile"]).await["credited"], 1);
    assert_eq!(shop.app.text(statuses).await, "fulfilled fulfilled expired");
    shop.close().await;
}

#[sqlx::test]
async fn one_refund_that_cannot_be_noted_keeps_no_other_from_its_answer(db: PgPool) {
    let shop = Shop::paid(db).await;
    let package_id = package(&shop.app, "Second", None).await;
    confirm(&shop.browser, package_id).await;
    let second = shop.stripe.sessions().pop().expect("a session")["id"].as_str().expect("an id").to_string();
    shop.stripe.complete(&second, true);
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
    let second = shop.app.text("SELECT order_id::text FROM orders WHERE package_name = 'Second'").await;
    for order_id in [&shop.order_id, &second] {
        shop.stripe.lose_next_answer();
        let asked = shop.toki_json(&["order", "refund", order_id, "--all", "--reason", "asked for it"]).await;
        assert_eq!(asked["status"], "requested");
    }
    shop.stripe.deliver(Plan::Lost).await;
    shop.stripe.forget_events();
    let stuck = format!(
        "CREATE TRIGGER stuck BEFORE UPDATE ON refunds FOR EACH ROW WHEN (OLD.order_id = '{}') EXECUTE FUNCTION refuse_change()",
        shop.order_id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(stuck)).execute(&shop.app.state.db).await.expect("stuck");
    let said = refusal(&shop, &["reconcile"]).await;
    assert!(said.contains("append-only"), "{said}");
    let statuses = "SELECT string_agg(status, ' ' ORDER BY created_at) FROM refunds";
    assert_eq!(shop.app.text(statuses).await, "requested succeeded");
    shop.app.execute("DROP TRIGGER stuck ON refunds").await;
    assert_eq!(shop.toki_json(&["reconcile"]).await["refunds"], 1);
    assert_eq!((shop.app.text(statuses).await.as_str(), shop.stripe.all("re").len()), ("succeeded succeeded", 2));
    shop.close().await;
}

#[sqlx::test]
async fn an_answer_that_does_not_fit_is_told_once_and_an_operator_has_it_decided_again(db: PgPool) {
    let shop = untold(db).await;
    let (email, password) = (Email::parse("op@example.com").expect("e-mail"), Password::parse(PASSWORD.into()).expect("password"));
    let operator = insert_account(&shop.app.state.db, &email, password, true).await.expect("an operator");
    let browser = shop.app.browser_of(&operator).await;
    shop.app.execute("UPDATE orders SET livemode = true").await;
    for _ in 0..2 {
        let done = shop.toki_json(&["reconcile"]).await;
        assert_eq!((&done["asked"], &done["credited"]), (&json!(1), &json!(0)));
    }
    let event_id = format!("asked_{}", shop.session_id);
    let list = shop.toki_json(&["payments", "quarantine", "list"]).await;
    let ids: Vec<_> = list["events"].as_array().expect("events").iter().map(|event| event["event_id"].as_str()).collect();
    assert_eq!(ids, [Some(event_id.as_str())]);
    let found = doctor(&shop, "payment events").await;
    assert!(found["status"] == "fail" && found["detail"].as_str().is_some_and(|text| text.starts_with("1 quarantined")), "{found}");
    assert!(shop.app.mailed("op@example.com", 1).await[0].contains("Subject: A payment fits no order"));
    assert_eq!(shop.app.number("SELECT count(*) FROM mails WHERE kind = 'payment_quarantined'").await, 1);
    let page = browser.get("/operator/payments").await;
    assert!(page.html.contains(&event_id), "{}", page.html);

    shop.app.execute("UPDATE orders SET livemode = false").await;
    let fields = [("event_id", event_id.as_str()), ("reason", "the mode is noted right now"), ("resolution", "retry")];
    let answer = browser.post("/api/operator/resolve_payment", "/operator/payments", &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    assert_eq!(shop.status().await, "fulfilled");
    let actor: String = sqlx::query_scalar(
        "SELECT concat_ws(', ', actor_user_id, system_user_name, reason) FROM operator_actions WHERE action = 'payment_event.resolve'",
    )
    .fetch_one(&shop.app.state.db)
    .await
    .expect("one deed");
    assert_eq!(actor, format!("{}, the mode is noted right now", operator.user_id));
    assert_eq!(shop.toki_json(&["payments", "quarantine", "list"]).await["events"], json!([]));
    assert_eq!(doctor(&shop, "payment events").await["status"], "ok");
    shop.close().await;
}

#[sqlx::test]
async fn the_doctor_says_what_stripe_refuses_the_key(db: PgPool) {
    let shop = Shop::open(db).await;
    let name = "payment provider";
    assert_eq!(doctor(&shop, name).await["status"], "ok");
    for (refused, others) in [("events", ["/checkout/sessions", "/refunds"]), ("checkout/sessions", ["/events", "/refunds"])] {
        shop.stripe.fail_reads(refused, Some(403));
        let found = doctor(&shop, name).await;
        let detail = found["detail"].as_str().unwrap_or_default();
        assert!(found["status"] == "fail" && detail.starts_with(&format!("/{refused}: the payment provider refused: 403")), "{found}");
        assert!(others.iter().all(|other| !detail.contains(other)), "{found}");
        shop.stripe.fail_reads(refused, None);
    }
    assert_eq!(doctor(&shop, name).await["status"], "ok");
    shop.close().await;
}

#[sqlx::test]
async fn the_doctor_counts_events_that_nothing_was_done_about(db: PgPool) {
    let shop = Shop::open(db).await;
    let name = "payment inbox";
    assert_eq!(doctor(&shop, name).await["status"], "ok");
    // Whoever tries to settle it fails.
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON payment_event_outcomes FOR EACH ROW EXECUTE FUNCTION refuse_change()";
    shop.app.execute(poison).await;
    for (minutes, status) in [(4, "ok"), (6, "fail")] {
        sqlx::query(
            "INSERT INTO payment_events (provider, event_id, event_type, payload, received_at)
             VALUES ('stripe', $1, 'payout.paid', jsonb_build_object('id', $1::text, 'type', 'payout.paid'),
                     now() - make_interval(mins => $2))",
        )
        .bind(format!("evt_left_{minutes}"))
        .bind(minutes)
        .execute(&shop.app.state.db)
        .await
        .expect("stored");
        let found = doctor(&shop, name).await;
        assert_eq!(found["status"], status, "{found}");
        assert!(status == "ok" || found["detail"].as_str().is_some_and(|text| text.starts_with("1 event(s)")), "{found}");
    }
    shop.close().await;
}
