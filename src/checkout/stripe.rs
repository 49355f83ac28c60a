//! Stripe through async-stripe: opens Checkout Sessions, asks about them, makes refunds, lists events. What becomes of all that also
//! comes back through `webhook`. Answers are read as plain JSON, for the few fields we need: the client's own types refuse an answer
//! that lacks any of a dozen others.

use crate::checkout::event::{RefundFacts, SessionFacts};
use crate::checkout::payments::{CheckoutSession, Customer, EventPage, PaymentsError, Purchase, RefundAnswer, RefundRequest, StripeConfig};
use crate::checkout::store::refunds::refund_status;
use crate::codes::store::promotions::Chargeable;
use crate::money::{Currency, Money};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use stripe::{ApiErrorsCode, ApiErrorsType, Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_checkout::CheckoutSessionMode;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionInvoiceCreation, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ProductData,
};
use stripe_client_core::{RequestBuilder, StripeMethod};
use url::Url;
use url::form_urlencoded::Serializer;

/// The events that concern us, as README tells operators to subscribe to them.
pub const EVENT_TYPES: [&str; 10] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    // An inquiry of a bank that turned into a dispute.
    "charge.dispute.updated",
    "charge.dispute.closed",
];

/// Where we read: a restricted key may be refused any of it.
pub const READ: [&str; 4] = ["/events", "/checkout/sessions", "/payment_intents", "/refunds"];

/// Of events and refunds, at most.
const PAGE: &str = "100";

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct StripePayments {
    client: Client,
    /// As the key says.
    livemode: bool,
    public_url: Url,
}

impl StripePayments {
    pub fn new(config: &StripeConfig, public_url: &Url) -> Result<StripePayments, PaymentsError> {
        let mut builder = ClientBuilder::new(config.secret_key.expose_secret()).timeout(TIMEOUT);
        if let Some(base) = &config.api_base {
            // The client appends `v1/…` to it.
            builder = builder.url(format!("{}/", base.trim_end_matches('/')));
        }
        let client = builder.build().map_err(|error| PaymentsError::Refused(error.to_string()))?;
        let livemode = ["sk_live_", "rk_live_"].iter().any(|start| config.secret_key.expose_secret().starts_with(start));
        Ok(StripePayments { client, livemode, public_url: public_url.clone() })
    }

    pub fn livemode(&self) -> bool {
        self.livemode
    }

    pub async fn make_customer(&self, customer: &Customer) -> Result<String, PaymentsError> {
        let customer_id = customer.customer_id.to_string();
        let form = [("email", customer.email.as_str()), ("metadata[customer_id]", &customer_id)];
        let made = self.write(post("/customers", &form), attempted(customer_id.clone(), customer.attempt)).await.map_err(payments_error)?;
        let id = made.get("id").and_then(Value::as_str).map(str::to_string);
        id.ok_or_else(|| PaymentsError::Unreachable("the customer has no id".into()))
    }

    /// The key names the customer too: a session that was refused for want of one is asked for again with another.
    pub async fn open(&self, purchase: &Purchase, customer: Option<&Customer>, attempt: i32) -> Result<CheckoutSession, PaymentsError> {
        let key = match customer {
            Some(customer) => format!("{}/{}", purchase.order_id, customer.customer_id),
            None => purchase.order_id.to_string(),
        };
        let session = self.write(self.request(purchase, customer)?.build(), attempted(key, attempt)).await.map_err(payments_error)?;
        let text = |name: &str| session.get(name).and_then(Value::as_str).map(str::to_string);
        // A session that is over has no address (its order was closed meanwhile).
        let missing = || PaymentsError::Unreachable("the session has no id or no url".into());
        let (id, url) = text("id").zip(text("url")).ok_or_else(missing)?;
        Ok(CheckoutSession { id, url, livemode: session.get("livemode").and_then(Value::as_bool) })
    }

    /// With its payment where only that says more: a session whose customer is done and whose money is not there stays as it is when the
    /// bank refuses.
    pub async fn session(&self, session_id: &str) -> Result<Value, PaymentsError> {
        let read = self.read(format!("/checkout/sessions/{session_id}"), &[]).await;
        let mut session = read.map_err(|error| unkeyed(session_error(error)))?;
        let facts = SessionFacts::of(&session);
        let is_begun = (facts.status, facts.payment_status) == (Some("complete"), Some("unpaid"));
        let Some(payment_id) = facts.payment_id.filter(|_| is_begun).map(str::to_string) else { return Ok(session) };
        let payment = self.payment(&payment_id).await?;
        if let (Some(fields), Some(payment)) = (session.as_object_mut(), payment) {
            fields.insert("payment_intent".into(), payment);
        }
        Ok(session)
    }

