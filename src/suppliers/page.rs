//! The model directory.

use crate::error::ConsoleError;
use crate::islands::copy::CopyButton;
use crate::suppliers::server_fns::list_models;
use crate::suppliers::types::{ModelView, multiplier};
use crate::ui::amount::TokenAmount;
use crate::ui::failure::Failure;
use crate::ui::page_data::with_data;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn ModelsPage() -> impl IntoView {
    let models = list_models();
    view! {
        <Title text="Models" />
        <div class="page-head">
            <h1>"Models"</h1>
        </div>
        <p class="muted">
            "What you can call, and what it costs. A multiplier says how many of your Tokens one Token of the model is charged as; a call is rounded up once."
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
                <p>"No model can be called yet. They appear here as soon as one is set up."</p>
                <a class="button" href="/products">"See the packages"</a>
            </div>
        }
        .into_any(),
        Ok(models) => view! {
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col">"Supplier"</th>
                            <th scope="col" class="number">"Context"</th>
                            <th scope="col" class="number">"Max output"</th>
                            <th scope="col">"Takes"</th>
                            <th scope="col">"Gives"</th>
                            <th scope="col" class="number">"Input"</th>
                            <th scope="col" class="number">"Cached input"</th>
                            <th scope="col" class="number">"Output"</th>
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
    view! {
        <tr>
            <td data-label="Model">
                <span class="row">
                    <span class="mono">{model.model_id.clone()}</span>
                    <CopyButton text=model.model_id label="Copy".to_string() />
                </span>
            </td>
            <td data-label="Supplier">{model.supplier_name}</td>
            <td class="number" data-label="Context"><TokenAmount tokens=model.context /></td>
            <td class="number" data-label="Max output"><TokenAmount tokens=model.max_output /></td>
            <td data-label="Takes">{model.input_kinds.join(", ")}</td>
            <td data-label="Gives">{model.output_kinds.join(", ")}</td>
            <td class="number" data-label="Input">{multiplier(model.price.input_ppm)}</td>
            <td class="number" data-label="Cached input">{multiplier(model.price.cached_ppm)}</td>
            <td class="number" data-label="Output">{multiplier(model.price.output_ppm)}</td>
        </tr>
    }
}
