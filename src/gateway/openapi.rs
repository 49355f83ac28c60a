//! The OpenAPI document of `/v1`, made of the tables that serve it: endpoints, failures, limits. What a request may hold besides, and
//! what suppliers answer, is passed on unread, so it is not described here but in the references of OpenAI and Anthropic.

use crate::gateway::error::GatewayError;
use crate::gateway::idempotency::LONGEST_KEY;
use crate::gateway::wire::names::{dearer, overrides};
use crate::gateway::wire::request::LONGEST_MODEL;
use crate::gateway::wire::schema::{at_least, nothing_but, or_null, switch, text};
use crate::gateway::wire::{ENDPOINTS, Endpoint};
use crate::suppliers::store::Protocol;
use serde_json::{Map, Value, json};

/// An endpoint that spends nothing.
struct Read {
    path: &'static str,
    summary: &'static str,
    /// The part of the path that is chosen, what it is, and its schema.
    parameter: Option<(&'static str, &'static str, Schema)>,
    schema: Schema,
}

type Schema = fn() -> Value;

const READS: [Read; 4] = [
    Read { path: "/v1/key", summary: "What the key may do, and what is left to it", parameter: None, schema: key },
    Read { path: "/v1/models", summary: "The models that the key may call", parameter: None, schema: models },
    Read {
        path: "/v1/models/{id}",
        summary: "A model that the key may call",
        parameter: Some(("id", "A model's id, vendor/name; its slash may stand as it is", model_id)),
        schema: model,
    },
    Read {
        path: "/v1/receipts/{request_id}",
        summary: "How a finished call of the account came to its charge",
        parameter: Some(("request_id", "The call's x-request-id", || json!({"type": "string", "minLength": 1}))),
        schema: receipt,
    },
];

/// The headers of answers, and what they say. `headers_of` says which go where.
const HEADERS: [(&str, &str); 17] = [
    ("idempotent-replayed", "true where this is the answer that an earlier call had"),
    ("openai-processing-ms", "How long the answer took to begin, in milliseconds"),
    ("request-id", "The call's id, as Anthropic's clients look for it"),
    ("retry-after", "Seconds to wait before trying again"),
    ("retry-after-ms", "The same in milliseconds, as OpenAI's clients read it first"),
    ("www-authenticate", "Bearer"),
    ("x-ratelimit-limit-requests", "Requests a minute that the key may send, where it has such a limit"),
    ("x-ratelimit-limit-tokens", "Tokens a minute that the key may use, where it has such a limit"),
    ("x-ratelimit-remaining-requests", "How many of them are left"),
    ("x-ratelimit-remaining-tokens", "How many of them are left"),
    ("x-ratelimit-reset-requests", "How long until all of them are there again, as 1m0s"),
    ("x-ratelimit-reset-tokens", "How long until all of them are there again, as 1m0s"),
    ("x-request-id", "The call's id; GET /v1/receipts/{request_id} says what it cost"),
    ("x-should-retry", "false where trying again would not help, or would cost twice"),
    ("x-toki-charged-tokens", "What the call was charged, where the answer comes in one piece"),
    ("x-toki-original-request-id", "The earlier call's id"),
    ("x-toki-remaining-tokens", "What is left after it: of the wallet, or of the quota or limit of key or member that leaves less"),
];

/// On the replies to a key that has limits.
const RATES: [&str; 6] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
];

/// On the replies to calls that were admitted, but for streams.
const CHARGE: [&str; 2] = ["x-toki-charged-tokens", "x-toki-remaining-tokens"];

/// Describes every endpoint of `/v1`.
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        paths.insert(format!("/v1/{}", endpoint.path), json!({"post": spending(endpoint)}));
    }
    for read in &READS {
        paths.insert(read.path.into(), json!({"get": reading(read)}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "TOKI Token Plan",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Requests and answers are those of OpenAI and Anthropic and pass through untouched. Described here is what this gateway itself reads, adds and refuses.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, sk-toki-…"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key, as Anthropic's clients send it"},
            },
            "headers": HEADERS.iter().map(|(name, what)| (name.to_string(), json!({"description": what, "schema": text()}))).collect::<Map<_, _>>(),
            "schemas": {
                "ModelId": {"type": "string", "maxLength": LONGEST_MODEL, "pattern": "^[^\\u0000]+$", "description": "An id of GET /v1/models"},
                "OpenaiError": openai_error(),
                "AnthropicError": anthropic_error(),
            },
        },
    })
}

