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
        PaymentEvent::of(serde_json::from_slice(body).map_err(|_| NotAnEvent)?)
    }

    /// An event that was not told of: one that the provider lists, or an answer of its.
    pub fn of(payload: Value) -> Result<PaymentEvent, NotAnEvent> {
        PaymentEvent::from_payload(without_nul(payload))
    }

    /// An event read back from the database.
    pub fn from_payload(payload: Value) -> Result<PaymentEvent, NotAnEvent> {
        let text = |name: &str| payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string);
        let (id, kind) = (text("id").ok_or(NotAnEvent)?, text("type").ok_or(NotAnEvent)?);
        Ok(PaymentEvent { id, kind, payload })
    }

    /// What the event is about.
    fn object(&self) -> Option<&Value> {
        self.payload.get("data").and_then(|data| data.get("object"))
    }

    /// The checkout session that a `checkout.session.*` event is about.
    pub fn session(&self) -> SessionFacts<'_> {
        let facts = self.object().map(SessionFacts::of).unwrap_or_default();
        SessionFacts { livemode: self.payload.get("livemode").and_then(Value::as_bool).or(facts.livemode), ..facts }
    }

    /// The refunds that a `refund.*` or `charge.refunded` event tells of. Newer versions of the API leave them out of the charge.
    pub fn refunds(&self) -> Vec<RefundFacts<'_>> {
        let Some(object) = self.object() else { return Vec::new() };
        if text(object, "object") != Some("charge") {
            return vec![RefundFacts::of(object)];
        }
        let listed = object.get("refunds").and_then(|list| list.get("data")).and_then(Value::as_array);
        listed.into_iter().flatten().map(RefundFacts::of).collect()
    }

    /// The dispute that a `charge.dispute.*` event is about.
    pub fn dispute(&self) -> DisputeFacts<'_> {
        let Some(object) = self.object() else { return DisputeFacts::default() };
        DisputeFacts { id: text(object, "id"), status: text(object, "status"), payment: PaymentFacts::of(object) }
    }
}

fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

fn integer(object: &Value, name: &str) -> Option<i64> {
    object.get(name).and_then(Value::as_i64)
}

/// Another object, by its id or in full.
fn reference<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    text(object, name).or_else(|| object.get(name).and_then(|other| text(other, "id")))
}

fn metadata<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get("metadata").and_then(|metadata| text(metadata, name))
}

/// What is said about a checkout session; none = not said, or not in the form we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts<'a> {
    pub id: Option<&'a str>,
    pub mode: Option<&'a str>,
    /// `open`, `complete`, `expired`.
    pub status: Option<&'a str>,
    pub payment_status: Option<&'a str>,
    pub payment_id: Option<&'a str>,
    /// Empty unless the session says more of its payment than the id.
    pub payment: PaymentState<'a>,
    pub amount_total: Option<i64>,
    pub currency: Option<&'a str>,
    pub livemode: Option<bool>,
    pub client_reference_id: Option<&'a str>,
    pub metadata_order_id: Option<&'a str>,
}

impl<'a> SessionFacts<'a> {
    /// Of a session as the provider describes it.
    pub fn of(session: &'a Value) -> SessionFacts<'a> {
        SessionFacts {
            id: text(session, "id"),
            mode: text(session, "mode"),
            status: text(session, "status"),
            payment_status: text(session, "payment_status"),
            payment_id: reference(session, "payment_intent"),
            payment: session.get("payment_intent").map(PaymentState::of).unwrap_or_default(),
            amount_total: integer(session, "amount_total"),
            currency: text(session, "currency"),
            livemode: session.get("livemode").and_then(Value::as_bool),
            client_reference_id: text(session, "client_reference_id"),
            metadata_order_id: metadata(session, "order_id"),
        }
    }
}

/// Where a payment stands, and what of it has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentState<'a> {
    /// `processing`, `requires_payment_method`, `succeeded`, and others.
    pub status: Option<&'a str>,
    pub received: Option<i64>,
    pub currency: Option<&'a str>,
}

