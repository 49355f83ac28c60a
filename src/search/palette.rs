//! The palette in the frame: without JavaScript a link to the search page, with it a dialog over any page.

use crate::error::ConsoleError;
use crate::html::Escaped;
use crate::islands::palette::PaletteKeys;
use crate::search::page::search_field_html;
use crate::ui::error_text::sentence;
use crate::ui::layout::destinations;
use crate::ui::skeleton::skeleton_html;
use crate::{push, t};
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// Stands once on a page.
#[component]
pub fn Palette() -> impl IntoView {
    // What is found first, for nothing typed, is the pages of the navigation.
    let found = skeleton_html(destinations().len());
    view! {
        {InertElement::new(dialog_html("palette", &found))}
        <PaletteKeys />
    }
}

/// What it looks like; the children are what was found.
#[component]
pub fn PaletteDialog(#[prop(into)] id: String, children: Children) -> impl IntoView {
    InertElement::new(dialog_html(&id, &children().to_html()))
}

/// As text: every page has one.
fn dialog_html(id: &str, found: &str) -> String {
    let (unreachable, signed_out) = (sentence(ConsoleError::Unreachable), sentence(ConsoleError::SignInRequired));
    let mut html = String::with_capacity(1 << 10);
    push!(html, r#"<dialog class="palette" id="{}" aria-label="{}""#, Escaped(id), Escaped(t!("Search")));
    push!(html, r#" data-unreachable="{}" data-signed-out="{}">"#, Escaped(&unreachable), Escaped(&signed_out));
    push!(html, r#"<form method="get" action="/search" role="search">{}</form>"#, search_field_html(""));
    push!(html, r#"<div class="palette-found" aria-live="polite">{found}</div></dialog>"#);
    html
}

/// What opens it; there may be several.
pub fn palette_link_html() -> String {
    let link = r#"<a class="nav-link palette-link" href="/search" data-opens="palette">"#;
    format!(r#"{link}{}<kbd aria-hidden="true">⌘K</kbd></a>"#, Escaped(t!("Search")))
}
