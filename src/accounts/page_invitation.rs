//! The page behind an invitation's link: joining for whoever has a user, signing up for whoever has none. Plain forms.

use crate::accounts::page::PasswordField;
use crate::accounts::page_words::role_word;
use crate::accounts::server_fns::SignOut;
use crate::accounts::server_fns_members::{AcceptInvitation, SignUpInvited, show_invitation};
use crate::accounts::types_members::{Invited, OpenInvitation};
use crate::error::ConsoleError;
use crate::t;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, Submit, error_of};
use crate::ui::page_data::{of_address, with_data};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;
use leptos_router::location::Url;

#[component]
pub fn InvitationPage() -> impl IntoView {
    let token = of_address("token");
    view! {
        <Title text=t!("Invitation") />
        <section class="card stack auth">
            <h1>{t!("Invitation")}</h1>
            {with_data(show_invitation(token.clone()), |invitation| body(invitation, token))}
        </section>
    }
    .into_any()
}

fn body(invitation: Result<OpenInvitation, ConsoleError>, token: String) -> AnyView {
    let OpenInvitation { account, email, role, invited_by, reader } = match invitation {
        Ok(invitation) => invitation,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let email = email.to_string();
    let way_in = match reader {
        Invited::Themselves => view! { <AcceptForm token /> }.into_any(),
        Invited::SomebodyElse(other) => view! { <OtherAddress email other=other.to_string() /> }.into_any(),
        Invited::ToSignIn => {
            let href = format!("/sign-in?next={}", Url::escape(&format!("/invitation?token={token}")));
            view! {
                <a class="button button-primary" href=href>
                    {t!("Sign in as {person}", person = email)}
                </a>
            }
            .into_any()
        }
        Invited::ToSignUp => view! { <SignUpForm token email /> }.into_any(),
    };
    view! {
        <p>{t!("{person} invites you to the account “{account}”.", person = invited_by, account = account)}</p>
        <p>{t!("Your role in it: {role}", role = role_word(role))}</p>
        {way_in}
    }
    .into_any()
}

#[component]
fn AcceptForm(token: String) -> impl IntoView {
    view! {
        <FormError error=error_of(AcceptInvitation::PATH) />
        <form method="post" action=AcceptInvitation::PATH>
            <input type="hidden" name="token" value=token />
            <Submit>{t!("Join")}</Submit>
        </form>
    }
}

#[component]
fn OtherAddress(email: String, other: String) -> impl IntoView {
    view! {
        <p>
            {t!(
                "You are signed in as {other}. The invitation is for {person}: sign out, and open the link again.",
                other = other,
                person = email,
            )}
        </p>
        <form method="post" action=SignOut::PATH>
            <button class="button" type="submit">
                {t!("Sign out")}
            </button>
        </form>
    }
}

#[component]
fn SignUpForm(token: String, email: String) -> impl IntoView {
    let error = error_of(SignUpInvited::PATH);
    view! {
        <p>{t!("Choose a password, with which you sign in as {person}.", person = email)}</p>
        <FormError error />
        <form method="post" action=SignUpInvited::PATH>
            <input type="hidden" name="token" value=token />
            <PasswordField
                error
                autocomplete="new-password"
                label=t!("Password")
                hint=t!("8 characters or more. Long and memorable beats short and clever.")
            />
            <Submit>{t!("Sign up and join")}</Submit>
        </form>
    }
}
