//! One run: draw an operation, tell it to the model and to the product, and compare what they say and what they are.

use crate::clock::{self, MOST_REAL};
use crate::compare;
use crate::dice::Dice;
use crate::generate;
use crate::model::{Code, Key, KeyState, Model, Offer, PRICE, Package, Rates, Supplier};
use crate::op::{CrashPoint, Op};
use crate::together;
use crate::traffic::Traffic;
use crate::world::{Answer, World, operator};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;
use toki::catalog::store::{NewPackage, insert_package};
use toki::checkout::types::Start;
use toki::ids::{AccountId, KeyId, RequestId};
use toki::keys::secret::Pepper;
use toki::money::{Currency, Money};
use toki::suppliers::store::insert_supplier;
use toki::suppliers::store::{NewModel, insert_model};
use toki::tokens::Tokens;
use toki::wallet::audit::{Difference, audit};
use toki::wallet::ledger::Scope;

/// Of everything, not only of what an operation touched.
const COMPARE_EVERY: u64 = 50;
const AUDIT_EVERY: u64 = 200;
const REMEMBERED: usize = 20;

pub struct Run {
    seed: u64,
    ops: u64,
    dice: Dice,
    model: Model,
    traffic: Traffic,
    world: World,
    log: VecDeque<String>,
    /// The first words of all answers, and how often each came.
    seen: BTreeMap<String, u64>,
}

impl Run {
    pub async fn new(pools: [PgPool; 2], seed: u64, ops: u64) -> Run {
        let mut dice = Dice::new(seed);
        let (model, world) = begin(&mut dice, pools).await;
        Run { seed, ops, dice, model, traffic: Traffic::new(), world, log: VecDeque::new(), seen: BTreeMap::new() }
    }

    /// Panics at the first difference, with all that it takes to see it again. Says how often each kind of answer came.
    pub async fn go(mut self) -> BTreeMap<String, u64> {
        let begun = Instant::now();
        for step in 1..=self.ops {
            let op = generate::next(&mut self.dice, &self.model, &self.traffic, step);
            self.remember(step, &op);
            if let Err(differs) = self.step(step, &op).await {
                self.fail(step, &differs);
            }
        }
        if let Err(differs) = self.compare_all(true).await {
            self.fail(self.ops, &differs);
        }
        assert!(begun.elapsed().as_secs() < MOST_REAL as u64 * 60, "this run took too long for its clock to be right: make it shorter");
        self.seen
    }

    fn remember(&mut self, step: u64, op: &Op) {
        self.log.push_back(format!("{step:>6}  {op}"));
        if self.log.len() > REMEMBERED {
            self.log.pop_front();
        }
    }

    async fn step(&mut self, step: u64, op: &Op) -> Result<(), String> {
        let answer = match op {
            Op::Together(parts) => together::run(&self.world, &mut self.model, parts).await?,
            Op::Retire(account) => {
                self.compare_account(*account).await?;
                self.both(step, op).await?
            }
            _ => self.both(step, op).await?,
        };
        self.traffic.note(op, &answer.admitted, self.model.now);
        for word in answer.lines.iter().filter_map(|line| line.split(' ').next()) {
            *self.seen.entry(word.to_string()).or_default() += 1;
        }
        if step.is_multiple_of(COMPARE_EVERY) {
            self.compare_all(step.is_multiple_of(AUDIT_EVERY)).await
        } else {
            let accounts: Vec<_> = self.model.touched.iter().copied().collect();
            let calls: Vec<_> = self.model.touched_calls.iter().copied().collect();
            self.compare(&accounts, &calls).await
        }
    }

    async fn both(&mut self, step: u64, op: &Op) -> Result<Answer, String> {
        let answer = self.world.apply(op, &self.model).await;
        let expected = self.tell(step, op, &answer);
        let differs = compare::difference(&expected, &answer.lines);
        if differs.is_empty() {
            return Ok(answer);
        }
        let states = self.compare_all(false).await.err().unwrap_or_default();
        Err(format!("answers differ\n{differs}{states}"))
    }

