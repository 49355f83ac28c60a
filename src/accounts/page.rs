//! Sign-in and sign-up pages, forms that know where to go afterwards; and the two fields that forms about accounts are made of.

use crate::accounts::server_fns::{SignIn, SignUp, start_form};
use crate::accounts::types::Password;
use crate::error::{ConsoleError, Field};
use crate::islands::reveal::RevealButton;
use crate::ui::form::{FormError, Labelled, Submit, error_of, invalid};
use crate::ui::last_form::typed;
use crate::ui::page_data::{of_address, with_data};
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::{Meta, Title};
use leptos_router::location::Url;

#[component]
pub fn SignInPage() -> impl IntoView {
    let error = error_of(SignIn::PATH);
    let next = of_address("next");
    let elsewhere = with_next("/sign-up", &next);
    let form = start_form(next.clone());
    let was_reset = !of_address("reset").is_empty();
    view! {
        <Title text=t!("Sign in") />
        <section class="card stack auth">
            <h1>{t!("Sign in")}</h1>
            {was_reset
                .then(|| {
                    view! {
                        <p class="notice notice-ok" role="status">
                            {t!("Your password is set. Sign in with it.")}
                        </p>
                    }
                })}
            <FormError error />
            {with_data(form, |_| ().into_any())}
            <form method="post" action=SignIn::PATH>
                <input type="hidden" name="next" value=next />
                <EmailField error value=typed(SignIn::PATH, "email", "") />
                <PasswordField error autocomplete="current-password" />
                <Submit>{t!("Sign in")}</Submit>
            </form>
            <p class="muted"><a href="/forgot-password">{t!("Forgotten your password?")}</a></p>
            <p class="muted">{tv!("New here? {link}", link = view! { <a href=elsewhere>{t!("Create an account")}</a> })}</p>
        </section>
    }
    .into_any()
}

#[component]
pub fn SignUpPage() -> impl IntoView {
    let error = error_of(SignUp::PATH);
    let next = of_address("next");
    let elsewhere = with_next("/sign-in", &next);
    let form = start_form(next.clone());
    view! {
        <Title text=t!("Create an account") />
        <Meta
            name="description"
            content=t!(
                "Buy packages of Tokens, hand them out through API keys, and call every model through one OpenAI-compatible endpoint."
            )
        />
        <section class="card stack auth">
            <h1>{t!("Create an account")}</h1>
            <FormError error />
            {with_data(form, |_| ().into_any())}
            <form method="post" action=SignUp::PATH>
                <input type="hidden" name="next" value=next />
                <EmailField error value=typed(SignUp::PATH, "email", "") />
                <PasswordField
                    error
                    autocomplete="new-password"
                    hint=t!("8 characters or more. Long and memorable beats short and clever.")
                />
                <Submit>{t!("Create account")}</Submit>
            </form>
            <p class="muted">{tv!("Have an account? {link}", link = view! { <a href=elsewhere>{t!("Sign in")}</a> })}</p>
        </section>
    }
    .into_any()
}

fn with_next(path: &str, next: &str) -> String {
    if next.is_empty() { path.to_string() } else { format!("{path}?next={}", Url::escape(next)) }
}

#[component]
pub fn EmailField(
    error: Option<ConsoleError>,
    #[prop(optional)] value: String,
    #[prop(optional)] label: Option<&'static str>,
) -> impl IntoView {
    let label = label.unwrap_or_else(|| t!("E-mail"));
    view! {
        <Labelled id="email" label field=Field::Email error>
            <input
                id="email"
                name="email"
                type="email"
                autocomplete="username"
                autocapitalize="none"
                spellcheck="false"
                maxlength="254"
                required
                value=value
                aria-describedby="email-error"
            />
        </Labelled>
    }
}

/// A password, and a button that shows it to whoever has JavaScript.
#[component]
pub fn PasswordField(
    error: Option<ConsoleError>,
    autocomplete: &'static str,
    #[prop(default = "password")] id: &'static str,
    #[prop(optional)] label: Option<&'static str>,
    #[prop(default = Field::Password)] field: Field,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    let label = label.unwrap_or_else(|| t!("Password"));
    let shortest = (autocomplete == "new-password").then(|| Password::SHORTEST.to_string());
    view! {
        <Labelled id label field error hint marked_inside=true>
            <div class="with-button">
                <input
                    id=id
                    name=id
                    type="password"
                    autocomplete=autocomplete
                    autocapitalize="none"
                    spellcheck="false"
                    minlength=shortest
                    required
                    aria-invalid=invalid(error, field)
                    aria-describedby=format!("{id}-hint {id}-error")
                />
                <RevealButton
                    input=id.to_string()
                    show=t!("Show").to_string()
                    hide=t!("Hide").to_string()
                    show_label=t!("Show password").to_string()
                    hide_label=t!("Hide password").to_string()
                />
            </div>
        </Labelled>
    }
}
