//! The model directory: what can be called, at which multipliers, and what the reader has for it.

use crate::docs::examples::endpoint_example;
use crate::docs::types::Reader;
use crate::error::ConsoleError;
use crate::ids::KeyId;
use crate::suppliers::server_fns::list_models;
use crate::suppliers::types::{Means, ModelList, ModelView, PayingGrant, multiplier};
use crate::ui::amount::TokenAmount;
use crate::ui::badge::{Badge, BadgeKind};
use crate::ui::copy::CopyButton;
use crate::ui::fact::Fact;
use crate::ui::failure::Failure;
use crate::ui::page_data::{of_address, with_data};
use crate::ui::snippet::Snippet;
use crate::wallet::types::GrantSource;
use crate::{t, tv};
use leptos::prelude::*;
use leptos_meta::{Meta, Title};

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
        view! { <ModelTable models=list.models reader=list.reader /> }.into_any()
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
        <form method="get" action="/models" class="row">
            <input
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
fn ModelTable(models: Vec<ModelView>, reader: Reader) -> impl IntoView {
    let signed_in = models.iter().any(|model| model.means.is_some());
    let rows = models.into_iter().map(|model| model_rows(model, &reader)).collect_view();
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
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

/// A model, and below it how it is called, with what.
fn model_rows(model: ModelView, reader: &Reader) -> AnyView {
    let reader = Reader { model_id: Some(model.model_id.clone()), ..reader.clone() };
    let anchor = model.model_id.clone();
    let columns = if model.means.is_some() { "8" } else { "7" };
    let ready = model.means.as_ref().map(|means| view! { <td data-label=t!("For you")>{readiness(means)}</td> });
    view! {
        <tr id=anchor>
            <td data-label=t!("Model")>
                <span class="row">
                    <span class="mono">{model.model_id.clone()}</span>
                    <CopyButton text=model.model_id.clone() />
                </span>
            </td>
            <td data-label=t!("Supplier")>{model.supplier_name.clone()}</td>
            <td class="number" data-label=t!("Context")><TokenAmount tokens=model.context /></td>
            <td class="number" data-label=t!("Max output")><TokenAmount tokens=model.max_output /></td>
            <td class="number" data-label=t!("Input")>{multiplier(model.price.input_ppm)}</td>
            <td class="number" data-label=t!("Cached input")>{multiplier(model.price.cached_ppm)}</td>
            <td class="number" data-label=t!("Output")>{multiplier(model.price.output_ppm)}</td>
            {ready}
        </tr>
        <tr class="call-why">
            <td colspan=columns>
                <details>
                    <summary>
                        {t!("How to call it")}
                        <span class="visually-hidden">{format!(": {}", model.model_id)}</span>
                    </summary>
                    <div class="stack"><HowToCall model reader /></div>
                </details>
            </td>
        </tr>
    }
    .into_any()
}

/// Whether the reader could call it now, and if not, what is missing.
fn readiness(means: &Means) -> AnyView {
    let (kind, text) = match (means.grants.is_empty(), means.keys) {
        (false, 1..) => (BadgeKind::Ok, t!("Ready")),
        (true, 1..) => (BadgeKind::Warn, t!("No Tokens for it")),
        (false, _) => (BadgeKind::Quiet, t!("No key for it")),
        (true, _) => (BadgeKind::Quiet, t!("No Tokens, no key")),
    };
    view! { <Badge kind text /> }.into_any()
}

#[component]
fn HowToCall(model: ModelView, reader: Reader) -> impl IntoView {
    let endpoints = match model.endpoints.as_slice() {
        [] => t!("None at the moment: its supplier has no channel.").into_any(),
        paths => {
            let paths: Vec<String> = paths.iter().map(|path| format!("/v1/{path}")).collect();
            view! { <span class="mono">{paths.join(", ")}</span> }.into_any()
        }
    };
    let example = model.endpoints.first().and_then(|endpoint| endpoint_example(endpoint, &reader));
    let means = model.means.map(|means| {
        view! {
            <Fact label=t!("Pays for it")>
                {paying(means.grants)}
            </Fact>
            <Fact label=t!("Your keys for it")>
                {calling(means.keys, means.first_keys)}
            </Fact>
        }
    });
    view! {
        <dl class="facts">
            <Fact label=t!("Endpoints")>
                {endpoints}
            </Fact>
            <Fact label=t!("Takes")>
                {kinds(&model.input_kinds)}
            </Fact>
            <Fact label=t!("Gives")>
                {kinds(&model.output_kinds)}
            </Fact>
            {means}
        </dl>
        {example.map(|code| view! { <Snippet label=t!("Try it with curl") code /> })}
    }
}

/// The packages and other grants that pay for a call now.
fn paying(grants: Vec<PayingGrant>) -> AnyView {
    if grants.is_empty() {
        return view! { <a href="/products">{t!("Nothing in your wallet: see the packages")}</a> }.into_any();
    }
    let line = |grant: PayingGrant| {
        let name = grant.package_name.unwrap_or_else(|| source_words(grant.source).to_string());
        view! { <li>{tv!("{name}: {tokens} left", name = name, tokens = view! { <TokenAmount tokens=grant.left /> })}</li> }
    };
    view! { <ul class="plain">{grants.into_iter().map(line).collect_view()}</ul> }.into_any()
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
fn calling(keys: i64, first: Vec<(KeyId, String)>) -> AnyView {
    if first.is_empty() {
        return view! { <a href="/keys#create">{t!("None yet: create a key")}</a> }.into_any();
    }
    let more = match keys - i64::try_from(first.len()).unwrap_or(i64::MAX) {
        ..=0 => None,
        1 => Some(view! { <li><a href="/keys">{t!("1 more key")}</a></li> }.into_any()),
        more => Some(view! { <li><a href="/keys">{t!("{keys} more keys", keys = more)}</a></li> }.into_any()),
    };
    let links = first.into_iter().map(|(key_id, name)| view! { <li><a href=format!("/keys/{key_id}")>{name}</a></li> });
    view! { <ul class="plain">{links.collect_view()} {more}</ul> }.into_any()
}

fn kinds(kinds: &[String]) -> String {
    kinds.iter().map(|kind| kind_word(kind)).collect::<Vec<_>>().join(t!(", "))
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
