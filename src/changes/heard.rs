//! When this process last heard of a change. A page says when it began to be read, and is only told to ask again where something was heard
//! since: without that, each page would be read twice.

use crate::ids::AccountId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use uuid::Uuid;

/// Accounts share a place; whoever shares one is told more often, and never too little.
const PLACES: usize = 1_024;

pub struct Heard {
    /// Moments of another process, or of one before, mean nothing to this one.
    process: String,
    began: Instant,
    listening: AtomicBool,
    /// When it began to listen: what was before was not heard. Moments are milliseconds since `began`.
    since: AtomicU64,
    last: Vec<AtomicU64>,
}

impl Default for Heard {
    fn default() -> Heard {
        let last = std::iter::repeat_with(AtomicU64::default).take(PLACES).collect();
        let (listening, since) = (AtomicBool::default(), AtomicU64::default());
        Heard { process: Uuid::new_v4().simple().to_string(), began: Instant::now(), listening, since, last }
    }
}

impl Heard {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Now, for a page that begins to be read.
    pub fn moment(&self) -> String {
        format!("{}.{}", self.process, self.now())
    }

    pub fn listens(&self, listening: bool) {
        self.since.store(self.now(), Ordering::SeqCst);
        self.listening.store(listening, Ordering::SeqCst);
    }

    /// Whether changes are heard of now.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::SeqCst)
    }

    pub fn note(&self, account_id: AccountId) {
        self.place(account_id).store(self.now(), Ordering::SeqCst);
    }

    /// Whether all was heard since that moment, and nothing of the account. Whoever asks has subscribed before.
    pub fn is_quiet_since(&self, account_id: AccountId, moment: &str) -> bool {
        let moment = moment.split_once('.').filter(|(process, _)| *process == self.process);
        let Some(Ok(moment)) = moment.map(|(_, millis)| millis.parse::<u64>()) else { return false };
        // Of the very same millisecond, it may have been after.
        let before = |heard: &AtomicU64| heard.load(Ordering::SeqCst) < moment;
        self.is_listening() && before(&self.since) && before(self.place(account_id))
    }

    fn place(&self, account_id: AccountId) -> &AtomicU64 {
        let hash = account_id.0.as_u128() % PLACES as u128;
        &self.last[usize::try_from(hash).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn a_moment_later() {
        std::thread::sleep(Duration::from_millis(3));
    }

    #[test]
    fn quiet_is_only_where_all_was_heard_and_nothing_of_the_account() {
        let (heard, ada) = (Heard::default(), AccountId::generate());
        let eve = std::iter::repeat_with(AccountId::generate)
            .find(|id| !std::ptr::eq(heard.place(*id), heard.place(ada)))
            .expect("another place");
        let before = heard.moment();
        a_moment_later();
        assert!(!heard.is_listening() && !heard.is_quiet_since(ada, &before), "nobody listens");
        heard.listens(true);
        assert!(heard.is_listening());
        assert!(!heard.is_quiet_since(ada, &before), "nobody listened then");
        a_moment_later();
        let read = heard.moment();
        assert!(heard.is_quiet_since(ada, &read));
        heard.note(eve);
        assert!(heard.is_quiet_since(ada, &read) && !heard.is_quiet_since(eve, &read));
        heard.note(ada);
        assert!(!heard.is_quiet_since(ada, &read));
        a_moment_later();
        assert!(heard.is_quiet_since(ada, &heard.moment()), "read again since");
        heard.listens(false);
        assert!(!heard.is_quiet_since(ada, &heard.moment()));
    }

    #[test]
    fn moments_of_others_are_not_known() {
        let (heard, other) = (Heard::default(), Heard::default());
        heard.listens(true);
        a_moment_later();
        for moment in [other.moment(), "".into(), "1".into(), format!("{}.x", heard.process), format!("{}.-1", heard.process)] {
            assert!(!heard.is_quiet_since(AccountId::generate(), &moment), "{moment}");
        }
    }
}
