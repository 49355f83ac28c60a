//! `toki order`: list, show, cancel, refund.

use crate::accounts::types::Email;
use crate::checkout::cancelling::cancel;
use crate::checkout::payments::Payments;
use crate::checkout::refunding::refund;
use crate::checkout::store::cancelling::CancelledBy;
use crate::checkout::store::operator_views::{OrderRow, order_for_operator, orders_for_operator};
use crate::checkout::store::refund_requests::RefundPart;
use crate::checkout::types::{OrderStatus, RefundStatus};
use crate::cli::output::{facts, table};
use crate::cli::values::{self, or_dash, shown};
use crate::cli::{CliError, Context};
use crate::ids::OrderId;
use crate::tokens::Tokens;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// The last orders, newest first
    List(List),
    /// One order: what was bought, every step it took and why, every refund
    Show(Of),
    /// Cancel an order that nobody has paid: its checkout is ended first
    Cancel(Cancel),
    /// Give money back: the Tokens leave the order's grant first
    Refund(Refund),
}

#[derive(Args)]
pub struct List {
    /// Only of the account that the user with this e-mail owns
    #[arg(long, value_parser = values::email)]
    email: Option<Email>,
}

#[derive(Args)]
pub struct Of {
    #[arg(value_name = "ORDER_ID")]
    id: OrderId,
}

#[derive(Args)]
pub struct Cancel {
    #[arg(value_name = "ORDER_ID")]
    id: OrderId,
    /// Why; kept in the audit log
    #[arg(long, value_parser = values::reason)]
    reason: String,
}

#[derive(Args)]
pub struct Refund {
    #[arg(value_name = "ORDER_ID")]
    id: OrderId,
    #[command(flatten)]
    part: Part,
    /// Why; kept in the audit log
    #[arg(long, value_parser = values::reason)]
    reason: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Part {
    /// What is left of the Tokens, and their share of the price, rounded down
    #[arg(long)]
    unused: bool,
    /// So many of the Tokens that are left, and their share of the price, rounded down
    #[arg(long, value_parser = values::tokens)]
    tokens: Option<Tokens>,
    /// So many minor units, and the Tokens they stand for, as far as they are left
    #[arg(long, value_name = "MINOR", value_parser = clap::value_parser!(i64).range(1..))]
    amount: Option<i64>,
    /// The rest of the price, and whatever is left of the Tokens
    #[arg(long)]
    all: bool,
}

impl Part {
    /// The group demands exactly one of them.
    fn get(&self) -> RefundPart {
        match (self.tokens, self.amount) {
            (Some(tokens), _) => RefundPart::Tokens(tokens),
            (_, Some(minor)) => RefundPart::Amount(minor),
            _ if self.all => RefundPart::All,
            _ => RefundPart::Unused,
        }
    }
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::List(list) => run_list(ctx, list).await,
        Command::Show(of) => run_show(ctx, of.id).await,
        Command::Cancel(cancel) => run_cancel(ctx, cancel).await,
        Command::Refund(refund) => run_refund(ctx, refund).await,
    }
}

async fn run_list(ctx: &Context, list: List) -> Result<(), CliError> {
    let account_id = match &list.email {
        Some(email) => Some(ctx.account(email).await?.account_id),
        None => None,
    };
    let orders = orders_for_operator(&ctx.db, account_id).await?;
    ctx.out.reply(&json!({ "orders": orders }), || {
        let rows: Vec<_> = orders
            .iter()
            .map(|row| {
                let OrderRow { order_id, email, package_name, tokens, status, created_at, .. } = row;
                let (price, state) = (row.price().exact(), status.as_str().to_string());
                [order_id.to_string(), email.clone(), package_name.clone(), tokens.exact(), price, state, shown(*created_at)]
            })
            .collect();
        table(["ORDER", "E-MAIL", "PACKAGE", "TOKENS", "PRICE", "STATE", "ORDERED"], &rows)
    })
}

