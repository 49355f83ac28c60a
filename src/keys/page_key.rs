//! The page of one key: its secret once, how to call with it, its settings, its totals and last calls.

use crate::error::ConsoleError;
use crate::home::page_next::{NextStep, read_first_steps};
use crate::home::types::{FirstSteps, Step};
use crate::keys::page::{Expiration, Quota, StatusBadge, calls_of, last_used, supplier_name};
use crate::keys::page_forms::{DeleteDialog, NameField, QuotaField, StatusForm, SupplierField};
use crate::keys::page_lasting::Lasting;
use crate::keys::page_limits::{LimitFacts, LimitsForm};
use crate::keys::page_rotation::RotationForm;
use crate::keys::page_snippets::{NewSecret, Snippets};
use crate::keys::page_try::TrySection;
use crate::keys::server_fns::{DeleteKey, SetKeyStatus, UpdateKey, show_key};
use crate::keys::types::{ALL_SUPPLIERS, KeyDetails, KeyView};
use crate::keys::types_limits::KeyLimits;
use crate::suppliers::types::SupplierChoice;
use crate::ui::empty_state::EmptyState;
use crate::ui::fact::Fact;
use crate::ui::failure::Failure;
use crate::ui::form::{FormDone, FormError, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::{id_of_address, of_address, with_data};
use crate::ui::utc_time::UtcTime;
use crate::usage::calls::{CallsTable, KeySpending, TotalsCards};
use crate::utc;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn KeyPage() -> impl IntoView {
    let details = show_key(id_of_address(), of_address("call"));
    let fetched = async {
        let details = details.await;
        // Whoever sees calls of a key has taken every step, unless the call was for nothing; the dashboard tells of what is left then.
        let all_taken = details.as_ref().is_ok_and(|details| !details.calls.is_empty());
        (details, if all_taken { None } else { read_first_steps().await.ok() })
    };
    with_data(fetched, |(details, steps)| body(details, steps)).into_any()
}

fn body(details: Result<KeyDetails, ConsoleError>, steps: Option<FirstSteps>) -> AnyView {
    let details = match details {
        Ok(details) => details,
        Err(error) => {
            return view! {
                <Title text=t!("API key") />
                <h1>{t!("API key")}</h1>
                <Failure error />
                <a class="button" href="/keys">{t!("All keys")}</a>
            }
            .into_any();
        }
    };
    let (key, model_id) = (details.key, details.reader.model_id.clone());
    let calls = if details.calls.is_empty() {
        view! {
            <EmptyState
                title=t!("No call with this key yet")
                text=t!("Make the first one here, or copy one of the examples above into your program and run it.")
                action_href="#try"
                action_label=t!("Try it")
            />
        }
        .into_any()
    } else {
        view! {
            <CallsTable calls=details.calls of_key=true />
            <div class="row">
                <a class="button" href=calls_of(key.key_id, false)>{t!("All calls of this key")}</a>
                <a class="button" href=calls_of(key.key_id, true)>{t!("Failed calls of this key")}</a>
            </div>
        }
        .into_any()
    };
    let spending = (details.totals.last_30_days.calls > 0)
        .then(|| view! { <KeySpending key_id=key.key_id key_ids=details.key_ids month=details.month spent=details.spent /> });
    view! {
        <Title text=key.name.clone() />
        <div class="page-head">
            <h1>{key.name.clone()}</h1>
            {key.editable.then(|| view! { <StatusForm key_id=key.key_id name=key.name.clone() status=key.status /> })}
        </div>
        <FormError error=error_of(SetKeyStatus::PATH) />
        <FormError error=error_of(DeleteKey::PATH) />
        {details.new_secret.clone().map(|secret| view! { <NewSecret secret /> })}
        <NextStep here=Step::Key try_here="#try" steps />
        <div data-live="facts">
            <KeyFacts key=key.clone() limits=details.limits.clone() />
        </div>
        <Snippets reader=details.reader anthropic_model_id=details.anthropic_model_id secret=details.new_secret.clone() />
        <TrySection key_id=key.key_id hint=key.hint.clone() secret=details.new_secret model_id trials=details.trials />
        <div class="sections" data-live="spent">
            <h2>{t!("What it spent")}</h2>
            <TotalsCards totals=details.totals />
            {spending}
            <h2>{t!("Last calls")}</h2>
            {calls}
        </div>
        {key.editable
            .then(|| {
                view! {
                    <SettingsForm key=key.clone() suppliers=details.suppliers ends=details.ends />
                    <LimitsForm key_id=key.key_id limits=details.limits />
                    <RotationForm key_id=key.key_id old_until=details.old_secret_until />
                    <DeleteDialog key_id=key.key_id name=key.name class="button button-danger" />
                }
            })}
    }
    .into_any()
}

#[component]
fn KeyFacts(key: KeyView, limits: KeyLimits) -> impl IntoView {
    let created = view! { <UtcTime time=key.created_at /> };
    // Who made a key that was handed over is told by the log.
    let (created, belongs_to) = match key.handed_over_at {
        None => (tv!("{time} by {person}", time = created, person = key.created_by.clone()).into_any(), None),
        Some(at) => {
            let since = tv!("{person}, since {time}", person = key.created_by.clone(), time = view! { <UtcTime time=at /> });
            (created.into_any(), Some(since))
        }
    };
    let (hint, supplier, last_used) = (key.hint.clone(), supplier_name(&key), last_used(&key));
    let KeyView { status, quota, spent, held, .. } = key;
    view! {
        <dl class="facts card">
            <div>
                <dt>{t!("Key")}</dt>
                <dd class="mono">{hint}</dd>
            </div>
            <Fact label=t!("Status")><StatusBadge status /></Fact>
            <Fact label=t!("Supplier")>{supplier}</Fact>
            <Fact label=t!("Quota")><Quota quota spent held /></Fact>
            <LimitFacts limits />
            <Fact label=t!("Expires")><Expiration key /></Fact>
            <Fact label=t!("Last used")>{last_used}</Fact>
            <Fact label=t!("Created")>{created}</Fact>
            {belongs_to.map(|since| view! { <Fact label=t!("Belongs to")>{since}</Fact> })}
        </dl>
    }
}

#[component]
fn SettingsForm(key: KeyView, suppliers: Vec<SupplierChoice>, ends: Vec<(u64, utc::UtcTime)>) -> impl IntoView {
    let error = error_of(UpdateKey::PATH);
    let typed = |name, saved| typed(UpdateKey::PATH, name, saved);
    let quota = key.quota.map(|quota| quota.exact()).unwrap_or_default();
    let supplier = key.supplier.as_ref().map_or_else(|| ALL_SUPPLIERS.to_string(), |supplier| supplier.supplier_id.to_string());
    view! {
        <section class="card stack key-form" id="settings">
            <h2>{t!("Settings")}</h2>
            <FormError error />
            <FormDone path=UpdateKey::PATH>{t!("Saved. The next call sees it.")}</FormDone>
            <form method="post" action=UpdateKey::PATH>
                <input type="hidden" name="key_id" value=key.key_id.to_string() />
                <NameField error value=typed("name", key.name) />
                <SupplierField error suppliers chosen=typed("supplier", supplier) current=key.supplier />
                <QuotaField error value=typed("quota", quota) />
                <Lasting path=UpdateKey::PATH error ends current=key.expires_at />
                <button class="button" type="submit">
                    {t!("Save")}
                </button>
            </form>
        </section>
    }
}
