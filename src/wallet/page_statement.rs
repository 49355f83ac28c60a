//! The ledger as a statement: what happened, how many Tokens, what was in the wallet after it, and why.

use crate::error::ConsoleError;
use crate::html::Escaped;
use crate::ui::amount::exact_html;
use crate::ui::control::DayFields;
use crate::ui::empty_state::EmptyState;
use crate::ui::form::FormError;
use crate::ui::page_data::{address_with, of_address};
use crate::ui::pages::Pages;
use crate::ui::tabs::{Tab, Tabs};
use crate::ui::utc_time::time_html;
use crate::wallet::types::{Cause, EntryView, Movement, Statement, Which};
use crate::{push, t};
use leptos::prelude::*;

/// What of the ledger the page's address asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub entries: String,
    pub from: String,
    pub to: String,
    /// From what this order brought.
    pub order: String,
    pub before: String,
}

impl Asked {
    pub fn of_address() -> Asked {
        Asked {
            entries: of_address("entries"),
            from: of_address("from"),
            to: of_address("to"),
            order: of_address("order"),
            before: of_address("before"),
        }
    }

    /// The newest entries of the same kind and days: what links start from.
    fn newest(&self) -> Asked {
        Asked { order: String::new(), before: String::new(), ..self.clone() }
    }

    fn of_kind(&self, which: Which) -> Asked {
        let entries = if which == Which::All { String::new() } else { which.as_str().into() };
        Asked { entries, ..self.newest() }
    }

    fn which(&self) -> Which {
        Which::parse(&self.entries).unwrap_or_default()
    }

    fn is_newest(&self) -> bool {
        self.order.is_empty() && self.before.is_empty()
    }

    fn address(&self) -> String {
        let page = [("order", self.order.as_str()), ("before", self.before.as_str())];
        format!("{}#statement", address_with("/wallet", self.filter().into_iter().chain(page)))
    }

    fn filter(&self) -> [(&str, &str); 3] {
        [("entries", self.entries.as_str()), ("from", self.from.as_str()), ("to", self.to.as_str())]
    }
}

/// The statement, and what it can be asked for. What is wrong with that is told here; what was typed stays.
#[component]
pub fn StatementPart(statement: Result<Statement, ConsoleError>, asked: Asked, may_redeem: bool) -> impl IntoView {
    let which = asked.which();
    let tabs = Which::ALL.map(|each| Tab { name: which_words(each).into(), href: asked.of_kind(each).address(), here: each == which });
    let error = statement.as_ref().err().copied();
    let export = error.is_none().then(|| {
        view! {
            <a class="button" href=address_with("/api/wallet/export", asked.filter()) rel="external" download="ledger.csv">
                {t!("Download as CSV")}
            </a>
        }
    });
    let entries = statement.ok().map(|statement| entries_view(statement, &asked, may_redeem));
    view! {
        <div class="row row-between">
            <Tabs label=t!("Entries") tabs=tabs.to_vec() />
            {export}
        </div>
        <FormError error />
        <DaysForm asked error />
        <div class="sections" data-live="wallet-statement">{entries}</div>
    }
}

/// Days that are typed are those of the kind of entries that is shown.
#[component]
fn DaysForm(asked: Asked, error: Option<ConsoleError>) -> impl IntoView {
    let which = asked.which();
    let kind = (which != Which::All).then(|| view! { <input type="hidden" name="entries" value=which.as_str() /> });
    let clear = (asked.newest() != Asked::default())
        .then(|| view! { <a class="button button-quiet" href=Asked::default().address()>{t!("Show all")}</a> });
    view! {
        <form method="get" action="/wallet#statement">
            {kind}
            <div class="row filters">
                <DayFields id="entries" from=asked.from to=asked.to error />
                <button class="button" type="submit">{t!("Filter")}</button>
                {clear}
            </div>
        </form>
    }
}

