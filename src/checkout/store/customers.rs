//! SQL about who an account is at its payment provider: one customer for each mode, made once, replaced when it is gone there.

use crate::accounts::rights::Member;
use crate::checkout::payments::{Customer, Provider};
use crate::checkout::store::CheckoutError;
use crate::ids::CustomerId;
use sqlx::PgPool;

/// The account's customer; written down if there is none, so that the provider can be asked to make it. Any number at once get the same.
pub async fn current_customer(
    db: &PgPool,
    member: &Member,
    provider: Provider,
    livemode: bool,
    email: &str,
) -> Result<Customer, CheckoutError> {
    sqlx::query!(
        "INSERT INTO payment_customers (payment_customer_id, account_id, provider, livemode, email) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (account_id, provider, livemode) WHERE replaced_at IS NULL DO NOTHING",
        CustomerId::generate().0,
        member.account_id().0,
        provider.as_str(),
        livemode,
        email
    )
    .execute(db)
    .await?;
    let row = sqlx::query!(
        "SELECT payment_customer_id, attempt, email, provider_customer_id FROM payment_customers
          WHERE account_id = $1 AND provider = $2 AND livemode = $3 AND replaced_at IS NULL",
        member.account_id().0,
        provider.as_str(),
        livemode
    )
    .fetch_one(db)
    .await?;
    Ok(Customer {
        customer_id: CustomerId(row.payment_customer_id),
        attempt: row.attempt,
        email: row.email,
        provider_id: row.provider_customer_id,
    })
}

/// Notes what the provider calls it. The first answer stands.
pub async fn set_provider_id(db: &PgPool, customer_id: CustomerId, provider_id: &str) -> Result<(), CheckoutError> {
    sqlx::query!(
        "UPDATE payment_customers SET provider_customer_id = $2 WHERE payment_customer_id = $1 AND provider_customer_id IS NULL",
        customer_id.0,
        provider_id
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The provider answers this attempt for a day as it did now: what is asked from now on is another. Any number at once make one.
pub async fn next_attempt(db: &PgPool, customer: &Customer) -> Result<(), CheckoutError> {
    sqlx::query!(
        "UPDATE payment_customers SET attempt = attempt + 1 WHERE payment_customer_id = $1 AND attempt = $2",
        customer.customer_id.0,
        customer.attempt
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The provider does not know it any more: the next one asked for is another.
pub async fn replace_customer(db: &PgPool, customer_id: CustomerId) -> Result<(), CheckoutError> {
    sqlx::query!("UPDATE payment_customers SET replaced_at = now() WHERE payment_customer_id = $1 AND replaced_at IS NULL", customer_id.0)
        .execute(db)
        .await?;
    Ok(())
}
