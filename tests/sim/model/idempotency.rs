//! Calls that were sent under an Idempotency-Key, and what is known of them for a day. A key of a caller's is one of an API key's.

use super::Model;
use super::periods::DAY;
use crate::idempotency::Kept;
use toki::ids::{AccountId, KeyId, RequestId};
use toki::wallet::ledger::{AdmissionRequest, SentBefore};

/// The last call that was admitted under a key.
#[derive(Clone, Debug)]
pub struct Sent {
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub hash: [u8; 32],
    pub fingerprint: [u8; 32],
    pub request_id: RequestId,
    /// When it was admitted.
    pub at: i64,
    pub answered: bool,
}

impl Model {
    pub fn is_held(&self, request_id: RequestId) -> bool {
        self.holds.iter().any(|hold| hold.request_id == request_id)
    }

    /// What is answered to a call that was sent before, whatever has changed since: to another call under the same key that it is another,
    /// and else how the first stands.
    pub fn sent_before(&self, key_id: KeyId, request: &AdmissionRequest) -> Option<String> {
        let idempotency = request.idempotency?;
        let sent = self.sent.iter().find(|sent| sent.key_id == key_id && sent.hash == idempotency.key_hash)?;
        if sent.at <= self.now - DAY {
            return None;
        }
        let state = match () {
            () if sent.fingerprint != idempotency.fingerprint => SentBefore::Mismatch,
            () if sent.answered => SentBefore::Answered,
            () if self.is_held(sent.request_id) => SentBefore::Running,
            () => SentBefore::Ended,
        };
        Some(format!("Idempotency{state:?} {}", sent.request_id))
    }

    /// A call was admitted; under its key it takes the place of one whose day is over.
    pub fn note_sent(&mut self, request: &AdmissionRequest, account_id: AccountId, key_id: KeyId) {
        let Some(idempotency) = request.idempotency else { return };
        let (hash, fingerprint, request_id, at) = (idempotency.key_hash, idempotency.fingerprint, request.request_id, self.now);
        self.sent.retain(|sent| sent.key_id != key_id || sent.hash != hash);
        self.sent.push(Sent { account_id, key_id, hash, fingerprint, request_id, at, answered: false });
    }

    pub fn keep(&mut self, kept: Kept) -> Vec<String> {
        self.volatile.clear();
        let of = |sent: &Sent, call: RequestId| sent.request_id == call;
        let says = match kept {
            Kept::Answer(call) => {
                let Some(sent) = self.sent.iter_mut().find(|sent| of(sent, call)) else { return vec!["forgotten".into()] };
                sent.answered = true;
                self.touched.insert(sent.account_id);
                "kept".into()
            }
            Kept::Give(call) => {
                let is_settled = self.records.get(&call).is_some_and(|record| !record.is_completed_by_a_late_report());
                match self.sent.iter().find(|sent| of(sent, call)) {
                    Some(_) if self.is_held(call) => format!("withheld {:?}", SentBefore::Running),
                    Some(sent) if is_settled && sent.answered => "given".into(),
                    _ => format!("withheld {:?}", SentBefore::Ended),
                }
            }
            Kept::Free(call) => {
                self.forget_sent(|sent| of(sent, call));
                return Vec::new();
            }
            Kept::Old => {
                // By the clock that real time moves on, which is behind the one of calls.
                let first = self.now - DAY;
                self.forget_sent(|sent| sent.at < first);
                return Vec::new();
            }
        };
        vec![says]
    }

    fn forget_sent(&mut self, is_gone: impl Fn(&Sent) -> bool) {
        let (gone, left): (Vec<_>, Vec<_>) = self.sent.drain(..).partition(|sent| is_gone(sent));
        self.sent = left;
        self.touched.extend(gone.iter().map(|sent| sent.account_id));
    }
}
