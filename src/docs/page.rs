//! The pages of the docs: the list of them, and each of them beside that list.

use crate::docs::contents::{Doc, Part, doc};
use crate::docs::markdown::{Article, Block, Section, Snippet, article, beginning};
use crate::docs::server_fns::read_docs;
use crate::docs::types::Reader;
use crate::error::ConsoleError;
use crate::i18n::{Language, language};
use crate::t;
use crate::ui::copy::CopyCode;
use crate::ui::failure::Failure;
use crate::ui::page_data::with_data;
use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::hooks::use_params_map;

/// Every page, and what it is about.
#[component]
pub fn DocsPage() -> impl IntoView {
    let reader = read_docs(String::new());
    view! {
        <Title text=t!("Docs") />
        <Meta name="description" content=t!("How to call, what it costs, and what to do when something goes wrong.") />
        <div class="page-head">
            <h1>{t!("Docs")}</h1>
        </div>
        <p class="lead">{t!("How to call, what it costs, and what to do when something goes wrong.")}</p>
        {with_data(reader, overview)}
    }
    .into_any()
}

fn overview(reader: Result<Reader, ConsoleError>) -> AnyView {
    let reader = match reader {
        Ok(reader) => reader,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let (reader, language) = (&reader, language());
    let card = |doc: &'static Doc| {
        let Article { title, description, .. } = beginning(doc.text(language), reader);
        view! {
            <li class="card stack">
                <h3>
                    <a href=doc.path()>{title}</a>
                </h3>
                <p class="muted">{description}</p>
            </li>
        }
    };
    Part::ALL
        .map(|part| {
            view! {
                <section class="stack">
                    <h2>{part.title()}</h2>
                    <ul class="cards">{part.docs().map(card).collect_view()}</ul>
                </section>
            }
        })
        .into_iter()
        .collect_view()
        .into_any()
}

/// The page that the address names.
#[component]
pub fn DocPage() -> impl IntoView {
    let name = use_params_map().read_untracked().get("page").unwrap_or_default();
    let reader = read_docs(name.clone());
    with_data(reader, move |reader| match (reader, doc(&name)) {
        (Ok(reader), Some(doc)) => doc_view(doc, &reader),
        (reader, _) => missing(reader.err().unwrap_or(ConsoleError::NotFound)),
    })
    .into_any()
}

fn missing(error: ConsoleError) -> AnyView {
    view! {
        <Title text=t!("Docs") />
        <h1>{t!("Docs")}</h1>
        <Failure error />
        <p>
            <a class="button" href="/docs">
                {t!("All pages")}
            </a>
        </p>
    }
    .into_any()
}

fn doc_view(doc: &'static Doc, reader: &Reader) -> AnyView {
    let language = language();
    let Article { title, description, sections, blocks } = article(doc.text(language), reader);
    let mut snippets = 0;
    let blocks = blocks.into_iter().map(|block| match block {
        Block::Html(html) => view! { <div class="docs-text" inner_html=html></div> }.into_any(),
        Block::Snippet(snippet) => {
            snippets += 1;
            view! { <SnippetView snippet number=snippets /> }.into_any()
        }
    });
    view! {
        <Title text=format!("{title} · {}", t!("Docs")) />
        <Meta name="description" content=description />
        <div class="docs">
            // Of the two one is shown: beside the text where there is room, else folded above it.
            <aside class="docs-side">{contents(doc, &sections, language)}</aside>
            <details class="docs-fold">
                <summary>{t!("All pages")}</summary>
                {contents(doc, &sections, language)}
            </details>
            <article class="docs-article">
                <h1>{title}</h1>
                {blocks.collect_view()}
                <Neighbours doc language />
            </article>
        </div>
    }
    .into_any()
}

/// The list of all pages, with the sections of the one that is read.
fn contents(read: &'static Doc, sections: &[Section], language: Language) -> impl IntoView {
    let section = |section: &Section| {
        view! {
            <li>
                <a href=format!("#{}", section.anchor)>{section.title.clone()}</a>
            </li>
        }
    };
    let line = |doc: &'static Doc| {
        let is_read = doc == read;
        view! {
            <li>
                <a class="nav-link" href=doc.path() aria-current=is_read.then_some("page")>
                    {doc.title(language)}
                </a>
                {is_read.then(|| view! { <ul>{sections.iter().map(section).collect_view()}</ul> })}
            </li>
        }
    };
    let lists = Part::ALL.map(|part| {
        view! {
            <p>{part.title()}</p>
            <ul>{part.docs().map(line).collect_view()}</ul>
        }
    });
    view! { <nav aria-label=t!("Docs")>{lists.into_iter().collect_view()}</nav> }
}

/// Code to copy. It scrolls by itself where it is too wide, and so can be reached by keyboard.
#[component]
fn SnippetView(snippet: Snippet, number: usize) -> impl IntoView {
    let Snippet { language, check, code } = snippet;
    let language = match language.as_str() {
        "sh" => "Shell",
        "python" => "Python",
        "js" => "Node.js",
        "rust" => "Rust",
        "json" => "JSON",
        "yaml" => "YAML",
        "http" => "HTTP",
        _ => "Text",
    };
    view! {
        <div class="docs-snippet">
            <div class="row">
                <span class="muted">{language}</span>
                <CopyCode />
            </div>
            <pre
                class="code-block"
                tabindex="0"
                role="region"
                aria-label=t!("Example {number}: {language}", number = number, language = language)
                data-check=(!check.is_empty()).then_some(check)
            >
                <code>{code}</code>
            </pre>
        </div>
    }
}

#[component]
fn Neighbours(doc: &'static Doc, language: Language) -> impl IntoView {
    let [before, after] = doc.neighbours();
    let link = |doc: &'static Doc, rel: &'static str| view! { <a class="button" href=doc.path() rel=rel>{doc.title(language)}</a> };
    view! {
        <nav class="docs-neighbours" aria-label=t!("Previous and next page")>
            {before.map(|doc| link(doc, "prev"))}
            {after.map(|doc| link(doc, "next"))}
        </nav>
    }
}