    /// Where a payment stands, without what else Stripe says of it: among that is a secret. None = it does not tell us, and what the
    /// session says has to do.
    async fn payment(&self, payment_id: &str) -> Result<Option<Value>, PaymentsError> {
        match self.read(format!("/payment_intents/{payment_id}"), &[]).await.map_err(|error| unkeyed(payments_error(error))) {
            Ok(payment) => {
                let [status, received, currency] = ["status", "amount_received", "currency"].map(|name| payment.get(name));
                Ok(Some(json!({ "id": payment_id, "status": status, "amount_received": received, "currency": currency })))
            }
            Err(PaymentsError::Refused(reason)) => {
                tracing::error!(payment_id, reason, "what became of a payment is not told: see that the key may read PaymentIntents");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub async fn expire(&self, session_id: &str, key: String) -> Result<(), PaymentsError> {
        self.write(post(&format!("/checkout/sessions/{session_id}/expire"), &[]), key).await.map(drop).map_err(session_error)
    }

    /// Whether the key may read there; one object says it.
    pub async fn try_reading(&self, path: &str) -> Result<(), PaymentsError> {
        self.read(path.to_string(), &[("limit", "1")]).await.map(drop).map_err(payments_error)
    }

    pub async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, PaymentsError> {
        let (amount, order_id, refund_id) = (charged(&request.amount)?, request.order_id.to_string(), request.refund_id.to_string());
        let form = [
            ("payment_intent", request.payment_id.as_str()),
            ("amount", &amount.to_string()),
            ("metadata[order_id]", &order_id),
            ("metadata[refund_id]", &refund_id),
        ];
        let key = attempted(refund_id.clone(), request.attempt);
        let refund = self.write(post("/refunds", &form), key).await.map_err(payments_error)?;
        answer_of(&refund).ok_or_else(|| PaymentsError::Unreachable("the refund has no status".into()))
    }

    pub async fn find_refund(&self, request: &RefundRequest) -> Result<Option<RefundAnswer>, PaymentsError> {
        let query = [("payment_intent", request.payment_id.as_str()), ("limit", PAGE)];
        let list = self.read("/refunds".into(), &query).await.map_err(|error| unkeyed(payments_error(error)))?;
        let refund_id = request.refund_id.to_string();
        let refunds = list.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(refunds.iter().find(|refund| RefundFacts::of(refund).metadata_refund_id == Some(&refund_id)).and_then(answer_of))
    }

    pub async fn events_since(&self, since_s: i64, after: Option<&str>) -> Result<EventPage, PaymentsError> {
        let since = since_s.to_string();
        let mut query = vec![("created[gte]", since.as_str()), ("limit", PAGE)];
        let kinds: Vec<_> = EVENT_TYPES.iter().enumerate().map(|(at, kind)| (format!("types[{at}]"), *kind)).collect();
        query.extend(kinds.iter().map(|(name, kind)| (name.as_str(), *kind)));
        query.extend(after.map(|id| ("starting_after", id)));
        let mut list = self.read("/events".into(), &query).await.map_err(|error| unkeyed(payments_error(error)))?;
        let more = list.get("has_more").and_then(Value::as_bool) == Some(true);
        let Some(Value::Array(events)) = list.get_mut("data").map(Value::take) else {
            return Err(PaymentsError::Unreachable("the list of events has no data".into()));
        };
        let last = events.last().and_then(|event| event.get("id")).and_then(Value::as_str).map(str::to_string);
        Ok(EventPage { events, after: last.filter(|_| more) })
    }

    async fn write(&self, builder: RequestBuilder, key: String) -> Result<Value, StripeError> {
        let key = IdempotencyKey::new(key).map_err(|error| StripeError::ConfigError(error.to_string()))?;
        self.send(builder, RequestStrategy::Idempotent(key)).await
    }

    async fn read(&self, path: String, query: &[(&str, &str)]) -> Result<Value, StripeError> {
        let mut builder = RequestBuilder::new(StripeMethod::Get, path);
        builder.query = Some(Serializer::new(String::new()).extend_pairs(query).finish());
        self.send(builder, RequestStrategy::Once).await
    }

    async fn send(&self, builder: RequestBuilder, strategy: RequestStrategy) -> Result<Value, StripeError> {
        let request = builder.customize::<miniserde::json::Value>().request_strategy(strategy);
        let answer = request.send(&self.client).await?;
        serde_json::from_str(&miniserde::json::to_string(&answer)).map_err(|error| StripeError::JSONDeserialize(error.to_string()))
    }

    fn request(&self, purchase: &Purchase, customer: Option<&Customer>) -> Result<CreateCheckoutSession, PaymentsError> {
        let order_id = purchase.order_id.to_string();
        // On the payment too, so that what happens to it later names the order.
        let metadata = HashMap::from([("order_id".to_string(), order_id.clone())]);
        let mut payment = CreateCheckoutSessionPaymentIntentData::new();
        payment.metadata = Some(metadata.clone());
        let mut product = ProductData::new(purchase.package_name.clone());
        product.description = Some(format!("{} Tokens", purchase.tokens.exact()));
        let price = CreateCheckoutSessionLineItemsPriceData {
            // Never fails: what the client does not know, it passes on.
            currency: purchase.price.currency.code().parse().unwrap_or_else(|error: std::convert::Infallible| match error {}),
            product: None,
            product_data: Some(product),
            recurring: None,
            tax_behavior: None,
            unit_amount: Some(charged(&purchase.price)?),
            unit_amount_decimal: None,
        };
        let mut item = CreateCheckoutSessionLineItems::new();
        item.price_data = Some(price);
        item.quantity = Some(1);
        let request = CreateCheckoutSession::new();
        // A session has either.
        let request = match customer.and_then(|customer| customer.provider_id.clone()) {
            Some(provider_id) => request.customer(provider_id),
            None => request.customer_email(purchase.email.clone()),
        };
        Ok(request
            .mode(CheckoutSessionMode::Payment)
            .line_items(vec![item])
            .client_reference_id(order_id)
            .metadata(metadata)
            .payment_intent_data(payment)
            .invoice_creation(CreateCheckoutSessionInvoiceCreation::new(true))
            .success_url(self.page(&format!("/orders/{}", purchase.order_id)))
            .cancel_url(self.page(&format!("/products/{}/confirm", purchase.package_id))))
    }

    fn page(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

fn post(path: &str, form: &[(&str, &str)]) -> RequestBuilder {
    let mut builder = RequestBuilder::new(StripeMethod::Post, path);
    builder.body = Some(Serializer::new(String::new()).extend_pairs(form).finish());
    builder
}

/// The key of an attempt. The first has that of what it is about.
fn attempted(key: String, attempt: i32) -> String {
    if attempt == 0 { key } else { format!("{key}/{attempt}") }
}

/// Of a request about a session: whether there is one.
fn session_error(error: StripeError) -> PaymentsError {
    match error {
        StripeError::Stripe(reported, 404) if reported.code == Some(ApiErrorsCode::ResourceMissing) => PaymentsError::UnknownSession,
        other => payments_error(other),
    }
}

/// Of a question, which has no key: it may be asked again as it is.
fn unkeyed(error: PaymentsError) -> PaymentsError {
    match error {
        PaymentsError::KeySpent(problem) => PaymentsError::Unreachable(problem),
        other => other,
    }
}

/// A 409 is Stripe still working on the same order, and a 429 may pass; so may a 5xx of what stands before it. What it answers once it
/// has begun it keeps under the key, and answers again for a day, a 500 too; and it refuses another request under the same key. Every
/// other answer is a decision (https://docs.stripe.com/error-low-level).
fn payments_error(error: StripeError) -> PaymentsError {
    match error {
        StripeError::Stripe(reported, status) if status == 500 || (status != 409 && reported.type_ == ApiErrorsType::IdempotencyError) => {
            PaymentsError::KeySpent(format!("{status} {}", reported.message.unwrap_or_default()))
        }
        StripeError::Stripe(reported, _)
            if reported.code == Some(ApiErrorsCode::ResourceMissing) && reported.param.as_deref() == Some("customer") =>
        {
            PaymentsError::UnknownCustomer
        }
        StripeError::Stripe(reported, status) if status < 500 && status != 409 && status != 429 => {
            PaymentsError::Refused(format!("{status} {}", reported.message.unwrap_or_default()))
        }
        StripeError::Stripe(_, status) => PaymentsError::Unreachable(format!("status {status}")),
        StripeError::ConfigError(problem) => PaymentsError::Refused(problem),
        StripeError::JSONDeserialize(problem) | StripeError::ClientError(problem) => PaymentsError::Unreachable(problem),
        StripeError::Timeout => PaymentsError::Unreachable("timed out".into()),
    }
}

fn answer_of(refund: &Value) -> Option<RefundAnswer> {
    let facts = RefundFacts::of(refund);
    Some(RefundAnswer { id: facts.id.map(str::to_string), status: refund_status(facts.status?) })
}

fn charged(money: &Money) -> Result<i64, PaymentsError> {
    amount_of(money).ok_or_else(|| PaymentsError::Refused(format!("Stripe has no amount that is {}", money.exact())))
}

/// Digits behind the point as Stripe counts them, where it differs from ISO 4217.
fn decimals(currency: &Currency) -> u32 {
    match currency.code() {
        "isk" | "ugx" => 2,
        "mga" => 0,
        _ => currency.decimals(),
    }
}

/// An amount as Stripe counts it. Of three decimals the last must be 0.
pub fn amount_of(money: &Money) -> Option<i64> {
    let (ours, theirs) = (money.currency.decimals(), decimals(&money.currency));
    let amount = rescaled(money.minor, ours, theirs)?;
    (theirs != 3 || amount % 10 == 0).then_some(amount)
}

/// The least that Stripe charges, where it says so; and only what [`amount_of`] can say.
pub fn chargeable(currency: &Currency) -> Chargeable {
    let least_minor = match currency.code() {
        "usd" | "eur" | "aud" | "brl" | "cad" | "chf" | "inr" | "nzd" | "sgd" => 50,
        "gbp" => 30,
        "bgn" => 100,
        "aed" | "myr" | "pln" | "ron" => 200,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1_000,
        "czk" => 1_500,
        "huf" => 17_500,
        "jpy" => 50,
        _ => 1,
    };
    let (ours, theirs) = (currency.decimals(), decimals(currency));
    let step_minor = if theirs == 3 { 10 } else { 10_i64.pow(ours.saturating_sub(theirs)) };
    Chargeable { least_minor, step_minor }
}

/// The minor units of an amount as Stripe counts it.
pub fn minor_of(amount: i64, currency: &Currency) -> Option<i64> {
    rescaled(amount, decimals(currency), currency.decimals())
}

/// From units of so many decimals to units of others; none where that is no whole number of them.
fn rescaled(units: i64, from: u32, to: u32) -> Option<i64> {
    if to >= from {
        return units.checked_mul(10_i64.pow(to - from));
    }
    let scale = 10_i64.pow(from - to);
    (units % scale == 0).then_some(units / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_that_stripe_means() {
        for (minor, code, amount) in [
            (2_000, "usd", Some(2_000)),
            (2_000, "jpy", Some(2_000)),
            (2_000, "isk", Some(200_000)),
            (2_000, "ugx", Some(200_000)),
            (2_000, "mga", Some(20)),
            (2_050, "mga", None),
            (1_500, "kwd", Some(1_500)),
            (1_505, "kwd", None),
            (i64::MAX, "isk", None),
        ] {
            let money = Money::new(minor, Currency::parse(code).expect("a code"));
            assert_eq!(amount_of(&money), amount, "{minor} {code}");
            if let Some(amount) = amount {
                assert_eq!(minor_of(amount, &money.currency), Some(minor), "{amount} {code}");
            }
        }
        assert_eq!(minor_of(150, &Currency::parse("isk").expect("a code")), None);
    }

    #[test]
    fn what_can_be_charged_is_an_amount_that_stripe_means() {
        for (code, least_minor, step_minor) in
            [("usd", 50, 1), ("jpy", 50, 1), ("huf", 17_500, 1), ("kwd", 1, 10), ("mga", 1, 100), ("isk", 1, 1)]
        {
            let currency = Currency::parse(code).expect("a code");
            assert_eq!(chargeable(&currency), Chargeable { least_minor, step_minor }, "{code}");
            assert!(amount_of(&Money::new(step_minor * 7, currency.clone())).is_some());
            assert!(step_minor == 1 || amount_of(&Money::new(step_minor * 7 + 1, currency)).is_none());
        }
    }
}
