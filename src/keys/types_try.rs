//! A call that somebody makes on the page of a key: what they type, and what came of it.

use crate::error::{ConsoleError, Field, Problem};
use crate::usage::types::CallView;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is asked here is a trial; longer prompts are for programs.
pub const LONGEST_PROMPT: usize = 20_000;

pub fn parse_prompt(text: &str) -> Result<String, ConsoleError> {
    match text.trim() {
        "" => Err(ConsoleError::invalid(Field::Prompt, Problem::Empty)),
        text if text.chars().count() > LONGEST_PROMPT => Err(ConsoleError::invalid(Field::Prompt, Problem::TooLong)),
        text => Ok(text.to_string()),
    }
}

/// What the form needs, and what came of it when it was sent last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trials {
    /// Sent twice, the form makes one call.
    pub form_key: Uuid,
    /// What the key can call.
    pub models: Vec<String>,
    /// Only on the first look at it, and where no script made the call.
    pub tried: Option<Tried>,
    /// Of the call that the address names, once there is one.
    pub receipt: Option<CallView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub model_id: String,
    pub prompt: String,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What the model said.
    Text(String),
    /// Why there was no answer, in the words of `/v1`, and its code, if it has one.
    Refused {
        why: String,
        code: Option<String>,
    },
    TooSlow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_something_in_it_and_an_end() {
        assert_eq!(parse_prompt(" Hello \r\n"), Ok("Hello".to_string()));
        assert_eq!(parse_prompt(&"é".repeat(LONGEST_PROMPT)).map(|prompt| prompt.chars().count()), Ok(LONGEST_PROMPT));
        for (text, problem) in [(" \n", Problem::Empty), (&"x".repeat(LONGEST_PROMPT + 1), Problem::TooLong)] {
            assert_eq!(parse_prompt(text), Err(ConsoleError::invalid(Field::Prompt, problem)));
        }
    }
}
