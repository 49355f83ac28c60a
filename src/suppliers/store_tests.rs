//! The store of suppliers, channels and models against a database of its own.

use super::*;
use crate::suppliers::sealed::SealingKey;
use crate::wallet::ledger::Price;
use secrecy::ExposeSecret;

const OPERATOR: fn() -> Operator = Operator::command_line;

async fn actions(db: &PgPool, action: &str) -> i64 {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM operator_actions WHERE action = $1"#, action)
        .fetch_one(db)
        .await
        .expect("count")
}

fn model(model_id: &str, price: Price) -> NewModel {
    NewModel {
        model_id: model_id.into(),
        supplier_slug: "acme".into(),
        upstream_id: "up".into(),
        context_tokens: 1000,
        max_output_tokens: 100,
        input_kinds: vec!["text".into()],
        output_kinds: vec!["text".into()],
        price,
    }
}

const PRICE: Price = Price { input_ppm: 1_000_000, cached_ppm: 1_000_000, output_ppm: 3_000_000 };

#[sqlx::test]
async fn insert_supplier_names_what_is_wrong(db: PgPool) {
    insert_supplier(&db, OPERATOR(), "acme", "Acme").await.expect("insert");
    assert!(matches!(insert_supplier(&db, OPERATOR(), "acme", "Acme").await, Err(SupplierError::SlugTaken)));
    assert!(matches!(insert_supplier(&db, OPERATOR(), "Acme", "Acme").await, Err(SupplierError::SlugMalformed)));
    assert!(matches!(insert_supplier(&db, OPERATOR(), "bcme", "").await, Err(SupplierError::NameLength)));
    assert_eq!(actions(&db, "supplier.add").await, 1, "a refused insert leaves no audit row");
}

#[sqlx::test]
async fn update_supplier_changes_only_what_is_given(db: PgPool) {
    insert_supplier(&db, OPERATOR(), "acme", "Acme").await.expect("insert");
    let edit = SupplierEdit { status: Some(Status::Disabled), ..SupplierEdit::default() };
    update_supplier(&db, OPERATOR(), "acme", edit).await.expect("update");
    let row = all_suppliers(&db).await.expect("list").remove(0);
    assert_eq!((row.name.as_str(), row.status), ("Acme", Status::Disabled));
    assert_eq!(actions(&db, "supplier.edit").await, 1);
    let unknown = update_supplier(&db, OPERATOR(), "nobody", SupplierEdit::default()).await;
    assert!(matches!(unknown, Err(SupplierError::UnknownSupplier)));
}

