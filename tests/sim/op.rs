//! The operations of a run, as plain data: what the model and the product are both told.

use crate::idempotency::Kept;
use crate::model::{CallLimits, Code, Dispute, MemberQuota, PeriodQuota, RefundState};
use std::fmt;
use toki::checkout::types::Start;
use toki::ids::{AccountId, GrantId, KeyId, OrderId, RefundId, ReplicaId, RequestId, SupplierId};
use toki::wallet::ledger::{AdmissionRequest, Price, RunningHold, Scope, Settlement};

/// Where a replica's process may end in the life of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The call had been read; the database was never asked.
    BeforeHold,
    /// The hold is committed; nobody ever runs the call.
    AfterHold,
    /// The answer was delivered; its settlement was never sent, or waits in a spool.
    BeforeSettlement,
    /// The settlement is committed; nobody learnt of it, so it is sent again.
    AfterSettlement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    Once,
    SameEventTwice,
    TwoEvents,
    WrongAmount,
    /// The session expired, and the money came all the same.
    AfterExpiry,
}

/// How much of an order goes back.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Unused,
    Tokens(i64),
    Amount(i64),
    All,
}

/// What the provider says of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Pending,
    Succeeded,
    Failed,
}

impl Told {
    pub fn state(self) -> RefundState {
        match self {
            Told::Pending => RefundState::Pending,
            Told::Succeeded => RefundState::Succeeded,
            Told::Failed => RefundState::Failed,
        }
    }
}

/// A grant that ends when another does: then the age decides which burns first, or with the same age the id.
#[derive(Clone, Copy, Debug)]
pub struct Like {
    pub grant: GrantId,
    pub same_age: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum KeyChange {
    Quota(Option<i64>),
    Supplier(Option<SupplierId>),
    Enabled(bool),
    /// Minutes from now, perhaps in the past; none = never.
    Expires(Option<i64>),
    Deleted,
}

/// Whose calls are limited.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Key(KeyId),
    Account(AccountId),
}

