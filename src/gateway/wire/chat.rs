//! `POST /v1/chat/completions` (OpenAI API reference, "Create chat completion"), and what its siblings share with it: usage reports and
//! errors in OpenAI's form, and `[DONE]`.

use crate::gateway::error::GatewayError;
use crate::gateway::limits::Limits;
use crate::gateway::meter::Usage;
use crate::gateway::wire::lenient::{lenient, longer};
use crate::gateway::wire::object::RawObject;
use crate::gateway::wire::request::{MOST_CHOICES, choices, invalid, refuse_hosted_tools, required};
use crate::gateway::wire::schema::{or_null, parts, positive, tools};
use crate::gateway::wire::{Delivered, Endpoint, Part, Shape};
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What the chat template of a model may add around each message, and around all of them, in Tokens.
pub const PER_MESSAGE: i64 = 8;
pub const PER_CALL: i64 = 16;
pub const MOST_MESSAGES: usize = 10_000;

pub const ENDPOINT: Endpoint = Endpoint {
    path: "chat/completions",
    protocol: Protocol::Openai,
    summary: "Answer a conversation, whole or streamed (OpenAI, Create chat completion)",
    schema,
    reads: &["messages", "n", "tools"],
    prompt: &["messages", "tools", "functions", "response_format"],
    limits: &["max_completion_tokens", "max_tokens"],
    takes_zero: true,
    usage_on_request: true,
    read_request,
    read_whole,
    read_event,
    error_event,
};

fn schema() -> Value {
    json!({"required": ["messages"], "properties": {"messages": parts(MOST_MESSAGES), "n": or_null(positive(MOST_CHOICES)), "tools": tools()}})
}

fn read_request(object: &RawObject<'_>, limits: &Limits) -> Result<Shape, GatewayError> {
    refuse_hosted_tools(object, &[])?;
    Ok(Shape { choices: choices(object, "n")?, template: template_of_messages(object, limits)?, ..Shape::default() })
}

/// What a template may add to `messages`, which must be some.
pub fn template_of_messages(object: &RawObject<'_>, limits: &Limits) -> Result<i64, GatewayError> {
    let messages: Vec<&RawValue> = required(object, "messages", "an array of messages")?;
    if messages.is_empty() || messages.len() > limits.messages {
        return Err(invalid("messages", format!("'messages' must hold 1 to {} messages.", limits.messages)));
    }
    Ok(messages.len() as i64 * PER_MESSAGE + PER_CALL)
}

lenient! {
    /// What an answer, or a chunk of one, says that we must know; `C` = a choice in it.
    struct Answer<'a, C> {
        "usage" => usage: &'a RawValue,
        "choices" => choices: Vec<C>,
        "error" => error: &'a RawValue,
    }

    struct Choice<'a> {
        "message" => message: Content<'a>,
        "delta" => delta: Content<'a>,
    }

    struct Content<'a> {
        "content" => content: &'a RawValue,
        "reasoning_content" => reasoning_content: &'a RawValue,
        "reasoning" => reasoning: &'a RawValue,
        "refusal" => refusal: &'a RawValue,
        "tool_calls" => tool_calls: Vec<ToolCall<'a>>,
        "function_call" => function_call: Function<'a>,
        "audio" => audio: Audio<'a>,
    }

    struct ToolCall<'a> {
        "function" => function: Function<'a>,
        "custom" => custom: Function<'a>,
    }

    struct Function<'a> {
        "name" => name: &'a RawValue,
        "arguments" => arguments: &'a RawValue,
        "input" => input: &'a RawValue,
    }

    struct Audio<'a> {
        "transcript" => transcript: &'a RawValue,
    }
}

impl Content<'_> {
    fn say(&self, delivered: &mut Delivered) {
        // Some suppliers say their reasoning twice, under both names.
        let reasoning = self.reasoning_content.or(self.reasoning);
        let functions = self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref().or(call.custom.as_ref()));
        let called = functions.chain(&self.function_call).flat_map(|function| [function.name, longer(function.arguments, function.input)]);
        let transcript = self.audio.as_ref().and_then(|audio| audio.transcript);
        for piece in [self.content, reasoning, self.refusal, transcript].into_iter().chain(called).flatten() {
            delivered.say(piece);
        }
    }
}

