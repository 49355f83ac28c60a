//! What a supplier means by a failure: whether it may have worked on the call, what it says of the channel, and what the caller is told.

use crate::gateway::client::piece;
use crate::gateway::error::GatewayError;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::body::Incoming;
use serde_json::Value;
use std::time::Duration;

/// How long a supplier's words are waited for, and how many bytes of them are read.
const READ_FOR: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 64 << 10;
/// Of a message, and of a name in it, so many characters are passed on.
const LONGEST_MESSAGE: usize = 2_000;
const LONGEST_NAME: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It refuses us: our credential, our balance or our rate there. That says nothing of how it is, and another channel may work.
    RefusesUs,
    /// It works on nothing at the moment; another channel may.
    Overloaded,
    /// It refuses the request, as any other channel would.
    RefusesRequest,
    /// It failed, and may have worked on the call.
    Failed,
}

/// An answer that is a failure, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub meaning: Meaning,
    /// What the caller is told. The operator's secret and balance are the operator's business: of them nothing is passed on.
    pub error: GatewayError,
    /// Whether the request is refused because its stream asks for its usage.
    pub refuses_asking: bool,
}

impl Refusal {
    pub async fn of(response: Response<Incoming>, model: &str) -> Refusal {
        let status = response.status().as_u16();
        let meaning = meaning_of(status, response.headers());
        let error = match status {
            400 | 413 | 415 | 422 => return of_request(status, &beginning_of(response.into_body()).await),
            404 => GatewayError::EndpointUnsupported { model: model.to_string(), instead: Vec::new() },
            408 | 504 => GatewayError::UpstreamTimeout,
            429 => {
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_string);
                GatewayError::UpstreamRateLimited { retry_after }
            }
            _ => GatewayError::UpstreamFailed { sent: meaning == Meaning::Failed },
        };
        Refusal::new(meaning, error)
    }

    fn new(meaning: Meaning, error: GatewayError) -> Refusal {
        Refusal { meaning, error, refuses_asking: false }
    }

    /// Whether the request is refused because this field is not known there.
    pub fn refuses_field(&self, name: &str) -> bool {
        match &self.error {
            GatewayError::UpstreamRefused { status: 400, param: Some(param), code: Some(code), .. } => {
                param == name && code == "unsupported_parameter"
            }
            _ => false,
        }
    }
}

fn meaning_of(status: u16, headers: &HeaderMap) -> Meaning {
    match status {
        401 | 402 | 403 | 429 => Meaning::RefusesUs,
        503 if is_of_the_api(headers) => Meaning::Overloaded,
        // Anthropic's own.
        529 => Meaning::Overloaded,
        // 409: it was worked on by something else at the time, or for too long; 499: a proxy before it took us for gone.
        408 | 409 | 499 => Meaning::Failed,
        400..500 => Meaning::RefusesRequest,
        _ => Meaning::Failed,
    }
}

/// Whether the model's API itself says 503. A proxy before it says so too, when a call that it had handed on broke off.
fn is_of_the_api(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    headers.contains_key(RETRY_AFTER) || kind.trim_start().to_ascii_lowercase().starts_with("application/json")
}

/// A request that is refused with these words.
fn of_request(status: u16, body: &[u8]) -> Refusal {
    let words = Words::of(&serde_json::from_slice(body).unwrap_or_default());
    if words.are_about_us() {
        return Refusal::new(Meaning::RefusesUs, GatewayError::UpstreamFailed { sent: false });
    }
    let refuses_asking = refuses_asking(&String::from_utf8_lossy(body));
    let Words { message, param, code, .. } = words;
    let error = GatewayError::UpstreamRefused { status, message, param, code };
    Refusal { meaning: Meaning::RefusesRequest, error, refuses_asking }
}

/// Each validator has its own way to say it, and all name what they do not know.
fn refuses_asking(body: &str) -> bool {
    const UNKNOWN: [&str; 8] =
        ["not permitted", "forbidden", "not supported", "unsupported", "unknown", "unrecognized", "unexpected", "not allowed"];
    let body = body.to_lowercase();
    body.contains("stream_options") && UNKNOWN.iter().any(|word| body.contains(word))
}

/// How Google, xAI and others say 401 with 400.
const OF_CREDENTIALS: [&str; 6] =
    ["api key not valid", "api key not found", "api key expired", "incorrect api key", "invalid api key", "api key is invalid"];

