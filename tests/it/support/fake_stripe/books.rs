//! What there is at this Stripe: sessions, payments, charges, refunds, disputes, customers, invoices, and an event for whatever
//! happened to them. Fields that nobody reads are left out; amounts and states are kept as Stripe keeps them.

use super::Form;
use serde_json::{Map, Value, json};

#[derive(Default)]
pub struct Books {
    /// Oldest first.
    objects: Vec<Value>,
    /// Events that were handed out for delivery.
    handed_out: usize,
    pub refunds_begin: Option<&'static str>,
}

/// Why Stripe says no.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
    pub code: Option<&'static str>,
    /// The parameter that it is about.
    pub param: Option<&'static str>,
}

impl Refusal {
    fn because(message: impl Into<String>) -> Refusal {
        Refusal { status: 400, message: message.into(), code: None, param: None }
    }

    fn missing(id: &str) -> Refusal {
        Refusal { status: 404, message: format!("No such object: '{id}'"), code: Some("resource_missing"), param: Some("id") }
    }

    pub fn unknown_path(path: &str) -> Refusal {
        Refusal { status: 404, message: format!("Unrecognized request URL (/v1/{path})."), code: None, param: None }
    }
}

type Made = Result<Value, Refusal>;

/// Parameters that we know; `*` stands for whatever name is in brackets there.
const SESSION: [&str; 16] = [
    "mode",
    "client_reference_id",
    "customer",
    "customer_email",
    "success_url",
    "cancel_url",
    "expires_at",
    "metadata[*]",
    "payment_intent_data[metadata][*]",
    "invoice_creation[enabled]",
    "line_items[0][quantity]",
    "line_items[0][price_data][currency]",
    "line_items[0][price_data][unit_amount]",
    "line_items[0][price_data][product_data][name]",
    "line_items[0][price_data][product_data][description]",
    "payment_method_types[*]",
];
const REFUND: [&str; 5] = ["payment_intent", "charge", "amount", "reason", "metadata[*]"];
const CUSTOMER: [&str; 3] = ["email", "name", "metadata[*]"];

/// Amounts are in units of ten there, whatever the currency's three decimals allow.
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

