//! The page of one key: its secret once, how to call with it, its settings, its totals and last calls.

use crate::error::ConsoleError;
use crate::keys::page::{Expiration, Quota, StatusBadge, last_used};
use crate::keys::page_forms::{DeleteForm, ExpirationField, NameField, QuotaField, StatusForm, SupplierField};
use crate::keys::page_limits::{LimitFacts, LimitsForm};
use crate::keys::page_snippets::{NewSecret, Snippets};
use crate::keys::server_fns::{DeleteKey, LimitKey, SetKeyStatus, UpdateKey, show_key};
use crate::keys::types::{KeyDetails, KeyView};
use crate::keys::types_limits::KeyLimits;
use crate::suppliers::types::SupplierChoice;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, Submit, error_of, successes};
use crate::ui::page_data::page_data;
use crate::ui::utc_time::UtcTime;
use crate::usage::calls::{CallsTable, TotalsCards};
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

#[derive(Clone, Copy)]
struct Actions {
    update: ServerAction<UpdateKey>,
    limit: ServerAction<LimitKey>,
    set_status: ServerAction<SetKeyStatus>,
    delete: ServerAction<DeleteKey>,
}

#[component]
pub fn KeyPage() -> impl IntoView {
    let params = use_params_map();
    let key_id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let actions =
        Actions { update: ServerAction::new(), limit: ServerAction::new(), set_status: ServerAction::new(), delete: ServerAction::new() };
    let (saved, limited, switched) = (successes(actions.update), successes(actions.limit), successes(actions.set_status));
    let wanted = move || (key_id.get(), saved.get(), limited.get(), switched.get());
    let details = page_data(wanted, |(key_id, ..)| show_key(key_id));
    view! {
        <Transition fallback=|| view! { <h1>"API key"</h1> <p class="muted">"Loading the key…"</p> }>
            {move || Suspend::new(async move { body(details.await, actions) })}
        </Transition>
    }
    .into_any()
}

fn body(details: Result<KeyDetails, ConsoleError>, actions: Actions) -> AnyView {
    let details = match details {
        Ok(details) => details,
        Err(error) => {
            return view! {
                <Title text="API key" />
                <h1>"API key"</h1>
                <Failure error />
                <a class="button" href="/keys">"All keys"</a>
            }
            .into_any();
        }
    };
    let key = details.key;
    let calls_href = format!("/usage?key={}", key.key_id);
    let calls = if details.calls.is_empty() {
        view! { <p class="empty">"No call with this key yet. Copy one of the examples above and run it."</p> }.into_any()
    } else {
        view! {
            <CallsTable calls=details.calls />
            <a class="button" href=calls_href>"All calls of this key"</a>
        }
        .into_any()
    };
    view! {
        <Title text=key.name.clone() />
        <div class="page-head">
            <h1>{key.name.clone()}</h1>
            <StatusForm action=actions.set_status key_id=key.key_id name=key.name.clone() status=key.status />
        </div>
        <FormError error=error_of(actions.set_status.value()) />
        <FormError error=error_of(actions.delete.value()) />
        {details.new_secret.clone().map(|secret| view! { <NewSecret secret /> })}
        <KeyFacts key=key.clone() limits=details.limits.clone() />
        <Snippets base_url=details.base_url model_id=details.model_id secret=details.new_secret />
        <h2>"What it spent"</h2>
        <TotalsCards totals=details.totals />
        <h2>"Last calls"</h2>
        {calls}
        <SettingsForm key=key.clone() suppliers=details.suppliers action=actions.update />
        <LimitsForm key_id=key.key_id limits=details.limits action=actions.limit />
        <DeleteForm action=actions.delete key_id=key.key_id name=key.name />
    }
    .into_any()
}

#[component]
fn KeyFacts(key: KeyView, limits: KeyLimits) -> impl IntoView {
    view! {
        <dl class="facts card">
            <div>
                <dt>"Key"</dt>
                <dd class="mono">{key.hint.clone()}</dd>
            </div>
            <div>
                <dt>"Status"</dt>
                <dd><StatusBadge status=key.status /></dd>
            </div>
            <div>
                <dt>"Supplier"</dt>
                <dd>{key.supplier_name()}</dd>
            </div>
            <div>
                <dt>"Quota"</dt>
                <dd><Quota quota=key.quota spent=key.spent held=key.held /></dd>
            </div>
            <LimitFacts limits />
            <div>
                <dt>"Expires"</dt>
                <dd><Expiration key=key.clone() /></dd>
            </div>
            <div>
                <dt>"Last used"</dt>
                <dd>{last_used(&key)}</dd>
            </div>
            <div>
                <dt>"Created"</dt>
                <dd><UtcTime time=key.created_at /> {format!(" by {}", key.created_by)}</dd>
            </div>
        </dl>
    }
}

#[component]
fn SettingsForm(key: KeyView, suppliers: Vec<SupplierChoice>, action: ServerAction<UpdateKey>) -> impl IntoView {
    let error = error_of(action.value());
    let saved = move || action.value().get().is_some_and(|result| result.is_ok());
    // A date field takes `2026-12-24T15:00`, which is how an RFC 3339 time in UTC begins.
    let expires_at = key.expires_at.as_ref().and_then(|time| time.rfc3339().get(..16)).unwrap_or_default().to_string();
    let quota = key.quota.map(|quota| quota.exact()).unwrap_or_default();
    view! {
        <section class="card stack key-form" id="settings">
            <h2>"Settings"</h2>
            <FormError error />
            <p class="notice notice-ok" role="status" hidden=move || !saved()>"Saved. The next call sees it."</p>
            <ActionForm action>
                <input type="hidden" name="key_id" value=key.key_id.to_string() />
                <NameField error value=key.name.clone() />
                <SupplierField error suppliers chosen=Some(key) />
                <QuotaField error value=quota />
                <ExpirationField error value=expires_at />
                <Submit pending=action.pending()>"Save"</Submit>
            </ActionForm>
        </section>
    }
}