fn entries_view(statement: Statement, asked: &Asked, may_redeem: bool) -> AnyView {
    let newest = (!asked.is_newest()).then(|| asked.newest().address());
    let older = statement.older.map(|before| Asked { before: before.to_string(), ..asked.newest() }.address());
    let entries = if !statement.entries.is_empty() {
        entries_table(statement.entries, asked.which())
    } else if *asked != Asked::default() {
        view! { <p class="empty">{t!("No entry here.")}</p> }.into_any()
    } else {
        // Whoever may not redeem may not buy either: above it says who may.
        let (action_href, action_label) =
            if may_redeem { ("#code", t!("Redeem a code")) } else { ("/settings/members", t!("See the members")) };
        view! {
            <EmptyState
                title=t!("Nothing in the ledger yet")
                text=t!("Every Token that comes or goes is written down in this place, for good.")
                action_href
                action_label
            />
        }
        .into_any()
    };
    view! {
        {entries}
        <Pages label=t!("Pages of the ledger") newest newer=None older />
    }
    .into_any()
}

fn which_words(which: Which) -> &'static str {
    match which {
        Which::All => t!("Everything"),
        Which::Calls => t!("Calls"),
        Which::Others => t!("Without calls"),
    }
}

/// About what a row takes.
const ROW_HTML: usize = 640;

fn entries_table(entries: Vec<EntryView>, which: Which) -> AnyView {
    let all = which == Which::All;
    let mut rows = String::with_capacity(entries.len() * ROW_HTML);
    entries.iter().for_each(|entry| push_entry(&mut rows, entry));
    view! {
        <div class="table-wrap">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t!("Time")}</th>
                        <th scope="col">{t!("What happened")}</th>
                        <th scope="col" class="number">{t!("Tokens")}</th>
                        {all.then(|| view! { <th scope="col" class="number">{t!("In the wallet after")}</th> })}
                        <th scope="col">{t!("Cause")}</th>
                    </tr>
                </thead>
                <tbody inner_html=rows></tbody>
            </table>
        </div>
        {all
            .then(|| {
                view! {
                    <p class="muted">
                        {t!("Tokens held for running calls are still in the wallet here; what a call costs leaves it when the call ends.")}
                    </p>
                }
            })}
    }
    .into_any()
}

