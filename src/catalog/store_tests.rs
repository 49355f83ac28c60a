//! Tests of `catalog::store` against a database of their own.

use super::*;

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").expect("a code"))
}

fn package(name: &str) -> NewPackage {
    NewPackage::plain(name, Tokens(1_000_000), money(500), 30 * 86_400)
}

async fn insert_supplier(db: &PgPool, slug: &str, name: &str) {
    sqlx::query("INSERT INTO suppliers (supplier_id, slug, name) VALUES ($1, $2, $3)")
        .bind(Uuid::now_v7())
        .bind(slug)
        .bind(name)
        .execute(db)
        .await
        .expect("supplier");
}

async fn audit(db: &PgPool, id: PackageId) -> Vec<(String, Option<serde_json::Value>, Option<serde_json::Value>)> {
    sqlx::query_as("SELECT action, before, after FROM operator_actions WHERE subject_id = $1 ORDER BY at, action_id")
        .bind(id.to_string())
        .fetch_all(db)
        .await
        .expect("audit")
}

#[sqlx::test]
async fn insert_package_is_on_sale_with_its_scope_and_audited(db: PgPool) {
    insert_supplier(&db, "acme", "Acme AI").await;
    let new = NewPackage { supplier_slugs: vec!["acme".into()], purchase_limit: Some(2), ..package("Scoped") };
    let id = insert_package(&db, Operator::command_line(), new).await.expect("insert");
    let card = package_on_sale(&db, id).await.expect("on sale");
    assert_eq!((card.name.as_str(), card.tokens, card.price, card.valid_for_s), ("Scoped", Tokens(1_000_000), money(500), 2_592_000));
    assert_eq!((card.supplier_names, card.purchase_limit), (vec!["Acme AI".to_string()], Some(2)));
    let audit = audit(&db, id).await;
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].0, "package.add");
    assert_eq!(audit[0].2.as_ref().expect("after")["suppliers"], json!(["acme"]));
}

#[sqlx::test]
async fn insert_package_refuses_what_cannot_be_sold(db: PgPool) {
    let operator = Operator::command_line();
    insert_package(&db, operator, package("Taken")).await.expect("first");
    assert!(matches!(insert_package(&db, operator, package("Taken")).await, Err(CatalogError::NameTaken)));
    let unknown = NewPackage { supplier_slugs: vec!["nobody".into()], ..package("Scoped") };
    assert!(matches!(insert_package(&db, operator, unknown).await, Err(CatalogError::UnknownSupplier(slug)) if slug == "nobody"));
    for wrong in [
        package("  "),
        package(&"x".repeat(101)),
        NewPackage { tokens: Tokens(0), ..package("a") },
        NewPackage { tokens: Tokens(Tokens::MOST.0 + 1), ..package("a") },
        NewPackage { price: money(0), ..package("a") },
        NewPackage { price: money(-1), ..package("a") },
        NewPackage { valid_for_s: 59, ..package("a") },
        NewPackage { purchase_limit: Some(0), ..package("a") },
    ] {
        let shown = format!("{wrong:?}");
        assert!(matches!(insert_package(&db, operator, wrong).await, Err(CatalogError::OutOfRange)), "{shown}");
    }
    assert_eq!(all_packages(&db).await.expect("all").len(), 1, "a refusal leaves nothing");
    let actions: i64 = sqlx::query_scalar("SELECT count(*) FROM operator_actions").fetch_one(&db).await.expect("count");
    assert_eq!(actions, 1, "nor in the audit log");
}

#[sqlx::test]
async fn update_package_changes_only_what_it_names_and_says_before_and_after(db: PgPool) {
    let operator = Operator::command_line();
    let id = insert_package(&db, operator, package("Starter")).await.expect("insert");
    insert_package(&db, operator, package("Other")).await.expect("insert");
    let edit = PackageEdit { price: Some(money(700)), ..PackageEdit::default() };
    update_package(&db, operator, id, edit).await.expect("edit");
    let card = package_on_sale(&db, id).await.expect("on sale");
    assert_eq!((card.price, card.tokens, card.name.as_str()), (money(700), Tokens(1_000_000), "Starter"));
    let audit = audit(&db, id).await;
    assert_eq!(audit[1].1.as_ref().expect("before")["price_minor"], json!(500));
    assert_eq!(audit[1].2.as_ref().expect("after")["price_minor"], json!(700));

    let taken = PackageEdit { name: Some("Other".into()), ..PackageEdit::default() };
    assert!(matches!(update_package(&db, operator, id, taken).await, Err(CatalogError::NameTaken)));
    let free = PackageEdit { price: Some(money(0)), ..PackageEdit::default() };
    assert!(matches!(update_package(&db, operator, id, free).await, Err(CatalogError::OutOfRange)));
    assert!(matches!(update_package(&db, operator, PackageId::generate(), PackageEdit::default()).await, Err(CatalogError::NotFound)));
}

#[sqlx::test]
async fn packages_on_sale_leaves_out_disabled_ones_and_marks_the_best_value(db: PgPool) {
    let operator = Operator::command_line();
    let dear = insert_package(&db, operator, package("Dear")).await.expect("insert");
    let cheap = NewPackage { tokens: Tokens(10_000_000), ..package("Cheap") };
    let cheap = insert_package(&db, operator, cheap).await.expect("insert");
    let cards = packages_on_sale(&db).await.expect("cards");
    assert_eq!(cards.iter().map(|card| (card.package_id, card.best_value)).collect::<Vec<_>>(), [(cheap, true), (dear, false)]);

    let off = PackageEdit { on_sale: Some(false), ..PackageEdit::default() };
    update_package(&db, operator, cheap, off).await.expect("off");
    assert!(matches!(package_on_sale(&db, cheap).await, Err(CatalogError::NotFound)));
    let cards = packages_on_sale(&db).await.expect("cards");
    assert_eq!(cards.iter().map(|card| (card.package_id, card.best_value)).collect::<Vec<_>>(), [(dear, false)]);
    assert_eq!(all_packages(&db).await.expect("all").len(), 2);
}
