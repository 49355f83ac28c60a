//! The settings page: profile, preferences, password, address, sessions. Plain forms, which come back to it.

use crate::accounts::page::{EmailField, PasswordField};
use crate::accounts::page_words::{device_words, role_word};
use crate::accounts::server_fns_settings::{ChangeEmail, ChangePassword, EndOtherSessions, EndSession, read_settings};
use crate::accounts::types::Email;
use crate::accounts::types_settings::{Done, Membership, SessionView, Settings};
use crate::error::{ConsoleError, Field};
use crate::notices::page::{NoticesSection, read_notices};
use crate::notices::types::NoticeSettings;
use crate::preferences::page_settings::PreferencesSection;
use crate::ui::fact::Fact;
use crate::ui::failure::Failure;
use crate::ui::form::{FormError, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::with_data;
use crate::ui::utc_time::{UtcTime, day};
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn SettingsPage() -> impl IntoView {
    let settings = read_settings();
    view! {
        <Title text=t!("Settings") />
        <h1>{t!("Settings")}</h1>
        {with_data(async { futures::join!(settings, read_notices()) }, |(settings, notices)| match settings {
            Ok(settings) => view! { <SettingsView settings notices /> }.into_any(),
            Err(error) => view! { <Failure error /> }.into_any(),
        })}
    }
    .into_any()
}

#[component]
fn SettingsView(settings: Settings, notices: Result<NoticeSettings, ConsoleError>) -> impl IntoView {
    let Settings { email, verified, membership, two_factor, done, sessions } = settings;
    let done = done.map(|done| match done {
        Done::PasswordChanged => t!("Your password is changed, and your other sessions have ended."),
        Done::AddressAsked => t!("We sent a link to the new address. Yours changes when it is used."),
        Done::SessionEnded => t!("The session has ended."),
        Done::OthersEnded => t!("All your other sessions have ended."),
    });
    view! {
        {done
            .map(|done| {
                view! {
                    <p class="notice" role="status">
                        {done}
                    </p>
                }
            })}
        <Profile email=email.clone() membership />
        <PreferencesSection />
        <section class="card stack">
            <h2>{t!("E-mail")}</h2>
            <p>
                {tv!("You sign in as {address}.", address = view! { <strong>{email.to_string()}</strong> })}
                " "
                {if verified { t!("The address is confirmed.") } else { t!("The address is not confirmed yet.") }}
                " "
                {(!verified).then(|| view! { <a href="/verify-email">{t!("Confirm it")}</a> })}
            </p>
            <EmailForm />
        </section>
        <section class="card stack">
            <h2>{t!("Password")}</h2>
            <PasswordForm />
        </section>
        <section class="card stack" id="two-factor">
            <h2>{t!("Two-factor")}</h2>
            <p>
                {if two_factor {
                    t!("Signing in takes a code of your authenticator beside the password.")
                } else {
                    t!("Signing in takes the password alone. With two-factor, whoever finds it out gets no further.")
                }}
            </p>
            <a class="button" href="/settings/two-factor">
                {if two_factor { t!("Manage two-factor") } else { t!("Set up two-factor") }}
            </a>
        </section>
        <NoticesSection settings=notices />
        <section class="card stack">
            <h2>{t!("Members")}</h2>
            <p>{t!("Who else works with this account, and what each may do.")}</p>
            <a class="button" href="/settings/members">
                {t!("See the members")}
            </a>
        </section>
        <section class="card stack">
            <h2>{t!("Account log")}</h2>
            <p>{t!("Sign-ins, keys, orders and settings: who did what, when and from where.")}</p>
            <a class="button" href="/settings/log">
                {t!("Open the log")}
            </a>
        </section>
        <Sessions sessions />
        <section class="card stack">
            <h2>{t!("Delete the account")}</h2>
            <p>{t!("You, your keys and your Tokens go for good. Receipts and books are kept.")}</p>
            <a class="button button-danger" href="/settings/delete">
                {t!("Delete the account…")}
            </a>
        </section>
    }
}

/// Who this is, in which account and as what.
#[component]
fn Profile(email: Email, membership: Membership) -> impl IntoView {
    let Membership { account_name, role, since } = membership;
    view! {
        <section class="card stack" id="profile">
            <h2>{t!("Profile")}</h2>
            <dl class="facts">
                <Fact label=t!("E-mail")>
                    {email.to_string()}
                </Fact>
                <Fact label=t!("Account")>
                    {account_name}
                </Fact>
                <Fact label=t!("Role in this account")>
                    {role_word(role)}
                </Fact>
                <Fact label=t!("Member since")>
                    {day(since)}
                </Fact>
            </dl>
        </section>
    }
}

#[component]
fn EmailForm() -> impl IntoView {
    let error = error_of(ChangeEmail::PATH);
    view! {
        <FormError error />
        <form method="post" action=ChangeEmail::PATH>
            <EmailField error value=typed(ChangeEmail::PATH, "email", "") label=t!("New address") />
            <PasswordField error autocomplete="current-password" id="email_password" label=t!("Your password") field=Field::CurrentPassword />
            <button class="button" type="submit">
                {t!("Change the address")}
            </button>
        </form>
    }
}

#[component]
fn PasswordForm() -> impl IntoView {
    let error = error_of(ChangePassword::PATH);
    view! {
        <FormError error />
        <form method="post" action=ChangePassword::PATH>
            <PasswordField error autocomplete="current-password" id="current" label=t!("Current password") field=Field::CurrentPassword />
            <PasswordField
                error
                autocomplete="new-password"
                label=t!("New password")
                hint=t!("8 characters or more. Your other sessions end.")
            />
            <button class="button" type="submit">
                {t!("Change the password")}
            </button>
        </form>
    }
}

#[component]
fn Sessions(sessions: Vec<SessionView>) -> impl IntoView {
    let others = sessions.len() > 1;
    let rows = sessions.into_iter().map(|session| view! { <SessionRow session /> }.into_any()).collect_view();
    view! {
        <section class="stack">
            <div class="page-head">
                <h2>{t!("Sessions")}</h2>
                {others
                    .then(|| {
                        view! {
                            <form method="post" action=EndOtherSessions::PATH>
                                <button class="button" type="submit">
                                    {t!("End all others")}
                                </button>
                            </form>
                        }
                    })}
            </div>
            <FormError error=error_of(EndSession::PATH) />
            <FormError error=error_of(EndOtherSessions::PATH) />
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{t!("Device")}</th>
                            <th scope="col">{t!("Last seen")}</th>
                            <th scope="col">{t!("Began")}</th>
                            <th scope="col">
                                <span class="visually-hidden">{t!("Change")}</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn SessionRow(session: SessionView) -> impl IntoView {
    let SessionView { session_id, device, signed_in, last_seen, current } = session;
    view! {
        <tr>
            <th scope="row" data-label="">
                {device_words(&device)}
            </th>
            <td data-label=t!("Last seen")>
                <UtcTime time=last_seen />
            </td>
            <td data-label=t!("Began")>
                <UtcTime time=signed_in />
            </td>
            <td>
                <div class="row">
                    {if current {
                        view! { <span class="muted">{t!("This session")}</span> }.into_any()
                    } else {
                        view! {
                            <form method="post" action=EndSession::PATH>
                                <input type="hidden" name="session_id" value=session_id />
                                <button class="button button-quiet button-danger" type="submit">
                                    {t!("End")}
                                </button>
                            </form>
                        }
                            .into_any()
                    }}
                </div>
            </td>
        </tr>
    }
}
