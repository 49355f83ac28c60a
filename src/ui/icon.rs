//! The icons beside words, and the mark of the product. The icons are Lucide's (1.62; LICENSES/lucide.txt), taken over as path data: a
//! crate of them has two thousand more.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use std::fmt::{self, Display};

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
    /// The drawing on a grid of 24, its corners and circles written as arcs. The comment names Lucide's file.
    fn path(self) -> &'static str {
        match self {
            // layout-dashboard
            Icon::Dashboard => {
                "M4 3h5a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-5a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z\
                 M15 3h5a1 1 0 0 1 1 1v3a1 1 0 0 1-1 1h-5a1 1 0 0 1-1-1v-3a1 1 0 0 1 1-1z\
                 M15 12h5a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-5a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z\
                 M4 16h5a1 1 0 0 1 1 1v3a1 1 0 0 1-1 1h-5a1 1 0 0 1-1-1v-3a1 1 0 0 1 1-1z"
            }
            // package
            Icon::Products => {
                "M11 21.73a2 2 0 0 0 2 0l7-4A2 2 0 0 0 21 16V8a2 2 0 0 0-1-1.73l-7-4a2 2 0 0 0-2 0l-7 4A2 2 0 0 0 3 8v8a2 2 0 0 0 1 1.73z\
                 M12 22V12M3.29 7L12 12L20.71 7M7.5 4.27l9 5.15"
            }
            // wallet
            Icon::Wallet => {
                "M19 7V4a1 1 0 0 0-1-1H5a2 2 0 0 0 0 4h15a1 1 0 0 1 1 1v4h-3a2 2 0 0 0 0 4h3a1 1 0 0 0 1-1v-2a1 1 0 0 0-1-1\
                 M3 5v14a2 2 0 0 0 2 2h15a1 1 0 0 0 1-1v-4"
            }
            // key-round
            Icon::Keys => {
                "M2.586 17.414A2 2 0 0 0 2 18.828V21a1 1 0 0 0 1 1h3a1 1 0 0 0 1-1v-1a1 1 0 0 1 1-1h1a1 1 0 0 0 1-1v-1a1 1 0 0 1 1-1h.172\
                 a2 2 0 0 0 1.414-.586l.814-.814a6.5 6.5 0 1 0-4-4zM16 7.5a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0"
            }
            // chart-no-axes-column
            Icon::Usage => "M5 21v-6M12 21V3M19 21V9",
            // layers
            Icon::Models => {
                "M12.83 2.18a2 2 0 0 0-1.66 0L2.6 6.08a1 1 0 0 0 0 1.83l8.58 3.91a2 2 0 0 0 1.66 0l8.58-3.9a1 1 0 0 0 0-1.83z\
                 M2 12a1 1 0 0 0 .58.91l8.6 3.91a2 2 0 0 0 1.65 0l8.58-3.9A1 1 0 0 0 22 12\
                 M2 17a1 1 0 0 0 .58.91l8.6 3.91a2 2 0 0 0 1.65 0l8.58-3.9A1 1 0 0 0 22 17"
            }
            // book-open
            Icon::Docs => {
                "M12 5v16M20.001 19A2 2 0 0 0 22 17V5a2 2 0 0 0-1.999-2L16 3.002A5 5 0 0 0 12 5a5 5 0 0 0-4-2H4a2 2 0 0 0-2 2v12\
                 a2 2 0 0 0 1.999 2H8a5 5 0 0 1 4 2 5 5 0 0 1 4-2z"
            }
            // receipt-text
            Icon::Orders => {
                "M13 16H8M14 8H8M16 12H8\
                 M4 3a1 1 0 0 1 1-1 1.3 1.3 0 0 1 .7.2l.933.6a1.3 1.3 0 0 0 1.4 0l.934-.6a1.3 1.3 0 0 1 1.4 0l.933.6a1.3 1.3 0 0 0 1.4 0\
                 l.933-.6a1.3 1.3 0 0 1 1.4 0l.934.6a1.3 1.3 0 0 0 1.4 0l.933-.6A1.3 1.3 0 0 1 19 2a1 1 0 0 1 1 1v18a1 1 0 0 1-1 1\
                 a1.3 1.3 0 0 1-.7-.2l-.933-.6a1.3 1.3 0 0 0-1.4 0l-.934.6a1.3 1.3 0 0 1-1.4 0l-.933-.6a1.3 1.3 0 0 0-1.4 0\
                 l-.933.6a1.3 1.3 0 0 1-1.4 0l-.934-.6a1.3 1.3 0 0 0-1.4 0l-.933.6a1.3 1.3 0 0 1-.7.2 1 1 0 0 1-1-1z"
            }
            // settings-2
            Icon::Settings => "M14 17H5M19 7h-9M14 17a3 3 0 1 0 6 0a3 3 0 1 0-6 0M4 7a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
            // arrow-up-right
            Icon::Up => "M7 7h10v10M7 17L17 7",
            // arrow-down-right
            Icon::Down => "M7 7l10 10M17 7v10H7",
            // chevron-down
            Icon::Open => "M6 9l6 6 6-6",
            // ellipsis
            Icon::More => "M11 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0M18 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0M4 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0",
        }
    }
}

#[component]
pub fn IconView(icon: Icon) -> impl IntoView {
    InertElement::new(icon_html(icon).to_string())
}

/// [`IconView`] as text: every page has a dozen, which as views cost as much as a small table.
pub fn icon_html(icon: Icon) -> impl Display {
    fmt::from_fn(move |out| {
        write!(
            out,
            r#"<svg width="16" height="16" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="{}"></path></svg>"#,
            icon.path()
        )
    })
}

/// The name of the product and its mark: a T laid out in Tokens, the last of them half spent.
#[component]
pub fn Wordmark() -> impl IntoView {
    InertElement::new(WORDMARK)
}

/// [`Wordmark`] as text: every page has it twice.
pub const WORDMARK: &str = concat!(
    r#"<a class="wordmark" href="/"><svg width="20" height="20" viewBox="4 5 24 24" aria-hidden="true">"#,
    r#"<circle cx="8" cy="9" r="3.2"></circle><circle cx="16" cy="9" r="3.2"></circle><circle cx="24" cy="9" r="3.2"></circle>"#,
    r#"<circle cx="16" cy="17" r="3.2"></circle><circle cx="16" cy="25" r="3.2" fill-opacity="0.5"></circle></svg>TOKI</a>"#
);
