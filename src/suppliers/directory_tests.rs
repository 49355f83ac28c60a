//! Tests of the model directory.

use super::*;
use crate::accounts::rights::Owner;
use crate::gateway::openapi;
use crate::keys::store::{KeyOwner, LimitsEdit, NewKey, update_limits};
use crate::wallet::fixtures::{self, plain_key};
use crate::wallet::ledger::Scope;
use chrono::TimeDelta;
use sqlx::PgPool;

#[sqlx::test]
async fn only_enabled_models_of_enabled_suppliers_are_listed(db: PgPool) {
    let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
    for (model, supplier) in [("alpha/one", alpha), ("alpha/two", alpha), ("beta/one", beta)] {
        fixtures::model(&db, model, supplier).await;
    }
    let ada = fixtures::member(&db, "ada").await;
    let (plain, _) = fixtures::key(&db, &ada, plain_key("plain")).await;
    let mut limited = Vec::new();
    for models in [&["alpha/one", "alpha/two"][..], &["alpha/two"]] {
        let (key_id, _) = fixtures::key(&db, &ada, plain_key(&format!("for {}", models.len()))).await;
        let edit = LimitsEdit { models: Some(models.iter().map(|model| model.to_string()).collect()), ..LimitsEdit::default() };
        update_limits(&db, KeyOwner::Member(&ada), key_id, edit).await.expect("limited");
        limited.push(key_id);
    }
    let (of_beta, _) = fixtures::key(&db, &ada, NewKey { supplier_id: Some(beta), ..plain_key("for beta") }).await;
    sqlx::query!("UPDATE models SET status = 'disabled' WHERE model_id = 'alpha/two'").execute(&db).await.expect("disabled");
    fixtures::disable_supplier(&db, beta).await;

    let models: Vec<String> = models(&db, None, None).await.expect("models").into_iter().map(|model| model.model_id).collect();
    assert_eq!(models, ["alpha/one"]);
    let suppliers = enabled_suppliers(&db).await.expect("suppliers");
    assert_eq!(suppliers.iter().map(|supplier| supplier.supplier_id).collect::<Vec<_>>(), [alpha]);
    assert_eq!(example_model(&db, None).await.expect("a model").as_deref(), Some("alpha/one"));
    assert_eq!(example_model(&db, Some(beta)).await.expect("none"), None);
    let of_key = async |key_id| {
        let models = models_of_key(&db, key_id).await.expect("a search");
        (models.openai, models.anthropic, models.chat)
    };
    // Its supplier speaks OpenAI's protocol alone.
    let one = || "alpha/one".to_string();
    assert_eq!(of_key(plain).await, (Some(one()), None, vec![one()]));
    assert_eq!(of_key(limited[0]).await, (Some(one()), None, vec![one()]));
    for key_id in [limited[1], of_beta] {
        assert_eq!(of_key(key_id).await, (None, None, vec![]));
    }
}

#[sqlx::test]
async fn models_are_found_by_id_and_supplier(db: PgPool) {
    let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
    for (model, supplier) in [("alpha/one", alpha), ("alpha/two", alpha), ("beta/one", beta)] {
        fixtures::model(&db, model, supplier).await;
    }
    let found = async |text| {
        let models = models(&db, Some(text), None).await.expect("models");
        models.into_iter().map(|model| model.model_id).collect::<Vec<_>>()
    };
    assert_eq!(found("ONE").await, ["alpha/one", "beta/one"]);
    assert_eq!(found("Alpha").await, ["alpha/one", "alpha/two"]);
    assert!(found("%").await.is_empty() && has_models(&db).await.expect("a look"));
}

#[sqlx::test]
async fn a_model_names_what_of_an_account_pays_for_it_and_can_call_it(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
    for (model, supplier) in [("alpha/one", alpha), ("alpha/two", alpha), ("beta/one", beta)] {
        fixtures::model(&db, model, supplier).await;
    }
    let scope = Scope { model_ids: vec!["alpha/one".into()], ..Scope::default() };
    fixtures::credit_scoped(&db, ada.account_id(), 100, TimeDelta::days(2), scope).await;
    fixtures::credit(&db, eve.account_id(), 1_000, TimeDelta::days(2)).await;
    for (name, supplier_id, quota) in
        [("for all", None, None), ("Alpha", Some(alpha), Some(5)), ("nothing left", None, Some(0)), ("b", None, None), ("c", None, None)]
    {
        fixtures::key(&db, &ada, NewKey { supplier_id, quota: quota.map(Tokens), ..plain_key(name) }).await;
    }
    let (limited, _) = fixtures::key(&db, &ada, plain_key("limited")).await;
    let edit = LimitsEdit { models: Some(vec!["alpha/two".into()]), ..LimitsEdit::default() };
    update_limits(&db, KeyOwner::Member(&ada), limited, edit).await.expect("limited");
    fixtures::key(&db, &ada, NewKey { enabled: false, ..plain_key("off") }).await;

    let means = async |reader: &Owner| -> Vec<(String, Vec<i64>, i64, String)> {
        let models = models(&db, None, Some(reader)).await.expect("models");
        let line = |model: ModelView| {
            let means = model.means.expect("of a reader");
            let names: Vec<String> = means.first_keys.into_iter().map(|(_, name)| name).collect();
            (model.model_id, means.grants.iter().map(|grant| grant.left.0).collect(), means.keys, names.join(" "))
        };
        models.into_iter().map(line).collect()
    };
    let of_ada = [
        ("alpha/one".to_string(), vec![100], 4, "Alpha b c".to_string()),
        ("alpha/two".to_string(), vec![], 5, "Alpha b c".to_string()),
        ("beta/one".to_string(), vec![], 3, "b c for all".to_string()),
    ];
    assert_eq!(means(&ada).await, of_ada);
    assert!(means(&eve).await.iter().all(|(_, left, keys, _)| *left == [1_000] && *keys == 0));
}

#[test]
fn a_model_answers_on_the_endpoints_of_its_protocols_and_kinds() {
    let of = |protocols: &[&str], kinds: &[&str]| {
        let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        endpoints(&owned(protocols), &owned(kinds))
    };
    assert_eq!(of(&["openai"], &["text"]), ["chat/completions", "responses", "completions"]);
    assert_eq!(of(&["openai", "anthropic"], &["embedding"]), ["embeddings"]);
    assert_eq!(of(&["anthropic"], &["text"]), ["messages"]);
    assert!(of(&[], &["text"]).is_empty());
    let mut all = of(&["anthropic", "openai"], &["text", "embedding"]);
    let described = openapi::document();
    let posts = described["paths"].as_object().expect("paths").iter().filter(|(_, methods)| methods.get("post").is_some());
    let mut served: Vec<_> = posts.map(|(path, _)| path.trim_start_matches("/v1/").to_string()).collect();
    all.sort();
    served.sort();
    assert_eq!(all, served, "what the gateway serves");
}
