//! The wallet page: balance, grants in the order they pay, statement.

use crate::accounts::page_rights::HeadForBuyers;
use crate::codes::page::RedeemForm;
use crate::error::ConsoleError;
use crate::tokens::Tokens;
use crate::ui::amount::{ExactTokens, TokenAmount};
use crate::ui::fact::Fact;
use crate::ui::failure::Failure;
use crate::ui::page_data::{of_address, with_data};
use crate::ui::utc_time::UtcTime;
use crate::wallet::page_forecast::ForecastNote;
use crate::wallet::page_grants::Grants;
use crate::wallet::page_statement::{Asked, StatementPart};
use crate::wallet::server_fns::show_wallet;
use crate::wallet::types::{AccountTotals, Forecast, GrantSource, GrantView, WalletView};
use crate::{t, tv};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn WalletPage() -> impl IntoView {
    // After a redemption, the grant that it brought.
    let redeemed = of_address("redeemed");
    let asked = Asked::of_address();
    let Asked { entries, from, to, order, before } = asked.clone();
    let wallet = show_wallet(entries, from, to, order, before);
    view! {
        <Title text=t!("Wallet") />
        <HeadForBuyers title=t!("Wallet") />
        {with_data(wallet, move |wallet| body(wallet, asked, &redeemed))}
    }
    .into_any()
}

fn body(wallet: Result<WalletView, ConsoleError>, asked: Asked, redeemed: &str) -> AnyView {
    let WalletView { may_buy, may_redeem, balance, totals, forecast, grants, ended, ended_count, statement } = match wallet {
        Ok(wallet) => wallet,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let redeemed = grants.iter().find(|grant| grant.source == GrantSource::Code && grant.grant_id.to_string() == redeemed);
    let redeemed = redeemed.cloned().map(|grant| {
        view! {
            <p class="notice notice-ok" role="status">
                {redeemed_words(&grant)}
            </p>
        }
    });
    // What is typed stays: only what stands between the forms is kept up to date.
    view! {
        {redeemed}
        <div class="cards" data-live="wallet-standing">
            <Standing balance totals forecast=forecast.clone() />
        </div>
        {may_redeem.then(|| view! { <RedeemForm /> })}
        <Grants grants ended ended_count forecast may_buy />
        <h2 id="statement">{t!("Ledger")}</h2>
        <StatementPart statement asked may_redeem />
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
        <div class="card stat wallet-balance">
            <span>{t!("Balance")}</span>
            <span><TokenAmount tokens=balance /></span>
            <span>{held}</span>
            {forecast}
        </div>
        <div class="card">
            <dl class="facts">
                <Fact label=t!("Granted")>
                    <ExactTokens tokens=totals.granted />
                </Fact>
                <Fact label=t!("Spent")>
                    <ExactTokens tokens=totals.spent />
                </Fact>
                <Fact label=t!("Held for running calls")>
                    <ExactTokens tokens=totals.held />
                </Fact>
                <Fact label=t!("Left")>
                    <ExactTokens tokens=totals.left />
                </Fact>
                <Fact label=t!("Expired")>
                    <ExactTokens tokens=totals.expired />
                </Fact>
                <Fact label=t!("Refunded")>
                    <ExactTokens tokens=totals.refunded />
                </Fact>
            </dl>
        </div>
    }
}