fn spending(endpoint: &'static Endpoint) -> Value {
    let mut content = json!({"application/json": {"schema": {"type": "object"}}});
    if !endpoint.limits.is_empty() {
        let event = json!({"type": "object", "required": ["data"], "properties": {"event": text(), "data": text()}});
        content["text/event-stream"] = json!({"schema": event});
    }
    let mut responses = failures(Some(endpoint), |error| may_meet(error, true, false, false));
    let mut headers = vec!["idempotent-replayed", "x-toki-original-request-id"];
    headers.extend(CHARGE);
    headers.extend(RATES);
    let idempotency_key = json!({
        "name": "Idempotency-Key", "in": "header", "description": "A call that is sent again under the same key reaches its supplier once",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
    });
    responses.insert(
        "200".into(),
        json!({"description": "The supplier's answer, byte for byte", "headers": headers_of(Some(endpoint), &headers), "content": content}),
    );
    json!({
        "operationId": endpoint.path.replace('/', "_"),
        "summary": endpoint.summary,
        "parameters": [idempotency_key],
        "requestBody": {"required": true, "content": {"application/json": {"schema": request_of(endpoint)}}},
        "responses": responses,
    })
}

/// The request's schema: what all endpoints read, the limits, what would override them, and what is the endpoint's own.
fn request_of(endpoint: &Endpoint) -> Value {
    let mut schema = (endpoint.schema)();
    let own = schema["properties"].take();
    let stream_options = or_null(json!({"type": "object", "properties": {"include_usage": switch()}}));
    let mut properties = json!({"model": model_id(), "stream": switch(), "stream_options": stream_options});
    for limit in endpoint.limits {
        properties[limit] = or_null(at_least(i64::from(!endpoint.takes_zero), i64::MAX));
    }
    for (name, harmless) in overrides(endpoint) {
        properties[name] = nothing_but(&harmless.map(Value::from).into_iter().collect::<Vec<_>>());
    }
    for (name, harmless) in dearer() {
        let harmless = harmless.iter().map(|value| Value::from(*value));
        properties[name] = nothing_but(&harmless.chain([json!([])]).collect::<Vec<_>>());
    }
    for (name, field) in own.as_object().into_iter().flatten() {
        properties[name] = field.clone();
    }
    let mut required = vec![Value::from("model")];
    required.extend(schema["required"].as_array().into_iter().flatten().cloned());
    json!({"type": "object", "required": required, "properties": properties})
}

fn reading(read: &Read) -> Value {
    let (is_model, is_receipt) = (read.path.starts_with("/v1/models/"), read.path.starts_with("/v1/receipts/"));
    let mut responses = failures(None, |error| may_meet(error, false, is_model, is_receipt));
    let content = json!({"application/json": {"schema": (read.schema)()}});
    responses.insert("200".into(), json!({"description": read.summary, "headers": headers_of(None, &RATES), "content": content}));
    let parameters: Vec<Value> = read
        .parameter
        .iter()
        .map(|(name, what, schema)| json!({"name": name, "in": "path", "required": true, "description": what, "schema": schema()}))
        .collect();
    let id: String = read.path.trim_start_matches("/v1/").chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    json!({"operationId": id.trim_end_matches('_'), "summary": read.summary, "parameters": parameters, "responses": responses})
}

