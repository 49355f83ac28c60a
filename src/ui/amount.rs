//! Amounts: short for the eye, exact for whoever asks.

use crate::money::Money;
use crate::tokens::Tokens;
use leptos::prelude::*;

/// `1.23 M`, with every digit in the tooltip and for assistive technology.
#[component]
pub fn TokenAmount(tokens: Tokens) -> impl IntoView {
    view! {
        <data class="tokens" value=tokens.0.to_string() title=format!("{} Tokens", tokens.exact())>
            <span aria-hidden="true">{tokens.short()}</span>
            <span class="visually-hidden">{tokens.exact()}</span>
        </data>
    }
}

/// Every digit: for statements, where amounts are added up by eye.
#[component]
pub fn ExactTokens(tokens: Tokens) -> impl IntoView {
    view! {
        <data class="tokens" value=tokens.0.to_string()>
            {tokens.exact()}
        </data>
    }
}

#[component]
pub fn Price(money: Money) -> impl IntoView {
    view! { <span class="price">{money.exact()}</span> }
}
