//! What a member uses of the account's Tokens, and the limits that an admin sets to it.

use crate::accounts::server_fns_members::SetMemberLimits;
use crate::accounts::types_members::MemberUse;
use crate::error::Field;
use crate::ids::UserId;
use crate::tokens::Tokens;
use crate::ui::amount::TokenAmount;
use crate::ui::form::{FormError, Labelled, error_of};
use crate::ui::last_form::typed;
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

/// Sets both limits. Open again, with what was typed, when they were refused.
#[component]
pub fn MemberLimitsForm(user_id: UserId, email: String, usage: MemberUse) -> impl IntoView {
    let mine = typed(SetMemberLimits::PATH, "user_id", "") == user_id.to_string();
    let error = error_of(SetMemberLimits::PATH).filter(|_| mine);
    let failed = error.is_some();
    let value = |name: &str, saved: Option<Tokens>| match failed {
        true => typed(SetMemberLimits::PATH, name, ""),
        false => saved.map(Tokens::exact).unwrap_or_default(),
    };
    let month = value("month_quota", usage.limits.month_quota);
    let ever = value("quota", usage.limits.quota);
    let input = move |name: &'static str, value: String| {
        let id = format!("{name}-{user_id}");
        view! {
            <input
                id=id.clone()
                name=name
                type="text"
                inputmode="numeric"
                autocomplete="off"
                value=value
                aria-describedby=format!("{id}-error {id}-hint")
            />
        }
    };
    view! {
        <details class="confirm" open=failed>
            <summary class="button button-quiet">
                {t!("Limits…")} <span class="visually-hidden">{format!(" {email}")}</span>
            </summary>
            <form method="post" action=SetMemberLimits::PATH>
                <input type="hidden" name="user_id" value=user_id.to_string() />
                <FormError error />
                <Labelled
                    id=format!("month_quota-{user_id}")
                    label=t!("Tokens a month")
                    field=Field::MonthQuota
                    error
                    hint=t!("Calendar months, UTC. Empty means no limit.")
                >
                    {input("month_quota", month)}
                </Labelled>
                <Labelled
                    id=format!("quota-{user_id}")
                    label=t!("Tokens in all")
                    field=Field::Quota
                    error
                    hint=t!("Counts what their keys ever used, keys that they took over too. Empty means no limit.")
                >
                    {input("quota", ever)}
                </Labelled>
                <button class="button" type="submit">
                    {t!("Set the limits")}
                </button>
            </form>
        </details>
    }
}
