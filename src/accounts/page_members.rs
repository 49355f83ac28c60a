//! The members of an account: who they are, their roles, who is invited. Plain forms.

use crate::accounts::page::{EmailField, PasswordField};
use crate::accounts::page_member_limits::{MemberUsage, refused_limits};
use crate::accounts::page_member_menu::{MemberMenu, RoleSelect};
use crate::accounts::page_words::role_word;
use crate::accounts::server_fns_members::{
    HandOverAccount, InviteMember, LeaveAccount, RemoveMember, RevokeInvitation, SetMemberLimits, SetMemberRole, list_members,
};
use crate::accounts::types_members::{InvitationView, MemberView, MembersView, Role};
use crate::error::Field;
use crate::t;
use crate::ui::failure::Failure;
use crate::ui::form::{FormDone, FormError, Labelled, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::overlay::AskingForm;
use crate::ui::page_data::with_data;
use crate::ui::utc_time::{UtcTime, minute};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn MembersPage() -> impl IntoView {
    view! {
        <Title text=t!("Members") />
        <h1>{t!("Members")}</h1>
        {with_data(list_members(), |members| match members {
            Ok(members) => view! { <MembersBody members /> }.into_any(),
            Err(error) => view! { <Failure error /> }.into_any(),
        })}
        <p>
            <a href="/settings">{t!("Back to the settings")}</a>
        </p>
    }
    .into_any()
}

#[component]
fn MembersBody(members: MembersView) -> impl IntoView {
    let MembersView { role, members, invitations } = members;
    let admin = role >= Role::Admin;
    let others: Vec<MemberView> = members.iter().filter(|member| !member.you).cloned().collect();
    let refused = refused_limits(&members, admin);
    let own_keys = members.iter().find(|member| member.you).map_or(0, |member| member.keys);
    view! {
        <FormError error=error_of(SetMemberRole::PATH) />
        <FormError error=error_of(RemoveMember::PATH) />
        <FormError error=error_of(RevokeInvitation::PATH) />
        <FormDone path=SetMemberRole::PATH>{t!("The role is changed.")}</FormDone>
        <FormDone path=SetMemberLimits::PATH>{t!("The limits are set. The next call sees them.")}</FormDone>
        <FormDone path=RemoveMember::PATH>{t!("The member is removed.")}</FormDone>
        <FormDone path=RevokeInvitation::PATH>{t!("The invitation is taken back. Its link works no longer.")}</FormDone>
        <FormDone path=HandOverAccount::PATH>{t!("The account is handed over. You are an admin of it.")}</FormDone>
        {refused}
        <MemberTable members admin />
        {(admin || !invitations.is_empty()).then(|| view! { <Invitations invitations admin /> })}
        {(role == Role::Owner && !others.is_empty()).then(|| view! { <HandOverForm others /> })}
        {(role != Role::Owner).then(|| view! { <LeaveForm keys=own_keys /> })}
    }
}

#[component]
fn MemberTable(members: Vec<MemberView>, admin: bool) -> impl IntoView {
    let rows = members.into_iter().map(|member| view! { <MemberRow member admin /> }.into_any()).collect_view();
    view! {
        <div class="table-wrap members">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Member")}</th>
                        <th scope="col">{t!("Role")}</th>
                        {admin.then(|| view! { <th scope="col">{t!("Two-factor")}</th> })}
                        <th scope="col" class="number">
                            {t!("Keys")}
                        </th>
                        <th scope="col">{t!("Tokens used")}</th>
                        <th scope="col">{t!("Since")}</th>
                        {admin
                            .then(|| {
                                view! {
                                    <th scope="col">
                                        <span class="visually-hidden">{t!("Change")}</span>
                                    </th>
                                }
                            })}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

#[component]
fn MemberRow(member: MemberView, admin: bool) -> impl IntoView {
    let menu = admin.then(|| view! { <MemberMenu member=member.clone() /> });
    let MemberView { email, role, since, two_factor, keys, usage, you, .. } = member;
    let two_factor = two_factor.map(|on| {
        view! { <td data-label=t!("Two-factor")>{if on { t!("On") } else { t!("Off") }}</td> }
    });
    view! {
        <tr>
            <th scope="row" data-label="">
                {email}
                {you.then(|| view! { <span class="muted">" "{t!("(you)")}</span> })}
            </th>
            <td data-label=t!("Role")>{role_word(role)}</td>
            {two_factor}
            <td data-label=t!("Keys") class="number">
                {keys}
            </td>
            <td data-label=t!("Tokens used")>
                <MemberUsage usage />
            </td>
            <td data-label=t!("Since")>
                <UtcTime time=since />
            </td>
            {menu.map(|menu| view! { <td><div class="row">{menu}</div></td> })}
        </tr>
    }
}

#[component]
fn Invitations(invitations: Vec<InvitationView>, admin: bool) -> impl IntoView {
    let rows = invitations.into_iter().map(|invitation| view! { <InvitationRow invitation admin /> }.into_any()).collect_view();
    view! {
        <section class="card stack" id="invitations">
            <h2>{t!("Invitations")}</h2>
            <ul class="stack invitations">{rows}</ul>
            {admin.then(|| view! { <InviteForm /> })}
        </section>
    }
}

#[component]
fn InvitationRow(invitation: InvitationView, admin: bool) -> impl IntoView {
    let InvitationView { invitation_id, email, role, invited_by, expires_at } = invitation;
    let said = t!(
        "{role}, invited by {person}. The link works until {time}.",
        role = role_word(role),
        person = invited_by,
        time = minute(expires_at),
    );
    let forms = admin.then(|| {
        view! {
            <form method="post" action=InviteMember::PATH>
                <input type="hidden" name="email" value=email.clone() />
                <input type="hidden" name="role" value=role.as_str() />
                <button class="button button-quiet" type="submit">
                    {t!("Send again")}
                    <span class="visually-hidden">{format!(" {email}")}</span>
                </button>
            </form>
            <form method="post" action=RevokeInvitation::PATH>
                <input type="hidden" name="invitation_id" value=invitation_id.to_string() />
                <button class="button button-quiet" type="submit">
                    {t!("Take back")}
                    <span class="visually-hidden">{format!(" {email}")}</span>
                </button>
            </form>
        }
    });
    view! {
        <li class="row">
            <span class="invited">
                <strong>{email.clone()}</strong>
                " "
                <span class="muted">{said}</span>
            </span>
            {forms}
        </li>
    }
}

#[component]
fn InviteForm() -> impl IntoView {
    let error = error_of(InviteMember::PATH);
    let chosen = Role::parse(&typed(InviteMember::PATH, "role", "member")).unwrap_or(Role::Member);
    view! {
        <FormError error />
        <FormDone path=InviteMember::PATH>{t!("The invitation is on its way. Its link works for 7 days.")}</FormDone>
        <form method="post" action=InviteMember::PATH id="invite">
            <EmailField error value=typed(InviteMember::PATH, "email", "") label=t!("Invite by e-mail") />
            <Labelled
                id="role"
                label=t!("Role")
                field=Field::Role
                error
                hint=t!("Members make keys and edit their own. Admins edit all keys, buy, and look after the members. Read-only sees everything and changes nothing.")
            >
                <RoleSelect id="role" chosen />
            </Labelled>
            <Submit>{t!("Invite")}</Submit>
        </form>
    }
}

#[component]
fn HandOverForm(others: Vec<MemberView>) -> impl IntoView {
    let error = error_of(HandOverAccount::PATH);
    let chosen = typed(HandOverAccount::PATH, "user_id", "");
    let option = |member: MemberView| {
        let user_id = member.user_id.to_string();
        view! { <option value=user_id.clone() selected=user_id == chosen>{member.email}</option> }
    };
    view! {
        <section class="card stack" id="hand-over">
            <h2>{t!("Hand the account over")}</h2>
            <p>{t!("Another member becomes the owner, and you an admin. Only they can give it back.")}</p>
            <FormError error />
            <form method="post" action=HandOverAccount::PATH>
                <div class="field">
                    <label for="new-owner">{t!("New owner")}</label>
                    <select id="new-owner" name="user_id">
                        {others.into_iter().map(option).collect_view()}
                    </select>
                </div>
                <PasswordField
                    error
                    autocomplete="current-password"
                    id="owner_password"
                    label=t!("Your password")
                    field=Field::CurrentPassword
                />
                <button class="button button-danger" type="submit">
                    {t!("Hand the account over")}
                </button>
            </form>
        </section>
    }
}

#[component]
fn LeaveForm(keys: i64) -> impl IntoView {
    view! {
        <section class="card stack" id="leave">
            <h2>{t!("Leave the account")}</h2>
            <p>{t!("You see nothing of it any more, and are signed out here.")}</p>
            <FormError error=error_of(LeaveAccount::PATH) />
            <AskingForm
                id="leave-account"
                opens=t!("Leave…")
                title=t!("Leave the account?")
                action=LeaveAccount::PATH
                does=t!("Leave the account")
            >
                {(keys > 0)
                    .then(|| {
                        view! {
                            <p>
                                {t!("Keys that you made are disabled: {keys}. If programs are to go on, have an admin remove you instead, who can take them over.", keys = keys)}
                            </p>
                        }
                    })}
                <p>{t!("Only an invitation brings you back.")}</p>
            </AskingForm>
        </section>
    }
}
