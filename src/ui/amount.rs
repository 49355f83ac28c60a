//! Amounts: short for the eye, exact for whoever asks.

use crate::i18n::language;
use crate::money::Money;
use crate::t;
use crate::tokens::Tokens;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

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
    InertElement::new(amount_html(tokens))
}

/// Every digit: for statements, where amounts are added up by eye.
#[component]
pub fn ExactTokens(tokens: Tokens) -> impl IntoView {
    InertElement::new(exact_html(tokens))
}

/// [`TokenAmount`] as text: a page may have hundreds, and each costs several times as much as a view.
pub fn amount_html(tokens: Tokens) -> String {
    if tokens.is_short() {
        return exact_html(tokens);
    }
    let (title, short, exact) = (counted(tokens), tokens.short_in(language()), tokens.exact());
    format!(
        r#"<data class="tokens" value="{}" title="{title}"><span aria-hidden="true">{short}</span><span class="visually-hidden">{exact}</span></data>"#,
        tokens.0
    )
}

/// [`ExactTokens`] as text.
pub fn exact_html(tokens: Tokens) -> String {
    format!(r#"<data class="tokens" value="{}">{}</data>"#, tokens.0, tokens.exact())
}

#[component]
pub fn Price(money: Money) -> impl IntoView {
    view! { <span class="price">{money.exact_in(language())}</span> }
}
