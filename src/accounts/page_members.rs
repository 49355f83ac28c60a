//! The members of an account, and the page behind an invitation's link. Plain forms.

use crate::accounts::page::{EmailField, PasswordField};
use crate::accounts::server_fns_members::{
    AcceptInvitation, HandOverAccount, InviteMember, RemoveMember, RevokeInvitation, SetMemberRole, SignUpInvited, list_members,
    show_invitation,
};
use crate::accounts::types_members::{InvitationView, Invited, MemberView, MembersView, OpenInvitation, Role};
use crate::error::{ConsoleError, Field};
use crate::ui::failure::Failure;
use crate::ui::form::{FormDone, FormError, Labelled, error_of};
use crate::ui::last_form::typed;
use crate::ui::page_data::{of_address, with_data};
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;
use leptos_router::location::Url;

#[component]
pub fn MembersPage() -> impl IntoView {
    view! {
        <Title text="Members" />
        <h1>"Members"</h1>
        {with_data(list_members(), |members| match members {
            Ok(members) => view! { <MembersBody members /> }.into_any(),
            Err(error) => view! { <Failure error /> }.into_any(),
        })}
        <p><a href="/settings">"Back to the settings"</a></p>
    }
    .into_any()
}

#[component]
fn MembersBody(members: MembersView) -> impl IntoView {
    let MembersView { role, members, invitations } = members;
    let admin = role >= Role::Admin;
    let others: Vec<MemberView> = members.iter().filter(|member| !member.you).cloned().collect();
    let rows = members.into_iter().map(|member| view! { <MemberRow member admin /> }.into_any()).collect_view();
    view! {
        <FormError error=error_of(SetMemberRole::PATH) />
        <FormError error=error_of(RemoveMember::PATH) />
        <FormDone path=SetMemberRole::PATH>"The role is changed."</FormDone>
        <FormDone path=RemoveMember::PATH>"The member is removed."</FormDone>
        <FormDone path=HandOverAccount::PATH>"The account is handed over. You are an admin of it."</FormDone>
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Member"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Two-factor"</th>
                        <th scope="col" class="number">"Keys"</th>
                        <th scope="col">"Since"</th>
                        <th scope="col"><span class="visually-hidden">"Change"</span></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {(admin || !invitations.is_empty()).then(|| view! { <Invitations invitations admin /> })}
        {(role == Role::Owner && !others.is_empty()).then(|| view! { <HandOverForm others /> })}
    }
}

#[component]
fn MemberRow(member: MemberView, admin: bool) -> impl IntoView {
    let MemberView { user_id, email, role, since, two_factor, keys, you } = member;
    let changes = (admin && role != Role::Owner).then(|| {
        view! {
            <form method="post" action=SetMemberRole::PATH>
                <input type="hidden" name="user_id" value=user_id.to_string() />
                <RoleSelect chosen=role label=format!("Role of {email}") />
                <button class="button button-quiet" type="submit">"Change"</button>
            </form>
            {(!you).then(|| view! { <RemoveForm user_id=user_id.to_string() email=email.clone() keys /> })}
        }
    });
    view! {
        <tr>
            <th scope="row" data-label="">{email.clone()} {you.then(|| view! { <span class="muted">" (you)"</span> })}</th>
            <td data-label="Role">{role.words()}</td>
            <td data-label="Two-factor">{if two_factor { "On" } else { "Off" }}</td>
            <td data-label="Keys" class="number">{keys}</td>
            <td data-label="Since"><UtcTime time=since /></td>
            <td class="member-actions"><div class="row">{changes}</div></td>
        </tr>
    }
}

#[component]
fn RoleSelect(chosen: Role, label: String) -> impl IntoView {
    view! {
        <select name="role" aria-label=label>
            {Role::GIVEN
                .map(|role| view! { <option value=role.as_str() selected=role == chosen>{role.words()}</option> })
                .into_iter()
                .collect_view()}
        </select>
    }
}

/// Removes a member in two steps: the second says what follows, and asks what becomes of their keys.
#[component]
fn RemoveForm(user_id: String, email: String, keys: i64) -> impl IntoView {
    view! {
        <details class="confirm">
            <summary class="button button-quiet">
                "Remove…"
                <span class="visually-hidden">{format!(" {email}")}</span>
            </summary>
            <form method="post" action=RemoveMember::PATH>
                <input type="hidden" name="user_id" value=user_id />
                <p>{format!("Remove {email}? Their sessions in this account end at once. They made {keys} of its keys:")}</p>
                <label>
                    <input type="radio" name="keys" value="disable" checked />
                    " Disable them: programs that use them stop"
                </label>
                <label>
                    <input type="radio" name="keys" value="hand_over" />
                    " Make them mine: programs go on"
                </label>
                <button class="button button-danger" type="submit">"Remove"</button>
            </form>
        </details>
    }
}

