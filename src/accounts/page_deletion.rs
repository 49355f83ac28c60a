//! Deleting an account: what goes and what stays, said before it happens; and the page after it.

use crate::accounts::page::PasswordField;
use crate::accounts::server_fns_deletion::{DeleteAccount, show_deletion};
use crate::accounts::types_deletion::DeletionView;
use crate::error::{Blocker, Field};
use crate::t;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, error_of};
use crate::ui::page_data::with_data;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn DeletionPage() -> impl IntoView {
    view! {
        <Title text=t!("Delete the account") />
        <h1>{t!("Delete the account")}</h1>
        {with_data(show_deletion(), |deletion| match deletion {
            Ok(deletion) => view! { <Deletion deletion /> }.into_any(),
            Err(error) => view! { <Failure error /> }.into_any(),
        })}
        <p>
            <a href="/settings">{t!("Back to the settings")}</a>
        </p>
    }
    .into_any()
}

#[component]
fn Deletion(deletion: DeletionView) -> impl IntoView {
    let DeletionView { email, tokens, keys, memberships, blockers } = deletion;
    let free = blockers.is_empty();
    view! {
        <FormError error=error_of(DeleteAccount::PATH) />
        {blockers.into_iter().map(|blocker| view! { <BlockerNotice blocker /> }).collect_view()}
        <section class="card stack">
            <h2>{t!("What goes")}</h2>
            <ul>
                <li>{t!("You, {person}: address, password, second factor, sessions and the mails to you.", person = email)}</li>
                <li>{t!("Your API keys, {keys} now. Programs that call with them stop at once.", keys = keys)}</li>
                <li>{t!("Your Tokens, {tokens} now. Nobody can spend them any more, and they are not paid back.", tokens = tokens.exact())}</li>
                <li>{t!("Your billing details and the invitations that you sent.")}</li>
                {(memberships > 0)
                    .then(|| {
                        view! {
                            <li>{t!("Your membership in accounts of others: {accounts}.", accounts = memberships)}</li>
                        }
                    })}
            </ul>
        </section>
        <section class="card stack">
            <h2>{t!("What stays, and why")}</h2>
            <ul>
                <li>{t!("Orders, receipts and refunds: the law has us keep them, with the details that they were made out to.")}</li>
                <li>{t!("The ledger and the record of each call, without any prompt or answer: they prove what was charged.")}</li>
                <li>{t!("The account log: it shows who did what, should anybody ever dispute it.")}</li>
                <li>{t!("An address that was written into one of these, such as one that was invited.")}</li>
            </ul>
            <p>{t!("None of it can be opened with a sign-in any more. Your address can sign up again, for a new account.")}</p>
        </section>
        {free.then(|| view! { <DeletionForm /> })}
    }
}

#[component]
fn BlockerNotice(blocker: Blocker) -> impl IntoView {
    let (says, link) = match blocker {
        Blocker::Operator => (t!("You are an operator. Whoever has the command line takes you off first."), None),
        Blocker::Members => (
            t!("Others work with this account. Remove them, or hand it over and leave."),
            Some(("/settings/members", t!("See the members"))),
        ),
        Blocker::Orders => (t!("An order is still open. Cancel it, or wait until it is over."), Some(("/orders", t!("See the orders")))),
    };
    view! {
        <p class="notice notice-warn">
            {says} " " {link.map(|(href, label)| view! { <a href=href>{label}</a> })}
        </p>
    }
}

#[component]
fn DeletionForm() -> impl IntoView {
    let error = error_of(DeleteAccount::PATH);
    view! {
        <section class="card stack">
            <h2>{t!("This cannot be undone")}</h2>
            <form method="post" action=DeleteAccount::PATH>
                <PasswordField
                    error
                    autocomplete="current-password"
                    label=t!("Your password")
                    field=Field::CurrentPassword
                />
                <button class="button button-danger" type="submit">
                    {t!("Delete the account for good")}
                </button>
            </form>
        </section>
    }
}

/// Where whoever deleted their account ends.
#[component]
pub fn GoodbyePage() -> impl IntoView {
    view! {
        <Title text=t!("Your account is deleted") />
        <h1>{t!("Your account is deleted")}</h1>
        <p>{t!("We confirm it by mail, to the address that you had. Thank you for having been here.")}</p>
        <p>
            <a href="/">{t!("To the start page")}</a>
        </p>
    }
    .into_any()
}
