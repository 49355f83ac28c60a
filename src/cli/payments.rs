//! `toki payments`: events that fit no order, and what an operator makes of them. `toki reconcile`: asks the provider.

use crate::checkout::payments::Payments;
use crate::checkout::reconcile::reconcile;
use crate::checkout::store::CheckoutError;
use crate::checkout::store::quarantine::{quarantined_events, resolve_quarantined};
use crate::checkout::types_events::{QuarantinedEvent, Resolution};
use crate::cli::output::{facts, table};
use crate::cli::values::{self, or_dash};
use crate::cli::{CliError, Context};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Events that fit no order, and changed nothing: list, show, resolve
    #[command(subcommand)]
    Quarantine(Quarantine),
}

#[derive(Subcommand)]
pub enum Quarantine {
    /// Those that nobody has resolved, oldest first
    List,
    /// One of them, with all that the provider said
    Show(Of),
    /// Decide about one
    Resolve(Resolve),
}

#[derive(Args)]
pub struct Of {
    /// As the provider names it: evt_…
    #[arg(value_name = "EVENT_ID")]
    id: String,
}

#[derive(Args)]
pub struct Resolve {
    #[command(flatten)]
    event: Of,
    #[command(flatten)]
    how: How,
    /// Why; kept in the audit log
    #[arg(long, value_parser = values::reason)]
    reason: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct How {
    /// The cause is mended: decide again, by the same rules
    #[arg(long)]
    retry: bool,
    /// Nothing is to be done, or it was done elsewhere
    #[arg(long)]
    dismiss: bool,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    let Command::Quarantine(command) = command;
    match command {
        Quarantine::List => list(ctx).await,
        Quarantine::Show(of) => show(ctx, &of.id).await,
        Quarantine::Resolve(resolve) => run_resolve(ctx, resolve).await,
    }
}

async fn list(ctx: &Context) -> Result<(), CliError> {
    let events = quarantined_events(&ctx.db, None, i64::MAX).await?;
    ctx.out.reply(&json!({ "events": events }), || {
        let rows: Vec<_> = events
            .iter()
            .map(|event| {
                let order = or_dash(event.order_id, |id| id.to_string());
                let reason = event.reason.clone().unwrap_or_default();
                [event.event_id.clone(), event.event_type.clone(), event.received_at.rfc3339(), order, reason]
            })
            .collect();
        table(["EVENT", "TYPE", "RECEIVED", "ORDER", "REASON"], &rows)
    })
}

async fn show(ctx: &Context, event_id: &str) -> Result<(), CliError> {
    let event: QuarantinedEvent = quarantined_events(&ctx.db, Some(event_id), 1).await?.pop().ok_or(CheckoutError::NotQuarantined)?;
    ctx.out.reply(&event, || {
        let head = facts(&[
            ("event", event.event_id.clone()),
            ("provider", event.provider.clone()),
            ("type", event.event_type.clone()),
            ("received", event.received_at.rfc3339()),
            ("order", or_dash(event.order_id, |id| id.to_string())),
            ("reason", event.reason.clone().unwrap_or_default()),
        ]);
        format!("{head}\n\n{:#}", event.payload)
    })
}

async fn run_resolve(ctx: &Context, resolve: Resolve) -> Result<(), CliError> {
    let resolution = if resolve.how.retry { Resolution::Retry } else { Resolution::Dismiss };
    let event_id = &resolve.event.id;
    let decision = resolve_quarantined(&ctx.db, &ctx.outbox(), ctx.operator, event_id, resolution, &resolve.reason).await?;
    let document = json!({
        "event_id": event_id, "outcome": decision.outcome.as_str(), "order_id": decision.order_id, "reason": decision.reason,
    });
    ctx.out.reply(&document, || match &decision.reason {
        Some(reason) => format!("event {event_id} is {} now: {reason}", decision.outcome.as_str()),
        None => format!("event {event_id} is {} now", decision.outcome.as_str()),
    })
}

/// `toki reconcile`.
pub async fn run_reconcile(ctx: &Context) -> Result<(), CliError> {
    let done = reconcile(&ctx.db, &ctx.outbox(), &Payments::from_config(&ctx.config)).await?;
    ctx.out.reply(&done, || {
        facts(&[
            ("events that were new", done.new_events.to_string()),
            ("orders asked about", done.asked.to_string()),
            ("orders credited", done.credited.to_string()),
            ("orders closed", done.closed.to_string()),
            ("refunds answered", done.refunds.to_string()),
        ])
    })
}
