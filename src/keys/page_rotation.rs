//! The form that gives a key a new secret.

use crate::ids::KeyId;
use crate::keys::server_fns_rotation::{EndOldSecrets, RotateKey};
use crate::keys::types::Grace;
use crate::ui::form::{FormDone, FormError, error_of};
use crate::ui::utc_time::UtcTime;
use crate::utc;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// `old_until`: until when a secret that the key had before still works.
#[component]
pub fn RotationForm(key_id: KeyId, old_until: Option<utc::UtcTime>) -> impl IntoView {
    view! {
        <section class="card stack key-form" id="rotation">
            <h2>{t!("New secret")}</h2>
            <p class="muted">
                {t!("The key stays what it is: same quota, same limits, same history. Use it when the secret has been seen by somebody, or by habit.")}
            </p>
            <FormError error=error_of(RotateKey::PATH).or(error_of(EndOldSecrets::PATH)) />
            <FormDone path=EndOldSecrets::PATH>{t!("The old secret has ended.")}</FormDone>
            {old_until.map(|time| view! { <OldSecret key_id time /> })}
            <form method="post" action=RotateKey::PATH>
                <input type="hidden" name="key_id" value=key_id.to_string() />
                <div class="field">
                    <label for="grace">{t!("The old secret works")}</label>
                    <select id="grace" name="grace">
                        {Grace::ALL
                            .map(|grace| view! { <option value=grace.as_str() selected=grace == Grace::Day>{grace_words(grace)}</option> })
                            .into_iter()
                            .collect_view()}
                    </select>
                </div>
                <button class="button" type="submit">
                    {t!("Make a new secret")}
                </button>
            </form>
        </section>
    }
}

fn grace_words(grace: Grace) -> &'static str {
    match grace {
        Grace::Nothing => t!("No longer: it ends at once"),
        Grace::Hour => t!("For another hour"),
        Grace::Day => t!("For another day"),
        Grace::Week => t!("For another week"),
    }
}

#[component]
fn OldSecret(key_id: KeyId, time: utc::UtcTime) -> impl IntoView {
    view! {
        <div class="notice notice-info row">
            <span>{tv!("The old secret works until {time}.", time = view! { <UtcTime time /> })}</span>
            <form method="post" action=EndOldSecrets::PATH>
                <input type="hidden" name="key_id" value=key_id.to_string() />
                <button class="button button-quiet" type="submit">
                    {t!("End it now")}
                </button>
            </form>
        </div>
    }
}