impl Books {
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.objects.iter().filter(|object| is_a(object, kind)).cloned().collect()
    }

    pub fn get(&self, kind: &str, id: &str) -> Made {
        self.objects.iter().find(|object| object["id"] == id && is_a(object, kind)).cloned().ok_or_else(|| Refusal::missing(id))
    }

    /// A page of what there is, newest first.
    pub fn list(&self, kind: &str, path: &str, form: &Form) -> Made {
        known(form, &["limit", "starting_after", "ending_before", "types[*]", "created[gte]", "payment_intent"])?;
        let types: Vec<&String> = form.iter().filter(|(name, _)| name.starts_with("types[")).map(|(_, value)| value).collect();
        let since = number(form, "created[gte]")?.unwrap_or(i64::MIN);
        let mut found = self.all(kind);
        found.reverse();
        found.retain(|object| {
            (types.is_empty() || types.iter().any(|kind| object["type"] == **kind))
                && object["created"].as_i64() >= Some(since)
                && form.get("payment_intent").is_none_or(|id| object["payment_intent"] == **id)
        });
        let place = |id: &String| found.iter().position(|object| object["id"] == **id).ok_or_else(|| Refusal::missing(id));
        let most = usize::try_from(number(form, "limit")?.unwrap_or(10)).map_err(|_| Refusal::because("Invalid limit"))?.min(100);
        let (from, to) = match (form.get("starting_after"), form.get("ending_before")) {
            (Some(id), _) => (place(id)? + 1, found.len()),
            (None, Some(id)) => (place(id)?.saturating_sub(most), place(id)?),
            (None, None) => (0, found.len()),
        };
        let page = &found[from..to.min(from + most)];
        let more = if form.contains_key("ending_before") { from > 0 } else { from + page.len() < to };
        Ok(json!({"object": "list", "url": format!("/v1/{path}"), "has_more": more, "data": page}))
    }

    pub fn open_session(&mut self, form: &Form) -> Made {
        known(form, &SESSION)?;
        if text(form, "mode")? != "payment" {
            return Err(Refusal::because("This Stripe sells one-off payments only."));
        }
        let (currency, amount) =
            (text(form, "line_items[0][price_data][currency]")?, number(form, "line_items[0][price_data][unit_amount]")?);
        let amount = amount.filter(|amount| *amount > 0).ok_or_else(|| Refusal::because("Invalid unit_amount"))?;
        if THREE_DECIMALS.contains(&currency.as_str()) && amount % 10 != 0 {
            return Err(Refusal::because("Amounts in this currency end in 0."));
        }
        if let Some(customer_id) = form.get("customer") {
            if form.contains_key("customer_email") {
                return Err(Refusal::because("You may only specify one of these parameters: customer, customer_email."));
            }
            self.get("cus", customer_id).ok().filter(|customer| customer["deleted"] != true).ok_or_else(|| Refusal {
                code: Some("resource_missing"),
                param: Some("customer"),
                ..Refusal::because(format!("No such customer: '{customer_id}'"))
            })?;
        }
        let quantity = number(form, "line_items[0][quantity]")?.unwrap_or(1);
        let session = json!({
            "object": "checkout.session", "livemode": false, "mode": "payment", "status": "open", "payment_status": "unpaid",
            "amount_total": amount * quantity, "currency": currency, "payment_intent": null, "invoice": null,
            "client_reference_id": form.get("client_reference_id"), "customer": form.get("customer"),
            "customer_email": form.get("customer_email"), "metadata": in_brackets(form, "metadata"),
            "payment_metadata": in_brackets(form, "payment_intent_data[metadata]"),
            "invoice_creation": {"enabled": form.get("invoice_creation[enabled]").is_some_and(|text| text == "true")},
            "success_url": text(form, "success_url")?, "cancel_url": form.get("cancel_url"), "expires_at": now_s() + 86_400,
        });
        let session = self.add("cs", session);
        let url = format!("https://checkout.stripe.com/c/pay/{}", id_of(&session));
        self.change(&id_of(&session), &[("url", json!(url))])
    }

    pub fn complete(&mut self, session_id: &str, paid: bool) -> Result<(), Refusal> {
        let session = self.get("cs", session_id)?;
        if session["status"] != "open" {
            return Err(Refusal::because("This session is not open."));
        }
        let payment = json!({
            "object": "payment_intent", "livemode": false, "amount": session["amount_total"], "amount_received": 0,
            "currency": session["currency"], "metadata": session["payment_metadata"], "status": "processing", "latest_charge": null,
            "last_payment_error": null, "canceled_at": null, "cancellation_reason": null,
        });
        let payment_id = id_of(&self.add("pi", payment));
        self.change(&payment_id, &[("client_secret", json!(format!("{payment_id}_secret_fake")))])?;
        let mut changes = vec![("status", json!("complete")), ("url", Value::Null), ("payment_intent", json!(payment_id))];
        if session["invoice_creation"]["enabled"] == true {
            let invoice = json!({"object": "invoice", "status": if paid { "paid" } else { "open" }, "total": session["amount_total"],
                "currency": session["currency"], "number": format!("FAKE-{:04}", self.all("in").len() + 1)});
            changes.push(("invoice", json!(id_of(&self.add("in", invoice)))));
        }
        if paid {
            changes.push(("payment_status", json!("paid")));
            self.charge(&payment_id)?;
        }
        let session = self.change(session_id, &changes)?;
        self.tell("checkout.session.completed", session);
        Ok(())
    }

    pub fn settle_payment(&mut self, session_id: &str, succeeds: bool) -> Result<(), Refusal> {
        let session = self.get("cs", session_id)?;
        if session["status"] != "complete" || session["payment_status"] != "unpaid" {
            return Err(Refusal::because("No payment of this session is on its way."));
        }
        if !succeeds {
            self.payment_becomes(session_id, "requires_payment_method")?;
            self.tell("checkout.session.async_payment_failed", session);
            return Ok(());
        }
        self.charge(&self.text(session_id, "payment_intent"))?;
        let session = self.change(session_id, &[("payment_status", json!("paid"))])?;
        self.tell("checkout.session.async_payment_succeeded", session);
        Ok(())
    }

    /// Moves the payment of a session, which itself stays as it is, and so does whoever listens to sessions.
    pub fn payment_becomes(&mut self, session_id: &str, status: &str) -> Result<(), Refusal> {
        let payment = self.get("pi", &self.text(session_id, "payment_intent"))?;
        let failure = json!({"type": "invalid_request_error", "code": "payment_intent_payment_attempt_failed", "message": "It failed."});
        let mut changes = vec![("status", json!(status))];
        match status {
            "requires_payment_method" => changes.push(("last_payment_error", failure)),
            "canceled" => changes.extend([("canceled_at", json!(now_s())), ("cancellation_reason", json!("automatic"))]),
            "succeeded" => changes.push(("amount_received", payment["amount"].clone())),
            _ => {}
        }
        self.change(&id_of(&payment), &changes).map(|_| ())
    }

    pub fn expire(&mut self, session_id: &str) -> Made {
        if self.get("cs", session_id)?["status"] != "open" {
            return Err(Refusal::because("Only Checkout Sessions with a status in [\"open\"] can be expired."));
        }
        let session = self.change(session_id, &[("status", json!("expired")), ("url", Value::Null)])?;
        self.tell("checkout.session.expired", session.clone());
        Ok(session)
    }

    fn charge(&mut self, payment_id: &str) -> Result<(), Refusal> {
        let payment = self.get("pi", payment_id)?;
        let charge = json!({
            "object": "charge", "amount": payment["amount"], "amount_refunded": 0, "refunded": false, "currency": payment["currency"],
            "payment_intent": payment_id, "metadata": payment["metadata"], "status": "succeeded",
        });
        let charge_id = id_of(&self.add("ch", charge));
        let received =
            [("latest_charge", json!(charge_id)), ("status", json!("succeeded")), ("amount_received", payment["amount"].clone())];
        self.change(payment_id, &received).map(|_| ())
    }

    pub fn refund(&mut self, form: &Form) -> Made {
        known(form, &REFUND)?;
        let payment_id = text(form, "payment_intent")?;
        let charge_id = self.text(&payment_id, "latest_charge");
        let charge = self.get("ch", &charge_id)?;
        let rest = charge["amount"].as_i64().unwrap_or(0) - charge["amount_refunded"].as_i64().unwrap_or(0);
        let amount = number(form, "amount")?.unwrap_or(rest);
        if amount < 1 || amount > rest {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({rest})");
            return Err(Refusal { code: Some("charge_already_refunded").filter(|_| rest == 0), ..Refusal::because(message) });
        }
        let status = self.refunds_begin.unwrap_or("succeeded");
        let refund = json!({
            "object": "refund", "amount": amount, "currency": charge["currency"], "charge": charge_id, "payment_intent": payment_id,
            "metadata": in_brackets(form, "metadata"), "reason": form.get("reason"), "status": status,
        });
        let refund = self.add("re", refund);
        if status != "failed" {
            self.move_refunded(&charge_id, amount)?;
        }
        self.tell("refund.created", refund.clone());
        Ok(refund)
    }

    /// Adds to what was refunded of a charge, or takes it away again.
    fn move_refunded(&mut self, charge_id: &str, amount: i64) -> Result<(), Refusal> {
        let charge = self.get("ch", charge_id)?;
        let refunded = charge["amount_refunded"].as_i64().unwrap_or(0) + amount;
        let whole = charge["amount"] == refunded;
        let charge = self.change(charge_id, &[("amount_refunded", json!(refunded)), ("refunded", json!(whole))])?;
        if amount > 0 {
            self.tell("charge.refunded", charge);
        }
        Ok(())
    }

    pub fn fail_refund(&mut self, refund_id: &str) -> Result<(), Refusal> {
        let refund = self.get("re", refund_id)?;
        self.move_refunded(&self.text(refund_id, "charge"), -refund["amount"].as_i64().unwrap_or(0))?;
        let refund = self.change(refund_id, &[("status", json!("failed")), ("failure_reason", json!("expired_or_canceled_card"))])?;
        self.tell("refund.failed", refund);
        Ok(())
    }

    pub fn dispute(&mut self, session_id: &str) -> Result<String, Refusal> {
        let payment_id = self.text(session_id, "payment_intent");
        let charge = self.get("ch", &self.text(&payment_id, "latest_charge"))?;
        let dispute = json!({
            "object": "dispute", "amount": charge["amount"], "currency": charge["currency"], "charge": charge["id"],
            "payment_intent": payment_id, "reason": "fraudulent", "status": "needs_response", "metadata": {},
        });
        let dispute = self.add("dp", dispute);
        self.tell("charge.dispute.created", dispute.clone());
        Ok(id_of(&dispute))
    }

    pub fn close_dispute(&mut self, dispute_id: &str, status: &str) -> Result<(), Refusal> {
        let dispute = self.change(dispute_id, &[("status", json!(status))])?;
        self.tell("charge.dispute.closed", dispute);
        Ok(())
    }

    pub fn add_customer(&mut self, form: &Form) -> Made {
        known(form, &CUSTOMER)?;
        let customer =
            json!({"object": "customer", "email": form.get("email"), "name": form.get("name"), "metadata": in_brackets(form, "metadata")});
        Ok(self.add("cus", customer))
    }

    /// It is gone, but for its id.
    pub fn delete_customer(&mut self, id: &str) -> Made {
        self.get("cus", id)?;
        let gone = json!({"id": id, "object": "customer", "deleted": true});
        let customer = self.objects.iter_mut().find(|object| object["id"] == id).ok_or_else(|| Refusal::missing(id))?;
        *customer = gone.clone();
        Ok(gone)
    }

    /// A field of text; empty when it has none.
    pub fn text(&self, id: &str, field: &str) -> String {
        self.objects.iter().find(|object| object["id"] == id).and_then(|object| object[field].as_str()).unwrap_or_default().to_string()
    }

    pub fn take_new_events(&mut self) -> Vec<Value> {
        let events = self.all("evt");
        let new = events[self.handed_out..].to_vec();
        self.handed_out = events.len();
        new
    }

    fn tell(&mut self, kind: &str, object: Value) {
        let event = json!({"object": "event", "api_version": "2030-01-01.later", "livemode": false, "pending_webhooks": 1, "type": kind,
            "request": {"id": null, "idempotency_key": null}, "data": {"object": object}});
        self.add("evt", event);
    }

    fn add(&mut self, kind: &str, mut object: Value) -> Value {
        let start = match kind {
            "cs" => "cs_test",
            // Tests make events of their own, too.
            "evt" => "evt_fake",
            other => other,
        };
        object["id"] = json!(format!("{start}_{}", self.all(kind).len() + 1));
        object["created"] = json!(now_s());
        self.objects.push(object.clone());
        object
    }

    fn change(&mut self, id: &str, changes: &[(&str, Value)]) -> Made {
        let object = self.objects.iter_mut().find(|object| object["id"] == id).ok_or_else(|| Refusal::missing(id))?;
        for (name, value) in changes {
            object[name] = value.clone();
        }
        Ok(object.clone())
    }
}

