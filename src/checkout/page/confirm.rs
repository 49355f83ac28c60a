//! The confirm page: exactly what is bought, before anything is.

use crate::catalog::page::PackageFacts;
use crate::checkout::page::failed_view;
use crate::checkout::page::order::CancelForm;
use crate::checkout::page::start::StartChoice;
use crate::checkout::server_fns::{CancelOrder, PlaceOrder, TypeCode, show_offer};
use crate::checkout::types::{LimitState, Offer, PaymentOffer};
use crate::codes::page::CodeField;
use crate::error::{CodeProblem, ConsoleError};
use crate::i18n::language;
use crate::money::Money;
use crate::t;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::fact::Fact;
use crate::ui::form::{FormError, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::{id_of_address, with_data};
use crate::ui::utc_time::{UtcTime, minute, validity};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn ConfirmPage() -> impl IntoView {
    let offer = show_offer(id_of_address());
    view! {
        <Title text=t!("Confirm your order") />
        <div class="page-head">
            <h1>{t!("Confirm your order")}</h1>
        </div>
        <FormError error=error_of(PlaceOrder::PATH) />
        <FormError error=error_of(TypeCode::PATH) />
        <FormError error=error_of(CancelOrder::PATH) />
        {with_data(offer, offer_view)}
    }
    .into_any()
}

fn offer_view(offer: Result<Offer, ConsoleError>) -> AnyView {
    let offer = match offer {
        Ok(offer) => offer,
        Err(error) => return failed_view(error, "/products", t!("Back to the Product Center")),
    };
    let action = if offer.payment == PaymentOffer::Unavailable {
        let unavailable = t!("Payments are not set up on this server, so nothing can be bought here.");
        view! { <p class="notice notice-warn">{unavailable}</p> }.into_any()
    } else if offer.limit_reached() {
        // What was typed before can still be taken away.
        view! {
            <LimitNotice limit=offer.limit.clone() />
            <form method="post" action=TypeCode::PATH>
                <input type="hidden" name="package_id" value=offer.package.package_id.to_string() />
                <PromotionFields offer=offer.clone() />
            </form>
        }
        .into_any()
    } else {
        view! { <ConfirmForm offer=offer.clone() /> }.into_any()
    };
    let price = offer.package.price.clone();
    view! {
        <section class="card stack">
            <h2>{offer.package.name.clone()}</h2>
            <dl class="facts">
                <Fact label=t!("Tokens")>
                    <ExactTokens tokens=offer.package.tokens />
                </Fact>
                <Fact label=t!("Price")>
                    <Price money=price />
                </Fact>
                <Discounted offer=offer.clone() />
                {offer
                    .if_queued
                    .is_none()
                    .then(|| {
                        view! {
                            <Fact label=t!("Expires, if you pay now")>
                                <UtcTime time=offer.if_paid_now.expires_at />
                            </Fact>
                        }
                    })}
                <PackageFacts card=offer.package.clone() to_pay=offer.to_pay() />
            </dl>
            <h3>{t!("Rules")}</h3>
            <ul>
                <li>{t!("You pay once. Nothing renews by itself.")}</li>
                <li>{beginning(offer.if_queued.is_some())}</li>
                <li>{t!("Tokens tied to suppliers or models are used before others; among those, what expires first.")}</li>
                <li>{leftovers(offer.package.rolls_over)}</li>
                <li>{refunds(offer.package.refund_window_s)}</li>
            </ul>
            {action}
            <p>
                <a href="/products">{t!("Choose another package")}</a>
            </p>
        </section>
    }
    .into_any()
}

fn leftovers(rolls_over: bool) -> &'static str {
    match rolls_over {
        false => t!("Tokens left at expiry are gone; they do not roll over."),
        true => t!(
            "Tokens left at expiry are gone. Buy this package again before, and they move to the new purchase and get its expiry: when that begins."
        ),
    }
}

fn refunds(window_s: Option<i64>) -> String {
    match window_s {
        None => t!("Ask support about refunds before the Tokens are used.").to_string(),
        Some(window_s) => t!(
            "For {window} from payment you can return what is not used, and get its share of the price back, rounded down.",
            window = validity(window_s)
        ),
    }
}

/// What is said of an order that waits. A discount belongs to it as it is: its start is not chosen again without another order.
fn unpaid(has_choice: bool, discounted: bool) -> &'static str {
    match has_choice {
        true if discounted => {
            t!("You have an order of this package that is not paid yet. Paying here pays that one; cancel it to choose its start anew.")
        }
        false => t!("You have an order of this package that is not paid yet. Paying here pays that one."),
        true => t!("You have an order of this package that is not paid yet. Paying here pays that one, unless you choose another start."),
    }
}

fn beginning(has_choice: bool) -> &'static str {
    match has_choice {
        false => t!("The validity period starts when the payment is confirmed, beside any Tokens you already have."),
        true => {
            t!("The validity period starts when the payment is confirmed, or when your current Tokens of this package end: as you choose.")
        }
    }
}

/// Why it cannot be bought once more, and where to see what stands in the way.
#[component]
fn LimitNotice(limit: LimitState) -> impl IntoView {
    let (href, link) = match &limit {
        LimitState::TakenByUnpaid(order_id) => (format!("/orders/{order_id}"), t!("See the order")),
        _ => ("/orders".to_string(), t!("Look at your orders")),
    };
    view! {
        <p class="notice notice-warn">
            {limit_sentence(&limit)} " " <a href=href>{link}</a>
        </p>
    }
}

