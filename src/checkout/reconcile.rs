//! Settles events that were stored but not acted on, because the process ended in between. The provider would deliver them again
//! some time; the customer need not wait for that.

use crate::checkout::store::CheckoutError;
use crate::checkout::store::events::{settle_event, unsettled_events};
use crate::checkout::webhook::report;
use chrono::TimeDelta;
use sqlx::PgPool;

/// A delivery in progress is not left over.
const OLDER_THAN: TimeDelta = TimeDelta::seconds(30);

/// Settles what is left over, at most `most`. Safe to run anywhere, any number of times at once. Returns how many it settled.
pub async fn settle_left_events(db: &PgPool, most: i64) -> Result<i64, CheckoutError> {
    let mut settled = 0;
    for (provider, event) in unsettled_events(db, OLDER_THAN, most).await? {
        let decision = settle_event(db, provider, &event).await?;
        report(provider, &event, &decision);
        settled += 1;
    }
    Ok(settled)
}
