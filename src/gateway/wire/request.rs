//! A request that can be priced and sent: what every endpoint has in common. The body is kept as it came; three things of it change.

use crate::gateway::error::GatewayError;
use crate::gateway::forms::Form;
use crate::gateway::limits::Limits;
use crate::gateway::wire::depth::is_too_deep;
use crate::gateway::wire::names::{refuse_ambiguous, refuse_spellings_in};
use crate::gateway::wire::object::{Fields, RawObject};
use crate::gateway::wire::prompt::{PER_ATTACHMENT, PromptText, may_have_attachments};
use crate::gateway::wire::{Endpoint, Shape};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::HashMap;

pub const LONGEST_MODEL: usize = 200;
pub const MOST_CHOICES: i64 = 128;
/// Larger limits mean none; the model's own applies.
const MOST_OUTPUT: i64 = 1_000_000_000;

pub struct Request<'a> {
    pub endpoint: &'static Endpoint,
    object: RawObject<'a>,
    body_bytes: i64,
    attachments: i64,
    template: i64,
    pub model: String,
    pub stream: bool,
    /// Whether the client itself asked for the usage chunk of a stream.
    pub wants_usage: bool,
    pub choices: i64,
    /// The larger of the output limits sent, a choice.
    pub output_limit: Option<i64>,
    /// With less than this the supplier would refuse the request.
    pub least_limit: i64,
    /// The field that carries the limit upstream; none where there is no output to limit.
    usual_limit_field: Option<&'static str>,
    /// Another field that may carry it, where the caller sent none and the supplier refuses the usual one.
    other_limit_field: Option<&'static str>,
    /// The caller said nothing about the stream but that its usage be reported, or nothing at all.
    leaves_options: bool,
}

impl<'a> Request<'a> {
    /// Within the limits of an operator who set none.
    pub fn parse(endpoint: &'static Endpoint, body: &'a [u8]) -> Result<Request<'a>, GatewayError> {
        Request::parse_within(endpoint, body, &Limits::default())
    }

    pub fn parse_within(endpoint: &'static Endpoint, body: &'a [u8], limits: &Limits) -> Result<Request<'a>, GatewayError> {
        if is_too_deep(body, limits.json_depth) {
            return Err(GatewayError::TooDeep { deepest: limits.json_depth });
        }
        let object = RawObject::parse(body).ok_or(GatewayError::InvalidJson)?;
        refuse_ambiguous(endpoint, &object)?;
        let model: String = required(&object, "model", "a string")?;
        if model.is_empty() || model.len() > LONGEST_MODEL || model.contains('\0') {
            return Err(invalid("model", "'model' must be a model id, like those of GET /v1/models."));
        }
        let stream = field(&object, "stream", "true or false")?.unwrap_or(false);
        let options: Option<Fields<StreamOptions>> = field(&object, "stream_options", "an object")?;
        let leaves_options = options.as_ref().is_none_or(|Fields(options)| options.others.is_empty());
        let Shape { choices, template, default_limit, least_limit } = (endpoint.read_request)(&object, limits)?;
        let mut output_limit = None;
        let mut limit_field = None;
        for name in endpoint.limits {
            let limit = if endpoint.takes_zero { positive_or_zero(&object, name)? } else { positive(&object, name)? };
            output_limit = output_limit.max(limit);
            limit_field = limit_field.or(limit.map(|_| *name));
        }
        let usual_field = endpoint.limits.last().copied();
        let other_field = endpoint.limits.first().copied().filter(|name| limit_field.is_none() && Some(*name) != usual_field);
        let mut request = Request {
            endpoint,
            body_bytes: body.len() as i64,
            attachments: 0,
            template,
            model,
            stream,
            wants_usage: !endpoint.usage_on_request || options.and_then(|Fields(options)| options.include_usage).unwrap_or(false),
            choices,
            output_limit: output_limit.or(default_limit),
            least_limit,
            usual_limit_field: limit_field.or(usual_field),
            other_limit_field: other_field,
            leaves_options,
            object,
        };
        if may_have_attachments(body) {
            request.attachments = request.prompt_text().attachments;
        }
        Ok(request)
    }

    /// Upper bound of the input without counting it: no tokenizer makes more Tokens than bytes. What an image costs does not show in
    /// its address.
    pub fn input_bound(&self) -> i64 {
        self.body_bytes + self.attachments * PER_ATTACHMENT + self.template
    }

    /// What a chat template may add to the text.
    pub fn template_bound(&self) -> i64 {
        self.template
    }

    /// The text that the model reads: every string of the prompt and the tool definitions.
    pub fn prompt_text(&self) -> PromptText {
        let mut prompt = PromptText::default();
        for (name, raw) in self.endpoint.prompt.iter().filter_map(|name| Some((*name, self.object.get(name)?))) {
            match serde_json::from_str(raw.get()) {
                Ok(value) => prompt.collect(name, &value),
                // Nested too deep for us; its bytes are the bound.
                Err(_) => prompt.text.push_str(raw.get()),
            }
        }
        prompt
    }

    /// What of its form is left to us.
    pub fn open_form(&self) -> Form {
        Form { other_limit: self.other_limit_field.is_some(), unasked: self.asks_for_usage() && self.leaves_options }
    }

    /// Whether there is output that a limit is sent for.
    pub fn limits_output(&self) -> bool {
        self.usual_limit_field.is_some()
    }

    pub fn limit_field(&self, form: Form) -> Option<&'static str> {
        self.other_limit_field.filter(|_| form.other_limit).or(self.usual_limit_field)
    }

    fn asks_for_usage(&self) -> bool {
        self.stream && self.endpoint.usage_on_request
    }

    /// The body to send: the supplier's model id, the limit that the hold pays for, usage asked for; the rest untouched.
    pub fn upstream_body(&self, form: Form, upstream_id: &str, output_limit: i64) -> Vec<u8> {
        // A string always serialises.
        let mut replacements = vec![("model", serde_json::to_string(upstream_id).unwrap_or_default())];
        for name in self.endpoint.limits {
            let carries = self.limit_field(form) == Some(*name);
            replacements.push((name, if carries { output_limit.to_string() } else { String::new() }));
        }
        if form.unasked {
            replacements.push(("stream_options", String::new()));
        } else if self.asks_for_usage() {
            let options = match self.object.get("stream_options").map(|raw| RawObject::parse(raw.get().as_bytes())) {
                Some(Some(options)) => options.rewrite(&[("include_usage", "true".into())]),
                _ => br#"{"include_usage":true}"#.to_vec(),
            };
            replacements.push(("stream_options", String::from_utf8(options).unwrap_or_default()));
        }
        self.object.rewrite(&replacements)
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
    #[serde(flatten)]
    others: HashMap<String, IgnoredAny>,
}