/// Notes an answer or a chunk, whose choices `say` what they hold. None when the bytes are neither, or an error.
pub fn note_answer<'a, C: Deserialize<'a>>(bytes: &'a [u8], delivered: &mut Delivered, say: impl Fn(&C, &mut Delivered)) -> Option<Part> {
    let answer: Answer<'a, C> = serde_json::from_slice(bytes).ok()?;
    if answer.error.is_some() {
        return None;
    }
    answer.choices.iter().flatten().for_each(|choice| say(choice, delivered));
    // Null counts as not reported.
    let Some(raw) = answer.usage else { return Some(Part::Content) };
    let choices = answer.choices.map(|choices| choices.len());
    // With choices it is a running total, and no last word though the choice be finished: vLLM, asked for `continuous_usage_stats`,
    // reports of each choice what that one has.
    if choices.unwrap_or(0) > 0 {
        delivered.report_so_far(raw, usage_of(raw));
    } else {
        delivered.report(raw, usage_of(raw));
    }
    Some(if choices == Some(0) || (choices.is_none() && has_no_choices(bytes)) { Part::Usage } else { Part::Content })
}

/// Whether choices are left out, or null as a server written in Go says where others say that there are none. Others cannot be read.
fn has_no_choices(bytes: &[u8]) -> bool {
    RawObject::parse(bytes).is_some_and(|object| object.get("choices").is_none())
}

/// Reads a whole answer, whose report is of all of it, as `note` reads a chunk.
pub fn in_one_piece(body: &[u8], delivered: &mut Delivered, note: impl Fn(&[u8], &mut Delivered) -> Option<Part>) -> bool {
    let is_answer = note(body, delivered).is_some();
    delivered.end();
    is_answer
}

/// Reads an event of a stream that ends with `[DONE]`; `note` reads every other.
pub fn until_done(data: &[u8], delivered: &mut Delivered, note: impl Fn(&[u8], &mut Delivered) -> Option<Part>) -> Part {
    if data.trim_ascii() == b"[DONE]" {
        delivered.end();
        return Part::End;
    }
    note(data, delivered).unwrap_or(Part::Broken)
}

fn note(bytes: &[u8], delivered: &mut Delivered) -> Option<Part> {
    note_answer(bytes, delivered, |choice: &Choice<'_>, delivered| {
        choice.message.iter().chain(&choice.delta).take(1).for_each(|content| content.say(delivered));
    })
}

fn read_whole(body: &[u8], delivered: &mut Delivered) -> bool {
    in_one_piece(body, delivered, note)
}

fn read_event(data: &[u8], delivered: &mut Delivered) -> Part {
    until_done(data, delivered, note)
}

/// Reads a usage report. None when it is incomplete or absurd: then the call is counted instead.
pub fn usage_of(raw: &RawValue) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Report {
        prompt_tokens: i64,
        completion_tokens: i64,
        #[serde(default)]
        prompt_tokens_details: Option<Details>,
        // What only some report, or otherwise than others, spoils no report.
        #[serde(default)]
        total_tokens: Value,
        #[serde(default)]
        completion_tokens_details: Value,
        /// Moonshot's place for what was cached.
        #[serde(default)]
        cached_tokens: Value,
        /// DeepSeek's.
        #[serde(default)]
        prompt_cache_hit_tokens: Value,
    }
    #[derive(Deserialize)]
    struct Details {
        #[serde(default)]
        cached_tokens: Option<i64>,
    }
    let report: Report = serde_json::from_str(raw.get()).ok()?;
    let (input, mut output) = (report.prompt_tokens, report.completion_tokens);
    let elsewhere = || [&report.cached_tokens, &report.prompt_cache_hit_tokens].into_iter().find_map(Value::as_i64);
    let cached = report.prompt_tokens_details.and_then(|details| details.cached_tokens);
    let cached = cached.or_else(|| elsewhere().filter(|cached| (0..=input).contains(cached))).unwrap_or(0);
    // OpenAI's `completion_tokens` hold what was reasoned; xAI's, and those of some who translate from Gemini, do not, as the total tells.
    let reasoned = report.completion_tokens_details["reasoning_tokens"].as_i64().unwrap_or(0);
    let with_reasoned = output.checked_add(reasoned).filter(|_| reasoned > 0);
    let total = with_reasoned.and_then(|output| input.checked_add(output));
    if total.is_some() && total == report.total_tokens.as_i64() {
        output = with_reasoned?;
    }
    Usage::sane(input, cached, output)
}

pub fn error_event(error: &GatewayError, _: RequestId, _: &Delivered) -> String {
    format!("data: {}\n\n", error.openai())
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