impl<'a> PaymentState<'a> {
    fn of(payment: &'a Value) -> PaymentState<'a> {
        PaymentState { status: text(payment, "status"), received: integer(payment, "amount_received"), currency: text(payment, "currency") }
    }
}

/// Which payment something is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentFacts<'a> {
    pub payment_id: Option<&'a str>,
    pub currency: Option<&'a str>,
    pub amount: Option<i64>,
    pub metadata_order_id: Option<&'a str>,
}

impl<'a> PaymentFacts<'a> {
    fn of(object: &'a Value) -> PaymentFacts<'a> {
        PaymentFacts {
            payment_id: reference(object, "payment_intent"),
            currency: text(object, "currency"),
            amount: integer(object, "amount"),
            metadata_order_id: metadata(object, "order_id"),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefundFacts<'a> {
    pub id: Option<&'a str>,
    pub status: Option<&'a str>,
    pub payment: PaymentFacts<'a>,
    /// Ours, if we asked for it.
    pub metadata_refund_id: Option<&'a str>,
}

impl<'a> RefundFacts<'a> {
    /// Of a refund as the provider describes it.
    pub fn of(refund: &'a Value) -> RefundFacts<'a> {
        RefundFacts {
            id: text(refund, "id"),
            status: text(refund, "status"),
            payment: PaymentFacts::of(refund),
            metadata_refund_id: metadata(refund, "refund_id"),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisputeFacts<'a> {
    pub id: Option<&'a str>,
    pub status: Option<&'a str>,
    pub payment: PaymentFacts<'a>,
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
            "id":"cs_1","mode":"payment","payment_status":"paid","amount_total":500,"currency":"usd","livemode":false,
            "payment_intent":{"id":"pi_1","status":"processing","amount_received":0},"metadata":{"order_id":"o"}}}}"#;
        let event = PaymentEvent::parse(body.as_bytes()).expect("an event");
        let expected = SessionFacts {
            id: Some("cs_1"),
            mode: Some("payment"),
            status: None,
            payment_status: Some("paid"),
            payment_id: Some("pi_1"),
            payment: PaymentState { status: Some("processing"), received: Some(0), currency: None },
            amount_total: Some(500),
            currency: Some("usd"),
            livemode: Some(false),
            client_reference_id: None,
            metadata_order_id: Some("o"),
        };
        assert_eq!(event.session(), expected);
        let body = r#"{"id":"e","type":"a","data":{"object":{"id":1,"amount_total":5.5,"metadata":"none"}}}"#;
        assert_eq!(PaymentEvent::parse(body.as_bytes()).expect("an event").session(), SessionFacts::default());
    }

    #[test]
    fn refunds_are_those_of_the_event_or_of_its_charge() {
        let event = |object: &str| {
            let body = format!(r#"{{"id":"e","type":"a","data":{{"object":{object}}}}}"#);
            PaymentEvent::parse(body.as_bytes()).expect("an event")
        };
        let refund = event(r#"{"object":"refund","id":"re_1","amount":200,"metadata":{"refund_id":"r"},"payment_intent":"pi_1"}"#);
        let found = refund.refunds();
        assert_eq!((found.len(), found[0].id, found[0].metadata_refund_id), (1, Some("re_1"), Some("r")));
        assert_eq!((found[0].payment.payment_id, found[0].payment.amount), (Some("pi_1"), Some(200)));
        let charge = event(r#"{"object":"charge","id":"ch_1","refunded":true,"payment_intent":"pi_1"}"#);
        assert_eq!(charge.refunds(), Vec::new(), "a charge is no refund");
        let listed = event(r#"{"object":"charge","refunded":false,"refunds":{"data":[{"id":"re_1"},{"id":"re_2"}]}}"#);
        assert_eq!(listed.refunds().iter().map(|refund| refund.id).collect::<Vec<_>>(), [Some("re_1"), Some("re_2")]);
    }

    #[test]
    fn parse_replaces_what_postgres_cannot_keep() {
        let event = PaymentEvent::parse(br#"{"id":"e","type":"a","data":{"na\u0000me":["a\u0000b"]}}"#).expect("an event");
        assert_eq!(event.payload["data"]["na\u{FFFD}me"][0], "a\u{FFFD}b");
    }
}
