//! Calls and totals as other pages show them too: the table of calls, each with why it was charged what it was, and the periods.

use crate::html::{Escaped, escaped};
use crate::ids::KeyId;
use crate::islands::explain::Explain;
use crate::suppliers::types::{millionths, multiplier};
use crate::tokens::{Tokens, grouped};
use crate::ui::amount::{ExactTokens, amount_html, exact_html};
use crate::ui::chart::{Colours, Series, StackedBars};
use crate::ui::copy::CopyButton;
use crate::ui::stat::stat_card_html;
use crate::ui::utc_time::{day, time_html};
use crate::usage::page::Asked;
use crate::usage::page_totals::buckets;
use crate::usage::range::Range;
use crate::usage::types::{CallOutcome, CallView, ChargeBasis, CostLine, Draw, REFUSED_BY_SUPPLIER, TokenKind, duration, error_section};
use crate::usage::types_totals::{Sums, UsageTotals};
use crate::wallet::types::GrantSource;
use crate::{push, t, tv};
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// Today, the last 7 and the last 30 days.
#[component]
pub fn TotalsCards(totals: UsageTotals) -> impl IntoView {
    let mut html = String::from(r#"<div class="cards">"#);
    let periods = [(t!("Today"), totals.today), (t!("Last 7 days"), totals.last_7_days), (t!("Last 30 days"), totals.last_30_days)];
    for (title, period) in periods {
        push!(html, "{}", stat_card_html(title, amount_html(period.charged), charged_for_html(period)));
    }
    html.push_str("</div>");
    InertElement::new(html)
}

fn charged_for_html(Sums { calls, input, output, .. }: Sums) -> String {
    let (input, output) = (amount_html(input), amount_html(output));
    match calls {
        1 => t!("charged for 1 call: {input} in, {output} out", input = input, output = output),
        n => {
            let calls = grouped(n);
            t!("charged for {calls} calls: {input} in, {output} out", calls = calls, input = input, output = output)
        }
    }
}

/// What a key was charged on each day of the month; a day leads to its calls. `key_ids`: all of the account, the oldest first, which give
/// the key the colour that it has on the usage page.
#[component]
pub fn KeySpending(key_id: KeyId, key_ids: Vec<KeyId>, month: Range, spent: Vec<Tokens>) -> impl IntoView {
    let asked = Asked { key: key_id.to_string(), ..Asked::default() };
    let label = t!("Tokens charged to this key, {from} to {to}", from = day(month.start().into()), to = day(month.last()));
    let name = t!("Charged");
    // The key's colour by its id: what its series is called here differs between languages.
    let named = |id: KeyId| if id == key_id { name.to_string() } else { String::new() };
    let colours = Colours::of_named(key_ids.into_iter().map(|id| (id.to_string(), named(id))));
    let series = vec![Series { name: name.into(), values: spent }];
    view! {
        <div class="card">
            <StackedBars id="spending" label heading=t!("Day") buckets=buckets(&month, &asked) series colours />
        </div>
    }
}

/// Of a table of calls.
const COLUMNS: &str = "9";

/// About what a row takes.
const ROW_HTML: usize = 1_536;

/// Calls, newest first. Each leads to the sum it was charged and the grants that paid, which unfold under it where there is a script;
/// `explained`: they stand there from the beginning. `of_key`: all are of one key, which need not be named. `asked`: what the usage page
/// was asked for where they are listed, which a call's own page leads back to; from a key's page it leads to the usage page of that key.
#[component]
pub fn CallsTable(
    calls: Vec<CallView>,
    #[prop(optional)] explained: bool,
    #[prop(optional)] of_key: bool,
    #[prop(optional)] asked: Asked,
) -> impl IntoView {
    let why = match calls.first() {
        Some(call) if of_key => why_html(&Asked { key: call.key_id.to_string(), ..asked }),
        _ => why_html(&asked),
    };
    let mut rows = String::with_capacity(calls.len() * ROW_HTML);
    for call in calls {
        push_call(&mut rows, call, explained, of_key, &why);
    }
    view! {
        <div class="table-wrap calls">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Time")}</th>
                        {(!of_key).then(|| view! { <th scope="col">{t!("Key")}</th> })}
                        <th scope="col">{t!("Model")}</th>
                        <th scope="col" class="number">{t!("Input")}</th>
                        <th scope="col" class="number">{t!("Cached")}</th>
                        <th scope="col" class="number">{t!("Output")}</th>
                        <th scope="col" class="number">{t!("Charge")}</th>
                        <th scope="col">{t!("Outcome")}</th>
                        <th scope="col" class="number">{t!("Latency")}</th>
                    </tr>
                </thead>
                <tbody inner_html=rows></tbody>
            </table>
            {(!explained).then(|| view! { <Explain /> })}
        </div>
    }
}

/// How the address of a call's own page begins, up to the call's id.
fn why_html(asked: &Asked) -> String {
    let list = Asked { call: String::new(), ..asked.clone() }.address();
    let and = if list.contains('?') { '&' } else { '?' };
    escaped(&format!("{list}{and}call="))
}

/// As text: a page has fifty of them, each with a dozen elements.
fn push_call(rows: &mut String, call: CallView, explained: bool, of_key: bool, why: &str) {
    push!(rows, r#"<tr id="{}">"#, call.request_id);
    push!(rows, r#"<td data-label="{}">{}</td>"#, t!("Time"), time_html(call.started_at));
    if !of_key {
        push!(rows, r#"<td data-label="{}"><a href="/keys/{}">{}</a></td>"#, t!("Key"), call.key_id, Escaped(&call.key_name));
    }
    push!(rows, r#"<td data-label="{}" class="mono">{}</td>"#, t!("Model"), Escaped(&call.model_id));
    for (label, tokens) in [(t!("Input"), call.input), (t!("Cached"), call.cached), (t!("Output"), call.output)] {
        push!(rows, r#"<td data-label="{label}" class="number">{}</td>"#, amount_html(tokens));
    }
    push!(rows, r#"<td data-label="{}" class="number">{}"#, t!("Charge"), exact_html(call.charge));
    if !explained {
        let label = t!("Why {tokens} Tokens", tokens = call.charge.grouped());
        push!(rows, r#" <a href="{why}{}" aria-label="{label}" data-why="">{}</a>"#, call.request_id, t!("Why"));
    }
    let (class, words) = (outcome_class(call.outcome), outcome_words(call.outcome));
    push!(rows, r#"</td><td data-label="{}"><span class="{class}">{words}</span>"#, t!("Outcome"));
    if let Some(section) = error_section(call.outcome, call.http_status) {
        push!(rows, " {}", code_html(section));
    }
    push!(rows, r#"</td><td data-label="{}" class="number">{}</td></tr>"#, t!("Latency"), duration(call.latency_ms));
    if explained {
        push!(rows, r#"<tr class="call-why"><td colspan="{COLUMNS}">{}</td></tr>"#, explanation(call).to_html());
    }
}

/// An error's code, as a link to what the docs say of it.
#[component]
pub fn ErrorCode(#[prop(into)] section: String) -> impl IntoView {
    InertElement::new(code_html(&section))
}

/// [`ErrorCode`] as text.
fn code_html(section: &str) -> String {
    if section == REFUSED_BY_SUPPLIER {
        return format!(r#"<a href="/docs/errors#{section}">{}</a>"#, t!("refused by the supplier, without a code"));
    }
    let section = Escaped(section);
    format!(r#"<a class="mono" href="/docs/errors#{section}">{section}</a>"#)
}

fn outcome_class(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Ok => "badge badge-ok",
        CallOutcome::ClientLeft | CallOutcome::KeyEnded => "badge badge-quiet",
        CallOutcome::UpstreamCut | CallOutcome::Interrupted => "badge badge-warn",
        CallOutcome::UpstreamError | CallOutcome::UpstreamTimeout => "badge badge-bad",
    }
}

fn outcome_words(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Ok => t!("Completed"),
        CallOutcome::UpstreamError => t!("Supplier failed"),
        CallOutcome::UpstreamTimeout => t!("Supplier too slow"),
        CallOutcome::UpstreamCut => t!("Answer broke off"),
        CallOutcome::ClientLeft => t!("Client left"),
        CallOutcome::KeyEnded => t!("Key or account switched off"),
        CallOutcome::Interrupted => t!("Interrupted on our side"),
    }
}

/// The sum that a call was charged, and the grants that paid.
pub fn explanation(call: CallView) -> impl IntoView {
    let (sum, cost) = (millionths(call.cost_sum()), view! { <strong>{call.cost().exact()}</strong> });
    view! {
        <div class="stack">
            <ul class="call-sum">
                {call.cost_lines().into_iter().map(cost_line).collect_view()}
                <li>{tv!("Together {sum}, rounded up once: {cost}", sum = sum, cost = cost)}</li>
            </ul>
            <p>{verdict(&call)}</p>
            {paid_from(call.drawn.clone())}
            {facts(call)}
        </div>
    }
}

fn cost_line(line: CostLine) -> impl IntoView {
    let kind = match line.kind {
        TokenKind::Input => t!("Input"),
        TokenKind::CachedInput => t!("Cached input"),
        TokenKind::Output => t!("Output"),
    };
    let (tokens, multiplier, cost) = (line.tokens.exact(), multiplier(line.ppm), millionths(line.cost));
    let sum = t!("{kind}: {tokens} at {multiplier} = {cost}", kind = kind, tokens = tokens, multiplier = multiplier, cost = cost);
    view! { <li>{sum}</li> }
}

/// The step from what a call cost to what it was charged.
fn verdict(call: &CallView) -> String {
    match call.basis {
        ChargeBasis::Waived => t!("Nothing was delivered, so nothing was charged.").to_string(),
        _ if call.written_off.0 > 0 => t!(
            "Charged {charge}: no more than was held for it. The other {rest} are written off, not taken from you.",
            charge = call.charge.exact(),
            rest = call.written_off.exact(),
        ),
        _ => t!("Charged {charge}.", charge = call.charge.exact()),
    }
}

fn facts(call: CallView) -> impl IntoView {
    let multipliers = t!(
        "input {input}, cached input {cached}, output {output} (price version {version})",
        input = multiplier(call.price.input_ppm),
        cached = multiplier(call.price.cached_ppm),
        output = multiplier(call.price.output_ppm),
        version = call.price_version,
    );
    view! {
        <dl class="facts">
            <div>
                <dt>{t!("Request")}</dt>
                <dd class="row">
                    <span class="mono">{call.request_id.to_string()}</span>
                    <CopyButton text=call.request_id.to_string() />
                </dd>
            </div>
            <div>
                <dt>{t!("Answered with")}</dt>
                <dd>{answered_with(&call)}</dd>
            </div>
            <div>
                <dt>{t!("Basis")}</dt>
                <dd>{basis_words(call.basis)}</dd>
            </div>
            <div>
                <dt>{t!("Multipliers")}</dt>
                <dd>{multipliers}</dd>
            </div>
            <div>
                <dt>{t!("Held while it ran")}</dt>
                <dd><ExactTokens tokens=call.held /></dd>
            </div>
            <div>
                <dt>{t!("First byte")}</dt>
                <dd>{call.first_byte_ms.map_or_else(|| t!("none came").to_string(), duration)}</dd>
            </div>
            <div>
                <dt>{t!("Endpoint")}</dt>
                <dd>{if call.streamed { t!("{endpoint}, streamed", endpoint = call.endpoint) } else { call.endpoint }}</dd>
            </div>
        </dl>
    }
}

/// The HTTP status, and the error's code where there was one.
fn answered_with(call: &CallView) -> AnyView {
    let status = match call.http_status {
        0 => t!("not known").to_string(),
        status => t!("HTTP status {status}", status = status),
    };
    let code = error_section(call.outcome, call.http_status).map(|section| view! { {t!(", ")} <ErrorCode section /> });
    view! {
        {status}
        {code}
    }
    .into_any()
}

fn basis_words(basis: ChargeBasis) -> &'static str {
    match basis {
        ChargeBasis::Measured => t!("Measured: the supplier's own report"),
        ChargeBasis::Counted => t!("Counted: our tokenizer, over what was sent and what came back"),
        ChargeBasis::Waived => t!("Waived: nothing was delivered, so nothing is charged"),
    }
}

fn paid_from(drawn: Vec<Draw>) -> Option<impl IntoView> {
    (!drawn.is_empty()).then(|| {
        view! {
            <p>{t!("Paid from:")}</p>
            <ul>{drawn.into_iter().map(draw_line).collect_view()}</ul>
        }
    })
}

fn draw_line(draw: Draw) -> impl IntoView {
    let grant = match draw.order_id {
        Some(order_id) => {
            let name = draw.package_name.unwrap_or_else(|| t!("an order").into());
            view! { <a href=format!("/orders/{order_id}")>{name}</a> }.into_any()
        }
        None => grant_words(draw.source).into_any(),
    };
    let (tokens, day) = (draw.tokens.exact(), day(draw.expires_at));
    view! { <li>{tv!("{tokens} Tokens of {grant}, which expires on {day}", tokens = tokens, grant = grant, day = day)}</li> }
}

fn grant_words(source: GrantSource) -> &'static str {
    match source {
        GrantSource::Order => t!("an order"),
        GrantSource::Credit => t!("a grant (credit)"),
        GrantSource::Code => t!("a grant (redemption code)"),
        GrantSource::Transfer => t!("a grant (transfer)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::{Language, speaking};
    use crate::ids::{GrantId, OrderId};
    use crate::usage::range::Preset;
    use chrono::Utc;
    use chrono_tz::Tz;

    #[test]
    fn a_call_leads_back_to_the_list_that_it_stands_in() {
        assert_eq!(why_html(&Asked::default()), "/usage?call=");
        let asked = Asked { range: "7d".into(), model: "a/b".into(), call: "x".into(), before: "y".into(), ..Asked::default() };
        assert_eq!(why_html(&asked), "/usage?range=7d&amp;model=a%2Fb&amp;before=y&amp;call=");
    }

    /// The number of the first colour that a chart has.
    fn colour(view: impl FnOnce() -> AnyView) -> Option<char> {
        let html = Owner::new().with(|| view().to_html());
        html.split("chart-fill series-").nth(1).and_then(|after| after.chars().next())
    }

    #[test]
    fn a_key_has_the_colour_of_the_usage_page_in_every_language() {
        let key_ids: Vec<KeyId> = (1..=5).map(|number| KeyId(uuid::Uuid::from_u128(number))).collect();
        let month = Range::of(Preset::Month, Tz::UTC, Utc::now());
        let spent = vec![Tokens(7); month.starts.len()];
        for (place, key_id) in key_ids.iter().copied().enumerate() {
            let there = colour(|| {
                let colours = Colours::of_named(key_ids.iter().map(|id| (id.to_string(), id.to_string())));
                let series = vec![Series { name: key_id.to_string(), values: spent.clone() }];
                let buckets = buckets(&month, &Asked::default());
                view! { <StackedBars id="usage" label="Keys" heading="Day" buckets series colours /> }.into_any()
            });
            assert!(there.is_some());
            for language in [Language::English, Language::Chinese] {
                let (key_ids, month, spent) = (key_ids.clone(), month.clone(), spent.clone());
                let here = speaking(language, || colour(|| view! { <KeySpending key_id key_ids month spent /> }.into_any()));
                assert_eq!(here, there, "key {place}, {language:?}");
            }
        }
    }

    #[test]
    fn what_paid_is_called_by_the_package_that_was_bought() {
        let order_id = OrderId::generate();
        let line = |order_id: Option<OrderId>, name: Option<&str>| {
            let draw = Draw {
                grant_id: GrantId::generate(),
                tokens: Tokens(1_000),
                source: order_id.map_or(GrantSource::Credit, |_| GrantSource::Order),
                order_id,
                package_name: name.map(Into::into),
                expires_at: Utc::now().into(),
            };
            Owner::new().with(|| draw_line(draw).to_html()).replace("<!>", "")
        };
        let bought = line(Some(order_id), Some("R&D"));
        assert!(bought.contains(&format!(r#"1,000 Tokens of <a href="/orders/{order_id}">R&amp;D</a>, which expires"#)), "{bought}");
        assert!(line(Some(order_id), None).contains(&format!(r#"<a href="/orders/{order_id}">an order</a>"#)));
        assert!(line(None, None).contains("1,000 Tokens of a grant (credit), which expires"));
        let chinese = speaking(Language::Chinese, || line(Some(order_id), Some("Starter")));
        assert!(chinese.contains(&format!(r#"来自<a href="/orders/{order_id}">Starter</a>，"#)), "{chinese}");
    }
}