/// What an error says.
struct Words {
    message: Option<String>,
    param: Option<String>,
    code: Option<String>,
    is_invalid_request: bool,
}

impl Words {
    /// OpenAI and Anthropic have an object, `error`; Google puts it into an array; some have a text there (xAI, Ollama, Hugging Face's
    /// servers), or its fields at the top (Mistral, older vLLM), or only `detail` (FastAPI).
    fn of(body: &Value) -> Words {
        let body = if body.is_array() { &body[0] } else { body };
        let error = if body["error"].is_object() { &body["error"] } else { body };
        let said = |value: &Value| value.as_str().map(|text| text.chars().take(LONGEST_NAME).collect());
        let message = [&error["message"], &error["message"]["detail"], &body["error"], &error["detail"]].into_iter().find_map(text_of);
        Words {
            message: message.map(|text| text.chars().take(LONGEST_MESSAGE).collect()),
            param: said(&error["param"]),
            code: said(&error["code"]),
            is_invalid_request: error["type"] == "invalid_request_error",
        }
    }

    /// Whether they are about our credential or our balance there, for which some have no status of its own.
    fn are_about_us(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_lowercase();
        let of_credential = OF_CREDENTIALS.iter().any(|words| message.contains(words));
        // How Anthropic says 402.
        let of_balance = self.is_invalid_request && message.contains("credit balance is too low");
        of_credential
            || of_balance
            || matches!(self.code.as_deref(), Some("invalid_api_key" | "insufficient_quota" | "billing_hard_limit_reached"))
    }
}

/// A text, or those of pydantic's list of what is wrong where.
fn text_of(value: &Value) -> Option<String> {
    let one = |error: &Value| {
        let place = error["loc"].as_array().into_iter().flatten().map(|part| part.as_str().map_or(part.to_string(), str::to_string));
        Some(format!("{}: {}", place.collect::<Vec<_>>().join("."), error["msg"].as_str()?))
    };
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(errors) => errors.iter().map(one).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()).map(|all| all.join("; ")),
        _ => None,
    }
}