/// Whether an operation can fail like this.
fn may_meet(error: &GatewayError, spends: bool, is_model: bool, is_receipt: bool) -> bool {
    match error {
        GatewayError::InvalidKey
        | GatewayError::KeyDisabled
        | GatewayError::KeyExpired
        | GatewayError::AccountSuspended
        | GatewayError::AddressRefused
        | GatewayError::Unavailable
        | GatewayError::Refused(_)
        | GatewayError::Internal => true,
        GatewayError::ModelNotFound { .. } => spends || is_model,
        GatewayError::ReceiptNotFound { .. } => is_receipt,
        // A path that holds what is no text.
        GatewayError::NotFound { .. } => is_model || is_receipt,
        // The method of an operation is the right one.
        GatewayError::MethodNotAllowed { .. } => false,
        GatewayError::NoChannel { .. }
        | GatewayError::EndpointUnsupported { .. }
        | GatewayError::Exhausted(_)
        | GatewayError::RateLimited(_)
        | GatewayError::SentBefore { .. }
        | GatewayError::InvalidJson
        | GatewayError::TooDeep { .. }
        | GatewayError::Crowded
        | GatewayError::InvalidField { .. }
        | GatewayError::TooLarge { .. }
        | GatewayError::UpstreamUnreachable
        | GatewayError::UpstreamFailed { .. }
        | GatewayError::UpstreamTimeout
        | GatewayError::UpstreamRateLimited { .. }
        | GatewayError::UpstreamRefused { .. }
        | GatewayError::UpstreamBroken
        | GatewayError::Leaving { .. } => spends,
    }
}

/// Whether it is told of a call that was admitted, and so is settled.
fn ends_a_call(error: &GatewayError) -> bool {
    matches!(
        error,
        GatewayError::UpstreamUnreachable
            | GatewayError::UpstreamFailed { .. }
            | GatewayError::UpstreamTimeout
            | GatewayError::UpstreamRateLimited { .. }
            | GatewayError::UpstreamRefused { .. }
            | GatewayError::UpstreamBroken
            | GatewayError::Leaving { .. }
    )
}

/// The failures of an operation by status. Those that spend nothing answer in the protocol that the caller's headers tell.
fn failures(endpoint: Option<&Endpoint>, meets: impl Fn(&GatewayError) -> bool) -> Map<String, Value> {
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let schema = match endpoint.map(|endpoint| endpoint.protocol) {
        Some(Protocol::Openai) => schema("OpenaiError"),
        Some(Protocol::Anthropic) => schema("AnthropicError"),
        None => json!({"anyOf": [schema("OpenaiError"), schema("AnthropicError")]}),
    };
    let mut responses = Map::new();
    for error in GatewayError::every().iter().filter(|error| meets(error)) {
        let code = error.code().map(|code| format!("{code}: ")).unwrap_or_default();
        let line = format!("{code}{}", error.message());
        let mut headers: Vec<String> = error.extra_headers().iter().map(|(name, _)| name.to_string()).collect();
        if matches!(error, GatewayError::RateLimited(_)) {
            headers.extend(RATES.map(String::from));
        }
        if ends_a_call(error) {
            headers.extend(CHARGE.map(String::from));
        }
        for status in statuses_of(error) {
            let response = responses.entry(status.to_string()).or_insert_with(
                || json!({"description": "", "headers": headers_of(endpoint, &[]), "content": {"application/json": {"schema": schema}}}),
            );
            let said = response["description"].as_str().filter(|said| !said.is_empty()).map(|said| format!("{said}\n\n{line}"));
            response["description"] = said.unwrap_or_else(|| line.clone()).into();
            for name in &headers {
                response["headers"][name] = header_ref(name);
            }
        }
    }
    responses
}

/// Its own status; a supplier that refuses a request chooses among those that are passed on.
fn statuses_of(error: &GatewayError) -> Vec<u16> {
    match error {
        GatewayError::UpstreamRefused { .. } => vec![400, 413, 415, 422],
        error => vec![error.status().as_u16()],
    }
}

fn headers_of(endpoint: Option<&Endpoint>, more: &[&str]) -> Value {
    let anthropic = endpoint.is_some_and(|endpoint| endpoint.protocol == Protocol::Anthropic).then_some("request-id");
    let names = ["openai-processing-ms", "x-request-id"].into_iter().chain(anthropic).chain(more.iter().copied());
    names.map(|name| (name.to_string(), header_ref(name))).collect::<Map<_, _>>().into()
}

