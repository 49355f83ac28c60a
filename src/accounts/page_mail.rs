//! The pages behind the links in mails, and those that have a mail sent. Plain forms: opening a page changes nothing, its button does.

use crate::accounts::page::{EmailField, PasswordField};
use crate::accounts::server_fns_mail::{ConfirmEmail, ForgotPassword, ResetPassword, SendConfirmation};
use crate::ui::form::{FormError, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::of_address;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn ForgotPasswordPage() -> impl IntoView {
    let error = error_of(ForgotPassword::PATH);
    let sent = !of_address("sent").is_empty();
    view! {
        <Title text=t!("Forgotten password") />
        <section class="card stack auth">
            <h1>{t!("Forgotten your password?")}</h1>
            <FormError error />
            {if sent {
                view! {
                    <p class="notice" role="status">
                        {t!("If an account has that address, a mail is on its way to it. The link in it works once, for 30 minutes.")}
                    </p>
                    <p class="muted">
                        {tv!(
                            "Nothing came? Look where spam goes, or {link}.",
                            link = view! { <a href="/forgot-password" rel="external">{t!("ask again")}</a> },
                        )}
                    </p>
                }
                    .into_any()
            } else {
                view! {
                    <p>{t!("Say with which address you sign in, and we send you a link that sets a new password.")}</p>
                    <form method="post" action=ForgotPassword::PATH>
                        <EmailField error value=typed(ForgotPassword::PATH, "email", "") />
                        <Submit>{t!("Send the link")}</Submit>
                    </form>
                }
                    .into_any()
            }}
            <p class="muted"><a href="/sign-in">{t!("Back to sign-in")}</a></p>
        </section>
    }
    .into_any()
}

#[component]
pub fn ResetPasswordPage() -> impl IntoView {
    let error = error_of(ResetPassword::PATH);
    view! {
        <Title text=t!("Set a new password") />
        <section class="card stack auth">
            <h1>{t!("Set a new password")}</h1>
            <FormError error />
            <form method="post" action=ResetPassword::PATH>
                <input type="hidden" name="token" value=of_address("token") />
                <PasswordField error autocomplete="new-password" hint=t!("8 characters or more. You are signed out everywhere.") />
                <Submit>{t!("Set the password")}</Submit>
            </form>
            <p class="muted">
                {tv!("The link is too old? {link}", link = view! { <a href="/forgot-password">{t!("Ask for a new one")}</a> })}
            </p>
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
            <h1>{t!("Address confirmed")}</h1>
            <p>{t!("Thank you. This address is yours.")}</p>
            <a class="button button-primary" href="/dashboard">
                {t!("Go to the dashboard")}
            </a>
        }
        .into_any()
    } else if !token.is_empty() {
        view! {
            <h1>{t!("Confirm your address")}</h1>
            <FormError error=error_of(ConfirmEmail::PATH) />
            <p>{t!("You asked for this at TOKI Token Plan? Then confirm it. If not, just leave.")}</p>
            <form method="post" action=ConfirmEmail::PATH>
                <input type="hidden" name="token" value=token />
                <Submit>{t!("Confirm the address")}</Submit>
            </form>
        }
        .into_any()
    } else if sent == "sign-up" {
        view! {
            <h1>{t!("Check your mail")}</h1>
            <p role="status">
                {t!("We sent a mail to the address that you gave. The link in it finishes signing up; it works once, for 24 hours.")}
            </p>
            <p class="muted">
                {tv!("Nothing came? Look where spam goes, or {link}.", link = view! { <a href="/sign-up">{t!("sign up again")}</a> })}
            </p>
        }
        .into_any()
    } else {
        let status = if sent.is_empty() {
            t!("We sent a link to your address when you signed up. It works once, for 24 hours.")
        } else {
            t!("We have sent you another link. It works once, for 24 hours.")
        };
        view! {
            <h1>{t!("Check your mail")}</h1>
            <FormError error=error_of(SendConfirmation::PATH) />
            <p role="status">{status}</p>
            <p class="muted">{t!("Nothing came? Look where spam goes, or have it sent again.")}</p>
            <form method="post" action=SendConfirmation::PATH>
                <button class="button" type="submit">
                    {t!("Send it again")}
                </button>
            </form>
        }
        .into_any()
    };
    view! {
        <Title text=t!("Confirm your address") />
        <section class="card stack auth">{body}</section>
    }
    .into_any()
}
