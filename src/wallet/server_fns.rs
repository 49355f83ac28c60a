//! Server functions of the wallet: who, parse, store, reply.

use crate::error::ConsoleError;
use crate::wallet::types::WalletView;
use leptos::prelude::*;
use leptos::server_fn::codec::{GetUrl, StreamingText, TextStream};

/// Of grants that are over.
const MOST_ENDED: usize = 20;

/// The wallet, and a page of its statement: of the `entries` of a kind, or all, of the days `from` and `to`, older than entry `before` or
/// beginning with what an `order` brought. What is wrong with these is told in the statement's place; the wallet is shown all the same.
#[server(endpoint = "wallet/show", input = GetUrl)]
pub async fn show_wallet(
    #[server(default)] entries: String,
    #[server(default)] from: String,
    #[server(default)] to: String,
    #[server(default)] order: String,
    #[server(default)] before: String,
) -> Result<WalletView, ConsoleError> {
    use crate::accounts::types_members::Role;
    use crate::ids::OrderId;
    use crate::server::request_ctx;
    use crate::wallet::filter::EntryFilter;
    use crate::wallet::forecast;
    use crate::wallet::store::{self, WalletError, statement};
    use crate::wallet::types::GrantTurn;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let account_id = member.account_id();
    let filter = EntryFilter::parse(&entries, &from, &to, &before, crate::preferences::time_zone(), chrono::Utc::now());
    let statement = async {
        let filter = match filter {
            Ok(filter) => filter,
            Err(error) => return Ok(Err(error)),
        };
        if order.is_empty() {
            return statement::statement_of(&app.db, &member, filter).await.map(Ok);
        }
        let Ok(order_id) = order.parse::<OrderId>() else { return Ok(Err(ConsoleError::NotFound)) };
        let statement = statement::statement_from_order(&app.db, &member, filter, order_id).await?;
        Ok::<_, WalletError>(statement.ok_or(ConsoleError::NotFound))
    };
    let ((rows, charges), statement) = tokio::try_join!(store::grants_and_charges(&app.db, account_id, forecast::LOOK_BACK), statement)
        .map_err(|error| request_ctx::fail(error.into()))?;
    let (balance, totals) = (store::balance_in(&rows), store::totals_in(&rows));
    let forecast = forecast::forecast_of(&charges, &rows);
    let (mut ended, grants): (Vec<_>, Vec<_>) =
        store::with_turns(rows).into_iter().partition(|grant| matches!(grant.turn, GrantTurn::Expired | GrantTurn::UsedUp));
    let ended_count = ended.len() as u64;
    ended.truncate(MOST_ENDED);
    Ok(WalletView {
        may_buy: member.is_admin(),
        may_redeem: member.role() >= Role::Member,
        balance,
        totals,
        forecast,
        grants,
        ended,
        ended_count,
        statement: statement.map_err(request_ctx::fail),
    })
}

/// The ledger as a file, all of it or what the same filter lets through.
#[server(endpoint = "wallet/export", input = GetUrl, output = StreamingText)]
pub async fn export_ledger(
    #[server(default)] entries: String,
    #[server(default)] from: String,
    #[server(default)] to: String,
) -> Result<TextStream<ConsoleError>, ConsoleError> {
    use crate::server::request_ctx;
    use crate::sheet::marked;
    use crate::wallet::export::csv;
    use crate::wallet::filter::EntryFilter;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let filter = EntryFilter::parse(&entries, &from, &to, "", crate::preferences::time_zone(), chrono::Utc::now());
    let filter = filter.map_err(request_ctx::fail)?;
    request_ctx::answer_file("text/csv; charset=utf-8", "ledger.csv");
    Ok(TextStream::new(marked(csv(app.db.clone(), member.account_id(), filter))))
}