pub fn invalid(param: &'static str, message: impl Into<String>) -> GatewayError {
    GatewayError::InvalidField { param, message: message.into() }
}

/// The field's value; `what` says which values there are.
pub fn field<'a, T: Deserialize<'a>>(object: &RawObject<'a>, name: &'static str, what: &str) -> Result<Option<T>, GatewayError> {
    let parse = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|_| invalid(name, format!("'{name}' must be {what}.")));
    object.get(name).map(parse).transpose()
}

pub fn required<'a, T: Deserialize<'a>>(object: &RawObject<'a>, name: &'static str, what: &str) -> Result<T, GatewayError> {
    field(object, name, what)?.ok_or_else(|| invalid(name, format!("'{name}' is missing.")))
}

pub fn positive(object: &RawObject<'_>, name: &'static str) -> Result<Option<i64>, GatewayError> {
    whole(object, name, 1, "a positive whole number")
}

/// The same where OpenAI's schema lets it be 0, which stands for 1: some suppliers take 0 for no limit.
pub fn positive_or_zero(object: &RawObject<'_>, name: &'static str) -> Result<Option<i64>, GatewayError> {
    Ok(whole(object, name, 0, "a whole number, not below 0")?.map(|number| number.max(1)))
}

fn whole(object: &RawObject<'_>, name: &'static str, least: i64, what: &str) -> Result<Option<i64>, GatewayError> {
    match field(object, name, what)? {
        Some(number) if number < least => Err(invalid(name, format!("'{name}' must be {what}."))),
        number => Ok(number.map(|number: i64| number.min(MOST_OUTPUT))),
    }
}

/// How often the prompt is answered.
pub fn choices(object: &RawObject<'_>, name: &'static str) -> Result<i64, GatewayError> {
    choices_of(name, positive(object, name)?)
}

/// The same, of a field that may be 0.
pub fn choices_or_zero(object: &RawObject<'_>, name: &'static str) -> Result<i64, GatewayError> {
    choices_of(name, positive_or_zero(object, name)?)
}

fn choices_of(name: &'static str, choices: Option<i64>) -> Result<i64, GatewayError> {
    match choices.unwrap_or(1) {
        choices if choices > MOST_CHOICES => Err(invalid(name, format!("'{name}' must be at most {MOST_CHOICES}."))),
        choices => Ok(choices),
    }
}

/// Refuses tools that the supplier runs, by `type`: they read and fetch what no hold can foresee, and cost more than Tokens. Those
/// that the caller runs are `run_by_caller`, or begin with one of those words and an underscore. Returns how many have a type of the
/// supplier's making.
pub fn refuse_hosted_tools(object: &RawObject<'_>, run_by_caller: &[&str]) -> Result<i64, GatewayError> {
    #[derive(Deserialize)]
    struct Tool {
        #[serde(default, rename = "type")]
        kind: Option<String>,
    }
    let tools: Vec<Fields<Tool>> = field(object, "tools", "an array of tools")?.unwrap_or_default();
    refuse_spellings_in(object, "tools", "type")?;
    let kinds = tools.iter().filter_map(|Fields(tool)| tool.kind.as_deref()).filter(|kind| !matches!(*kind, "function" | "custom"));
    let mut made_by_supplier = 0;
    for kind in kinds {
        let caller_runs = |name: &&str| kind.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        if !run_by_caller.iter().any(caller_runs) {
            let kind: String = kind.chars().take(64).collect();
            return Err(invalid(
                "tools",
                format!(
                    "A tool of type '{kind}' is run by the supplier and costs what cannot be known before; only tools that you run yourself are served."
                ),
            ));
        }
        made_by_supplier += 1;
    }
    Ok(made_by_supplier)
}
