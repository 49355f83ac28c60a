//! Tests of the webhook as providers see it: its answers, and what it keeps.

use super::*;
use crate::checkout::store::fixtures::outbox;
use crate::checkout::webhook::signature::sign;
use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

const SECRET: &[u8] = b"whsec_0123456789abcdef";
const BODY: &str = r#"{"id":"evt_1","type":"payout.paid"}"#;

async fn post_signed(db: &PgPool, signature: Option<String>, body: impl Into<String>) -> StatusCode {
    let webhook = Webhook {
        db: db.clone(),
        outbox: outbox(),
        secrets: Arc::new(vec![(SECRET.to_vec(), Provider::Stripe)]),
        tasks: TaskTracker::new(),
        answered: Answered::default(),
    };
    let mut request = Request::post("/webhooks/stripe");
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    routes(webhook).oneshot(request.body(Body::from(body.into())).expect("a request")).await.expect("an answer").status()
}

fn signed(body: &str) -> Option<String> {
    sign(SECRET, body.as_bytes(), chrono::Utc::now().timestamp())
}

async fn stored(db: &PgPool) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM payment_events), (SELECT count(*) FROM payment_event_outcomes)")
        .fetch_one(db)
        .await
        .expect("counts")
}

#[sqlx::test]
async fn a_signed_event_is_kept_once_however_often_it_comes(db: PgPool) {
    for _ in 0..3 {
        assert_eq!(post_signed(&db, signed(BODY), BODY).await, StatusCode::OK);
    }
    assert_eq!(stored(&db).await, (1, 1));
}

#[sqlx::test]
async fn what_is_not_signed_leaves_no_trace(db: PgPool) {
    let now_s = chrono::Utc::now().timestamp();
    for signature in [
        None,
        Some(String::new()),
        Some("t=1,v1=00".into()),
        signed("another body"),
        sign(b"", BODY.as_bytes(), now_s),
        sign(b"whsec_other_0123456", BODY.as_bytes(), now_s),
        sign(SECRET, BODY.as_bytes(), now_s - 301),
        sign(SECRET, BODY.as_bytes(), now_s + 330),
        signed(BODY).map(|header| header.replace("v1=", "v0=")),
    ] {
        assert_eq!(post_signed(&db, signature.clone(), BODY).await, StatusCode::BAD_REQUEST, "{signature:?}");
    }
    assert_eq!(stored(&db).await, (0, 0));
}

#[sqlx::test]
async fn a_signed_body_that_is_no_event_or_too_large_is_refused(db: PgPool) {
    for body in ["", "no JSON", "{}"] {
        assert_eq!(post_signed(&db, signed(body), body).await, StatusCode::BAD_REQUEST, "{body:?}");
    }
    let event_of = |length: usize| format!("{BODY}{}", " ".repeat(length - BODY.len()));
    let large = event_of(BODY_MOST + 1);
    assert_eq!(post_signed(&db, signed(&large), large).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(stored(&db).await, (0, 0));
    let largest = event_of(BODY_MOST);
    assert_eq!(post_signed(&db, signed(&largest), largest).await, StatusCode::OK);
}

#[sqlx::test]
async fn an_event_with_characters_that_postgres_cannot_keep_is_kept(db: PgPool) {
    let body = r#"{"id":"evt_1","type":"checkout.session.completed","data":{"object":{"custom":"a\u0000b"}}}"#;
    assert_eq!(post_signed(&db, signed(body), body).await, StatusCode::OK);
    assert_eq!(stored(&db).await, (1, 1));
}

#[sqlx::test]
async fn while_the_database_is_away_the_provider_is_asked_to_come_again(db: PgPool) {
    let away = PgPool::connect_lazy_with((*db.connect_options()).clone().port(1).socket("/nowhere"));
    assert_eq!(post_signed(&away, signed(BODY), BODY).await, StatusCode::SERVICE_UNAVAILABLE);
}
