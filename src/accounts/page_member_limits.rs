//! What a member uses of the account's Tokens, and the limits that an admin sets to it.

use crate::accounts::server_fns_members::SetMemberLimits;
use crate::accounts::types_members::{MemberLimits, MemberUse, MemberView};
use crate::error::{ConsoleError, Field};
use crate::ids::UserId;
use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::form::{FormError, Labelled, error_of};
use crate::ui::last_form::typed;
use crate::ui::overlay::{CloseDialog, Dialog, DialogActions, OpenDialog};
use crate::ui::quota::QuotaBar;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// What the member used this month and in all: in a bar where there is a limit, in a line where there is none.
#[component]
pub fn MemberUsage(usage: MemberUse) -> impl IntoView {
    let MemberUse { used, used_this_month, limits } = usage;
    let amount = |tokens| view! { <TokenAmount tokens /> };
    let month = tv!("{tokens} this month", tokens = amount(used_this_month)).into_any();
    let ever = tv!("{tokens} in all", tokens = amount(used)).into_any();
    view! {
        <div class="member-use">
            {used_of(limits.month_quota, used_this_month, [t!("This month"), t!("Tokens of the month")], month)}
            {used_of(limits.quota, used, [t!("In all"), t!("Tokens in all")], ever)}
        </div>
    }
}

/// `said`: what stands above the bar, and what is read out of it. `plain`: what stands there without a limit.
fn used_of(limit: Option<Tokens>, used: Tokens, said: [&'static str; 2], plain: AnyView) -> AnyView {
    let Some(all) = limit else { return view! { <p>{plain}</p> }.into_any() };
    let left = Tokens(all.0.saturating_sub(used.0).max(0));
    view! {
        <p>{said[0]}</p>
        <QuotaBar all left label=said[1] />
    }
    .into_any()
}

/// What a member may spend, behind a button: an entry of their menu, or one by itself.
#[component]
pub fn LimitsDialog(
    user_id: UserId,
    email: String,
    limits: MemberLimits,
    /// Of the button.
    class: &'static str,
) -> impl IntoView {
    let id = format!("limits-{user_id}");
    let saved = |limit: Option<Tokens>| limit.map(Tokens::exact).unwrap_or_default();
    view! {
        <OpenDialog id=id.clone() class=class>
            {t!("Limits…")}
        </OpenDialog>
        <Dialog id=id.clone() title=t!("Limits of {person}", person = email)>
            <LimitsForm user_id id=id.clone() month=saved(limits.month_quota) ever=saved(limits.quota) error=None>
                <CloseDialog id=id class="button button-quiet">
                    {t!("Cancel")}
                </CloseDialog>
            </LimitsForm>
        </Dialog>
    }
}

/// The limits that were refused, with what was typed, on the page itself: no answer of a server opens a dialog.
pub fn refused_limits(members: &[MemberView], admin: bool) -> Option<AnyView> {
    let error = error_of(SetMemberLimits::PATH)?;
    let typed = |name| typed(SetMemberLimits::PATH, name, "");
    let user_id = typed("user_id");
    let member = members.iter().find(|member| admin && member.user_id.to_string() == user_id);
    let Some(member) = member else { return Some(view! { <FormError error=Some(error) /> }.into_any()) };
    let (user_id, person) = (member.user_id, &member.email);
    let form = view! {
        <section class="card stack">
            <h2>{t!("Limits of {person}", person = person)}</h2>
            <LimitsForm user_id id="limits" month=typed("month_quota") ever=typed("quota") error=Some(error) />
        </section>
    };
    Some(form.into_any())
}

/// Sets both limits. `id`: what the ids of its fields begin with; the children stand beside its button.
#[component]
fn LimitsForm(
    user_id: UserId,
    #[prop(into)] id: String,
    month: String,
    ever: String,
    error: Option<ConsoleError>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let [month_id, ever_id] = ["month_quota", "quota"].map(|name| format!("{id}-{name}"));
    let input = |id: &str, name: &'static str, value: String| {
        view! {
            <input
                id=id.to_string()
                name=name
                type="text"
                inputmode="numeric"
                autocomplete="off"
                value=value
                aria-describedby=format!("{id}-error {id}-hint")
            />
        }
    };
    let (month, ever) = (input(&month_id, "month_quota", month), input(&ever_id, "quota", ever));
    view! {
        <form class="stack" method="post" action=SetMemberLimits::PATH>
            <input type="hidden" name="user_id" value=user_id.to_string() />
            <FormError error />
            <Labelled
                id=month_id
                label=t!("Tokens a month")
                field=Field::MonthQuota
                error
                hint=t!("Calendar months, UTC. Empty means no limit.")
            >
                {month}
            </Labelled>
            <Labelled
                id=ever_id
                label=t!("Tokens in all")
                field=Field::Quota
                error
                hint=t!("Counts what their keys ever used; of keys that they took over, what was used since then. Empty means no limit.")
            >
                {ever}
            </Labelled>
            <DialogActions>
                <button class="button" type="submit">
                    {t!("Set the limits")}
                </button>
                {children.map(|children| children())}
            </DialogActions>
        </form>
    }
}
