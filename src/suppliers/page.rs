//! The model directory.

use crate::error::ConsoleError;
use crate::suppliers::server_fns::list_models;
use crate::suppliers::types::{ModelView, multiplier};
use crate::t;
use crate::ui::amount::TokenAmount;
use crate::ui::copy::CopyButton;
use crate::ui::failure::Failure;
use crate::ui::page_data::with_data;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn ModelsPage() -> impl IntoView {
    let models = list_models();
    view! {
        <Title text=t!("Models") />
        <div class="page-head">
            <h1>{t!("Models")}</h1>
        </div>
        <p class="muted">
            {t!(
                "What you can call, and what it costs. A multiplier says how many of your Tokens one Token of the model is charged as; a call is rounded up once."
            )}
        </p>
        {with_data(models, directory)}
    }
    .into_any()
}

fn directory(models: Result<Vec<ModelView>, ConsoleError>) -> AnyView {
    match models {
        Err(error) => view! { <Failure error /> }.into_any(),
        Ok(models) if models.is_empty() => view! {
            <div class="empty">
                <p>{t!("No model can be called yet. They appear here as soon as one is set up.")}</p>
                <a class="button" href="/products">{t!("See the packages")}</a>
            </div>
        }
        .into_any(),
        Ok(models) => view! {
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{t!("Model")}</th>
                            <th scope="col">{t!("Supplier")}</th>
                            <th scope="col" class="number">{t!("Context")}</th>
                            <th scope="col" class="number">{t!("Max output")}</th>
                            <th scope="col">{t!("Takes")}</th>
                            <th scope="col">{t!("Gives")}</th>
                            <th scope="col" class="number">{t!("Input")}</th>
                            <th scope="col" class="number">{t!("Cached input")}</th>
                            <th scope="col" class="number">{t!("Output")}</th>
                        </tr>
                    </thead>
                    <tbody>{models.into_iter().map(model_row).collect_view()}</tbody>
                </table>
            </div>
        }
        .into_any(),
    }
}

fn model_row(model: ModelView) -> impl IntoView {
    let anchor = model.model_id.clone();
    view! {
        <tr id=anchor>
            <td data-label=t!("Model")>
                <span class="row">
                    <span class="mono">{model.model_id.clone()}</span>
                    <CopyButton text=model.model_id />
                </span>
            </td>
            <td data-label=t!("Supplier")>{model.supplier_name}</td>
            <td class="number" data-label=t!("Context")><TokenAmount tokens=model.context /></td>
            <td class="number" data-label=t!("Max output")><TokenAmount tokens=model.max_output /></td>
            <td data-label=t!("Takes")>{kinds(&model.input_kinds)}</td>
            <td data-label=t!("Gives")>{kinds(&model.output_kinds)}</td>
            <td class="number" data-label=t!("Input")>{multiplier(model.price.input_ppm)}</td>
            <td class="number" data-label=t!("Cached input")>{multiplier(model.price.cached_ppm)}</td>
            <td class="number" data-label=t!("Output")>{multiplier(model.price.output_ppm)}</td>
        </tr>
    }
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
