//! The ledger as a statement: what happened, how many Tokens, what was in the wallet after it, and why.

use crate::ui::amount::ExactTokens;
use crate::ui::utc_time::UtcTime;
use crate::wallet::types::{Cause, EntryView, Statement};
use leptos::prelude::*;

#[component]
pub fn StatementTable(
    statement: Statement,
    /// Whether this is not the newest page.
    older_page: bool,
) -> impl IntoView {
    let newest = older_page.then(|| view! { <a class="button" href="/wallet#statement">"Newest entries"</a> });
    let older =
        statement.older.map(|before| view! { <a class="button" href=format!("/wallet?before={before}#statement")>"Older entries"</a> });
    let table = if statement.entries.is_empty() {
        view! { <p class="empty">"No entry here. Every Token that comes or goes is written down in this place, for good."</p> }.into_any()
    } else {
        view! {
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Time"</th>
                            <th scope="col">"What happened"</th>
                            <th scope="col" class="number">"Tokens"</th>
                            <th scope="col" class="number">"In the wallet after"</th>
                            <th scope="col">"Cause"</th>
                        </tr>
                    </thead>
                    <tbody>{statement.entries.into_iter().map(entry_row).collect_view()}</tbody>
                </table>
            </div>
            <p class="muted">"Tokens held for running calls are still in the wallet here; what a call costs leaves it when the call ends."</p>
        }
        .into_any()
    };
    view! {
        {table}
        <div class="row">{newest} {older}</div>
    }
}

fn entry_row(entry: EntryView) -> impl IntoView {
    let signed = if entry.tokens.0 > 0 { format!("+{}", entry.tokens.exact()) } else { entry.tokens.exact() };
    view! {
        <tr>
            <td data-label="Time"><UtcTime time=entry.at /></td>
            <td data-label="What happened">{entry.movement.word()}</td>
            <td data-label="Tokens" class="number">{signed}</td>
            <td data-label="In the wallet after" class="number"><ExactTokens tokens=entry.after /></td>
            <td data-label="Cause">{cause(entry.cause)}</td>
        </tr>
    }
}

fn cause(cause: Cause) -> AnyView {
    match cause {
        Cause::Order { order_id, package_name } => {
            view! { <a href=format!("/orders/{order_id}")>{format!("Order: {package_name}")}</a> }.into_any()
        }
        Cause::Call { request_id, model_id, key_name } => view! {
            <a href=format!("/usage?call={request_id}#{request_id}")>{format!("Call to {model_id}")}</a>
            <p class="muted">{key_name}</p>
        }
        .into_any(),
        Cause::Operator { note } => note.unwrap_or_else(|| "Booked by an operator".to_string()).into_any(),
        Cause::Code { note } => note.unwrap_or_else(|| "Redemption code".to_string()).into_any(),
        Cause::Expiry => "The grant's time was over".into_any(),
    }
}
