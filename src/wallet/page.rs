//! The wallet page: balance, grants in the order they pay, statement.

use crate::accounts::page_rights::ForBuyers;
use crate::catalog::page::scope_text;
use crate::codes::page::RedeemForm;
use crate::error::ConsoleError;
use crate::tokens::Tokens;
use crate::ui::amount::{ExactTokens, TokenAmount};
use crate::ui::failure::Failure;
use crate::ui::page_data::{of_address, with_data};
use crate::ui::utc_time::UtcTime;
use crate::wallet::page_forecast::{ForecastNote, grant_end};
use crate::wallet::page_statement::StatementTable;
use crate::wallet::server_fns::show_wallet;
use crate::wallet::types::{AccountTotals, Forecast, GrantSource, GrantTurn, GrantView, WalletView, Which};
use crate::{t, tv};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn WalletPage() -> impl IntoView {
    let address = Address { entries: of_address("entries"), before: of_address("before"), redeemed: of_address("redeemed") };
    let wallet = show_wallet(address.entries.clone(), address.before.clone());
    view! {
        <Title text=t!("Wallet") />
        <div class="page-head">
            <h1>{t!("Wallet")}</h1>
            <ForBuyers>
                <a class="button button-primary" href="/products">
                    {t!("Buy Tokens")}
                </a>
            </ForBuyers>
        </div>
        {with_data(wallet, |wallet| body(wallet, address))}
    }
    .into_any()
}

/// What the page's address asks for: which part of the ledger, and after a redemption the grant that it brought.
struct Address {
    entries: String,
    before: String,
    redeemed: String,
}

