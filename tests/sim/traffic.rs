//! What the replicas know: which calls they run, and which settlements they sent. The books know nothing of it.

use crate::clock;
use crate::op::{CrashPoint, Op};
use toki::ids::{AccountId, ReplicaId};
use toki::wallet::ledger::{Admission, AdmissionRequest, RunningHold, Settlement};

const REPLICAS: usize = 3;
/// Settlements that may be sent again.
const REMEMBERED: usize = 60;

/// An admitted call that has not been settled by its replica.
#[derive(Clone)]
pub struct Flight {
    pub admission: Admission,
    pub input: i64,
    pub choices: i64,
    pub owner: ReplicaId,
    /// The minute of its admission.
    pub began: i64,
    /// Its replica died before the settlement, which waits in a spool.
    pub spooled: bool,
}

pub struct Traffic {
    pub replicas: Vec<ReplicaId>,
    pub flights: Vec<Flight>,
    pub sent: Vec<Settlement>,
    /// Sent by a replica that died before it heard: will be sent again.
    pub unheard: Vec<Settlement>,
}

impl Traffic {
    pub fn new() -> Traffic {
        let replicas = (0..REPLICAS).map(|_| ReplicaId::generate()).collect();
        Traffic { replicas, flights: Vec::new(), sent: Vec::new(), unheard: Vec::new() }
    }

    /// What a replica would put back, in the order of the ids.
    pub fn running(&self, owner: ReplicaId) -> Vec<RunningHold> {
        let mut running: Vec<_> = self.flights.iter().filter(|flight| flight.owner == owner && !flight.spooled).map(running_hold).collect();
        running.sort_by_key(|call| call.request_id);
        running
    }

    /// Takes note of an operation that was done, at this minute, and of what it admitted.
    pub fn note(&mut self, op: &Op, admitted: &[Admission], now: i64) {
        match op {
            Op::Admit { requests, owner, crash, .. } => {
                if *crash != Some(CrashPoint::BeforeHold) {
                    self.flights.extend(admitted.iter().filter_map(|admission| flight(admission, requests, *owner, now)));
                }
                if let Some(point) = crash {
                    self.crash(*owner, *point);
                }
            }
            Op::Settle { settlements, owner, crash } => {
                if *crash != Some(CrashPoint::BeforeSettlement) {
                    self.flights.retain(|flight| !settlements.iter().any(|s| s.request_id == flight.admission.request_id));
                    self.unheard.retain(|unheard| !settlements.iter().any(|s| s.request_id == unheard.request_id));
                    self.sent.extend(settlements.iter().cloned());
                    let old = self.sent.len().saturating_sub(REMEMBERED);
                    self.sent.drain(..old);
                    if *crash == Some(CrashPoint::AfterSettlement) {
                        self.unheard.extend(settlements.iter().cloned());
                    }
                }
                if let (Some(owner), Some(point)) = (owner, crash) {
                    self.crash(*owner, *point);
                }
            }
            Op::CrashReplica(owner) => self.crash(*owner, CrashPoint::BeforeSettlement),
            Op::Together(parts) => parts.iter().for_each(|part| self.note(part, admitted, now)),
            Op::Retire(account) => self.forget_account(*account),
            _ => {}
        }
    }

    /// The process is gone and another takes its place. Half of its finished calls had reached the spool.
    fn crash(&mut self, owner: ReplicaId, point: CrashPoint) {
        if let Some(replica) = self.replicas.iter_mut().find(|replica| **replica == owner) {
            *replica = ReplicaId::generate();
        }
        let mut spool = matches!(point, CrashPoint::BeforeSettlement);
        self.flights.retain_mut(|flight| {
            if flight.owner == owner && !flight.spooled {
                flight.spooled = spool;
                spool = !spool && point == CrashPoint::BeforeSettlement;
                return flight.spooled;
            }
            true
        });
    }

    fn forget_account(&mut self, account: AccountId) {
        self.flights.retain(|flight| flight.admission.account_id != account);
        self.sent.retain(|settlement| settlement.account_id != account);
        self.unheard.retain(|settlement| settlement.account_id != account);
    }
}

fn flight(admission: &Admission, requests: &[AdmissionRequest], owner: ReplicaId, began: i64) -> Option<Flight> {
    let request = requests.iter().find(|request| request.request_id == admission.request_id)?;
    let (input, choices) = (request.input_tokens, request.choices);
    Some(Flight { admission: admission.clone(), input, choices, owner, began, spooled: false })
}

fn running_hold(flight: &Flight) -> RunningHold {
    flight.admission.hold("chat/completions", false, clock::of_replica(flight.began))
}
