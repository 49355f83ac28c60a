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
        <PaletteDialog id="palette">
            // What is found first, for nothing typed, is the pages of the navigation.
            <Skeleton lines=destinations().len() />
        </PaletteDialog>
        <PaletteKeys />
    }
}

/// What it looks like; the children are what was found.
#[component]
pub fn PaletteDialog(#[prop(into)] id: String, children: Children) -> impl IntoView {
    view! {
        <dialog
            class="palette"
            id=id
            aria-label=t!("Search")
            data-unreachable=sentence(ConsoleError::Unreachable)
            data-signed-out=sentence(ConsoleError::SignInRequired)
        >
            <form method="get" action="/search" role="search">
                <SearchField />
            </form>
            <div class="palette-found" aria-live="polite">
                {children()}
            </div>
        </dialog>
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
