//! What an admin does with a member: another role, limits, the end of the membership. A menu in the member's row, and behind each entry a
//! dialog that names them.

use crate::accounts::page_member_limits::LimitsDialog;
use crate::accounts::page_words::role_word;
use crate::accounts::server_fns_members::{RemoveMember, SetMemberRole};
use crate::accounts::types_members::{MemberView, Role};
use crate::ids::UserId;
use crate::t;
use crate::ui::overlay::{AskingForm, Menu};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

#[component]
pub fn MemberMenu(member: MemberView) -> impl IntoView {
    let MemberView { user_id, email, role, keys, usage, you, .. } = member;
    let limits = usage.limits;
    // The owner's role is handed over, and one's own membership ended, further down. What is left for the owner needs no menu.
    if role == Role::Owner {
        return view! { <LimitsDialog user_id email limits class="button button-quiet" /> }.into_any();
    }
    let remove = (!you).then(|| view! { <li><RemoveDialog user_id email=email.clone() keys /></li> });
    view! {
        <Menu id=format!("menu-{user_id}") label=t!("More for {name}", name = email)>
            <li><RoleDialog user_id email=email.clone() chosen=role /></li>
            <li><LimitsDialog user_id email=email limits class="" /></li>
            {remove}
        </Menu>
    }
    .into_any()
}

#[component]
fn RoleDialog(user_id: UserId, email: String, chosen: Role) -> impl IntoView {
    let (id, select_id) = (format!("role-{user_id}"), format!("role-{user_id}-select"));
    view! {
        <AskingForm
            id
            opens=t!("Change the role…")
            class=""
            title=t!("Role of {person}", person = email)
            action=SetMemberRole::PATH
            does=t!("Change the role")
            harmless=true
        >
            <input type="hidden" name="user_id" value=user_id.to_string() />
            <div class="field">
                <label for=select_id.clone()>{t!("Role")}</label>
                <RoleSelect id=select_id chosen />
            </div>
        </AskingForm>
    }
}

/// The roles that an admin can give; `id` is what a label is for, and begins the ids of its hint and its error.
#[component]
pub fn RoleSelect(#[prop(into)] id: String, chosen: Role) -> impl IntoView {
    let described_by = format!("{id}-hint {id}-error");
    let option = |role: Role| view! { <option value=role.as_str() selected=role == chosen>{role_word(role)}</option> };
    view! {
        <select name="role" id=id aria-describedby=described_by>
            {Role::GIVEN.map(option).into_iter().collect_view()}
        </select>
    }
}

/// Says what follows, and asks what becomes of the member's keys.
#[component]
fn RemoveDialog(user_id: UserId, email: String, keys: i64) -> impl IntoView {
    view! {
        <AskingForm
            id=format!("remove-{user_id}")
            opens=t!("Remove…")
            class="menu-danger"
            title=t!("Remove {person}?", person = email)
            action=RemoveMember::PATH
            does=t!("Remove {person}", person = email)
        >
            <input type="hidden" name="user_id" value=user_id.to_string() />
            <p>{t!("Their sessions in this account end at once.")}</p>
            <KeysChoice keys />
        </AskingForm>
    }
}

/// What becomes of the keys that somebody made, when they go. Who made none is not asked.
#[component]
fn KeysChoice(keys: i64) -> impl IntoView {
    if keys == 0 {
        return view! { <input type="hidden" name="keys" value="disable" /> }.into_any();
    }
    view! {
        <fieldset class="stack">
            <legend>{t!("Keys made in this account: {keys}", keys = keys)}</legend>
            <label>
                <input type="radio" name="keys" value="disable" checked />
                " "
                {t!("Disable: programs that call with them stop")}
            </label>
            <label>
                <input type="radio" name="keys" value="hand_over" />
                " "
                {t!("Make them mine: programs go on")}
            </label>
            <p class="field-hint">{t!("Whoever knows the secret of a key that is not disabled can still call with it. Make new secrets soon.")}</p>
        </fieldset>
    }
    .into_any()
}
