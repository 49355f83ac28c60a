//! Tests of chat requests and answers.

use super::*;
use crate::gateway::forms::Form;
use crate::gateway::wire::Request;

fn refusal(json: &str) -> (Option<&'static str>, &'static str) {
    match Request::parse(&ENDPOINT, json.as_bytes()) {
        Err(GatewayError::InvalidField { param, .. }) => (Some(param), "field"),
        Err(GatewayError::InvalidJson) => (None, "json"),
        Err(_) => (None, "other"),
        Ok(_) => (None, "accepted"),
    }
}

fn upstream(json: &str, limit: i64) -> String {
    let request = Request::parse(&ENDPOINT, json.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
    String::from_utf8(request.upstream_body(Form::default(), "up", limit)).expect("UTF-8")
}

#[test]
fn parse_names_the_bad_field() {
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    assert_eq!(refusal("{}"), (Some("model"), "field"));
    assert_eq!(refusal("[1]"), (None, "json"));
    for (field, param) in [
        (r#""model":"""#, "model"),
        (r#""model":7"#, "model"),
        (r#""model":"a","model":"b""#, "model"),
        (r#""model":"a","stream":"yes""#, "stream"),
        (r#""model":"a","n":0"#, "n"),
        (r#""model":"a","n":1.5"#, "n"),
        (r#""model":"a","n":129"#, "n"),
        (r#""model":"a","max_tokens":-1"#, "max_tokens"),
        (r#""model":"a","max_tokens":0.5"#, "max_tokens"),
        (r#""model":"a","max_completion_tokens":"10""#, "max_completion_tokens"),
        (r#""model":"a","max_tokens":1,"max_tokens":1000"#, "max_tokens"),
        (r#""model":"a","stream_options":true"#, "stream_options"),
        (r#""model":"a","stream":true,"stream_options":[true]"#, "stream_options"),
    ] {
        assert_eq!(refusal(&format!("{{{messages},{field}}}")), (Some(param), "field"), "{field}");
    }
    for messages in ["\"hi\"", "[]", "{}"] {
        assert_eq!(refusal(&format!(r#"{{"model":"a","messages":{messages}}}"#)), (Some("messages"), "field"));
    }
    assert_eq!(refusal(r#"{"model":"a"}"#), (Some("messages"), "field"));
}

#[test]
fn upstream_body_changes_model_limit_and_usage_only() {
    let messages = r#""messages":[{"role":"user","content":"h\u0069"}]"#;
    assert_eq!(
        upstream(&format!(r#"{{"model":"a/b",{messages},"temperature":0.70,"x":{{"y":[1 ]}}}}"#), 5),
        format!(r#"{{"model":"up",{messages},"temperature":0.70,"x":{{"y":[1 ]}},"max_tokens":5}}"#)
    );
    assert_eq!(
        upstream(&format!(r#"{{"max_tokens":90,"model":"a","stream":true,{messages}}}"#), 5),
        format!(r#"{{"max_tokens":5,"model":"up","stream":true,{messages},"stream_options":{{"include_usage":true}}}}"#)
    );
    assert_eq!(
        upstream(
            &format!(
                r#"{{"max_tokens":90,"max_completion_tokens":20,"model":"a","stream":true,"stream_options":{{"include_usage":false,"z":1}},{messages}}}"#
            ),
            5
        ),
        format!(r#"{{"max_completion_tokens":5,"model":"up","stream":true,"stream_options":{{"include_usage":true,"z":1}},{messages}}}"#)
    );
}

#[test]
fn a_limit_that_the_caller_did_not_name_may_go_by_the_other_name() {
    let rest = r#""model":"a","messages":[{}]"#;
    let request = |json: &'static str| Request::parse(&ENDPOINT, json.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
    let unnamed = request(r#"{"model":"a","messages":[{}],"max_tokens":null}"#);
    let other = Form { other_limit: true, ..Form::default() };
    assert_eq!([Form::default(), other].map(|form| unnamed.limit_field(form)), [Some("max_tokens"), Some("max_completion_tokens")]);
    let body = unnamed.upstream_body(other, "up", 5);
    assert_eq!(String::from_utf8_lossy(&body), r#"{"model":"up","messages":[{}],"max_completion_tokens":5}"#);
    for named in [r#""max_tokens":9"#, r#""max_completion_tokens":9"#, r#""max_tokens":9,"max_completion_tokens":9"#] {
        let json = format!("{{{rest},{named}}}");
        let request = Request::parse(&ENDPOINT, json.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
        assert!(!request.open_form().other_limit && request.limit_field(other) == request.limit_field(Form::default()), "{named}");
    }
}

#[test]
fn a_stream_may_go_without_being_asked_for_its_usage_unless_its_caller_says_more_about_it() {
    let unasked = Form { unasked: true, ..Form::default() };
    for (fields, open) in [
        (r#""stream":true"#, true),
        (r#""stream":true,"stream_options":null"#, true),
        (r#""stream":true,"stream_options":{"include_usage":true}"#, true),
        (r#""stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}"#, false),
        (r#""stream":false"#, false),
        (r#""n":1"#, false),
    ] {
        let json = format!(r#"{{"model":"a","messages":[{{}}],{fields}}}"#);
        let request = Request::parse(&ENDPOINT, json.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(request.open_form().unasked, open, "{fields}");
        let body = String::from_utf8(request.upstream_body(unasked, "up", 5)).expect("UTF-8");
        assert!(!body.contains("stream_options") && body.contains(r#""max_tokens":5"#), "{body}");
    }
}

#[test]
fn both_limits_hold_on_the_larger() {
    let parse = |json: &str| Request::parse(&ENDPOINT, json.as_bytes()).map(|request| request.output_limit).unwrap_or(None);
    let rest = r#""model":"a","messages":[{}]"#;
    assert_eq!(parse(&format!(r#"{{{rest},"max_tokens":90,"max_completion_tokens":20}}"#)), Some(90));
    assert_eq!(parse(&format!(r#"{{{rest},"max_tokens":null}}"#)), None);
}

#[test]
fn what_openai_lets_pass_and_costs_nothing_more_is_no_reason_to_refuse() {
    let messages = r#""messages":[{}]"#;
    for name in ["max_tokens", "max_completion_tokens"] {
        let json = format!(r#"{{"model":"a",{messages},"{name}":0}}"#);
        let request = Request::parse(&ENDPOINT, json.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
        // Some suppliers take 0 for no limit.
        assert_eq!((request.output_limit, request.limit_field(Form::default())), (Some(1), Some(name)));
        assert_eq!(upstream(&json, 1), format!(r#"{{"model":"up",{messages},"{name}":1}}"#));
    }
    let both = Request::parse(&ENDPOINT, format!(r#"{{"model":"a",{messages},"max_tokens":0,"max_completion_tokens":9}}"#).as_bytes())
        .map(|request| request.output_limit);
    assert!(matches!(both, Ok(Some(9))));
    // Options of a stream that is none are the supplier's to judge, and asking for usage is not added.
    let options = r#""stream":false,"stream_options":{"include_usage":true,"include_obfuscation":true}"#;
    assert_eq!(
        upstream(&format!(r#"{{"model":"a",{messages},"max_tokens":9,{options}}}"#), 9),
        format!(r#"{{"model":"up",{messages},"max_tokens":9,{options}}}"#)
    );
}

#[test]
fn prompt_text_holds_every_string_but_no_base64() {
    let image = format!("data:image/png;base64,{}", "A".repeat(1_000));
    let json = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"look"}},{{"type":"image_url","image_url":{{"url":"{image}"}}}}]}}],"tools":[{{"function":{{"name":"f"}}}}]}}"#
    );
    let prompt = Request::parse(&ENDPOINT, json.as_bytes()).map(|request| request.prompt_text()).unwrap_or_default();
    assert_eq!(prompt.attachments, 1);
    assert!(prompt.text.contains("look") && prompt.text.contains('f') && !prompt.text.contains("AAAA"));
}

#[test]
fn answers_give_text_and_usage() {
    let mut delivered = Delivered::default();
    let chunk =
        br#"{"choices":[{"delta":{"content":"a\n","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]}},
        {"message":{"content":null,"refusal":"no","reasoning":"r","audio":{"data":"AAAA","transcript":"t"}}}],"usage":null}"#;
    assert_eq!(read_event(chunk, &mut delivered), Part::Content);
    assert_eq!((delivered.text.as_str(), delivered.raw_usage.is_none()), ("a\nf{}rnot", true));
    for choices in [r#""choices":[],"#, r#""choices":null,"#, ""] {
        let report = format!(r#"{{{choices}"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#);
        assert_eq!(read_event(report.as_bytes(), &mut delivered), Part::Usage, "{report}");
    }
    for choices in [r#"{"delta":7}"#, "[7]", r#""x""#] {
        let report = format!(r#"{{"choices":{choices},"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#);
        assert_eq!(read_event(report.as_bytes(), &mut delivered), Part::Content, "{report}");
    }
    assert_eq!(delivered.usage, Some(Usage { input: 1, cached: 0, output: 2 }));
    assert_eq!(read_event(b"[DONE]", &mut delivered), Part::End);
    assert_eq!(read_event(br#"{"error":{"message":"x"}}"#, &mut delivered), Part::Broken);
    assert_eq!(read_event(b"not json", &mut delivered), Part::Broken);
}

#[test]
fn a_report_is_measured_once_it_is_the_last_word() {
    let word = |usage: &str| format!(r#"{{"choices":[{{"delta":{{"content":"a"}}}}],"usage":{usage}}}"#);
    let usage = |output: i64| format!(r#"{{"prompt_tokens":7,"completion_tokens":{output}}}"#);
    let finish = |output| format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"stop"}}],"usage":{}}}"#, usage(output));
    let last = |output| format!(r#"{{"choices":[],"usage":{}}}"#, usage(output));
    let done = || "[DONE]".to_string();
    for (events, measured, least) in [
        // OpenAI: null until the last chunk, which has no choices.
        (vec![word("null"), last(2)], Some(2), 0),
        (vec![word("null"), last(2), done()], Some(2), 0),
        (vec![word("null"), r#"{"usage":{"prompt_tokens":7,"completion_tokens":2}}"#.into()], Some(2), 0),
        (vec![word("null"), last(0), done()], Some(0), 0),
        // vLLM's running totals, cut, and ended with and without the last chunk.
        (vec![word(&usage(1)), word(&usage(2))], None, 2),
        (vec![word(&usage(1)), finish(2)], None, 2),
        (vec![word(&usage(1)), finish(2), done()], Some(2), 2),
        (vec![word(&usage(1)), finish(2), last(4), done()], Some(4), 2),
        (vec![word(&usage(1)), finish(2), last(4)], Some(4), 2),
        (vec![word(&usage(0)), word("null")], None, 0),
        // More comes behind what looked like the last.
        (vec![last(2), word("null")], None, 2),
        (vec![last(2), word("null"), done()], Some(2), 2),
        (vec![word(&usage(5)), word(r#"{"prompt_tokens":-1,"completion_tokens":9}"#), done()], None, 5),
    ] {
        let mut delivered = Delivered::default();
        for event in &events {
            read_event(event.as_bytes(), &mut delivered);
        }
        assert_eq!((delivered.usage.map(|usage| usage.output), delivered.least_output), (measured, least), "{events:?}");
    }
    let mut whole = Delivered::default();
    assert!(read_whole(word(&usage(2)).as_bytes(), &mut whole));
    assert_eq!(whole.usage, Some(Usage { input: 7, cached: 0, output: 2 }));
    // A proxy that adds its report to a default of none says it twice.
    let mut twice = Delivered::default();
    assert!(read_whole(format!(r#"{{"usage":null,"choices":[],"usage":{},"usage":null}}"#, usage(2)).as_bytes(), &mut twice));
    assert_eq!(twice.usage, whole.usage);
}

#[test]
fn what_is_in_no_known_form_is_no_reason_to_end_a_stream() {
    for (chunk, text) in [
        (r#"{"choices":[{"delta":{"content":[{"text":"a"}],"tool_calls":{"x":1}}}]}"#, r#"[{"text":"a"}]"#),
        (r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}}]}"#, r#"f{"a":1}"#),
        (r#"{"choices":7}"#, ""),
        (r#"{"choices":[{"delta":"x"}],"error":null}"#, ""),
        (r#"{"x_unknown":true}"#, ""),
        (r#"{"choices":[{"delta":{"content":null,"content":"a","content":null}}],"choices":7}"#, "a"),
        (r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}","input":null},"custom":null}]}}]}"#, "f{}"),
    ] {
        let mut delivered = Delivered::default();
        assert_eq!((read_event(chunk.as_bytes(), &mut delivered), delivered.text.as_str()), (Part::Content, text), "{chunk}");
    }
}

#[test]
fn usage_is_read_when_it_is_sane() {
    let usage = |input, cached, output| Some(Usage { input, cached, output });
    for (json, expected) in [
        (r#"{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}"#, usage(9, 0, 12)),
        (r#"{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0}}"#, usage(9, 4, 12)),
        (r#"{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":null}"#, usage(9, 0, 12)),
        (r#"{"prompt_tokens":9,"completion_tokens":12,"total_tokens":1}"#, usage(9, 0, 12)),
        (r#"{"prompt_tokens":9,"completion_tokens":12,"total_tokens":"x","completion_tokens_details":7}"#, usage(9, 0, 12)),
        // What was reasoned is part of the output, or comes on top of it.
        (
            r#"{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"completion_tokens_details":{"reasoning_tokens":5}}"#,
            usage(9, 0, 12),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":5}}"#,
            usage(9, 0, 7),
        ),
        (
            r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81,"completion_tokens_details":{"reasoning_tokens":60}}"#,
            usage(21, 0, 60),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":17,"completion_tokens_details":{"reasoning_tokens":5}}"#,
            usage(9, 0, 2),
        ),
        // What was cached stands elsewhere with some.
        (r#"{"prompt_tokens":19,"completion_tokens":21,"total_tokens":40,"cached_tokens":10}"#, usage(19, 10, 21)),
        (r#"{"prompt_tokens":19,"completion_tokens":21,"prompt_cache_hit_tokens":10,"prompt_cache_miss_tokens":9}"#, usage(19, 10, 21)),
        (r#"{"prompt_tokens":19,"completion_tokens":21,"cached_tokens":10,"prompt_tokens_details":{"cached_tokens":0}}"#, usage(19, 0, 21)),
        (r#"{"prompt_tokens":19,"completion_tokens":21,"cached_tokens":20}"#, usage(19, 0, 21)),
        (r#"{"prompt_tokens":19,"completion_tokens":21,"cached_tokens":{},"prompt_cache_hit_tokens":"x"}"#, usage(19, 0, 21)),
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, usage(0, 0, 0)),
        ("null", None),
        ("{}", None),
        ("[]", None),
        (r#"{"prompt_tokens":9}"#, None),
        (r#"{"prompt_tokens":9,"prompt_tokens":8,"completion_tokens":1}"#, None),
        (r#"{"prompt_tokens":-1,"completion_tokens":1}"#, None),
        (r#"{"prompt_tokens":1.5,"completion_tokens":1}"#, None),
        (r#"{"prompt_tokens":"9","completion_tokens":1}"#, None),
        (r#"{"prompt_tokens":9223372036854775808,"completion_tokens":1}"#, None),
        (r#"{"prompt_tokens":1,"completion_tokens":1000000001}"#, None),
        (r#"{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}"#, None),
    ] {
        assert_eq!(usage_of(&RawValue::from_string(json.into()).expect("JSON")), expected, "{json}");
    }
}
