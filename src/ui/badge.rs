//! The state of a thing in a word, with a colour that repeats it.

use leptos::prelude::*;

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
    view! { <span class=kind.class()>{text}</span> }
}
