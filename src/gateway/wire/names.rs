//! Names by which a supplier would read a request otherwise than we did when we held for it: one that stands twice or in another
//! spelling, of which a server written in Go takes the last, and those that only some servers know, such as another model's.

use crate::gateway::error::GatewayError;
use crate::gateway::wire::Endpoint;
use crate::gateway::wire::object::RawObject;
use crate::gateway::wire::request::invalid;

/// Every name of an output limit: the protocols', then those of llama.cpp, of Hugging Face's servers and of Ollama. Each reference refuses
/// the names of the other protocols; llama.cpp obeys the first that it finds, and its own before all.
const LIMITS: [&str; 6] = ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict", "max_new_tokens", "num_predict"];
/// Every name of how often to answer: OpenAI's, then llama.cpp's.
const ANSWERS: [&str; 3] = ["n", "best_of", "n_cmpl"];
/// Where Ollama's own protocol has its limit, and the limit's name there.
const OLLAMA: [&str; 2] = ["options", "num_predict"];

/// Names of other models that routers before suppliers (OpenRouter, LiteLLM) turn to, and bill, where the first cannot answer.
const OTHER_MODELS: [&str; 5] = ["models", "fallbacks", "route", "context_window_fallbacks", "content_policy_fallbacks"];
/// What has OpenRouter search, or read files, for a price of its own.
const PLUGINS: &str = "plugins";
/// What has a call served faster, for a multiple of its price, with the values that cost no more than none: OpenAI's and Groq's, Anthropic's.
const PACES: [(&str, &[&str]); 2] =
    [("service_tier", &["auto", "default", "flex", "on_demand", "standard", "standard_only"]), ("speed", &["standard"])];

/// Refuses a request of which a supplier could read another model, limit or prompt than we do.
pub fn refuse_ambiguous(endpoint: &Endpoint, object: &RawObject<'_>) -> Result<(), GatewayError> {
    for name in endpoint.read_names() {
        if object.has_twice(name) {
            return Err(invalid(name, format!("'{name}' stands twice in the request.")));
        }
        refuse_spellings(object, name, name)?;
    }
    if let Some(options) = object.get("stream_options").and_then(|raw| RawObject::parse(raw.get().as_bytes())) {
        refuse_spellings(&options, "include_usage", "stream_options")?;
    }
    refuse_dearer(object)?;
    refuse_overrides(endpoint, object)
}

/// Fields that some suppliers know, and that make a call cost more than the price of its model says; with what each may say.
pub fn dearer() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    OTHER_MODELS.into_iter().chain([PLUGINS]).map(|name| (name, &[][..])).chain(PACES)
}

fn refuse_dearer(object: &RawObject<'_>) -> Result<(), GatewayError> {
    for (name, harmless) in dearer() {
        // An empty list asks for nothing.
        let costs_nothing = |value: &str| {
            let word: Option<String> = serde_json::from_str(value).ok();
            matches!(value, "null" | "[]") || word.is_some_and(|word| harmless.contains(&word.as_str()))
        };
        if object.spellings(name).any(|(_, value)| !costs_nothing(value.get())) {
            let dearer = "and the call would cost more than the price of its model says";
            return Err(invalid(name, format!("Some suppliers would obey '{name}', {dearer}. It is not served here.")));
        }
    }
    Ok(())
}

fn refuse_spellings(object: &RawObject<'_>, name: &str, param: &'static str) -> Result<(), GatewayError> {
    match object.spellings(name).find(|(field, _)| *field != name) {
        Some((field, _)) => Err(invalid(param, format!("Some suppliers would read '{field}' as '{name}'. Write it as '{name}', once."))),
        None => Ok(()),
    }
}

/// The same for a field of each object in a list. What is no such list is refused where it is read.
pub fn refuse_spellings_in(object: &RawObject<'_>, list: &'static str, name: &str) -> Result<(), GatewayError> {
    let items: Vec<RawObject<'_>> = object.get(list).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    items.iter().try_for_each(|item| refuse_spellings(item, name, list))
}

/// What an endpoint whose output is held for does not know, and some servers would obey; with the number that changes nothing, as null
/// does.
pub fn overrides(endpoint: &Endpoint) -> Vec<(&'static str, Option<i64>)> {
    if endpoint.limits.is_empty() {
        return Vec::new();
    }
    let read = endpoint.read_names();
    let all = LIMITS.map(|name| (name, None)).into_iter().chain(ANSWERS.map(|name| (name, Some(1))));
    all.filter(|(name, _)| !read.contains(name)).collect()
}

