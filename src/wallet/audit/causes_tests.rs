//! An entry whose cause is not there, or not that of its grant, is found.

use super::*;
use crate::ids::GrantId;
use crate::operators::moves::take_back;

const OPERATOR_ACTION: &str = "entry for an operator action that is not there";
const OTHER_CAUSE: &str = "entry issued for something else than its grant";

/// An operator took 5 Tokens back.
async fn taken_back(db: PgPool) -> History {
    let history = history(db).await;
    let grant_id = sqlx::query_scalar("SELECT grant_id FROM grants WHERE source = 'order'").fetch_one(&history.db).await.expect("a grant");
    take_back(&history.db, Operator::command_line(), GrantId(grant_id), Tokens(5), None).await.expect("taken back");
    assert_eq!(history.found().await, []);
    history
}

#[sqlx::test]
async fn an_entry_for_no_operator_action_is_found(db: PgPool) {
    let history = taken_back(db).await;
    history.corrupt("UPDATE ledger SET action_id = gen_random_uuid() WHERE to_book = 'refunded'").await;
    assert_eq!(history.found().await, [difference(OPERATOR_ACTION, 0, 5)]);
}

#[sqlx::test]
async fn an_entry_for_no_order_is_found(db: PgPool) {
    let history = taken_back(db).await;
    history.corrupt("UPDATE ledger SET action_id = NULL, order_id = gen_random_uuid() WHERE to_book = 'refunded'").await;
    assert_eq!(history.found().await, [difference("entry for an order that is not there", 0, 5)]);
}

#[sqlx::test]
async fn an_entry_for_no_refund_is_found(db: PgPool) {
    let history = taken_back(db).await;
    history.corrupt("UPDATE ledger SET refund_id = gen_random_uuid() WHERE to_book = 'refunded'").await;
    assert_eq!(history.found().await, [difference("entry for a refund that is not there", 0, 5)]);
}

#[sqlx::test]
async fn an_entry_for_no_redemption_is_found(db: PgPool) {
    let history = history(db).await;
    let sql = "UPDATE ledger SET order_id = NULL, redemption_id = gen_random_uuid() WHERE from_book = 'issued' AND order_id IS NOT NULL";
    history.corrupt(sql).await;
    assert_eq!(history.found().await, [difference("entry for a redemption that is not there", 0, 1000), difference(OTHER_CAUSE, 0, 1000)]);
}

#[sqlx::test]
async fn a_move_to_no_grant_is_found(db: PgPool) {
    let history = history(db).await;
    history
        .corrupt(
            "INSERT INTO ledger (account_id, grant_id, to_account_id, to_grant_id, from_book, to_book, tokens, order_id)
             SELECT account_id, grant_id, account_id, gen_random_uuid(), 'grant', 'grant', 5, order_id FROM grants WHERE source = 'order';
             UPDATE grants SET tokens = tokens - 5, left_ = left_ - 5 WHERE source = 'order'",
        )
        .await;
    assert_eq!(history.found().await, [difference("entry to a grant that is not there", 0, 5)]);
}

#[sqlx::test]
async fn what_is_issued_for_another_order_than_its_grants_is_found(db: PgPool) {
    let history = history(db).await;
    let sql = "UPDATE ledger SET order_id = (SELECT order_id FROM orders WHERE status = 'created')
                WHERE from_book = 'issued' AND order_id IS NOT NULL";
    history.corrupt(sql).await;
    assert_eq!(history.found().await, [difference(OTHER_CAUSE, 0, 1000)]);
}

#[sqlx::test]
async fn what_is_issued_by_another_action_than_its_grants_is_found(db: PgPool) {
    let history = taken_back(db).await;
    let sql = "UPDATE ledger SET action_id = (SELECT action_id FROM ledger WHERE to_book = 'refunded')
                WHERE from_book = 'issued' AND action_id IS NOT NULL";
    history.corrupt(sql).await;
    assert_eq!(history.found().await, [difference(OTHER_CAUSE, 0, 40)]);
}
