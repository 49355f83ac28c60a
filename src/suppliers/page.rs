//! The model directory: what can be called, at which multipliers, and what the reader has for it.

use crate::accounts::types_members::Role;
use crate::docs::examples::endpoint_example;
use crate::docs::types::Reader;
use crate::error::ConsoleError;
use crate::html::{Escaped, escaped, link};
use crate::ids::KeyId;
use crate::suppliers::server_fns::list_models;
use crate::suppliers::types::{Means, ModelList, ModelView, PayingGrant, multiplier};
use crate::ui::amount::amount_html;
use crate::ui::badge::{BadgeKind, badge_html};
use crate::ui::copy::copy_html;
use crate::ui::fact::fact_html;
use crate::ui::failure::Failure;
use crate::ui::page_data::{of_address, with_data};
use crate::ui::snippet::snippet_html;
use crate::wallet::types::GrantSource;
use crate::{push, t};
use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use std::fmt::Display;

#[component]
pub fn ModelsPage() -> impl IntoView {
    let search = of_address("q");
    let models = list_models(search.clone());
    let terms = t!(
        "What you can call, and what it costs. A multiplier says how many of your Tokens one Token of the model is charged as; a call is rounded up once."
    );
    view! {
        <Title text=t!("Models") />
        <Meta name="description" content=terms />
        <div class="page-head">
            <h1>{t!("Models")}</h1>
        </div>
        <p class="muted">{terms}</p>
        {with_data(models, |models| directory(models, search))}
    }
    .into_any()
}

fn directory(list: Result<ModelList, ConsoleError>, search: String) -> AnyView {
    let list = match list {
        Err(error) => {
            return view! {
                <SearchForm search />
                <Failure error />
            }
            .into_any();
        }
        Ok(list) => list,
    };
    if !list.any {
        return view! {
            <div class="empty">
                <p>{t!("No model can be called yet. They appear here as soon as one is set up.")}</p>
                <a class="button" href="/products">{t!("See the packages")}</a>
            </div>
        }
        .into_any();
    }
    let models = if list.models.is_empty() {
        view! {
            <div class="empty">
                <p>{t!("No model is called like this, nor its supplier.")}</p>
                <a class="button" href="/models">{t!("All models")}</a>
            </div>
        }
        .into_any()
    } else {
        view! { <ModelTable models=list.models role=list.role reader=list.reader /> }.into_any()
    };
    view! {
        <SearchForm search />
        {models}
    }
    .into_any()
}

#[component]
fn SearchForm(search: String) -> impl IntoView {
    let clear = (!search.is_empty()).then(|| view! { <a class="button button-quiet" href="/models">{t!("Show all")}</a> });
    view! {
        <form method="get" action="/models" class="search-form">
            <input
                class="search-field"
                type="search"
                name="q"
                maxlength="254"
                autocomplete="off"
                aria-label=t!("Search models")
                placeholder=t!("A model or a supplier")
                value=search
            />
            <button class="button" type="submit">
                {t!("Search")}
            </button>
            {clear}
        </form>
    }
}

#[component]
fn ModelTable(models: Vec<ModelView>, role: Option<Role>, reader: Reader) -> impl IntoView {
    let signed_in = models.iter().any(|model| model.means.is_some());
    let rows: String = models.iter().map(|model| model_rows(model, role, &reader)).collect();
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Model")}</th>
                        <th scope="col">{t!("Supplier")}</th>
                        <th scope="col" class="number">{t!("Context")}</th>
                        <th scope="col" class="number">{t!("Max output")}</th>
                        <th scope="col" class="number">{t!("Input")}</th>
                        <th scope="col" class="number">{t!("Cached input")}</th>
                        <th scope="col" class="number">{t!("Output")}</th>
                        {signed_in.then(|| view! { <th scope="col">{t!("For you")}</th> })}
                    </tr>
                </thead>
                <tbody inner_html=rows></tbody>
            </table>
        </div>
    }
}

