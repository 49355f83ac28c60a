//! The page of all keys: the list, and the form that makes one. A single key's page is in `page_key`.

use crate::error::{ConsoleError, Field};
use crate::ids::KeyId;
use crate::keys::page_forms::{DeleteForm, ExpirationField, NameField, QuotaField, StatusForm, SupplierField};
pub use crate::keys::page_key::KeyPage;
use crate::keys::server_fns::{CreateKey, DeleteKey, SetKeyStatus, list_keys};
use crate::keys::types::{KeyList, KeyStatus, KeyView, QuotaLeft};
use crate::suppliers::types::SupplierChoice;
use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, Labelled, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::with_data;
use crate::ui::utc_time::UtcTime;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn KeysPage() -> impl IntoView {
    let keys = list_keys();
    view! {
        <Title text=t!("API keys") />
        <div class="page-head">
            <h1>{t!("API keys")}</h1>
            <a class="button button-primary" href="#create">{t!("Create a key")}</a>
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
                <p>
                    {t!("No key yet. A key is what your programs call with; give each of them its own, so that you see who spends what.")}
                </p>
            </div>
        }
        .into_any()
    } else {
        view! { <KeyTable keys=list.keys /> }.into_any()
    };
    view! {
        {table}
        {list.may_create.then(|| view! { <CreateForm form_key=list.form_key suppliers=list.suppliers /> })}
    }
    .into_any()
}

#[component]
fn CreateForm(form_key: KeyId, suppliers: Vec<SupplierChoice>) -> impl IntoView {
    let error = error_of(CreateKey::PATH);
    let typed = |name| typed(CreateKey::PATH, name, "");
    let disabled = typed("status") == "disabled";
    view! {
        <section class="card stack key-form" id="create">
            <h2>{t!("Create a key")}</h2>
            <FormError error />
            <form method="post" action=CreateKey::PATH>
                <input type="hidden" name="form_key" value=form_key.to_string() />
                <NameField error value=typed("name") />
                <SupplierField error suppliers chosen=typed("supplier") />
                <QuotaField error value=typed("quota") />
                <ExpirationField error value=typed("expires_at") />
                <Labelled id="status" label=t!("Status") field=Field::Status error>
                    <select id="status" name="status">
                        <option value="enabled" selected={!disabled}>{t!("Enabled: works at once")}</option>
                        <option value="disabled" selected=disabled>{t!("Disabled: enable it later")}</option>
                    </select>
                </Labelled>
                <Submit>{t!("Create the key")}</Submit>
            </form>
        </section>
    }
}

#[component]
fn KeyTable(keys: Vec<KeyView>) -> impl IntoView {
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Name")}</th>
                        <th scope="col">{t!("Supplier")}</th>
                        <th scope="col">{t!("Key")}</th>
                        <th scope="col">{t!("Status")}</th>
                        <th scope="col">{t!("Quota")}</th>
                        <th scope="col">{t!("Expires")}</th>
                        <th scope="col">{t!("Last used")}</th>
                        <th scope="col">{t!("Created")}</th>
                        <th scope="col"><span class="visually-hidden">{t!("Change")}</span></th>
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
            <td data-label=t!("Name") class="key-name"><a href=href.clone()>{key.name.clone()}</a></td>
            <td data-label=t!("Supplier")>{supplier_name(&key)}</td>
            <td data-label=t!("Key") class="mono">{key.hint.clone()}</td>
            <td data-label=t!("Status")><StatusBadge status=key.status /></td>
            <td data-label=t!("Quota") class="key-quota"><Quota quota=key.quota spent=key.spent held=key.held /></td>
            <td data-label=t!("Expires")><Expiration key=key.clone() /></td>
            <td data-label=t!("Last used")>{last_used(&key)}</td>
            <td data-label=t!("Created")><UtcTime time=key.created_at /></td>
            <td data-label=t!("Change") class="key-actions">
                <div class="row">
                    <a class="button button-quiet" href=href>
                        {if key.editable { t!("Edit") } else { t!("Look") }}
                        <span class="visually-hidden">{format!(" {}", key.name)}</span>
                    </a>
                    {key.editable
                        .then(|| {
                            view! {
                                <StatusForm key_id=key.key_id name=key.name.clone() status=key.status />
                                <DeleteForm key_id=key.key_id name=key.name />
                            }
                        })}
                </div>
            </td>
        </tr>
    }
}

pub(super) fn supplier_name(key: &KeyView) -> String {
    key.supplier.as_ref().map_or_else(|| t!("All suppliers").to_string(), |supplier| supplier.name.clone())
}

pub(super) fn last_used(key: &KeyView) -> AnyView {
    match key.last_used_at {
        Some(time) => view! { <UtcTime time /> }.into_any(),
        None => view! { <span class="muted">{t!("Not yet")}</span> }.into_any(),
    }
}

#[component]
pub(super) fn StatusBadge(status: KeyStatus) -> impl IntoView {
    let (class, word) = match status {
        KeyStatus::Enabled => ("badge badge-ok", t!("Enabled")),
        KeyStatus::Disabled => ("badge badge-quiet", t!("Disabled")),
        KeyStatus::Expired => ("badge badge-bad", t!("Expired")),
    };
    view! { <span class=class>{word}</span> }
}

#[component]
pub(super) fn Expiration(key: KeyView) -> impl IntoView {
    match key.expires_at {
        None => view! { <span class="muted">{t!("Never")}</span> }.into_any(),
        Some(time) if key.expired => view! {
            <span class="badge badge-bad">{t!("Expired")}</span>
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
    let holding = (held.0 > 0).then(|| {
        let amount = view! { <TokenAmount tokens=held /> };
        view! { <span class="muted">{tv!(", {held} held", held = amount)}</span> }
    });
    let amount = view! { <TokenAmount tokens=spent /> };
    let Some(quota) = quota else {
        return view! {
            {tv!("{spent} spent", spent = amount)}
            {holding}
            <p class="muted">{t!("No limit of its own")}</p>
        }
        .into_any();
    };
    let used = Tokens(spent.0.saturating_add(held.0));
    let left = match QuotaLeft::of(quota, used) {
        QuotaLeft::Ample => None,
        QuotaLeft::Low => Some(("badge badge-warn", t!("30 % or less left"))),
        QuotaLeft::VeryLow => Some(("badge badge-bad", t!("10 % or less left"))),
        QuotaLeft::Nothing => Some(("badge badge-bad", t!("Nothing left"))),
    };
    // A bar needs a positive maximum; a quota of nothing is used up.
    let (max, value) = if quota.0 > 0 { (quota.0, used.0) } else { (1, 1) };
    view! {
        <progress max=max.to_string() value=value.to_string() aria-label=t!("Quota used") />
        <p>
            {tv!("{spent} of {quota} spent", spent = amount, quota = view! { <TokenAmount tokens=quota /> })}
            {holding}
        </p>
        {left.map(|(class, words)| view! { <span class=class>{words}</span> })}
    }
    .into_any()
}