#[sqlx::test]
async fn channel_secret_is_sealed_and_absent_from_the_audit_log(db: PgPool) {
    let supplier_id = insert_supplier(&db, OPERATOR(), "acme", "Acme").await.expect("insert");
    let key = SealingKey::derive(&[1; 32]);
    let new = |base_url| NewChannel {
        supplier_id,
        base_url,
        protocol: Protocol::Openai,
        weight: 1,
        priority: 0,
        secret: Some("sk-upstream-canary".into()),
    };
    let channel_id = insert_channel(&db, OPERATOR(), &key, &[], new("https://api.example.com/v1/")).await.expect("insert");
    let again = insert_channel(&db, OPERATOR(), &key, &[], new("https://api.example.com/v1")).await;
    assert!(matches!(again, Err(SupplierError::ChannelExists)));
    let inside = insert_channel(&db, OPERATOR(), &key, &[], new("http://169.254.169.254/v1")).await;
    assert!(matches!(inside, Err(SupplierError::Address(_))));
    let mail = insert_channel(&db, OPERATOR(), &key, &[], new("https://api.example.com:25/v1")).await;
    assert!(matches!(mail, Err(SupplierError::Address(AddressError::Port(25)))));

    let row = all_channels(&db).await.expect("list").remove(0);
    assert_eq!(row.base_url, "https://api.example.com/v1");
    let sealed = row.secret_sealed.expect("sealed");
    assert_eq!(key.open(channel_id, &sealed).expect("open").expose_secret(), "sk-upstream-canary");

    let edit = ChannelEdit { secret: Some(Some("sk-upstream-canary-2".into())), ..ChannelEdit::default() };
    update_channel(&db, OPERATOR(), &key, &[], channel_id, edit).await.expect("update");
    let row = all_channels(&db).await.expect("list").remove(0);
    assert_ne!(row.secret_sealed.as_deref(), Some(sealed.as_slice()));
    let log = sqlx::query_scalar!(r#"SELECT string_agg(coalesce(before::text, '') || after::text, '') AS "log!" FROM operator_actions"#)
        .fetch_one(&db)
        .await
        .expect("log");
    assert!(!log.contains("canary") && log.contains("secret_replaced"));

    let edit = ChannelEdit { secret: Some(None), status: Some(Status::Disabled), ..ChannelEdit::default() };
    update_channel(&db, OPERATOR(), &key, &[], channel_id, edit).await.expect("update");
    let edit = ChannelEdit { base_url: Some("https://api.example.com:25/v1".into()), ..ChannelEdit::default() };
    let edited = update_channel(&db, OPERATOR(), &key, &[], channel_id, edit).await;
    assert!(matches!(edited, Err(SupplierError::Address(AddressError::Port(25)))));
    let row = all_channels(&db).await.expect("list").remove(0);
    assert_eq!((row.has_secret, row.status), (false, Status::Disabled));
}

#[sqlx::test]
async fn a_price_edit_adds_a_version_and_keeps_the_old_one(db: PgPool) {
    insert_supplier(&db, OPERATOR(), "acme", "Acme").await.expect("insert");
    insert_model(&db, OPERATOR(), model("acme/m", PRICE)).await.expect("insert");
    let edit = ModelEdit { input_ppm: Some(500_000), ..ModelEdit::default() };
    update_model(&db, OPERATOR(), "acme/m", edit).await.expect("update");
    let row = all_models(&db).await.expect("list").remove(0);
    assert_eq!((row.price_version, row.input_ppm, row.cached_ppm, row.output_ppm), (2, 500_000, 500_000, 3_000_000));
    let first = sqlx::query!("SELECT input_ppm FROM model_prices WHERE model_id = 'acme/m' AND version = 1").fetch_one(&db).await;
    assert_eq!(first.expect("kept").input_ppm, 1_000_000);

    let edit = ModelEdit { max_output_tokens: Some(50), ..ModelEdit::default() };
    update_model(&db, OPERATOR(), "acme/m", edit).await.expect("update");
    assert_eq!(all_models(&db).await.expect("list")[0].price_version, 2, "an edit of something else is no new price");
}

#[sqlx::test]
async fn concurrent_price_edits_get_versions_of_their_own(db: PgPool) {
    insert_supplier(&db, OPERATOR(), "acme", "Acme").await.expect("insert");
    insert_model(&db, OPERATOR(), model("acme/m", PRICE)).await.expect("insert");
    let edit = |ppm| update_model(&db, OPERATOR(), "acme/m", ModelEdit { output_ppm: Some(ppm), ..ModelEdit::default() });
    let (a, b, c, d) = tokio::join!(edit(1), edit(2), edit(3), edit(4));
    for done in [a, b, c, d] {
        done.expect("edit");
    }
    assert_eq!(all_models(&db).await.expect("list")[0].price_version, 5);
}

#[sqlx::test]
async fn model_limits_are_named(db: PgPool) {
    insert_supplier(&db, OPERATOR(), "acme", "Acme").await.expect("insert");
    let insert = |new| insert_model(&db, OPERATOR(), new);
    assert!(matches!(insert(model("no-vendor", PRICE)).await, Err(SupplierError::ModelIdMalformed)));
    let dear = Price { cached_ppm: 2_000_000, ..PRICE };
    assert!(matches!(insert(model("acme/m", dear)).await, Err(SupplierError::CachedAboveInput)));
    assert!(matches!(insert(NewModel { max_output_tokens: 1001, ..model("acme/m", PRICE) }).await, Err(SupplierError::OutputRange)));
    assert!(matches!(
        insert(NewModel { supplier_slug: "nobody".into(), ..model("acme/m", PRICE) }).await,
        Err(SupplierError::UnknownSupplier)
    ));
    insert(model("acme/m", PRICE)).await.expect("insert");
    assert!(matches!(insert(model("acme/m", PRICE)).await, Err(SupplierError::ModelExists)));
    assert_eq!(actions(&db, "model.add").await, 1);
}
