//! Tests of receipts: numbers without gaps, copies that stay, and amounts that add up.

use super::*;
use crate::checkout::payments::RefundAnswer;
use crate::checkout::store::fixtures::{member, open_order, outbox, package, pay};
use crate::checkout::store::refund_requests::{RefundPart, request_refund};
use crate::checkout::store::refunds::{note_answer, take_leftovers};
use crate::operators::rights::Operator;
use crate::wallet::audit::audit;
use futures::future::join_all;

fn seller(name: &str, rate: i32) -> Seller {
    Seller { name: name.into(), address: "Street 1\n1010 Vienna".into(), tax_id: Some("ATU1".into()), tax_rate: Some(TaxRate(rate)) }
}

fn details(name: &str) -> BillingDetails {
    BillingDetails { name: name.into(), address: String::new(), tax_id: String::new() }
}

/// Numbers of a series, in order.
async fn numbers(db: &PgPool, table: &str) -> Vec<i64> {
    let sql = match table {
        "receipts" => "SELECT number FROM receipts ORDER BY number",
        _ => "SELECT number FROM credit_notes ORDER BY number",
    };
    sqlx::query_scalar(sql).fetch_all(db).await.expect("numbers")
}

/// Refunds so many minor units of an order, and has the provider say that it is done.
async fn refund(db: &PgPool, order_id: OrderId, minor: i64) -> crate::ids::RefundId {
    let asked = request_refund(db, Operator::command_line(), order_id, RefundPart::Amount(minor), None).await.expect("requested");
    answer(db, order_id, asked.refund_id, RefundStatus::Succeeded).await;
    asked.refund_id
}

async fn answer(db: &PgPool, order_id: OrderId, refund_id: crate::ids::RefundId, status: RefundStatus) {
    let answer = RefundAnswer { id: Some(format!("re_{refund_id}")), status };
    note_answer(db, order_id, refund_id, &answer).await.expect("noted");
}

/// What `toki audit` says.
async fn differences(db: &PgPool) -> Vec<String> {
    audit(db, None).await.expect("audit").differences.iter().map(ToString::to_string).collect()
}

