//! How much of a call is read: what an operator may set (`server::config`), and what holds where they set nothing.

use crate::gateway::bodies::MOST_BODY_BYTES;
use crate::gateway::wire::chat::MOST_MESSAGES;
use crate::gateway::wire::depth::DEEPEST;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of a body, in bytes; larger ones are refused with 413.
    pub body_bytes: usize,
    /// Levels of arrays and objects in one another. Never more than [`DEEPEST`]: our own parser reads no more, and what it cannot read
    /// of a prompt would be held for less than it may cost.
    pub json_depth: usize,
    /// Messages of a conversation, or items of an input.
    pub messages: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { body_bytes: MOST_BODY_BYTES, json_depth: DEEPEST, messages: MOST_MESSAGES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::error::GatewayError;
    use crate::gateway::wire::{Request, chat, messages, responses};

    const MESSAGE: &str = r#"{"role":"user","content":"hi"}"#;

    #[test]
    fn messages_are_as_many_as_was_set() {
        let limits = Limits { messages: 2, ..Limits::default() };
        for (endpoint, field, limit) in [
            (&chat::ENDPOINT, "messages", "max_tokens"),
            (&messages::ENDPOINT, "messages", "max_tokens"),
            (&responses::ENDPOINT, "input", "max_output_tokens"),
        ] {
            let body = |items: usize| format!(r#"{{"model":"m","{limit}":9,"{field}":[{}]}}"#, [MESSAGE].repeat(items).join(","));
            let (two, three) = (body(2), body(3));
            assert_eq!(Request::parse_within(endpoint, two.as_bytes(), &limits).err(), None, "{field}");
            assert_eq!(Request::parse(endpoint, three.as_bytes()).err(), None, "{field}");
            match Request::parse_within(endpoint, three.as_bytes(), &limits).err() {
                Some(GatewayError::InvalidField { param, message }) => {
                    assert!(param == field && message.contains("1 to 2 "), "{param}: {message}");
                }
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn json_nests_as_deep_as_was_set() {
        let limits = Limits { json_depth: 16, ..Limits::default() };
        let body = |levels: usize| format!(r#"{{"model":"m","messages":[{MESSAGE}],"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let (deepest, deeper) = (body(15), body(16));
        assert_eq!(Request::parse_within(&chat::ENDPOINT, deepest.as_bytes(), &limits).err(), None);
        assert_eq!(Request::parse(&chat::ENDPOINT, deeper.as_bytes()).err(), None);
        let refused = Request::parse_within(&chat::ENDPOINT, deeper.as_bytes(), &limits).err();
        assert_eq!(refused, Some(GatewayError::TooDeep { deepest: 16 }));
        assert!(refused.is_some_and(|error| error.message().contains("16 levels")));
    }
}
