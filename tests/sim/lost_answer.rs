//! A connection that breaks after an admission committed and before its answer came: asked again, it is the same admission; not
//! asked again, its hold is nobody's and is reaped.

use crate::dice::Dice;
use crate::model::{HOLD_FOR, Model};
use crate::op::Op;
use crate::run;
use crate::world::{self, Answer, World};
use chrono::TimeDelta;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::net::Ipv4Addr;
use toki::ids::{ReplicaId, RequestId};
use toki::wallet::ledger::{self, AdmissionRequest, Scope};

/// A world with one account, one key, and Tokens for the request.
async fn asked(pools: [PgPool; 2]) -> (World, Model, AdmissionRequest) {
    let (mut model, mut world) = run::begin(&mut Dice::new(1), pools).await;
    let account = world.apply(&Op::SignUp, &model).await.account.expect("an account");
    model.sign_up(account, 0);
    let (tokens, valid_for, scope) = (10_000, 90, Scope::default());
    world.apply(&Op::Credit { account, tokens, valid_for, scope, like: None }, &model).await;
    let new = Op::InsertKey { account, member: 0, supplier_id: None, quota: None, expires: None, enabled: true };
    let Answer { key: Some((_, secret_hash)), .. } = world.apply(&new, &model).await else { panic!("no key") };
    let request = AdmissionRequest {
        request_id: RequestId::generate(),
        secret_hash,
        model_id: model.offers[0].model_id.clone(),
        protocol: "openai",
        input_tokens: 100,
        output_limit: Some(1),
        choices: 1,
        exact: true,
        endpoint: "chat/completions",
        streamed: false,
        address: Ipv4Addr::LOCALHOST.into(),
        idempotency: None,
    };
    (world, model, request)
}

/// `ledger` says that all its statements may be repeated; the gateway does repeat this one when a connection breaks.
#[sqlx::test]
async fn an_admission_may_be_asked_again_when_its_answer_was_lost(options: PgPoolOptions, connect: PgConnectOptions) {
    let (world, _, request) = asked(crate::pools(&options, &connect).await).await;
    let (db, owner) = (world.db(), ReplicaId::generate());
    let lost = world::admit(db, std::slice::from_ref(&request), owner, &[], false).await;
    let again = world::admit(db, &[request], owner, &[], true).await;
    assert_eq!(again.lines, lost.lines, "the same hold, not another, and no refusal");
    assert_eq!(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM holds").fetch_one(db).await.expect("count"), 1);
}

/// Its replica lives and runs other calls, but not this one: nobody will ever settle it, so its hold must pass its deadline.
#[sqlx::test]
async fn a_hold_that_its_replica_does_not_know_is_reaped(options: PgPoolOptions, connect: PgConnectOptions) {
    let (mut world, model, request) = asked(crate::pools(&options, &connect).await).await;
    let owner = ReplicaId::generate();
    let (requests, running) = (vec![request], Vec::new());
    world.apply(&Op::Admit { requests, owner, crash: None, lost: false, running }, &model).await;
    for _ in 0..3 {
        world.apply(&Op::Clock { hours: 1 }, &model).await;
        ledger::extend_holds(world.db(), owner, TimeDelta::minutes(HOLD_FOR), &[]).await.expect("extended");
    }
    let reaped = ledger::reap_holds(world.db(), 500).await.expect("reaped");
    assert_eq!(reaped, 1, "held for ever: each heartbeat extends what it does not know");
}
