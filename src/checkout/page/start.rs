//! When what is bought again begins: beside what the customer has of the package, or after it.

use crate::checkout::server_fns::{PlaceOrder, TypeCode};
use crate::checkout::types::{Offer, Start, Validity};
use crate::tokens::Tokens;
use crate::ui::last_form::typed;
use crate::ui::page_data::of_address;
use crate::ui::utc_time::UtcTime;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// The choice, with exact dates for either; a hidden answer where there is nothing to choose.
#[component]
pub fn StartChoice(offer: Offer) -> impl IntoView {
    let chosen = offer.open_order.as_ref().map_or(Start::Now, |open| open.starts);
    // A discount is of the order that has it, whose start cannot change.
    let settled = offer.open_order.is_some() && offer.discount.minor > 0;
    let Some(if_queued) = offer.if_queued else {
        return view! { <input type="hidden" name="starts" value=chosen.as_str() /> }.into_any();
    };
    let chosen = match settled {
        true => chosen,
        false => {
            // Either button of the form sends it; a code that was taken leaves it in the address.
            let sent = typed(PlaceOrder::PATH, "starts", typed(TypeCode::PATH, "starts", of_address("starts")));
            Start::parse(&sent).unwrap_or(chosen)
        }
    };
    let offered = |start: Start| !settled || start == chosen;
    let rolls_over = offer.package.rolls_over;
    view! {
        <fieldset class="field choices">
            <legend>{t!("When the Tokens begin")}</legend>
            {offered(Start::Now)
                .then(|| {
                    view! {
                        <Choice
                            start=Start::Now
                            chosen
                            label=t!("Now, beside what you have")
                            validity=offer.if_paid_now
                            consequence=rolled_now(rolls_over, offer.rolls_over_now)
                        />
                    }
                })}
            {offered(Start::AfterCurrent)
                .then(|| {
                    view! {
                        <Choice
                            start=Start::AfterCurrent
                            chosen
                            label=t!("When your current Tokens of this package end")
                            validity=if_queued
                            consequence=rolled_later(rolls_over).to_string()
                        />
                    }
                })}
            <p class="field-hint">{t!("The exact moment is settled when the payment is confirmed; the order and your wallet show it.")}</p>
        </fieldset>
    }
    .into_any()
}

#[component]
fn Choice(start: Start, chosen: Start, label: &'static str, validity: Validity, consequence: String) -> impl IntoView {
    view! {
        <label class="choice">
            <input type="radio" name="starts" value=start.as_str() checked=start == chosen />
            <span>
                <strong>{label}</strong>
                <span class="choice-line">
                    {tv!(
                        "{from} to {until}",
                        from = view! { <UtcTime time=validity.starts_at /> },
                        until = view! { <UtcTime time=validity.expires_at /> }
                    )}
                </span>
                {(!consequence.is_empty()).then(|| view! { <span class="choice-line muted">{consequence}</span> })}
            </span>
        </label>
    }
}

fn rolled_now(rolls_over: bool, left: Tokens) -> String {
    match (rolls_over, left) {
        (false, _) | (true, Tokens(0)) => String::new(),
        (true, left) => t!("The {tokens} Tokens left of earlier purchases move to this one and get its expiry.", tokens = left.exact()),
    }
}

fn rolled_later(rolls_over: bool) -> &'static str {
    match rolls_over {
        false => t!("What is left of the current ones expires then."),
        true => t!("What is left of the current ones then moves to this one and gets its expiry."),
    }
}