fn is_a(object: &Value, kind: &str) -> bool {
    id_of(object).split('_').next() == Some(kind)
}

fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap_or_default().to_string()
}

fn now_s() -> i64 {
    chrono::Utc::now().timestamp()
}

fn text(form: &Form, name: &str) -> Result<String, Refusal> {
    form.get(name)
        .cloned()
        .ok_or_else(|| Refusal { code: Some("parameter_missing"), ..Refusal::because(format!("Missing required param: {name}.")) })
}

fn number(form: &Form, name: &str) -> Result<Option<i64>, Refusal> {
    let parse = |text: &String| text.parse().map_err(|_| Refusal::because(format!("Invalid integer: {name}")));
    form.get(name).map(parse).transpose()
}

/// `metadata[order_id]` → `order_id`.
fn in_brackets(form: &Form, name: &str) -> Value {
    let start = format!("{name}[");
    let inner = |field: &str| Some(field.strip_prefix(&start)?.strip_suffix(']')?.to_string());
    Value::Object(form.iter().filter_map(|(field, value)| Some((inner(field)?, json!(value)))).collect::<Map<_, _>>())
}

/// Stripe refuses what it does not know.
fn known(form: &Form, names: &[&str]) -> Result<(), Refusal> {
    let is_known = |field: &str| {
        names.iter().any(|name| match name.split_once('*') {
            Some((start, end)) => field.starts_with(start) && field.ends_with(end),
            None => field == *name,
        })
    };
    match form.keys().find(|field| !is_known(field)) {
        Some(field) => Err(Refusal { code: Some("parameter_unknown"), ..Refusal::because(format!("Received unknown parameter: {field}")) }),
        None => Ok(()),
    }
}
