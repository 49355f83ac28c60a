//! Calls and totals as other pages show them too: the table of calls, each with why it was charged what it was, and the periods.

use crate::islands::copy::CopyButton;
use crate::suppliers::types::{millionths, multiplier};
use crate::ui::amount::{ExactTokens, TokenAmount};
use crate::ui::utc_time::{UtcTime, day};
use crate::usage::types::{CallOutcome, CallView, ChargeBasis, CostLine, Draw, PeriodTotals, UsageTotals, duration};
use leptos::prelude::*;

/// Today, the last 7 and the last 30 days.
#[component]
pub fn TotalsCards(totals: UsageTotals) -> impl IntoView {
    view! {
        <div class="cards">
            <PeriodCard title="Today (UTC)" period=totals.today />
            <PeriodCard title="Last 7 days" period=totals.last_7_days />
            <PeriodCard title="Last 30 days" period=totals.last_30_days />
        </div>
    }
}

#[component]
fn PeriodCard(title: &'static str, period: PeriodTotals) -> impl IntoView {
    let calls = match period.calls {
        1 => "1 call".to_string(),
        n => format!("{} calls", crate::tokens::Tokens(n).exact()),
    };
    view! {
        <div class="card stat">
            <span>{title}</span>
            <span><TokenAmount tokens=period.charged /></span>
            <span>
                "charged for " {calls} ": " <TokenAmount tokens=period.input /> " in, " <TokenAmount tokens=period.output /> " out"
            </span>
        </div>
    }
}

const COLUMNS: &str = "9";

/// Calls, newest first. Under each, to unfold, the sum it was charged and the grants that paid.
#[component]
pub fn CallsTable(calls: Vec<CallView>) -> impl IntoView {
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Time"</th>
                        <th scope="col">"Key"</th>
                        <th scope="col">"Model"</th>
                        <th scope="col" class="number">"Input"</th>
                        <th scope="col" class="number">"Cached"</th>
                        <th scope="col" class="number">"Output"</th>
                        <th scope="col" class="number">"Charge"</th>
                        <th scope="col">"Outcome"</th>
                        <th scope="col" class="number">"Latency"</th>
                    </tr>
                </thead>
                <tbody>{calls.into_iter().map(call_rows).collect_view()}</tbody>
            </table>
        </div>
    }
}

fn call_rows(call: CallView) -> impl IntoView {
    view! {
        <tr id=call.request_id.to_string()>
            <td data-label="Time"><UtcTime time=call.started_at.clone() /></td>
            <td data-label="Key"><a href=format!("/keys/{}", call.key_id)>{call.key_name.clone()}</a></td>
            <td data-label="Model" class="mono">{call.model_id.clone()}</td>
            <td data-label="Input" class="number"><TokenAmount tokens=call.input /></td>
            <td data-label="Cached" class="number"><TokenAmount tokens=call.cached /></td>
            <td data-label="Output" class="number"><TokenAmount tokens=call.output /></td>
            <td data-label="Charge" class="number"><ExactTokens tokens=call.charge /></td>
            <td data-label="Outcome"><span class=outcome_class(call.outcome)>{call.outcome.words()}</span></td>
            <td data-label="Latency" class="number">{duration(call.latency_ms)}</td>
        </tr>
        <tr class="call-why">
            <td colspan=COLUMNS>
                <details>
                    <summary>{format!("Why {} Tokens", call.charge.exact())}</summary>
                    {explanation(call)}
                </details>
            </td>
        </tr>
    }
}

fn outcome_class(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Ok => "badge badge-ok",
        CallOutcome::ClientLeft | CallOutcome::KeyEnded => "badge badge-quiet",
        CallOutcome::UpstreamCut | CallOutcome::Interrupted => "badge badge-warn",
        CallOutcome::UpstreamError | CallOutcome::UpstreamTimeout => "badge badge-bad",
    }
}

fn explanation(call: CallView) -> impl IntoView {
    let lines = call.cost_lines();
    let sum = call.cost_sum();
    view! {
        <div class="stack">
            <ul class="call-sum">
                {lines.into_iter().map(cost_line).collect_view()}
                <li>{format!("Together {}, rounded up once: ", millionths(sum))} <strong>{call.cost().exact()}</strong></li>
            </ul>
            <p>{verdict(&call)}</p>
            {paid_from(call.drawn.clone())}
            <dl class="facts">
                <div>
                    <dt>"Request"</dt>
                    <dd class="row">
                        <span class="mono">{call.request_id.to_string()}</span>
                        <CopyButton text=call.request_id.to_string() label="Copy".to_string() />
                    </dd>
                </div>
                <div>
                    <dt>"Basis"</dt>
                    <dd>{call.basis.words()}</dd>
                </div>
                <div>
                    <dt>"Multipliers"</dt>
                    <dd>
                        {format!(
                            "input {}, cached input {}, output {} (price version {})",
                            multiplier(call.price.input_ppm),
                            multiplier(call.price.cached_ppm),
                            multiplier(call.price.output_ppm),
                            call.price_version,
                        )}
                    </dd>
                </div>
                <div>
                    <dt>"Held while it ran"</dt>
                    <dd><ExactTokens tokens=call.held /></dd>
                </div>
                <div>
                    <dt>"First byte"</dt>
                    <dd>{call.first_byte_ms.map_or_else(|| "none came".to_string(), duration)}</dd>
                </div>
                <div>
                    <dt>"Endpoint"</dt>
                    <dd>{format!("{}{}", call.endpoint, if call.streamed { ", streamed" } else { "" })}</dd>
                </div>
            </dl>
        </div>
    }
}

fn cost_line(line: CostLine) -> impl IntoView {
    view! { <li>{format!("{}: {} at {} = {}", line.kind, line.tokens.exact(), multiplier(line.ppm), millionths(line.cost))}</li> }
}

/// The step from what a call cost to what it was charged.
fn verdict(call: &CallView) -> String {
    match call.basis {
        ChargeBasis::Waived => "Nothing was delivered, so nothing was charged.".to_string(),
        _ if call.written_off.0 > 0 => format!(
            "Charged {}: no more than was held for it. The other {} are written off, not taken from you.",
            call.charge.exact(),
            call.written_off.exact()
        ),
        _ => format!("Charged {}.", call.charge.exact()),
    }
}

fn paid_from(drawn: Vec<Draw>) -> Option<impl IntoView> {
    (!drawn.is_empty()).then(|| {
        view! {
            <p>"Paid from:"</p>
            <ul>
                {drawn
                    .into_iter()
                    .map(|draw| {
                        let source = draw.source.word();
                        view! {
                            <li>
                                {format!("{} Tokens of ", draw.tokens.exact())}
                                {match draw.order_id {
                                    Some(order_id) => view! { <a href=format!("/orders/{order_id}")>"an order"</a> }.into_any(),
                                    None => view! { <span>{format!("a grant ({})", source.to_lowercase())}</span> }.into_any(),
                                }}
                                ", which expires on " {day(draw.expires_at)}
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        }
    })
}
