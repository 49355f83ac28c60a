//! What customers are told of their orders by mail, and operators of payments that fit none.

use crate::checkout::event::PaymentEvent;
use crate::checkout::payments::Provider;
use crate::i18n::language;
use crate::ids::OrderId;
use crate::mail::letter::{Letter, Part};
use crate::mail::outbox::Outbox;
use crate::money::Money;
use crate::t;
use crate::tokens::Tokens;
use chrono::TimeDelta;

/// Somebody may want it for their books a while later.
const RECEIPT: TimeDelta = TimeDelta::days(30);

/// Money may have moved that bought nothing: somebody is to look within days.
const ALERT: TimeDelta = TimeDelta::days(7);

/// The kind of [`quarantined`].
pub const QUARANTINED: &str = "payment_quarantined";

/// What was paid, as its receipt says.
#[derive(Clone, Debug)]
pub struct Paid {
    pub order_id: OrderId,
    /// `R-2026-000042`
    pub number: String,
    pub package_name: String,
    pub tokens: Tokens,
    pub price: Money,
    /// Play money.
    pub sandbox: bool,
}

/// To whoever ordered, when the payment has come.
pub fn receipt(outbox: &Outbox, paid: &Paid) -> Letter {
    let Paid { order_id, number, package_name, tokens, price, sandbox } = paid;
    let text = |paragraph: String| Part::Text(paragraph);
    let mut parts = vec![
        text(t!("Your payment has come, and your Tokens are in your wallet at TOKI Token Plan.").into()),
        text(t!(
            "Receipt {number}: {package}, {tokens} Tokens, {price}.",
            number = number,
            package = package_name,
            tokens = tokens.exact(),
            price = price.exact_in(language())
        )),
        Part::Link { label: t!("Open the receipt"), url: outbox.address(&format!("/orders/{order_id}/receipt")) },
    ];
    if *sandbox {
        parts.insert(1, text(t!("It was a payment of the sandbox: no money was moved.").into()));
    }
    Letter { kind: "receipt", subject: t!("Your receipt"), parts, useful_for: RECEIPT }
}

/// To operators, when an event fits no order. What its reason says is for them, in the words of the log.
pub fn quarantined(outbox: &Outbox, provider: Provider, event: &PaymentEvent, reason: Option<&str>) -> Letter {
    let facts = t!(
        "{event} of {provider}, {kind}: {reason}",
        event = event.id,
        provider = provider.as_str(),
        kind = event.kind,
        reason = reason.unwrap_or("-")
    );
    let parts = vec![
        Part::Text(t!("The payment provider told of something that fits no order at TOKI Token Plan. It has changed nothing.").into()),
        Part::Text(facts),
        Part::Link { label: t!("Look at it"), url: outbox.address("/operator/payments") },
        Part::Text(t!("Others may have come since: the page lists all of them, and there is at most one such mail an hour.").into()),
    ];
    Letter { kind: QUARANTINED, subject: t!("A payment fits no order"), parts, useful_for: ALERT }
}
