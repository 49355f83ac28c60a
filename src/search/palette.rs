//! The palette in the frame: without JavaScript a link to the search page, with it a dialog over any page.

use crate::error::ConsoleError;
use crate::islands::palette::PaletteKeys;
use crate::search::page::SearchField;
use crate::t;
use crate::ui::error_text::sentence;
use crate::ui::layout::destinations;
use crate::ui::skeleton::Skeleton;
use leptos::prelude::*;

/// Stands once on a page.
#[component]
pub fn Palette() -> impl IntoView {
    view! {
        <dialog
            class="palette"
            id="palette"
            aria-label=t!("Search")
            data-unreachable=sentence(ConsoleError::Unreachable)
            data-signed-out=sentence(ConsoleError::SignInRequired)
        >
            <form method="get" action="/search" role="search">
                <SearchField />
            </form>
            // What is found first, for nothing typed, is the pages of the navigation.
            <div class="palette-found" aria-live="polite">
                <Skeleton lines=destinations().len() />
            </div>
        </dialog>
        <PaletteKeys />
    }
}

/// What opens it; there may be several.
#[component]
pub fn PaletteLink() -> impl IntoView {
    view! {
        <a class="nav-link palette-link" href="/search" data-opens="palette">
            {t!("Search")}
            <kbd aria-hidden="true">"⌘K"</kbd>
        </a>
    }
}
