//! The pages behind the links in mails, and those that have a mail sent. Plain forms: opening a page changes nothing, its button does.

use crate::accounts::page::{EmailField, PasswordField};
use crate::accounts::server_fns_mail::{ConfirmEmail, ForgotPassword, ResetPassword, SendConfirmation};
use crate::ui::form::{FormError, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::of_address;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn ForgotPasswordPage() -> impl IntoView {
    let error = error_of(ForgotPassword::PATH);
    let sent = !of_address("sent").is_empty();
    view! {
        <Title text="Forgotten password" />
        <section class="card stack auth">
            <h1>"Forgotten your password?"</h1>
            <FormError error />
            {if sent {
                view! {
                    <p class="notice" role="status">
                        "If an account has that address, a mail is on its way to it. The link in it works once, for 30 minutes."
                    </p>
                    <p class="muted">"Nothing came? Look where spam goes, or " <a href="/forgot-password" rel="external">"ask again"</a>"."</p>
                }
                    .into_any()
            } else {
                view! {
                    <p>"Say with which address you sign in, and we send you a link that sets a new password."</p>
                    <form method="post" action=ForgotPassword::PATH>
                        <EmailField error value=typed(ForgotPassword::PATH, "email", "") />
                        <button class="button button-primary" type="submit">
                            "Send the link"
                        </button>
                    </form>
                }
                    .into_any()
            }}
            <p class="muted"><a href="/sign-in">"Back to sign-in"</a></p>
        </section>
    }
    .into_any()
}

#[component]
pub fn ResetPasswordPage() -> impl IntoView {
    let error = error_of(ResetPassword::PATH);
    view! {
        <Title text="Set a new password" />
        <section class="card stack auth">
            <h1>"Set a new password"</h1>
            <FormError error />
            <form method="post" action=ResetPassword::PATH>
                <input type="hidden" name="token" value=of_address("token") />
                <PasswordField error autocomplete="new-password" hint="8 characters or more. You are signed out everywhere." />
                <button class="button button-primary" type="submit">
                    "Set the password"
                </button>
            </form>
            <p class="muted">"The link is too old? " <a href="/forgot-password">"Ask for a new one"</a></p>
        </section>
    }
    .into_any()
}

/// With a link's token: the button that confirms. Without: what to wait for.
#[component]
pub fn VerifyEmailPage() -> impl IntoView {
    let (token, done, sent) = (of_address("token"), of_address("done"), of_address("sent"));
    let body = if !done.is_empty() {
        view! {
            <h1>"Address confirmed"</h1>
            <p>"Thank you. This address is yours."</p>
            <a class="button button-primary" href="/dashboard">
                "Go to the dashboard"
            </a>
        }
        .into_any()
    } else if !token.is_empty() {
        view! {
            <h1>"Confirm your address"</h1>
            <FormError error=error_of(ConfirmEmail::PATH) />
            <p>"You asked for this at TOKI Token Plan? Then confirm it. If not, just leave."</p>
            <form method="post" action=ConfirmEmail::PATH>
                <input type="hidden" name="token" value=token />
                <button class="button button-primary" type="submit">
                    "Confirm the address"
                </button>
            </form>
        }
        .into_any()
    } else if sent == "sign-up" {
        view! {
            <h1>"Check your mail"</h1>
            <p role="status">"We sent a mail to the address that you gave. The link in it finishes signing up; it works once, for 24 hours."</p>
            <p class="muted">"Nothing came? Look where spam goes, or " <a href="/sign-up">"sign up again"</a>"."</p>
        }
        .into_any()
    } else {
        view! {
            <h1>"Check your mail"</h1>
            <FormError error=error_of(SendConfirmation::PATH) />
            <p role="status">
                {if sent.is_empty() { "We sent a link to your address when you signed up." } else { "We have sent you another link." }}
                " It works once, for 24 hours."
            </p>
            <p class="muted">"Nothing came? Look where spam goes, or have it sent again."</p>
            <form method="post" action=SendConfirmation::PATH>
                <button class="button" type="submit">
                    "Send it again"
                </button>
            </form>
        }
        .into_any()
    };
    view! {
        <Title text="Confirm your address" />
        <section class="card stack auth">{body}</section>
    }
    .into_any()
}
