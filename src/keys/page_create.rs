//! The form that makes a key.

use crate::error::Field;
use crate::ids::KeyId;
use crate::keys::page_forms::{NameField, QuotaField, SupplierField};
use crate::keys::page_lasting::Lasting;
use crate::keys::server_fns::CreateKey;
use crate::suppliers::types::SupplierChoice;
use crate::t;
use crate::ui::form::{FormError, Labelled, error_of};
use crate::ui::last_form::typed;
use crate::utc::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// `ends`: when a key ends that lasts so many days.
#[component]
pub fn CreateForm(form_key: KeyId, suppliers: Vec<SupplierChoice>, ends: Vec<(u64, UtcTime)>) -> impl IntoView {
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
                <Lasting path=CreateKey::PATH error ends />
                <Labelled id="status" label=t!("Status") field=Field::Status error>
                    <select id="status" name="status">
                        <option value="enabled" selected={!disabled}>{t!("Enabled: works at once")}</option>
                        <option value="disabled" selected=disabled>{t!("Disabled: enable it later")}</option>
                    </select>
                </Labelled>
                <button class="button" type="submit">
                    {t!("Create the key")}
                </button>
            </form>
        </section>
    }
}