    /// Tells the model, with the ids that the product made, and answers what it expects to be said.
    fn tell(&mut self, step: u64, op: &Op, answer: &Answer) -> Vec<String> {
        let model = &mut self.model;
        let did = |count: usize| vec![format!("did {count}")];
        match op {
            Op::SignUp => model.sign_up(answer.account.expect("an account"), step),
            Op::Retire(account) => model.retire(*account),
            Op::Purchase { account, package, starts, payment } => {
                let expected = model.purchase(*account, *payment);
                if expected.contains(&"fulfilled") {
                    let Package { tokens, valid_for, scope, rolls_over } = model.packages[*package].clone();
                    let grant_id = answer.grant.expect("a grant of a fulfilled order");
                    model.roll_over_ended(*account);
                    let after = model.last_end(*account, *package).filter(|_| *starts == Start::AfterCurrent);
                    model.issue(*account, grant_id, tokens, valid_for, scope, None);
                    model.buy(*account, answer.order.expect("an order"), grant_id, tokens);
                    model.bought_as(*account, grant_id, *package, rolls_over);
                    match after {
                        Some(end) => model.queue(*account, grant_id, end, valid_for),
                        None if rolls_over => model.roll_over(*account, *package, grant_id),
                        None => {}
                    }
                }
                return expected.iter().map(|line| line.to_string()).collect();
            }
            Op::Refund { order, part, told, .. } => {
                return vec![model.or_undone(|model| model.refund(*order, *part, *told, answer.refund)).into()];
            }
            Op::RefundElsewhere { order, amount, .. } => return vec![model.refund_elsewhere(*order, *amount).into()],
            Op::RefundTold { order, at, told, .. } => return vec![model.refund_told(*order, *at, *told).into()],
            Op::DisputeTold { order, at, dispute } => return vec![model.dispute_told(*order, *at, *dispute).into()],
            Op::TakeLeftovers => model.take_leftovers(),
            Op::MakeCode(code) => {
                model.volatile.clear();
                model.codes.push(code.clone());
            }
            Op::Redeem { account, code } => {
                let expected = model.redeem(*account, *code);
                if expected == "redeemed" {
                    let Code { tokens, valid_for, scope, .. } = model.codes[*code].clone();
                    model.issue(*account, answer.grant.expect("a grant of a redeemed code"), tokens, valid_for, scope, None);
                }
                return vec![expected.into()];
            }
            Op::Credit { account, tokens, valid_for, scope, like } => {
                model.issue(*account, answer.grant.expect("a grant"), *tokens, *valid_for, scope.clone(), *like);
            }
            Op::TakeBack { account, grant, tokens } => {
                return vec![model.or_undone(|model| model.take_back(*account, *grant, *tokens)).into()];
            }
            Op::Transfer { from, to, tokens } => {
                return vec![model.or_undone(|model| model.transfer(*from, *to, *tokens, &answer.grants)).into()];
            }
            Op::InsertKey { account, member, supplier_id, quota, expires, enabled } => {
                let (member, quota, now, supplier_id) = (*member, *quota, model.now, *supplier_id);
                let key = answer.key.map(|(key_id, secret_hash)| {
                    let state = if *enabled { KeyState::Enabled } else { KeyState::Disabled };
                    let expires = expires.map(|minutes| now + minutes);
                    let (spent, held, period, began, used, rates, blurred) = (0, 0, None, None, 0, Rates::default(), i64::MIN);
                    Key {
                        key_id,
                        member,
                        secret_hash,
                        supplier_id,
                        quota,
                        spent,
                        held,
                        state,
                        expires,
                        period,
                        began,
                        used,
                        rates,
                        blurred,
                    }
                });
                return model.insert_key(*account, key, supplier_id);
            }
            Op::EditKey { by, key, change } => return vec![model.edit_key(*by, *key, *change).into()],
            Op::LimitMember { account, member, quota } => model.limit_member(*account, *member, *quota),
            Op::LimitKey { key, limit } => return vec![model.limit_key(*key, *limit).into()],
            Op::LimitCalls { subject, limits } => return vec![model.limit_calls(*subject, *limits).into()],
            Op::Suspend { account, suspended } => model.set_suspended(*account, *suspended),
            Op::Supplier { at, enabled } => model.set_supplier(*at, *enabled),
            Op::Offer { at, enabled } => model.set_offer(*at, *enabled),
            Op::Reprice { at, price } => model.set_price(*at, *price),
            Op::Admit { crash: Some(CrashPoint::BeforeHold), .. } | Op::Settle { crash: Some(CrashPoint::BeforeSettlement), .. } => {}
            Op::Admit { requests, owner, running, lost, .. } => return model.admit(requests, *owner, running, *lost),
            Op::Restore { owner, running } => return vec![format!("restored {}", model.restore(*owner, running))],
            Op::Settle { settlements, .. } => return model.settle(settlements),
            Op::Extend(owner) => return model.extend(*owner),
            Op::Kept(kept) => return model.keep(*kept),
            Op::Reap { .. } => {
                let overdue = model.overdue();
                model.reap(&overdue);
                return did(overdue.len());
            }
            Op::Sweep(_) => return did(model.sweep()),
            Op::CrashReplica(_) | Op::Together(_) => {}
            Op::Forget(request_ids) => model.forget(request_ids),
            Op::Clock { hours } => {
                model.volatile.clear();
                model.now += hours * 60;
            }
        }
        Vec::new()
    }