async fn run_show(ctx: &Context, order_id: OrderId) -> Result<(), CliError> {
    let detail = order_for_operator(&ctx.db, order_id).await?;
    ctx.out.reply(&detail, || {
        let order = &detail.order;
        let head = facts(&[
            ("order", order.order_id.to_string()),
            ("e-mail", order.email.clone()),
            ("package", order.package_name.clone()),
            ("tokens", order.tokens.exact()),
            ("price", order.price().exact()),
            ("discount", or_dash(order.code_id, |id| format!("{} by code {id}", order.discount().exact()))),
            ("state", order.status.as_str().to_string()),
            ("provider", order.provider.clone()),
            ("session", or_dash(order.session_id.clone(), |id| id)),
            ("payment", or_dash(order.payment_id.clone(), |id| id)),
        ]);
        let steps: Vec<_> = detail
            .transitions
            .iter()
            .map(|step| {
                let source = step.event_id.clone().or(step.refund_id.map(|id| id.to_string()));
                [shown(step.at), step.from_status.clone(), step.to_status.clone(), step.cause.clone(), or_dash(source, |id| id)]
            })
            .collect();
        let refunds: Vec<_> = detail
            .refunds
            .iter()
            .map(|refund| {
                let amount = crate::money::Money::new(refund.amount_minor, order.currency.clone()).exact();
                let tokens = or_dash(refund.tokens, |tokens| tokens.exact());
                [
                    refund.refund_id.to_string(),
                    amount,
                    tokens,
                    refund.status.as_str().to_string(),
                    or_dash(refund.asked_by.clone(), |name| name),
                    or_dash(refund.reason.clone(), |text| text),
                ]
            })
            .collect();
        let steps = table(["AT", "FROM", "TO", "CAUSE", "BY"], &steps);
        let refunds = table(["REFUND", "AMOUNT", "TOKENS", "STATE", "BY", "REASON"], &refunds);
        format!("{head}\n\n{steps}\n\n{refunds}")
    })
}

async fn run_cancel(ctx: &Context, given: Cancel) -> Result<(), CliError> {
    let (payments, by) = (Payments::from_config(&ctx.config), CancelledBy::Operator(ctx.operator, &given.reason));
    let status = cancel(&ctx.db, &ctx.outbox(), &payments, by, given.id).await?;
    if !matches!(status, OrderStatus::Cancelled | OrderStatus::Expired | OrderStatus::Declined) {
        let standing = status.as_str().replace('_', " ");
        return Err(CliError::Found(format!("order {} was not cancelled: it is {standing}", given.id)));
    }
    ctx.out.reply(&json!({ "order_id": given.id, "status": status }), || match status {
        OrderStatus::Cancelled => format!("cancelled order {}", given.id),
        _ => format!("the checkout of order {} is over: it is {}", given.id, status.as_str()),
    })
}

async fn run_refund(ctx: &Context, given: Refund) -> Result<(), CliError> {
    let payments = Payments::from_config(&ctx.config);
    let (asked, status) = refund(&ctx.db, &payments, ctx.operator, given.id, given.part.get(), Some(&given.reason)).await?;
    if status == RefundStatus::Failed {
        return Err(CliError::Found(format!("the payment provider refused refund {}; the Tokens are back in the grant", asked.refund_id)));
    }
    let document = json!({
        "refund_id": asked.refund_id, "order_id": asked.order_id, "amount_minor": asked.amount.minor, "currency": asked.amount.currency,
        "tokens": asked.tokens, "status": status,
    });
    ctx.out.reply(&document, || {
        let (amount, tokens) = (asked.amount.exact(), asked.tokens.exact());
        match status {
            RefundStatus::Requested => {
                format!("took {tokens} Tokens back; the provider did not answer, and will be asked for {amount} again")
            }
            _ => format!("refunded {amount} and took {tokens} Tokens back, as refund {}", asked.refund_id),
        }
    })
}
