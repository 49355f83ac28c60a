//! The page of all keys: the list, and the form that makes one. A single key's page is in `page_key`.

use crate::error::ConsoleError;
use crate::keys::page_forms::{DeleteForm, ExpirationField, NameField, QuotaField, StatusForm, SupplierField};
pub use crate::keys::page_key::KeyPage;
use crate::keys::server_fns::{CreateKey, DeleteKey, SetKeyStatus, list_keys};
use crate::keys::types::{KeyList, KeyStatus, KeyView, QuotaLeft};
use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, Labelled, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::with_data;
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn KeysPage() -> impl IntoView {
    let keys = list_keys();
    view! {
        <Title text="API keys" />
        <div class="page-head">
            <h1>"API keys"</h1>
            <a class="button button-primary" href="#create">"Create a key"</a>
        </div>
        <FormError error=error_of(SetKeyStatus::PATH) />
        <FormError error=error_of(DeleteKey::PATH) />
        {with_data(keys, body)}
    }
    .into_any()
}

fn body(list: Result<KeyList, ConsoleError>) -> AnyView {
    let list = match list {
        Ok(list) => list,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let table = if list.keys.is_empty() {
        view! {
            <div class="empty">
                <p>"No key yet. A key is what your programs call with; give each of them its own, so that you see who spends what."</p>
            </div>
        }
        .into_any()
    } else {
        view! { <KeyTable keys=list.keys /> }.into_any()
    };
    let error = error_of(CreateKey::PATH);
    let typed = |name| typed(CreateKey::PATH, name, "");
    view! {
        {table}
        <section class="card stack key-form" id="create">
            <h2>"Create a key"</h2>
            <FormError error />
            <form method="post" action=CreateKey::PATH>
                <input type="hidden" name="form_key" value=list.form_key.to_string() />
                <NameField error value=typed("name") />
                <SupplierField error suppliers=list.suppliers chosen=None />
                <QuotaField error value=typed("quota") />
                <ExpirationField error value=typed("expires_at") />
                <Labelled id="status" label="Status" field=crate::error::Field::Status error>
                    <select id="status" name="status">
                        <option value="enabled" selected=true>"Enabled: works at once"</option>
                        <option value="disabled">"Disabled: enable it later"</option>
                    </select>
                </Labelled>
                <Submit>"Create the key"</Submit>
            </form>
        </section>
    }
    .into_any()
}

#[component]
fn KeyTable(keys: Vec<KeyView>) -> impl IntoView {
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Supplier"</th>
                        <th scope="col">"Key"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col">"Quota"</th>
                        <th scope="col">"Expires"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col">"Created"</th>
                        <th scope="col"><span class="visually-hidden">"Change"</span></th>
                    </tr>
                </thead>
                <tbody>{keys.into_iter().map(key_row).collect_view()}</tbody>
            </table>
        </div>
    }
}

fn key_row(key: KeyView) -> impl IntoView {
    let href = format!("/keys/{}", key.key_id);
    view! {
        <tr>
            <td data-label="Name" class="key-name"><a href=href.clone()>{key.name.clone()}</a></td>
            <td data-label="Supplier">{key.supplier_name()}</td>
            <td data-label="Key" class="mono">{key.hint.clone()}</td>
            <td data-label="Status"><StatusBadge status=key.status /></td>
            <td data-label="Quota" class="key-quota"><Quota quota=key.quota spent=key.spent held=key.held /></td>
            <td data-label="Expires"><Expiration key=key.clone() /></td>
            <td data-label="Last used">{last_used(&key)}</td>
            <td data-label="Created"><UtcTime time=key.created_at.clone() /></td>
            <td data-label="Change" class="key-actions">
                <div class="row">
                    <a class="button button-quiet" href=href>
                        "Edit"
                        <span class="visually-hidden">{format!(" {}", key.name)}</span>
                    </a>
                    <StatusForm key_id=key.key_id name=key.name.clone() status=key.status />
                    <DeleteForm key_id=key.key_id name=key.name />
                </div>
            </td>
        </tr>
    }
}

pub(super) fn last_used(key: &KeyView) -> AnyView {
    match key.last_used_at.clone() {
        Some(time) => view! { <UtcTime time /> }.into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    }
}

#[component]
pub(super) fn StatusBadge(status: KeyStatus) -> impl IntoView {
    let class = match status {
        KeyStatus::Enabled => "badge badge-ok",
        KeyStatus::Disabled => "badge badge-quiet",
        KeyStatus::Expired => "badge badge-bad",
    };
    view! { <span class=class>{status.word()}</span> }
}

#[component]
pub(super) fn Expiration(key: KeyView) -> impl IntoView {
    match key.expires_at {
        None => view! { <span class="muted">"Never"</span> }.into_any(),
        Some(time) if key.expired => view! {
            <span class="badge badge-bad">"Expired"</span>
            " "
            <UtcTime time />
        }
        .into_any(),
        Some(time) => view! { <UtcTime time /> }.into_any(),
    }
}

/// How much of its quota a key has used: in a bar, in numbers and, when little is left, in words.
#[component]
pub(super) fn Quota(quota: Option<Tokens>, spent: Tokens, held: Tokens) -> impl IntoView {
    let holding = (held.0 > 0).then(|| view! { <span class="muted">", " <TokenAmount tokens=held /> " held"</span> });
    let Some(quota) = quota else {
        return view! {
            <TokenAmount tokens=spent />
            " spent"
            {holding}
            <p class="muted">"No limit of its own"</p>
        }
        .into_any();
    };
    let used = Tokens(spent.0.saturating_add(held.0));
    let left = QuotaLeft::of(quota, used);
    let class = match left {
        QuotaLeft::Ample => "",
        QuotaLeft::Low => "badge badge-warn",
        QuotaLeft::VeryLow | QuotaLeft::Nothing => "badge badge-bad",
    };
    // A bar needs a positive maximum; a quota of nothing is used up.
    let (max, value) = if quota.0 > 0 { (quota.0, used.0) } else { (1, 1) };
    view! {
        <progress max=max.to_string() value=value.to_string() aria-label="Quota used" />
        <p>
            <TokenAmount tokens=spent />
            " of "
            <TokenAmount tokens=quota />
            " spent"
            {holding}
        </p>
        {left.words().map(|words| view! { <span class=class>{words}</span> })}
    }
    .into_any()
}