/// What has come of the body in time, and within bounds.
async fn beginning_of(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < MOST_BYTES
            && let Ok(Some(chunk)) = piece(&mut body).await
        {
            bytes.extend_from_slice(&chunk);
        }
    };
    let _ = tokio::time::timeout(READ_FOR, reading).await;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_status_tells_whether_it_was_worked_on() {
        let none = HeaderMap::new();
        for (status, meaning) in [
            (301, Meaning::Failed),
            (400, Meaning::RefusesRequest),
            (401, Meaning::RefusesUs),
            (402, Meaning::RefusesUs),
            (403, Meaning::RefusesUs),
            (404, Meaning::RefusesRequest),
            (405, Meaning::RefusesRequest),
            (408, Meaning::Failed),
            (409, Meaning::Failed),
            (418, Meaning::RefusesRequest),
            (422, Meaning::RefusesRequest),
            (499, Meaning::Failed),
            (429, Meaning::RefusesUs),
            (500, Meaning::Failed),
            (502, Meaning::Failed),
            (503, Meaning::Failed),
            (504, Meaning::Failed),
            (529, Meaning::Overloaded),
        ] {
            assert_eq!(meaning_of(status, &none), meaning, "{status}");
        }
        for (name, value, meaning) in [
            (CONTENT_TYPE, "application/json", Meaning::Overloaded),
            (CONTENT_TYPE, "Application/JSON; charset=utf-8", Meaning::Overloaded),
            (CONTENT_TYPE, "text/html", Meaning::Failed),
            (RETRY_AFTER, "30", Meaning::Overloaded),
        ] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(meaning_of(503, &headers), meaning, "{value}");
        }
    }

    #[test]
    fn words_and_code_are_passed_on_as_they_stand_within_bounds() {
        let said = |json: &str| match of_request(400, json.as_bytes()) {
            Refusal { meaning: Meaning::RefusesRequest, error: GatewayError::UpstreamRefused { message, param, code, .. }, .. } => {
                [message, param, code]
            }
            refusal => panic!("{refusal:?}"),
        };
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            said(r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#),
            [some("too long"), some("messages"), some("context_length_exceeded")]
        );
        // What is no string is not known, and takes nothing else with it.
        assert_eq!(said(r#"{"error":{"message":"no","param":null,"code":400}}"#), [some("no"), None, None]);
        // Others have their words elsewhere.
        for (json, message, code) in [
            (r#"{"error":"no"}"#, "no", None),
            (r#"{"code":"invalid-argument","error":"no"}"#, "no", some("invalid-argument")),
            (r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#, "no", None),
            (r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#, "too long", None),
            (
                r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","top_k"],"msg":"Extra inputs are not permitted","input":5}]}}"#,
                "body.top_k: Extra inputs are not permitted",
                None,
            ),
            (r#"{"detail":"no"}"#, "no", None),
            (r#"{"detail":[{"loc":["body","messages",0],"msg":"a"},{"loc":["body"],"msg":"b"}]}"#, "body.messages.0: a; body: b", None),
        ] {
            assert_eq!(said(json), [some(message), None, code], "{json}");
        }
        for body in ["", "[]", "{", "7", "[7]", r#"{"error":[1]}"#, r#"{"detail":[]}"#, r#"{"message":{"x":1}}"#, "<html>"] {
            assert_eq!(said(body), [None, None, None], "{body}");
        }
        let long = "é".repeat(3_000);
        let lengths = said(&format!(r#"{{"error":{{"message":"{long}","param":"{long}","code":"{long}"}}}}"#))
            .map(|text| text.map_or(0, |text| text.chars().count()));
        assert_eq!(lengths, [2_000, 200, 200]);
    }

    #[test]
    fn a_field_is_refused_by_code_and_param() {
        let refuses = |json: &str| of_request(400, json.as_bytes()).refuses_field("max_tokens");
        assert!(refuses(r#"{"error":{"message":"x","param":"max_tokens","code":"unsupported_parameter"}}"#));
        for json in [
            r#"{"error":{"message":"x","param":"max_tokens","code":"invalid_value"}}"#,
            r#"{"error":{"message":"x","param":"temperature","code":"unsupported_parameter"}}"#,
            r#"{"error":{"message":"max_tokens unsupported_parameter"}}"#,
        ] {
            assert!(!refuses(json), "{json}");
        }
        let unprocessable = of_request(422, br#"{"error":{"param":"max_tokens","code":"unsupported_parameter"}}"#);
        assert!(!unprocessable.refuses_field("max_tokens"));
    }

    #[test]
    fn a_stream_that_asks_for_its_usage_is_refused_in_many_words() {
        for json in [
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted"}]}}"#,
            r#"{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}"#,
            r#"{"error":{"message":"'stream_options' is not supported","param":"stream_options","code":"unsupported_parameter"}}"#,
        ] {
            assert!(of_request(422, json.as_bytes()).refuses_asking, "{json}");
        }
        for json in
            [r#"{"detail":[{"loc":["body","top_k"],"msg":"Extra inputs are not permitted"}]}"#, r#"{"error":"stream_options?"}"#, ""]
        {
            assert!(!of_request(422, json.as_bytes()).refuses_asking, "{json}");
        }
    }

    #[test]
    fn a_credential_that_is_refused_is_not_the_callers_business() {
        for json in [
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: ab***yz."}"#,
            r#"{"error":{"message":"no","code":"invalid_api_key"}}"#,
        ] {
            let refusal = of_request(400, json.as_bytes());
            assert_eq!((refusal.meaning, refusal.error.code()), (Meaning::RefusesUs, Some("upstream_unavailable")), "{json}");
        }
        // A word of the request's own.
        let of_tool = r#"{"error":{"message":"Invalid schema for function 'get_api_key': 'api key' is no type."}}"#;
        assert_eq!(of_request(400, of_tool.as_bytes()).meaning, Meaning::RefusesRequest);
    }

    #[test]
    fn an_empty_balance_at_the_supplier_is_not_the_callers_business() {
        let low =
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your Credit Balance is too low to access the API."}}"#;
        let refusal = of_request(400, low.as_bytes());
        assert_eq!((refusal.meaning, refusal.error.code()), (Meaning::RefusesUs, Some("upstream_unavailable")));
        assert!(!refusal.error.message().to_lowercase().contains("balance"));
        let other = r#"{"type":"error","error":{"type":"api_error","message":"Your credit balance is too low"}}"#;
        assert_eq!(of_request(400, other.as_bytes()).meaning, Meaning::RefusesRequest);
    }
}