fn body(wallet: Result<WalletView, ConsoleError>, address: Address) -> AnyView {
    let wallet = match wallet {
        Ok(wallet) => wallet,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let redeemed = wallet.grants.iter().find(|grant| grant.source == GrantSource::Code && grant.grant_id.to_string() == address.redeemed);
    let redeemed = redeemed.cloned().map(|grant| {
        view! {
            <p class="notice notice-ok" role="status">
                {redeemed_words(&grant)}
            </p>
        }
    });
    let ended = (!wallet.ended.is_empty()).then(|| {
        view! {
            <details>
                <summary>{t!("Used up and expired grants")}</summary>
                <GrantTable grants=wallet.ended forecast=None />
            </details>
        }
    });
    let grants = if wallet.grants.is_empty() {
        view! {
            <div class="empty">
                <p>{t!("No Tokens here at the moment. A package brings some, and they can be spent at once.")}</p>
                <a class="button" href="/products">{t!("See the packages")}</a>
            </div>
        }
        .into_any()
    } else {
        view! { <GrantTable grants=wallet.grants forecast=wallet.forecast.clone() /> }.into_any()
    };
    view! {
        {redeemed}
        <Standing balance=wallet.balance totals=wallet.totals forecast=wallet.forecast />
        {wallet.may_redeem.then(|| view! { <RedeemForm /> })}
        <h2>{t!("Grants")}</h2>
        <p class="muted">{t!("In the order they pay: limited to a supplier or model first, then what expires soonest.")}</p>
        {grants}
        {ended}
        <h2 id="statement">{t!("Ledger")}</h2>
        <StatementTable
            statement=wallet.statement
            which=Which::parse(&address.entries).unwrap_or_default()
            older_page=!address.before.is_empty()
        />
    }
    .into_any()
}

fn redeemed_words(grant: &GrantView) -> Vec<AnyView> {
    let time = view! { <UtcTime time=grant.expires_at /> };
    match grant.tokens {
        Tokens(1) => tv!("Redeemed: 1 Token is in your wallet, until {time}.", time = time),
        tokens => {
            let tokens = view! { <ExactTokens tokens /> };
            tv!("Redeemed: {tokens} Tokens are in your wallet, until {time}.", tokens = tokens, time = time)
        }
    }
}

/// The balance, and where every Token ever granted is now.
#[component]
fn Standing(balance: Tokens, totals: AccountTotals, forecast: Option<Forecast>) -> impl IntoView {
    // Of an empty wallet there is nothing to foretell.
    let forecast = forecast.filter(|_| balance.0 > 0).map(|forecast| view! { <ForecastNote forecast /> });
    let held = match totals.held {
        Tokens(0) => t!("No call is running").into_any(),
        held => tv!("Another {tokens} held for running calls", tokens = view! { <TokenAmount tokens=held /> }).into_any(),
    };
    view! {
        <div class="cards">
            <div class="card stat">
                <span>{t!("Balance")}</span>
                <span><TokenAmount tokens=balance /></span>
                <span>{held}</span>
                {forecast}
            </div>
            <div class="card">
                <dl class="facts">
                    <Fact label=t!("Granted") tokens=totals.granted />
                    <Fact label=t!("Spent") tokens=totals.spent />
                    <Fact label=t!("Held for running calls") tokens=totals.held />
                    <Fact label=t!("Left") tokens=totals.left />
                    <Fact label=t!("Expired") tokens=totals.expired />
                    <Fact label=t!("Refunded") tokens=totals.refunded />
                </dl>
            </div>
        </div>
    }
}

#[component]
fn Fact(label: &'static str, tokens: Tokens) -> impl IntoView {
    view! {
        <div>
            <dt>{label}</dt>
            <dd><ExactTokens tokens /></dd>
        </div>
    }
}

#[component]
fn GrantTable(grants: Vec<GrantView>, forecast: Option<Forecast>) -> impl IntoView {
    let rows = grants.into_iter().map(|grant| {
        let end = forecast.as_ref().and_then(|forecast| forecast.of_grant(&grant)).and_then(grant_end);
        grant_row(grant, end)
    });
    let rows = rows.collect_view();
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Grant")}</th>
                        <th scope="col">{t!("Pays for")}</th>
                        <th scope="col" class="number">{t!("Left")}</th>
                        <th scope="col" class="number">{t!("Held")}</th>
                        <th scope="col">{t!("Expires")}</th>
                        <th scope="col">{t!("Turn")}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn grant_row(grant: GrantView, end: Option<AnyView>) -> impl IntoView {
    let (class, turn) = turn_badge(grant.turn);
    let source = source_word(grant.source);
    let scope = scope_text(&grant.scope, t!("Every supplier and model"));
    let starts = (grant.turn == GrantTurn::NotStarted)
        .then(|| view! { <p class="muted">{tv!("from {time}", time = view! { <UtcTime time=grant.starts_at /> })}</p> });
    view! {
        <tr>
            <td data-label=t!("Grant")>
                {match grant.order_id {
                    Some(order_id) => view! { <a href=format!("/orders/{order_id}")>{source}</a> }.into_any(),
                    None => view! { <span>{source}</span> }.into_any(),
                }}
                {grant.note.map(|note| view! { <p class="muted">{note}</p> })}
            </td>
            <td data-label=t!("Pays for")>{scope}</td>
            <td data-label=t!("Left") class="number grant-left">
                {tv!(
                    "{part} of {whole}",
                    part = view! { <TokenAmount tokens=grant.left /> },
                    whole = view! { <TokenAmount tokens=grant.tokens /> },
                )}
                <progress max=grant.tokens.0.to_string() value=grant.left.0.to_string() aria-label=t!("Left of this grant") />
            </td>
            <td data-label=t!("Held") class="number"><TokenAmount tokens=grant.held /></td>
            <td data-label=t!("Expires")><UtcTime time=grant.expires_at /> {starts} {end}</td>
            <td data-label=t!("Turn")><span class=class>{turn}</span></td>
        </tr>
    }
}

fn source_word(source: GrantSource) -> &'static str {
    match source {
        GrantSource::Order => t!("Order"),
        GrantSource::Credit => t!("Credit"),
        GrantSource::Code => t!("Redemption code"),
        GrantSource::Transfer => t!("Transfer"),
    }
}

fn turn_badge(turn: GrantTurn) -> (&'static str, &'static str) {
    match turn {
        GrantTurn::PaysNext => ("badge badge-ok", t!("Pays next")),
        GrantTurn::PaysNextInScope => ("badge badge-ok", t!("Pays next, for these only")),
        GrantTurn::Waiting => ("badge badge-quiet", t!("Waits its turn")),
        GrantTurn::NotStarted => ("badge badge-quiet", t!("Not begun")),
        GrantTurn::Frozen => ("badge badge-warn", t!("Frozen")),
        GrantTurn::UsedUp => ("badge badge-quiet", t!("Used up")),
        GrantTurn::Expired => ("badge badge-bad", t!("Expired")),
    }
}
