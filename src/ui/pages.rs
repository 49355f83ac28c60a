//! The way to what is newer and older than a page of a list. Lists are paged by the key of a row, so there are no page numbers.

use crate::t;
use leptos::prelude::*;

/// Addresses of the neighbours that there are. `newest` leads to the first page: by keys one goes back to the start, not a page.
#[component]
pub fn Pages(#[prop(into)] label: String, newest: Option<String>, newer: Option<String>, older: Option<String>) -> impl IntoView {
    if newest.is_none() && newer.is_none() && older.is_none() {
        return ().into_any();
    }
    let link = |href: Option<String>, rel: Option<&'static str>, text: &'static str| {
        href.map(|href| view! { <a class="button" href=href rel=rel>{text}</a> })
    };
    view! {
        <nav class="row pages" aria-label=label>
            {link(newest, None, t!("Newest"))}
            {link(newer, Some("prev"), t!("Newer"))}
            {link(older, Some("next"), t!("Older"))}
        </nav>
    }
    .into_any()
}
