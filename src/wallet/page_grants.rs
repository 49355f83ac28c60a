//! The grants of a wallet: what may still pay, in its order, and what is over.

use crate::catalog::page::scope_text;
use crate::ui::amount::TokenAmount;
use crate::ui::utc_time::{UtcTime, validity};
use crate::wallet::page_forecast::grant_end;
use crate::wallet::types::{Forecast, GrantSource, GrantTurn, GrantView};
use crate::{t, tv};
use leptos::prelude::*;

/// `ended`: the last of `ended_count`. Each kind is kept up to date for itself: what somebody has opened waits until it is closed.
#[component]
pub fn Grants(grants: Vec<GrantView>, ended: Vec<GrantView>, ended_count: u64, forecast: Option<Forecast>) -> impl IntoView {
    let grants = if grants.is_empty() {
        view! {
            <div class="empty">
                <p>{t!("No Tokens here at the moment. A package brings some, and they can be spent at once.")}</p>
                <a class="button" href="/products">{t!("See the packages")}</a>
            </div>
        }
        .into_any()
    } else {
        view! { <GrantTable grants forecast /> }.into_any()
    };
    let shown = ended.len() as u64;
    let cut = (ended_count > shown)
        .then(|| view! { <p class="muted">{t!("The last {shown} of {all} are shown.", shown = shown, all = ended_count)}</p> });
    let ended = (!ended.is_empty()).then(|| {
        view! {
            <details>
                <summary>{t!("Used up and expired grants")}</summary>
                <div class="stack">{cut} <GrantTable grants=ended forecast=None /></div>
            </details>
        }
    });
    view! {
        <h2>{t!("Grants")}</h2>
        <p class="muted">{t!("In the order they pay: limited to a supplier or model first, then what expires soonest.")}</p>
        <div class="sections" data-live="wallet-grants">{grants}</div>
        <div class="wallet-ended" data-live="wallet-ended">{ended}</div>
    }
}

#[component]
fn GrantTable(grants: Vec<GrantView>, forecast: Option<Forecast>) -> impl IntoView {
    let rows = grants.into_iter().map(|grant| {
        let end = forecast.as_ref().and_then(|forecast| forecast.of_grant(&grant)).and_then(grant_end);
        grant_row(grant, end)
    });
    let rows = rows.collect_view();
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Grant")}</th>
                        <th scope="col">{t!("Pays for")}</th>
                        <th scope="col" class="number">{t!("Left")}</th>
                        <th scope="col" class="number">{t!("Held")}</th>
                        <th scope="col">{t!("Expires")}</th>
                        <th scope="col">{t!("Turn")}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn grant_row(grant: GrantView, end: Option<AnyView>) -> impl IntoView {
    let (class, turn) = turn_badge(grant.turn);
    let source = source_word(grant.source);
    let scope = scope_text(&grant.scope, t!("Every supplier and model"));
    let over = matches!(grant.turn, GrantTurn::UsedUp | GrantTurn::Expired);
    let left = (!over).then(|| view! { <p class="muted">{time_left(grant.ends_in_s)}</p> });
    let starts = (grant.turn == GrantTurn::NotStarted)
        .then(|| view! { <p class="muted">{tv!("from {time}", time = view! { <UtcTime time=grant.starts_at /> })}</p> });
    view! {
        <tr>
            <td data-label=t!("Grant")>
                {match grant.order_id {
                    Some(order_id) => view! { <a href=format!("/orders/{order_id}")>{source}</a> }.into_any(),
                    None => view! { <span>{source}</span> }.into_any(),
                }}
                {grant.note.map(|note| view! { <p class="muted">{note}</p> })}
            </td>
            <td data-label=t!("Pays for")>{scope}</td>
            <td data-label=t!("Left") class="number grant-left">
                {tv!(
                    "{part} of {whole}",
                    part = view! { <TokenAmount tokens=grant.left /> },
                    whole = view! { <TokenAmount tokens=grant.tokens /> },
                )}
                <progress max=grant.tokens.0.to_string() value=grant.left.0.to_string() aria-label=t!("Left of this grant") />
            </td>
            <td data-label=t!("Held") class="number"><TokenAmount tokens=grant.held /></td>
            <td data-label=t!("Expires")><UtcTime time=grant.expires_at /> {left} {starts} {end}</td>
            <td data-label=t!("Turn")><span class=class>{turn}</span></td>
        </tr>
    }
}

fn source_word(source: GrantSource) -> &'static str {
    match source {
        GrantSource::Order => t!("Order"),
        GrantSource::Credit => t!("Credit"),
        GrantSource::Code => t!("Redemption code"),
        GrantSource::Transfer => t!("Transfer"),
    }
}

fn turn_badge(turn: GrantTurn) -> (&'static str, &'static str) {
    match turn {
        GrantTurn::PaysNext => ("badge badge-ok", t!("Pays next")),
        GrantTurn::PaysNextInScope => ("badge badge-ok", t!("Pays next, for these only")),
        GrantTurn::Waiting => ("badge badge-quiet", t!("Waits its turn")),
        GrantTurn::NotStarted => ("badge badge-quiet", t!("Not begun")),
        GrantTurn::Frozen => ("badge badge-warn", t!("Frozen")),
        GrantTurn::UsedUp => ("badge badge-quiet", t!("Used up")),
        GrantTurn::Expired => ("badge badge-bad", t!("Expired")),
    }
}

/// How long it is until something ends: whole days, else hours, else minutes, never more than there are.
fn time_left(seconds: i64) -> String {
    match [86_400, 3_600, 60].into_iter().find(|unit| seconds >= *unit) {
        Some(unit) => t!("in {time}", time = validity(seconds - seconds % unit)),
        None => t!("in less than a minute").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::{Language, speaking};

    #[test]
    fn time_left_is_whole_units_rounded_down() {
        for (seconds, words) in [
            (12 * 86_400 + 86_399, "in 12 days"),
            (2 * 86_400, "in 2 days"),
            (2 * 86_400 - 1, "in 1 day"),
            (86_400, "in 1 day"),
            (86_399, "in 23 hours"),
            (5 * 3_600 + 1_800, "in 5 hours"),
            (3_600, "in 1 hour"),
            (3_599, "in 59 minutes"),
            (119, "in 1 minute"),
            (59, "in less than a minute"),
            (0, "in less than a minute"),
            (-5, "in less than a minute"),
        ] {
            assert_eq!(time_left(seconds), words, "{seconds}");
        }
        assert_eq!(speaking(Language::Chinese, || time_left(5 * 3_600 + 59)), "5 小时后");
    }
}
