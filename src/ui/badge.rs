//! The state of a thing in a word, with a colour that repeats it.

use crate::html::Escaped;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use std::fmt::{self, Display};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeKind {
    Ok,
    Warn,
    Bad,
    Quiet,
}

impl BadgeKind {
    fn class(self) -> &'static str {
        match self {
            BadgeKind::Ok => "badge badge-ok",
            BadgeKind::Warn => "badge badge-warn",
            BadgeKind::Bad => "badge badge-bad",
            BadgeKind::Quiet => "badge badge-quiet",
        }
    }
}

#[component]
pub fn Badge(kind: BadgeKind, #[prop(into)] text: Oco<'static, str>) -> impl IntoView {
    InertElement::new(badge_html(kind, &text).to_string())
}

/// [`Badge`] as text.
pub fn badge_html(kind: BadgeKind, text: &str) -> impl Display {
    fmt::from_fn(move |out| write!(out, r#"<span class="{}">{}</span>"#, kind.class(), Escaped(text)))
}
