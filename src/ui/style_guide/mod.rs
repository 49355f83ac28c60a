//! `/styleguide`: every component in every state, in both themes, for who builds pages. Not in production. It is in English, but for what
//! the components say themselves, which is in the reader's language.

mod charts;
pub mod contrast;
mod fields;
mod samples;
mod type_and_colour;

use crate::i18n::Language;
use crate::preferences::page::PreferencesForm;
use crate::ui::copy::copies;
use crate::ui::icon::Wordmark;
use crate::ui::layout::NotFoundPage;
use leptos::prelude::*;
use leptos_meta::Title;

/// In the context of a page where the style guide is shown: the server's, unless it is in production.
#[derive(Clone, Copy, Debug)]
pub struct ShowStyleGuide;

pub const PATH: &str = "/styleguide";

#[component]
pub fn StyleGuidePage() -> impl IntoView {
    if use_context::<ShowStyleGuide>().is_none() {
        return view! { <NotFoundPage /> }.into_any();
    }
    view! {
        <Title text="Style guide" />
        <header class="topbar">
            <Wordmark />
        </header>
        <main class="content style-guide" id="main" lang=Language::English.tag()>
            <div class="page-head">
                <h1>"Style guide"</h1>
            </div>
            <type_and_colour::Type />
            <div class="themes">
                {["light", "dark"]
                    .map(|theme| {
                        view! {
                            <section class="theme sections" data-theme=theme aria-label=format!("In the {theme} theme")>
                                <type_and_colour::Colours theme />
                                <samples::Samples theme />
                            </section>
                        }
                    })
                    .into_iter()
                    .collect_view()}
            </div>
            <charts::WideCharts />
        </main>
        {copies()}
        <PreferencesForm />
    }
    .into_any()
}

/// A part of the guide with its heading.
#[component]
fn Part(title: &'static str, children: Children) -> impl IntoView {
    view! {
        <section class="stack" aria-label=title>
            <h2>{title}</h2>
            {children()}
        </section>
    }
}
