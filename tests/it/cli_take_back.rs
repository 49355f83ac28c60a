//! `toki account take-back`: so many Tokens of a grant, or all that is left.

use crate::support::toki::Toki;
use serde_json::json;
use sqlx::PgPool;

const ADA: &str = "ada@example.com";

#[sqlx::test]
async fn a_grant_is_taken_back_in_part_and_then_all_that_is_left(db: PgPool) {
    let toki = Toki::new(&db);
    toki.json_with_input(&["account", "create", "--email", ADA, "--password-stdin"], "correct horse battery\n");
    let credit = toki.json(&["account", "credit", "--email", ADA, "--tokens", "1000"]);
    toki.json(&["account", "credit", "--email", ADA, "--tokens", "5"]);
    let grant_id = credit["grant_id"].as_str().expect("an id");
    let take = |part: &[&'static str]| [&["account", "take-back", "--grant", grant_id][..], part].concat();

    assert_eq!(toki.json(&take(&["--tokens", "400"])), json!({ "grant_id": grant_id, "tokens": 400 }));
    assert!(toki.refusal(&take(&["--tokens", "601"])).contains("not that many Tokens left"));
    let taken = toki.json(&take(&["--all", "--note", "a mistake"]));
    assert_eq!(taken, json!({ "grant_id": grant_id, "tokens": 600, "held": 0 }));
    let refusal = toki.refusal(&take(&["--all"]));
    assert!(refusal.contains("nothing is left of the grant"), "{refusal}");
    for unclear in [&[][..], &["--all", "--tokens", "1"]] {
        toki.wrong_usage(&take(unclear));
    }
    let shown = toki.json(&["account", "show", "--email", ADA]);
    assert_eq!((&shown["left"], &shown["refunded"]), (&json!(5), &json!(1000)));
    assert_eq!(toki.json(&["audit"])["ok"], true);
}
