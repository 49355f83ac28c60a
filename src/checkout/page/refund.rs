//! Giving back what is not used: exactly what is paid back and which Tokens leave, before anything does.

use crate::checkout::page::failed_view;
use crate::checkout::server_fns::{RefundOrder, show_refund};
use crate::checkout::types_refund::RefundOffer;
use crate::error::ConsoleError;
use crate::i18n::language;
use crate::tokens::Tokens;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::fact::Fact;
use crate::ui::form::{FormError, Submit, error_of};
use crate::ui::page_data::{id_of_address, with_data};
use crate::ui::utc_time::UtcTime;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn RefundPage() -> impl IntoView {
    let offer = show_refund(id_of_address());
    view! {
        <Title text=t!("Return unused Tokens") />
        <div class="page-head">
            <h1>{t!("Return unused Tokens")}</h1>
        </div>
        <FormError error=error_of(RefundOrder::PATH) />
        {with_data(offer, offer_view)}
    }
    .into_any()
}

fn offer_view(offer: Result<RefundOffer, ConsoleError>) -> AnyView {
    let offer = match offer {
        Ok(offer) => offer,
        Err(error) => return failed_view(error, "/orders", t!("Back to your orders")),
    };
    let order_page = format!("/orders/{}", offer.order_id);
    let amount = offer.amount.exact_in(language());
    let held = (offer.held > Tokens(0)).then(|| {
        view! {
            <li>
                {tv!(
                    "Running calls hold {tokens} more of its Tokens. They stay; what the calls do not use can be returned when they have ended.",
                    tokens = view! { <ExactTokens tokens=offer.held /> }
                )}
            </li>
        }
    });
    let money =
        tv!("{part} of {whole}", part = view! { <Price money=offer.amount.clone() /> }, whole = view! { <Price money=offer.price /> });
    let tokens = tv!(
        "{part} of {whole}",
        part = view! { <ExactTokens tokens=offer.tokens /> },
        whole = view! { <ExactTokens tokens=offer.whole /> }
    );
    view! {
        <section class="card stack">
            <h2>{offer.package_name}</h2>
            <dl class="facts">
                <Fact label=t!("Paid back to you")>
                    {money}
                </Fact>
                <Fact label=t!("Tokens that leave your wallet")>
                    {tokens}
                </Fact>
                <Fact label=t!("Possible until")>
                    <UtcTime time=offer.until />
                </Fact>
            </dl>
            <ul>
                <li>{t!("You get back the share of the price that the Tokens left are of all of them, rounded down.")}</li>
                <li>{t!("They leave at once. Should the payment provider refuse, they come back.")}</li>
                {held}
            </ul>
            <form method="post" action=RefundOrder::PATH>
                <input type="hidden" name="order_id" value=offer.order_id.to_string() />
                <input type="hidden" name="form_key" value=offer.form_key.to_string() />
                <input type="hidden" name="tokens" value=offer.tokens.0.to_string() />
                <input type="hidden" name="amount_minor" value=offer.amount.minor.to_string() />
                <Submit>{t!("Return the Tokens for {amount}", amount = amount)}</Submit>
            </form>
            <p>
                <a href=order_page>{t!("Keep them")}</a>
            </p>
        </section>
    }
    .into_any()
}
