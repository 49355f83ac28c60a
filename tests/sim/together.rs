//! Operations at once, on several connections. Their order is the database's to choose: the model follows the order that the rows
//! show, and then every answer, of refused calls too, must be the one of a moment in that order.

use crate::compare;
use crate::model::Model;
use crate::op::Op;
use crate::world::{self, Answer, World};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use sqlx::PgPool;
use std::collections::HashMap;
use toki::ids::RequestId;
use toki::wallet::ledger;
use uuid::Uuid;

/// Something that happened at one moment under its locks.
enum Event<'a> {
    Part(&'a Op, Answer),
    Reaped(Vec<RequestId>),
}

/// Runs the parts at once and takes the model through the same; answers the admitted calls, or what did not fit.
pub async fn run(world: &World, model: &mut Model, parts: &[Op]) -> Result<Answer, String> {
    let overdue = model.overdue();
    let answers = join_all(parts.iter().enumerate().map(|(at, part)| one(&world.pools[at % 2], part))).await;
    let admitted = answers.iter().flat_map(|answer| answer.admitted.iter().cloned()).collect();
    let decided = moments(world.db(), parts, &overdue).await;

    let (mut ordered, mut floating) = (Vec::new(), Vec::new());
    let mut swept = false;
    for (part, answer) in parts.iter().zip(answers) {
        match moment(part, &answer, &decided) {
            Some(at) => ordered.push((at, Event::Part(part, answer))),
            None if matches!(part, Op::Sweep(_)) => swept = true,
            None if matches!(part, Op::Reap(_)) => {}
            None => floating.push((part, answer)),
        }
    }
    let mut reaped: HashMap<DateTime<Utc>, Vec<RequestId>> = HashMap::new();
    for (request_id, decided) in overdue.iter().filter_map(|id| Some((id, decided.get(id)?))).filter(|(_, decided)| decided.interrupted) {
        reaped.entry(decided.at).or_default().push(*request_id);
    }
    ordered.extend(reaped.into_iter().map(|(at, calls)| (at, Event::Reaped(calls))));
    ordered.sort_by_key(|(at, _)| *at);

    strike_those_that_fit(model, &mut floating);
    for (_, event) in ordered {
        match event {
            Event::Reaped(calls) => model.reap(&calls),
            Event::Part(part, answer) => {
                let differs = compare::difference(&expected(model, part), &answer.lines);
                if !differs.is_empty() {
                    return Err(format!("at once, {part}\n{differs}"));
                }
            }
        }
        strike_those_that_fit(model, &mut floating);
    }
    if let Some((part, answer)) = floating.first() {
        return Err(format!("no moment at which this is the answer: {part}\n  {:?}\n", answer.lines));
    }
    if swept {
        // What a settlement gave back after the sweep is for the next one; then the order no longer matters.
        ledger::sweep_expired_grants(world.db(), 500).await.expect("swept");
        model.sweep();
    }
    Ok(Answer { admitted, ..Answer::default() })
}

async fn one(db: &PgPool, part: &Op) -> Answer {
    match part {
        Op::Admit { requests, owner, .. } => world::admit(db, requests, *owner).await,
        Op::Settle { settlements, .. } => world::settle(db, settlements).await,
        Op::Reap(most) => {
            ledger::reap_holds(db, *most).await.expect("reaped");
            Answer::default()
        }
        Op::Sweep(most) => {
            ledger::sweep_expired_grants(db, *most).await.expect("swept");
            Answer::default()
        }
        other => panic!("not at once: {other}"),
    }
}

fn expected(model: &mut Model, part: &Op) -> Vec<String> {
    match part {
        Op::Admit { requests, owner, .. } => model.admit(requests, *owner),
        Op::Settle { settlements, .. } => model.settle(settlements),
        other => panic!("not at once: {other}"),
    }
}

/// Parts that changed nothing left no row that says when they were decided: any moment at which the answer was true will do.
fn strike_those_that_fit(model: &mut Model, floating: &mut Vec<(&Op, Answer)>) {
    floating.retain(|(part, answer)| {
        let changes = match part {
            Op::Admit { requests, owner, .. } => {
                requests.iter().any(|request| matches!(model.decide(request, *owner), crate::model::Decision::Hold(_)))
            }
            Op::Settle { settlements, .. } => settlements.iter().any(|settlement| !model.records.contains_key(&settlement.request_id)),
            _ => true,
        };
        changes || expected(model, part) != answer.lines
    });
}

struct Decided {
    at: DateTime<Utc>,
    interrupted: bool,
}

/// When each of the calls was admitted or settled, as its row says.
async fn moments(db: &PgPool, parts: &[Op], overdue: &[RequestId]) -> HashMap<RequestId, Decided> {
    let named = parts.iter().flat_map(|part| match part {
        Op::Admit { requests, .. } => requests.iter().map(|request| request.request_id.0).collect::<Vec<_>>(),
        Op::Settle { settlements, .. } => settlements.iter().map(|settlement| settlement.request_id.0).collect(),
        _ => Vec::new(),
    });
    let calls: Vec<Uuid> = named.chain(overdue.iter().map(|request_id| request_id.0)).collect();
    let rows: Vec<(Uuid, DateTime<Utc>, bool)> = sqlx::query_as(
        "SELECT request_id, recorded_at, outcome = 'interrupted' FROM usage_records WHERE request_id = ANY ($1)
         UNION ALL SELECT request_id, created_at, false FROM holds WHERE request_id = ANY ($1)",
    )
    .bind(&calls)
    .fetch_all(db)
    .await
    .expect("moments");
    rows.into_iter().map(|(request_id, at, interrupted)| (RequestId(request_id), Decided { at, interrupted })).collect()
}

/// When a part was decided, if it changed anything.
fn moment(part: &Op, answer: &Answer, decided: &HashMap<RequestId, Decided>) -> Option<DateTime<Utc>> {
    let first = match part {
        Op::Admit { .. } => answer.admitted.first()?.request_id,
        Op::Settle { settlements, .. } => {
            let lines = settlements.iter().zip(&answer.lines);
            lines.into_iter().find(|(_, line)| line.contains(" first true "))?.0.request_id
        }
        _ => return None,
    };
    decided.get(&first).map(|decided| decided.at)
}
