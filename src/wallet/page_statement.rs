//! The ledger as a statement: what happened, how many Tokens, what was in the wallet after it, and why.

use crate::t;
use crate::ui::amount::ExactTokens;
use crate::ui::page_data::address_with;
use crate::ui::pages::Pages;
use crate::ui::tabs::{Tab, Tabs};
use crate::ui::utc_time::UtcTime;
use crate::wallet::types::{Cause, EntryView, Movement, Statement, Which};
use leptos::prelude::*;

#[component]
pub fn StatementTable(
    statement: Statement,
    which: Which,
    /// Whether this is not the newest page.
    older_page: bool,
) -> impl IntoView {
    let tabs = Which::ALL.map(|each| Tab { name: which_words(each).into(), href: address(each, ""), here: each == which });
    let newest = older_page.then(|| address(which, ""));
    let older = statement.older.map(|before| address(which, &before.to_string()));
    let table = if statement.entries.is_empty() {
        view! {
            <p class="empty">{t!("No entry here. Every Token that comes or goes is written down in this place, for good.")}</p>
        }
        .into_any()
    } else {
        entries_table(statement.entries, which)
    };
    view! {
        <div class="row row-between">
            <Tabs label=t!("Entries") tabs=tabs.to_vec() />
            <a class="button" href=address_with("/api/wallet/export", [("entries", which.as_str())]) rel="external" download="ledger.csv">
                {t!("Download as CSV")}
            </a>
        </div>
        {table}
        <Pages label=t!("Pages of the ledger") newest newer=None older />
    }
}

fn address(which: Which, before: &str) -> String {
    let entries = if which == Which::All { "" } else { which.as_str() };
    format!("{}#statement", address_with("/wallet", [("entries", entries), ("before", before)]))
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
    let signed = if entry.tokens.0 > 0 { format!("+{}", entry.tokens.exact()) } else { entry.tokens.exact() };
    view! {
        <tr>
            <td data-label=t!("Time")><UtcTime time=entry.at /></td>
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
