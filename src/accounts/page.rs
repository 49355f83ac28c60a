//! Sign-in and sign-up pages, forms that know where to go afterwards; and the two fields that forms about accounts are made of.

use crate::accounts::server_fns::{SignIn, SignUp, start_form};
use crate::accounts::types::{Email, Password};
use crate::error::{ConsoleError, Field};
use crate::islands::reveal::RevealButton;
use crate::ui::form::{FormError, Labelled, Submit, error_of};
use crate::ui::page_data::page_data;
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use leptos_router::location::Url;

#[component]
pub fn SignInPage() -> impl IntoView {
    let action = ServerAction::<SignIn>::new();
    let error = error_of(action.value());
    let next = next_of_address();
    let typed = page_data(move || next.get(), start_form);
    let was_reset = use_query_map().read_untracked().get("reset").is_some();
    view! {
        <Title text="Sign in" />
        <section class="card stack auth">
            <h1>"Sign in"</h1>
            {was_reset
                .then(|| {
                    view! {
                        <p class="notice notice-ok" role="status">
                            "Your password is set. Sign in with it."
                        </p>
                    }
                })}
            <FormError error />
            <Suspense>
                {move || Suspend::new(async move {
                    let typed = typed.await;
                    view! {
                        <ActionForm action>
                            <input type="hidden" name="next" value=next />
                            <EmailField error typed />
                            <PasswordField error autocomplete="current-password" />
                            <Submit pending=action.pending()>"Sign in"</Submit>
                        </ActionForm>
                    }
                })}
            </Suspense>
            <p class="muted"><a href="/forgot-password">"Forgotten your password?"</a></p>
            <p class="muted">"New here? " <a href=move || with_next("/sign-up", &next.get())>"Create an account"</a></p>
        </section>
    }
    .into_any()
}

#[component]
pub fn SignUpPage() -> impl IntoView {
    let action = ServerAction::<SignUp>::new();
    let error = error_of(action.value());
    let next = next_of_address();
    let typed = page_data(move || next.get(), start_form);
    view! {
        <Title text="Create an account" />
        <section class="card stack auth">
            <h1>"Create an account"</h1>
            <FormError error />
            <Suspense>
                {move || Suspend::new(async move {
                    let typed = typed.await;
                    view! {
                        <ActionForm action>
                            <input type="hidden" name="next" value=next />
                            <EmailField error typed />
                            <PasswordField
                                error
                                autocomplete="new-password"
                                hint="8 characters or more. Long and memorable beats short and clever."
                            />
                            <Submit pending=action.pending()>"Create account"</Submit>
                        </ActionForm>
                    }
                })}
            </Suspense>
            <p class="muted">"Have an account? " <a href=move || with_next("/sign-in", &next.get())>"Sign in"</a></p>
        </section>
    }
    .into_any()
}

/// Where the visitor was going. Only carried here; the server decides whether it is a path of ours.
fn next_of_address() -> Memo<String> {
    let query = use_query_map();
    Memo::new(move |_| query.read().get("next").unwrap_or_default())
}

fn with_next(path: &str, next: &str) -> String {
    if next.is_empty() { path.to_string() } else { format!("{path}?next={}", Url::escape(next)) }
}

/// `typed` is what the form failed with before; when that cannot be read there is still a form to show.
#[component]
pub fn EmailField(
    error: Signal<Option<ConsoleError>>,
    typed: Result<Option<Email>, ConsoleError>,
    #[prop(default = "E-mail")] label: &'static str,
) -> impl IntoView {
    let typed = typed.ok().flatten().map(|email| email.to_string());
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
                value=typed
                aria-describedby="email-error"
            />
        </Labelled>
    }
}

/// A password, and a button that shows it to whoever has JavaScript.
#[component]
pub fn PasswordField(
    error: Signal<Option<ConsoleError>>,
    autocomplete: &'static str,
    #[prop(default = "password")] id: &'static str,
    #[prop(default = "Password")] label: &'static str,
    #[prop(default = Field::Password)] field: Field,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    let shortest = (autocomplete == "new-password").then(|| Password::SHORTEST.to_string());
    view! {
        <Labelled id label field error hint>
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
                    aria-describedby=format!("{id}-hint {id}-error")
                />
                <RevealButton input=id.to_string() />
            </div>
        </Labelled>
    }
}
