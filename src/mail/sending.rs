//! Sends what is due. Runs on every replica at once; `outbox` sees to it that each mail has one sender at a time.

use crate::mail::delivery::{Delivery, Undelivered};
use crate::mail::outbox::{self, GivenUp, Outbox, OutboxError};
use sqlx::PgPool;

/// In one run, so that a run ends.
const MOST: i64 = 100;

/// Delivers what is due, until one is not taken: the server that refuses one for the moment would refuse the others too. Returns how many
/// were sent.
pub async fn send_due(db: &PgPool, outbox: &Outbox, delivery: &Delivery) -> Result<i64, OutboxError> {
    for GivenUp { mail_id, kind, attempts, last_error } in outbox::give_up_useless(db).await? {
        let why = last_error.unwrap_or_else(|| "nobody tried".into());
        tracing::error!(%mail_id, kind, attempts, why, "MAIL GIVEN UP: it was not delivered while it was of use");
    }
    let mut sent = 0;
    while sent < MOST
        && let Some(mail) = outbox.take(db).await?
    {
        match delivery.deliver(&mail).await {
            Ok(()) => {
                outbox::note_sent(db, mail.mail_id).await?;
                sent += 1;
            }
            Err(Undelivered::Ever(why)) => {
                tracing::error!(mail_id = %mail.mail_id, kind = mail.kind, why, "MAIL GIVEN UP: it cannot be delivered");
                outbox::give_up(db, mail.mail_id, &why).await?;
            }
            Err(Undelivered::Yet(why)) => {
                tracing::warn!(mail_id = %mail.mail_id, kind = mail.kind, attempts = mail.attempts, why, "a mail was not delivered yet");
                outbox::postpone(db, mail.mail_id, mail.attempts, &why).await?;
                break;
            }
        }
    }
    Ok(sent)
}