#[component]
fn Invitations(invitations: Vec<InvitationView>, admin: bool) -> impl IntoView {
    let rows = invitations
        .into_iter()
        .map(|InvitationView { invitation_id, email, role, invited_by, expires_at }| {
            view! {
                <li class="row">
                    <span>{format!("{email}, {}, invited by {invited_by}, until ", role.words())} <UtcTime time=expires_at /></span>
                    {admin
                        .then(|| {
                            view! {
                                <form method="post" action=RevokeInvitation::PATH>
                                    <input type="hidden" name="invitation_id" value=invitation_id.to_string() />
                                    <button class="button button-quiet" type="submit">"Take back"</button>
                                </form>
                            }
                        })}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card stack">
            <h2>"Invitations"</h2>
            <ul class="stack">{rows}</ul>
            {admin.then(|| view! { <InviteForm /> })}
        </section>
    }
}

#[component]
fn InviteForm() -> impl IntoView {
    let error = error_of(InviteMember::PATH);
    let chosen = Role::parse(&typed(InviteMember::PATH, "role", "member")).unwrap_or(Role::Member);
    view! {
        <FormError error />
        <FormDone path=InviteMember::PATH>"The invitation is on its way. Its link works for 7 days."</FormDone>
        <form method="post" action=InviteMember::PATH>
            <EmailField error value=typed(InviteMember::PATH, "email", "") label="Address" />
            <Labelled
                id="role"
                label="Role"
                field=Field::Role
                error
                hint="Members make keys and edit their own; admins edit all, buy and manage members; read-only changes nothing."
            >
                <RoleSelect chosen label="Role".to_string() />
            </Labelled>
            <button class="button button-primary" type="submit">"Invite"</button>
        </form>
    }
}

#[component]
fn HandOverForm(others: Vec<MemberView>) -> impl IntoView {
    let error = error_of(HandOverAccount::PATH);
    let options =
        others.into_iter().map(|member| view! { <option value=member.user_id.to_string()>{member.email}</option> }).collect_view();
    view! {
        <section class="card stack">
            <h2>"Hand the account over"</h2>
            <p>"Another member becomes the owner, and you an admin. Only they can give it back."</p>
            <FormError error />
            <form method="post" action=HandOverAccount::PATH>
                <div class="field">
                    <label for="new-owner">"New owner"</label>
                    <select id="new-owner" name="user_id">{options}</select>
                </div>
                <PasswordField error autocomplete="current-password" id="owner_password" label="Your password" field=Field::CurrentPassword />
                <button class="button button-danger" type="submit">"Hand it over"</button>
            </form>
        </section>
    }
}

#[component]
pub fn InvitationPage() -> impl IntoView {
    let token = of_address("token");
    view! {
        <Title text="Invitation" />
        <section class="card stack auth">
            <h1>"Invitation"</h1>
            {with_data(show_invitation(token.clone()), |invitation| invitation_body(invitation, token))}
        </section>
    }
    .into_any()
}

fn invitation_body(invitation: Result<OpenInvitation, ConsoleError>, token: String) -> AnyView {
    let OpenInvitation { account, email, role, invited_by, reader } = match invitation {
        Ok(invitation) => invitation,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let sign_in = format!("/sign-in?next={}", Url::escape(&format!("/invitation?token={token}")));
    let body = match reader {
        Invited::Themselves => view! {
            <FormError error=error_of(AcceptInvitation::PATH) />
            <form method="post" action=AcceptInvitation::PATH>
                <input type="hidden" name="token" value=token />
                <button class="button button-primary" type="submit">"Join"</button>
            </form>
        }
        .into_any(),
        Invited::SomebodyElse(other) => {
            view! { <p>{format!("You are signed in as {other}. Sign out, and open the link again as {email}.")}</p> }.into_any()
        }
        Invited::ToSignIn => view! { <a class="button button-primary" href=sign_in>{format!("Sign in as {email}")}</a> }.into_any(),
        Invited::ToSignUp => {
            let error = error_of(SignUpInvited::PATH);
            view! {
                <p>{format!("Choose a password, with which you sign in as {email}.")}</p>
                <FormError error />
                <form method="post" action=SignUpInvited::PATH>
                    <input type="hidden" name="token" value=token />
                    <PasswordField error autocomplete="new-password" hint="8 characters or more. Long and memorable beats short and clever." />
                    <button class="button button-primary" type="submit">"Sign up and join"</button>
                </form>
            }
            .into_any()
        }
    };
    view! {
        <p>{format!("{invited_by} invites you to the account “{account}” as {}.", role.words().to_lowercase())}</p>
        {body}
    }
    .into_any()
}
