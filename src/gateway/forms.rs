//! In which form a request is sent where its caller leaves that to us and suppliers differ. What models call the output limit of a chat:
//! nearly all know `max_tokens`, OpenAI's newer ones refuse it and want `max_completion_tokens`. And whether a stream is asked for its
//! usage: Mistral refuses to be asked, and reports it. Learnt from their refusals, each replica by itself; what it forgets costs one more
//! request.

use crate::ids::ChannelId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ways that are remembered, at most.
const MOST_WAYS: usize = 10_000;
/// And for how long: a supplier may learn to report usage when asked, and then only when asked.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);

/// The default is what nearly all take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The output limit by the less usual of its names.
    pub other_limit: bool,
    /// No `stream_options`, with which a stream is asked for its usage.
    pub unasked: bool,
}

impl Form {
    /// This form in what is `open`, and `other` in what is not.
    fn where_open(self, open: Form, other: Form) -> Form {
        let of = |open: bool, this: bool, other: bool| if open { this } else { other };
        Form {
            other_limit: of(open.other_limit, self.other_limit, other.other_limit),
            unasked: of(open.unasked, self.unasked, other.unasked),
        }
    }
}

/// A channel, and its own name for a model there.
type Way = (ChannelId, String);

/// The ways on which another form is known to be taken, since when.
#[derive(Clone, Default)]
pub struct Forms(Arc<Mutex<HashMap<Way, (Form, Instant)>>>);

impl Forms {
    /// The form that is likely to be taken, in what a call leaves `open`.
    pub fn of(&self, channel_id: ChannelId, upstream_id: &str, open: Form) -> Form {
        let known = self.lock();
        if known.is_empty() {
            return Form::default();
        }
        still_known(known.get(&(channel_id, upstream_id.to_string()))).where_open(open, Form::default())
    }

    /// The form was taken where another had been refused, by a call that had left this `open`.
    pub fn learn(&self, channel_id: ChannelId, upstream_id: &str, open: Form, taken: Form) {
        let (mut known, way) = (self.lock(), (channel_id, upstream_id.to_string()));
        let form = taken.where_open(open, still_known(known.get(&way)));
        if form == Form::default() {
            known.remove(&way);
            return;
        }
        if known.len() >= MOST_WAYS {
            known.clear();
        }
        known.insert(way, (form, Instant::now()));
    }

    /// A panic while the map was locked leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Way, (Form, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn still_known(known: Option<&(Form, Instant)>) -> Form {
    known.filter(|(_, since)| since.elapsed() < KNOWN_FOR).map_or(Form::default(), |(form, _)| *form)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Form = Form { other_limit: true, unasked: true };
    const OTHER: Form = Form { other_limit: true, unasked: false };
    const UNASKED: Form = Form { other_limit: false, unasked: true };

    #[test]
    fn a_form_is_known_of_one_model_of_one_channel_until_another_is_taken() {
        let (forms, channel) = (Forms::default(), ChannelId::generate());
        forms.learn(channel, "new-1", OPEN, OTHER);
        assert_eq!(forms.of(channel, "new-1", OPEN), OTHER);
        assert_eq!([forms.of(channel, "old-1", OPEN), forms.of(ChannelId::generate(), "new-1", OPEN)], [Form::default(); 2]);
        forms.learn(channel, "new-1", OPEN, Form::default());
        assert_eq!(forms.of(channel, "new-1", OPEN), Form::default());
        assert!(forms.lock().is_empty());
    }

    #[test]
    fn a_call_teaches_and_takes_what_it_leaves_open() {
        let (forms, channel) = (Forms::default(), ChannelId::generate());
        forms.learn(channel, "m", OTHER, OPEN);
        assert_eq!(forms.of(channel, "m", OPEN), OTHER);
        forms.learn(channel, "m", UNASKED, UNASKED);
        assert_eq!(
            [OPEN, OTHER, UNASKED, Form::default()].map(|open| forms.of(channel, "m", open)),
            [OPEN, OTHER, UNASKED, Form::default()]
        );
    }

    #[test]
    fn a_form_is_forgotten_after_an_hour() {
        let (forms, channel) = (Forms::default(), ChannelId::generate());
        let long_ago = Instant::now().checked_sub(KNOWN_FOR).expect("an hour ago");
        forms.lock().insert((channel, "new-1".into()), (OTHER, long_ago));
        assert_eq!(forms.of(channel, "new-1", OPEN), Form::default());
        forms.learn(channel, "new-1", UNASKED, UNASKED);
        assert_eq!(forms.of(channel, "new-1", OPEN), UNASKED, "what was forgotten does not come back with what is learnt");
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let (forms, channel) = (Forms::default(), ChannelId::generate());
        for n in 0..=MOST_WAYS {
            forms.learn(channel, &n.to_string(), OPEN, OTHER);
        }
        assert!(forms.lock().len() <= MOST_WAYS);
        assert_eq!(forms.of(channel, &MOST_WAYS.to_string(), OPEN), OTHER);
    }
}
