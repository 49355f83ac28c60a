//! Promotion codes on orders: what one that was typed takes off a package now, and that an order takes its use. What codes are, and
//! whether this account may use one, is decided in `codes`.

use crate::accounts::rights::Member;
use crate::catalog::types::PackageCard;
use crate::checkout::payments::Provider;
use crate::checkout::store::CheckoutError;
use crate::checkout::types_placing::OrderRequest;
use crate::codes::store::CodeError;
use crate::codes::store::plain::{CodePepper, PlainCode};
use crate::codes::store::promotions::{Priced, discount_in, lock_in, promotion_by_hash};
use crate::codes::types::{Discount, TypedCode};
use crate::error::CodeProblem;
use crate::ids::{CodeId, PackageId};
use crate::money::Money;
use sqlx::{PgConnection, PgPool};

/// Recognises a promotion code that takes something off this package. An open order of the package that has its use already is as good:
/// the customer came back to it.
pub async fn type_code(
    db: &PgPool,
    member: &Member,
    provider: Provider,
    package: &PackageCard,
    text: &str,
    hash_key: &[u8; 32],
) -> Result<TypedCode, CheckoutError> {
    let code = PlainCode::parse(text).map_err(CodeError::from)?;
    let code_id = promotion_by_hash(db, member, &code.hash(&CodePepper::derive(hash_key))).await?;
    let typed = TypedCode { package_id: package.package_id, code_id };
    let mut connection = db.acquire().await?;
    let discounted = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orders WHERE account_id = $1 AND package_id = $2 AND code_id = $3
                             AND status IN ('created', 'awaiting_payment')) AS "discounted!""#,
        member.account_id().0,
        package.package_id.0,
        code_id.0
    )
    .fetch_one(&mut *connection)
    .await?;
    if !discounted {
        discount_in(&mut connection, member, code_id, &priced(provider, package.package_id, &package.price)).await?;
    }
    Ok(typed)
}

/// What a typed code takes off, or why nothing.
pub async fn discount_of(
    connection: &mut PgConnection,
    member: &Member,
    provider: Provider,
    package: &PackageCard,
    code_id: CodeId,
) -> Result<Result<Discount, CodeProblem>, CheckoutError> {
    match discount_in(connection, member, code_id, &priced(provider, package.package_id, &package.price)).await {
        Ok(minor) => Ok(Ok(Discount { code_id: Some(code_id), minor })),
        Err(CodeError::Problem(problem)) => Ok(Err(problem)),
        Err(error) => Err(error.into()),
    }
}

/// Locks the code of a confirmed form, after the account, and refuses a discount that is not the one that was shown.
pub async fn check_discount_in(
    tx: &mut PgConnection,
    member: &Member,
    provider: Provider,
    request: &OrderRequest,
) -> Result<(), CheckoutError> {
    let minor = match request.discount.code_id {
        Some(code_id) => {
            lock_in(tx, code_id).await?;
            discount_in(tx, member, code_id, &priced(provider, request.package_id, &request.terms.price)).await?
        }
        None => 0,
    };
    if minor == request.discount.minor {
        return Ok(());
    }
    // The session forgets a code when an order takes it, so a form that was made of that order has only what it takes off: with another
    // start it is not that order, and nothing has changed but that.
    if request.discount.code_id.is_none() && is_taken_off_an_open_order_in(tx, member, request).await? {
        return Err(CodeError::from(CodeProblem::OnUnpaidOrder).into());
    }
    Err(CheckoutError::PackageChanged)
}

/// Whether an order of the package that waits for its payment has this very discount.
async fn is_taken_off_an_open_order_in(tx: &mut PgConnection, member: &Member, request: &OrderRequest) -> Result<bool, CheckoutError> {
    let taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orders WHERE account_id = $1 AND package_id = $2 AND discount_minor = $3
                             AND code_id IS NOT NULL AND status IN ('created', 'awaiting_payment')) AS "taken!""#,
        member.account_id().0,
        request.package_id.0,
        request.discount.minor
    );
    Ok(taken.fetch_one(tx).await?)
}

fn priced(provider: Provider, package_id: PackageId, price: &Money) -> Priced<'_> {
    Priced { package_id, price, chargeable: provider.chargeable(&price.currency) }
}

#[cfg(test)]
#[path = "discounts_tests.rs"]
mod tests;
