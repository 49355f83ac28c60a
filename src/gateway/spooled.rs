//! What a replica remembers of its calls whose settlements wait in the spool. They run no more, and their Tokens are still held.

use crate::ids::RequestId;
use crate::wallet::ledger::RunningHold;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The holds of these calls: kept alive as those of running calls are, and put back should the database forget them.
#[derive(Clone, Default)]
pub struct Spooled(Arc<Mutex<HashMap<RequestId, Waiting>>>);

struct Waiting {
    hold: RunningHold,
    /// Whether the settlement is on the disk yet.
    written: bool,
}

impl Spooled {
    pub fn calls(&self) -> Vec<RequestId> {
        self.lock().keys().copied().collect()
    }

    pub fn holds(&self) -> Vec<RunningHold> {
        self.lock().values().map(|waiting| waiting.hold.clone()).collect()
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn announce(&self, hold: RunningHold) {
        self.lock().entry(hold.request_id).or_insert(Waiting { hold, written: false });
    }

    /// Those that were replayed meanwhile stay forgotten.
    pub(super) fn mark_written(&self, calls: impl Iterator<Item = RequestId>) {
        let mut known = self.lock();
        for call in calls {
            if let Some(waiting) = known.get_mut(&call) {
                waiting.written = true;
            }
        }
    }

    pub(super) fn written(&self) -> Vec<RequestId> {
        self.lock().iter().filter(|(_, waiting)| waiting.written).map(|(call, _)| *call).collect()
    }

    pub(super) fn forget(&self, calls: &[RequestId]) {
        let mut known = self.lock();
        for call in calls {
            known.remove(call);
        }
    }

    /// A panic while the map was locked leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
