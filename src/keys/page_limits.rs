//! The limits of a key beside its quota: what they are, and the form that sets them.

use crate::error::{ConsoleError, Field};
use crate::ids::KeyId;
use crate::keys::page::Quota;
use crate::keys::server_fns::LimitKey;
use crate::keys::types_limits::{KeyLimits, Period};
use crate::tokens::Tokens;
use crate::ui::form::{FormDone, FormError, Labelled, Submit, error_of};
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// The limits that a key has, for the list of its facts; nothing when it has none.
#[component]
pub fn LimitFacts(limits: KeyLimits) -> impl IntoView {
    let fact = |name: &'static str, value: AnyView| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    let counted = |limit: Option<i32>, what: &'static str| limit.map(|limit| format!("{limit} {what}"));
    let rates = [
        counted(limits.requests_per_minute, "calls a minute"),
        limits.tokens_per_minute.map(|limit| format!("{} Tokens a minute", limit.exact())),
        counted(limits.concurrent_calls, "at once"),
    ];
    let rates: Vec<String> = rates.into_iter().flatten().collect();
    let listed = |list: Vec<String>| (!list.is_empty()).then(|| list.join(", "));
    view! {
        {limits
            .period
            .map(|period| {
                let quota = view! {
                    <Quota quota=Some(period.quota) spent=period.used held=Tokens(0) />
                    <p class="muted">"Begins anew " <UtcTime time=period.ends_at /></p>
                };
                fact(per(period.period), quota.into_any())
            })}
        {(!rates.is_empty()).then(|| fact("Rate", rates.join(", ").into_any()))}
        {listed(limits.models).map(|models| fact("Models", models.into_any()))}
        {listed(limits.networks).map(|networks| fact("Networks", networks.into_any()))}
    }
}

fn per(period: Period) -> &'static str {
    match period {
        Period::Day => "Quota of the day",
        Period::Week => "Quota of the week",
        Period::Month => "Quota of the month",
    }
}

#[component]
pub fn LimitsForm(key_id: KeyId, limits: KeyLimits) -> impl IntoView {
    let error = error_of(LimitKey::PATH);
    let number = |limit: Option<i32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let period = limits.period.as_ref();
    let chosen = period.map(|period| period.period);
    let quota = period.map(|period| period.quota.exact()).unwrap_or_default();
    let zone = period.map_or_else(|| "UTC".to_string(), |period| period.time_zone.clone());
    let words = |period: Period| match period {
        Period::Day => "A day",
        Period::Week => "A week, from Monday",
        Period::Month => "A month",
    };
    view! {
        <section class="card stack key-form" id="limits">
            <h2>"Limits"</h2>
            <p class="muted">"Whatever is empty is not limited. Your wallet and the key’s quota hold in any case."</p>
            <FormError error />
            <FormDone path=LimitKey::PATH>"Saved. The next call sees it."</FormDone>
            <form method="post" action=LimitKey::PATH>
                <input type="hidden" name="key_id" value=key_id.to_string() />
                <Labelled id="period" label="Tokens of a period" field=Field::PeriodQuota error hint="Beside the quota for ever; begins anew by itself.">
                    <div class="row">
                        <input name="limits[period_quota]" type="text" inputmode="numeric" autocomplete="off" aria-label="Tokens" value=quota />
                        <select id="period" name="limits[period]" aria-describedby="period-error">
                            <option value="">"No such quota"</option>
                            {Period::ALL
                                .map(|period| {
                                    view! { <option value=period.as_str() selected=chosen == Some(period)>{words(period)}</option> }
                                })
                                .into_iter()
                                .collect_view()}
                        </select>
                    </div>
                </Labelled>
                <TextField id="time_zone" label="Where its day begins" field=Field::TimeZone error value=zone hint="A time zone like Europe/Zurich." />
                <TextField id="requests_per_minute" label="Calls a minute" field=Field::RequestsPerMinute error value=number(limits.requests_per_minute) />
                <TextField
                    id="tokens_per_minute"
                    label="Tokens a minute"
                    field=Field::TokensPerMinute
                    error
                    value=limits.tokens_per_minute.map(Tokens::exact).unwrap_or_default()
                    hint="What a running call may cost counts until it has ended."
                />
                <TextField id="concurrent_calls" label="Calls at once" field=Field::ConcurrentCalls error value=number(limits.concurrent_calls) />
                <ListField id="models" label="Only these models" field=Field::Models error value=limits.models hint="One on each line, as the page of models calls them." />
                <ListField id="networks" label="Only from these networks" field=Field::Networks error value=limits.networks hint="One on each line, like 203.0.113.0/24 or 2001:db8::1." />
                <Submit>"Save limits"</Submit>
            </form>
        </section>
    }
}

#[component]
fn TextField(
    id: &'static str,
    label: &'static str,
    field: Field,
    error: Option<ConsoleError>,
    value: String,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    view! {
        <Labelled id label field error hint>
            <input id=id name=format!("limits[{id}]") type="text" autocomplete="off" value=value aria-describedby=format!("{id}-error") />
        </Labelled>
    }
}

#[component]
fn ListField(
    id: &'static str,
    label: &'static str,
    field: Field,
    error: Option<ConsoleError>,
    value: Vec<String>,
    hint: &'static str,
) -> impl IntoView {
    view! {
        <Labelled id label field error hint>
            <textarea id=id name=format!("limits[{id}]") rows="3" autocomplete="off" spellcheck="false" aria-describedby=format!("{id}-error")>
                {value.join("\n")}
            </textarea>
        </Labelled>
    }
}
