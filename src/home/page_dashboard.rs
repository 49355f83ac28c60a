//! The dashboard: what is left, until when, where it goes, and what to do next.

use crate::accounts::page_rights::{HeadForBuyers, who_makes_keys};
use crate::accounts::types_members::Role;
use crate::error::ConsoleError;
use crate::home::page_burn_down::BurnDownChart;
use crate::home::page_next::{step_words, who_can};
use crate::home::server_fns::read_dashboard;
use crate::home::types::{CallOutcome, Dashboard, DayUsage, Expiry, FirstSteps, RecentCall};
use crate::html::Escaped;
use crate::preferences::time_zone;
use crate::tokens::Tokens;
use crate::ui::amount::{TokenAmount, amount_html};
use crate::ui::badge::{BadgeKind, badge_html};
use crate::ui::chart::{Bucket, Colours, Series, StackedBars};
use crate::ui::empty_state::EmptyState;
use crate::ui::failure::Failure;
use crate::ui::page_data::{address_with, with_data};
use crate::ui::stat::{Change, Stat};
use crate::ui::utc_time::{UtcTime, time_html};
use crate::wallet::page_forecast::ForecastNote;
use crate::wallet::types::Forecast;
use crate::{push, t, tv};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn DashboardPage() -> impl IntoView {
    let dashboard = read_dashboard();
    view! {
        <Title text=t!("Dashboard") />
        <HeadForBuyers title=t!("Dashboard") />
        {with_data(dashboard, dashboard_view)}
    }
    .into_any()
}

fn dashboard_view(dashboard: Result<Dashboard, ConsoleError>) -> AnyView {
    let dashboard = match dashboard {
        Ok(dashboard) => dashboard,
        Err(error) => return view! { <Failure error /> }.into_any(),
    };
    let (figures, days) = (figures(&dashboard), days_chart(&dashboard));
    let Dashboard { balance, forecast, burn_down, expiries, steps, calls, .. } = dashboard;
    let may_create = steps.role >= Role::Member;
    // Each part is kept up to date by itself: what somebody is at, or has opened, waits, and nothing else does. What may be empty stands
    // all the same, to be filled.
    view! {
        <div data-live="steps">{steps.next().map(|_| view! { <Checklist steps /> })}</div>
        <BalanceCard balance forecast expiries />
        <div data-live="burn-down">{burn_down.map(|burn_down| view! { <BurnDownChart burn_down /> })}</div>
        {figures}
        <div data-live="days">{days}</div>
        <div data-live="calls">
            <RecentCalls calls may_create />
        </div>
    }
    .into_any()
}

#[component]
fn Checklist(steps: FirstSteps) -> impl IntoView {
    let items = steps.all().into_iter().map(|(step, done)| {
        let (text, href, label) = step_words(step, steps);
        // Only the first open step is offered: one thing to do next.
        let offered = (steps.offered() == Some(step)).then(|| {
            view! {
                <a class="button" href=href>
                    {label}
                </a>
            }
        });
        let open_to_others = steps.next() == Some(step) && offered.is_none();
        view! {
            <li class:done=done>
                <span>
                    {text} {done.then(|| view! { <span class="visually-hidden">" " {t!("(done)")}</span> })}
                    {open_to_others.then(|| view! { <span class="muted">" " {who_can(step)}</span> })}
                </span>
                {offered}
            </li>
        }
    });
    view! {
        <section class="card stack">
            <h2>{t!("Three steps to your first answer")}</h2>
            <ol class="checklist">{items.collect_view()}</ol>
        </section>
    }
}

#[component]
fn BalanceCard(balance: Tokens, forecast: Option<Forecast>, expiries: Vec<Expiry>) -> impl IntoView {
    // Of an empty wallet there is nothing to foretell.
    let forecast = forecast.filter(|_| balance > Tokens(0)).map(|forecast| view! { <ForecastNote forecast /> });
    let ending: i64 = expiries.iter().map(|expiry| expiry.tokens.0).sum();
    let later = Tokens(balance.0 - ending);
    view! {
        <section class="card balance" data-live="balance">
            <div>
                <Stat label=t!("Balance in Tokens")>
                    <TokenAmount tokens=balance />
                </Stat>
                {forecast}
            </div>
            <Expiries expiries later />
        </section>
    }
}

/// The balance, split by when it ends.
#[component]
fn Expiries(expiries: Vec<Expiry>, later: Tokens) -> impl IntoView {
    if expiries.is_empty() {
        return view! { <p class="muted">{t!("Bought Tokens appear here, with the day they end.")}</p> }.into_any();
    }
    let rows = expiries.into_iter().map(|expiry| {
        view! {
            <dt>{tv!("Ends {time}", time = view! { <UtcTime time=expiry.at /> })}</dt>
            <dd class="number">
                <TokenAmount tokens=expiry.tokens />
            </dd>
        }
    });
    view! {
        <dl class="facts">
            {rows.collect_view()}
            {(later > Tokens(0))
                .then(|| {
                    view! {
                        <dt>
                            <a href="/wallet">{t!("Later")}</a>
                        </dt>
                        <dd class="number">
                            <TokenAmount tokens=later />
                        </dd>
                    }
                })}
        </dl>
    }
    .into_any()
}

