//! What every page says of a wallet that is empty, nearly so, or about to lose Tokens to time.

use crate::accounts::page_rights::who_buys;
use crate::ui::amount::TokenAmount;
use crate::ui::banner::{Banner, BannerKind};
use crate::ui::utc_time::UtcTime;
use crate::wallet::types::Warning;
use crate::{t, tv};
use leptos::prelude::*;

#[component]
pub fn WalletBanner(warning: Warning, may_buy: bool) -> impl IntoView {
    let buy = || view! { <a href="/products">{t!("Buy a package")}</a> };
    let (kind, label, title, words) = match warning {
        Warning::Empty if may_buy => (
            BannerKind::Bad,
            t!("Wallet"),
            t!("Your wallet is empty."),
            tv!("Calls are refused until it has Tokens again. {buy} and the next call goes through.", buy = buy()),
        ),
        Warning::Empty => (
            BannerKind::Bad,
            t!("Wallet"),
            t!("Your wallet is empty."),
            vec![t!("Calls are refused until it has Tokens again. Owners and admins can buy some.").into_any()],
        ),
        Warning::Low(left) => (
            BannerKind::Warn,
            t!("Wallet"),
            t!("Tokens are running low."),
            tv!(
                "{left} are left, a tenth of what the current grants brought or less. {buy}",
                left = view! { <TokenAmount tokens=left /> },
                buy = if may_buy { buy().into_any() } else { who_buys().into_any() }
            ),
        ),
        Warning::EndsSoon(tokens, at) => (
            BannerKind::Warn,
            // It may stand beside another one, and landmarks are told apart by their names.
            t!("Expiring Tokens"),
            t!("Tokens expire soon."),
            tv!("{tokens} of them, the first {time}.", tokens = view! { <TokenAmount tokens /> }, time = view! { <UtcTime time=at /> }),
        ),
    };
    view! {
        <Banner kind label title>
            {words}
        </Banner>
    }
}
