//! Amounts: short for the eye, exact for whoever asks.

use crate::i18n::language;
use crate::money::Money;
use crate::t;
use crate::tokens::Tokens;
use leptos::prelude::*;

/// `1,234 Tokens`, inside of a sentence.
pub fn counted(tokens: Tokens) -> String {
    match tokens {
        Tokens(1) => t!("1 Token").into(),
        _ => t!("{tokens} Tokens", tokens = tokens.exact()),
    }
}

/// `1.23 M`, with every digit in the tooltip and for assistive technology.
#[component]
pub fn TokenAmount(tokens: Tokens) -> impl IntoView {
    if tokens.is_short() {
        return view! { <ExactTokens tokens /> }.into_any();
    }
    view! {
        <data class="tokens" value=tokens.0.to_string() title=counted(tokens)>
            <span aria-hidden="true">{tokens.short_in(language())}</span>
            <span class="visually-hidden">{tokens.exact()}</span>
        </data>
    }
    .into_any()
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
    view! { <span class="price">{money.exact_in(language())}</span> }
}
