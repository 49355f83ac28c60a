//! Operations at once, on several connections. Their order is the database's to choose: the model follows the order that the rows
//! show, and then every answer, of refused calls too, must be the one of a moment in that order.

use crate::compare;
use crate::model::{Decision, Model};
use crate::op::Op;
use crate::world::{self, Answer, World};
use futures::future::join_all;
use sqlx::PgPool;
use std::collections::HashMap;
use toki::ids::RequestId;
use toki::wallet::ledger;
use uuid::Uuid;

/// The moments of calls: the clock of calls stands still, so what writes a hold or a record says, under its locks, which came first.
pub async fn install(db: &PgPool) {
    for sql in [
        "CREATE SEQUENCE sim.moment",
        "CREATE TABLE sim.moments (request_id uuid PRIMARY KEY, moment bigint NOT NULL)",
        "CREATE FUNCTION sim.note_moment() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO sim.moments VALUES (NEW.request_id, nextval('sim.moment'))
                 ON CONFLICT (request_id) DO UPDATE SET moment = excluded.moment;
             RETURN NULL;
         END
         $$",
        "CREATE TRIGGER holds_moment AFTER INSERT ON holds FOR EACH ROW EXECUTE FUNCTION sim.note_moment()",
        "CREATE TRIGGER usage_records_moment AFTER INSERT OR UPDATE ON usage_records FOR EACH ROW EXECUTE FUNCTION sim.note_moment()",
    ] {
        sqlx::query(sql).execute(db).await.expect("moments");
    }
}

/// Something that happened at one moment, under its locks.
enum Event<'a> {
    Part(&'a Op, &'a Answer),
    Reaped(Vec<RequestId>),
}

/// Runs the parts at once and takes the model through the same; answers the admitted calls, or what did not fit.
pub async fn run(world: &World, model: &mut Model, parts: &[Op]) -> Result<Answer, String> {
    let overdue = model.overdue();
    let answers = join_all(parts.iter().enumerate().map(|(at, part)| one(world, &world.pools[at % 2], part))).await;
    let decided = moments(world.db(), parts, &overdue).await;

    let (mut dated, mut undated, mut edits) = (Vec::new(), Vec::new(), Vec::new());
    for (part, answer) in parts.iter().zip(&answers) {
        match (part, moment(part, answer, &decided)) {
            (_, Some(at)) => dated.push((at, Event::Part(part, answer))),
            (Op::Sweep(_) | Op::Reap { .. }, None) => {}
            (Op::EditKey { .. } | Op::Suspend { .. }, None) => edits.push(Event::Part(part, answer)),
            (_, None) => undated.push((part, answer)),
        }
    }
    let mut reaped: HashMap<i64, Vec<RequestId>> = HashMap::new();
    for (request_id, decided) in overdue.iter().filter_map(|id| Some((id, decided.get(id)?))).filter(|(_, decided)| decided.interrupted) {
        reaped.entry(decided.at).or_default().push(*request_id);
    }
    dated.extend(reaped.into_iter().map(|(at, calls)| (at, Event::Reaped(calls))));
    dated.sort_by_key(|(at, _)| *at);
    let mut events: Vec<Event> = dated.into_iter().map(|(_, event)| event).collect();

    *model = if edits.is_empty() { follow(model, &events, &undated)? } else { place(model, &mut events, edits, &undated)? };
    if parts.iter().any(|part| matches!(part, Op::Sweep(_))) {
        // What a settlement gave back after the sweep is for the next one; then the order no longer matters.
        ledger::sweep_expired_grants(world.db(), 500).await.expect("swept");
        model.sweep();
    }
    let admitted = answers.iter().flat_map(|answer| answer.admitted.iter().cloned()).collect();
    Ok(Answer { admitted, ..Answer::default() })
}

/// Tries the one edit, whose moment no row tells, at every place in the order.
fn place<'a>(model: &Model, events: &mut Vec<Event<'a>>, edits: Vec<Event<'a>>, undated: &[(&Op, &Answer)]) -> Result<Model, String> {
    let [edit] = <[Event; 1]>::try_from(edits).unwrap_or_else(|_| panic!("more than one edit"));
    events.push(edit);
    let mut at = events.len() - 1;
    loop {
        match follow(model, events, undated) {
            Err(_) if at > 0 => events.swap(at, at - 1),
            result => return result,
        }
        at -= 1;
    }
}

