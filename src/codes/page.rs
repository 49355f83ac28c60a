//! The forms that take a code.

use crate::codes::server_fns::RedeemCode;
use crate::error::{ConsoleError, Field};
use crate::t;
use crate::ui::form::{FormError, Labelled, error_of};
use crate::ui::last_form::typed;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// Redeems a code into the wallet that it stands in.
#[component]
pub fn RedeemForm() -> impl IntoView {
    let error = error_of(RedeemCode::PATH);
    view! {
        <section class="card stack" aria-labelledby="redeem">
            <h2 id="redeem">{t!("Redeem a code")}</h2>
            <FormError error />
            <form method="post" action=RedeemCode::PATH class="row">
                <CodeField error value=typed(RedeemCode::PATH, "code", "") />
                <button class="button" type="submit">
                    {t!("Redeem")}
                </button>
            </form>
        </section>
    }
}

/// Where a code is typed, in either case and with or without dashes.
#[component]
pub fn CodeField(error: Option<ConsoleError>, value: String, #[prop(default = "code")] id: &'static str) -> impl IntoView {
    view! {
        <Labelled id label=t!("Code") field=Field::Code error>
            <input
                id=id
                name="code"
                class="mono long-code"
                type="text"
                autocomplete="off"
                autocapitalize="characters"
                spellcheck="false"
                maxlength="100"
                value=value
                placeholder="ABCD-EFGH-JKMN-PQRS-TVWX"
                aria-describedby=format!("{id}-error")
            />
        </Labelled>
    }
}