/// As text: a page has twenty-five of them.
fn push_entry(rows: &mut String, entry: &EntryView) {
    push!(rows, r#"<tr id="entry-{}"><td data-label="{}""#, entry.entry_id, t!("Time"));
    // What an order brought is linked to by the order's page, which knows no number of an entry.
    if let (Movement::Bought, Cause::Order { order_id, .. }) = (entry.movement, &entry.cause) {
        push!(rows, r#" id="{order_id}""#);
    }
    push!(rows, ">{}</td>", time_html(entry.at));
    push!(rows, r#"<td data-label="{}">{}</td>"#, t!("What happened"), movement_word(entry.movement));
    let plus = if entry.tokens.0 > 0 { "+" } else { "" };
    push!(rows, r#"<td data-label="{}" class="number">{plus}{}</td>"#, t!("Tokens"), entry.tokens.grouped());
    if let Some(after) = entry.after {
        push!(rows, r#"<td data-label="{}" class="number">{}</td>"#, t!("In the wallet after"), exact_html(after));
    }
    push!(rows, r#"<td data-label="{}">"#, t!("Cause"));
    push_cause(rows, &entry.cause);
    rows.push_str("</td></tr>");
}

fn movement_word(movement: Movement) -> &'static str {
    match movement {
        Movement::Bought => t!("Bought"),
        Movement::Credited => t!("Credited"),
        Movement::Redeemed => t!("Redeemed"),
        Movement::Spent => t!("Spent"),
        Movement::Expired => t!("Expired"),
        Movement::Refunded => t!("Refunded"),
        Movement::Returned => t!("Refund failed, returned"),
        Movement::TakenBack => t!("Taken back"),
        Movement::Received => t!("Received"),
        Movement::Transferred => t!("Transferred"),
        Movement::RolledOver => t!("Rolled over"),
    }
}

fn push_cause(rows: &mut String, cause: &Cause) {
    match cause {
        Cause::Order { order_id, package_name } => {
            let words = t!("Order: {package}", package = Escaped(package_name));
            push!(rows, r#"<a href="/orders/{order_id}">{words}</a>"#);
        }
        Cause::Call { request_id, model_id, key_name } => {
            let words = t!("Call to {model}", model = Escaped(model_id));
            push!(rows, r#"<a href="/usage?call={request_id}#{request_id}">{words}</a><p class="muted">{}</p>"#, Escaped(key_name));
        }
        Cause::Operator { note } => push!(rows, "{}", Escaped(note.as_deref().unwrap_or(t!("Booked by an operator")))),
        Cause::Code { note } => push!(rows, "{}", Escaped(note.as_deref().unwrap_or(t!("Redemption code")))),
        Cause::Expiry => rows.push_str(t!("The grant's time was over")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{OrderId, RequestId};
    use crate::tokens::Tokens;
    use uuid::Uuid;

    fn row(movement: Movement, tokens: i64, after: Option<i64>, cause: Cause) -> String {
        let at = serde_json::from_str("\"2026-02-04T05:06:07Z\"").expect("a moment");
        let mut row = String::new();
        push_entry(&mut row, &EntryView { entry_id: 7, at, movement, tokens: Tokens(tokens), after: after.map(Tokens), cause });
        row
    }

    #[test]
    fn an_entry_leads_to_its_cause_and_what_people_write_is_no_markup() {
        let (order_id, request_id) = (OrderId(Uuid::nil()), RequestId(Uuid::nil()));
        let nil = Uuid::nil();
        let bought = row(Movement::Bought, 1_000, Some(1_234), Cause::Order { order_id, package_name: "<b> & co".into() });
        let begin = format!(r#"<tr id="entry-7"><td data-label="Time" id="{nil}"><time datetime="2026-02-04T05:06:07Z""#);
        assert!(bought.starts_with(&begin), "{bought}");
        let numbers = concat!(
            r#"<td data-label="What happened">Bought</td><td data-label="Tokens" class="number">+1,000</td>"#,
            r#"<td data-label="In the wallet after" class="number"><data class="tokens" value="1234">1,234</data></td>"#,
        );
        let cause = format!(r#"<td data-label="Cause"><a href="/orders/{nil}">Order: &lt;b&gt; &amp; co</a></td></tr>"#);
        assert!(bought.ends_with(&format!("{numbers}{cause}")), "{bought}");

        let spent = row(Movement::Spent, -1, None, Cause::Call { request_id, model_id: "a<b".into(), key_name: "\"c\"".into() });
        assert!(spent.starts_with(r#"<tr id="entry-7"><td data-label="Time"><time"#), "{spent}");
        assert!(spent.contains(r#"class="number">-1</td><td data-label="Cause">"#), "{spent}");
        let cause = format!(r#"<a href="/usage?call={nil}#{nil}">Call to a&lt;b</a><p class="muted">&quot;c&quot;</p></td></tr>"#);
        assert!(spent.ends_with(&cause), "{spent}");

        let noted = row(Movement::Credited, 5, None, Cause::Operator { note: Some("<i>".into()) });
        assert!(noted.ends_with(r#"<td data-label="Cause">&lt;i&gt;</td></tr>"#), "{noted}");
        let refunded = row(Movement::Refunded, -5, None, Cause::Order { order_id, package_name: "Starter".into() });
        assert!(refunded.starts_with(r#"<tr id="entry-7"><td data-label="Time"><time"#), "an order is linked to where it came: {refunded}");
    }

    #[test]
    fn kind_and_days_are_kept_from_page_to_page_and_in_the_file() {
        assert_eq!(Asked::default().address(), "/wallet#statement");
        let asked = Asked { entries: "calls".into(), from: "2026-11-01".into(), before: "7".into(), ..Asked::default() };
        assert_eq!(asked.address(), "/wallet?entries=calls&from=2026-11-01&before=7#statement");
        assert_eq!(asked.newest().address(), "/wallet?entries=calls&from=2026-11-01#statement");
        assert_eq!(asked.of_kind(Which::All).address(), "/wallet?from=2026-11-01#statement");
        assert_eq!(address_with("/api/wallet/export", asked.filter()), "/api/wallet/export?entries=calls&from=2026-11-01");
        assert!(!asked.is_newest() && asked.newest().is_newest() && !Asked { order: "x".into(), ..Asked::default() }.is_newest());
    }
}
