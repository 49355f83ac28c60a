//! The fields and small forms that the pages of keys share. All of them are plain posts to a server without JavaScript.

use crate::error::{ConsoleError, Field};
use crate::ids::KeyId;
use crate::keys::server_fns::{DeleteKey, SetKeyStatus};
use crate::keys::types::{ALL_SUPPLIERS, KeyName, KeyStatus};
use crate::suppliers::types::SupplierChoice;
use crate::t;
use crate::ui::control::SwitchForm;
use crate::ui::form::{Labelled, LineField};
use crate::ui::overlay::AskingForm;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

#[component]
pub fn NameField(error: Option<ConsoleError>, value: String) -> impl IntoView {
    view! {
        <LineField
            id="name"
            label=t!("Name")
            field=Field::Name
            error
            hint=t!("What it is for, like “support bot”.")
            value
            attributes=format!(r#" required maxlength="{}""#, KeyName::LONGEST)
        />
    }
}

/// Which suppliers the key may call. For a new key (`chosen` empty) nothing is chosen beforehand: a key for all of them is made on
/// purpose or not at all.
#[component]
pub fn SupplierField(
    error: Option<ConsoleError>,
    suppliers: Vec<SupplierChoice>,
    /// As the field posts it: a supplier's id, or that it is all of them.
    chosen: String,
    /// The only supplier of the key being edited.
    #[prop(optional_no_strip)]
    current: Option<SupplierChoice>,
) -> impl IntoView {
    // A key keeps a supplier that was disabled since; it is not in the list any more.
    let gone = current.filter(|current| suppliers.iter().all(|supplier| supplier.supplier_id != current.supplier_id));
    view! {
        <Labelled
            id="supplier"
            label=t!("Supplier")
            field=Field::Supplier
            error
            hint=t!("The key calls models of this supplier only, unless you choose all of them.")
        >
            <select id="supplier" name="supplier" required aria-describedby="supplier-hint supplier-error">
                {chosen.is_empty().then(|| view! { <option value="" selected=true>{t!("Choose a supplier")}</option> })}
                {gone
                    .map(|supplier| {
                        let id = supplier.supplier_id.to_string();
                        let selected = id == chosen;
                        view! { <option value=id selected=selected>{t!("{name} (not available)", name = supplier.name)}</option> }
                    })}
                {suppliers
                    .into_iter()
                    .map(|supplier| {
                        let id = supplier.supplier_id.to_string();
                        let selected = id == chosen;
                        view! { <option value=id selected=selected>{supplier.name}</option> }
                    })
                    .collect_view()}
                <option value=ALL_SUPPLIERS selected=chosen == ALL_SUPPLIERS>{t!("All suppliers")}</option>
            </select>
        </Labelled>
    }
}

#[component]
pub fn QuotaField(error: Option<ConsoleError>, value: String) -> impl IntoView {
    view! {
        <LineField
            id="quota"
            label=t!("Quota, in Tokens")
            field=Field::Quota
            error
            hint=t!("The most this key may ever spend. Empty means no limit of its own: it can spend the whole wallet.")
            value
            attributes=r#" inputmode="numeric""#
        />
    }
}

/// Switches a key on or off: the next call sees it.
#[component]
pub fn StatusForm(key_id: KeyId, name: String, status: KeyStatus) -> impl IntoView {
    view! {
        <SwitchForm
            action=SetKeyStatus::PATH
            name="status"
            values=["disabled", "enabled"]
            words=[t!("Disabled"), t!("Enabled")]
            on=status != KeyStatus::Disabled
            label=t!("Enabled: {name}", name = name)
        >
            <input type="hidden" name="key_id" value=key_id.to_string() />
        </SwitchForm>
    }
}

/// Deletes a key in two steps: a button, and behind it the dialog that names the key and says what follows.
#[component]
pub fn DeleteDialog(
    key_id: KeyId,
    name: String,
    /// Of the button.
    class: &'static str,
    /// The list that it stands in, where it is asked for another than the whole list.
    #[prop(optional)]
    back: String,
) -> impl IntoView {
    let back = (!back.is_empty()).then(|| view! { <input type="hidden" name="back" value=back /> });
    view! {
        <AskingForm
            id=format!("delete-{key_id}")
            opens=t!("Delete…")
            class=class
            title=t!("Delete “{name}” for good?", name = name)
            action=DeleteKey::PATH
            does=t!("Delete {name}", name = name)
            instead=t!("Keep it")
        >
            <input type="hidden" name="key_id" value=key_id.to_string() />
            {back}
            <p>{t!("Programs that call with it stop working at once. What it spent stays in your usage.")}</p>
        </AskingForm>
    }
}
