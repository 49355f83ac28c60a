//! SQL about receipts and credit notes: their gapless numbers, what they keep as it was when they were issued, and how they read.
//!
//! A tax office wants an issued receipt to stay as it is. So seller, tax rate and customer are copies from the moment of payment, and
//! later edits reach only later receipts; what nobody had said by then is filled in once.

use crate::accounts::rights::{Admin, Reader};
use crate::accounts::types::Email;
use crate::checkout::letters::{self, Paid};
use crate::checkout::payments::Provider;
use crate::checkout::store::{CheckoutError, stay_in, stored_currency};
use crate::checkout::types::RefundStatus;
use crate::checkout::types_receipt::{BillingDetails, CreditNote, ReceiptView, Seller, TaxRate, Taxed};
use crate::ids::OrderId;
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use crate::money::Money;
use crate::tokens::Tokens;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Issues the receipt of an order and posts it to whoever ordered, to the owner where they have left the account since, in the transaction that fulfils it. The number's row is locked until
/// that commits, so whoever comes here holds every lock that he will need: order, then account.
pub async fn issue_receipt_in(tx: &mut PgConnection, outbox: &Outbox, order_id: OrderId) -> Result<(), CheckoutError> {
    let row = sqlx::query!(
        "WITH next AS (
             INSERT INTO receipt_numbers AS n (series, year, last) VALUES ('receipt', extract(year FROM now() AT TIME ZONE 'UTC')::integer, 1)
             ON CONFLICT ON CONSTRAINT receipt_numbers_pkey DO UPDATE SET last = n.last + 1 RETURNING year, last),
         receipt AS (
             INSERT INTO receipts (order_id, year, number, issued_at, seller_id, email, billing_name, billing_address, billing_tax_id)
             SELECT o.order_id, next.year, next.last, now(), (SELECT max(seller_id) FROM sellers), u.email, b.name, b.address, b.tax_id
               FROM orders o
               LEFT JOIN LATERAL (SELECT m.user_id FROM members m WHERE m.account_id = o.account_id
                                   ORDER BY m.user_id = o.user_id DESC, m.role = 'owner' DESC LIMIT 1) to_whom ON true
               JOIN users u ON u.user_id = coalesce(to_whom.user_id, o.user_id)
               LEFT JOIN billing_details b ON b.account_id = o.account_id CROSS JOIN next
              WHERE o.order_id = $1
             RETURNING order_id, year, number, email)
         SELECT r.year, r.number, r.email, o.package_name, o.tokens, o.price_minor, o.currency, o.provider
           FROM receipt r JOIN orders o USING (order_id)",
        order_id.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let paid = Paid {
        order_id,
        number: numbered("R", row.year, row.number),
        package_name: row.package_name,
        tokens: Tokens(row.tokens),
        price: Money::new(row.price_minor, stored_currency(&row.currency)?),
        sandbox: row.provider == Provider::Sandbox.as_str(),
    };
    if let Ok(email) = Email::parse(&row.email) {
        outbox.post_in(tx, &email, || letters::receipt(outbox, &paid)).await?;
    }
    Ok(())
}

