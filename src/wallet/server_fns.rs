//! Server functions of the wallet: who, parse, store, reply.

use crate::error::ConsoleError;
use crate::wallet::types::WalletView;
use leptos::prelude::*;
use leptos::server_fn::codec::{GetUrl, StreamingText, TextStream};

/// The wallet, and the page of its statement, all of it or some `entries`, that begins before entry `before`.
#[server(endpoint = "wallet/show", input = GetUrl)]
pub async fn show_wallet(#[server(default)] entries: String, #[server(default)] before: String) -> Result<WalletView, ConsoleError> {
    use crate::accounts::types_members::Role;
    use crate::server::request_ctx;
    use crate::wallet::forecast;
    use crate::wallet::store::{self, statement};
    use crate::wallet::types::{GrantTurn, Which};
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let account_id = member.account_id();
    let which = Which::parse(&entries).ok_or_else(|| request_ctx::fail(ConsoleError::NotFound))?;
    let (rows, charges, statement) = tokio::try_join!(
        store::grants_of(&app.db, account_id),
        forecast::charges_of(&app.db, account_id),
        statement::statement_of(&app.db, &member, which, before.parse().ok()),
    )
    .map_err(|error| request_ctx::fail(error.into()))?;
    let (balance, totals) = (store::balance_in(&rows), store::totals_in(&rows));
    let forecast = forecast::forecast_of(&charges, &rows);
    let (ended, grants): (Vec<_>, Vec<_>) =
        store::with_turns(rows).into_iter().partition(|grant| matches!(grant.turn, GrantTurn::Expired | GrantTurn::UsedUp));
    Ok(WalletView {
        may_redeem: member.role() >= Role::Member,
        balance,
        totals,
        forecast,
        grants,
        ended: ended.into_iter().take(20).collect(),
        statement,
    })
}

/// The ledger as a file, all of it or some `entries`.
#[server(endpoint = "wallet/export", input = GetUrl, output = StreamingText)]
pub async fn export_ledger(#[server(default)] entries: String) -> Result<TextStream<ConsoleError>, ConsoleError> {
    use crate::server::request_ctx;
    use crate::wallet::export::csv;
    use crate::wallet::types::Which;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let which = Which::parse(&entries).ok_or_else(|| request_ctx::fail(ConsoleError::NotFound))?;
    request_ctx::answer_file("text/csv; charset=utf-8", "ledger.csv");
    Ok(TextStream::new(csv(app.db, member.account_id(), which)))
}
