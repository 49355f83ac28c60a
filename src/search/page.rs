//! The search page. What it finds is a list of links, which the palette takes out of it.

use crate::checkout::page::status_word;
use crate::docs::contents::DOCS;
use crate::error::ConsoleError;
use crate::html::Escaped;
use crate::i18n::language;
use crate::search::server_fns::find;
use crate::search::types::{Found, LONGEST};
use crate::ui::failure::Failure;
use crate::ui::layout::destinations;
use crate::ui::page_data::{of_address, with_data};
use crate::ui::utc_time::day;
use crate::{push, t};
use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use leptos_meta::Title;

#[component]
pub fn SearchPage() -> impl IntoView {
    let text = of_address("q");
    let found = find(text.clone());
    view! {
        <Title text=t!("Search") />
        <h1>{t!("Search")}</h1>
        <form method="get" action="/search" role="search" class="search-form">
            {InertElement::new(search_field_html(&text))}
            <button class="button" type="submit">
                {t!("Search")}
            </button>
        </form>
        {with_data(found, move |found| found_view(found, &text))}
    }
    .into_any()
}

/// Where a search is typed, here and in the palette.
pub fn search_field_html(value: &str) -> String {
    let [label, placeholder, value] = [t!("Search"), t!("A page, a key, an order, a model"), value].map(Escaped);
    let mut html = String::from(r#"<input class="search-field" type="search" name="q" autocomplete="off" spellcheck="false""#);
    push!(html, r#" maxlength="{LONGEST}" aria-label="{label}" placeholder="{placeholder}" value="{value}">"#);
    html
}

fn found_view(found: Result<Vec<Found>, ConsoleError>, text: &str) -> AnyView {
    let found = match found {
        Ok(found) => found,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let wanted = text.trim().to_lowercase();
    let pages = destinations().into_iter().map(|(href, label, _)| (href.to_string(), label, t!("Page")));
    // Those that no navigation has are listed when they are asked for.
    let others = inner_pages().into_iter().filter(|_| !wanted.is_empty());
    let hits: Vec<_> = pages
        .chain(others)
        .filter(|(_, label, _)| label.to_lowercase().contains(&wanted))
        .map(|(href, label, kind)| hit(href, label.to_string(), String::new(), kind))
        .chain(found.into_iter().map(found_hit))
        .collect();
    if hits.is_empty() {
        return view! { <p id="found" class="muted">{t!("Nothing has this in its name.")}</p> }.into_any();
    }
    view! { <ul id="found" class="found">{hits}</ul> }.into_any()
}

/// Pages of the settings and of the docs: address, name, where they are.
fn inner_pages() -> Vec<(String, &'static str, &'static str)> {
    let settings = [
        ("/settings/members", t!("Members")),
        ("/settings/two-factor", t!("Two-factor")),
        ("/settings/log", t!("Account log")),
        ("/settings#preferences", t!("Language, colours and time zone")),
    ];
    let docs = DOCS.iter().map(|doc| (doc.path(), doc.title(language()), t!("Docs")));
    settings.into_iter().map(|(href, name)| (href.to_string(), name, t!("Settings"))).chain(docs).collect()
}

fn found_hit(found: Found) -> AnyView {
    match found {
        Found::Key { key_id, name, hint } => hit(format!("/keys/{key_id}"), name, hint, t!("API key")),
        Found::Order { order_id, package_name, at, price, status } => {
            let facts = t!("{day}, {price}, {state}", day = day(at), price = price.exact_in(language()), state = status_word(status));
            hit(format!("/orders/{order_id}"), package_name, facts, t!("Order"))
        }
        Found::Model { model_id, supplier_name } => hit(format!("/models#{model_id}"), model_id, supplier_name, t!("Model")),
    }
}

/// A line of what was found. `facts` tell it from others of its name; `kind` is what it is, the same word for all of a kind.
pub fn hit(href: String, name: String, facts: String, kind: &'static str) -> AnyView {
    view! {
        <li>
            <a href=href>
                <span class="found-name">{name}</span>
                {(!facts.is_empty()).then(|| view! { <span class="found-facts">{facts}</span> })}
                <span class="found-kind">{kind}</span>
            </a>
        </li>
    }
    .into_any()
}
