//! What the simulator cannot draw yet, because the product does not do it: a connection that breaks after an admission committed and
//! before its answer came. The tests are marked by what they fail with; once they pass, strike the marks and make this an operation.

use crate::dice::Dice;
use crate::model::{HOLD_FOR, Model};
use crate::op::Op;
use crate::run;
use crate::world::{Answer, World};
use chrono::TimeDelta;
use sqlx::PgPool;
use toki::ids::{ReplicaId, RequestId};
use toki::wallet::ledger::{self, AdmissionRequest, Scope};

/// A world with one account, one key, and Tokens for the request.
async fn asked(db: &PgPool) -> (World, Model, AdmissionRequest) {
    let (mut model, mut world) = run::begin(&mut Dice::new(1), [db.clone(), db.clone()]).await;
    let account = world.apply(&Op::SignUp, &model).await.account.expect("an account");
    model.sign_up(account, 0);
    let (tokens, valid_for, scope) = (10_000, 90, Scope::default());
    world.apply(&Op::Credit { account, tokens, valid_for, scope, like: None }, &model).await;
    let new = Op::InsertKey { account, supplier_id: None, quota: None, expires: None, enabled: true };
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
    };
    (world, model, request)
}

/// `ledger` says that all its statements may be repeated; the gateway does repeat this one when a connection breaks.
#[sqlx::test]
#[should_panic(expected = "holds_pkey")]
async fn an_admission_may_be_asked_again_when_its_answer_was_lost(db: PgPool) {
    let (mut world, model, request) = asked(&db).await;
    let admit = Op::Admit { requests: vec![request], owner: ReplicaId::generate(), crash: None };
    let lost = world.apply(&admit, &model).await;
    assert_eq!(world.apply(&admit, &model).await.lines, lost.lines, "the same hold, not another, and no refusal");
}

/// Its replica lives and runs other calls, but not this one: nobody will ever settle it, so its hold must pass its deadline.
#[sqlx::test]
#[should_panic(expected = "held for ever")]
async fn a_hold_that_its_replica_does_not_know_is_reaped(db: PgPool) {
    let (mut world, model, request) = asked(&db).await;
    let owner = ReplicaId::generate();
    world.apply(&Op::Admit { requests: vec![request], owner, crash: None }, &model).await;
    for _ in 0..3 {
        world.apply(&Op::Clock { hours: 1 }, &model).await;
        ledger::extend_holds(&db, owner, TimeDelta::minutes(HOLD_FOR)).await.expect("extended");
    }
    assert_eq!(ledger::reap_holds(&db, 500).await.expect("reaped"), 1, "held for ever: each heartbeat extends what it does not know");
}