#[derive(Clone)]
pub enum Op {
    SignUp,
    Retire(AccountId),
    Purchase {
        account: AccountId,
        package: usize,
        starts: Start,
        payment: Payment,
    },
    /// An operator asks for it, and the provider answers; nothing = its answer is lost.
    Refund {
        account: AccountId,
        order: OrderId,
        part: Part,
        told: Option<Told>,
    },
    /// Somebody made it at the provider.
    RefundElsewhere {
        order: OrderId,
        at: usize,
        amount: i64,
    },
    /// The provider tells of the refund at this place in the order's list.
    RefundTold {
        order: OrderId,
        at: usize,
        ours: Option<RefundId>,
        amount: i64,
        told: Told,
    },
    DisputeTold {
        order: OrderId,
        at: usize,
        dispute: Dispute,
    },
    TakeLeftovers,
    MakeCode(Code),
    Redeem {
        account: AccountId,
        code: usize,
    },
    Credit {
        account: AccountId,
        tokens: i64,
        valid_for: i64,
        scope: Scope,
        like: Option<Like>,
    },
    TakeBack {
        account: AccountId,
        grant: GrantId,
        tokens: i64,
    },
    Transfer {
        from: AccountId,
        to: AccountId,
        tokens: i64,
    },
    InsertKey {
        account: AccountId,
        member: usize,
        supplier_id: Option<SupplierId>,
        quota: Option<i64>,
        expires: Option<i64>,
        enabled: bool,
    },
    /// `by` = the account whose member asks; none = an operator.
    EditKey {
        by: Option<AccountId>,
        key: KeyId,
        change: KeyChange,
    },
    LimitMember {
        account: AccountId,
        member: usize,
        quota: MemberQuota,
    },
    /// By an operator: the quota of a period, or none.
    LimitKey {
        key: KeyId,
        limit: Option<PeriodQuota>,
    },
    /// By an operator: all three limits of calls.
    LimitCalls {
        subject: Subject,
        limits: CallLimits,
    },
    Suspend {
        account: AccountId,
        suspended: bool,
    },
    Supplier {
        at: usize,
        enabled: bool,
    },
    Offer {
        at: usize,
        enabled: bool,
    },
    Reprice {
        at: usize,
        price: Price,
    },
    Admit {
        requests: Vec<AdmissionRequest>,
        owner: ReplicaId,
        crash: Option<CrashPoint>,
        /// The answer is lost on its way, and asked for again.
        lost: bool,
        /// Calls that the replica runs, whose holds it puts back first if the database does not know it.
        running: Vec<RunningHold>,
    },
    /// A replica notices that the database does not know it, and puts back what it holds for these calls.
    Restore {
        owner: ReplicaId,
        running: Vec<RunningHold>,
    },
    Settle {
        settlements: Vec<Settlement>,
        owner: Option<ReplicaId>,
        crash: Option<CrashPoint>,
    },
    Extend(ReplicaId),
    Kept(Kept),
    /// At most so many in one go, again until nothing is left to do; passing over what is locked, or waiting for it.
    Reap {
        most: i32,
        waits: bool,
    },
    /// At most so many in one go, again until nothing is left to do.
    Sweep(i32),
    CrashReplica(ReplicaId),
    /// The database crashes and forgets the last admissions.
    Forget(Vec<RequestId>),
    /// Time passes, or the clock is set back.
    Clock {
        hours: i64,
    },
    /// Several at once, each on a connection of its own.
    Together(Vec<Op>),
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::SignUp => write!(f, "sign up"),
            Op::Retire(account) => write!(f, "retire account {account}"),
            Op::Purchase { account, package, starts, payment } => {
                write!(f, "purchase by {account} of package {package}, starts {starts:?}, paid {payment:?}")
            }
            Op::Refund { account, order, part, told } => write!(f, "refund {part:?} of order {order} of {account}, answered {told:?}"),
            Op::RefundElsewhere { order, amount, .. } => write!(f, "refund {amount} of order {order} at the provider"),
            Op::RefundTold { order, at, ours, told, .. } => write!(f, "told of refund {at} ({ours:?}) of order {order}: {told:?}"),
            Op::DisputeTold { order, at, dispute } => write!(f, "told of dispute {at} of order {order}: {dispute:?}"),
            Op::TakeLeftovers => write!(f, "take leftovers"),
            Op::MakeCode(code) => write!(f, "make {code:?}"),
            Op::Redeem { account, code } => write!(f, "redeem code {code} by {account}"),
            Op::Credit { account, tokens, valid_for, scope, like } => {
                write!(f, "credit {tokens} to {account} for {valid_for} min, {scope:?}, like {like:?}")
            }
            Op::TakeBack { account, grant, tokens } => write!(f, "take {tokens} of {grant} of {account} back"),
            Op::Transfer { from, to, tokens } => write!(f, "transfer {tokens} from {from} to {to}"),
            Op::InsertKey { account, member, supplier_id, quota, expires, enabled } => {
                write!(
                    f,
                    "key of member {member} of {account}: supplier {supplier_id:?} quota {quota:?} expires {expires:?} enabled {enabled}"
                )
            }
            Op::EditKey { by, key, change } => write!(f, "edit key {key} by {by:?}: {change:?}"),
            Op::LimitMember { account, member, quota } => write!(f, "member {member} of {account}: {quota:?}"),
            Op::LimitKey { key, limit } => write!(f, "key {key}: {limit:?}"),
            Op::LimitCalls { subject, limits } => write!(f, "calls of {subject:?}: {limits:?}"),
            Op::Suspend { account, suspended } => write!(f, "account {account} suspended {suspended}"),
            Op::Supplier { at, enabled } => write!(f, "supplier {at} enabled {enabled}"),
            Op::Offer { at, enabled } => write!(f, "model {at} enabled {enabled}"),
            Op::Reprice { at, price } => write!(f, "model {at} costs {price:?}"),
            Op::Admit { requests, owner, crash, lost, running } => {
                write!(f, "admit {} on {owner}, crash {crash:?}, answer lost {lost}, {} running", requests.len(), running.len())?;
                requests.iter().try_for_each(|request| {
                    let AdmissionRequest { request_id, model_id, input_tokens, output_limit, choices, exact, secret_hash, .. } = request;
                    let hash: String = secret_hash[..3].iter().map(|byte| format!("{byte:02x}")).collect();
                    write!(
                        f,
                        "\n      {request_id} key {hash}… {model_id} input {input_tokens} output {output_limit:?} × {choices} exact {exact}"
                    )?;
                    request.idempotency.map_or(Ok(()), |sent| write!(f, " under {} for {}", sent.key_hash[0], sent.fingerprint[0]))
                })
            }
            Op::Settle { settlements, crash, .. } => {
                write!(f, "settle {}, crash {crash:?}", settlements.len())?;
                settlements.iter().try_for_each(|settlement| {
                    let Settlement { request_id, key_id, outcome, basis, charge, .. } = settlement;
                    write!(f, "\n      {request_id} key {key_id} {outcome:?} {basis:?} charge {}", charge.0)
                })
            }
            Op::Restore { owner, running } => {
                write!(f, "restore {} on {owner}", running.len())?;
                running.iter().try_for_each(|call| write!(f, "\n      {} held {}", call.request_id, call.tokens.0))
            }
            Op::Extend(owner) => write!(f, "extend the holds of {owner}"),
            Op::Kept(kept) => write!(f, "sent under an Idempotency-Key: {kept:?}"),
            Op::Reap { most, waits } => write!(f, "reap{}, {most} in one go", if *waits { ", waiting for locks" } else { "" }),
            Op::Sweep(most) => write!(f, "sweep, {most} in one go"),
            Op::CrashReplica(owner) => write!(f, "crash of replica {owner}"),
            Op::Forget(calls) => write!(f, "crash of the database; forgotten: {calls:?}"),
            Op::Clock { hours } if *hours < 0 => write!(f, "the clock is set back by {} hours", -hours),
            Op::Clock { hours } => write!(f, "{hours} hours pass"),
            Op::Together(parts) => {
                write!(f, "at once:")?;
                parts.iter().try_for_each(|part| write!(f, "\n    {part}"))
            }
        }
    }
}