    async fn compare_all(&mut self, with_audit: bool) -> Result<(), String> {
        let accounts: Vec<_> = self.model.accounts.iter().map(|account| account.account_id).collect();
        let calls: Vec<_> = self.model.records.keys().copied().collect();
        self.compare(&accounts, &calls).await?;
        for account in accounts {
            let (model, product) = (self.model.shown(account), compare::shown(self.world.db(), account).await);
            let differs = compare::difference(&[model], &[product]);
            if !differs.is_empty() {
                return Err(format!("pages differ\n{differs}"));
            }
        }
        if with_audit { self.audit().await } else { Ok(()) }
    }

    /// It finds just the holds that wait for the reaper.
    async fn audit(&self) -> Result<(), String> {
        let found = audit(self.world.db(), None).await.expect("an audit").differences;
        let is_late = |difference: &&Difference| difference.what == "minutes past its deadline";
        let mut late: Vec<String> = found.iter().filter(is_late).map(|difference| difference.subject.clone()).collect();
        let mut overdue: Vec<String> = self.model.overdue().iter().map(|request_id| format!("hold {request_id}")).collect();
        late.sort();
        overdue.sort();
        let differs = compare::difference(&overdue, &late);
        let is_blurred = |difference: &Difference| {
            let is_of = |key_id: &KeyId| difference.subject == format!("key {key_id}");
            difference.what == "used of its period" && self.model.blurred_keys().any(|key_id| is_of(&key_id))
        };
        let others = found.iter().filter(|difference| !is_late(difference) && !is_blurred(difference));
        let lines: String = others.map(|difference| format!("  {difference}\n")).collect();
        if differs.is_empty() && lines.is_empty() { Ok(()) } else { Err(format!("the audit is not as expected\n{differs}{lines}")) }
    }

    async fn compare_account(&mut self, account: AccountId) -> Result<(), String> {
        let theirs = self.model.records.iter().filter(|(_, record)| record.account_id == account);
        let calls: Vec<_> = theirs.map(|(request_id, _)| *request_id).collect();
        self.compare(&[account], &calls).await
    }

    async fn compare(&mut self, accounts: &[AccountId], calls: &[RequestId]) -> Result<(), String> {
        self.model.touched.clear();
        self.model.touched_calls.clear();
        if accounts.is_empty() && calls.is_empty() {
            return Ok(());
        }
        let product = compare::lines(self.world.db(), accounts, calls).await;
        let differs = compare::difference(&self.model.lines(accounts, calls), &product);
        if differs.is_empty() { Ok(()) } else { Err(format!("states differ\n{differs}")) }
    }

