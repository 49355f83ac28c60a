//! What `toki openapi` says of requests, as JSON Schema: a field that an endpoint reads is described where it is read, with these.

use serde_json::{Value, json};

/// A field that may also be null, which counts as absent.
pub fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

pub fn text() -> Value {
    json!({"type": "string"})
}

pub fn switch() -> Value {
    or_null(json!({"type": "boolean"}))
}

pub fn positive(most: i64) -> Value {
    at_least(1, most)
}

pub fn at_least(least: i64, most: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// A field of which we serve one value only, or none.
pub fn nothing_but(values: &[Value]) -> Value {
    let values = [values, &[Value::Null]].concat();
    json!({"enum": values})
}

/// One text or an array of texts, each of which may also be an array of Token ids.
pub fn texts(most: usize) -> Value {
    let many = |items: &Value| json!({"type": "array", "minItems": 1, "maxItems": most, "items": items});
    let token_ids = json!({"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": u32::MAX}});
    json!({"anyOf": [text(), many(&text()), token_ids, many(&token_ids)]})
}

/// Parts that are counted and passed on; what is in them is the supplier's to judge.
pub fn parts(most: usize) -> Value {
    json!({"type": "array", "minItems": 1, "maxItems": most, "items": {}})
}

/// Tools, of which those that the supplier would run are refused by their type.
pub fn tools() -> Value {
    or_null(json!({"type": "array", "items": {"type": "object", "properties": {"type": or_null(text())}}}))
}
