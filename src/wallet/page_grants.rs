//! The grants of a wallet: what may still pay, in its order, and what is over.

use crate::accounts::page_rights::who_buys;
use crate::catalog::page::scope_text;
use crate::html::Escaped;
use crate::ui::amount::amount_html;
use crate::ui::utc_time::{time_html, validity};
use crate::wallet::page_forecast::grant_end;
use crate::wallet::types::{Forecast, GrantCourse, GrantSource, GrantTurn, GrantView};
use crate::{push, t};
use leptos::prelude::*;
use std::fmt::Display;

/// `ended`: the last of `ended_count`. Each kind is kept up to date for itself: what somebody has opened waits until it is closed.
#[component]
pub fn Grants(grants: Vec<GrantView>, ended: Vec<GrantView>, ended_count: u64, forecast: Option<Forecast>, may_buy: bool) -> impl IntoView {
    let grants = if !grants.is_empty() {
        view! { <GrantTable grants forecast /> }.into_any()
    } else if may_buy {
        view! {
            <div class="empty">
                <p>{t!("No Tokens here at the moment. A package brings some, and they can be spent at once.")}</p>
                <a class="button" href="/products">{t!("See the packages")}</a>
            </div>
        }
        .into_any()
    } else {
        view! {
            <div class="empty">
                <p>{t!("No Tokens here at the moment.")} " " {who_buys()}</p>
                <a class="button" href="/settings/members">{t!("See the members")}</a>
            </div>
        }
        .into_any()
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

/// About what a row takes.
const ROW_HTML: usize = 1_536;

#[component]
fn GrantTable(grants: Vec<GrantView>, forecast: Option<Forecast>) -> impl IntoView {
    let mut rows = String::with_capacity(grants.len() * ROW_HTML);
    for grant in &grants {
        push_grant(&mut rows, grant, forecast.as_ref().and_then(|forecast| forecast.of_grant(grant)));
    }
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
                <tbody inner_html=rows></tbody>
            </table>
        </div>
    }
}

/// As text: a wallet has many grants, once they have ended.
fn push_grant(rows: &mut String, grant: &GrantView, course: Option<GrantCourse>) {
    let name = Escaped(grant.package_name.as_deref().unwrap_or_else(|| source_word(grant.source)));
    push!(rows, r#"<tr><td data-label="{}">"#, t!("Grant"));
    match grant.order_id {
        Some(order_id) => push!(rows, r#"<a href="/orders/{order_id}">{name}</a>"#),
        None => push!(rows, "<span>{name}</span>"),
    }
    if let Some(note) = &grant.note {
        push_muted(rows, Escaped(note));
    }
    let scope = scope_text(&grant.scope, t!("Every supplier and model"));
    push!(rows, r#"</td><td data-label="{}">{}</td>"#, t!("Pays for"), Escaped(&scope));
    let left = t!("{part} of {whole}", part = amount_html(grant.left), whole = amount_html(grant.tokens));
    push!(rows, r#"<td data-label="{}" class="number grant-left">{left}"#, t!("Left"));
    let label = t!("Left of this grant");
    push!(rows, r#"<progress max="{}" value="{}" aria-label="{label}"></progress></td>"#, grant.tokens.0, grant.left.0);
    push!(rows, r#"<td data-label="{}" class="number">{}</td>"#, t!("Held"), amount_html(grant.held));
    push!(rows, r#"<td data-label="{}">{}"#, t!("Expires"), time_html(grant.expires_at));
    if !matches!(grant.turn, GrantTurn::UsedUp | GrantTurn::Expired) {
        push_muted(rows, time_left(grant.ends_in_s));
    }
    if grant.turn == GrantTurn::NotStarted {
        push_muted(rows, t!("from {time}", time = time_html(grant.starts_at)));
    }
    if let Some(words) = course.and_then(grant_end) {
        push_muted(rows, words);
    }
    let (class, turn) = turn_badge(grant.turn);
    push!(rows, r#"</td><td data-label="{}"><span class="{class}">{turn}</span></td></tr>"#, t!("Turn"));
}

fn push_muted(rows: &mut String, words: impl Display) {
    push!(rows, r#"<p class="muted">{words}</p>"#);
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
    use crate::ids::{GrantId, OrderId};
    use crate::tokens::Tokens;
    use crate::wallet::types::GrantEnd;
    use uuid::Uuid;

    fn grant(turn: GrantTurn, order_id: Option<OrderId>) -> GrantView {
        let moment = |text: &str| serde_json::from_str(&format!("\"{text}\"")).expect("a moment");
        GrantView {
            grant_id: GrantId(Uuid::nil()),
            source: GrantSource::Order,
            order_id,
            package_name: order_id.map(|_| "R&D".into()),
            note: Some("<b>".into()),
            tokens: Tokens(900),
            left: Tokens(7),
            held: Tokens(0),
            spent: Tokens(893),
            expired: Tokens(0),
            refunded: Tokens(0),
            starts_at: moment("2026-02-04T05:06:07Z"),
            expires_at: moment("2026-03-04T05:06:07Z"),
            ends_in_s: 7_200,
            scope: vec!["a&b".into(), "c".into()],
            turn,
        }
    }

    #[test]
    fn a_grant_says_what_it_is_what_is_left_and_until_when() {
        let row = |grant: &GrantView, end: GrantEnd| {
            let mut row = String::new();
            let course = GrantCourse { grant_id: grant.grant_id, likely: end, slow: end, fast: end };
            push_grant(&mut row, grant, Some(course));
            row
        };
        let (tokens, nil) = (|n| format!(r#"<data class="tokens" value="{n}">{n}</data>"#), Uuid::nil());
        let waiting = grant(GrantTurn::NotStarted, Some(OrderId(nil)));
        let [from, until] = [waiting.starts_at, waiting.expires_at].map(time_html);
        let cells = [
            format!(r#"<tr><td data-label="Grant"><a href="/orders/{nil}">R&amp;D</a><p class="muted">&lt;b&gt;</p></td>"#),
            r#"<td data-label="Pays for">a&amp;b, c</td>"#.into(),
            format!(r#"<td data-label="Left" class="number grant-left">{} of {}"#, tokens(7), tokens(900)),
            r#"<progress max="900" value="7" aria-label="Left of this grant"></progress></td>"#.into(),
            format!(r#"<td data-label="Held" class="number">{}</td>"#, tokens(0)),
            format!(r#"<td data-label="Expires">{until}<p class="muted">in 2 hours</p><p class="muted">from {from}</p>"#),
            format!(r#"<p class="muted">about {} not used by then</p></td>"#, tokens(3)),
            r#"<td data-label="Turn"><span class="badge badge-quiet">Not begun</span></td></tr>"#.into(),
        ];
        assert_eq!(row(&waiting, GrantEnd::Unused(Tokens(3))), cells.concat());

        let over = row(&grant(GrantTurn::UsedUp, None), GrantEnd::Later);
        assert!(over.starts_with(r#"<tr><td data-label="Grant"><span>Order</span>"#), "{over}");
        assert!(over.contains(&format!(r#"{until}</td><td data-label="Turn">"#)), "nothing about its end: {over}");
        let unnamed = row(&GrantView { package_name: None, ..waiting }, GrantEnd::Later);
        assert!(unnamed.contains(&format!(r#"<a href="/orders/{nil}">Order</a>"#)), "{unnamed}");
    }

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