fn header_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

fn openai_error() -> Value {
    let codes: Vec<Value> = every(|error| error.code().map_or(Value::Null, Value::from));
    let fields = json!({
        "message": text(),
        "type": {"enum": every(|error| error.kind().into())},
        "param": {"type": ["string", "null"]},
        "code": {"anyOf": [{"enum": codes}, {"type": "string", "description": "The supplier's own, where it refuses the request"}]},
    });
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": fields}},
    })
}

fn anthropic_error() -> Value {
    let kinds = every(|error| error.anthropic(crate::ids::RequestId::generate())["error"]["type"].clone());
    let error = json!({"type": "object", "required": ["type", "message"], "properties": {"type": {"enum": kinds}, "message": text()}});
    json!({
        "type": "object",
        "required": ["type", "error", "request_id"],
        "properties": {"type": {"const": "error"}, "error": error, "request_id": text()},
    })
}

/// A word of every failure, each once, sorted.
fn every(word: impl Fn(&GatewayError) -> Value) -> Vec<Value> {
    let mut words: Vec<Value> = GatewayError::every().iter().map(word).collect();
    words.sort_by_key(Value::to_string);
    words.dedup();
    words
}

fn model_id() -> Value {
    json!({"$ref": "#/components/schemas/ModelId"})
}

/// An object that has all of these fields.
fn object(properties: Value) -> Value {
    let names: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({"type": "object", "required": names, "properties": properties})
}

fn count() -> Value {
    json!({"type": "integer"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn key() -> Value {
    let period = object(json!({"period": text(), "time_zone": text(), "quota": count(), "used": count(), "ends_at": time()}));
    let member_left = object(json!({"ever": or_null(count()), "this_month": or_null(count())}));
    object(json!({
        "object": {"const": "key"}, "id": text(), "name": text(), "status": {"const": "enabled"}, "supplier": or_null(text()),
        "quota": or_null(count()), "spent": count(), "held": count(), "left": or_null(count()), "period": or_null(period),
        "requests_per_minute": or_null(count()), "tokens_per_minute": or_null(count()), "concurrent_calls": or_null(count()),
        "models": {"type": "array", "items": text()}, "expires_at": or_null(time()),
        "last_used_at": or_null(time()), "wallet_left": count(), "member_left": member_left,
    }))
}

fn openai_model() -> Value {
    object(json!({"id": text(), "object": {"const": "model"}, "created": count(), "owned_by": text()}))
}

fn anthropic_model() -> Value {
    object(json!({"id": text(), "type": {"const": "model"}, "display_name": text(), "created_at": time()}))
}

/// Anthropic's form goes to those who send `anthropic-version`.
fn model() -> Value {
    json!({"anyOf": [openai_model(), anthropic_model()]})
}

fn models() -> Value {
    let list = |item: Value| json!({"type": "array", "items": item});
    let openai = object(json!({"object": {"const": "list"}, "data": list(openai_model())}));
    let ends = or_null(text());
    let anthropic = json!({"data": list(anthropic_model()), "has_more": {"const": false}, "first_id": ends, "last_id": ends});
    json!({"anyOf": [openai, object(anthropic)]})
}

fn receipt() -> Value {
    let grant =
        object(json!({"id": text(), "source": text(), "order_id": or_null(text()), "tokens": count(), "expires_at": or_null(time())}));
    object(json!({
        "object": {"const": "receipt"}, "request_id": text(), "started_at": time(), "key": object(json!({"id": text(), "name": text()})),
        "model": text(), "supplier": text(), "endpoint": text(), "streamed": {"type": "boolean"}, "outcome": text(), "status": count(),
        "basis": text(), "tokens": object(json!({"input": count(), "cached": count(), "output": count()})),
        "price": object(json!({"version": count(), "input_ppm": count(), "cached_ppm": count(), "output_ppm": count()})),
        "held": count(), "charge": count(), "written_off": count(), "grants": {"type": "array", "items": grant},
        "first_byte_ms": or_null(count()), "latency_ms": count(), "upstream_usage": {},
    }))
}
