//! The forms of requests and answers that the sandbox knows, one an endpoint, and how a model's quirk shows in any of them.

use crate::suppliers::sandbox::answer::{Answer, Asked};
use crate::suppliers::sandbox::quirk::Quirk;
use crate::suppliers::store::Protocol;
use serde_json::Value;

pub struct Form {
    pub protocol: Protocol,
    pub asked: fn(&Value) -> Asked,
    /// The answer in one piece.
    pub whole: fn(&Answer) -> Value,
    /// The events before the first word, one for a word (and its place), and those after the last; the very last ends the stream.
    pub opening: fn(&Answer) -> Vec<String>,
    pub word: fn(&Answer, &str, usize) -> String,
    pub closing: fn(&Answer) -> Vec<String>,
    /// A failure, as the body of an answer and as an event.
    pub failure: fn(&str, &str) -> Value,
    pub failure_event: fn(&Value) -> String,
}

impl Form {
    pub fn answer(&self, body: &[u8]) -> Result<Answer, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let asked = (self.asked)(&body);
        Answer::of(body, asked)
    }

    /// The answer as server-sent events.
    pub fn events(&self, answer: &Answer) -> Vec<String> {
        let mut events = (self.opening)(answer);
        events.extend(answer.words.iter().enumerate().map(|(place, word)| (self.word)(answer, word, place)));
        match answer.quirk {
            Quirk::Garbage => events.push("data: {\"choices\": [{\"del\n\n".into()),
            Quirk::ErrorEvent => events.push((self.failure_event)(&(self.failure)("server_error", "The sandbox fails on purpose."))),
            // The last event is the one that is cut.
            Quirk::Cut => events.push((self.word)(answer, "never arrives", answer.words.len())),
            Quirk::NoDone => {
                events.extend((self.closing)(answer));
                events.pop();
            }
            _ => events.extend((self.closing)(answer)),
        }
        events
    }
}