/// What was called and charged of late.
fn figures(dashboard: &Dashboard) -> AnyView {
    let today = dashboard.today();
    let yesterday = dashboard.yesterday().map_or(Tokens(0), |day| day.charge);
    let (calls, failed, charge) = today.map_or((0, 0, Tokens(0)), |day| (day.calls, day.failed, day.charge));
    let failed = if failed == 0 { t!("none failed").to_string() } else { t!("{calls} failed", calls = Tokens(failed).exact()) };
    let failed = Some(failed.into_any());
    let yesterday = Some(tv!("{tokens} yesterday", tokens = view! { <TokenAmount tokens=yesterday /> }).into_any());
    let [week, before] = [0, 1].map(|weeks| dashboard.charged_in_week(weeks));
    let change = Change { now: week, before, since: t!("the 7 days before") };
    view! {
        <div class="cards" data-live="figures">
            <section class="card">
                <Stat label=t!("Calls today") note=failed>
                    {Tokens(calls).exact()}
                </Stat>
            </section>
            <section class="card">
                <Stat label=t!("Tokens charged today") note=yesterday>
                    <TokenAmount tokens=charge />
                </Stat>
            </section>
            <section class="card">
                <Stat label=t!("Tokens charged in the last 7 full days") change>
                    <TokenAmount tokens=week />
                </Stat>
            </section>
        </div>
    }
    .into_any()
}

/// What was charged on each day, by model. Nothing before the first call: what to do then is said below.
fn days_chart(dashboard: &Dashboard) -> AnyView {
    if !dashboard.steps.has_called {
        return ().into_any();
    }
    let series = dashboard.charges_by_model().into_iter().map(|(model, values)| Series { name: model.into(), values }).collect();
    // A day leads to its hours, as on the page of usage.
    let bucket = |(place, day): (usize, &DayUsage)| {
        let (from, to) = dashboard.range.bucket(place, time_zone());
        Bucket::day(day.day, Some(address_with("/usage", [("from", from.as_str()), ("to", to.as_str())])))
    };
    view! {
        <section class="card">
            <div class="page-head">
                <h2>{t!("Tokens charged by day")}</h2>
                <a href="/usage">{t!("Usage")}</a>
            </div>
            <StackedBars
                id="days"
                label=t!("Tokens charged by day and model, the last {days} days", days = dashboard.days.len())
                heading=t!("Day")
                buckets=dashboard.days.iter().enumerate().map(bucket).collect()
                series
                colours=Colours::of(&dashboard.models)
            />
        </section>
    }
    .into_any()
}

/// `may_create`: whoever may not make a key is not led to make one.
#[component]
fn RecentCalls(calls: Vec<RecentCall>, may_create: bool) -> impl IntoView {
    if calls.is_empty() {
        let title = t!("No calls yet");
        if may_create {
            let text = t!("Create a key, give it to your OpenAI client, and its calls appear here.");
            return view! { <EmptyState title text action_href="/keys" action_label=t!("Go to API keys") /> }.into_any();
        }
        let text = who_makes_keys();
        return view! { <EmptyState title text action_href="/settings/members" action_label=t!("See the members") /> }.into_any();
    }
    let mut rows = String::new();
    calls.iter().for_each(|call| push_call(&mut rows, call));
    view! {
        <section class="stack">
            <div class="page-head">
                <h2>{t!("Last calls")}</h2>
                <a href="/usage">{t!("All usage")}</a>
            </div>
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{t!("Time")}</th>
                            <th scope="col">{t!("Key")}</th>
                            <th scope="col">{t!("Model")}</th>
                            <th scope="col">{t!("Outcome")}</th>
                            <th class="number" scope="col">{t!("Tokens charged")}</th>
                        </tr>
                    </thead>
                    <tbody inner_html=rows></tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// As text, like the calls on the page of usage.
fn push_call(rows: &mut String, call: &RecentCall) {
    let (kind, word) = match call.outcome {
        CallOutcome::Completed => (BadgeKind::Ok, t!("Completed")),
        CallOutcome::Stopped => (BadgeKind::Quiet, t!("Stopped")),
        CallOutcome::Failed => (BadgeKind::Bad, t!("Failed")),
    };
    push!(rows, r#"<tr><td data-label="{}">{}</td>"#, t!("Time"), time_html(call.started_at));
    push!(rows, r#"<td data-label="{}">{}</td>"#, t!("Key"), Escaped(&call.key_name));
    push!(rows, r#"<td data-label="{}" class="mono">{}</td>"#, t!("Model"), Escaped(&call.model_id));
    push!(rows, r#"<td data-label="{}">{}</td>"#, t!("Outcome"), badge_html(kind, word));
    push!(rows, r#"<td data-label="{}" class="number">{} "#, t!("Tokens charged"), amount_html(call.charge));
    let label = t!("Why {tokens} Tokens", tokens = call.charge.grouped());
    push!(rows, r#"<a href="/usage?call={}" aria-label="{label}">{}</a></td></tr>"#, call.request_id, t!("Why"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;
    use uuid::Uuid;

    #[test]
    fn a_call_leads_to_why_it_was_charged_and_no_name_is_markup() {
        let nil = Uuid::nil();
        let call = RecentCall {
            request_id: RequestId(nil),
            started_at: serde_json::from_str("\"2026-02-04T05:06:07Z\"").expect("a moment"),
            key_name: "<b>".into(),
            model_id: "a&b".into(),
            charge: Tokens(12),
            outcome: CallOutcome::Stopped,
        };
        let mut row = String::new();
        push_call(&mut row, &call);
        let cells = [
            format!(r#"<tr><td data-label="Time">{}</td>"#, time_html(call.started_at)),
            r#"<td data-label="Key">&lt;b&gt;</td><td data-label="Model" class="mono">a&amp;b</td>"#.into(),
            r#"<td data-label="Outcome"><span class="badge badge-quiet">Stopped</span></td>"#.into(),
            r#"<td data-label="Tokens charged" class="number"><data class="tokens" value="12">12</data> "#.into(),
            format!(r#"<a href="/usage?call={nil}" aria-label="Why 12 Tokens">Why</a></td></tr>"#),
        ];
        assert_eq!(row, cells.concat());
    }
}
