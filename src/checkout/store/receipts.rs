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
use crate::checkout::types_receipt::{BillingDetails, CreditNote, Discounted, ReceiptView, Seller, TaxRate, Taxed};
use crate::connections::again;
use crate::ids::OrderId;
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use crate::money::Money;
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
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

/// Issues the credit notes of an order's refunds that have succeeded, each once. The order is locked. The tax of each is what the tax in
/// all that has gone back is more than what valid notes have taken back of it, so that together they take back what was charged; a note
/// keeps it, and its Tokens, because refunds go on to change.
pub async fn issue_credit_notes_in(tx: &mut PgConnection, order_id: OrderId) -> Result<(), CheckoutError> {
    let refunds = sqlx::query!(
        r#"SELECT r.refund_id AS "refund_id!", r.amount_minor AS "amount_minor!", s.tax_rate_bp AS "tax_rate_bp?"
             FROM refunds r JOIN receipts p ON p.order_id = r.order_id LEFT JOIN sellers s ON s.seller_id = p.seller_id
            WHERE r.order_id = $1 AND r.status = 'succeeded' AND NOT EXISTS (SELECT FROM credit_notes c WHERE c.refund_id = r.refund_id)
            ORDER BY r.created_at, r.refund_id"#,
        order_id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    let Some(first) = refunds.first() else { return Ok(()) };
    let rate = first.tax_rate_bp.map(TaxRate);
    let (mut gross_back, mut tax_back) = went_back(&notes_of(&mut *tx, order_id, rate).await?);
    for refund in refunds {
        gross_back += refund.amount_minor;
        let tax_minor = rate.map(|rate| rate.in_minor(gross_back) - tax_back);
        tax_back += tax_minor.unwrap_or(0);
        sqlx::query!(
            "WITH next AS (
                 INSERT INTO receipt_numbers AS n (series, year, last)
                 VALUES ('credit_note', extract(year FROM now() AT TIME ZONE 'UTC')::integer, 1)
                 ON CONFLICT ON CONSTRAINT receipt_numbers_pkey DO UPDATE SET last = n.last + 1 RETURNING year, last)
             INSERT INTO credit_notes (refund_id, order_id, year, number, issued_at, tokens, tax_minor)
             SELECT r.refund_id, r.order_id, next.year, next.last, now(), coalesce(r.tokens, 0), $2::bigint
               FROM refunds r CROSS JOIN next WHERE r.refund_id = $1",
            refund.refund_id,
            tax_minor
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
    again(|| set_billing_details_once(db, member, order_id, details)).await
}

async fn set_billing_details_once(db: &PgPool, member: &Admin, order_id: OrderId, details: &BillingDetails) -> Result<(), CheckoutError> {
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
                  o.package_name, o.tokens, o.price_minor, o.discount_minor, o.currency, o.provider
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
    let notes = notes_of(db, order_id, rate).await?;
    let taxed = |gross_minor: i64, tax_minor: i64| Taxed::new(Money::new(gross_minor, price.currency.clone()), tax_minor);
    let whole_tax = tax(rate, price.minor);
    let (gross_back, tax_back) = went_back(&notes);
    // Rounded once each: list price less discount is what was paid, in net and tax, too.
    let discounted = (row.discount_minor > 0).then(|| {
        let list_minor = price.minor + row.discount_minor;
        let list_tax = tax(rate, list_minor);
        Discounted { list: taxed(list_minor, list_tax), off: taxed(row.discount_minor, list_tax - whole_tax) }
    });
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
        discounted,
        credit_notes: notes.into_iter().map(|note| note.shown(&price)).collect(),
        price: taxed(price.minor, whole_tax),
    })
}

/// A credit note as it was issued, and whether its refund failed since.
struct Note {
    number: String,
    issued_at: DateTime<Utc>,
    tokens: Tokens,
    amount_minor: i64,
    tax_minor: i64,
    void: bool,
}

impl Note {
    fn shown(self, price: &Money) -> CreditNote {
        CreditNote {
            number: self.number,
            at: self.issued_at.into(),
            tokens: self.tokens,
            amount: Taxed::new(Money::new(self.amount_minor, price.currency.clone()), self.tax_minor),
            void: self.void,
        }
    }
}

/// The credit notes of an order, oldest first. `rate` is that of its receipt.
async fn notes_of(db: impl PgExecutor<'_>, order_id: OrderId, rate: Option<TaxRate>) -> Result<Vec<Note>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT c.year, c.number, c.issued_at, c.tax_minor AS "tax_minor?", r.amount_minor,
                  coalesce(c.tokens, r.tokens, 0) AS "tokens!", r.status
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
            // Of one that kept none: by what does not change either, whatever becomes of refunds.
            let grew_by = tax(rate, after) - tax(rate, before);
            before = after;
            Note {
                number: numbered("C", row.year, row.number),
                issued_at: row.issued_at,
                tokens: Tokens(row.tokens),
                amount_minor: row.amount_minor,
                tax_minor: row.tax_minor.unwrap_or(grew_by),
                void: row.status == RefundStatus::Failed.as_str(),
            }
        })
        .collect())
}

/// What went back in all, and the tax in it.
fn went_back(notes: &[Note]) -> (i64, i64) {
    let valid = notes.iter().filter(|note| !note.void);
    valid.fold((0, 0), |(gross, tax), note| (gross + note.amount_minor, tax + note.tax_minor))
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