/// A model, and below it how it is called, with what. As text, with all that is in it: each has some forty elements.
fn model_rows(model: &ModelView, role: Option<Role>, reader: &Reader) -> String {
    let id = Escaped(&model.model_id);
    let mut rows = String::new();
    push!(rows, r#"<tr id="{id}"><td data-label="{}"><span class="row"><span class="mono">{id}</span>"#, t!("Model"));
    push!(rows, "{}</span></td>", copy_html(&model.model_id));
    push!(rows, r#"<td data-label="{}">{}</td>"#, t!("Supplier"), Escaped(&model.supplier_name));
    let mut number = |label, number: &dyn Display| push!(rows, r#"<td class="number" data-label="{label}">{number}</td>"#);
    number(t!("Context"), &amount_html(model.context));
    number(t!("Max output"), &amount_html(model.max_output));
    number(t!("Input"), &multiplier(model.price.input_ppm));
    number(t!("Cached input"), &multiplier(model.price.cached_ppm));
    number(t!("Output"), &multiplier(model.price.output_ppm));
    if let Some(means) = &model.means {
        push!(rows, r#"<td data-label="{}">{}</td>"#, t!("For you"), readiness(means));
    }
    let columns = if model.means.is_some() { "8" } else { "7" };
    push!(rows, r#"</tr><tr class="call-why"><td colspan="{columns}"><details><summary>{}"#, t!("How to call it"));
    push!(rows, r#"<span class="visually-hidden">: {id}</span></summary>"#);
    push!(rows, r#"<div class="stack">{}</div></details></td></tr>"#, how_to_call(model, role, reader));
    rows
}

/// Whether the reader could call it now, and if not, what is missing.
fn readiness(means: &Means) -> impl Display {
    let (kind, text) = match (means.grants.is_empty(), means.keys) {
        (false, 1..) => (BadgeKind::Ok, t!("Ready")),
        (true, 1..) => (BadgeKind::Warn, t!("No Tokens for it")),
        (false, _) => (BadgeKind::Quiet, t!("No key for it")),
        (true, _) => (BadgeKind::Quiet, t!("No Tokens, no key")),
    };
    badge_html(kind, text)
}

fn how_to_call(model: &ModelView, role: Option<Role>, reader: &Reader) -> String {
    let mut facts = vec![
        (t!("Endpoints"), endpoints(&model.endpoints)),
        (t!("Takes"), kinds(&model.input_kinds)),
        (t!("Gives"), kinds(&model.output_kinds)),
    ];
    if let Some(means) = &model.means {
        facts.push((t!("Pays for it"), paying(&means.grants, role)));
        facts.push((t!("Your keys for it"), calling(means.keys, &means.first_keys, role)));
    }
    let facts: String = facts.into_iter().map(|(label, html)| fact_html(label, &html)).collect();
    let reader = Reader { model_id: Some(model.model_id.clone()), ..reader.clone() };
    let example = model.endpoints.first().and_then(|endpoint| endpoint_example(endpoint, &reader));
    let example = example.map(|code| snippet_html(t!("Try it with curl"), &code)).unwrap_or_default();
    format!(r#"<dl class="facts">{facts}</dl>{example}"#)
}

/// Where it answers.
fn endpoints(paths: &[String]) -> String {
    if paths.is_empty() {
        return t!("None at the moment: its supplier has no channel.").to_string();
    }
    let paths: Vec<String> = paths.iter().map(|path| format!("/v1/{path}")).collect();
    format!(r#"<span class="mono">{}</span>"#, Escaped(&paths.join(", ")))
}

/// The packages and other grants that pay for a call now.
fn paying(grants: &[PayingGrant], role: Option<Role>) -> String {
    if grants.is_empty() {
        if role < Some(Role::Admin) {
            return t!("Nothing in your wallet. Owners and admins can buy.").to_string();
        }
        return link("/products", t!("Nothing in your wallet: see the packages")).to_string();
    }
    let line = |grant: &PayingGrant| {
        let name = grant.package_name.as_deref().unwrap_or_else(|| source_words(grant.source));
        format!("<li>{}</li>", t!("{name}: {tokens} left", name = Escaped(name), tokens = amount_html(grant.left)))
    };
    format!(r#"<ul class="plain">{}</ul>"#, grants.iter().map(line).collect::<String>())
}

fn source_words(source: GrantSource) -> &'static str {
    match source {
        GrantSource::Order => t!("Order"),
        GrantSource::Credit => t!("Credit"),
        GrantSource::Code => t!("Redemption code"),
        GrantSource::Transfer => t!("Transfer"),
    }
}

/// The first keys by name, and how many more there are.
fn calling(keys: i64, first: &[(KeyId, String)], role: Option<Role>) -> String {
    if first.is_empty() {
        if role < Some(Role::Member) {
            return t!("None yet. Members, admins and owners make keys.").to_string();
        }
        return link("/keys#create", t!("None yet: create a key")).to_string();
    }
    let key = |(key_id, name): &(KeyId, String)| format!("<li>{}</li>", link(&format!("/keys/{key_id}"), name));
    let links: String = first.iter().map(key).collect();
    let more = match keys - i64::try_from(first.len()).unwrap_or(i64::MAX) {
        ..=0 => String::new(),
        1 => format!("<li>{}</li>", link("/keys", t!("1 more key"))),
        more => format!("<li>{}</li>", link("/keys", &t!("{keys} more keys", keys = more))),
    };
    format!(r#"<ul class="plain">{links}{more}</ul>"#)
}

fn kinds(kinds: &[String]) -> String {
    escaped(&kinds.iter().map(|kind| kind_word(kind)).collect::<Vec<_>>().join(t!(", ")))
}

/// What goes in or comes out, of the kinds that the command line takes.
fn kind_word(kind: &str) -> &str {
    match kind {
        "text" => t!("text"),
        "image" => t!("image"),
        "audio" => t!("audio"),
        "video" => t!("video"),
        "file" => t!("file"),
        "embedding" => t!("embedding"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppliers::types::Multipliers;
    use crate::tokens::Tokens;

    /// All that somebody names about a model has this name.
    const NAME: &str = r#"a<b>"&'c"#;

    fn model(means: Option<Means>) -> ModelView {
        ModelView {
            model_id: NAME.into(),
            supplier_name: NAME.into(),
            context: Tokens(128_000),
            max_output: Tokens(8_000),
            input_kinds: vec!["text".into(), NAME.into()],
            output_kinds: vec![NAME.into()],
            price: Multipliers { input_ppm: 1_000_000, cached_ppm: 100_000, output_ppm: 2_500_000 },
            endpoints: vec!["chat/completions".into(), NAME.into()],
            means,
        }
    }

    #[test]
    fn nothing_of_a_model_is_markup() {
        let grant = PayingGrant { package_name: Some(NAME.into()), source: GrantSource::Order, left: Tokens(5) };
        let means = Means { grants: vec![grant], keys: 3, first_keys: vec![(KeyId::generate(), NAME.into())] };
        let reader = Reader { server_url: "https://toki.example".into(), model_id: None };
        let rows = model_rows(&model(Some(means)), Some(Role::Owner), &reader);
        assert!(!rows.contains("a<b") && !rows.contains("\"&'c"), "{rows}");
        // The id in four places and the example, then supplier, endpoint, what it takes and gives, grant, key.
        assert_eq!(rows.matches("a&lt;b&gt;&quot;&amp;'c").count(), 11, "{rows}");
        assert!(rows.contains(r#"<pre class="code-block""#) && rows.contains(r#"<td colspan="8">"#), "{rows}");
        assert!(rows.contains("2 more keys") && rows.contains("2.5 ×"), "{rows}");
    }

    #[test]
    fn what_a_visitor_has_for_a_model_is_not_asked() {
        let rows = model_rows(&ModelView { endpoints: Vec::new(), ..model(None) }, None, &Reader::default());
        assert!(rows.contains(r#"<td colspan="7">"#) && rows.contains("None at the moment"), "{rows}");
        assert!(!rows.contains("For you") && !rows.contains("<pre"), "{rows}");
    }
}
