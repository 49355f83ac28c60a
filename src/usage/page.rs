//! The usage page: totals, the filter, and the calls behind them. What it shows is in its address.

use crate::error::ConsoleError;
use crate::t;
use crate::ui::failure::Failure;
use crate::ui::page_data::{of_address, with_data};
use crate::usage::calls::{CallsTable, TotalsCards};
use crate::usage::server_fns::show_usage;
use crate::usage::types::{KeyChoice, UsageView};
use leptos::prelude::*;
use leptos_meta::Title;

/// The parameters of the address, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    key: String,
    model: String,
    call: String,
    before: String,
}

impl Asked {
    /// The address of the page of calls older than `before`, under the same filter.
    fn older(&self, before: &str) -> String {
        let mut query = leptos_router::params::ParamsMap::new();
        for (name, value) in [("key", &self.key), ("model", &self.model)] {
            if !value.is_empty() {
                query.insert(name, value.clone());
            }
        }
        query.insert("before", before.to_string());
        format!("/usage{}", query.to_query_string())
    }
}

#[component]
pub fn UsagePage() -> impl IntoView {
    let asked = Asked { key: of_address("key"), model: of_address("model"), call: of_address("call"), before: of_address("before") };
    let usage = show_usage(asked.key.clone(), asked.model.clone(), asked.call.clone(), asked.before.clone());
    view! {
        <Title text=t!("Usage") />
        <div class="page-head">
            <h1>{t!("Usage")}</h1>
        </div>
        {with_data(usage, |usage| body(usage, asked))}
    }
    .into_any()
}

fn body(usage: Result<UsageView, ConsoleError>, asked: Asked) -> AnyView {
    let usage = match usage {
        Ok(usage) => usage,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let filtered = asked != Asked::default();
    let calls = match (usage.page.calls.is_empty(), filtered) {
        (true, true) => view! {
            <div class="empty">
                <p>{t!("No call here.")}</p>
                <a class="button" href="/usage">{t!("Show all calls")}</a>
            </div>
        }
        .into_any(),
        (true, false) => view! {
            <div class="empty">
                <p>
                    {t!("No call yet. Create a key, put it into your client, and every call appears here with what it cost and why.")}
                </p>
                <a class="button button-primary" href="/keys">{t!("Create a key")}</a>
            </div>
        }
        .into_any(),
        (false, _) => view! { <CallsTable calls=usage.page.calls /> }.into_any(),
    };
    let older = usage.page.older.map(|before| view! { <a class="button" href=asked.older(&before.to_string())>{t!("Older calls")}</a> });
    let newest = (!asked.before.is_empty()).then(|| view! { <a class="button" href="/usage">{t!("Newest calls")}</a> });
    view! {
        <div class="sections" data-live="totals">
            <TotalsCards totals=usage.totals />
        </div>
        <h2>{t!("Calls")}</h2>
        <FilterForm keys=usage.keys models=usage.models asked />
        <div class="sections" data-live="calls">
            {calls}
            <div class="row">{newest} {older}</div>
        </div>
    }
    .into_any()
}

#[component]
fn FilterForm(keys: Vec<KeyChoice>, models: Vec<String>, asked: Asked) -> impl IntoView {
    let (key, model) = (asked.key.clone(), asked.model.clone());
    let clear = (asked != Asked::default()).then(|| view! { <a class="button button-quiet" href="/usage">{t!("Show all")}</a> });
    view! {
        <form method="get" action="/usage">
            <div class="row filters">
                <div class="field">
                    <label for="filter-key">{t!("Key")}</label>
                    <select id="filter-key" name="key">
                        <option value="" selected=key.is_empty()>{t!("All keys")}</option>
                        {keys
                            .into_iter()
                            .map(|choice| {
                                let id = choice.key_id.to_string();
                                let selected = id == key;
                                let name = if choice.deleted { t!("{name} (deleted)", name = choice.name) } else { choice.name };
                                view! { <option value=id selected=selected>{name}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="field">
                    <label for="filter-model">{t!("Model")}</label>
                    <select id="filter-model" name="model">
                        <option value="" selected=model.is_empty()>{t!("All models")}</option>
                        {models
                            .into_iter()
                            .map(|id| {
                                let selected = id == model;
                                let name = id.clone();
                                view! { <option value=id selected=selected>{name}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
                <button class="button" type="submit">{t!("Filter")}</button>
                {clear}
            </div>
        </form>
    }
}
