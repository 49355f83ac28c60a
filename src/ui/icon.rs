//! The icons beside words, drawn on a grid of 16 with one stroke, and the mark of the product.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Dashboard,
    Products,
    Wallet,
    Keys,
    Usage,
    Models,
    Docs,
    Orders,
    Settings,
    Up,
    Down,
    Open,
    More,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Dashboard => "M2.5 2.5h4.5v6h-4.5zM9.5 2.5h4v3h-4zM9.5 8h4v5.5h-4zM2.5 11h4.5v2.5h-4.5z",
            Icon::Products => "M8 1.8l5.5 3v6.4l-5.5 3-5.5-3v-6.4zM2.5 4.8l5.5 3 5.5-3M8 7.8v6.4",
            Icon::Wallet => "M12.5 5.5v-2.5h-9a1.25 1.25 0 0 0 0 2.5h10v8h-10a1.25 1.25 0 0 1-1.25-1.25v-8M10.5 9.5h.5",
            Icon::Keys => "M2 10.7a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0M7.5 8.4l6-6M11 4.9l2.2 2.2",
            Icon::Usage => "M3 13.5v-4M8 13.5v-11M13 13.5v-7",
            Icon::Models => "M8 2l6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3",
            Icon::Docs => "M8 4v9.5M8 4c-1-1-2.5-1.5-6-1.5v9.5c3.5 0 5 .5 6 1.5c1-1 2.5-1.5 6-1.5v-9.5c-3.5 0-5 .5-6 1.5",
            Icon::Settings => {
                "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M9 4.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M4 11.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0"
            }
            Icon::Up => "M4.5 11.5l7-7M6 4.5h5.5v5.5",
            Icon::Down => "M4.5 4.5l7 7M6 11.5h5.5v-5.5",
            Icon::Open => "M4 6.2l4 4 4-4",
            Icon::More => "M3 8a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0M7.5 8a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0M12 8a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0",
            Icon::Orders => "M3.5 1.8h9v12.4l-2.25-1.4-2.25 1.4-2.25-1.4-2.25 1.4zM6 5.3h4M6 8.3h4",
        }
    }
}

#[component]
pub fn IconView(icon: Icon) -> impl IntoView {
    view! {
        <svg
            width="16"
            height="16"
            viewBox="0 0 16 16"
            fill="none"
            stroke="currentColor"
            stroke-width="1.5"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
        >
            <path d=icon.path() />
        </svg>
    }
}

/// The name of the product and its mark: a T laid out in Tokens, the last of them half spent.
#[component]
pub fn Wordmark() -> impl IntoView {
    view! {
        <a class="wordmark" href="/">
            <svg width="20" height="20" viewBox="4 5 24 24" aria-hidden="true">
                <circle cx="8" cy="9" r="3.2" />
                <circle cx="16" cy="9" r="3.2" />
                <circle cx="24" cy="9" r="3.2" />
                <circle cx="16" cy="17" r="3.2" />
                <circle cx="16" cy="25" r="3.2" fill-opacity="0.5" />
            </svg>
            "TOKI"
        </a>
    }
}
