//! The ledger as a statement: what happened, how many Tokens, what was in the wallet after it, and why.

use crate::error::ConsoleError;
use crate::t;
use crate::ui::amount::ExactTokens;
use crate::ui::control::DayFields;
use crate::ui::empty_state::EmptyState;
use crate::ui::form::FormError;
use crate::ui::page_data::{address_with, of_address};
use crate::ui::pages::Pages;
use crate::ui::tabs::{Tab, Tabs};
use crate::ui::utc_time::UtcTime;
use crate::wallet::types::{Cause, EntryView, Movement, Statement, Which};
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
        <DaysForm asked />
        <div class="sections" data-live="wallet-statement">{entries}</div>
    }
}

/// Days that are typed are those of the kind of entries that is shown.
#[component]
fn DaysForm(asked: Asked) -> impl IntoView {
    let which = asked.which();
    let kind = (which != Which::All).then(|| view! { <input type="hidden" name="entries" value=which.as_str() /> });
    let clear = (asked.newest() != Asked::default())
        .then(|| view! { <a class="button button-quiet" href=Asked::default().address()>{t!("Show all")}</a> });
    view! {
        <form method="get" action="/wallet#statement">
            {kind}
            <div class="row filters">
                <DayFields id="entries" from=asked.from to=asked.to />
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
        let (action_href, action_label) = if may_redeem { ("#code", t!("Redeem a code")) } else { ("/products", t!("See the packages")) };
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

fn entries_table(entries: Vec<EntryView>, which: Which) -> AnyView {
    let all = which == Which::All;
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
                <tbody>{entries.into_iter().map(entry_row).collect_view()}</tbody>
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

fn entry_row(entry: EntryView) -> impl IntoView {
    // What an order brought is linked to by the order's page, which knows no number of an entry.
    let order_id = match &entry.cause {
        Cause::Order { order_id, .. } if entry.movement == Movement::Bought => Some(order_id.to_string()),
        _ => None,
    };
    let signed = if entry.tokens.0 > 0 { format!("+{}", entry.tokens.exact()) } else { entry.tokens.exact() };
    view! {
        <tr id=format!("entry-{}", entry.entry_id)>
            <td data-label=t!("Time") id=order_id><UtcTime time=entry.at /></td>
            <td data-label=t!("What happened")>{movement_word(entry.movement)}</td>
            <td data-label=t!("Tokens") class="number">{signed}</td>
            {entry.after.map(|after| view! { <td data-label=t!("In the wallet after") class="number"><ExactTokens tokens=after /></td> })}
            <td data-label=t!("Cause")>{cause(entry.cause)}</td>
        </tr>
    }
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

fn cause(cause: Cause) -> AnyView {
    match cause {
        Cause::Order { order_id, package_name } => {
            view! { <a href=format!("/orders/{order_id}")>{t!("Order: {package}", package = package_name)}</a> }.into_any()
        }
        Cause::Call { request_id, model_id, key_name } => view! {
            <a href=format!("/usage?call={request_id}#{request_id}")>{t!("Call to {model}", model = model_id)}</a>
            <p class="muted">{key_name}</p>
        }
        .into_any(),
        Cause::Operator { note } => note.unwrap_or_else(|| t!("Booked by an operator").to_string()).into_any(),
        Cause::Code { note } => note.unwrap_or_else(|| t!("Redemption code").to_string()).into_any(),
        Cause::Expiry => t!("The grant's time was over").into_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
