//! The section of the settings page that says what one is told by mail: a switch each, and a balance.

/// For the page that the section is on.
pub use crate::notices::server_fns::read_notices;

use crate::error::{ConsoleError, Field};
use crate::notices::server_fns::SaveNotices;
use crate::notices::types::NoticeSettings;
use crate::t;
use crate::tokens::Tokens;
use crate::ui::control::Switch;
use crate::ui::failure::Failure;
use crate::ui::form::{FormDone, FormError, Labelled, Submit, error_of};
use crate::ui::last_form::{typed, typed_on};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

#[component]
pub fn NoticesSection(settings: Result<NoticeSettings, ConsoleError>) -> impl IntoView {
    view! {
        <section class="card stack" id="notices">
            <h2>{t!("Notices by mail")}</h2>
            <p>{t!("Of Tokens you are told where you are an owner or an admin; of keys also where you made them.")}</p>
            {match settings {
                Ok(settings) => view! { <NoticesForm settings /> }.into_any(),
                Err(error) => view! { <Failure error /> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn NoticesForm(settings: NoticeSettings) -> impl IntoView {
    let NoticeSettings { new_device, expiring, key_quota, balance_below } = settings;
    let error = error_of(SaveNotices::PATH);
    let on = |name, saved| typed_on(SaveNotices::PATH, name, saved);
    let [new_device, expiring, key_quota] = [on("new_device", new_device), on("expiring", expiring), on("key_quota", key_quota)];
    let below = typed(SaveNotices::PATH, "balance_below", balance_below.map(Tokens::exact).unwrap_or_default());
    view! {
        <FormError error />
        <FormDone path=SaveNotices::PATH>{t!("Saved. From now on you are told that.")}</FormDone>
        <form method="post" action=SaveNotices::PATH>
            <Switch name="new_device" label=t!("Sign-ins from a new browser") note=t!("When you have never signed in from it before.") on=new_device />
            <Switch name="expiring" label=t!("Tokens about to expire") note=t!("7 days and 1 day before, if some are left.") on=expiring />
            <Switch name="key_quota" label=t!("Keys near their quota") note=t!("When a tenth or less is left.") on=key_quota />
            <Labelled
                id="balance_below"
                label=t!("When the balance is below")
                field=Field::BalanceBelow
                error
                hint=t!("Tokens. Empty: you are not told.")
            >
                <input
                    id="balance_below"
                    name="balance_below"
                    type="text"
                    inputmode="numeric"
                    autocomplete="off"
                    value=below
                    aria-describedby="balance_below-hint balance_below-error"
                />
            </Labelled>
            <Submit>{t!("Save")}</Submit>
        </form>
    }
}