async fn one(world: &World, db: &PgPool, part: &Op) -> Answer {
    match part {
        Op::Admit { requests, owner, running, .. } => world::admit(db, requests, *owner, running, false).await,
        Op::Settle { settlements, .. } => world::settle(db, settlements).await,
        Op::EditKey { by, key, change } => world.edit_key(db, *by, *key, *change).await,
        Op::Suspend { account, suspended } => world::suspend(db, *account, *suspended).await,
        Op::Reap { most, waits } => {
            world::with_retries(async || world::reap(db, *most, *waits).await).await;
            Answer::default()
        }
        Op::Sweep(most) => {
            ledger::sweep_expired_grants(db, *most).await.expect("swept");
            Answer::default()
        }
        other => panic!("not at once: {other}"),
    }
}

/// The model after these events in this order, if all that was answered is what it expects.
fn follow(model: &Model, events: &[Event], undated: &[(&Op, &Answer)]) -> Result<Model, String> {
    let mut model = model.clone();
    let mut undated = undated.to_vec();
    strike_those_that_fit(&mut model, &mut undated);
    for event in events {
        match event {
            Event::Reaped(calls) => model.reap(calls),
            Event::Part(part, answer) => {
                let differs = compare::difference(&expected(&mut model, part), &answer.lines);
                if !differs.is_empty() {
                    return Err(format!("at once, {part}\n{differs}"));
                }
            }
        }
        strike_those_that_fit(&mut model, &mut undated);
    }
    match undated.first() {
        Some((part, answer)) => Err(format!("no moment at which this is the answer: {part}\n  {:?}\n", answer.lines)),
        None => Ok(model),
    }
}

fn expected(model: &mut Model, part: &Op) -> Vec<String> {
    match part {
        Op::Admit { requests, owner, running, lost, .. } => model.admit(requests, *owner, running, *lost),
        Op::Settle { settlements, .. } => model.settle(settlements),
        Op::EditKey { by, key, change } => vec![model.edit_key(*by, *key, *change).into()],
        Op::Suspend { account, suspended } => {
            model.set_suspended(*account, *suspended);
            Vec::new()
        }
        other => panic!("not at once: {other}"),
    }
}

/// Parts that changed nothing left no row that says when they were decided: any moment at which the answer was true will do.
fn strike_those_that_fit(model: &mut Model, undated: &mut Vec<(&Op, &Answer)>) {
    undated.retain(|(part, answer)| {
        let changes = match part {
            Op::Admit { requests, owner, .. } => requests.iter().any(|request| matches!(model.decide(request, *owner), Decision::Hold(_))),
            Op::Settle { settlements, .. } => settlements.iter().any(|settlement| {
                let record = model.records.get(&settlement.request_id);
                record.is_none_or(|record| record.is_completed_by_a_late_report())
            }),
            _ => true,
        };
        changes || expected(model, part) != answer.lines
    });
}

struct Decided {
    at: i64,
    interrupted: bool,
}

/// When each of the calls was admitted or settled.
async fn moments(db: &PgPool, parts: &[Op], overdue: &[RequestId]) -> HashMap<RequestId, Decided> {
    let named = parts.iter().flat_map(|part| match part {
        Op::Admit { requests, .. } => requests.iter().map(|request| request.request_id.0).collect::<Vec<_>>(),
        Op::Settle { settlements, .. } => settlements.iter().map(|settlement| settlement.request_id.0).collect(),
        _ => Vec::new(),
    });
    let calls: Vec<Uuid> = named.chain(overdue.iter().map(|request_id| request_id.0)).collect();
    let rows: Vec<(Uuid, i64, bool)> = sqlx::query_as(
        "SELECT m.request_id, m.moment,
                EXISTS (SELECT FROM usage_records u WHERE u.request_id = m.request_id AND u.outcome = 'interrupted')
           FROM sim.moments m WHERE m.request_id = ANY ($1)",
    )
    .bind(&calls)
    .fetch_all(db)
    .await
    .expect("moments");
    rows.into_iter().map(|(request_id, at, interrupted)| (RequestId(request_id), Decided { at, interrupted })).collect()
}

/// When a part was decided, if it changed anything.
fn moment(part: &Op, answer: &Answer, decided: &HashMap<RequestId, Decided>) -> Option<i64> {
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