fn refuse_overrides(endpoint: &Endpoint, object: &RawObject<'_>) -> Result<(), GatewayError> {
    let Some(limit) = endpoint.limits.last() else { return Ok(()) };
    let instead =
        |name: &str| format!("Some suppliers would obey '{name}' instead of '{limit}', which is what is held for. Use '{limit}'.");
    for (name, harmless) in overrides(endpoint) {
        let obeyed = |value: &str| value != "null" && harmless.is_none_or(|number| value != number.to_string());
        if object.spellings(name).any(|(_, value)| obeyed(value.get())) {
            let message = match harmless {
                None => instead(name),
                Some(_) => format!("Some suppliers would obey '{name}' and answer more often than is held for. It is not served here."),
            };
            return Err(invalid(name, message));
        }
    }
    let [options, name] = OLLAMA;
    let inner = object.spellings(options).filter_map(|(_, raw)| RawObject::parse(raw.get().as_bytes()));
    for inner in inner {
        if inner.spellings(name).any(|(_, value)| value.get() != "null") {
            return Err(invalid(options, instead("options.num_predict")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::wire::{ENDPOINTS, Request, chat, completions, embeddings, messages, responses};

    /// A request that the endpoint takes, with more fields at its end.
    fn refused(endpoint: &'static Endpoint, fields: &str) -> Option<(&'static str, String)> {
        let good = match endpoint.path {
            "completions" => r#""prompt":"hi","max_tokens":5"#,
            "embeddings" => r#""input":"hi""#,
            "responses" => r#""input":"hi","max_output_tokens":5"#,
            _ => r#""messages":[{"role":"user","content":"hi"}],"max_tokens":5"#,
        };
        let comma = if fields.is_empty() { "" } else { "," };
        let body = format!(r#"{{"model":"cheap/x",{good}{comma}{fields}}}"#);
        match Request::parse(endpoint, body.as_bytes()) {
            Err(GatewayError::InvalidField { param, message }) => Some((param, message)),
            Err(error) => panic!("{fields}: {error:?}"),
            Ok(_) => None,
        }
    }

    #[test]
    fn no_field_that_we_read_has_another_spelling() {
        for endpoint in ENDPOINTS {
            assert_eq!(refused(endpoint, ""), None);
            for name in endpoint.read_names() {
                let (large, mixed) = (name.to_ascii_uppercase(), format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]));
                for spelling in [large, mixed, name.replacen('s', "\u{17f}", 1), name.replacen('k', "\\u212a", 1)] {
                    let found = refused(endpoint, &format!(r#""{spelling}":null"#));
                    match spelling == name {
                        // It has no such letter, and stands once or twice.
                        true => assert!(found.is_none_or(|(_, message)| message.contains("twice")), "{name}"),
                        false => assert_eq!(found.map(|(param, _)| param), Some(name), "{spelling}"),
                    }
                }
            }
        }
        let (_, message) = refused(&chat::ENDPOINT, r#""MODEL":"big""#).expect("refused");
        assert_eq!(message, "Some suppliers would read 'MODEL' as 'model'. Write it as 'model', once.");
    }

    #[test]
    fn what_is_read_in_objects_and_lists_is_spelled_as_we_read_it() {
        for (endpoint, fields, param) in [
            (&chat::ENDPOINT, r#""stream":true,"stream_options":{"include_usage":true,"Include_Usage":false}"#, Some("stream_options")),
            (&chat::ENDPOINT, r#""stream":true,"stream_options":{"INCLUDE_USAGE":false}"#, Some("stream_options")),
            (&chat::ENDPOINT, r#""stream":true,"stream_options":{"Other":1}"#, None),
            (&messages::ENDPOINT, r#""tools":[{"type":"custom","Type":"web_search_20250305","name":"f"}]"#, Some("tools")),
            (&messages::ENDPOINT, r#""tools":[{"type":"custom","name":"f","Name":"g"}]"#, None),
            (&responses::ENDPOINT, r#""tools":[{"TYPE":"web_search"}]"#, Some("tools")),
        ] {
            assert_eq!(refused(endpoint, fields).map(|(param, _)| param), param, "{fields}");
        }
        let body = br#"{"model":"m","input":[{"Type":"item_reference","id":"x","content":"y"}]}"#;
        let found = Request::parse(&responses::ENDPOINT, body).err();
        assert!(matches!(found, Some(GatewayError::InvalidField { param: "input", .. })), "{found:?}");
    }

    #[test]
    fn nothing_makes_a_call_dearer_than_its_model() {
        for (fields, param) in [
            (r#""models":["dear/y"]"#, Some("models")),
            (r#""Models":["dear/y"]"#, Some("models")),
            (r#""models":[],"fallbacks":null,"plugins":[]"#, None),
            (r#""models":{}"#, Some("models")),
            (r#""models":null,"models":["dear/y"]"#, Some("models")),
            (r#""fallbacks":[{"model":"dear/y"}]"#, Some("fallbacks")),
            (r#""route":"fallback""#, Some("route")),
            (r#""context_window_fallbacks":[{"cheap/x":["dear/y"]}]"#, Some("context_window_fallbacks")),
            (r#""plugins":[{"id":"web"}]"#, Some("plugins")),
            (r#""service_tier":"priority""#, Some("service_tier")),
            (r#""service_tier":"ultrafast""#, Some("service_tier")),
            (r#""service_tier":"au\u0074o","speed":"standard""#, None),
            (r#""service_tier":"flex""#, None),
            (r#""service_tier":"on_demand""#, None),
            (r#""service_tier":7"#, Some("service_tier")),
            (r#""speed":"fast""#, Some("speed")),
        ] {
            for endpoint in ENDPOINTS {
                assert_eq!(refused(endpoint, fields).map(|(param, _)| param), param, "{}: {fields}", endpoint.path);
            }
        }
    }

    #[test]
    fn no_other_name_overrides_what_is_held_for() {
        for (endpoint, fields, param) in [
            (&chat::ENDPOINT, r#""n_predict":100000"#, Some("n_predict")),
            (&chat::ENDPOINT, r#""N_Predict":-1"#, Some("n_predict")),
            (&chat::ENDPOINT, r#""n_predict":null,"n_predict":100000"#, Some("n_predict")),
            (&chat::ENDPOINT, r#""max_new_tokens":9"#, Some("max_new_tokens")),
            (&chat::ENDPOINT, r#""num_predict":"9""#, Some("num_predict")),
            (&chat::ENDPOINT, r#""options":{"num_ctx":4096,"Num_Predict":9}"#, Some("options")),
            (&chat::ENDPOINT, r#""options":{},"Options":{"num_predict":9}"#, Some("options")),
            (&chat::ENDPOINT, r#""options":{"num_ctx":4096,"num_predict":null},"n_predict":null"#, None),
            (&chat::ENDPOINT, r#""options":"any""#, None),
            (&chat::ENDPOINT, r#""max_completion_tokens":9,"n":2"#, None),
            (&chat::ENDPOINT, r#""max_output_tokens":9"#, Some("max_output_tokens")),
            (&chat::ENDPOINT, r#""n_cmpl":8"#, Some("n_cmpl")),
            (&chat::ENDPOINT, r#""best_of":8"#, Some("best_of")),
            (&chat::ENDPOINT, r#""best_of":1,"n_cmpl":null"#, None),
            (&completions::ENDPOINT, r#""max_completion_tokens":9"#, Some("max_completion_tokens")),
            (&completions::ENDPOINT, r#""best_of":2,"n":2"#, None),
            (&responses::ENDPOINT, r#""max_tokens":9"#, Some("max_tokens")),
            (&responses::ENDPOINT, r#""n":2"#, Some("n")),
            (&messages::ENDPOINT, r#""max_new_tokens":9"#, Some("max_new_tokens")),
            (&messages::ENDPOINT, r#""N":2"#, Some("n")),
            // Nothing is put out that could be limited.
            (&embeddings::ENDPOINT, r#""n_predict":9,"max_tokens":9,"n":9"#, None),
        ] {
            assert_eq!(refused(endpoint, fields).map(|(param, _)| param), param, "{}: {fields}", endpoint.path);
        }
        let (_, message) = refused(&responses::ENDPOINT, r#""n_predict":9"#).expect("refused");
        assert!(message.contains("Use 'max_output_tokens'."), "{message}");
    }
}