    fn fail(&self, step: u64, differs: &str) -> ! {
        let log: Vec<&str> = self.log.iter().map(String::as_str).collect();
        let seed = self.seed;
        panic!(
            "seed {seed}, operation {step}: {differs}\nthe last operations:\n{}\n\nto see it again:\n  \
             SIM_SEED={seed} SIM_OPS={step} cargo test --features ssr --test sim replay\n",
            log.join("\n")
        );
    }
}

/// An empty database, furnished, and the model of it.
pub async fn begin(dice: &mut Dice, pools: [PgPool; 2]) -> (Model, World) {
    reset(&pools[0]).await;
    let mut model = Model::default();
    clock::set(&pools[0], model.now).await;
    let (pepper, now) = (Pepper::derive(&[7; 32]), model.now);
    let (packages, codes, members, colleagues) = (Vec::new(), Vec::new(), HashMap::new(), HashMap::new());
    let mut world = World { pools, pepper, packages, codes, members, colleagues, made: 0, now };
    furnish(dice, &mut model, &mut world).await;
    (model, world)
}

/// Empties the database of the run before, all but what migrations had put there. The tables that only grow refuse that, for everybody but
/// a superuser who insists.
async fn reset(db: &PgPool) {
    let mut tx = db.begin().await.expect("begin");
    for sql in [
        "SET LOCAL session_replication_role = replica",
        "DO $$
         BEGIN
             EXECUTE (SELECT 'TRUNCATE sim.moments, ' || string_agg(quote_ident(relname), ', ')
                        FROM pg_class
                       WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                         AND relname NOT IN ('_sqlx_migrations', 'usage_coverage'));
         END
         $$",
    ] {
        sqlx::query(sql).execute(&mut *tx).await.expect("emptied");
    }
    tx.commit().await.expect("commit");
}

/// Suppliers with a channel and two models each, and packages.
async fn furnish(dice: &mut Dice, model: &mut Model, world: &mut World) {
    let db = world.db().clone();
    for slug in ["acme", "bolt", "cord"] {
        let supplier_id = insert_supplier(&db, operator(), slug, slug).await.expect("a supplier");
        // Not through its store, which would look its address up.
        sqlx::query("INSERT INTO channels (channel_id, supplier_id, base_url) VALUES ($1, $2, 'http://127.0.0.1:9')")
            .bind(RequestId::generate().0)
            .bind(supplier_id.0)
            .execute(&db)
            .await
            .expect("a channel");
        model.suppliers.push(Supplier { supplier_id, slug: slug.into(), enabled: true });
        for size in ["small", "large"] {
            let (model_id, price, max_output) = (format!("{slug}/{size}"), generate::price(dice), dice.between(1, 400));
            let text = vec!["text".to_string()];
            let new = NewModel {
                model_id: model_id.clone(),
                supplier_slug: slug.into(),
                upstream_id: size.into(),
                context_tokens: 1_000,
                max_output_tokens: max_output,
                input_kinds: text.clone(),
                output_kinds: text,
                price,
            };
            insert_model(&db, operator(), new).await.expect("a model");
            model.offers.push(Offer { model_id, supplier_id, enabled: true, max_output, version: 1, price });
        }
    }
    for (at, slug) in [None, Some("acme"), None].into_iter().enumerate() {
        let (tokens, valid_for) = (dice.between(1, 2_000), dice.between(1, 40) * 60 + 30);
        let price = Money::new(PRICE, Currency::parse("usd").expect("a code"));
        let new = NewPackage {
            supplier_slugs: slug.map(str::to_string).into_iter().collect(),
            rolls_over: at == 2,
            ..NewPackage::plain(&format!("package {at}"), Tokens(tokens), price, valid_for * 60)
        };
        world.packages.push(insert_package(&db, operator(), new).await.expect("a package"));
        let theirs = model.suppliers.iter().filter(|supplier| Some(supplier.slug.as_str()) == slug);
        let scope = Scope { supplier_ids: theirs.map(|supplier| supplier.supplier_id.0).collect(), ..Scope::default() };
        model.packages.push(Package { tokens, valid_for, scope, rolls_over: at == 2 });
    }
}
