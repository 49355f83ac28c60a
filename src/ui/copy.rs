//! The button that copies, with its words.

use crate::islands::copy::CopyIsland;
use crate::t;
use leptos::prelude::*;

#[component]
pub fn CopyButton(text: String, #[prop(optional)] label: Option<&'static str>) -> impl IntoView {
    let label = label.unwrap_or_else(|| t!("Copy"));
    view! {
        <CopyIsland text label=label.to_string() copied=t!("Copied").to_string() refused=t!("Not copied").to_string() />
    }
}
