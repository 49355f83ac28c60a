//! Views of one thing, each at its own address: links, not a script.

use leptos::prelude::*;

/// A view and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    pub name: String,
    pub href: String,
    /// The one that is shown.
    pub here: bool,
}

/// `label` says of what they are views.
#[component]
pub fn Tabs(#[prop(into)] label: String, tabs: Vec<Tab>) -> impl IntoView {
    let tabs = tabs.into_iter().map(|tab| view! { <a href=tab.href aria-current=tab.here.then_some("page")>{tab.name}</a> });
    view! { <nav class="tabs" aria-label=label>{tabs.collect_view()}</nav> }
}