fn limit_sentence(limit: &LimitState) -> String {
    match limit {
        LimitState::TakenByUnpaid(_) => t!("An order of this package that is not paid yet takes the last place.").to_string(),
        LimitState::Open | LimitState::Reached => t!("Your account has bought this package as often as it allows.").to_string(),
        LimitState::ReachedUntil(time) => t!(
            "Your account has bought this package as often as it allows for now. You can buy it again from {time}.",
            time = minute(*time)
        ),
    }
}

/// What a promotion code takes off, and what is left to pay.
#[component]
fn Discounted(offer: Offer) -> impl IntoView {
    let to_pay = offer.to_pay();
    let off = Money::new(-offer.discount.minor, to_pay.currency.clone());
    (offer.discount.minor > 0).then(|| {
        view! {
            <Fact label=t!("Promotion code")>
                <Price money=off />
            </Fact>
            <Fact label=t!("To pay")>
                <strong>
                    <Price money=to_pay />
                </strong>
            </Fact>
        }
    })
}

/// Takes a promotion code, which the server looks at before anything is bought. A part of the form that orders, so that what is chosen
/// there is sent with the code, and not forgotten.
#[component]
fn PromotionFields(offer: Offer) -> impl IntoView {
    // One that was good when it was typed may not be any more.
    let error = error_of(TypeCode::PATH).or(offer.code_problem.map(ConsoleError::Code));
    let hint = t!("A code leaves at least {least} to pay.", least = offer.least.exact_in(language()));
    let applied = applied(&offer);
    let code = typed(TypeCode::PATH, "code", typed(PlaceOrder::PATH, "code", ""));
    let open = applied.is_some() || error.is_some() || !code.is_empty();
    let of_unpaid = error == Some(ConsoleError::Code(CodeProblem::OnUnpaidOrder));
    view! {
        <details open=open>
            <summary>{if applied.is_some() { t!("Promotion code") } else { t!("Have a promotion code?") }}</summary>
            <div class="row">
                <CodeField error value=code />
                <button class="button" type="submit" formaction=TypeCode::PATH>
                    {t!("Apply")}
                </button>
            </div>
            {of_unpaid.then(|| view! { <p><a href="/orders">{t!("Look at your orders")}</a></p> })}
            {applied
                .map(|words| {
                    view! {
                        <p class="row">
                            <span>{words}</span>
                            <button class="button" type="submit" name="take_away" value="true" formaction=TypeCode::PATH>
                                {t!("Take it away")}
                            </button>
                        </p>
                    }
                })}
            <p class="muted">{hint}</p>
        </details>
    }
}

/// What is said of a code that was typed here, and can be taken away. That of an order that waits belongs to the order.
fn applied(offer: &Offer) -> Option<String> {
    match (&offer.open_order, offer.discount.code_id, offer.code_problem) {
        (Some(_), ..) | (None, None, None) => None,
        (None, Some(_), _) => {
            let off = Money::new(offer.discount.minor, offer.package.price.currency.clone());
            Some(t!("A code is applied: it takes {off} off.", off = off.exact_in(language())))
        }
        (None, None, Some(_)) => Some(t!("The code that you typed here is kept, and takes nothing off.").into()),
    }
}

/// The form that places the order. It carries the terms as they are shown: should the package have changed when it arrives, the
/// server refuses instead of charging something else. Its first button is the one of the code: that is what Enter presses.
#[component]
fn ConfirmForm(offer: Offer) -> impl IntoView {
    let choice = offer.clone();
    let price = offer.to_pay().exact_in(language());
    let Offer { package, form_key, open_order, payment, discount, .. } = offer;
    let button = match payment {
        PaymentOffer::Sandbox => t!("Pay {price} of play money", price = price),
        PaymentOffer::Stripe | PaymentOffer::Unavailable => t!("Pay {price}", price = price),
    };
    view! {
        {open_order
            .map(|open| {
                view! {
                    <p class="notice notice-info">
                        {unpaid(choice.if_queued.is_some(), choice.discount.minor > 0)}
                        " "
                        <a href=format!("/orders/{}", open.order_id)>{t!("See the order")}</a>
                    </p>
                    <CancelForm order_id=open.order_id />
                }
            })}
        <form method="post" action=PlaceOrder::PATH class="stack">
            <input type="hidden" name="package_id" value=package.package_id.to_string() />
            <input type="hidden" name="form_key" value=form_key.to_string() />
            <input type="hidden" name="terms[tokens]" value=package.tokens.0.to_string() />
            <input type="hidden" name="terms[price_minor]" value=package.price.minor.to_string() />
            <input type="hidden" name="terms[currency]" value=package.price.currency.code().to_string() />
            <input type="hidden" name="terms[valid_for_s]" value=package.valid_for_s.to_string() />
            <input type="hidden" name="terms[rolls_over]" value=package.rolls_over.to_string() />
            <input type="hidden" name="terms[refund_window_s]" value=package.refund_window_s.unwrap_or(0).to_string() />
            <input type="hidden" name="terms[discount_minor]" value=discount.minor.to_string() />
            <PromotionFields offer=choice.clone() />
            <StartChoice offer=choice />
            <Submit>{button}</Submit>
        </form>
    }
}