#[sqlx::test]
async fn numbers_have_no_gaps_however_many_fulfilments_come_at_once_and_some_fail(db: PgPool) {
    let mut orders = Vec::new();
    for n in 0..12 {
        let ada = member(&db, &format!("ada{n}@example.com")).await;
        orders.push(open_order(&db, &ada, package(&db, &format!("Package {n}"), None).await).await);
    }
    // In between, transactions take a number and come to nothing.
    let idle = member(&db, "idle@example.com").await;
    let unpaid = open_order(&db, &idle, package(&db, "Unpaid", None).await).await.0;
    let failing = join_all((0..6).map(|_| async {
        let mut tx = db.begin().await.expect("begin");
        issue_receipt_in(&mut tx, &outbox(), unpaid).await.expect("a number");
        tx.rollback().await.expect("back");
    }));
    let (_, decisions) = futures::join!(failing, join_all(orders.iter().map(|order| pay(&db, order))));
    assert_eq!(decisions.len(), 12);
    assert_eq!(numbers(&db, "receipts").await, (1..=12).collect::<Vec<_>>());

    let refunded = join_all(orders.iter().map(|(order_id, _)| refund(&db, *order_id, 100))).await;
    assert_eq!(refunded.len(), 12);
    assert_eq!(numbers(&db, "credit notes").await, (1..=12).collect::<Vec<_>>());
    let last = sqlx::query_scalar!(r#"SELECT string_agg(series || ' ' || last, ', ' ORDER BY series) AS "last!" FROM receipt_numbers"#);
    assert_eq!(last.fetch_one(&db).await.expect("numbers"), "credit_note 12, receipt 12");

    assert_eq!(differences(&db).await, Vec::<String>::new());
    sqlx::query("UPDATE receipt_numbers SET last = last + 1 WHERE series = 'receipt'").execute(&db).await.expect("a gap");
    let found = differences(&db).await;
    assert!(found.len() == 1 && found[0].ends_with("numbers: expected 13, found 12"), "{found:?}");
}

#[sqlx::test]
async fn a_receipt_keeps_what_was_so_when_it_was_issued_and_takes_once_what_was_missing(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let buy = async || {
        let order = open_order(&db, &ada, package_id).await;
        pay(&db, &order).await;
        order.0
    };
    let first = buy().await;
    let issued = receipt(&db, &ada, first).await.expect("a receipt");
    assert_eq!((issued.seller, issued.billing, issued.price.tax.minor), (None, None, 0));

    for _ in 0..2 {
        set_seller(&db, &seller("Toki Ltd", 1_900)).await.expect("noted");
    }
    assert_eq!(sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM sellers"#).fetch_one(&db).await.expect("count"), 1);
    set_billing_details(&db, &ada, first, &details("Ada Ltd")).await.expect("kept");
    let second = buy().await;
    set_seller(&db, &seller("Toki SE", 2_000)).await.expect("noted");
    set_billing_details(&db, &ada, first, &details("Ada SE")).await.expect("kept");
    let third = buy().await;

    for (order_id, number, sold_by, to, tax) in
        [(first, 1, "Toki Ltd", "Ada Ltd", 80), (second, 2, "Toki Ltd", "Ada Ltd", 80), (third, 3, "Toki SE", "Ada SE", 83)]
    {
        let receipt = receipt(&db, &ada, order_id).await.expect("a receipt");
        assert!(receipt.number.ends_with(&format!("-00000{number}")) && receipt.number.starts_with("R-20"), "{}", receipt.number);
        assert_eq!((receipt.seller.expect("a seller").name.as_str(), receipt.billing.expect("details").name.as_str()), (sold_by, to));
        assert_eq!((receipt.price.gross.minor, receipt.price.net.minor, receipt.price.tax.minor), (500, 500 - tax, tax));
        assert_eq!(receipt.saved.expect("details").name, "Ada SE");
    }
    for sql in
        ["UPDATE receipts SET number = number + 10", "UPDATE receipts SET billing_name = 'x'", "UPDATE receipts SET seller_id = NULL"]
    {
        let refused = sqlx::query(sql).execute(&db).await.expect_err(sql);
        assert!(refused.to_string().contains("never changes"), "{refused}");
    }
    assert!(sqlx::query("DELETE FROM receipts").execute(&db).await.is_err());
}

#[sqlx::test]
async fn credit_notes_take_back_exactly_the_tax_that_was_charged(db: PgPool) {
    set_seller(&db, &seller("Toki Ltd", 1_900)).await.expect("noted");
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let order = open_order(&db, &ada, package_id).await;
    pay(&db, &order).await;
    for part in [167, 166, 167] {
        refund(&db, order.0, part).await;
    }
    let receipt = receipt(&db, &ada, order.0).await.expect("a receipt");
    let taxes: Vec<_> = receipt.credit_notes.iter().map(|note| (note.amount.gross.minor, note.amount.tax.minor)).collect();
    assert_eq!(taxes, [(167, 27), (166, 26), (167, 27)], "each rounded alone would be 27, 27 and 27, of 80");
    assert_eq!((receipt.total.gross.minor, receipt.total.net.minor, receipt.total.tax.minor), (0, 0, 0));
}

#[sqlx::test]
async fn a_refund_gets_its_credit_note_when_it_succeeds_and_keeps_the_number_when_it_fails_after_all(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let order = open_order(&db, &ada, package_id).await;
    pay(&db, &order).await;
    let asked = request_refund(&db, Operator::command_line(), order.0, RefundPart::Amount(200), None).await.expect("requested");
    answer(&db, order.0, asked.refund_id, RefundStatus::Pending).await;
    assert!(receipt(&db, &ada, order.0).await.expect("a receipt").credit_notes.is_empty());
    answer(&db, order.0, asked.refund_id, RefundStatus::Succeeded).await;
    answer(&db, order.0, asked.refund_id, RefundStatus::Succeeded).await;
    assert_eq!(receipt(&db, &ada, order.0).await.expect("a receipt").total.gross.minor, 300);
    answer(&db, order.0, asked.refund_id, RefundStatus::Failed).await;
    let receipt = receipt(&db, &ada, order.0).await.expect("a receipt");
    assert_eq!((receipt.credit_notes.len(), receipt.credit_notes[0].void, receipt.total.gross.minor), (1, true, 500));
}

#[sqlx::test]
async fn a_refund_that_failed_shifts_no_tax_of_those_after_it(db: PgPool) {
    set_seller(&db, &seller("Toki Ltd", 1_900)).await.expect("noted");
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let order = open_order(&db, &ada, package_id).await;
    pay(&db, &order).await;
    let failed = refund(&db, order.0, 10).await;
    answer(&db, order.0, failed, RefundStatus::Failed).await;
    refund(&db, order.0, 500).await;
    let receipt = receipt(&db, &ada, order.0).await.expect("a receipt");
    let notes: Vec<_> = receipt.credit_notes.iter().map(|note| (note.amount.gross.minor, note.amount.tax.minor, note.void)).collect();
    assert_eq!(notes, [(10, 2, true), (500, 80, false)]);
    assert_eq!((receipt.total.gross.minor, receipt.total.net.minor, receipt.total.tax.minor), (0, 0, 0));
}

#[sqlx::test]
async fn an_issued_credit_note_stays_as_it_is_whatever_becomes_of_refunds(db: PgPool) {
    set_seller(&db, &seller("Toki Ltd", 1_900)).await.expect("noted");
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let order = open_order(&db, &ada, package_id).await;
    pay(&db, &order).await;
    let taxes = async || {
        let notes = receipt(&db, &ada, order.0).await.expect("a receipt").credit_notes;
        notes.iter().map(|note| (note.amount.gross.minor, note.amount.tax.minor, note.void)).collect::<Vec<_>>()
    };
    let first = refund(&db, order.0, 167).await;
    refund(&db, order.0, 166).await;
    assert_eq!(taxes().await, [(167, 27, false), (166, 26, false)]);
    answer(&db, order.0, first, RefundStatus::Failed).await;
    assert_eq!(taxes().await, [(167, 27, true), (166, 26, false)]);
    // A call still holds some of the Tokens when the rest of the money goes back.
    sqlx::query("UPDATE grants SET left_ = left_ - 1000, held = 1000").execute(&db).await.expect("held");
    refund(&db, order.0, 334).await;
    assert_eq!(taxes().await, [(167, 27, true), (166, 26, false), (334, 54, false)]);
    let issued = receipt(&db, &ada, order.0).await.expect("a receipt");
    assert_eq!((issued.total.gross.minor, issued.total.net.minor, issued.total.tax.minor), (0, 0, 0));

    sqlx::query("UPDATE grants SET left_ = left_ + 1000, held = 0").execute(&db).await.expect("given back");
    assert_eq!(take_leftovers(&db, 10).await.expect("taken"), 1);
    let sum = sqlx::query_scalar("SELECT sum(tokens)::bigint FROM refunds WHERE status = 'succeeded'");
    let of_refunds: i64 = sum.fetch_one(&db).await.expect("a sum");
    let of_notes: i64 = issued.credit_notes.iter().filter(|note| !note.void).map(|note| note.tokens.0).sum();
    assert_eq!((of_refunds, of_notes), (1_000_000, 999_000));
    assert_eq!(receipt(&db, &ada, order.0).await.expect("a receipt"), issued);
    for sql in ["UPDATE credit_notes SET tokens = 1", "UPDATE credit_notes SET tax_minor = 1"] {
        let refused = sqlx::query(sql).execute(&db).await.expect_err(sql);
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[sqlx::test]
async fn the_receipt_of_another_account_or_an_unpaid_order_does_not_exist(db: PgPool) {
    let (ada, bob, package_id) =
        (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await, package(&db, "Starter", None).await);
    let order = open_order(&db, &ada, package_id).await;
    assert!(matches!(receipt(&db, &ada, order.0).await, Err(CheckoutError::NotFound)));
    pay(&db, &order).await;
    assert!(matches!(receipt(&db, &bob, order.0).await, Err(CheckoutError::NotFound)));
    assert!(matches!(set_billing_details(&db, &bob, order.0, &details("Bob")).await, Err(CheckoutError::NotFound)));
    let kept = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM billing_details"#).fetch_one(&db).await.expect("count");
    assert_eq!(kept, 0, "a refusal keeps nothing");
}

#[sqlx::test]
async fn the_receipt_is_mailed_with_the_fulfilment_once_and_never_without(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter <1M>", None).await);
    let order = open_order(&db, &ada, package_id).await;
    let mut tx = db.begin().await.expect("begin");
    issue_receipt_in(&mut tx, &outbox(), order.0).await.expect("a number");
    tx.rollback().await.expect("back");
    assert!(outbox().take(&db).await.expect("read").is_none(), "what came to nothing is told nobody");

    for _ in 0..3 {
        pay(&db, &order).await;
    }
    let mail = outbox().take(&db).await.expect("read").expect("a mail");
    assert_eq!((mail.recipient.as_str(), mail.kind.as_str(), mail.subject.as_str()), ("ada@example.com", "receipt", "Your receipt"));
    let (number, body) = (receipt(&db, &ada, order.0).await.expect("a receipt").number, mail.body.expect("opens"));
    let address = format!("https://toki.example/orders/{}/receipt", order.0);
    assert!(body.text.contains(&format!("Receipt {number}: Starter <1M>, 1,000,000 Tokens, $5.00.")), "{}", body.text);
    assert!(body.text.contains(&address) && !body.text.contains("sandbox"), "{}", body.text);
    assert!(body.html.contains("Starter &lt;1M&gt;, 1,000,000 Tokens, $5.00.") && body.html.contains(&address), "{}", body.html);
    assert!(outbox().take(&db).await.expect("read").is_none(), "one receipt, one mail");
}
