//! The Product Center's page.

use crate::accounts::page_rights::{may_buy, read_role, who_buys};
use crate::accounts::types_members::Role;
use crate::catalog::server_fns::list_products;
use crate::catalog::types::PackageCard;
use crate::error::ConsoleError;
use crate::money::Money;
use crate::t;
use crate::ui::amount::{Price, TokenAmount};
use crate::ui::badge::{Badge, BadgeKind};
use crate::ui::empty_state::EmptyState;
use crate::ui::fact::Fact;
use crate::ui::failure::Failure;
use crate::ui::page_data::with_data;
use crate::ui::stat::Stat;
use crate::ui::utc_time::validity;
use leptos::prelude::*;
use leptos_meta::{Meta, Title};

#[component]
pub fn ProductsPage() -> impl IntoView {
    let products = list_products();
    let terms = t!("Pay once, use the Tokens until they expire. Nothing renews by itself.");
    view! {
        <Title text=t!("Product Center") />
        <Meta name="description" content=terms />
        <div class="page-head">
            <h1>{t!("Product Center")}</h1>
        </div>
        <p class="muted">{terms}</p>
        {with_data(async { futures::join!(products, read_role()) }, |(products, role)| products_view(products, role))}
    }
    .into_any()
}

fn products_view(products: Result<Vec<PackageCard>, ConsoleError>, role: Result<Option<Role>, ConsoleError>) -> AnyView {
    match products {
        Err(error) => view! { <Failure error /> }.into_any(),
        Ok(cards) if cards.is_empty() => nothing_on_sale(matches!(role, Ok(None))),
        Ok(cards) => {
            let others_buy = role.is_ok_and(|role| role.is_some_and(|role| role < Role::Admin));
            let may_buy = may_buy(role);
            // Several may be the best value, and a page has one main action.
            let main = cards.iter().position(|card| card.best_value || cards.len() == 1);
            let cards = cards.into_iter().enumerate();
            view! {
                {others_buy.then(|| view! { <p class="notice">{who_buys()}</p> })}
                <ul class="cards">
                    {cards.map(|(place, card)| view! { <Package primary=main == Some(place) may_buy card /> }).collect_view()}
                </ul>
            }
            .into_any()
        }
    }
}

/// Visitors have no wallet to be sent to: what they would buy Tokens for is open to them.
fn nothing_on_sale(visitor: bool) -> AnyView {
    let (text, action_href, action_label) = if visitor {
        (t!("Come back later. Which models there are, and how to call them, you can see already."), "/models", t!("Look at the models"))
    } else {
        (t!("Come back later. Tokens that you already have keep working."), "/wallet", t!("Open your wallet"))
    };
    view! { <EmptyState title=t!("Nothing is on sale") text action_href action_label /> }.into_any()
}

/// One package: what it costs, what it gives, where and until when.
#[component]
fn Package(card: PackageCard, primary: bool, may_buy: bool) -> impl IntoView {
    let heading = format!("package-{}", card.package_id);
    let (labelled_by, described_by) = (heading.clone(), heading.clone());
    let price = card.price.clone();
    view! {
        <li>
            <article class="card stack" aria-labelledby=labelled_by>
                <div class="row">
                    <h2 id=heading>{card.name.clone()}</h2>
                    {card.best_value.then(|| view! { <Badge kind=BadgeKind::Ok text=t!("Lowest price per Token") /> })}
                </div>
                <Stat label=t!("Tokens")>
                    <TokenAmount tokens=card.tokens />
                </Stat>
                <dl class="facts">
                    <Fact label=t!("Price")>
                        <Price money=price />
                    </Fact>
                    <PackageFacts card=card.clone() to_pay=card.price.clone() />
                </dl>
                {may_buy
                    .then(|| {
                        view! {
                            <a
                                class=if primary { "button button-primary" } else { "button" }
                                href=format!("/products/{}/confirm", card.package_id)
                                // Loaded whole, so that the server sends a visitor to sign in and back to this very page.
                                rel="external"
                                aria-describedby=described_by
                            >
                                {t!("Choose")}
                            </a>
                        }
                    })}
            </article>
        </li>
    }
}

/// The rows that a card and the confirm page share: price per million, validity, scope, limit, what happens at expiry. `to_pay`: for all of
/// it, which a promotion code may make less than its price.
#[component]
pub fn PackageFacts(card: PackageCard, to_pay: Money) -> impl IntoView {
    let per_million = to_pay.per_million(card.tokens);
    view! {
        {per_million
            .map(|money| {
                view! {
                    <Fact label=t!("Price per million Tokens")>
                        <Price money />
                    </Fact>
                }
            })}
        <Fact label=t!("Valid for")>
            {t!("{validity} from payment", validity = validity(card.valid_for_s))}
        </Fact>
        <Fact label=t!("Suppliers")>
            {scope_text(&card.supplier_names, t!("All suppliers"))}
        </Fact>
        <Fact label=t!("Models")>
            {scope_text(&card.model_ids, t!("All models"))}
        </Fact>
        <Fact label=t!("Purchase limit")>
            {limit_text(card.purchase_limit, card.limit_period_s)}
        </Fact>
        <Fact label=t!("At expiry")>
            {at_expiry(card.rolls_over)}
        </Fact>
        <Fact label=t!("Refund")>
            {refund_text(card.refund_window_s)}
        </Fact>
    }
}

/// A scope in words; an empty one means everything.
pub fn scope_text(names: &[String], everything: &'static str) -> String {
    if names.is_empty() { everything.to_string() } else { names.join(t!(", ")) }
}

fn at_expiry(rolls_over: bool) -> &'static str {
    match rolls_over {
        false => t!("What is left expires."),
        true => t!("What is left expires, unless you buy it again before: then it rolls over to the new purchase."),
    }
}

fn refund_text(window_s: Option<i64>) -> String {
    match window_s {
        None => t!("On request, by an operator").to_string(),
        Some(window_s) => t!("The unused part, for {window} from payment", window = validity(window_s)),
    }
}

fn limit_text(purchase_limit: Option<i32>, period_s: Option<i64>) -> String {
    match (purchase_limit, period_s.map(validity)) {
        (None, _) => t!("As often as you like").to_string(),
        (Some(1), None) => t!("Once per account").to_string(),
        (Some(times), None) => t!("{times} times per account", times = times),
        (Some(1), Some(period)) => t!("Once per account in any {period}", period = period),
        (Some(times), Some(period)) => t!("{times} times per account in any {period}", times = times, period = period),
    }
}
