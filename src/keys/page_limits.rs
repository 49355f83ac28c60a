//! The limits of a key beside its quota: what they are, and the form that sets them.

use crate::error::{ConsoleError, Field};
use crate::ids::KeyId;
use crate::keys::page::Quota;
use crate::keys::server_fns::LimitKey;
use crate::keys::types_limits::{KeyLimits, Period, PeriodQuota};
use crate::tokens::Tokens;
use crate::ui::control::TextArea;
use crate::ui::fact::Fact;
use crate::ui::form::{FormDone, FormError, Labelled, LineField, error_of, invalid};
use crate::ui::last_form::typed;
use crate::ui::utc_time::UtcTime;
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// The limits that a key has, for the list of its facts; nothing when it has none.
#[component]
pub fn LimitFacts(limits: KeyLimits) -> impl IntoView {
    let fact = |label: &'static str, value: AnyView| view! { <Fact label>{value}</Fact> };
    let rates = [
        limits.requests_per_minute.map(|limit| match limit {
            1 => t!("1 call a minute").to_string(),
            calls => t!("{calls} calls a minute", calls = calls),
        }),
        limits.tokens_per_minute.map(|limit| t!("{tokens} Tokens a minute", tokens = limit.exact())),
        limits.concurrent_calls.map(|limit| t!("{calls} at once", calls = limit)),
    ];
    let rates: Vec<String> = rates.into_iter().flatten().collect();
    let listed = |list: Vec<String>| (!list.is_empty()).then(|| list.join(t!(", ")));
    view! {
        {limits
            .period
            .map(|period| {
                let quota = view! {
                    <Quota quota=Some(period.quota) spent=period.used held=Tokens(0) />
                    <p class="muted">{tv!("Begins anew {time}", time = view! { <UtcTime time=period.ends_at /> })}</p>
                };
                fact(per(period.period), quota.into_any())
            })}
        {listed(rates).map(|rates| fact(t!("Rate"), rates.into_any()))}
        {listed(limits.models).map(|models| fact(t!("Models"), models.into_any()))}
        {listed(limits.networks).map(|networks| fact(t!("Networks"), networks.into_any()))}
    }
}

fn per(period: Period) -> &'static str {
    match period {
        Period::Day => t!("Quota of the day"),
        Period::Week => t!("Quota of the week"),
        Period::Month => t!("Quota of the month"),
    }
}

#[component]
pub fn LimitsForm(key_id: KeyId, limits: KeyLimits) -> impl IntoView {
    let error = error_of(LimitKey::PATH);
    let number = |limit: Option<i32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    view! {
        <section class="card stack key-form" id="limits">
            <h2>{t!("Limits")}</h2>
            <p class="muted">{t!("Whatever is empty is not limited. Your wallet and the key’s quota hold in any case.")}</p>
            <FormError error />
            <FormDone path=LimitKey::PATH>{t!("Saved. The next call sees it.")}</FormDone>
            <form method="post" action=LimitKey::PATH class="fields-grid">
                <input type="hidden" name="key_id" value=key_id.to_string() />
                <PeriodFields error period=limits.period />
                <div class="fields-row">
                    <TextField
                        id="requests_per_minute"
                        label=t!("Calls a minute")
                        field=Field::RequestsPerMinute
                        error
                        saved=number(limits.requests_per_minute)
                    />
                    <TextField
                        id="tokens_per_minute"
                        label=t!("Tokens a minute")
                        field=Field::TokensPerMinute
                        error
                        saved=limits.tokens_per_minute.map(Tokens::exact).unwrap_or_default()
                        hint=t!("What a running call may cost counts until it has ended.")
                    />
                    <TextField
                        id="concurrent_calls"
                        label=t!("Calls at once")
                        field=Field::ConcurrentCalls
                        error
                        saved=number(limits.concurrent_calls)
                    />
                </div>
                <ListField
                    id="models"
                    label=t!("Only these models")
                    field=Field::Models
                    error
                    saved=limits.models
                    hint=t!("One on each line, as the page of models calls them.")
                />
                <ListField
                    id="networks"
                    label=t!("Only from these networks")
                    field=Field::Networks
                    error
                    saved=limits.networks
                    hint=t!("One on each line, like 203.0.113.0/24 or 2001:db8::1.")
                />
                <button class="button" type="submit">
                    {t!("Save limits")}
                </button>
            </form>
        </section>
    }
}

/// The quota that begins anew, and where its day begins.
#[component]
fn PeriodFields(error: Option<ConsoleError>, period: Option<PeriodQuota>) -> impl IntoView {
    // Either may be what is wrong: they are one without the other.
    let wrong = invalid(error, Field::PeriodQuota);
    let saved = period.as_ref();
    let chosen = typed_limit("period", saved.map(|period| period.period.as_str()).unwrap_or_default());
    let quota = typed_limit("period_quota", saved.map(|period| period.quota.exact()).unwrap_or_default());
    let zone = saved.map_or_else(|| "UTC".to_string(), |period| period.time_zone.clone());
    let words = |period: Period| match period {
        Period::Day => t!("A day"),
        Period::Week => t!("A week, from Monday"),
        Period::Month => t!("A month"),
    };
    view! {
        <Labelled
            id="period"
            label=t!("Tokens of a period")
            field=Field::PeriodQuota
            error
            hint=t!("Beside the quota for ever; begins anew by itself.")
            marked_inside=true
        >
            <div class="row period-quota">
                <input
                    name="limits[period_quota]"
                    type="text"
                    inputmode="numeric"
                    autocomplete="off"
                    aria-label=t!("Tokens")
                    value=quota
                    aria-invalid=wrong
                    aria-describedby="period-hint period-error"
                />
                <select id="period" name="limits[period]" aria-invalid=wrong aria-describedby="period-hint period-error">
                    <option value="">{t!("No such quota")}</option>
                    {Period::ALL
                        .map(|period| {
                            let selected = period.as_str() == chosen;
                            view! { <option value=period.as_str() selected=selected>{words(period)}</option> }
                        })
                        .into_iter()
                        .collect_view()}
                </select>
            </div>
        </Labelled>
        <TextField
            id="time_zone"
            label=t!("Where its day begins")
            field=Field::TimeZone
            error
            saved=zone
            hint=t!("A time zone like Europe/Zurich.")
        />
    }
}

/// What a failed form had in the field of a limit, else the limit that is saved.
fn typed_limit(id: &str, saved: impl Into<String>) -> String {
    typed(LimitKey::PATH, &format!("limits[{id}]"), saved)
}

#[component]
fn TextField(
    id: &'static str,
    label: &'static str,
    field: Field,
    error: Option<ConsoleError>,
    saved: String,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    view! { <LineField id name=format!("limits[{id}]") label field error hint value=typed_limit(id, saved) /> }
}

#[component]
fn ListField(
    id: &'static str,
    label: &'static str,
    field: Field,
    error: Option<ConsoleError>,
    saved: Vec<String>,
    hint: &'static str,
) -> impl IntoView {
    let lines = typed_limit(id, saved.join("\n"));
    view! {
        <Labelled id label field error hint>
            <TextArea id name=format!("limits[{id}]") text=lines described_by=format!("{id}-hint {id}-error") />
        </Labelled>
    }
}
