//! What we read of a provider's event. Only the fields we need, none of them required by the parser: an event that lacks one is
//! stored and judged, never turned away.

use serde_json::Value;

/// A verified event.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentEvent {
    pub id: String,
    pub kind: String,
    /// As it came, but for NUL characters, which Postgres cannot keep: a customer who types one must not lose their payment.
    pub payload: Value,
}

/// A body that is no event: not JSON, or without an id or a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not an event")]
pub struct NotAnEvent;

impl PaymentEvent {
    pub fn parse(body: &[u8]) -> Result<PaymentEvent, NotAnEvent> {
        let payload = serde_json::from_slice(body).map_err(|_| NotAnEvent)?;
        PaymentEvent::from_payload(without_nul(payload))
    }

    /// An event read back from the database.
    pub fn from_payload(payload: Value) -> Result<PaymentEvent, NotAnEvent> {
        let text = |name: &str| payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string);
        let (id, kind) = (text("id").ok_or(NotAnEvent)?, text("type").ok_or(NotAnEvent)?);
        Ok(PaymentEvent { id, kind, payload })
    }

    /// The checkout session that a `checkout.session.*` event is about.
    pub fn session(&self) -> SessionFacts<'_> {
        let object = self.payload.get("data").and_then(|data| data.get("object"));
        let text = |name: &str| object.and_then(|object| object.get(name)).and_then(Value::as_str);
        SessionFacts {
            id: text("id"),
            mode: text("mode"),
            payment_status: text("payment_status"),
            amount_total: object.and_then(|object| object.get("amount_total")).and_then(Value::as_i64),
            currency: text("currency"),
            client_reference_id: text("client_reference_id"),
            metadata_order_id: object
                .and_then(|object| object.get("metadata"))
                .and_then(|metadata| metadata.get("order_id"))
                .and_then(Value::as_str),
        }
    }
}

/// What an event says about a checkout session; none = not said, or not in the form we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts<'a> {
    pub id: Option<&'a str>,
    pub mode: Option<&'a str>,
    pub payment_status: Option<&'a str>,
    pub amount_total: Option<i64>,
    pub currency: Option<&'a str>,
    pub client_reference_id: Option<&'a str>,
    pub metadata_order_id: Option<&'a str>,
}

fn without_nul(value: Value) -> Value {
    let clean = |text: String| if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(values) => Value::Array(values.into_iter().map(without_nul).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(name, value)| (clean(name), without_nul(value))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_needs_an_id_and_a_type_and_nothing_else() {
        let event = PaymentEvent::parse(br#"{"id":"evt_1","type":"payout.paid","new":{"field":[1]}}"#).expect("an event");
        assert_eq!((event.id.as_str(), event.kind.as_str()), ("evt_1", "payout.paid"));
        assert_eq!(event.session(), SessionFacts::default());
        for body in
            ["", "[]", "{}", r#"{"id":"evt_1"}"#, r#"{"id":1,"type":"a"}"#, r#"{"id":"","type":"a"}"#, r#"{"id":"evt_1","type":"a""#]
        {
            assert_eq!(PaymentEvent::parse(body.as_bytes()), Err(NotAnEvent), "{body}");
        }
    }

    #[test]
    fn session_reads_what_is_there_and_takes_wrong_types_for_absent() {
        let body = r#"{"id":"e","type":"checkout.session.completed","data":{"object":{
            "id":"cs_1","mode":"payment","payment_status":"paid","amount_total":500,"currency":"usd","metadata":{"order_id":"o"}}}}"#;
        let event = PaymentEvent::parse(body.as_bytes()).expect("an event");
        let expected = SessionFacts {
            id: Some("cs_1"),
            mode: Some("payment"),
            payment_status: Some("paid"),
            amount_total: Some(500),
            currency: Some("usd"),
            client_reference_id: None,
            metadata_order_id: Some("o"),
        };
        assert_eq!(event.session(), expected);
        let body = r#"{"id":"e","type":"a","data":{"object":{"id":1,"amount_total":5.5,"metadata":"none"}}}"#;
        assert_eq!(PaymentEvent::parse(body.as_bytes()).expect("an event").session(), SessionFacts::default());
    }

    #[test]
    fn parse_replaces_what_postgres_cannot_keep() {
        let event = PaymentEvent::parse(br#"{"id":"e","type":"a","data":{"na\u0000me":["a\u0000b"]}}"#).expect("an event");
        assert_eq!(event.payload["data"]["na\u{FFFD}me"][0], "a\u{FFFD}b");
    }
}
