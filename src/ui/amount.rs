//! Amounts: short for the eye, exact for whoever asks.

use crate::i18n::{fill_in, language};
use crate::money::Money;
use crate::t;
use crate::tokens::Tokens;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use std::fmt::{self, Display};

/// `1,234 Tokens`, inside of a sentence.
pub fn counted(tokens: Tokens) -> impl Display {
    fmt::from_fn(move |out| match tokens {
        Tokens(1) => out.write_str(t!("1 Token")),
        _ => fill_in(out, t!("{tokens} Tokens"), &[("tokens", &tokens.grouped())]),
    })
}

/// `1.23 M`, with every digit in the tooltip and for assistive technology.
#[component]
pub fn TokenAmount(tokens: Tokens) -> impl IntoView {
    InertElement::new(amount_html(tokens).to_string())
}

/// Every digit: for statements, where amounts are added up by eye.
#[component]
pub fn ExactTokens(tokens: Tokens) -> impl IntoView {
    InertElement::new(exact_html(tokens).to_string())
}

/// [`TokenAmount`] as text: a page may have hundreds, and each costs several times as much as a view.
pub fn amount_html(tokens: Tokens) -> impl Display {
    fmt::from_fn(move |out| {
        if tokens.is_short() {
            return write!(out, "{}", exact_html(tokens));
        }
        write!(out, r#"<data class="tokens" value="{}" title="{}">"#, tokens.0, counted(tokens))?;
        write!(out, r#"<span aria-hidden="true">{}</span>"#, tokens.short_in(language()))?;
        write!(out, r#"<span class="visually-hidden">{}</span></data>"#, tokens.grouped())
    })
}

/// [`ExactTokens`] as text.
pub fn exact_html(tokens: Tokens) -> impl Display {
    fmt::from_fn(move |out| write!(out, r#"<data class="tokens" value="{}">{}</data>"#, tokens.0, tokens.grouped()))
}

#[component]
pub fn Price(money: Money) -> impl IntoView {
    view! { <span class="price">{money.exact_in(language())}</span> }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::{Language, speaking};

    #[test]
    fn an_amount_has_every_digit_for_whoever_asks() {
        let html = |language, tokens| speaking(language, || amount_html(Tokens(tokens)).to_string());
        for (language, tokens, title, short, exact) in [
            (Language::English, 1_000, "1,000 Tokens", "1 K", "1,000"),
            (Language::English, -12_345, "-12,345 Tokens", "-12.3 K", "-12,345"),
            (Language::English, i64::MIN, "-9,223,372,036,854,775,808 Tokens", "-9,220,000 T", "-9,223,372,036,854,775,808"),
            (Language::Chinese, 1_234_567, "1,234,567 Token", "123 万", "1,234,567"),
        ] {
            let shown = format!(r#"<span aria-hidden="true">{short}</span><span class="visually-hidden">{exact}</span>"#);
            let all = format!(r#"<data class="tokens" value="{tokens}" title="{title}">{shown}</data>"#);
            assert_eq!(html(language, tokens), all);
        }
        for tokens in [0, 1, 999, -999] {
            assert_eq!(html(Language::English, tokens), format!(r#"<data class="tokens" value="{tokens}">{tokens}</data>"#));
        }
        assert_eq!(exact_html(Tokens(-1_000)).to_string(), r#"<data class="tokens" value="-1000">-1,000</data>"#);
        assert_eq!([1, 0, 2_000].map(|tokens| counted(Tokens(tokens)).to_string()), ["1 Token", "0 Tokens", "2,000 Tokens"]);
    }
}
