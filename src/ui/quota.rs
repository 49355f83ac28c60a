//! How much is left of what there was: in a bar, in numbers and, when it is little, in words.

use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::badge::{Badge, BadgeKind};
use crate::{t, tv};
use leptos::prelude::*;

/// How near the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Ample,
    /// 30 % or less.
    Low,
    /// 10 % or less.
    VeryLow,
    Nothing,
}

impl Left {
    fn of(all: Tokens, left: Tokens) -> Left {
        let tenths = |n: i128| i128::from(left.0) * 10 <= i128::from(all.0) * n;
        match () {
            () if left.0 <= 0 => Left::Nothing,
            () if tenths(1) => Left::VeryLow,
            () if tenths(3) => Left::Low,
            () => Left::Ample,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Left::Ample => "quota",
            Left::Low => "quota quota-low",
            Left::VeryLow | Left::Nothing => "quota quota-very-low",
        }
    }

    fn badge(self) -> Option<(BadgeKind, &'static str)> {
        match self {
            Left::Ample => None,
            Left::Low => Some((BadgeKind::Warn, t!("30 % or less left"))),
            Left::VeryLow => Some((BadgeKind::Bad, t!("10 % or less left"))),
            Left::Nothing => Some((BadgeKind::Bad, t!("Nothing left"))),
        }
    }
}

/// The bar is as full as there is left: it shrinks towards the end. `label` says of what.
#[component]
pub fn QuotaBar(all: Tokens, left: Tokens, #[prop(into)] label: String) -> impl IntoView {
    let state = Left::of(all, left);
    // A bar needs a positive maximum.
    let (max, value) = (all.0.max(1), left.0.clamp(0, all.0.max(1)));
    let numbers = tv!("{left} of {all} left", left = view! { <TokenAmount tokens=left /> }, all = view! { <TokenAmount tokens=all /> });
    view! {
        <div class=state.class()>
            <progress max=max.to_string() value=value.to_string() aria-label=label></progress>
            <p class="row">
                <span>{numbers}</span>
                {state.badge().map(|(kind, text)| view! { <Badge kind text /> })}
            </p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_said_in_words() {
        for (all, left, state) in [
            (100, 100, Left::Ample),
            (100, 31, Left::Ample),
            (100, 30, Left::Low),
            (100, 11, Left::Low),
            (100, 10, Left::VeryLow),
            (100, 1, Left::VeryLow),
            (100, 0, Left::Nothing),
            (0, 0, Left::Nothing),
            (100, -5, Left::Nothing),
            (i64::MAX, i64::MAX, Left::Ample),
        ] {
            assert_eq!(Left::of(Tokens(all), Tokens(left)), state, "{left} of {all}");
        }
    }
}
