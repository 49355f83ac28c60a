//! The page of all keys: the list, and the form that makes one. A single key's page is in `page_key`.

use crate::accounts::page_rights::who_makes_keys;
use crate::error::ConsoleError;
use crate::ids::KeyId;
use crate::keys::page_create::CreateForm;
pub use crate::keys::page_delete::DeleteKeysPage;
pub use crate::keys::page_key::KeyPage;
use crate::keys::page_list::{Asked, FilterForm, KeyTable, MorePages};
use crate::keys::server_fns::{DeleteKey, SetKeyStatus};
use crate::keys::server_fns_list::{ChangeKeys, list_keys};
use crate::keys::types::{KeyStatus, KeyView};
use crate::keys::types_list::{KeyList, KeysChange, KeysChanged};
use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::empty_state::EmptyState;
use crate::ui::failure::Failure;
use crate::ui::form::{FormDone, FormError, error_of};
use crate::ui::last_form::done;
use crate::ui::page_data::with_data;
use crate::ui::quota::QuotaBar;
use crate::ui::utc_time::UtcTime;
use crate::usage::types::FAILED;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn KeysPage() -> impl IntoView {
    let asked = Asked::of_address();
    let Asked { search, status, supplier, order, after } = asked.clone();
    let keys = list_keys(search, status, supplier, order, after);
    view! {
        <Title text=t!("API keys") />
        {with_data(keys, |list| body(list, asked))}
    }
    .into_any()
}

/// `may_create`: whoever may not make a key is not offered to.
fn head(may_create: bool) -> impl IntoView {
    let create = may_create.then(|| view! { <a class="button button-primary" href="#create">{t!("Create a key")}</a> });
    view! {
        <div class="page-head">
            <h1>{t!("API keys")}</h1>
            {create}
        </div>
        <FormError error=error_of(SetKeyStatus::PATH).or(error_of(DeleteKey::PATH)).or(error_of(ChangeKeys::PATH)) />
    }
}

fn body(list: Result<KeyList, ConsoleError>, asked: Asked) -> AnyView {
    let may_create = list.as_ref().is_ok_and(|list| list.may_create);
    let rest = match list {
        Ok(list) => keys(list, asked),
        Err(error) => no_list(error),
    };
    view! {
        {head(may_create)}
        {rest}
    }
    .into_any()
}

/// What was asked for may be what is wrong: then all keys are offered.
fn no_list(error: ConsoleError) -> AnyView {
    let all = matches!(error, ConsoleError::Invalid { .. } | ConsoleError::NotFound)
        .then(|| view! { <a class="button" href="/keys">{t!("All keys")}</a> });
    view! {
        <Failure error />
        {all}
    }
    .into_any()
}

fn keys(list: KeyList, asked: Asked) -> AnyView {
    // One key is deleted by a form of its own.
    let path = if done(DeleteKey::PATH) { DeleteKey::PATH } else { ChangeKeys::PATH };
    let changed = list.changed.map(|changed| view! { <FormDone path>{changed_words(changed)}</FormDone> });
    let asked = if list.from_start { asked.first_page() } else { asked };
    let keys = if !list.any {
        no_keys(list.may_create)
    } else {
        view! {
            <FilterForm asked=asked.clone() suppliers=list.tied_to />
            <KeyTable keys=list.keys asked=asked.clone() />
            <MorePages asked more_after=list.more_after />
        }
        .into_any()
    };
    let create = list.may_create.then(|| view! { <CreateForm form_key=list.form_key suppliers=list.suppliers ends=list.ends /> });
    view! {
        {changed}
        {keys}
        {create}
    }
    .into_any()
}

fn no_keys(may_create: bool) -> AnyView {
    let title = t!("No key yet");
    if may_create {
        let text = t!("A key is what your programs call with. Give each of them its own, so that you see who spends what.");
        return view! { <EmptyState title text action_href="#create" action_label=t!("Create a key") /> }.into_any();
    }
    view! { <EmptyState title text=who_makes_keys() action_href="/settings/members" action_label=t!("See the members") /> }.into_any()
}

fn changed_words(changed: KeysChanged) -> String {
    match (changed.change, changed.keys) {
        (KeysChange::Enable, 1) => t!("1 key is enabled now.").into(),
        (KeysChange::Enable, keys) => t!("{keys} keys are enabled now.", keys = keys),
        (KeysChange::Disable, 1) => t!("1 key is disabled now: the next call with it is refused.").into(),
        (KeysChange::Disable, keys) => t!("{keys} keys are disabled now: the next calls with them are refused.", keys = keys),
        (KeysChange::Delete, 1) => t!("1 key was deleted. What it spent stays in your usage.").into(),
        (KeysChange::Delete, keys) => t!("{keys} keys were deleted. What they spent stays in your usage.", keys = keys),
    }
}

/// The page of usage, with the calls of one key; `failed`: of those that failed.
pub(super) fn calls_of(key_id: KeyId, failed: bool) -> String {
    let outcome = if failed { format!("&outcome={FAILED}") } else { String::new() };
    format!("/usage?key={key_id}{outcome}")
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

/// How much of its quota a key has left; without one, what it spent.
#[component]
pub(super) fn Quota(quota: Option<Tokens>, spent: Tokens, held: Tokens) -> impl IntoView {
    let holding = (held.0 > 0).then(|| view! { <p class="muted">{tv!("{held} held", held = view! { <TokenAmount tokens=held /> })}</p> });
    let Some(quota) = quota else {
        return view! {
            {tv!("{spent} spent", spent = view! { <TokenAmount tokens=spent /> })}
            {holding}
            <p class="muted">{t!("No limit of its own")}</p>
        }
        .into_any();
    };
    let left = Tokens(quota.0.saturating_sub(spent.0).saturating_sub(held.0).max(0));
    view! {
        <QuotaBar all=quota left label=t!("Left of the quota") />
        {holding}
    }
    .into_any()
}
