//! What models call the output limit of a chat: nearly all know `max_tokens`, OpenAI's newer ones refuse it and want
//! `max_completion_tokens`. Learnt from their refusals, for callers who set no limit and so leave the name to us. Each replica knows what
//! it has seen itself; what it forgets costs one more request.

use crate::ids::ChannelId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Ways that are remembered, at most.
const MOST_WAYS: usize = 10_000;

/// A channel, and its own name for a model there.
type Way = (ChannelId, String);

/// The ways that want the other name than is usual.
#[derive(Clone, Default)]
pub struct LimitNames(Arc<Mutex<HashSet<Way>>>);

impl LimitNames {
    pub fn wants_other(&self, channel_id: ChannelId, upstream_id: &str) -> bool {
        let known = self.lock();
        !known.is_empty() && known.contains(&(channel_id, upstream_id.to_string()))
    }

    /// One of the two names was refused, so it is the other from now on: `other`, or the usual one again.
    pub fn learn(&self, channel_id: ChannelId, upstream_id: &str, other: bool) {
        let (mut known, way) = (self.lock(), (channel_id, upstream_id.to_string()));
        if !other {
            known.remove(&way);
            return;
        }
        if known.len() >= MOST_WAYS {
            known.clear();
        }
        known.insert(way);
    }

    /// A panic while the set was locked leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Way>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_of_one_model_of_one_channel_until_it_is_refused_too() {
        let (names, channel) = (LimitNames::default(), ChannelId::generate());
        names.learn(channel, "new-1", true);
        assert!(names.wants_other(channel, "new-1"));
        assert!(!names.wants_other(channel, "old-1") && !names.wants_other(ChannelId::generate(), "new-1"));
        names.learn(channel, "new-1", false);
        assert!(!names.wants_other(channel, "new-1"));
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let (names, channel) = (LimitNames::default(), ChannelId::generate());
        for n in 0..=MOST_WAYS {
            names.learn(channel, &n.to_string(), true);
        }
        assert!(names.lock().len() <= MOST_WAYS && names.wants_other(channel, &MOST_WAYS.to_string()));
    }
}