/// Issues the credit notes of an order's refunds that have succeeded, each once. The order is locked.
pub async fn issue_credit_notes_in(tx: &mut PgConnection, order_id: OrderId) -> Result<(), CheckoutError> {
    let refunds = sqlx::query_scalar!(
        "SELECT r.refund_id FROM refunds r JOIN receipts USING (order_id) LEFT JOIN credit_notes c USING (refund_id)
          WHERE r.order_id = $1 AND r.status = 'succeeded' AND c.refund_id IS NULL ORDER BY r.created_at, r.refund_id",
        order_id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    for refund_id in refunds {
        sqlx::query!(
            "WITH next AS (
                 INSERT INTO receipt_numbers AS n (series, year, last)
                 VALUES ('credit_note', extract(year FROM now() AT TIME ZONE 'UTC')::integer, 1)
                 ON CONFLICT ON CONSTRAINT receipt_numbers_pkey DO UPDATE SET last = n.last + 1 RETURNING year, last)
             INSERT INTO credit_notes (refund_id, order_id, year, number, issued_at) SELECT $1, $2, year, last, now() FROM next",
            refund_id,
            order_id.0
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Notes who sells from now on. Receipts that were issued before anybody had said so get it, too.
pub async fn set_seller(db: &PgPool, seller: &Seller) -> Result<(), CheckoutError> {
    let mut tx = db.begin().await?;
    // Replicas that start at once note it once.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('seller', 0))").fetch_one(&mut *tx).await?;
    let rate = seller.tax_rate.map(|rate| rate.0);
    sqlx::query!(
        "INSERT INTO sellers (name, address, tax_id, tax_rate_bp)
         SELECT $1, $2, $3, $4 WHERE NOT EXISTS (
             SELECT FROM sellers s WHERE s.seller_id = (SELECT max(seller_id) FROM sellers)
                AND (s.name, s.address, s.tax_id, s.tax_rate_bp) IS NOT DISTINCT FROM ($1, $2, $3, $4))",
        seller.name,
        seller.address,
        seller.tax_id,
        rate
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("UPDATE receipts SET seller_id = (SELECT max(seller_id) FROM sellers) WHERE seller_id IS NULL").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Keeps what receipts are to be made out to, and fills it in where this order's receipt has none.
pub async fn set_billing_details(db: &PgPool, member: &Admin, order_id: OrderId, details: &BillingDetails) -> Result<(), CheckoutError> {
    let mut tx = db.begin().await?;
    stay_in(&mut tx, member).await?;
    let account_id = member.account_id().0;
    sqlx::query!(
        "SELECT order_id FROM receipts JOIN orders USING (order_id) WHERE order_id = $1 AND account_id = $2",
        order_id.0,
        account_id
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(CheckoutError::NotFound)?;
    sqlx::query!(
        "INSERT INTO billing_details (account_id, name, address, tax_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT billing_details_pkey DO UPDATE SET name = $2, address = $3, tax_id = $4, updated_at = now()",
        account_id,
        details.name,
        details.address,
        details.tax_id
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE receipts SET billing_name = $2, billing_address = $3, billing_tax_id = $4 WHERE order_id = $1 AND billing_name IS NULL",
        order_id.0,
        details.name,
        details.address,
        details.tax_id
    )
    .execute(&mut *tx)
    .await?;
    record_in(&mut tx, member.account_id(), Actor::of(member), Entry::of(Kind::BillingSaved)).await?;
    tx.commit().await?;
    Ok(())
}

/// The receipt of one of the account's orders; none was issued = not found.
pub async fn receipt(db: impl PgExecutor<'_> + Copy, member: &Reader, order_id: OrderId) -> Result<ReceiptView, CheckoutError> {
    let row = sqlx::query!(
        r#"SELECT r.year, r.number, r.issued_at, r.email, r.billing_name, r.billing_address, r.billing_tax_id,
                  s.name AS "seller_name?", s.address AS "seller_address?", s.tax_id AS seller_tax_id, s.tax_rate_bp,
                  b.name AS "saved_name?", b.address AS "saved_address?", b.tax_id AS "saved_tax_id?",
                  o.package_name, o.tokens, o.price_minor, o.currency, o.provider
             FROM receipts r JOIN orders o USING (order_id) LEFT JOIN sellers s USING (seller_id)
             LEFT JOIN billing_details b ON b.account_id = o.account_id
            WHERE o.account_id = $1 AND r.order_id = $2"#,
        member.account_id().0,
        order_id.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(CheckoutError::NotFound)?;
    let currency = stored_currency(&row.currency)?;
    let rate = row.tax_rate_bp.map(TaxRate);
    let price = Money::new(row.price_minor, currency);
    let credit_notes = credit_notes(db, order_id, &price, rate).await?;
    let taxed = |gross_minor: i64, tax_minor: i64| Taxed::new(Money::new(gross_minor, price.currency.clone()), tax_minor);
    let whole_tax = tax(rate, price.minor);
    let back = credit_notes.iter().filter(|note| !note.void);
    let (gross_back, tax_back) = back.fold((0, 0), |(gross, tax), note| (gross + note.amount.gross.minor, tax + note.amount.tax.minor));
    let details = |name: Option<String>, address: Option<String>, tax_id: Option<String>| {
        Some(BillingDetails { name: name?, address: address?, tax_id: tax_id? })
    };
    Ok(ReceiptView {
        order_id,
        number: numbered("R", row.year, row.number),
        paid_at: row.issued_at.into(),
        sandbox: row.provider == Provider::Sandbox.as_str(),
        seller: row.seller_name.zip(row.seller_address).map(|(name, address)| Seller {
            name,
            address,
            tax_id: row.seller_tax_id,
            tax_rate: rate,
        }),
        email: row.email,
        billing: details(row.billing_name, row.billing_address, row.billing_tax_id),
        saved: details(row.saved_name, row.saved_address, row.saved_tax_id),
        may_save: member.is_admin(),
        package_name: row.package_name,
        tokens: Tokens(row.tokens),
        total: taxed(price.minor - gross_back, whole_tax - tax_back),
        price: taxed(price.minor, whole_tax),
        credit_notes,
    })
}

/// The tax of each is what the tax in all that went back grew by, so that together they never take back more or less than was charged.
async fn credit_notes(
    db: impl PgExecutor<'_>,
    order_id: OrderId,
    price: &Money,
    rate: Option<TaxRate>,
) -> Result<Vec<CreditNote>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT c.year, c.number, c.issued_at, r.amount_minor, coalesce(r.tokens, 0) AS "tokens!", r.status
             FROM credit_notes c JOIN refunds r USING (refund_id) WHERE c.order_id = $1 ORDER BY c.year, c.number"#,
        order_id.0
    )
    .fetch_all(db)
    .await?;
    let mut before = 0;
    Ok(rows
        .into_iter()
        .map(|row| {
            let after = before + row.amount_minor;
            let tax_minor = tax(rate, after) - tax(rate, before);
            before = after;
            CreditNote {
                number: numbered("C", row.year, row.number),
                at: row.issued_at.into(),
                tokens: Tokens(row.tokens),
                amount: Taxed::new(Money::new(row.amount_minor, price.currency.clone()), tax_minor),
                void: row.status == RefundStatus::Failed.as_str(),
            }
        })
        .collect())
}

fn tax(rate: Option<TaxRate>, gross_minor: i64) -> i64 {
    rate.map_or(0, |rate| rate.in_minor(gross_minor))
}

/// `R-2026-000042`
fn numbered(series: &str, year: i32, number: i64) -> String {
    format!("{series}-{year}-{number:06}")
}

#[cfg(test)]
#[path = "receipts_tests.rs"]
mod tests;
