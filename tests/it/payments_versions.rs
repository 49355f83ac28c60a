//! Events of versions of Stripe's API that we have not seen: fields dropped, empty, of another shape, with values that nobody has heard of,
//! or new. While they say what is needed, they credit.

use crate::payments::Shop;
use crate::support::fake_stripe::{FakeStripe, post};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

/// What an event about a session has to say.
const NEEDED_INSIDE: [&str; 5] = ["id", "mode", "payment_status", "amount_total", "currency"];
const NEEDED_OUTSIDE: [&str; 3] = ["id", "type", "data"];
const REFERENCES: [&str; 2] = ["client_reference_id", "metadata"];

#[sqlx::test]
async fn events_of_another_version_credit_while_they_say_what_is_needed(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    let completed = shop.stripe.waiting().remove(0);
    let mut later = completed.clone();
    later["type"] = json!("checkout.session.async_payment_succeeded");
    let mutations: Vec<(String, Value)> = [&completed, &later].into_iter().flat_map(mutations_of).collect();
    let total = mutations.len();
    assert!(total > 130, "{total}");
    for (what, mut event) in mutations {
        // Each to an order of its own: as the first, only with another id everywhere.
        let (order_id, session_id) = shop.twin().await;
        event["id"] = json!(format!("evt_{order_id}"));
        let body =
            event.to_string().replace(&shop.order_id, &order_id).replace(&format!("\"{}\"", shop.session_id), &format!("\"{session_id}\""));
        assert_eq!(post(&shop.app.url("/webhooks/stripe"), &body, FakeStripe::signature(&body)).await, 200, "{what}: {body}");
        let outcome: String = sqlx::query_scalar("SELECT outcome FROM payment_event_outcomes WHERE event_id = $1")
            .bind(format!("evt_{order_id}"))
            .fetch_one(&shop.app.state.db)
            .await
            .expect("settled");
        assert_eq!(outcome, "fulfilled", "{what}: {body}");
    }
    assert_eq!(shop.grants().await, total as i64);
    shop.close().await;
}

/// An event, changed in each of the ways that leave what is needed.
fn mutations_of(whole: &Value) -> Vec<(String, Value)> {
    let mut mutations = Vec::new();
    let mut mutate = |what: String, change: &dyn Fn(&mut Value)| {
        let mut event = whole.clone();
        change(&mut event);
        mutations.push((format!("{}: {what}", whole["type"]), event));
    };
    for (place, needed) in [("/data/object", &NEEDED_INSIDE[..]), ("", &NEEDED_OUTSIDE[..])] {
        let all = whole.pointer(place).and_then(Value::as_object).expect("an object");
        for (name, value) in all.iter().filter(|(name, _)| !needed.contains(&name.as_str())) {
            mutate(format!("{name} dropped"), &|event| drop(fields(event, place).remove(name)));
            mutate(format!("{name} empty"), &|event| drop(fields(event, place).insert(name.clone(), Value::Null)));
            // An order named wrongly is another order's payment.
            if (value.is_string() || value.is_null()) && !REFERENCES.contains(&name.as_str()) {
                mutate(format!("{name} unheard of"), &|event| drop(fields(event, place).insert(name.clone(), json!("unheard_of"))));
            }
            if !["livemode", "client_reference_id", "metadata"].contains(&name.as_str()) {
                let shape = json!({"a": ["shape", "of", "the", "future"]});
                mutate(format!("{name} unknown"), &|event| drop(fields(event, place).insert(name.clone(), shape.clone())));
            }
        }
    }
    let object = "/data/object";
    mutate("both references dropped".into(), &|event| {
        for name in REFERENCES {
            fields(event, object).remove(name);
        }
    });
    mutate("both references empty".into(), &|event| {
        for name in REFERENCES {
            fields(event, object).insert(name.into(), Value::Null);
        }
    });
    mutate("fields added".into(), &|event| {
        event["data"]["object"]["new"] = json!([{"deep": {"enum": "unheard_of"}}]);
        event["data"]["previous_attributes"] = json!({"status": "open"});
        event["context"] = json!("acct_1");
    });
    mutate("payment expanded".into(), &|event| event["data"]["object"]["payment_intent"] = json!({"id": "pi_1", "status": "succeeded"}));
    mutations
}

fn fields<'v>(event: &'v mut Value, place: &str) -> &'v mut Map<String, Value> {
    event.pointer_mut(place).and_then(Value::as_object_mut).expect("an object")
}
