//! `toki audit`: says whether every balance follows from the ledger.

use crate::accounts::types::Email;
use crate::cli::{CliError, Context};
use crate::wallet::audit::{AuditReport, audit};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    #[serde(flatten)]
    report: &'a AuditReport,
}

pub async fn run(ctx: &Context, email: Option<Email>) -> Result<(), CliError> {
    let account = match &email {
        Some(email) => Some(ctx.account(email).await?.account_id),
        None => None,
    };
    let report = audit(&ctx.db, account).await?;
    let ok = report.differences.is_empty();
    ctx.out.reply(&Document { ok, report: &report }, || {
        if ok {
            return summary(&report);
        }
        report.differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    match report.differences.len() {
        0 => Ok(()),
        1 => Err(CliError::Found("the audit found 1 difference".into())),
        n => Err(CliError::Found(format!("the audit found {n} differences"))),
    }
}

fn summary(report: &AuditReport) -> String {
    let counted = |n: i64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    format!(
        "ok: {}, {}, {}, {}",
        counted(report.accounts, "account", "accounts"),
        counted(report.grants, "grant", "grants"),
        counted(report.ledger_entries, "ledger entry", "ledger entries"),
        counted(report.usage_records, "usage record", "usage records"),
    )
}
