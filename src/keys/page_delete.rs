//! The page that asks before several keys are deleted, and names them.

use crate::error::ConsoleError;
use crate::keys::page::{StatusBadge, last_used, supplier_name};
use crate::keys::server_fns_list::{ChangeKeys, chosen_keys};
use crate::keys::types::KeyView;
use crate::keys::types_list::{KeysChange, back_to_list};
use crate::t;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, error_of};
use crate::ui::page_data::{all_of_address, of_address, with_data};
use crate::ui::table::{CardTable, Head, Row};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn DeleteKeysPage() -> impl IntoView {
    let keys = chosen_keys(all_of_address("chosen[]"));
    let back = back_to_list(&of_address("back")).to_string();
    view! {
        <Title text=t!("Delete keys") />
        <h1>{t!("Delete keys")}</h1>
        <FormError error=error_of(ChangeKeys::PATH) />
        {with_data(keys, |keys| body(keys, back))}
    }
    .into_any()
}

/// `back`: the list as it was.
fn body(keys: Result<Vec<KeyView>, ConsoleError>, back: String) -> AnyView {
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => {
            return view! {
                <Failure error />
                <a class="button" href="/keys">{t!("All keys")}</a>
            }
            .into_any();
        }
    };
    let ids = keys.iter().map(|key| view! { <input type="hidden" name="chosen[]" value=key.key_id.to_string() /> }).collect_view();
    let (question, button) = match keys.as_slice() {
        [key] => (
            t!(
                "Delete “{name}” for good? Programs that call with it stop working at once. What it spent stays in your usage.",
                name = key.name,
            ),
            t!("Delete {name}", name = key.name),
        ),
        keys => (
            t!(
                "Delete these {keys} keys for good? Programs that call with them stop working at once. What they spent stays in your usage.",
                keys = keys.len(),
            ),
            t!("Delete {keys} keys", keys = keys.len()),
        ),
    };
    let heads = vec![
        Head::text(t!("Name")),
        Head::text(t!("Supplier")),
        Head::text(t!("Key")),
        Head::text(t!("Status")),
        Head::text(t!("Last used")),
    ];
    let rows = keys.into_iter().map(key_row).collect();
    view! {
        <p>{question}</p>
        <CardTable caption=t!("Delete keys") heads rows />
        <form class="row" method="post" action=ChangeKeys::PATH>
            {ids}
            <input type="hidden" name="back" value=back.clone() />
            <input type="hidden" name="change" value=KeysChange::Delete.as_str() />
            <button class="button button-danger" type="submit">
                {button}
            </button>
            <a class="button" href=back>
                {t!("Keep them")}
            </a>
        </form>
    }
    .into_any()
}

fn key_row(key: KeyView) -> Row {
    let href = format!("/keys/{}", key.key_id);
    Row(vec![
        view! { <a href=href>{key.name.clone()}</a> }.into_any(),
        supplier_name(&key).into_any(),
        view! { <span class="mono">{key.hint.clone()}</span> }.into_any(),
        view! { <StatusBadge status=key.status /> }.into_any(),
        last_used(&key),
    ])
}
